"""Square cells over a field: the raster of a spraying mission, or one for maps of any other."""

from __future__ import annotations

import math

import numpy as np

from d2oc.arrays import Floats
from d2oc.geo.write import Grid
from d2oc.record import Record

__all__ = ["Grid", "grid_for", "grid_of", "of_cells", "sum_in_cells"]

CELLS_ACROSS = 200
"""Cells along the longer side of the field, for maps of missions without a raster of their own."""
SAMPLES_PER_CELL = 3


def of_cells(record: Record, name: str) -> Floats:
    """A column of the table `cells`, shape (rows, columns)."""
    raster = record.header.raster
    assert raster is not None
    values: Floats = record.cells[name].reshape(raster["n_rows"], raster["n_columns"])
    return values


def grid_of(record: Record) -> Grid:
    """Raster of a spraying mission."""
    raster = record.header.raster
    assert raster is not None
    return Grid((float(raster["origin_x_m"]), float(raster["origin_y_m"])), float(raster["cell_m"]))


def grid_for(record: Record) -> tuple[Grid, tuple[int, int]]:
    """Square cells over the field, no smaller than what holds a few samples on average."""
    corners = np.array(record.header.boundary_m)
    low, high = corners.min(axis=0), corners.max(axis=0)
    fine = float((high - low).max()) / CELLS_ACROSS
    coarse = math.sqrt(float(np.prod(high - low)) * SAMPLES_PER_CELL / max(1, record.header.n_samples))
    cell = max(fine, coarse)
    n_columns, n_rows = (max(1, math.ceil(extent / cell)) for extent in high - low)
    return Grid((float(low[0]), float(low[1])), cell), (n_rows, n_columns)


def sum_in_cells(places: Floats, amounts: Floats, grid: Grid, shape: tuple[int, int]) -> Floats:
    """Amounts at places, summed up by cell, shape (rows, columns); what lies beyond the grid is left out."""
    column, row = np.floor((places - grid.origin) / grid.cell_m).astype(int).T
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    flat = row[inside] * shape[1] + column[inside]
    total = np.bincount(flat, weights=amounts[inside], minlength=shape[0] * shape[1])
    return total.astype(np.float64).reshape(shape)
