r"""Potentials whose cells hold given masses: Newton's method, damped after Kitagawa, Merigot and Thibert [1]_.

Sought is the zero of :math:`c_i - m_i(\psi)`, the gradient of the concave dual. A Newton step is shortened until it
(a) empties no cell below half of the least filling at the start and (b) brings the imbalance down in proportion to
its length; from non-empty cells this converges from anywhere when the density is positive [1]_, and fast at the end.
Where an edge leaves a patch its force drops at once, and no length may do (b); so a step is also good when (c) the
dual still rises at its end, :math:`(c - m) \cdot d \ge 0`: being concave, it has then risen all the way.

Real maps are zero in places, which breaks that promise: a cell without mass feels no force. So the density is mixed
with an even *background*, large enough at first that no cell is nearly empty, then less each time the cells are
about right, and at the end a 1e-9 share, which keeps the potentials unique where the map falls into separate patches
and shifts no mass by more than that. (What makes a cold start short is `cold_start`; the background is the safety.)

References
----------
.. [1] J. Kitagawa, Q. Merigot and B. Thibert, Convergence of a Newton algorithm for semi-discrete optimal transport,
   J. Eur. Math. Soc. 21, 2019, algorithm 1. :doi:`10.4171/JEMS/889`
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.transport.cell_masses import CellMasses, Workspace, ground, links, measure_cells, new_masses
from d2oc.transport.envelope import solve_laplacian
from d2oc.transport.line_integrals import RowSums
from d2oc.transport.power_cells import Sites

LEAST_BACKGROUND = 1e-9
"""Share of the mass that stays an even background."""
MOST_BACKGROUND = 0.9
NEARLY_EMPTY = 0.1
"""A cell filled to less than this share of its capacity calls for more background."""
ABOUT_RIGHT = 0.5
"""Cells filled to within this share of their capacity allow less background."""
SHORTEST_STEP = 2.0**-40

CONVERGED, OUT_OF_STEPS, STALLED, EMPTY_START = 0, 1, 2, 3


@compiled
def _filled(found: CellMasses, i: int, background: float) -> float:
    return (1.0 - background) * found.mass[i] + background * found.area[i]


@compiled
def _least_filling(found: CellMasses, capacity: Floats, limited: bool, background: float) -> float:
    """Smallest ratio of mass to capacity over all cells, the unserved region included."""
    least = np.inf
    unserved, left = 1.0, 1.0
    for i in range(len(capacity)):
        mass = _filled(found, i, background)
        least = min(least, mass / capacity[i])
        unserved -= mass
        left -= capacity[i]
    return min(least, unserved / left) if limited else least


@compiled
def _imbalance(found: CellMasses, capacity: Floats, background: float, missing: Floats) -> tuple[float, float, float]:
    """Fill in what each cell lacks; returns its norm, its largest entry and its largest ratio to the capacity."""
    square = largest = ratio = 0.0
    for i in range(len(capacity)):
        missing[i] = capacity[i] - _filled(found, i, background)
        square += missing[i] * missing[i]
        largest = max(largest, abs(missing[i]))
        ratio = max(ratio, abs(missing[i]) / capacity[i])
    return np.sqrt(square), largest, ratio


@compiled
def _background(found: CellMasses, capacity: Floats, limited: bool, most: float) -> float:
    """Smallest background, up to `most`, that leaves no cell nearly empty."""
    background = LEAST_BACKGROUND
    while background < most and _least_filling(found, capacity, limited, background) < NEARLY_EMPTY:
        background *= 10.0
    return min(background, most)


@compiled
def least_filling(sums: RowSums, sites: Sites, capacity: Floats, offset: Floats, space: Workspace) -> float:
    """Smallest ratio of mass to capacity with these offsets; below `NEARLY_EMPTY` they are a poor start."""
    found = new_masses(len(offset))
    measure_cells(sums, sites, offset, space, found)
    return _least_filling(found, capacity, sites.limited, LEAST_BACKGROUND)


@compiled
def fill_cells(
    sums: RowSums,
    sites: Sites,
    capacity: Floats,
    offset: Floats,
    space: Workspace,
    tolerance: float,
    share: float,
    most_steps: int,
) -> tuple[int, int]:
    """Move the offsets until each cell holds its capacity.

    Parameters
    ----------
    sums : RowSums
        The density.
    sites : Sites
        The sites; limited if the capacities sum to less than one.
    capacity : ndarray, shape (L,)
        Shares of the mass, positive.
    offset : ndarray, shape (L,)
        Where to start; receives the result. [cells^2]
    space : Workspace
        Working memory, which remembers the neighbours from one call to the next.
    tolerance : float
        Largest error of a cell, as a share of the mass.
    share : float
        An error of this share of each cell's own capacity is enough, too.
    most_steps : int
        Newton steps allowed.

    Returns
    -------
    status : int
        CONVERGED, OUT_OF_STEPS, STALLED (no step helps any more) or EMPTY_START (a cell is empty at the start).
    steps : int
        Newton steps taken.
    """
    found, trial = new_masses(len(offset)), new_masses(len(offset))
    missing, shifted = np.empty(len(offset)), np.empty(len(offset))
    measure_cells(sums, sites, offset, space, found)
    background = _background(found, capacity, sites.limited, MOST_BACKGROUND)
    least = _least_filling(found, capacity, sites.limited, background)
    if not least > 0.0:
        return EMPTY_START, 0
    length = 1.0
    for step in range(most_steps + 1):
        norm, largest, ratio = _imbalance(found, capacity, background, missing)
        while background > LEAST_BACKGROUND and ratio < ABOUT_RIGHT:
            background = _background(found, capacity, sites.limited, max(0.1 * background, LEAST_BACKGROUND))
            norm, largest, ratio = _imbalance(found, capacity, background, missing)
            least = _least_filling(found, capacity, sites.limited, background)
        if background <= LEAST_BACKGROUND and (largest <= tolerance or ratio < share):
            return CONVERGED, step
        if step == most_steps:
            break
        pairs = found.pairs[0]
        move = solve_laplacian(
            found.first[:pairs], found.second[:pairs], links(sites, found, background),
            ground(sites, offset, found, background), missing,
        )  # fmt: skip
        floor = 0.5 * min(1.0, least)
        length = min(1.0, 4.0 * length)
        while True:
            for i in range(len(offset)):
                shifted[i] = offset[i] + 0.5 * length * move[i]
            measure_cells(sums, sites, shifted, space, trial)
            if _least_filling(trial, capacity, sites.limited, background) >= floor:
                new_norm = _imbalance(trial, capacity, background, missing)[0]
                if new_norm <= (1.0 - 0.5 * length) * norm or np.dot(missing, move) >= 0.0:
                    break
            length *= 0.5
            if length < SHORTEST_STEP:
                return STALLED, step
        offset[:] = shifted
        found, trial = trial, found
    return OUT_OF_STEPS, most_steps


@compiled
def limit_reach(sums: RowSums, sites: Sites, share: Floats, offset: Floats, space: Workspace) -> float:
    """Give filled cells a rim: shift all potentials by one amount, by bisection.

    Parameters
    ----------
    sums : RowSums
        The density.
    sites : Sites
        The sites, limited.
    share : ndarray, shape (L,)
        Shares of the mass that the cells hold without rims, sum one.
    offset : ndarray, shape (L,)
        Changed in place, so that the fullest rims leave every cell at least half of its share. [cells^2]
    space : Workspace
        Working memory.

    Returns
    -------
    unserved : float
        Share of the mass beyond all rims.
    """
    found = new_masses(len(offset))
    low = high = 0.0
    for i in range(len(offset)):
        potential = 2.0 * offset[i] + sites.x[i] ** 2 + sites.y[i] ** 2
        farthest = (abs(sites.x[i]) + sites.half_width) ** 2 + (abs(sites.y[i]) + sites.half_height) ** 2
        low = -potential if i == 0 else min(low, -potential)
        high = farthest - potential if i == 0 else max(high, farthest - potential)
    for _ in range(100):
        shift = 0.5 * (low + high)
        measure_cells(sums, sites, offset + 0.5 * shift, space, found)
        least, unserved = np.inf, 1.0
        for i in range(len(offset)):
            mass = _filled(found, i, LEAST_BACKGROUND)
            least = min(least, mass / share[i])
            unserved -= mass
        if least < 0.5:
            low = shift
        elif least > 0.9 or not unserved > 1e-14:
            high = shift
        else:
            break
    offset += 0.5 * shift
    return unserved
