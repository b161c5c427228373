r"""Staying inside: the edges of the field and of its no-fly zones as walls that a vehicle can always stop before.

For a position p and a wall segment with nearest point c, the line through c across :math:`n = (p - c) / |p - c|`
separates p from the whole segment. As long as the speed of approach :math:`-v \cdot n` leaves room to stop before that
line, the vehicle never crosses the segment. With distance d, braking b and delay :math:`\tau` the largest such speed is

.. math:: s = b \left( -\tfrac{\tau}{2} + \sqrt{\tfrac{\tau^2}{4} + \tfrac{2 d}{b}} \right),

the root of :math:`s \tau / 2 + s^2 / (2 b) = d`; without inertia (:math:`b = \infty`) it is :math:`2 d / \tau`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.field import Field

CLEARANCE_M = 0.02
"""Vehicles keep this far from a wall. [m]"""
ROUNDS = 40
"""Rounds of alternating projections at the most."""


class Walls(NamedTuple):
    """Segments with the free side to the left of their direction."""

    start: Floats
    """Shape (w, 2). [m]"""
    along: Floats
    """From start to end, shape (w, 2). [m]"""
    inward: Floats
    """Unit normal towards the free side, shape (w, 2)."""


class Braking(NamedTuple):
    """How the agents of a team can slow down, by agent."""

    brake: Floats
    """Deceleration to count on, inf without inertia, shape (L,). [m/s^2]"""
    delay: Floats
    """Delay, in the formula above, shape (L,). [s]"""
    change: Floats
    """Largest change of velocity in one step, shape (L,). [m/s]"""
    speed: Floats
    """Largest speed, shape (L,). [m/s]"""


def walls_of(field: Field) -> Walls:
    """All edges of a field: the inside of the boundary and the outside of the zones are free."""
    rings = [_anticlockwise(field.boundary)]
    rings += [_anticlockwise(zone.boundary)[::-1] for zone in field.no_fly_zones]
    start = np.concatenate(rings)
    along = np.concatenate([np.roll(ring, -1, axis=0) - ring for ring in rings])
    inward = np.column_stack([-along[:, 1], along[:, 0]]) / np.linalg.norm(along, axis=1)[:, None]
    return Walls(start, along, inward)


def _anticlockwise(ring: Floats) -> Floats:
    x, y = ring.T
    doubled = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))
    return ring if doubled > 0 else ring[::-1]


@compiled
def nearest(walls: Walls, wall: int, x: float, y: float) -> tuple[float, float, float]:
    """Distance from a wall and the unit vector away from it."""
    dx, dy = x - walls.start[wall, 0], y - walls.start[wall, 1]
    ax, ay = walls.along[wall, 0], walls.along[wall, 1]
    share = min(max((dx * ax + dy * ay) / (ax * ax + ay * ay), 0.0), 1.0)
    dx -= share * ax
    dy -= share * ay
    distance = np.sqrt(dx * dx + dy * dy)
    if distance < 1e-9:
        return 0.0, walls.inward[wall, 0], walls.inward[wall, 1]
    return distance, dx / distance, dy / distance


@compiled
def reflected(walls: Walls, position: Floats, wanted: Floats, time_step: float) -> Floats:
    """Mirror the velocities that would cross a wall within one step.

    Parameters
    ----------
    walls : Walls
        The walls.
    position, wanted : ndarray, shape (L, 2)
        Where the agents are [m] and what they wish. [m/s]
    time_step : float
        Control period. [s]

    Returns
    -------
    velocity : ndarray, shape (L, 2)
        [m/s]
    """
    velocity = wanted.copy()
    for r in range(len(position)):
        for wall in range(len(walls.start)):
            distance, nx, ny = nearest(walls, wall, position[r, 0], position[r, 1])
            approach = -(velocity[r, 0] * nx + velocity[r, 1] * ny)
            if approach * time_step > max(distance - CLEARANCE_M, 0.0):
                velocity[r, 0] += 2.0 * approach * nx
                velocity[r, 1] += 2.0 * approach * ny
    return velocity


@compiled
def kept_inside(
    walls: Walls, braking: Braking, position: Floats, velocity: Floats, wanted: Floats, time_step: float
) -> Floats:
    """Velocities near the wanted ones with which every agent can still stop before every wall.

    They are found by alternating projections onto the half-planes of the walls, the disc of velocities that can be
    reached within a step, and the disc of allowed speeds.

    Parameters
    ----------
    walls : Walls
        The walls.
    braking : Braking
        What the vehicles can do.
    position, velocity, wanted : ndarray, shape (L, 2)
        Where the agents are [m], how they fly, and what they wish. [m/s]
    time_step : float
        Control period. [s]

    Returns
    -------
    velocity : ndarray, shape (L, 2)
        [m/s]
    """
    kept = wanted.copy()
    n_walls = len(walls.start)
    away = np.empty((n_walls, 2))
    fastest = np.empty(n_walls)
    for r in range(len(position)):
        for wall in range(n_walls):
            distance, nx, ny = nearest(walls, wall, position[r, 0], position[r, 1])
            flown = max(0.0, -0.5 * time_step * (velocity[r, 0] * nx + velocity[r, 1] * ny))
            room = max(distance - CLEARANCE_M - flown, 0.0)
            away[wall, 0], away[wall, 1] = nx, ny
            fastest[wall] = _approach(room, braking.brake[r], braking.delay[r])
        for _ in range(ROUNDS):
            moved = _to_disc(kept[r], velocity[r], braking.change[r])
            moved |= _to_disc(kept[r], np.zeros(2), braking.speed[r])
            moved |= _to_walls(kept[r], away, fastest)
            if not moved:
                break
    return kept


@compiled
def _approach(room: float, brake: float, delay: float) -> float:
    if brake == np.inf:
        return 2.0 * room / delay
    return brake * (-0.5 * delay + np.sqrt(0.25 * delay * delay + 2.0 * room / brake))


@compiled
def _to_disc(point: Floats, centre: Floats, radius: float) -> bool:
    dx, dy = point[0] - centre[0], point[1] - centre[1]
    distance = np.sqrt(dx * dx + dy * dy)
    if distance <= radius * (1 + 1e-12):
        return False
    point[0] = centre[0] + dx * radius / distance
    point[1] = centre[1] + dy * radius / distance
    return True


@compiled
def _to_walls(velocity: Floats, away: Floats, fastest: Floats) -> bool:
    moved = False
    for wall in range(len(away)):
        excess = -(velocity[0] * away[wall, 0] + velocity[1] * away[wall, 1]) - fastest[wall]
        if excess > 1e-12:
            velocity[0] += excess * away[wall, 0]
            velocity[1] += excess * away[wall, 1]
            moved = True
    return moved
