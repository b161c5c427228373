r"""Semi-discrete optimal transport: a map divided among sites so that each gets its capacity and the way is short.

Of all divisions of the density :math:`\rho` in which site i serves its capacity :math:`c_i`, the one with the least
:math:`\sum_i \int_{C_i} |x - y_i|^2 \rho\,dx` consists of the cells of a power diagram,

.. math:: C_i = \{x : |x - y_i|^2 - \psi_i \le |x - y_j|^2 - \psi_j \;\forall j\},

and its potentials :math:`\psi` maximise the concave dual with the gradient :math:`c_i - m_i(\psi)`, where m is the
mass of a cell [1]_ [2]_. The cells are computed exactly (`power_cells`), their masses by line integrals
(`line_integrals`), the potentials by a damped Newton method (`damped_newton`) from a multiscale start (`cold_start`).

*Too little capacity* leaves part of the map unserved: a further site that serves everything at the cost zero takes
it, partial transport [3]_. The potential is then the square of a site's *reach*: the cell ends at the distance
:math:`\sqrt{\psi_i}`, and what is beyond every reach is left. *Too much capacity* is used in proportion: each site
takes the same share of its capacity.

References
----------
.. [1] F. Aurenhammer, F. Hoffmann and B. Aronov, Minkowski-type theorems and least-squares clustering,
   Algorithmica 20, 1998. :doi:`10.1007/PL00009187`
.. [2] J. Kitagawa, Q. Merigot and B. Thibert, J. Eur. Math. Soc. 21, 2019. :doi:`10.4171/JEMS/889`
.. [3] A. Figalli, The optimal partial transport problem, Arch. Rational Mech. Anal. 195, 2010.
   :doi:`10.1007/s00205-008-0212-7`
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from d2oc.arrays import Floats, Ints
from d2oc.density.grid import GridDensity
from d2oc.errors import TransportError
from d2oc.transport.cell_masses import Workspace, corners, moments, new_workspace
from d2oc.transport.cold_start import approach, near
from d2oc.transport.damped_newton import CONVERGED, EMPTY_START, OUT_OF_STEPS, STALLED, fill_cells
from d2oc.transport.line_integrals import RowSums, row_sums
from d2oc.transport.power_cells import Sites, blocked_order, owners, sites_of
from d2oc.transport.sites import Demand, checked_sites, demand_of

__all__ = ["Partition", "SummedDensity", "cell_outlines", "semi_discrete", "summed"]

Status = Literal["converged", "out of steps", "stalled", "no capacity"]
STATUSES: dict[int, Status] = {
    CONVERGED: "converged", OUT_OF_STEPS: "out of steps", STALLED: "stalled", EMPTY_START: "stalled",
}  # fmt: skip

TOLERANCE = 1e-9
"""Largest error of a cell's mass, as a share of the whole."""
MOST_STEPS = 500
"""Newton steps allowed on each map."""


class SummedDensity(NamedTuple):
    """A grid density summed up along its rows, so that several divisions of it share that work."""

    sums: RowSums
    origin: tuple[float, float]
    """Lower left corner, local ENU. [m]"""
    cell_size: float
    """Side of a grid cell. [m]"""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.sums.mass.shape[0], self.sums.mass.shape[1] - 1

    @property
    def centre(self) -> Floats:
        """Centre of the grid, local ENU, shape (2,). [m]"""
        rows, columns = self.shape
        return np.array(self.origin) + self.cell_size * np.array([columns, rows]) / 2

    @property
    def diagonal(self) -> float:
        """Length of the grid's diagonal. [cells]"""
        return math.hypot(*self.shape)


class _Diagram(NamedTuple):
    """The solved diagram, in grid units."""

    sites: Sites
    offset: Floats
    live: NDArray[Any]
    centre: Floats
    cell_size: float


