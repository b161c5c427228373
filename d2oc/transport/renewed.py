r"""Exact optimal transport once more after the points have moved: the network simplex from the last optimal tree.

The masses stay, so the spanning tree that was optimal for the old places is feasible for the new ones, and few pivots
lead to the new optimum, where a start from nothing takes thousands. Masses are whole numbers, so that no rounding makes
a flow out of nothing, and trees are kept strongly feasible (every arc without flow leads towards the root), so that
pivots without a step never come in circles [1]_. What a row might better be joined to is looked for near what it is
joined to, and everywhere only when nothing is left to gain there. Costs are computed where they are needed; there is no
matrix of them.

References
----------
.. [1] W. H. Cunningham, A network simplex method, Mathematical Programming 11, 1976. :doi:`10.1007/BF01580379`
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Ints, Longs
from d2oc.compiled import compiled

UNITS = 1 << 52
"""Total mass in whole units."""

TOLERANCE = 1e-12
"""A reduced cost counts as negative below this share of the largest cost."""

MOST_PIVOTS = 10_000_000

NEIGHBOURS = 16
"""Columns near each that are looked at first."""

MORTON_BITS = 10
"""Bits of each coordinate in the order of a first tree."""


class Basis(NamedTuple):
    """A spanning tree with its flows; nodes are the rows, then the columns."""

    rows: Longs
    """Masses of the rows in units, shape (n,)."""
    columns: Longs
    """Masses of the columns in units, shape (m,)."""
    parent: Longs
    """Node above each, -1 for the root, shape (n + m,)."""
    flow: Longs
    """Units between each node and the one above, shape (n + m,)."""
    near: Ints
    """Columns near each column, shape (real columns, neighbours)."""


def units_of(masses: Floats) -> Longs:
    """Masses in whole units that sum to `UNITS`."""
    units = np.rint(masses / masses.sum() * UNITS).astype(np.int64)
    units[np.argmax(units)] += UNITS - units.sum()
    return units


def first_basis(points: Floats, masses: Floats, samples: Floats, weights: Floats) -> Basis:
    """A feasible tree: both sides in the order of a space-filling curve, by the north-west corner rule.

    Parameters
    ----------
    points, samples : ndarray, shape (n, 2) and (m, 2)
        Places of rows and columns; those of slack come last and have none. [m]
    masses, weights : ndarray
        Of rows and columns, with slack where there is some.

    Returns
    -------
    basis : Basis
    """
    rows, columns = units_of(masses), units_of(weights)
    low = np.minimum(points.min(axis=0), samples.min(axis=0))
    high = np.maximum(points.max(axis=0), samples.max(axis=0))
    orders = []
    for places, units in ((points, rows), (samples, columns)):
        along = np.argsort(_morton(places, low, high), kind="stable")
        orders.append(np.append(along, np.arange(len(places), len(units))))
    parent, flow = _north_west(rows, columns, orders[0], orders[1])
    return Basis(rows, columns, parent, flow, _neighbours(samples))


@compiled
def _neighbours(samples: Floats) -> Ints:
    """Samples near each, itself left out, nearest first and then in order, shape (m, neighbours)."""
    m = len(samples)
    most = min(NEIGHBOURS, m - 1)
    near, away = np.empty((m, most), np.int32), np.empty(most)
    for i in range(m):
        away[:] = np.inf
        for j in range(m):
            distance = (samples[i, 0] - samples[j, 0]) ** 2 + (samples[i, 1] - samples[j, 1]) ** 2
            if j == i or most == 0 or distance >= away[most - 1]:
                continue
            at = most - 1
            while at > 0 and distance < away[at - 1]:
                away[at], near[i, at] = away[at - 1], near[i, at - 1]
                at -= 1
            away[at], near[i, at] = distance, j
    return near


def _morton(places: Floats, low: Floats, high: Floats) -> Longs:
    cell = ((places - low) / np.maximum(high - low, 1e-300) * ((1 << MORTON_BITS) - 1)).astype(np.int64)
    key = np.zeros(len(places), np.int64)
    for bit in range(MORTON_BITS):
        for axis in range(2):
            key |= ((cell[:, axis] >> bit) & 1) << (2 * bit + axis)
    return key


@compiled
def _north_west(rows: Longs, columns: Longs, row_order: Longs, column_order: Longs) -> tuple[Longs, Longs]:
    """Parents and flows of a tree like a staircase."""
    n, m = len(rows), len(columns)
    parent, flow = np.full(n + m, -1, np.int64), np.zeros(n + m, np.int64)
    i, j = 0, 0
    left, wanted = rows[row_order[0]], columns[column_order[0]]
    below_is_row = False  # whether the row of the corner hangs from its column
    while True:
        row, column = row_order[i], n + column_order[j]
        amount = min(left, wanted)
        if below_is_row:
            parent[row], flow[row] = column, amount
        else:
            parent[column], flow[column] = row, amount
        left -= amount
        wanted -= amount
        if i == n - 1 and j == m - 1:
            return parent, flow
        if (left == 0 and i < n - 1) or j == m - 1:  # on a tie the next row hangs from this column, without flow
            i += 1
            left = rows[row_order[i]]
            below_is_row = True
        else:
            j += 1
            wanted = columns[column_order[j]]
            below_is_row = False


@compiled
def renew(basis: Basis, points: Floats, samples: Floats) -> tuple[Basis, int]:
    """Optimal tree for squared distances between these places, from a feasible one; and the pivots it took.

    Parameters
    ----------
    basis : Basis
        Feasible for the masses.
    points, samples : ndarray, shape (n, 2) and (m, 2)
        Places; a row or column beyond them is slack, of cost zero. [m]

    Returns
    -------
    basis : Basis
    pivots : int
        -1 if it did not end.
    """
    n, m = len(basis.rows), len(basis.columns)
    parent, flow = basis.parent.copy(), basis.flow.copy()
    child, after, before = np.full(n + m, -1, np.int64), np.full(n + m, -1, np.int64), np.full(n + m, -1, np.int64)
    potential, seen = np.zeros(n + m), np.zeros(n + m, np.int64)
    below, beside = np.empty(n + m, np.int64), np.empty(n + m, np.int64)
    x, y = samples[:, 0].copy(), samples[:, 1].copy()
    root = 0
    for node in range(n + m):
        if parent[node] < 0:
            root = node
        else:
            _hang(node, parent[node], parent, child, after, before)
    _set_potentials(root, n, points, samples, parent, child, after, potential, below)
    span = 0.0
    for axis in range(2):
        low = min(points[:, axis].min(), samples[:, axis].min())
        span += (max(points[:, axis].max(), samples[:, axis].max()) - low) ** 2
    least = -TOLERANCE * max(span, 1e-300)
    pivots, idle, i, everywhere = 0, 0, -1, False
    while idle < n:
        i = i + 1 if i + 1 < n else 0
        if everywhere or i >= len(points):
            j, reduced = _cheapest(i, n, m, points, x, y, potential)
        else:
            j, reduced = _cheapest_near(i, n, m, points, x, y, potential, parent, child, after, basis.near)
        if reduced >= least:
            idle += 1
            if idle == n and not everywhere:  # nothing is left to gain among neighbours
                idle, everywhere = 0, True
            continue
        idle = 0
        pivots += 1
        if pivots > MOST_PIVOTS:
            return Basis(basis.rows, basis.columns, parent, flow, basis.near), -1
        top = _pivot(i, n + j, n, parent, flow, child, after, before, seen, pivots)
        _shift_potentials(top, root, n, reduced if top == i else -reduced, child, after, potential, below, beside)
    return Basis(basis.rows, basis.columns, parent, flow, basis.near), pivots


@compiled
def _cheapest(i: int, n: int, m: int, points: Floats, x: Floats, y: Floats, potential: Floats) -> tuple[int, float]:
    """Column with the lowest reduced cost from row i, and that cost."""
    best, at = np.inf, 0
    if i >= len(points):
        for j in range(m):
            reduced = -potential[n + j]
            if reduced < best:
                best, at = reduced, j
    else:
        px, py = points[i]
        for j in range(len(x)):
            reduced = (px - x[j]) ** 2 + (py - y[j]) ** 2 - potential[n + j]
            if reduced < best:
                best, at = reduced, j
        if m > len(x) and -potential[n + m - 1] < best:
            best, at = -potential[n + m - 1], m - 1
    return at, best - potential[i]


@compiled
def _cheapest_near(
    i: int,
    n: int,
    m: int,
    points: Floats,
    x: Floats,
    y: Floats,
    potential: Floats,
    parent: Longs,
    child: Longs,
    after: Longs,
    near: Ints,
) -> tuple[int, float]:
    """As `_cheapest`, among the columns near those that row i has an arc to in the tree, and the slack."""
    best, at = np.inf, 0
    px, py = points[i]
    if m > len(x):
        best, at = -potential[n + m - 1], m - 1
    node = parent[i] if parent[i] >= 0 else child[i]
    above = parent[i] >= 0
    while node >= 0:
        column = node - n
        if column < len(x):
            for j in near[column]:
                reduced = (px - x[j]) ** 2 + (py - y[j]) ** 2 - potential[n + j]
                if reduced < best:
                    best, at = reduced, j
        node = child[i] if above else after[node]
        above = False
    return at, best - potential[i]


@compiled
def _hang(node: int, above: int, parent: Longs, child: Longs, after: Longs, before: Longs) -> None:
    """Put a node first among the children of another."""
    parent[node] = above
    after[node], before[node] = child[above], -1
    if child[above] >= 0:
        before[child[above]] = node
    child[above] = node


@compiled
def _cut(node: int, parent: Longs, child: Longs, after: Longs, before: Longs) -> None:
    """Take a node from the children of the one above."""
    if before[node] >= 0:
        after[before[node]] = after[node]
    else:
        child[parent[node]] = after[node]
    if after[node] >= 0:
        before[after[node]] = before[node]


@compiled
def _set_potentials(
    root: int,
    n: int,
    points: Floats,
    samples: Floats,
    parent: Longs,
    child: Longs,
    after: Longs,
    potential: Floats,
    stack: Longs,
) -> None:
    """Potentials of all nodes: along the arcs of the tree they sum to the cost."""
    used = 1
    stack[0] = root
    while used:
        used -= 1
        node = stack[used]
        above = parent[node]
        if above >= 0:
            row, column = min(node, above), max(node, above) - n
            cost = 0.0
            if row < len(points) and column < len(samples):
                cost = (points[row, 0] - samples[column, 0]) ** 2 + (points[row, 1] - samples[column, 1]) ** 2
            potential[node] = cost - potential[above]
        used = _push_children(node, -1, child, after, stack, used)


@compiled
def _push_children(node: int, but: int, child: Longs, after: Longs, stack: Longs, used: int) -> int:
    """Put the children of a node, but for one, on a stack; how many are on it."""
    below = child[node]
    while below >= 0:
        if below != but:
            stack[used] = below
            used += 1
        below = after[below]
    return used


@compiled
def _shift_potentials(
    top: int,
    root: int,
    n: int,
    by: float,
    child: Longs,
    after: Longs,
    potential: Floats,
    below: Longs,
    beside: Longs,
) -> None:
    """Raise rows from `top` down and lower columns, or the other way round in all the rest, whichever are fewer.

    Both are listed at once, so that the work is that of the smaller one.
    """
    below[0], beside[0] = top, root
    n_below, n_beside, at = 1, 1, 0
    while at < n_below and at < n_beside:
        n_below = _push_children(below[at], -1, child, after, below, n_below)
        n_beside = _push_children(beside[at], top, child, after, beside, n_beside)
        at += 1
    if at == n_below:
        for k in range(n_below):
            potential[below[k]] += by if below[k] < n else -by
    else:
        for k in range(n_beside):
            potential[beside[k]] += -by if beside[k] < n else by


@compiled
def _meet(a: int, b: int, parent: Longs, seen: Longs, mark: int) -> int:
    """First node above both, climbing in turn; `mark` is one that `seen` does not hold yet."""
    seen[a] = seen[b] = mark
    while True:
        if parent[a] >= 0:
            a = parent[a]
            if seen[a] == mark:
                return a
            seen[a] = mark
        if parent[b] >= 0:
            b = parent[b]
            if seen[b] == mark:
                return b
            seen[b] = mark


@compiled
def _pivot(
    row: int,
    column: int,
    n: int,
    parent: Longs,
    flow: Longs,
    child: Longs,
    after: Longs,
    before: Longs,
    seen: Longs,
    mark: int,
) -> int:
    """Send as much as can be along the cycle that the arc from row to column closes; the node that is hung anew."""
    meet = _meet(row, column, parent, seen, mark)
    most = np.int64(UNITS + 1)
    leaving, from_row = -1, True
    node = row  # of all arcs that block, the last one on the way round from where the two sides meet
    while node != meet:
        if node < n and flow[node] < most:
            most, leaving = flow[node], node
        node = parent[node]
    node = column
    while node != meet:
        if node >= n and flow[node] <= most:
            most, leaving, from_row = flow[node], node, False
        node = parent[node]
    node = row
    while node != meet:
        flow[node] += -most if node < n else most
        node = parent[node]
    node = column
    while node != meet:
        flow[node] += most if node < n else -most
        node = parent[node]
    node, above, units = (row, column, most) if from_row else (column, row, most)
    top = node
    while True:  # turn the path from here up to the arc that leaves
        higher, carried = parent[node], flow[node]
        _cut(node, parent, child, after, before)
        _hang(node, above, parent, child, after, before)
        flow[node] = units
        if node == leaving:
            return top
        node, above, units = higher, node, carried
