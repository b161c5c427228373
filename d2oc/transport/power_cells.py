r"""Cells of a power (Laguerre) diagram inside a rectangle, one at a time and exactly.

The cell of site i holds the points where :math:`|x - y_i|^2 - \psi_i` is smallest, or, without the common
:math:`|x|^2`, where the *level* :math:`y_i \cdot x + b_i` is highest, with the offset
:math:`b_i = (\psi_i - |y_i|^2) / 2`. A cell starts as the rectangle (cut by the neighbours it had in the last diagram)
and is cut by whichever site has the highest level at one of its corners, until none is higher at any corner. The cell
is convex and levels are linear, so this check at the corners is complete; the corner search skips blocks of sites
whose bound is too low.

With limited *reach* a cell also ends at its *rim*, the circle of radius :math:`\sqrt{\psi_i}` around its site. The
circles of two neighbours cut their common edge at the same point. An arc is given by chords whose inner corners lie
slightly outside, so that the area is right.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.transport.rims import RIM_PIECE, beyond, cut_by_rim

BLOCK = 16
"""Sites in one block of the search."""

WALL = -1
"""Label of an edge on the rectangle."""
SEEDS = 12
"""Neighbours remembered from one diagram to the next."""

ROUNDING = 2.0**-46
"""A level is only higher when it is so by this share of its terms; a shorter difference is rounding."""


class Sites(NamedTuple):
    """Sites in blocks of neighbours; the unit of length is one grid cell, the origin is the centre of the grid."""

    x: Floats
    """Shape (L,)."""
    y: Floats
    """Shape (L,)."""
    box: Floats
    """Bounding box (x min, y min, x max, y max) of each block, shape (blocks, 4)."""
    half_width: float
    """Half the width of the rectangle."""
    half_height: float
    """Half the height of the rectangle."""
    limited: bool
    """Whether cells end at the rim."""
    rim_piece: float
    """Longest angle of a chord that stands for a piece of a rim. [rad]"""


class Polygon(NamedTuple):
    """Two polygons to cut back and forth; edge k runs from corner k to the next and carries label k."""

    x: Floats
    """Shape (2, capacity)."""
    y: Floats
    label: Ints
    checked: Flags
    """Corners at which no other site has a higher level."""
    side: Floats
    """Where the corners lie with respect to the line of the cut, shape (capacity,)."""
    used: Ints
    """Last cell each site has cut, shape (L,)."""


def blocked_order(points: Floats) -> NDArray[Any]:
    """Order in which neighbours come together: strips from west to east, each from south to north."""
    n = len(points)
    strips = max(1, round(math.sqrt(n / BLOCK)))
    by_x = np.argsort(points[:, 0], kind="stable")
    strip = np.empty(n, np.int64)
    strip[by_x] = np.arange(n) * strips // n
    return np.lexsort((points[:, 1], strip))


def sites_of(
    points: Floats, half_width: float, half_height: float, limited: bool, rim_piece: float = RIM_PIECE
) -> Sites:
    """Sites in the given order, which `blocked_order` should have made."""
    first = np.arange(0, len(points), BLOCK)
    low, high = np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    return Sites(x, y, np.column_stack([low, high]), half_width, half_height, limited, rim_piece)


@compiled
def new_polygon(n_sites: int) -> Polygon:
    """Working memory for cells."""
    room = 4 * n_sites + 512
    return Polygon(
        np.empty((2, room)), np.empty((2, room)), np.empty((2, room), np.int32), np.empty((2, room), np.bool_),
        np.empty(room), np.full(n_sites, -1, np.int32),
    )  # fmt: skip


@compiled
def block_tops(offset: Floats, tops: Floats) -> None:
    """Largest offset of each block."""
    for block in range(len(tops)):
        tops[block] = offset[block * BLOCK : (block + 1) * BLOCK].max()


@compiled
def highest(
    sites: Sites, offset: Floats, tops: Floats, px: float, py: float, above: float, used: Ints, cell: int
) -> int:
    """Site with the highest level at a point, -1 if none is above `above`; sites that have cut `cell` are left out."""
    who = -1
    for block in range(len(tops)):
        bound = tops[block] + max(px * sites.box[block, 0], px * sites.box[block, 2])
        bound += max(py * sites.box[block, 1], py * sites.box[block, 3])
        if bound <= above:
            continue
        for j in range(block * BLOCK, min(len(offset), (block + 1) * BLOCK)):
            level = px * sites.x[j] + py * sites.y[j] + offset[j]
            if level > above and used[j] != cell:
                above = level
                who = j
    return who


@compiled
def cut(polygon: Polygon, now: int, n: int, a: float, b: float, c: float, label: int) -> tuple[int, int]:
    """Keep the part of a polygon where a x + b y + c <= 0.

    Parameters
    ----------
    polygon : Polygon
        Changed in place.
    now : int
        Which of the two polygons holds the corners.
    n : int
        Number of corners.
    a, b, c : float
        The line.
    label : int
        Label of the new edge.

    Returns
    -------
    now, n : int
        The same after the cut.
    """
    x, y, side = polygon.x[now], polygon.y[now], polygon.side
    outside = 0
    for k in range(n):
        side[k] = a * x[k] + b * y[k] + c
        outside += side[k] > 0.0
    if outside == 0:
        return now, n
    if outside == n:
        return now, 0
    old_label, old_checked = polygon.label[now], polygon.checked[now]
    new_x, new_y = polygon.x[1 - now], polygon.y[1 - now]
    new_label, new_checked = polygon.label[1 - now], polygon.checked[1 - now]
    m = 0
    for k in range(n):
        after = k + 1 if k + 1 < n else 0
        if side[k] <= 0.0:
            new_x[m], new_y[m], new_checked[m] = x[k], y[k], old_checked[k]
            new_label[m] = label if side[k] == 0.0 and side[after] > 0.0 else old_label[k]
            m += 1
        if (side[k] < 0.0 and side[after] > 0.0) or (side[k] > 0.0 and side[after] < 0.0):
            share = side[k] / (side[k] - side[after])
            new_x[m] = x[k] + share * (x[after] - x[k])
            new_y[m] = y[k] + share * (y[after] - y[k])
            new_label[m] = label if side[k] < 0.0 else old_label[k]
            new_checked[m] = False
            m += 1
    return 1 - now, m if m > 2 else 0


@compiled
def _cut_by_site(sites: Sites, offset: Floats, polygon: Polygon, now: int, n: int, i: int, j: int) -> tuple[int, int]:
    polygon.used[j] = i
    a, b, c = sites.x[j] - sites.x[i], sites.y[j] - sites.y[i], offset[j] - offset[i]
    if a == 0.0 and b == 0.0:
        return now, n
    return cut(polygon, now, n, a, b, c, j)


@compiled
def power_cell(sites: Sites, offset: Floats, tops: Floats, i: int, seeds: Ints, polygon: Polygon) -> tuple[int, int]:
    """Corners of the cell of site i, anticlockwise.

    Parameters
    ----------
    sites : Sites
        All sites.
    offset : ndarray, shape (L,)
        Offsets b. [cells^2]
    tops : ndarray, shape (blocks,)
        Largest offset of each block.
    i : int
        Whose cell.
    seeds : ndarray of int32, shape (SEEDS,)
        Sites to cut by first, ended by -1; receives the neighbours found.
    polygon : Polygon
        Receives the cell.

    Returns
    -------
    now, n : int
        Which of the two polygons holds the corners, and how many; 0 if the cell is empty.
    """
    w, h = sites.half_width, sites.half_height
    for k in range(4):
        polygon.x[0, k] = -w if k == 0 or k == 3 else w
        polygon.y[0, k] = -h if k < 2 else h
        polygon.label[0, k] = WALL
        polygon.checked[0, k] = False
    polygon.used[i] = i
    now, n = 0, 4
    for k in range(len(seeds)):
        if seeds[k] < 0 or n == 0:
            break
        now, n = _cut_by_site(sites, offset, polygon, now, n, i, seeds[k])
    rounding = ROUNDING * (abs(offset[i]) + abs(sites.x[i]) * w + abs(sites.y[i]) * h)
    k = 0
    while k < n:
        if polygon.checked[now, k]:
            k += 1
            continue
        px, py = polygon.x[now, k], polygon.y[now, k]
        level = px * sites.x[i] + py * sites.y[i] + offset[i]
        j = highest(sites, offset, tops, px, py, level + rounding, polygon.used, i)
        if j < 0:
            polygon.checked[now, k] = True
            k += 1
        else:
            now, n = _cut_by_site(sites, offset, polygon, now, n, i, j)
            k = 0
    _remember(polygon.label[now], n, seeds)
    if sites.limited and n > 0:
        now, n = cut_by_rim(sites, offset, polygon, now, n, i)
    polygon.used[i] = -1
    return now, n


@compiled
def _remember(label: Ints, n: int, seeds: Ints) -> None:
    m = 0
    for k in range(n):
        if label[k] >= 0 and m < len(seeds):
            seeds[m] = label[k]
            m += 1
    if m < len(seeds):
        seeds[m] = -1


@compiled
def owners(sites: Sites, offset: Floats, px: Floats, py: Floats) -> Ints:
    """Site whose cell holds each point, -1 beyond every rim."""
    tops = np.empty(len(sites.box))
    block_tops(offset, tops)
    nobody = np.full(len(offset), -1, np.int32)
    owner = np.empty(len(px), np.int32)
    for k in range(len(px)):
        i = highest(sites, offset, tops, px[k], py[k], -np.inf, nobody, 0)
        owner[k] = -1 if sites.limited and beyond(sites, offset, i, px[k], py[k]) > 0.0 else i
    return owner
