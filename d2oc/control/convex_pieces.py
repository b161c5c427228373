"""Polygons in convex pieces: the hull of a boundary, the pockets between the two, triangles of what is not convex."""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats


def hull_edges(ring: Floats) -> tuple[Floats, Floats]:
    r"""Lines of the convex hull.

    Parameters
    ----------
    ring : ndarray, shape (v, 2)
        Corners in either direction. [m]

    Returns
    -------
    normal, offset : ndarray, shape (E, 2) and (E,)
        The hull is where :math:`n_e \cdot x \le b_e` for all e, n of length one.
    """
    corner = ring[hull_corners(ring)]
    step = np.roll(corner, -1, axis=0) - corner
    normal = np.column_stack([step[:, 1], -step[:, 0]]) / np.linalg.norm(step, axis=1)[:, None]
    return normal, (normal * corner).sum(axis=1)


def hull_corners(ring: Floats) -> list[int]:
    """Which corners span the convex hull, anticlockwise (monotone chain, Andrew 1979)."""
    order = np.lexsort((ring[:, 1], ring[:, 0])).tolist()
    lower, upper = _chain(ring, order), _chain(ring, order[::-1])
    return lower[:-1] + upper[:-1]


def _chain(ring: Floats, order: list[int]) -> list[int]:
    chain: list[int] = []
    for i in order:
        while len(chain) > 1 and _turn(ring[chain[-2]], ring[chain[-1]], ring[i]) <= 0:
            chain.pop()
        chain.append(i)
    return chain


def pockets(ring: Floats) -> list[Floats]:
    """Polygons between a ring and its convex hull; none if the ring is convex."""
    on_hull = sorted(hull_corners(ring))
    result = []
    for i, start in enumerate(on_hull):
        end = on_hull[(i + 1) % len(on_hull)]
        between = (end - start) % len(ring)
        chain = ring[(start + np.arange(between + 1)) % len(ring)]
        if between > 1 and abs(_area(chain)) > 0:
            result.append(chain)
    return result


def convex_pieces(ring: Floats) -> list[Floats]:
    """A simple polygon as convex pieces, corners anticlockwise: itself if convex, triangles if not.

    Ears are cut off one by one (Meisters 1975), which takes O(v^3) steps at most; zones have few corners.
    """
    ring = _without_straight_corners(ring if _area(ring) > 0 else ring[::-1])
    if len(ring) < 3:
        return []
    turns = [_turn(ring[i - 2], ring[i - 1], ring[i]) for i in range(len(ring))]
    if min(turns) > 0:
        return [ring]
    left, pieces = list(range(len(ring))), []
    while len(left) > 3:
        i = _ear(ring, left)
        before, after = left[i - 1], left[(i + 1) % len(left)]
        if _turn(ring[before], ring[left[i]], ring[after]) > 0:
            pieces.append(ring[[before, left[i], after]])
        left.pop(i)
    return [*pieces, ring[left]]


def _ear(ring: Floats, left: list[int]) -> int:
    """A corner whose triangle with its neighbours holds no other corner; a straight corner also goes."""
    n = len(left)
    for i in range(n):
        a, b, c = ring[left[i - 1]], ring[left[i]], ring[left[(i + 1) % n]]
        turn = _turn(a, b, c)
        if turn == 0:
            return i
        others = [ring[j] for j in left if j not in (left[i - 1], left[i], left[(i + 1) % n])]
        if turn > 0 and not any(_turn(a, b, p) >= 0 and _turn(b, c, p) >= 0 and _turn(c, a, p) >= 0 for p in others):
            return i
    return int(np.argmax([_turn(ring[left[i - 1]], ring[left[i]], ring[left[(i + 1) % n]]) for i in range(n)]))


def _without_straight_corners(ring: Floats) -> Floats:
    n = len(ring)
    return ring[[i for i in range(n) if _turn(ring[i - 1], ring[i], ring[(i + 1) % n]) != 0]]


def _turn(a: Floats, b: Floats, c: Floats) -> float:
    """Twice the area of a triangle, positive anticlockwise."""
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _area(ring: Floats) -> float:
    after = np.roll(ring, -1, axis=0)
    return float((ring[:, 0] * after[:, 1] - ring[:, 1] * after[:, 0]).sum() / 2)
