r"""Weighted samples divided among sites: the form of semi-discrete transport that agents use while they fly.

Three steps. (1) The samples are gathered into a grid, whose division gives the potentials. (2) Each sample goes to the
site with the smallest :math:`|q - y_i|^2 - \psi_i`; the potentials are corrected a few times by a Newton step with the
grid's derivatives and the samples' masses. (3) What still misses a capacity, a few samples along the edges of the
cells, is moved along a spanning tree of neighbours, the cheapest samples first and the last one of each move in part.
So every capacity is met to rounding, and no more samples are split than there are sites.

The result is feasible, and the potentials bound the best cost from below [1]_, so it carries its own certificate. No
random number, thread or clock is involved: the same arguments give the same bits, in whichever process.

References
----------
.. [1] G. Peyre and M. Cuturi, Computational Optimal Transport, 2019, sec. 5.1. :doi:`10.1561/2200000073`
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from d2oc.arrays import Floats, Ints, Longs
from d2oc.errors import TransportError
from d2oc.transport.cell_masses import ground, links, measure_cells, new_masses
from d2oc.transport.damped_newton import LEAST_BACKGROUND
from d2oc.transport.envelope import solve_laplacian
from d2oc.transport.line_integrals import row_sums
from d2oc.transport.moving_samples import lower_levels, meet_capacities, nearest_sites, tally
from d2oc.transport.semi_discrete import Solution, Status, SummedDensity, potentials_of, solve
from d2oc.transport.sites import Demand, checked_sites, demand_of

__all__ = ["SamplePartition", "divide_samples"]

SAMPLES_PER_CELL = 4
"""Samples in a cell of the grid, on average."""
FEWEST_CELLS, MOST_CELLS = 16, 256
"""Cells along the longer side of the grid."""
GRID_TOLERANCE = 1e-3
"""Error of a cell on the grid, as a share of the smallest capacity: finer than the samples is no use."""
CORRECTIONS = 3
"""Newton steps with the samples' own masses."""
MOST_STEPS = 100
"""Newton steps allowed on each grid."""


@dataclass(frozen=True, eq=False)
class SamplePartition:
    """Samples divided among sites; a *parcel* is (a part of) one sample given to one site."""

    status: Status
    """That of the grid's solution; the masses are met in any case, only the cost may be higher unless `converged`."""
    sample: Ints
    """Sample of each parcel, shape (P,), N <= P < N + L + 1."""
    site: Ints
    """Site of each parcel, -1 for what is left unserved, shape (P,)."""
    amount: Floats
    """Weight of each parcel, shape (P,), not negative."""
    masses: Floats
    """What each site serves, shape (L,), the least of its capacity and its part in all."""
    barycentres: Floats
    """Their centres, shape (L, 2), NaN where there is none, local ENU. [m]"""
    potentials: Floats
    """As `Partition.potentials`, shape (L,). [m^2]"""
    cost: float
    """Weight times squared distance to its site, summed over all that is served. [weight m^2]"""
    lower_bound: float
    """No division into these masses costs less. [weight m^2]"""
    unserved: float
    """Weight that no site has the capacity for."""

    def owner(self, n_samples: int) -> Ints:
        """Site of each sample, that of its largest parcel if it is split, shape (n_samples,); -1 if unserved."""
        order = np.argsort(self.amount, kind="stable")
        owner = np.full(n_samples, -1, np.int32)
        owner[self.sample[order]] = self.site[order]
        return owner


def divide_samples(
    points: Floats, weights: Floats, sites: ArrayLike, capacities: ArrayLike, *, start: Floats | None = None
) -> SamplePartition:
    """Divide weighted samples among sites by optimal transport.

    Parameters
    ----------
    points : ndarray, shape (N, 2)
        Samples, local ENU. [m]
    weights : ndarray, shape (N,)
        Their weights; those not above zero take no part.
    sites : array_like, shape (L, 2)
        Local ENU. [m]
    capacities : array_like, shape (L,)
        In the unit of the weights. More than there is is used in proportion; less leaves the farthest unserved.
    start : ndarray, shape (L,), optional
        Potentials of a similar problem. Agents that must agree to the bit must start from the same. [m^2]

    Returns
    -------
    partition : SamplePartition

    Raises
    ------
    TransportError
        If sites or capacities cannot be used, or no sample has a weight.
    """
    places, amounts = checked_sites(sites, capacities)
    kept = np.flatnonzero(weights > 0)
    if len(kept) == 0:
        raise TransportError("no sample has a weight above zero, so there is nothing to divide")
    x, w = np.ascontiguousarray(points[kept], dtype=np.float64), weights[kept].astype(np.float64)
    if not np.isfinite(x).all() or not np.isfinite(w).all():
        raise TransportError("a sample has a position or weight that is not finite")
    grid = _gathered(x, w)
    demand = demand_of((places - grid.centre) / grid.cell_size, amounts, float(w.sum()), grid.diagonal)
    if len(demand.live) == 0:
        return _all_unserved(kept, w, len(places))
    solution = solve(grid, demand, start, GRID_TOLERANCE * float(demand.share.min()), MOST_STEPS)
    return _divided(x, w, kept, places, grid, demand, solution)


