r"""Rims: the circles at which the cells of sites with limited reach end.

The circles of two neighbours cut their common edge at the same point, so cells and the unserved region fit together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.compiled import compiled

if TYPE_CHECKING:
    from d2oc.transport.power_cells import Polygon, Sites

RIM = -2
"""Label of an edge on the rim."""

RIM_PIECE = 2.0 * math.pi / 256.0
"""Longest angle of a chord that stands for a piece of a rim; its area is kept. [rad]"""

ROUGH_RIM_PIECE = 2.0 * math.pi / 24.0
"""The same while only an approximate answer is wanted: measuring a rim takes as long as it has chords. [rad]"""

LEAST_PIECES = 4
"""Chords of a short arc."""


@compiled
def radius(sites: Sites, offset: Floats, i: int) -> float:
    r"""Reach of site i, :math:`\sqrt{\psi_i}`, or 0 where the potential is negative. [cells]"""
    potential = 2.0 * offset[i] + sites.x[i] ** 2 + sites.y[i] ** 2
    return np.sqrt(potential) if potential > 0.0 else 0.0


@compiled
def beyond(sites: Sites, offset: Floats, i: int, px: float, py: float) -> float:
    """Squared distance of a point to site i, less the squared reach. [cells^2]"""
    return px * px + py * py - 2.0 * (px * sites.x[i] + py * sites.y[i] + offset[i])


@compiled
def _inside_part(start: float, middle: float, square: float) -> tuple[float, float]:
    """Where start + 2 middle t + square t^2 <= 0 for t in [0, 1]; the second is below the first if nowhere."""
    root = middle * middle - square * start
    if root <= 0.0 or square == 0.0:
        return 1.0, 0.0
    root = np.sqrt(root)
    far = -middle + root if middle < 0.0 else -(middle + root)
    one, other = far / square, start / far
    return max(0.0, min(one, other)), min(1.0, max(one, other))


@compiled
def cut_by_rim(sites: Sites, offset: Floats, polygon: Polygon, now: int, n: int, i: int) -> tuple[int, int]:
    """Keep what is within the reach of site i: edges with a part inside, joined by arcs."""
    reach = radius(sites, offset, i)
    farthest = 0.0
    for k in range(n):
        farthest = max(farthest, beyond(sites, offset, i, polygon.x[now, k], polygon.y[now, k]))
    if farthest <= 0.0:
        return now, n
    if reach == 0.0:
        return now, 0
    x, y, label = polygon.x[now], polygon.y[now], polygon.label[now]
    new_x, new_y, new_label = polygon.x[1 - now], polygon.y[1 - now], polygon.label[1 - now]
    m = 0
    first_edge = last_edge = -1
    for k in range(n):
        after = k + 1 if k + 1 < n else 0
        dx, dy = x[after] - x[k], y[after] - y[k]
        middle = dx * (x[k] - sites.x[i]) + dy * (y[k] - sites.y[i])
        enter, leave = _inside_part(beyond(sites, offset, i, x[k], y[k]), middle, dx * dx + dy * dy)
        if leave <= enter:
            continue
        px, py = x[k] + enter * dx, y[k] + enter * dy
        if first_edge < 0:
            first_edge = k
        elif enter > 0.0:
            m = _arc(sites, i, reach, new_x, new_y, new_label, m, px, py, False)
        new_x[m], new_y[m], new_label[m] = px, py, label[k]
        m += 1
        last_edge = k
        if leave < 1.0:  # the corner where an arc begins
            new_x[m], new_y[m], new_label[m] = x[k] + leave * dx, y[k] + leave * dy, RIM
            m += 1
    if m == 0:
        inside = abs(sites.x[i]) < sites.half_width and abs(sites.y[i]) < sites.half_height
        if not inside or not _around(x, y, n, sites.x[i], sites.y[i]):
            return now, 0
        new_x[0], new_y[0], new_label[0] = sites.x[i] + reach, sites.y[i], RIM
        return 1 - now, _arc(sites, i, reach, new_x, new_y, new_label, 1, new_x[0], new_y[0], True)
    if new_label[m - 1] == RIM:
        m = _arc(sites, i, reach, new_x, new_y, new_label, m, new_x[0], new_y[0], first_edge == last_edge)
    return 1 - now, m if m > 2 else 0


@compiled
def _around(x: Floats, y: Floats, n: int, px: float, py: float) -> bool:
    """Whether a point is inside an anticlockwise convex polygon."""
    for k in range(n):
        after = k + 1 if k + 1 < n else 0
        if (x[after] - x[k]) * (py - y[k]) - (y[after] - y[k]) * (px - x[k]) < 0.0:
            return False
    return True


@compiled
def _arc(
    sites: Sites, i: int, reach: float, x: Floats, y: Floats, label: Ints, m: int, px: float, py: float, whole: bool
) -> int:
    """Append the inner corners of the arc from the last corner anticlockwise to a point."""
    ax, ay = x[m - 1] - sites.x[i], y[m - 1] - sites.y[i]
    bx, by = px - sites.x[i], py - sites.y[i]
    angle = math.atan2(ax * by - ay * bx, ax * bx + ay * by)
    if angle <= 0.0:
        angle += 2.0 * math.pi
        if not whole and angle > 2.0 * math.pi - 1e-6:
            return m  # a corner on the circle, a rounding error past it
    pieces = max(LEAST_PIECES, int(np.ceil(angle / sites.rim_piece)))
    step = angle / pieces
    # The inner corners move out so that the chords enclose the sector's area: for equal pieces the
    # triangles' sum (p - 2) s^2 sin + 2 s sin equals p step, in units of the radius.
    p, sine = float(pieces), np.sin(step)
    ratio = step / sine if sine > 1e-12 else 1.0
    out = (-1.0 + np.sqrt(1.0 + (p - 2.0) * p * ratio)) / (p - 2.0)
    start = math.atan2(ay, ax)
    for k in range(1, pieces):
        if m >= len(x):
            break
        x[m] = sites.x[i] + reach * out * math.cos(start + k * step)
        y[m] = sites.y[i] + reach * out * math.sin(start + k * step)
        label[m] = RIM
        m += 1
    return m
