r"""Half-planes on the predicted positions: other drones, staying in radio range, and what they share with fences.

Each keeps :math:`a \cdot p_h \le b` at the steps 1 to H of the horizon, and is chosen around a predicted path (the plan
of the last step, say). What the half-planes leave lies *inside* what is allowed: they may be stricter than the truth,
never laxer.

Between two steps a drone at most as fast as v is never farther than v T / 2 from both of its positions, whatever the
curve it flies. A distance of `between_steps(v, T)` at the steps therefore keeps the whole flight out of a zone; two
drones at the same moment come closer than at the nearer step by at most twice that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats
from d2oc.compiled import compiled
from d2oc.control.closed_form import TrackingProblem


class HalfPlanes(NamedTuple):
    r"""P half-planes :math:`a \cdot p_h \le b` on the position at each of the steps 1 to H."""

    normal: Floats
    """Outward normals a of length one, shape (H, P, 2)."""
    offset: Floats
    """Offsets b, shape (H, P); inf: no half-plane. [m]"""
    hard: Flags
    """Whether half-plane p is hard, shape (P,)."""


def no_half_planes(horizon: int) -> HalfPlanes:
    """The whole plane."""
    return HalfPlanes(np.zeros((horizon, 0, 2)), np.zeros((horizon, 0)), np.zeros(0, np.bool_))


def together(*parts: HalfPlanes) -> HalfPlanes:
    """Several sets of half-planes as one."""
    return HalfPlanes(
        np.concatenate([part.normal for part in parts], axis=1),
        np.concatenate([part.offset for part in parts], axis=1),
        np.concatenate([part.hard for part in parts]),
    )


def during(planes: HalfPlanes, first: int, count: int) -> HalfPlanes:
    """Those of `count` steps from index `first` on."""
    steps = slice(first, first + count)
    return HalfPlanes(planes.normal[steps], planes.offset[steps], planes.hard)


def contiguous(array: Floats) -> Floats:
    """The array itself or a copy in row order: compiled functions are compiled anew for every memory layout."""
    return np.ascontiguousarray(array, dtype=np.float64)


def between_steps(max_speed_m_s: float, time_step_s: float) -> float:
    """Distance to keep at the steps so that no point between them is reached: v T / 2. [m]"""
    return max_speed_m_s * time_step_s / 2


def keep_apart(
    position: Floats, path: Floats, other_position: Floats, other_path: Floats, distance: float, *, hard: bool = False
) -> HalfPlanes:
    r"""Half-planes towards other drones: each of a pair does half of what is needed.

    With p and q the expected positions of the pair and n from p to q, this drone keeps
    :math:`n \cdot p' \le n \cdot (p + q) / 2 - d / 2`. The other one's half-plane is the mirror image, so
    :math:`|p' - q'| \ge n \cdot (q' - p') \ge d` if both obey and both know the same two paths (buffered Voronoi
    cells [1]_).

    Parameters
    ----------
    position, path : ndarray, shape (2,) and (H, 2)
        Where this drone is, and is expected to be. [m]
    other_position, other_path : ndarray, shape (L, 2) and (L, H, 2)
        The same of L others. [m]
    distance : float
        Distance d to keep between the two, at least the wanted one plus twice `between_steps`. [m]
    hard : bool
        Whether they must hold rather than should.

    Returns
    -------
    half_planes : HalfPlanes
        One half-plane per other drone.

    References
    ----------
    .. [1] D. Zhou, Z. Wang, S. Bandyopadhyay and M. Schwager, "Fast, on-line collision avoidance for dynamic vehicles
       using buffered Voronoi cells", IEEE Robotics and Automation Letters 2(2), 2017.
    """
    count = len(other_position)
    normal, offset = np.zeros((len(path), count, 2)), np.zeros((len(path), count))
    position, path = contiguous(position), contiguous(path)
    other_position, other_path = contiguous(other_position), contiguous(other_path)
    for q in range(count):
        _keep_apart(position, path, other_position[q], other_path[q], distance, normal[:, q], offset[:, q])
    return HalfPlanes(normal, offset, np.full(count, hard))


@compiled
def _keep_apart(
    position: Floats,
    path: Floats,
    other_position: Floats,
    other_path: Floats,
    distance: float,
    normal: Floats,
    offset: Floats,
) -> None:
    nx, ny = other_position[0] - position[0], other_position[1] - position[1]
    gap = np.sqrt(nx * nx + ny * ny)
    nx, ny = (nx / gap, ny / gap) if gap > 0.0 else (1.0, 0.0)
    for h in range(len(path)):
        dx, dy = other_path[h, 0] - path[h, 0], other_path[h, 1] - path[h, 1]
        gap = np.sqrt(dx * dx + dy * dy)
        # Paths that pass through each other would turn the half-plane round: the side of before is kept.
        if dx * nx + dy * ny > 1e-9 * gap and gap > 0.0:
            nx, ny = dx / gap, dy / gap
        normal[h, 0], normal[h, 1] = nx, ny
        middle = nx * (path[h, 0] + other_path[h, 0]) / 2 + ny * (path[h, 1] + other_path[h, 1]) / 2
        offset[h] = middle - distance / 2


def stay_within(centre: Floats, radius: Floats, sides: int = 16, *, hard: bool = False) -> HalfPlanes:
    """Half-planes of polygons inscribed in discs, for staying in radio range of something that moves.

    Parameters
    ----------
    centre : ndarray, shape (H, 2)
        Middle of the disc at the steps 1 to H. [m]
    radius : ndarray, shape (H,)
        Its radius: the range, less the `reach` of what moves there. [m]
    sides : int
        Sides of the polygon, P.
    hard : bool
        Whether they must hold rather than should.

    Returns
    -------
    half_planes : HalfPlanes
    """
    angle = 2 * np.pi * np.arange(sides) / sides
    direction = np.column_stack([np.cos(angle), np.sin(angle)])
    normal = np.broadcast_to(direction, (len(centre), sides, 2)).copy()
    offset = centre @ direction.T + radius[:, None] * np.cos(np.pi / sides)
    return HalfPlanes(normal, offset, np.full(sides, hard))


def reach(problem: TrackingProblem, k: int, horizon: int, largest_input: Floats) -> Floats:
    r"""How far inputs can move the position away from where it drifts, at each step of the horizon.

    :math:`|p_h - f_h| \le \sum_j \sum_i \|(C \Phi_{h,j} B_j)_{\cdot i}\|\, \bar u_i`: the SUM of the column norms of
    the input-to-output matrix. The largest single column norm, as published [1]_, is not a bound: the columns add up.

    Parameters
    ----------
    problem : TrackingProblem
        Model.
    k : int
        Step of the mission at which the horizon begins.
    horizon : int
        Steps looked ahead, H.
    largest_input : ndarray, shape (m,)
        Largest absolute value of each input.

    Returns
    -------
    radius : ndarray, shape (H,)
        Radius around the position with zero input. [m]

    References
    ----------
    .. [1] K. Lee and E. Brook, 2025. arXiv:2511.18579
    """
    last = len(problem.A) - 1
    columns = np.zeros((problem.A.shape[1], 0))
    radius = np.zeros(horizon)
    for h in range(horizon):
        a, b = problem.A[min(k + h, last)], problem.B[min(k + h, last)]
        columns = np.hstack([a @ columns, b])
        norms = np.linalg.norm(problem.C @ columns, axis=0)
        radius[h] = norms @ np.tile(largest_input, h + 1)
    return radius
