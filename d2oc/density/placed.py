"""Densities from data that are somewhere on the globe: rasters with a coordinate system, counts by longitude, ..."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from d2oc.density.counts_csv import Counts, counts_of, read_counts
from d2oc.density.grid import GridDensity
from d2oc.density.protocol import Floats
from d2oc.errors import DensityError
from d2oc.field import Field
from d2oc.geo import LocalFrame
from d2oc.geo.points import frame_of_places, read_points
from d2oc.geo.raster import frame_of_raster, outline_of_raster, raster_info, read_map
from d2oc.geo.vector import checked_crs

if TYPE_CHECKING:
    from d2oc.scenario.schema import GeotiffDensity, PointsDensity, VectorPointsDensity

__all__ = ["density_from_geotiff", "placed_counts"]

FARTHEST_M = 100_000.0
"""Counts farther than this from the field are in another coordinate system. [m]"""


def density_from_geotiff(table: GeotiffDensity, field: Field | None) -> tuple[GridDensity, Field]:
    """Density of a raster with a coordinate system, and its field: that of the scenario, or the raster's own edge.

    Raises
    ------
    DensityError, MapFileError
        If the raster cannot be used, or nothing in it is dense.
    """
    if field is None:
        info = raster_info(table.file)
        frame = frame_of_raster(info)
        field = Field(outline_of_raster(info, frame), frame=frame)
    grid = read_map(
        table.file,
        _frame_of(table.file, field),
        field.bounds,
        cell_size_m=table.cell_size_m,
        band=table.band,
        nodata_value=table.nodata_value,
    )
    if not np.nanmax(grid.values) > 0:
        raise DensityError(f"{table.file}: every pixel in the field is zero or nodata, so there is nothing to cover")
    return GridDensity(grid.values, grid.origin, grid.cell_size_m, grid.notes), field


def placed_counts(table: PointsDensity | VectorPointsDensity, field: Field | None) -> tuple[Counts, LocalFrame | None]:
    """Counts in local coordinates, and the frame of these; None for counts that are in local metres in the file.

    Raises
    ------
    DensityError, MapFileError
        If the file cannot be used.
    """
    if table.kind == "points" and table.coordinates == "local-m":
        return read_counts(table), field.frame if field is not None else None
    if table.kind == "points":
        declared = "EPSG:4326" if table.coordinates == "lon-lat" else table.coordinates
        counts, crs = read_counts(table), checked_crs(table.file, declared)
    else:
        counts, crs = _counts_in_file(table)
    frame = frame_of_places(table.file, counts.places, crs) if field is None else _frame_of(table.file, field)
    places = frame.to_local(counts.places, crs)
    _require_near(table.file, places, field)
    return Counts(places, counts.values, counts.n_nodata, counts.n_merged), frame


def _counts_in_file(table: VectorPointsDensity) -> tuple[Counts, str]:
    points = read_points(table.file, table.value_column)
    values = np.where(points.values == table.nodata_value, np.nan, points.values)
    for wrong, what in ((np.isinf(values), "not finite"), (values < 0, "negative")):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DensityError(
                f"{table.file}: feature {row + 1}, column '{table.value_column}': {values[row]:g} is {what}; a "
                "count is 0 or more (nodata_value names a marker)"
            )
    cells = np.column_stack([points.places, values])
    return counts_of(table.file, table.value_column, cells), points.crs


def _frame_of(file: Path, field: Field) -> LocalFrame:
    if field.frame is None:
        raise DensityError(
            f"{file} is on the globe, but the field is not: give field.boundary_file, or field.origin_lon_lat_deg, or "
            "leave [field] out"
        )
    return field.frame


def _require_near(file: Path, places: Floats, field: Field | None) -> None:
    if field is None:
        return
    x_min, y_min, x_max, y_max = field.bounds
    low, high = np.array([x_min, y_min]) - FARTHEST_M, np.array([x_max, y_max]) + FARTHEST_M
    near = ((places >= low) & (places <= high)).all(axis=1)
    if not near.any():
        raise DensityError(
            f"{file}: every place is more than {FARTHEST_M / 1000:.0f} km from the field; check its coordinate system "
            "and that the longitude is x"
        )