@dataclass(frozen=True, eq=False)
class Partition:
    """A map divided among sites; arrays are in the caller's order of sites."""

    status: Status
    """`converged`; `out of steps`; `stalled`, when no step brings the masses nearer; `no capacity`, when every
    capacity is zero. Unless converged, `mass_error` says how far the masses are off."""
    steps: int
    """Newton steps taken, those on blurred maps included."""
    cells: tuple[Floats, ...]
    """Corners of each site's cell, anticlockwise, shape (v, 2), local ENU; (0, 2) if it has none. [m]"""
    masses: Floats
    """Mass of each cell, shape (L,)."""
    barycentres: Floats
    """Centre of mass of each cell, shape (L, 2), NaN where there is none, local ENU. [m]"""
    potentials: Floats
    """Dual potentials, shape (L,), minus infinity for a site without capacity. If mass is left unserved, the square of
    each site's reach; else only differences matter, and their mean, weighted by capacity, is zero. [m^2]"""
    cost: float
    """Mass times squared distance to its site, summed over all that is served. [mass m^2]"""
    unserved: float
    """Mass that no site has the capacity for; it lies where `owner` is -1."""
    mass_error: float
    """Largest difference between a cell's mass and what it should be, as a share of the whole mass."""
    diagram: _Diagram | None
    """For `owner`."""

    @property
    def squared_distance(self) -> float:
        """W2 squared between the served part of the map and the sites, both with mass one. [m^2]"""
        served = float(self.masses.sum())
        return self.cost / served if served > 0 else 0.0

    def owner(self, points: ArrayLike) -> Ints:
        """Site whose cell holds each point, shape (n,); -1 where a point is left unserved.

        Parameters
        ----------
        points : array_like, shape (n, 2)
            Local ENU; they may lie outside the grid. [m]
        """
        where = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if self.diagram is None:
            return np.full(len(where), -1, np.int32)
        sites, offset, live, centre, cell_size = self.diagram
        x, y = np.ascontiguousarray(((where - centre) / cell_size).T)
        found = owners(sites, offset, x, y)
        return np.where(found >= 0, live[found], -1).astype(np.int32)


def summed(density: GridDensity) -> SummedDensity:
    """Sum up a density once, to divide it several times."""
    return SummedDensity(row_sums(density.values), density.origin, density.cell_size)


def semi_discrete(
    density: GridDensity | SummedDensity,
    sites: ArrayLike,
    capacities: ArrayLike,
    *,
    mass: float | None = None,
    start: Floats | None = None,
    tolerance: float = TOLERANCE,
    most_steps: int = MOST_STEPS,
) -> Partition:
    """Divide a map among sites by optimal transport.

    The same arguments give the same bits. A warm start gives the same division within the tolerance, not to the bit.

    Parameters
    ----------
    density : GridDensity or SummedDensity
        The map; its values are masses of grid cells, nodata is zero.
    sites : array_like, shape (L, 2)
        Local ENU; they may lie outside the map. [m]
    capacities : array_like, shape (L,)
        How much each site can serve, not negative, in the unit of `mass`.
    mass : float, optional
        What the whole map weighs, in the unit of the capacities; the sum of the map's values if not given.
    start : ndarray, shape (L,), optional
        Potentials of a similar problem; if they leave a cell empty, they are not used. [m^2]
    tolerance : float
        Largest error of a cell's mass, as a share of the whole mass.
    most_steps : int
        Newton steps allowed.

    Returns
    -------
    partition : Partition

    Raises
    ------
    TransportError
        If sites, capacities or the mass cannot be used.
    """
    ground = density if isinstance(density, SummedDensity) else summed(density)
    points, amounts = checked_sites(sites, capacities)
    whole = ground.sums.total if mass is None else float(mass)
    if not 0 < whole < math.inf:
        raise TransportError(f"mass = {whole} of a map must be positive and finite")
    relative = (points - ground.centre) / ground.cell_size
    demand = demand_of(relative, amounts, whole, ground.diagonal)
    if len(demand.live) == 0:
        return _nothing_served(len(points), whole)
    solution = solve(ground, demand, start, tolerance, most_steps)
    return _partition(ground, points, demand, solution, whole)


def cell_outlines(sites: ArrayLike, potentials: Floats, low: ArrayLike, high: ArrayLike) -> tuple[Floats, ...]:
    """Cells of known potentials inside a rectangle.

    Parameters
    ----------
    sites : array_like, shape (L, 2)
        No two in one place, local ENU. [m]
    potentials : ndarray, shape (L,)
        As `Partition.potentials` where all is served; minus infinity for a site without a cell. [m^2]
    low, high : array_like, shape (2,)
        Corners of the rectangle. [m]

    Returns
    -------
    cells : tuple of ndarray, shape (v, 2)
        Corners of each site's cell, anticlockwise, (0, 2) if it has none. [m]
    """
    centre, half = np.add(high, low) / 2.0, np.subtract(high, low) / 2.0
    cells = [np.empty((0, 2))] * len(potentials)
    live = np.flatnonzero(np.isfinite(potentials))
    if len(live) == 0:
        return tuple(cells)
    points = np.asarray(sites, dtype=np.float64) - centre
    live = live[blocked_order(points[live])]
    offset = 0.5 * (potentials[live] - (points[live] ** 2).sum(axis=1))
    arranged = sites_of(points[live], float(half[0]), float(half[1]), limited=False)
    first, outline = corners(arranged, offset, new_workspace(arranged))
    for k, i in enumerate(live):
        cells[i] = centre + outline[first[k] : first[k + 1]]
    return tuple(cells)


