"""A density given cell by cell: maps from counts, pictures and arrays; also what every density can be turned into."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.density.protocol import Bools, Floats, UnitPoints, equal_weights
from d2oc.errors import DensityError
from d2oc.field import Bounds

__all__ = ["GridDensity", "cell_centres", "grid_shape"]

MAX_CELLS = 50_000_000
EDGE = 2.0**-24
"""Samples keep this share of a cell away from its edges, so that rounding carries none into the next cell."""


@dataclass(frozen=True, eq=False)
class GridDensity:
    """Density that is constant in each square cell.

    Attributes
    ----------
    values : ndarray, shape (rows, columns)
        Mass of each cell, up to a constant factor; not negative; NaN is nodata. Row 0 is the south.
    origin : tuple of float
        Lower left corner (x, y), local ENU. [m]
    cell_size : float
        Side of a cell. [m]
    remarks : tuple of str
        Sentences on how the values came about.

    Raises
    ------
    DensityError
        If all values are zero or nodata.
    """

    values: Floats
    origin: tuple[float, float]
    cell_size: float
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.values, dtype=np.float64)
        if values.ndim != 2 or values.size == 0:
            raise DensityError(f"a density map has shape {values.shape}, expected (rows, columns)")
        if not np.nanmin(values, initial=0.0) >= 0 or not np.nanmax(values, initial=0.0) < np.inf:
            raise DensityError("a density map has a negative or infinite value; values must be finite and at least 0")
        if not np.nanmax(values, initial=0.0) > 0:
            raise DensityError("a density map is zero or nodata everywhere, so there is nothing to cover")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    @property
    def bounds(self) -> Bounds:
        """Rectangle of all cells. [m]"""
        rows, columns = self.values.shape
        x, y = self.origin
        return x, y, x + columns * self.cell_size, y + rows * self.cell_size

    @property
    def nodata(self) -> Bools:
        """Cells about which nothing is known, shape (rows, columns)."""
        mask: Bools = np.isnan(self.values)
        return mask

    @cached_property
    def _mass_up_to(self) -> Floats:
        """Cumulative mass in row-major order, shape (rows * columns,); scaled against overflow."""
        mass = np.nan_to_num(self.values, nan=0.0).ravel()
        return np.cumsum(mass / mass.max())

    def draw(self, n: int, unit: UnitPoints) -> tuple[Floats, Floats]:
        """Draw points of equal weight; see `Density.draw`."""
        return equal_weights(n, unit, self.place)

    def place(self, unit: Floats) -> Floats:
        """Carry the unit square onto the cells, mass for mass: the inverse Rosenblatt transform [1]_.

        The second coordinate decides the row by the cumulative mass of the rows, the first then the column by the
        cumulative mass along that row; inside a cell both are linear. Cells without mass receive nothing.

        Parameters
        ----------
        unit : ndarray, shape (n, 2)
            Points in [0, 1)^2.

        Returns
        -------
        points : ndarray, shape (n, 2)
            Local ENU. [m]

        References
        ----------
        .. [1] M. Rosenblatt, Ann. Math. Statist. 23(3), 1952. :doi:`10.1214/aoms/1177729394`
        """
        columns = self.values.shape[1]
        row_end = self._mass_up_to[columns - 1 :: columns]
        row_start = np.concatenate([[0.0], row_end[:-1]])
        row, up = _invert(row_end, row_start, unit[:, 1] * row_end[-1])
        target = row_start[row] + unit[:, 0] * (row_end - row_start)[row]
        target = np.clip(target, row_start[row], np.nextafter(row_end[row], -np.inf))
        cell, along = _invert(self._mass_up_to, np.concatenate([[0.0], self._mass_up_to[:-1]]), target)
        return np.column_stack(
            [
                self.origin[0] + self.cell_size * (cell - row * columns + along),
                self.origin[1] + self.cell_size * (row + up),
            ]
        )

    def observed(self, points: Floats) -> Bools:
        """Whether points are in a cell that is not nodata; see `Density.observed`."""
        rows, columns = self.values.shape
        column, row = np.floor((points - self.origin) / self.cell_size).T
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        known = np.zeros(len(points), dtype=np.bool_)
        known[inside] = ~self.nodata[row[inside].astype(np.intp), column[inside].astype(np.intp)]
        return known

    def rasterise(self, bounds: Bounds, cell_size_m: float) -> GridDensity:
        """Mass of every cell of another grid, by the area that cells share; see `Density.rasterise`.

        A cell is nodata when no observed cell overlaps it.
        """
        rows, columns = grid_shape(bounds, cell_size_m)
        own_rows, own_columns = self.values.shape
        share_y = _shared(self.origin[1], self.cell_size, own_rows, bounds[1], cell_size_m, rows)
        share_x = _shared(self.origin[0], self.cell_size, own_columns, bounds[0], cell_size_m, columns)
        mass = share_y @ np.nan_to_num(self.values, nan=0.0) @ share_x.T
        known = share_y @ (~self.nodata).astype(np.float64) @ share_x.T
        return GridDensity(np.where(known > 0, mass, np.nan), bounds[:2], cell_size_m, self.remarks)

    def notes(self) -> tuple[str, ...]:
        """Sentences on the data; see `Density.notes`."""
        return self.remarks


def _invert(end: Floats, start: Floats, target: Floats) -> tuple[NDArray[Any], Floats]:
    """Interval whose cumulative mass holds `target`, and how far into it, in [0, 1); never one without mass."""
    target = np.minimum(target, np.nextafter(end[-1], -np.inf))
    which = np.searchsorted(end, target, side="right")
    along = (target - start[which]) / (end[which] - start[which])
    return which, np.clip(along, EDGE, 1.0 - EDGE)


def _shared(own_origin: float, own_size: float, n_own: int, origin: float, size: float, n: int) -> Floats:
    """Share of each own interval that lies in each new interval, shape (n, n_own)."""
    low = origin + size * np.arange(n)[:, None]
    own_low = own_origin + own_size * np.arange(n_own)
    overlap = np.minimum(low + size, own_low + own_size) - np.maximum(low, own_low)
    return np.clip(overlap, 0.0, None) / own_size


def grid_shape(bounds: Bounds, cell_size: float) -> tuple[int, int]:
    """Rows and columns of the cells that cover a rectangle; a remainder below 1e-9 of a cell is dropped."""
    xmin, ymin, xmax, ymax = bounds
    columns = max(1, int(np.ceil((xmax - xmin) / cell_size - 1e-9)))
    rows = max(1, int(np.ceil((ymax - ymin) / cell_size - 1e-9)))
    return rows, columns


def cell_centres(bounds: Bounds, cell_size: float) -> Floats:
    """Centres of the cells that cover a rectangle, row by row from the south, shape (rows * columns, 2). [m]"""
    rows, columns = grid_shape(bounds, cell_size)
    x = bounds[0] + cell_size * (np.arange(columns) + 0.5)
    y = bounds[1] + cell_size * (np.arange(rows) + 0.5)
    return np.column_stack([np.tile(x, rows), np.repeat(y, columns)])
