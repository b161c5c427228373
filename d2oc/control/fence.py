"""The field's edge and no-fly zones as half-planes around a predicted path.

The boundary is its convex hull less the pockets between the two; pockets and zones are cut into convex pieces, and each
piece near the path is kept away from by a line that touches it (see :mod:`d2oc.control.half_planes` for the margin).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.compiled import compiled
from d2oc.control.convex_pieces import convex_pieces, hull_edges, pockets
from d2oc.control.half_planes import HalfPlanes, contiguous
from d2oc.field import Field


class Fence(NamedTuple):
    """Where a drone must not be: beyond lines, and inside convex pieces."""

    normal: Floats
    """Outward normals of the lines of the boundary's convex hull, shape (E, 2)."""
    offset: Floats
    """Their offsets, shape (E,). [m]"""
    corner: Floats
    """Corners of all pieces, anticlockwise, shape (V, 2). [m]"""
    first: Longs
    """Corners of piece z are first[z] to first[z + 1], shape (Z + 1,)."""


def fence_of(field: Field) -> Fence:
    """The field's edge and no-fly zones; what is not convex is cut into triangles.

    Parameters
    ----------
    field : Field
        Boundary and zones.

    Returns
    -------
    fence : Fence
    """
    normal, offset = hull_edges(field.boundary)
    forbidden = [*pockets(field.boundary), *(zone.boundary for zone in field.no_fly_zones)]
    pieces = [piece for ring in forbidden for piece in convex_pieces(ring)]
    corner = np.concatenate(pieces) if pieces else np.zeros((0, 2))
    first = np.cumsum([0, *(len(piece) for piece in pieces)]).astype(np.int64)
    return Fence(normal, offset, corner, first)


def keep_out(
    fence: Fence, position: Floats, path: Floats, margin: float, count: int, *, hard: bool = False
) -> HalfPlanes:
    """Half-planes that keep the positions inside the boundary and outside the pieces.

    At each step the `count` nearest lines and pieces get a half-plane; the others are taken to be out of reach. A path
    that runs into a piece is held back in front of it: the half-plane of the last position before it stays.

    Parameters
    ----------
    fence : Fence
        What to keep away from.
    position : ndarray, shape (2,)
        Where the drone is. [m]
    path : ndarray, shape (H, 2)
        Where it is expected to be at the steps 1 to H. [m]
    margin : float
        Distance to keep, at least `between_steps`. [m]
    count : int
        Half-planes at each step, P.
    hard : bool
        Whether they must hold rather than should.

    Returns
    -------
    half_planes : HalfPlanes
    """
    normal, offset = np.zeros((len(path), count, 2)), np.full((len(path), count), np.inf)
    n_all = len(fence.normal) + len(fence.first) - 1
    position, path = contiguous(position), contiguous(path)
    _keep_out(fence, position, path, margin, normal, offset, np.empty((n_all, 3)), np.empty(n_all))
    return HalfPlanes(normal, offset, np.full(count, hard))


@compiled
def _keep_out(
    fence: Fence,
    position: Floats,
    path: Floats,
    margin: float,
    normal: Floats,
    offset: Floats,
    every: Floats,
    clearance: Floats,
) -> None:
    n_lines, n_pieces = len(fence.normal), len(fence.first) - 1
    anchor = np.empty((n_pieces, 2))
    blocked = np.zeros(n_pieces, np.bool_)
    for z in range(n_pieces):
        anchor[z, 0], anchor[z, 1] = position[0], position[1]
    for h in range(len(path)):
        for e in range(n_lines):
            every[e, 0], every[e, 1] = fence.normal[e, 0], fence.normal[e, 1]
            every[e, 2] = fence.offset[e] - margin
        for z in range(n_pieces):
            piece = fence.corner[fence.first[z] : fence.first[z + 1]]
            blocked[z] = blocked[z] or segment_meets(piece, anchor[z], path[h])
            if not blocked[z]:
                anchor[z, 0], anchor[z, 1] = path[h, 0], path[h, 1]
            nx, ny, reach = support(piece, anchor[z])
            row = n_lines + z
            every[row, 0], every[row, 1], every[row, 2] = -nx, -ny, -(reach + margin)
        for i in range(len(every)):
            clearance[i] = every[i, 2] - every[i, 0] * path[h, 0] - every[i, 1] * path[h, 1]
        _take_nearest(every, clearance, normal[h], offset[h])


@compiled
def _take_nearest(every: Floats, clearance: Floats, normal: Floats, offset: Floats) -> None:
    """Those with the least clearance, in their old order: a half-plane that keeps its place helps warm starts."""
    taken = np.zeros(len(every), np.bool_)
    for _ in range(min(len(offset), len(every))):
        nearest = -1
        for i in range(len(every)):
            if not taken[i] and (nearest < 0 or clearance[i] < clearance[nearest]):
                nearest = i
        taken[nearest] = True
    p = 0
    for i in range(len(every)):
        if taken[i]:
            normal[p, 0], normal[p, 1], offset[p] = every[i, 0], every[i, 1], every[i, 2]
            p += 1


@compiled
def support(piece: Floats, point: Floats) -> tuple[float, float, float]:
    r"""Supporting line of a convex piece towards a point.

    Parameters
    ----------
    piece : ndarray, shape (v, 2)
        Corners, anticlockwise. [m]
    point : ndarray, shape (2,)
        Outside: the line goes through the nearest point of the piece, square to the way there. Inside: the line is the
        nearest edge. [m]

    Returns
    -------
    nx, ny, reach : float
        The piece lies in :math:`n \cdot x \le` reach, n of length one pointing away from it.
    """
    best, cx, cy = np.inf, 0.0, 0.0
    depth, ex, ey, e_reach = -np.inf, 1.0, 0.0, 0.0
    for i in range(len(piece)):
        x, y = piece[i, 0], piece[i, 1]
        dx, dy = piece[(i + 1) % len(piece), 0] - x, piece[(i + 1) % len(piece), 1] - y
        length = np.sqrt(dx * dx + dy * dy)
        out = ((point[0] - x) * dy - (point[1] - y) * dx) / length
        if out > depth:
            depth, ex, ey = out, dy / length, -dx / length
            e_reach = ex * x + ey * y
        t = min(max(((point[0] - x) * dx + (point[1] - y) * dy) / (length * length), 0.0), 1.0)
        qx, qy = x + t * dx, y + t * dy
        square = (point[0] - qx) ** 2 + (point[1] - qy) ** 2
        if square < best:
            best, cx, cy = square, qx, qy
    # Very near the edge the direction from the nearest point is lost in rounding.
    if depth <= 1e-6:
        return ex, ey, e_reach
    gap = np.sqrt(best)
    nx, ny = (point[0] - cx) / gap, (point[1] - cy) / gap
    return nx, ny, nx * cx + ny * cy


@compiled
def segment_meets(piece: Floats, start: Floats, end: Floats) -> bool:
    """Whether the segment from `start` to `end` has a point in a convex piece (Cyrus and Beck, 1978)."""
    enters, leaves = 0.0, 1.0
    for i in range(len(piece)):
        x, y = piece[i, 0], piece[i, 1]
        nx, ny = piece[(i + 1) % len(piece), 1] - y, x - piece[(i + 1) % len(piece), 0]
        from_start = nx * (start[0] - x) + ny * (start[1] - y)
        along = nx * (end[0] - start[0]) + ny * (end[1] - start[1])
        if along == 0.0:
            if from_start > 0.0:
                return False
        elif along < 0.0:
            enters = max(enters, -from_start / along)
        else:
            leaves = min(leaves, -from_start / along)
    return enters <= leaves
