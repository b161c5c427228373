r"""Wasserstein distance between two weighted point sets: exact where that is affordable, else a certified interval.

The exact distance comes from the network simplex of POT [1]_. Beyond a size it would take minutes and gigabytes;
then both sets are gathered into cells and the truth is enclosed:

- *Upper bound.* Let :math:`\tilde\mu, \tilde\nu` hold the mass and barycentre of each cell, and :math:`\tilde\pi` be
  their optimal plan. Spreading :math:`\tilde\pi_{ab}` over the points of cells a and b in proportion to their masses
  is a feasible plan; since :math:`E|x - y|^2 = |\bar x - \bar y|^2 + \mathrm{Var}(x) + \mathrm{Var}(y)` for
  independent x and y, :math:`W_2^2 \le \tilde W_2^2 + \mathrm{Var}_\mu + \mathrm{Var}_\nu`, with the mean variance
  inside the cells.
- *Lower bound.* Any potential :math:`\varphi` on the points of mu, with its exact c-transform
  :math:`\psi(y) = \min_x |x - y|^2 - \varphi(x)` on all points of nu, is feasible in the dual, so
  :math:`W_2^2 \ge \sum a \varphi + \sum b \psi` [2]_. :math:`\varphi` starts from the potentials of the cells; a
  second exact
  transform, back to mu, can only raise the bound.

References
----------
.. [1] R. Flamary et al., POT: Python Optimal Transport, JMLR 22(78), 2021.
.. [2] G. Peyre and M. Cuturi, Computational Optimal Transport, 2019, sec. 5.1. :doi:`10.1561/2200000073`
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.compiled import compiled
from d2oc.transport.exact import exact_transport, squared_distances

EXACT_UP_TO = 6_250_000
"""Pairs of points up to which the exact distance is computed (2,500 by 2,500: about a second)."""

N_CELLS = 2048
"""Cells that a larger set is gathered into; a power of two."""


@dataclass(frozen=True)
class Distance:
    """A Wasserstein distance, or the interval that is certain to hold it."""

    value: float
    """The distance, or the middle of the interval. [m]"""
    lower: float
    """Not above the true distance. [m]"""
    upper: float
    """Not below the true distance. [m]"""
    method: Literal["exact", "interval"]


def wasserstein2(
    x: Floats, a: Floats, y: Floats, b: Floats, *, exact_up_to: int = EXACT_UP_TO, n_cells: int = N_CELLS
) -> Distance:
    """2-Wasserstein distance of two weighted point sets.

    Parameters
    ----------
    x, y : ndarray, shape (n, 2) and (m, 2)
        Points. [m]
    a, b : ndarray, shape (n,) and (m,)
        Masses, not negative; each is scaled to sum one.
    exact_up_to : int
        Largest n times m that is solved exactly.
    n_cells : int
        Cells used beyond, a power of two.

    Returns
    -------
    distance : Distance

    Raises
    ------
    ValueError
        If a set is empty or has no mass.
    """
    x, a = _with_mass(x, a)
    y, b = _with_mass(y, b)
    if len(x) * len(y) <= exact_up_to:
        value = math.sqrt(max(0.0, _exact(x, a, y, b)[0]))
        return Distance(value, value, value, "exact")
    lower, upper = _interval(x, a, y, b, n_cells)
    return Distance((lower + upper) / 2, lower, upper, "interval")


def sliced_wasserstein2(x: Floats, a: Floats, y: Floats, b: Floats, n_directions: int = 64) -> float:
    """Root mean square of the 1-D distances along evenly spread directions; never above `wasserstein2`.

    Parameters
    ----------
    x, y : ndarray, shape (n, 2) and (m, 2)
        Points. [m]
    a, b : ndarray, shape (n,) and (m,)
        Masses; each is scaled to sum one.
    n_directions : int
        Directions over half a turn.

    Returns
    -------
    distance : float
        [m]

    References
    ----------
    .. [1] N. Bonneel et al., J. Math. Imaging and Vision 51, 2015. :doi:`10.1007/s10851-014-0506-3`
    """
    x, a = _with_mass(x, a)
    y, b = _with_mass(y, b)
    angles = np.arange(n_directions) * (np.pi / n_directions)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    squares = [_squared_distance_on_a_line(x @ d, a, y @ d, b) for d in directions]
    return math.sqrt(float(np.mean(squares)))


def _with_mass(points: Floats, masses: Floats) -> tuple[Floats, Floats]:
    kept = masses > 0
    if not kept.any():
        raise ValueError("a measure without mass has no Wasserstein distance")
    return np.ascontiguousarray(points[kept]), masses[kept] / masses[kept].sum()


def _squared_distance_on_a_line(x: Floats, a: Floats, y: Floats, b: Floats) -> float:
    """Integral of the squared difference of the quantile functions."""
    ix, iy = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    up_to_x, up_to_y = np.cumsum(a[ix]), np.cumsum(b[iy])
    steps = np.sort(np.concatenate([up_to_x, up_to_y]))
    middle = steps - np.diff(steps, prepend=0.0) / 2
    at_x = x[ix][np.minimum(np.searchsorted(up_to_x, middle), len(x) - 1)]
    at_y = y[iy][np.minimum(np.searchsorted(up_to_y, middle), len(y) - 1)]
    return float((np.diff(steps, prepend=0.0) * (at_x - at_y) ** 2).sum())


def _exact(x: Floats, a: Floats, y: Floats, b: Floats) -> tuple[float, Floats, Floats]:
    """Squared distance and dual potentials."""
    coupling = exact_transport(a, b, squared_distances(x, y))
    return coupling.cost, coupling.row_potential, coupling.column_potential


class Cells(NamedTuple):
    """A point set ordered by cells of equal count: cell c holds points start[c] to start[c + 1]."""

    order: Longs
    """Index of each point in the caller's order, shape (n,)."""
    point: Floats
    """Shape (n, 2). [m]"""
    mass: Floats
    start: Longs
    box: Floats
    """x min, y min, x max, y max of each cell, shape (cells, 4). [m]"""
    centre: Floats
    """Barycentre of each cell, shape (cells, 2). [m]"""
    total: Floats
    """Mass of each cell, shape (cells,)."""
    variance: float
    """Mean squared distance to the barycentre of the own cell. [m^2]"""