def _gathered(points: Floats, weights: Floats) -> SummedDensity:
    """The samples in cells of a grid just around them."""
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = high - low
    longer = max(width, height, 1e-9 * float(np.abs(points).max()), 1e-9)
    squareness = min(1.0, max(min(width, height) / longer, 1e-9))
    across = math.sqrt(len(points) / SAMPLES_PER_CELL / squareness)
    size = longer / min(MOST_CELLS, max(FEWEST_CELLS, across)) * (1.0 + 1e-9)
    columns, rows = (int(side / size) + 1 for side in (width, height))
    column, row = ((points - low) / size).astype(np.int64).T
    values = np.bincount(row * columns + column, weights, rows * columns).astype(np.float64).reshape(rows, columns)
    return SummedDensity(row_sums(values), (float(low[0]), float(low[1])), size)


def _all_unserved(kept: Longs, weights: Floats, n_sites: int) -> SamplePartition:
    return SamplePartition(
        "no capacity", kept.astype(np.int32), np.full(len(kept), -1, np.int32), weights, np.zeros(n_sites),
        np.full((n_sites, 2), np.nan), np.full(n_sites, -np.inf), 0.0, 0.0, float(weights.sum()),
    )  # fmt: skip


def _divided(
    points: Floats,
    weights: Floats,
    kept: Longs,
    places: Floats,
    grid: SummedDensity,
    demand: Demand,
    solution: Solution,
) -> SamplePartition:
    total = float(weights.sum())
    wanted = np.append(demand.share, max(0.0, 1.0 - float(demand.share.sum())) if demand.limited else 0.0) * total
    inside = (points - grid.centre) / grid.cell_size
    offset, owner, level = _corrected(inside, weights, wanted, grid, demand, solution)
    measured = new_masses(len(offset))
    measure_cells(grid.sums, solution.sites, offset, solution.space, measured)
    pairs = measured.pairs[0]
    rims = np.flatnonzero(measured.rim_length > 0.0).astype(np.int32)
    sample, site, amount = meet_capacities(
        inside, weights, solution.sites, offset, owner, wanted,
        np.concatenate([measured.first[:pairs], rims]),
        np.concatenate([measured.second[:pairs], np.full(len(rims), len(offset), np.int32)]),
    )  # fmt: skip
    live = np.append(demand.live, -1)
    potentials = np.full(len(places), -np.inf)
    potentials[demand.live] = potentials_of(offset, demand, grid.cell_size)
    bound = grid.cell_size**2 * lower_levels(inside, weights, wanted, demand.points, offset, owner, level)
    return _result(
        points, kept, places, sample, live[site].astype(np.int32), amount, potentials, bound, solution.status
    )


def _corrected(
    inside: Floats, weights: Floats, wanted: Floats, grid: SummedDensity, demand: Demand, solution: Solution
) -> tuple[Floats, Ints, Floats]:
    """Offsets moved towards the samples' own masses, with the site of each sample and its level there."""
    sites, offset = solution.sites, solution.offset
    owner, level = nearest_sites(inside, sites, offset)
    total = float(weights.sum())
    for _ in range(CORRECTIONS):
        missing = (wanted - np.bincount(owner, weights, len(wanted)))[:-1]
        measured = new_masses(len(offset))
        measure_cells(grid.sums, sites, offset, solution.space, measured)
        pairs = measured.pairs[0]
        move = solve_laplacian(
            measured.first[:pairs], measured.second[:pairs], links(sites, measured, LEAST_BACKGROUND),
            ground(sites, offset, measured, LEAST_BACKGROUND), missing / total,
        )  # fmt: skip
        shifted = offset + 0.5 * move
        new_owner, new_level = nearest_sites(inside, sites, shifted)
        left = (wanted - np.bincount(new_owner, weights, len(wanted)))[:-1]
        if not left @ left < missing @ missing:
            break
        offset, owner, level = shifted, new_owner, new_level
    return offset, owner, level


def _result(
    points: Floats,
    kept: Longs,
    places: Floats,
    sample: Ints,
    site: Ints,
    amount: Floats,
    potentials: Floats,
    bound: float,
    status: Status,
) -> SamplePartition:
    masses, sums, cost, unserved = tally(points, places, sample, site, amount)
    barycentres = np.full((len(places), 2), np.nan)
    some = masses > 0
    barycentres[some] = sums[some] / masses[some, None]
    return SamplePartition(
        status=status,
        sample=kept[sample].astype(np.int32),
        site=site,
        amount=amount,
        masses=masses,
        barycentres=barycentres,
        potentials=potentials,
        cost=cost,
        lower_bound=bound,
        unserved=unserved,
    )
