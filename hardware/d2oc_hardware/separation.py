"""Two drones, one gap: what each may do so that both together cannot meet.

Each of the two keeps to its half of the gap between them, and clear of the way on which the other would stop. If both
get a new command, the halves are disjoint; if one gets it and the other brakes, the way of the other is clear; if
both brake, each stays on a way that was clear before. Drones whose heights stay apart, however both brake, need no
gap over ground and each keeps to its half of the gap of heights instead. What a teammate may have done since it was
last heard widens it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from d2oc_hardware.frames import Velocity
from d2oc_hardware.keep_out import Capsule, Obstacle, segments_apart
from d2oc_hardware.promise import Limits, Motion, Teammate, heights, way_over_ground


def unheard(mate: Teammate, limits: Limits) -> float:
    """How much farther than from where it was last heard a teammate may come over ground. [m]

    In the time t it moves by v t, and t a more speed lengthens its way to a stop by less than v t again.
    """
    return min(limits.unknown_reach, 2.0 * limits.max_speed * max(0.0, mate.motion.age))


def is_far(motion: Motion, mate: Teammate, limits: Limits) -> bool:
    """Whether the two cannot meet whatever both do next."""
    there = mate.motion.place
    gap = math.hypot(there.east - motion.place.east, there.north - motion.place.north) - unheard(mate, limits)
    return gap >= limits.separation + 2.0 * limits.longest_way


def stop_heights(motion: Motion, command: Velocity, limits: Limits) -> tuple[float, float]:
    """Heights at which a drone may be until it stands if it brakes now, lowest and highest. [m]"""
    rates = (motion.velocity.up, command.up)
    return heights(motion.place, rates, limits.latency + limits.vertical_stopping_time(max(map(abs, rates))))


def mate_heights(mate: Teammate, limits: Limits) -> tuple[float, float]:
    """The same of a teammate, with what it may have done since it was heard. [m]"""
    low, high = stop_heights(mate.motion, mate.command, limits)
    more = 2.0 * limits.max_climb * max(0.0, mate.motion.age)
    bottom, top = mate.band
    up = mate.motion.place.up
    return min(max(low - more, bottom), up), max(min(high + more, top), up)


def band_left(motion: Motion, command: Velocity, mate: Teammate, limits: Limits) -> tuple[float, float] | None:
    """Heights left to a drone beside a teammate; None where their heights do not stay apart if both brake.

    Both drones ask the same of the same numbers, so that both get the same answer.

    Parameters
    ----------
    motion : Motion
        Of the drone.
    command : Velocity
        That it was given last.
    mate : Teammate
        The other.
    limits : Limits
        Of both.
    """
    low, high = mate_heights(mate, limits)
    own_low, own_high = stop_heights(motion, command, limits)
    gap, here, there = limits.height_separation, motion.place.up, mate.motion.place.up
    if own_low - high >= gap:
        return max(high + gap, 0.5 * (here + there + gap)), math.inf
    if low - own_high >= gap:
        return -math.inf, min(low - gap, 0.5 * (here + there - gap))
    return None


class Beside(NamedTuple):
    """A teammate that is kept apart from over ground, as it is seen from a place."""

    name: str
    distance: float
    """[m]"""
    normal: tuple[float, float]
    """Unit vector to it."""
    grown: float
    """How much farther it may be than where it was heard. [m]"""
    way: Capsule
    """On which it would stop."""


def beside(motion: Motion, mate: Teammate, limits: Limits) -> Beside:
    """How a drone sees a teammate, whatever it does next."""
    there = mate.motion.place
    x, y = there.east - motion.place.east, there.north - motion.place.north
    distance = math.hypot(x, y)
    normal = (x / distance, y / distance) if distance > 1e-9 else (1.0, 0.0)
    velocity, command = mate.motion.velocity, mate.command
    time = limits.latency + limits.stopping_time(max(velocity.horizontal, command.horizontal))
    return Beside(
        mate.name, distance, normal, unheard(mate, limits), way_over_ground(there, velocity, (command,), time)
    )


def too_near(capsule: Capsule, mate: Beside, limits: Limits) -> Obstacle | None:
    """Whether what a drone may come to reaches into a teammate's half of the gap, or into its way to a stop."""
    _, distance, normal, grown, theirs = mate
    forward = max(0.0, capsule.dx * normal[0] + capsule.dy * normal[1]) + capsule.radius
    apart = segments_apart(capsule[:4], theirs[:4]) - capsule.radius - theirs.radius
    if forward <= 0.5 * (distance - limits.separation - grown) and apart >= limits.separation + grown:
        return None
    return Obstacle(f"drone {mate.name}", normal)
