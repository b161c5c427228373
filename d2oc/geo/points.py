"""Scouting points from vector files, and the frame of places that have no field around them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Floats
from d2oc.errors import MapFileError
from d2oc.geo.frame import LocalFrame, transform
from d2oc.geo.vector import read_layer, to_lon_lat

__all__ = ["PlacedValues", "frame_of_places", "read_points"]

LARGEST_EXTENT_M = 100_000.0


@dataclass(frozen=True, eq=False)
class PlacedValues:
    """Values at places, as they stand in a file.

    Attributes
    ----------
    places : ndarray, shape (n, 2)
        In the file's system, east before north.
    values : ndarray, shape (n,)
        NaN where nothing was observed.
    crs : str
    notes : tuple of str
    """

    places: Floats
    values: Floats
    crs: str
    notes: tuple[str, ...]


def read_points(file: Path, value_column: str) -> PlacedValues:
    """Read points with a value from a vector file.

    Parameters
    ----------
    file : Path
        GeoJSON, GeoPackage, Shapefile or KML with points.
    value_column : str
        Attribute that holds the count or severity; empty is "not observed".

    Returns
    -------
    points : PlacedValues

    Raises
    ------
    MapFileError
        In one sentence, whatever is wrong with the file.
    """
    layer = read_layer(file)
    import shapely

    if layer.kinds() != {"points"}:
        held = " and ".join(sorted(layer.kinds())) or "shapes of another kind"
        raise MapFileError(f"{file}: holds {held}; scouting counts are points")
    if (shapely.get_num_coordinates(layer.shapes) != 1).any():
        raise MapFileError(f"{file}: has a feature of several points; a count belongs to one place (split multipoints)")
    if value_column not in layer.columns:
        close = difflib.get_close_matches(value_column, layer.columns, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        known = ", ".join(list(layer.columns)[:20]) or "none"
        raise MapFileError(f"{file}: has no column '{value_column}'; {hint}columns: {known}")
    values = _numbers(file, value_column, layer.columns[value_column])
    return PlacedValues(shapely.get_coordinates(layer.shapes), values, layer.crs, layer.notes)


def _numbers(file: Path, column: str, cells: NDArray[Any]) -> Floats:
    if cells.dtype.kind in "iuf":
        return np.asarray(cells, dtype=np.float64)
    values = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if cell is None or cell == "":
            continue
        try:
            values[i] = float(cell)
        except (TypeError, ValueError):
            raise MapFileError(
                f"{file}: feature {i + 1}, column '{column}': '{str(cell)[:40]}' is not a number"
            ) from None
    return values


def frame_of_places(file: Path, places: Floats, crs: str) -> LocalFrame:
    """Local frame of places without a field: the UTM zone of their middle, from their south-west corner.

    Parameters
    ----------
    file : Path
        For messages.
    places : ndarray, shape (n, 2)
        East before north.
    crs : str
        Their coordinate system.

    Raises
    ------
    MapFileError
        If they are no places on Earth, or too far apart for a field.
    """
    where = to_lon_lat(file, places, crs)
    middle = (where.min(axis=0) + where.max(axis=0)) / 2
    utm = LocalFrame.at(float(middle[0]), float(middle[1])).crs
    local = transform(places, crs, utm)
    if not np.isfinite(local).all() or np.ptp(local, axis=0).max() > LARGEST_EXTENT_M:
        (west, south), (east, north) = where.min(axis=0), where.max(axis=0)
        raise MapFileError(
            f"{file}: its places are more than {LARGEST_EXTENT_M / 1000:.0f} km apart (longitude {west:g} to {east:g}, "
            f"latitude {south:g} to {north:g}), which is no field"
        )
    corner = np.floor(local.min(axis=0))
    return LocalFrame(utm, float(corner[0]), float(corner[1]))