class Solution(NamedTuple):
    """A solved diagram, in grid units."""

    sites: Sites
    offset: Floats
    """Offsets of the sites that take part, shape (L',). [cells^2]"""
    status: Status
    steps: int
    space: Workspace


def solve(ground: SummedDensity, demand: Demand, start: Floats | None, tolerance: float, most_steps: int) -> Solution:
    """Offsets of the sites that take part, from `start` where that leads to the end, else cold."""
    rows, columns = ground.shape
    sites = sites_of(demand.points, columns / 2, rows / 2, demand.limited)
    space = new_workspace(sites)
    steps = 0
    if start is not None:
        offset = _offsets_of(start, demand, ground.cell_size)
        if near(ground.sums, sites, demand, offset, space):
            status, steps = fill_cells(ground.sums, sites, demand.share, offset, space, tolerance, 0.0, most_steps)
            if status == CONVERGED:
                return Solution(sites, offset, "converged", steps, space)
    offset, more = approach(ground.sums, sites, demand, space, most_steps)
    status, last = fill_cells(ground.sums, sites, demand.share, offset, space, tolerance, 0.0, most_steps)
    return Solution(sites, offset, STATUSES[status], steps + more + last, space)


def _offsets_of(potentials: Floats, demand: Demand, cell_size: float) -> Floats:
    if len(potentials) <= demand.live.max():
        raise TransportError(f"start has {len(potentials)} potentials, expected one for each site")
    square = (demand.points**2).sum(axis=1)
    return np.asarray(0.5 * (potentials[demand.live] / cell_size**2 - square))


def potentials_of(offset: Floats, demand: Demand, cell_size: float) -> Floats:
    """Potentials of the sites that take part, as `Partition.potentials`, shape (L',). [m^2]"""
    potentials = (2.0 * offset + (demand.points**2).sum(axis=1)) * cell_size**2
    return np.asarray(potentials if demand.limited else potentials - demand.share @ potentials)


def _nothing_served(n: int, mass: float) -> Partition:
    nowhere = np.full((n, 2), np.nan)
    cells = tuple(np.empty((0, 2)) for _ in range(n))
    return Partition("no capacity", 0, cells, np.zeros(n), nowhere, np.full(n, -np.inf), 0.0, mass, 0.0, None)


def _partition(ground: SummedDensity, points: Floats, demand: Demand, solution: Solution, whole: float) -> Partition:
    sites, offset, status, steps, space = solution
    nothing = _nothing_served(len(points), whole)
    masses, barycentres, potentials, cells = (
        nothing.masses, nothing.barycentres, nothing.potentials, list(nothing.cells),
    )  # fmt: skip
    live, size, corner = demand.live, ground.cell_size, np.array(ground.origin)
    mass, first_x, first_y, second = moments(ground.sums, sites, offset, space).T / ground.sums.total
    masses[live] = whole * mass
    with np.errstate(divide="ignore", invalid="ignore"):  # a cell can be empty when the steps did not converge
        centre = np.column_stack([first_x, first_y]) / mass[:, None]
    barycentres[live] = np.where(mass[:, None] > 0.0, corner + size * centre, np.nan)
    potentials[live] = potentials_of(offset, demand, size)
    x, y = ((points[live] - corner) / size).T
    squares = second - 2.0 * (x * first_x + y * first_y) + (x * x + y * y) * mass
    first, outline = corners(sites, offset, space)
    for k, i in enumerate(live):
        cells[i] = ground.centre + size * outline[first[k] : first[k + 1]]
    return Partition(
        status=status,
        steps=steps,
        cells=tuple(cells),
        masses=masses,
        barycentres=barycentres,
        potentials=potentials,
        cost=float(whole * size**2 * squares.sum()),
        unserved=max(0.0, whole - float(masses.sum())) if demand.limited else 0.0,
        mass_error=float(np.abs(mass - demand.share).max()),
        diagram=_Diagram(sites, offset, live, ground.centre, size),
    )
