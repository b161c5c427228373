r"""Where Newton's method starts when nothing is known: non-empty cells, brought close on blurred maps.

A convex function :math:`\varphi` is taken whose gradient maps all sites into the grid. The offsets
:math:`b_i = -\varphi(y_i)` put the point :math:`\nabla\varphi(y_i)` inside cell i, because
:math:`\varphi(y_j) > \varphi(y_i) + \nabla\varphi(y_i) \cdot (y_j - y_i)`: a corner of the world full of sites, sites
far away and sites in one place all start from cells of a fair size. It is the sum of :math:`|y|^2 / 2`, for which these
are Voronoi cells, less what lies outside the grid, and of a rounded cone over each place with several sites.

A map with sharp patches makes Newton's steps short: a boundary between cells that lies outside a patch hardly feels
it, and runs far into it with one step. On a blurred map it feels the patch early. So the map is blurred widely, then
less and less, each time starting from the last potentials, an idea of multiscale solvers [1]_.

References
----------
.. [1] Q. Merigot, A multiscale approach to optimal transport, Computer Graphics Forum 30, 2011.
   :doi:`10.1111/j.1467-8659.2011.02032.x`
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import uniform_filter

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.transport.cell_masses import Workspace
from d2oc.transport.damped_newton import (
    CONVERGED,
    EMPTY_START,
    LEAST_BACKGROUND,
    NEARLY_EMPTY,
    fill_cells,
    least_filling,
    limit_reach,
)
from d2oc.transport.line_integrals import RowSums, row_sums
from d2oc.transport.power_cells import Sites, sites_of
from d2oc.transport.rims import ROUGH_RIM_PIECE
from d2oc.transport.sites import Demand

WIDEST_BLUR = 0.25
"""Standard deviation of the first map, as a share of the longer side."""
NARROWEST_BLUR = 0.2
"""That of the last, as a share of the side over the root of the number of sites."""
NARROWER = 0.7
"""From one map to the next."""
SHRINKING = 0.2
"""Weight of the smooth shrinking."""
INSIDE = 0.9
"""Sites are mapped into this share of the rectangle."""
MORE_UNSERVED = 5.0
"""Factor from one unserved share to the next."""
SEED_SHARE = 0.1
"""Limited capacities begin with this share of themselves."""
MOST_GROWN = 0.95
"""Where more than this is served, the way from serving everything is shorter."""
ROUGH = 0.2
"""Error of a cell on a blurred map, as a share of its capacity."""


def first_offsets(demand: Demand, half_width: float, half_height: float) -> Floats:
    """Offsets with which no cell is empty, shape (L,)."""
    if len(demand.points) == 1:
        return np.asarray(-0.5 * (demand.points**2).sum(axis=1))
    half = np.array([half_width, half_height])
    value, slope = _drawn_in(demand.points, half)
    for place, count in zip(demand.crowds, demand.crowd_sizes, strict=True):
        reach = 0.5 * math.sqrt(count / len(value)) * half.min()
        away = demand.points - place
        distance = np.hypot(np.hypot(*away.T), demand.crowd_radius)
        value = value + reach * distance
        slope = slope + reach * away / distance[:, None]
    low, high = slope.min(axis=0), slope.max(axis=0)
    scale = (2.0 * INSIDE * half / np.maximum(high - low, 1e-7 * half)).min()
    return -scale * (value - demand.points @ ((low + high) / 2))


def _drawn_in(points: Floats, half: Floats) -> tuple[Floats, Floats]:
    """Convex function whose gradient leaves points inside the grid about where they are; values and gradient."""
    square = (points**2).sum(axis=1)
    inside = np.clip(points, -half, half)
    side = half.min()
    distance = np.hypot(side, np.sqrt(square))
    value = (1.0 - SHRINKING) * 0.5 * (square - ((points - inside) ** 2).sum(axis=1)) + SHRINKING * side * distance
    return value, (1.0 - SHRINKING) * inside + SHRINKING * side * points / distance[:, None]


def near(sums: RowSums, sites: Sites, demand: Demand, offset: Floats, space: Workspace) -> bool:
    """Whether Newton's method may start from these offsets; reaches that leave a cell empty are moved together."""
    if not np.isfinite(offset).all():
        return False
    return least_filling(sums, sites, demand.share, offset, space) >= NEARLY_EMPTY


