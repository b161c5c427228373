r"""What a vehicle promises to the guard, how it moves, and what that means for how far it comes before it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from d2oc_hardware.frames import Place, Velocity
from d2oc_hardware.keep_out import Capsule

GRAVITY = 9.81


@dataclass(frozen=True)
class Limits:
    r"""What a vehicle may do, and what it promises; SI units.

    The promise: told to stand still, it starts to after `latency` at the latest and then loses speed v at least as fast
    as :math:`\min(v / \tau, a)`, :math:`\tau` its response time and a its braking; a change of velocity goes the
    straight way.
    """

    period: float = 0.1
    """Between two commands, at most. [s]"""
    latency: float = 0.2
    """Until a command acts, at most. [s]"""
    response: float = 0.5
    """Time constant of the velocity loop, at most. [s]"""
    braking: float = 2.0
    """Deceleration that it reaches at least. [m/s^2]"""
    vertical_braking: float = 1.0
    """[m/s^2]"""
    max_speed: float = 6.0
    """Over ground. [m/s]"""
    max_climb: float = 1.5
    """Up or down. [m/s]"""
    max_tilt: float = math.radians(25.0)
    """No command asks for more. [rad]"""
    lowest: float = 2.0
    """Of the altitude band, above the datum of the field. [m]"""
    highest: float = 20.0
    """[m]"""
    margin: float = 1.5
    """To fence and zones; it also carries the error of the position. [m]"""
    separation: float = 3.0
    """Between drones over ground. [m]"""
    height_separation: float = 1.2
    """Between drones one above the other. [m]"""
    unknown_reach: float = 15.0
    """A silent teammate's uncertainty stops growing here: its autopilot is taking it home. [m]"""

    def stopping_time(self, speed: float) -> float:
        r"""Time for which the speed of this moment covers the way to a stop: :math:`\tau + v / 2 a`. [s]"""
        return self.response + speed / (2.0 * self.braking)

    def vertical_stopping_time(self, rate: float) -> float:
        """The same for climbing and sinking. [s]"""
        return self.response + rate / (2.0 * self.vertical_braking)

    @property
    def longest_way(self) -> float:
        """How far a vehicle comes at most from a command on. [m]"""
        return self.max_speed * (self.period + self.latency + self.stopping_time(self.max_speed))


class Motion(NamedTuple):
    """How a vehicle moves, as it last said."""

    place: Place
    velocity: Velocity
    age: float
    """Since it was so. [s]"""


class Teammate(NamedTuple):
    """What another drone last said of itself."""

    name: str
    motion: Motion
    command: Velocity
    """What its own guard let pass last."""
    band: tuple[float, float]
    """Heights it keeps to, as far as is known: (0, inf) while it takes off or lands. [m]"""


def way_over_ground(place: Place, first: Velocity, others: Sequence[Velocity], time: float) -> Capsule:
    """All places that a vehicle may come to: convex mixtures of velocities and rest, for a time.

    Parameters
    ----------
    place : Place
        Where it is.
    first : Velocity
        Velocity along which the capsule lies.
    others : sequence of Velocity
        The rest of them.
    time : float
        [s]
    """
    radius = max((math.hypot(w.east - first.east, w.north - first.north) for w in others), default=0.0)
    return Capsule(place.east, place.north, first.east * time, first.north * time, radius * time)


def heights(place: Place, rates: Sequence[float], time: float) -> tuple[float, float]:
    """Lowest and highest place that a vehicle may come to at mixtures of climb rates and rest, for a time. [m]"""
    return place.up + min(0.0, *rates) * time, place.up + max(0.0, *rates) * time
