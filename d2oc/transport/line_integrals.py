r"""Integrals of a piecewise-constant density over polygons, as sums over the cells that their edges cross.

With :math:`F(x, y) = \int_0^x \rho(s, y)\,ds`, Green's theorem turns the mass inside a polygon P into a line
integral along its edges, walked anticlockwise,

.. math:: \int_P \rho\,dx\,dy = \oint_{\partial P} F\,dy,

and the first and second moments likewise (with :math:`s\rho`, :math:`s^2\rho` under the integral and with y, y^2 as
a factor). F is linear in x inside a grid cell, and its values at the cell corners are running sums along the rows. So
a polygon costs as much as the cells on its edges, not the cells inside it.

Here the unit of length is one grid cell, and the grid covers [0, columns] x [0, rows].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled

STRIDE = 32
"""Columns between two stored sums of the moments; those between are added up when they are needed."""


class RowSums(NamedTuple):
    """A density, summed up along its rows."""

    mass: Floats
    """Mass west of each column's west edge, shape (rows, columns + 1)."""
    first: Floats
    """First moment in x west of every `STRIDE`-th column, shape (rows, columns // STRIDE + 1)."""
    second: Floats
    """Second moment in x, likewise."""
    total: float
    """Mass of the whole grid."""


def row_sums(values: Floats) -> RowSums:
    """Sum up the mass of each cell, NaN as zero, shape (rows, columns); huge and tiny values are scaled first."""
    sums = _row_sums(values)
    if not 1e-200 < sums.total < 1e200:
        return _row_sums(values / np.nanmax(values))
    return sums


@compiled
def _row_sums(values: Floats) -> RowSums:
    rows, columns = values.shape
    mass = np.empty((rows, columns + 1))
    first = np.empty((rows, columns // STRIDE + 1))
    second = np.empty((rows, columns // STRIDE + 1))
    total = 0.0
    for r in range(rows):
        m = m1 = m2 = 0.0
        for block in range(columns // STRIDE + 1):
            first[r, block] = m1
            second[r, block] = m2
            for c in range(block * STRIDE, min(columns, (block + 1) * STRIDE)):
                mass[r, c] = m
                value = values[r, c]
                if value > 0.0:
                    m += value
                    m1 += value * (c + 0.5)
                    m2 += value * (c * (c + 1.0) + 1.0 / 3.0)
        mass[r, columns] = m
        total += m
    return RowSums(mass, first, second, total)


@compiled
def _first_cell(start: float, direction: float, cells: int) -> int:
    """Cell that a walk from `start` enters first."""
    cell = int(np.floor(start))
    if direction < 0.0 and start == cell:
        cell -= 1
    return min(max(cell, 0), cells - 1)


@compiled
def _steps(start: float, direction: float, cell: int) -> tuple[float, float]:
    """Share of the walk up to the first crossing into the next cell, and between two crossings."""
    if direction > 0.0:
        return (cell + 1.0 - start) / direction, 1.0 / direction
    if direction < 0.0:
        return (cell - start) / direction, -1.0 / direction
    return np.inf, np.inf


@compiled
def edge_mass(mass: Floats, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float]:
    r"""Integrals along one edge.

    Parameters
    ----------
    mass : ndarray, shape (rows, columns + 1)
        `RowSums.mass`.
    x0, y0, x1, y1 : float
        Start and end, inside the grid. [cells]

    Returns
    -------
    flux : float
        :math:`\int F\,dy`, the edge's part of the mass on its west side.
    line : float
        :math:`\int \rho\,ds`.
    """
    rows, columns = mass.shape[0], mass.shape[1] - 1
    dx, dy = x1 - x0, y1 - y0
    c, r = _first_cell(x0, dx, columns), _first_cell(y0, dy, rows)
    at_x, step_x = _steps(x0, dx, c)
    at_y, step_y = _steps(y0, dy, r)
    flux = line = t = 0.0
    while t < 1.0:
        end = min(at_x, at_y, 1.0)
        west = mass[r, c]
        density = mass[r, c + 1] - west
        flux += (end - t) * (west + density * (x0 + dx * 0.5 * (t + end) - c))
        line += (end - t) * density
        t = end
        if at_x <= at_y:
            at_x += step_x
            c = min(max(c + (1 if dx > 0.0 else -1), 0), columns - 1)
        else:
            at_y += step_y
            r = min(max(r + (1 if dy > 0.0 else -1), 0), rows - 1)
    return flux * dy, line * np.sqrt(dx * dx + dy * dy)


@compiled
def _moments_west(sums: RowSums, r: int, c: int) -> tuple[float, float]:
    """First and second moment in x of row r west of column c."""
    block = c // STRIDE
    m1, m2 = sums.first[r, block], sums.second[r, block]
    for k in range(block * STRIDE, c):
        value = sums.mass[r, k + 1] - sums.mass[r, k]
        m1 += value * (k + 0.5)
        m2 += value * (k * (k + 1.0) + 1.0 / 3.0)
    return m1, m2


@compiled
def edge_moments(sums: RowSums, x0: float, y0: float, x1: float, y1: float, total: Floats) -> None:
    r"""Add one edge's part of the mass, the first moments in x and y and the second moment x^2 + y^2.

    Inside a cell all integrands are polynomials of degree three or less, so Simpson's rule is exact.

    Parameters
    ----------
    sums : RowSums
        The density.
    x0, y0, x1, y1 : float
        Start and end, inside the grid. [cells]
    total : ndarray, shape (4,)
        Receives the sums.
    """
    rows, columns = sums.mass.shape[0], sums.mass.shape[1] - 1
    dx, dy = x1 - x0, y1 - y0
    if dy == 0.0:
        return
    c, r = _first_cell(x0, dx, columns), _first_cell(y0, dy, rows)
    at_x, step_x = _steps(x0, dx, c)
    at_y, step_y = _steps(y0, dy, r)
    t = 0.0
    while t < 1.0:
        end = min(at_x, at_y, 1.0)
        west = sums.mass[r, c]
        density = sums.mass[r, c + 1] - west
        m1, m2 = _moments_west(sums, r, c)
        for k in range(3):
            share = (end - t) * dy * (4.0 if k == 1 else 1.0) / 6.0
            at = t + 0.5 * k * (end - t)
            x, y = x0 + dx * at, y0 + dy * at
            f = west + density * (x - c)
            total[0] += share * f
            total[1] += share * (m1 + density * (x * x - c * c) / 2.0)
            total[2] += share * y * f
            total[3] += share * (m2 + density * (x * x * x - c * c * c) / 3.0 + y * y * f)
        t = end
        if at_x <= at_y:
            at_x += step_x
            c = min(max(c + (1 if dx > 0.0 else -1), 0), columns - 1)
        else:
            at_y += step_y
            r = min(max(r + (1 if dy > 0.0 else -1), 0), rows - 1)
