r"""Direct solution of small sparse Laplacian systems: elimination inside the envelope, after Cuthill and McKee.

The matrices of power diagrams are Laplacians of planar graphs: ordered by distance in the graph [1]_, row i has its
first entry about :math:`\sqrt{L}` before the diagonal, and elimination fills only what lies between [2]_. For the sizes
here that is faster than a general sparse solver, gives the same bits every time and runs inside compiled loops.

Couplings differ by 15 orders of magnitude, between neighbours in one place and across an empty patch. So the diagonal
is never subtracted from: each node keeps its coupling to the ground, and its pivot is the sum of its couplings to
what is left [3]_. All terms are positive, and every pivot is right to the last few digits.

References
----------
.. [1] E. Cuthill and J. McKee, Proc. 24th ACM National Conference, 1969. :doi:`10.1145/800195.805928`
.. [2] A. George and J. W. Liu, Computer Solution of Large Sparse Positive Definite Systems, 1981, ch. 4.
.. [3] W. K. Grassmann, M. I. Taksar and D. P. Heyman, Operations Research 33(5), 1985. :doi:`10.1287/opre.33.5.1107`
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats, Ints, Longs
from d2oc.compiled import compiled


@compiled
def solve_laplacian(first: Ints, second: Ints, weight: Floats, ground: Floats, right: Floats) -> Floats:
    r"""Solve :math:`\sum_j w_{ij} (z_i - z_j) + g_i z_i = r_i`.

    Parameters
    ----------
    first, second : ndarray of int32, shape (links,)
        Ends of each link; each pair once.
    weight : ndarray, shape (links,)
        Weight w of each link, positive.
    ground : ndarray, shape (n,)
        Coupling g to zero, not negative. In a part of the graph without any, one unknown is held at zero and its
        equation left out.
    right : ndarray, shape (n,)
        Right-hand side r.

    Returns
    -------
    solution : ndarray, shape (n,)
    """
    n = len(right)
    start, other, by = _neighbours(n, first, second, weight)
    order = _levels_order(n, start, other)
    place = np.empty(n, np.int32)
    for k in range(n):
        place[order[k]] = k
    return _solve_in_envelope(start, other, by, ground, right, order, place)


@compiled
def _neighbours(n: int, first: Ints, second: Ints, weight: Floats) -> tuple[Ints, Ints, Floats]:
    """Links by node: those of node i are start[i] to start[i + 1]."""
    start = np.zeros(n + 1, np.int32)
    for k in range(len(first)):
        start[first[k] + 1] += 1
        start[second[k] + 1] += 1
    for i in range(n):
        start[i + 1] += start[i]
    filled = start[:-1].copy()
    other = np.empty(2 * len(first), np.int32)
    by = np.empty(2 * len(first))
    for k in range(len(first)):
        i, j = first[k], second[k]
        other[filled[i]], by[filled[i]] = j, weight[k]
        other[filled[j]], by[filled[j]] = i, weight[k]
        filled[i] += 1
        filled[j] += 1
    return start, other, by


@compiled
def _levels_order(n: int, start: Ints, other: Ints) -> Ints:
    """Nodes by their distance from one end of each part of the graph, backwards."""
    order = np.empty(n, np.int32)
    seen = np.zeros(n, np.int32)
    done = 0
    for root in range(n):
        if seen[root] == 0:
            end = _walk(root, start, other, order, done, seen, 1)
            end = _walk(order[end - 1], start, other, order, done, seen, 2)
            done = _walk(order[end - 1], start, other, order, done, seen, 3)
    return order[::-1].copy()


@compiled
def _walk(root: int, start: Ints, other: Ints, order: Ints, done: int, seen: Ints, turn: int) -> int:
    """Breadth-first walk that writes its part of the graph into `order`, from `done` on."""
    order[done] = root
    seen[root] = turn
    end = done + 1
    k = done
    while k < end:
        i = order[k]
        for link in range(start[i], start[i + 1]):
            j = other[link]
            if seen[j] < turn:
                seen[j] = turn
                order[end] = j
                end += 1
        k += 1
    return end


@compiled
def _solve_in_envelope(
    start: Ints, other: Ints, by: Floats, ground: Floats, right: Floats, order: Ints, place: Ints
) -> Floats:
    n = len(right)
    leftmost, rightmost = np.arange(n), np.arange(n)
    shift = np.empty(n, np.int64)
    size = 0
    for k in range(n):
        i = order[k]
        for link in range(start[i], start[i + 1]):
            leftmost[k] = min(leftmost[k], place[other[link]])
        shift[k] = size - leftmost[k]
        size += k - leftmost[k]
        for before in range(leftmost[k], k):
            rightmost[before] = k
    coupling = np.zeros(size)
    to_ground, solution = np.empty(n), np.empty(n)
    for k in range(n):
        i = order[k]
        to_ground[k], solution[k] = ground[i], right[i]
        for link in range(start[i], start[i + 1]):
            if place[other[link]] < k:
                coupling[shift[k] + place[other[link]]] += by[link]
    _eliminate(leftmost, rightmost, shift, coupling, to_ground, solution)
    result = np.empty(n)
    for k in range(n):
        result[order[k]] = solution[k]
    return result


@compiled
def _eliminate(leftmost: Longs, rightmost: Longs, shift: Longs, coupling: Floats, ground: Floats, z: Floats) -> None:
    """Take out one node after the other and tie its neighbours together, then go back."""
    n = len(z)
    column, pivots = np.zeros(n), np.zeros(n)
    for k in range(n):
        last = rightmost[k] + 1
        pivot = ground[k]
        for i in range(k + 1, last):
            column[i] = coupling[shift[i] + k] if leftmost[i] <= k else 0.0
            pivot += column[i]
        pivots[k] = pivot
        if pivot == 0.0:
            continue
        for i in range(k + 1, last):
            if column[i] > 0.0:
                share = column[i] / pivot
                ground[i] += share * ground[k]
                z[i] += share * z[k]
                row = shift[i]
                for j in range(k + 1, i):
                    coupling[row + j] += share * column[j]
    for k in range(n - 1, -1, -1):
        if pivots[k] == 0.0:
            z[k] = 0.0
            continue
        for i in range(k + 1, rightmost[k] + 1):
            if leftmost[i] <= k:
                z[k] += coupling[shift[i] + k] * z[i]
        z[k] /= pivots[k]