def _interval(x: Floats, a: Floats, y: Floats, b: Floats, n_cells: int) -> tuple[float, float]:
    cells_x, cells_y = gather(x, a, n_cells), gather(y, b, n_cells)
    between, _, psi = _exact(cells_x.centre, cells_x.total, cells_y.centre, cells_y.total)
    upper = between + cells_x.variance + cells_y.variance
    # Potentials of the cells, brought to all points of mu, then twice exactly from side to side.
    one_point_each = np.arange(len(psi) + 1, dtype=np.int64)
    boxes = np.column_stack([cells_y.centre, cells_y.centre])
    phi = c_transform(cells_y.centre, psi, one_point_each, boxes, cells_x.point)
    psi_all = c_transform(cells_x.point, phi, cells_x.start, cells_x.box, cells_y.point)
    phi = c_transform(cells_y.point, psi_all, cells_y.start, cells_y.box, cells_x.point)
    lower = float(cells_x.mass @ phi + cells_y.mass @ psi_all)
    slack = 1e-12 * max(1.0, upper)  # rounding of the sums
    return math.sqrt(max(0.0, lower - slack)), math.sqrt(upper + slack)


def gather(points: Floats, masses: Floats, n_cells: int) -> Cells:
    """Order points by cells of equal count, halving the wider side again and again."""
    groups: list[Longs] = [np.arange(len(points))]
    while len(groups) < n_cells and max(len(group) for group in groups) > 1:
        groups = [half for group in groups for half in _halves(points, group) if len(half)]
    order = np.concatenate(groups)
    start = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
    point, mass = points[order], masses[order]
    first = start[:-1]
    total = np.add.reduceat(mass, first)
    centre = np.add.reduceat(point * mass[:, None], first) / total[:, None]
    spread = ((point - np.repeat(centre, np.diff(start), axis=0)) ** 2).sum(axis=1)
    box = np.column_stack([np.minimum.reduceat(point, first), np.maximum.reduceat(point, first)])
    return Cells(order, point, mass, start.astype(np.int64), box, centre, total, float(mass @ spread))


def _halves(points: Floats, group: Longs) -> tuple[Longs, Longs]:
    if len(group) < 2:
        return group, group[:0]
    axis = int(np.ptp(points[group], axis=0).argmax())
    middle = len(group) // 2
    order = np.argpartition(points[group, axis], middle)
    return group[order[:middle]], group[order[middle:]]


@compiled
def c_transform(point: Floats, potential: Floats, start: Longs, box: Floats, at: Floats) -> Floats:
    r"""Exact c-transform :math:`\psi(y) = \min_x |x - y|^2 - \varphi(x)` for the squared distance.

    Parameters
    ----------
    point : ndarray, shape (n, 2)
        Points x, ordered by cells. [m]
    potential : ndarray, shape (n,)
        Their potential. [m^2]
    start : ndarray of int64, shape (cells + 1,)
        First point of each cell.
    box : ndarray, shape (cells, 4)
        Bounding box of each cell. [m]
    at : ndarray, shape (m, 2)
        Points y. [m]

    Returns
    -------
    transform : ndarray, shape (m,)
        [m^2]
    """
    n_cells = len(start) - 1
    highest = np.empty(n_cells)
    for cell in range(n_cells):
        highest[cell] = potential[start[cell] : start[cell + 1]].max()
    result = np.empty(len(at))
    bound = np.empty(n_cells)
    for j in range(len(at)):
        px, py = at[j, 0], at[j, 1]
        nearest = 0
        for cell in range(n_cells):
            dx = max(box[cell, 0] - px, 0.0, px - box[cell, 2])
            dy = max(box[cell, 1] - py, 0.0, py - box[cell, 3])
            bound[cell] = dx * dx + dy * dy - highest[cell]
            if bound[cell] < bound[nearest]:
                nearest = cell
        best = np.inf
        for turn in range(-1, n_cells):
            cell = nearest if turn < 0 else turn
            if bound[cell] < best:
                for i in range(start[cell], start[cell + 1]):
                    dx, dy = point[i, 0] - px, point[i, 1] - py
                    best = min(best, dx * dx + dy * dy - potential[i])
        result[j] = best
    return result
