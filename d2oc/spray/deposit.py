r"""Where sprayed liquid comes down: a Gaussian footprint across the swath, laid along the way of the drone.

The dose on the ground is :math:`D(x) = \int q(t) K(x - p(t) - \delta) dt` with the flow q, the place p of the drone,
its drift :math:`\delta` (wind times the time that droplets are carried) and the footprint K: Gaussian with
:math:`\sigma_c` across and :math:`\sigma_l` along the way, cut at `CUT` standard deviations. The weights of the
cells of one piece of way are scaled to sum 1, so that the litres laid are the litres that left the nozzles.

Parallel passes at the spacing S give a deposit whose coefficient of variation is :math:`\sqrt 2 \exp(-2 \pi^2
\sigma_c^2 / S^2)`, the first harmonic of a comb of Gaussians. The swath is the spacing :math:`S = 2.5\,\sigma_c`, CV
6 %. It grows with the square root of the height, as the plume widens, and slowly with the speed; both exponents are
declared here, not measured.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.compiled import compiled
from d2oc.scenario.schema import SprayTable
from d2oc.spray.raster import L_PER_HA, Grid

CUT = 3.5
"""The footprint ends at so many standard deviations."""
SPACING = 2.5
"""Distance of passes over sigma across the way."""
HEIGHT_EXPONENT, SPEED_EXPONENT = 0.5, 0.15
"""Growth of the swath with height and speed."""
OWN_SHARE = 0.9
"""A pass fills its own strip up to this share of the maximum: the rest is for the edges of the passes beside it."""


class Footprint(NamedTuple):
    """What the nozzles wet."""

    across: float
    """Standard deviation across the way. [m]"""
    along: float
    """Standard deviation along the way. [m]"""

    @property
    def swath(self) -> float:
        """Distance of passes that gives an even deposit. [m]"""
        return SPACING * self.across

    @property
    def reach(self) -> float:
        """Nothing comes down farther from the middle than this, across the way. [m]"""
        return CUT * self.across


def footprint_of(table: SprayTable, height: float, speed: float) -> Footprint:
    """Footprint at a height [m] and a speed [m/s]; along the way not finer than half a cell."""
    growth = (height / table.swath_height_m) ** HEIGHT_EXPONENT * (speed / table.swath_speed_m_s) ** SPEED_EXPONENT
    return Footprint(table.swath_m * growth / SPACING, max(table.along_sigma_m, table.cell_m / 2))


def passes_cv(sigma: float, spacing: float) -> float:
    """Coefficient of variation of the deposit of endless parallel passes, first harmonic."""
    return math.sqrt(2.0) * math.exp(-2.0 * (math.pi * sigma / spacing) ** 2)


class Touched(NamedTuple):
    """Cells under the footprint of one piece of way; working memory."""

    cell: Ints
    """Flat number of the cell, -1 beyond the raster, shape (n,)."""
    weight: Floats
    """Share of the liquid that comes down there, shape (n,)."""
    across: Floats
    """Distance from the way, shape (n,). [m]"""


def touched_space(footprint: Footprint, grid: Grid, longest: float) -> Touched:
    """Room for all cells under pieces of way up to a length [m]."""
    side = 2.0 * (footprint.reach + CUT * footprint.along + longest) / grid.cell + 3.0
    n = int(side * side) + 1
    return Touched(np.empty(n, np.int32), np.empty(n), np.empty(n))


@compiled
def touch(
    grid: Grid, footprint: Footprint, x: float, y: float, cos: float, sin: float, half: float, out: Touched
) -> int:
    """Find the cells under a piece of way and the share of the liquid that each gets.

    Parameters
    ----------
    grid : Grid
    footprint : Footprint
    x, y : float
        Middle of the piece, where its liquid comes down. [m]
    cos, sin : float
        Its direction.
    half : float
        Half its length. [m]
    out : Touched
        Receives the cells.

    Returns
    -------
    n : int
        How many there are.
    """
    reach_c, reach_l = CUT * footprint.across, half + CUT * footprint.along
    extent_x = abs(cos) * reach_l + abs(sin) * reach_c
    extent_y = abs(sin) * reach_l + abs(cos) * reach_c
    first_column = math.floor((x - extent_x - grid.x) / grid.cell)
    last_column = math.floor((x + extent_x - grid.x) / grid.cell)
    first_row = math.floor((y - extent_y - grid.y) / grid.cell)
    last_row = math.floor((y + extent_y - grid.y) / grid.cell)
    root = math.sqrt(0.5)
    h = max(half, 1e-3 * footprint.along)
    n, total = 0, 0.0
    for row in range(first_row, last_row + 1):
        dy = grid.y + (row + 0.5) * grid.cell - y
        for column in range(first_column, last_column + 1):
            dx = grid.x + (column + 0.5) * grid.cell - x
            l = dx * cos + dy * sin  # noqa: E741
            c = dy * cos - dx * sin
            if abs(c) > reach_c or abs(l) > reach_l:
                continue
            ends = math.erf(root * (l + h) / footprint.along) - math.erf(root * (l - h) / footprint.along)
            w = math.exp(-0.5 * (c / footprint.across) ** 2) * ends
            inside = 0 <= row < grid.rows and 0 <= column < grid.columns
            out.cell[n] = row * grid.columns + column if inside else -1
            out.weight[n] = w
            out.across[n] = c
            total += w
            n += 1
    for i in range(n):
        out.weight[i] /= total
    return n


@compiled
def lay(deposit: Floats, grid: Grid, touched: Touched, n: int, litres: float) -> float:
    """Add liquid to a raster.

    Parameters
    ----------
    deposit : ndarray, shape (rows * columns,)
        Changed in place. [L/ha]
    grid : Grid
    touched : Touched
        The first `n` cells of it share the liquid.
    n : int
    litres : float
        [L]

    Returns
    -------
    beyond : float
        What came down beyond the raster. [L]
    """
    beyond = 0.0
    dose = litres / (grid.cell * grid.cell * L_PER_HA)
    for i in range(n):
        if touched.cell[i] >= 0:
            deposit[touched.cell[i]] += dose * touched.weight[i]
        else:
            beyond += litres * touched.weight[i]
    return beyond


@compiled
def lay_along(
    deposit: Floats,
    grid: Grid,
    footprint: Footprint,
    x: float,
    y: float,
    dx: float,
    dy: float,
    litres: float,
    space: Touched,
) -> None:
    """Add liquid that came down evenly along a straight way.

    Parameters
    ----------
    deposit : ndarray, shape (rows * columns,)
        Changed in place. [L/ha]
    grid, footprint : Grid, Footprint
    x, y : float
        Where the way begins. [m]
    dx, dy : float
        From there to its end. [m]
    litres : float
        [L]
    space : Touched
        Working memory.
    """
    length = math.sqrt(dx * dx + dy * dy)
    pieces = max(1, math.ceil(length / grid.cell))
    cos, sin = (dx / length, dy / length) if length > 0.0 else (1.0, 0.0)
    for k in range(pieces):
        share = (k + 0.5) / pieces
        n = touch(grid, footprint, x + share * dx, y + share * dy, cos, sin, 0.5 * length / pieces, space)
        lay(deposit, grid, space, n, litres / pieces)


@compiled
def room(deposit: Floats, most: Floats, spacing: float, grid: Grid, touched: Touched, n: int) -> float:
    """Litres that a piece of way may get before the first cell under it has its most. [L]"""
    least = np.inf
    for i in range(n):
        cell = touched.cell[i]
        if cell >= 0 and touched.weight[i] > 0.0:
            limit = most[cell] * OWN_SHARE if abs(touched.across[i]) <= 0.5 * spacing else most[cell]
            least = min(least, max(limit - deposit[cell], 0.0) / touched.weight[i])
    return least * grid.cell * grid.cell * L_PER_HA
