r"""Where Newton's method starts when nothing is known: non-empty cells, brought close on blurred maps.

Sites inside the grid start from their Voronoi cells. For others a convex function :math:`\varphi` is taken whose
gradient maps every site into the grid, half-way between the projection onto it and a smooth shrinking of the plane;
the offsets :math:`b_i = -\varphi(y_i)` put the point :math:`\nabla\varphi(y_i)` inside cell i, because
:math:`\varphi(y_j) > \varphi(y_i) + \nabla\varphi(y_i) \cdot (y_j - y_i)`.

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
from d2oc.transport.damped_newton import EMPTY_START, fill_cells, limit_reach
from d2oc.transport.line_integrals import RowSums, row_sums
from d2oc.transport.power_cells import sites_of

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
ROUGH = 0.2
"""Error of a cell on a blurred map, as a share of its capacity."""


def first_offsets(points: Floats, half_width: float, half_height: float) -> Floats:
    """Offsets with which no cell is empty, shape (L,); points in grid units from the centre."""
    half = np.array([half_width, half_height])
    square = (points**2).sum(axis=1)
    if (np.abs(points) < half).all():
        return -0.5 * square
    outside = points - np.clip(points, -INSIDE * half, INSIDE * half)
    projecting = 0.5 * square - 0.5 * (outside**2).sum(axis=1)
    side = INSIDE * half.min()
    shrinking = side * np.hypot(side, np.sqrt(square))
    return np.asarray(-(1.0 - SHRINKING) * projecting - SHRINKING * shrinking)


def approach(
    sums: RowSums, points: Floats, capacity: Floats, limited: bool, space: Workspace, most_steps: int
) -> tuple[Floats, int]:
    """Offsets near the solution.

    Parameters
    ----------
    sums : RowSums
        The density.
    points : ndarray, shape (L, 2)
        Sites in blocked order, from the grid's centre. [cells]
    capacity : ndarray, shape (L,)
        Shares of the mass.
    limited : bool
        Whether they sum to less than one.
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
    offset = first_offsets(points, columns / 2, rows / 2)
    size = max(1, int(max(rows, columns) / max(32.0, 4.0 * math.sqrt(len(points)))))
    shape = np.array([-(-columns // size), -(-rows // size)])
    # The coarse cells may reach beyond the grid, so their centre is not quite its centre.
    coarse_points = points / size + (np.array([columns, rows]) / size - shape) / 2
    moved = (coarse_points**2 - (points / size) ** 2).sum(axis=1) / 2
    coarse_offset = offset / size**2 - moved
    sites = sites_of(coarse_points, shape[0] / 2, shape[1] / 2, limited)
    steps = 0
    for number, values in enumerate(_blurred(_coarse(sums.mass, size), len(points))):
        level = row_sums(values)
        if limited and number == 0:
            limit_reach(level, sites, capacity, coarse_offset, space)
        status, taken = fill_cells(level, sites, capacity, coarse_offset, space, 0.0, ROUGH, most_steps)
        steps += taken
        if status == EMPTY_START:
            break
    return (coarse_offset + moved) * size**2, steps


@compiled
def _coarse(mass: Floats, size: int) -> Floats:
    """Masses of square groups of cells, shape (rows / size, columns / size) rounded up."""
    rows, columns = mass.shape[0], mass.shape[1] - 1
    coarse = np.zeros((-(-rows // size), -(-columns // size)))
    for r in range(rows):
        for c in range(coarse.shape[1]):
            coarse[r // size, c] += mass[r, min(columns, (c + 1) * size)] - mass[r, c * size]
    return coarse


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
