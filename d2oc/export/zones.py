"""Prescription zones: polygons of equal rate, as a Shapefile or GeoJSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Floats
from d2oc.errors import ExportError
from d2oc.export.maps import frame_of, rate_map
from d2oc.export.options import ExportOptions
from d2oc.geo.write import areas, equal_value_polygons, moved, write_features
from d2oc.record import Record

__all__ = ["rate_classes", "write_zones"]

MOST_RATES = 8
"""Rates that a prescription has at most; finer maps are rounded up to the next of so many even steps."""


def rate_classes(rates: Floats) -> tuple[NDArray[Any], Floats]:
    """Few rates that stand for all.

    Parameters
    ----------
    rates : ndarray, shape (rows, columns)
        Rate wanted; NaN and 0 are nothing.

    Returns
    -------
    classes : ndarray of int, shape (rows, columns)
        Number of the rate of each cell; 0 is nothing.
    of_class : ndarray, shape (n + 1,)
        Rate of each class, never below what a cell of it wants; 0 for class 0.
    """
    wanted = np.nan_to_num(rates)
    known = np.unique(wanted[wanted > 0])
    if not len(known):
        return np.zeros(rates.shape, dtype=np.int64), np.zeros(1)
    if len(known) > MOST_RATES:
        known = known[-1] * np.arange(1, MOST_RATES + 1) / MOST_RATES
    classes = np.where(wanted > 0, np.searchsorted(known, wanted - 1e-9 * known[-1]) + 1, 0)
    return np.minimum(classes, len(known)), np.concatenate([[0.0], known])


def write_zones(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """Zones of equal rate; the ending of the name chooses Shapefile or GeoJSON."""
    bands, grid, unit = rate_map(record)
    classes, rates = rate_classes(next(iter(bands.values())))
    found = equal_value_polygons(classes, grid)
    if not found:
        raise ExportError(f"{out}: nothing is wanted anywhere, so there is no zone to write")
    frame = frame_of(record)
    local = [shape for _, shape in found]
    number = np.array([of_class for of_class, _ in found])
    geojson = out.suffix == ".geojson"
    shapes = moved(local, frame.to_lon_lat if geojson else frame.to_utm)
    columns: dict[str, Any] = {
        "zone": number.astype(np.int32),
        "rate": rates[number],
        "unit": np.array([unit] * len(found), dtype=object),
        "area_ha": areas(local) / 1e4,
    }
    write_features(out, shapes, columns, "EPSG:4326" if geojson else frame.crs)
    return [out] if geojson else sorted(out.parent.glob(f"{out.stem}.*"))
