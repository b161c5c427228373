r"""Direct solution of small sparse symmetric systems: Cholesky inside the envelope, after Cuthill and McKee.

The matrices of power diagrams are graph Laplacians of planar graphs: ordered by distance in the graph [1]_, row i has its first
entry about :math:`\sqrt{L}` before the diagonal, and a Cholesky factor fills only what lies between [2]_. For the
sizes here that is faster than a general sparse solver, gives the same bits every time and runs inside compiled loops.

References
----------
.. [1] E. Cuthill and J. McKee, Proc. 24th ACM National Conference, 1969. :doi:`10.1145/800195.805928`
.. [2] A. George and J. W. Liu, Computer Solution of Large Sparse Positive Definite Systems, 1981, ch. 4.
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats, Ints, Longs
from d2oc.compiled import compiled

SMALLEST_PIVOT = 1e-14
"""A pivot below this share of its diagonal is rounding: its unknown stays where it is."""


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
    leftmost = np.empty(n, np.int64)
    shift = np.empty(n + 1, np.int64)
    size = 0
    for k in range(n):
        low = k
        i = order[k]
        for link in range(start[i], start[i + 1]):
            low = min(low, place[other[link]])
        leftmost[k] = low
        shift[k] = size - low
        size += k - low + 1
    factor = np.zeros(size)
    solution = np.empty(n)
    for k in range(n):
        i = order[k]
        diagonal = ground[i]
        for link in range(start[i], start[i + 1]):
            diagonal += by[link]
            if place[other[link]] < k:
                factor[shift[k] + place[other[link]]] -= by[link]
        factor[shift[k] + k] = diagonal
        solution[k] = right[i]
    _factorise(leftmost, shift, factor)
    _substitute(leftmost, shift, factor, solution)
    result = np.empty(n)
    for k in range(n):
        result[order[k]] = solution[k]
    return result


@compiled
def _dot(a: Floats, i: int, j: int, count: int) -> float:
    """Inner product of two runs of one array, in four sums that run side by side."""
    s0 = s1 = s2 = s3 = 0.0
    k = 0
    while k + 4 <= count:
        s0 += a[i + k] * a[j + k]
        s1 += a[i + k + 1] * a[j + k + 1]
        s2 += a[i + k + 2] * a[j + k + 2]
        s3 += a[i + k + 3] * a[j + k + 3]
        k += 4
    while k < count:
        s0 += a[i + k] * a[j + k]
        k += 1
    return (s0 + s1) + (s2 + s3)


@compiled
def _factorise(leftmost: Longs, shift: Longs, factor: Floats) -> None:
    for k in range(len(leftmost)):
        for j in range(leftmost[k], k):
            low = max(leftmost[k], leftmost[j])
            known = _dot(factor, shift[k] + low, shift[j] + low, j - low)
            factor[shift[k] + j] = (factor[shift[k] + j] - known) * factor[shift[j] + j]
        low = leftmost[k]
        diagonal = factor[shift[k] + k]
        pivot = diagonal - _dot(factor, shift[k] + low, shift[k] + low, k - low)
        held = not pivot > SMALLEST_PIVOT * diagonal
        factor[shift[k] + k] = 0.0 if held else 1.0 / np.sqrt(pivot)


@compiled
def _substitute(leftmost: Longs, shift: Longs, factor: Floats, z: Floats) -> None:
    """Forward and back; the factor's diagonal holds its reciprocals."""
    n = len(z)
    for k in range(n):
        for j in range(leftmost[k], k):
            z[k] -= factor[shift[k] + j] * z[j]
        z[k] *= factor[shift[k] + k]
    for k in range(n - 1, -1, -1):
        z[k] *= factor[shift[k] + k]
        for j in range(leftmost[k], k):
            z[j] -= factor[shift[k] + j] * z[k]
