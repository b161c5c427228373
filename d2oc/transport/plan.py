r"""The transport plan between the points of a mission and the samples of the density, and the goals it gives.

For fixed points the best plan :math:`\pi` is an exact optimal transport problem; for a fixed plan the cost of moving a
point is that of its distance to one goal, the barycentre of what the plan sends there:

.. math:: \sum_j \pi_{kj} |y - q_j|^2 = \Bigl(\sum_j \pi_{kj}\Bigr) |y - \bar q_k|^2 + \text{const}

The total masses need not agree. Mass that no point has capacity for stays *unserved*, and points without mass to serve
are *idle*; which ones is part of the optimum: a slack row or column of cost zero takes up the difference [1]_.

References
----------
.. [1] L. Chapel, M. Z. Alaya, G. Gasso, Partial optimal transport with applications on positive-unlabeled learning,
   NeurIPS 2020, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.transport.exact import exact_transport, squared_distances
from d2oc.transport.renewed import UNITS, Basis, first_basis, renew, units_of


@dataclass(frozen=True, eq=False)
class TransportPlan:
    """Who serves what; the entries are ordered by point."""

    point: Longs
    """Point of each entry, shape (entries,)."""
    sample: Longs
    """Sample of each entry, shape (entries,)."""
    amount: Floats
    """Mass of each entry, shape (entries,)."""
    goals: Floats
    """Barycentre of what each point serves, shape (n, 2); NaN for an idle point. [m]"""
    served: Floats
    """Mass each point serves, shape (n,)."""
    cost: float
    """Sum of amount times squared distance. [m^2]"""


def transport_plan(points: Floats, masses: Floats, samples: Floats, weights: Floats) -> TransportPlan:
    """Exact optimal transport from points to samples; partial where the totals differ.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Where the agents will be, local ENU. [m]
    masses : ndarray, shape (n,)
        What each point can serve.
    samples : ndarray, shape (m, 2)
        Samples of the density. [m]
    weights : ndarray, shape (m,)
        What each asks for.

    Returns
    -------
    plan : TransportPlan
    """
    capacity, demand = float(masses.sum()), float(weights.sum())
    cost = squared_distances(points, samples)
    rows, columns, costs = _balanced(masses, weights, cost, capacity, demand)
    total = rows.sum()
    matrix = total * exact_transport(rows / total, columns / columns.sum(), costs).matrix[: len(points), : len(samples)]
    point, sample = np.nonzero(matrix > 1e-14 * max(capacity, demand))
    amount = matrix[point, sample]
    return _plan_of(points, samples, point, sample, amount, float(amount @ cost[point, sample]))


def renewed_plan(
    points: Floats, masses: Floats, samples: Floats, weights: Floats, last: Basis | None = None
) -> tuple[TransportPlan, Basis]:
    """As `transport_plan`, from the optimal tree of other places of the same masses, if there is one.

    Parameters
    ----------
    points, masses, samples, weights : ndarray
        As for `transport_plan`; masses are positive.
    last : Basis, optional
        From an earlier call; one of other masses is of no use and not used.

    Returns
    -------
    plan : TransportPlan
    basis : Basis
        For the next call.
    """
    wanted = np.flatnonzero(weights * UNITS > 2.0 * max(float(masses.sum()), float(weights.sum())))
    places, rows, columns = samples[wanted], masses, weights[wanted]
    excess = _excess(float(rows.sum()), float(columns.sum()))
    if excess < 0.0:
        rows = np.append(rows, -excess)
    elif excess > 0.0:
        columns = np.append(columns, excess)
    if last is None or not _of(last, rows, columns):
        last = first_basis(points, rows, places, columns)
    basis, pivots = renew(last, points, places)
    if pivots < 0:
        raise ArithmeticError("the network simplex did not finish")
    n = len(basis.rows)
    node = np.flatnonzero((basis.parent >= 0) & (basis.flow > 0))
    row, column = np.minimum(node, basis.parent[node]), np.maximum(node, basis.parent[node]) - n
    real = (row < len(points)) & (column < len(places))
    order = np.lexsort((column[real], row[real]))
    point, sample = row[real][order], wanted[column[real][order]]
    amount = columns.sum() / UNITS * basis.flow[node][real][order]
    cost = ((points[point] - samples[sample]) ** 2).sum(axis=1)
    return _plan_of(points, samples, point, sample, amount, float(amount @ cost)), basis


def _of(basis: Basis, rows: Floats, columns: Floats) -> bool:
    """Whether a basis is one of these masses."""
    return np.array_equal(basis.rows, units_of(rows)) and np.array_equal(basis.columns, units_of(columns))


def _plan_of(
    points: Floats, samples: Floats, point: Longs, sample: Longs, amount: Floats, cost: float
) -> TransportPlan:
    """The plan of these entries."""
    served = np.asarray(np.bincount(point, amount, len(points)), np.float64)
    goals = np.full_like(points, np.nan)
    busy = served > 0
    for axis in range(2):
        goals[busy, axis] = np.bincount(point, amount * samples[sample, axis], len(points))[busy] / served[busy]
    return TransportPlan(point, sample, amount, goals, served, cost)


def _balanced(
    masses: Floats, weights: Floats, cost: Floats, capacity: float, demand: float
) -> tuple[Floats, Floats, Floats]:
    """The same problem with equal totals: a slack row or column of cost zero, unless they agree to rounding."""
    excess = _excess(capacity, demand)
    if excess == 0.0:
        return masses / capacity * demand, weights, cost
    if excess < 0.0:
        return np.append(masses, -excess), weights, np.vstack([cost, np.zeros(cost.shape[1])])
    return masses, np.append(weights, excess), np.hstack([cost, np.zeros((len(cost), 1))])


def _excess(capacity: float, demand: float) -> float:
    """By how much capacity exceeds the demand; 0 where they agree to rounding."""
    return 0.0 if abs(capacity - demand) <= 1e-9 * max(capacity, demand) else capacity - demand