def approach(sums: RowSums, sites: Sites, demand: Demand, space: Workspace, most_steps: int) -> tuple[Floats, int]:
    """Offsets near the solution.

    Parameters
    ----------
    sums : RowSums
        The density.
    sites : Sites
        The sites.
    demand : Demand
        The same sites, with their capacities.
    space : Workspace
        Working memory; it learns the neighbours.
    most_steps : int
        Newton steps allowed on each map.

    Returns
    -------
    offset : ndarray, shape (L,)
        [cells^2]
    steps : int
        Newton steps taken.
    """
    rows, columns = sums.mass.shape[0], sums.mass.shape[1] - 1
    offset = first_offsets(demand, columns / 2, rows / 2)
    if not demand.limited and near(sums, sites, demand, offset, space):
        return offset, 0
    size = max(1, int(max(rows, columns) / max(32.0, 4.0 * math.sqrt(len(offset)))))
    coarse_sites = sites_of(demand.points / size, columns / 2 / size, rows / 2 / size, demand.limited, ROUGH_RIM_PIECE)
    offset = offset / size**2
    steps = 0
    for number, values in enumerate(_blurred(_coarse(sums.mass, size), len(offset))):
        level = _within(row_sums(values), columns / size, rows / size)
        if demand.limited and number == 0:
            steps += _limit(level, coarse_sites, demand, offset, space, most_steps)
        status, taken = fill_cells(level, coarse_sites, demand.share, offset, space, 0.0, ROUGH, most_steps)
        steps += taken
        if status == EMPTY_START:
            break
    return offset * size**2, steps


def _limit(level: RowSums, sites: Sites, demand: Demand, offset: Floats, space: Workspace, most_steps: int) -> int:
    """Approach the division of limited capacities from the nearer end; returns the Newton steps taken."""
    if demand.share.sum() < MOST_GROWN:
        small = _small_discs(level, sites, demand.share)
        if least_filling(level, sites, SEED_SHARE * demand.share, small, space) >= NEARLY_EMPTY:
            status, steps = fill_cells(level, sites, SEED_SHARE * demand.share, small, space, 0.0, ROUGH, most_steps)
            if status == CONVERGED:
                offset[:] = small
                return steps
    return _limit_gradually(level, sites, demand, offset, space, most_steps)


def _small_discs(level: RowSums, sites: Sites, share: Floats) -> Floats:
    """Offsets with which each site serves a disc around it, of about `SEED_SHARE` of its share, shape (L,)."""
    rows, columns = level.mass.shape[0], level.mass.shape[1] - 1
    row = np.clip((sites.y + sites.half_height).astype(np.intp), 0, rows - 1)
    column = np.clip((sites.x + sites.half_width).astype(np.intp), 0, columns - 1)
    density = (level.mass[row, column + 1] - level.mass[row, column]) / level.total
    potential = SEED_SHARE * share / (math.pi * np.maximum(density, LEAST_BACKGROUND / (rows * columns)))
    return np.asarray(0.5 * (potential - sites.x**2 - sites.y**2))


def _limit_gradually(
    level: RowSums, sites: Sites, demand: Demand, offset: Floats, space: Workspace, most_steps: int
) -> int:
    """Serve all in proportion first, then leave more and more unserved; returns the Newton steps taken."""
    share = demand.share / demand.share.sum()
    everything = sites._replace(limited=False)
    _, steps = fill_cells(level, everything, share, offset, space, 0.0, ROUGH, most_steps)
    left, wanted = limit_reach(level, sites, share, offset, space), 1.0 - float(demand.share.sum())
    while 0.0 < left < wanted / MORE_UNSERVED:
        left *= MORE_UNSERVED
        _, taken = fill_cells(level, sites, share * (1.0 - left), offset, space, 0.0, ROUGH, most_steps)
        steps += taken
    return steps


@compiled
def _coarse(mass: Floats, size: int) -> Floats:
    """Mean mass of a cell in square groups of cells; the last groups may reach beyond the grid."""
    rows, columns = mass.shape[0], mass.shape[1] - 1
    coarse = np.zeros((-(-rows // size), -(-columns // size)))
    for r in range(rows):
        height = min(size, rows - r // size * size)
        for c in range(coarse.shape[1]):
            end = min(columns, (c + 1) * size)
            coarse[r // size, c] += (mass[r, end] - mass[r, c * size]) / (height * (end - c * size))
    return coarse


def _within(sums: RowSums, width: float, height: float) -> RowSums:
    """The same density with the total of what lies inside the rectangle, whose edge may cut the last cells."""
    rows, columns = sums.mass.shape[0], sums.mass.shape[1] - 1
    inside = np.minimum(1.0, height - np.arange(rows))
    last = sums.mass[:, columns] - sums.mass[:, columns - 1]
    return sums._replace(total=float(inside @ (sums.mass[:, columns] - (columns - width) * last)))


def _blurred(coarse: Floats, n_sites: int) -> list[Floats]:
    """The map from widely to narrowly blurred; three moving averages stand for a Gaussian."""
    longer = max(coarse.shape)
    sigma = longer * NARROWEST_BLUR / math.sqrt(n_sites)
    before, maps = 0.0, []
    while sigma < longer * WIDEST_BLUR / math.sqrt(NARROWER):
        width = 2 * round((math.sqrt(1.0 + 4.0 * (sigma**2 - before**2)) - 1.0) / 2.0) + 1
        for _ in range(3):
            coarse = uniform_filter(coarse, width, mode="reflect")
        maps.append(np.maximum(coarse, 0.0))
        before, sigma = sigma, sigma / NARROWER
    return maps[::-1]
