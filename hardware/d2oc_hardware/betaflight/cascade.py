"""From a velocity to tilt and throttle: the loops that Betaflight does not have.

Betaflight takes angles and a throttle. What it says of its motion is ten positions a second, so between them the
velocity is carried on by the acceleration that the tilt means, and the tilt as it follows what it is told. Then, per
axis: acceleration = gain x (wanted velocity - velocity) + a slow integral, which stands still at the limit of the tilt
and in every change; tilt = atan(acceleration / g). Up and down: the wanted height moves with the wanted climb, its
error adds to the climb, the climb's error gives an acceleration, and the throttle is the hover's times the root of the
lift that this takes, for thrust goes with the square of a rotor's speed. The hover's throttle is not known beforehand:
it is found at take-off. What it is wrong by, and whatever else lifts or pulls, is an acceleration that the heights that
come make known, and that the lift makes up for.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from d2oc_hardware.frames import STANDSTILL, Place, Velocity
from d2oc_hardware.promise import GRAVITY

VELOCITY_GAIN = 1.5
"""[1/s]"""
VELOCITY_INTEGRAL = 0.4
"""[1/s^2]"""
NEARLY = 0.7
"""So near to the wanted velocity the integral grows; else every change would leave its mark. [m/s]"""
MOST_INTEGRAL = 2.0
"""Steady acceleration that the integral makes up for, against wind. [m/s^2]"""
MOST_DRIFT = 1.0
"""A velocity that came is taken as it is where the one that was carried on is farther away. [m/s]"""
MOST_TILT_DEG = 25.0
LEAN_S = 0.15
"""So late the body leans as it is told. [s]"""
PLACE_GAIN = 0.5
"""[1/s]"""
BRAKING = 1.5
"""On the way to a place. [m/s^2]"""
HEIGHT_GAIN = 0.6
"""[1/s]"""
CLIMB_GAIN = 1.5
"""[1/s]"""
HEIGHT_LEAD = 0.7
"""The wanted height does not run farther away from the height than this. [m]"""
FIX_SHARE = 0.5
"""Of the difference between a velocity that came and the one that was carried on."""
HEIGHT_PACE = 1.5
"""By which height, climb and what else lifts follow the heights that come: all three poles. [1/s]"""
HEIGHT_LATE_S, VELOCITY_LATE_S = 0.3, 0.1
"""So old are heights and velocities when they come; they are compared with what was reckoned then."""
MOST_PULL = 8.0
"""[m/s^2]"""
LEAST_THROTTLE, MOST_THROTTLE = 0.08, 0.9
LEAST_HOVER, MOST_HOVER = 0.15, 0.8


class Sticks(NamedTuple):
    """What goes to Betaflight in its angle mode."""

    roll: float
    """To the right. [rad]"""
    pitch: float
    """Nose down. [rad]"""
    throttle: float
    """0 to 1."""


IDLE = Sticks(0.0, 0.0, 0.0)


@dataclass
class Motion:
    """Where it is and how it moves, carried on between what comes.

    Attributes
    ----------
    east, north : float
        Velocity. [m/s]
    up, climb : float
        Height in the field frame [m], and its rate [m/s].
    pull : float
        What lifts beside the throttle as it is reckoned. [m/s^2]
    roll, pitch, yaw : float
        To the right, nose down, clockwise from north. [rad]
    """

    east: float = 0.0
    north: float = 0.0
    up: float = 0.0
    climb: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0
    pull: float = 0.0
    _time: float = 0.0
    _past: deque[tuple[float, float, float, float]] = field(default_factory=lambda: deque(maxlen=32))

    def carry_on(self, dt: float, lift: float, measured_up: float) -> None:
        """Let a while pass, with an acceleration of the lift along the body's axis upwards. [s], [m/s^2]"""
        ahead, right = GRAVITY * math.tan(self.pitch), GRAVITY * math.tan(self.roll)
        sin, cos = math.sin(self.yaw), math.cos(self.yaw)
        self.east += (ahead * sin + right * cos) * dt
        self.north += (ahead * cos - right * sin) * dt
        self.climb += (lift * math.cos(self.pitch) * math.cos(self.roll) - GRAVITY + self.pull) * dt
        self.up += self.climb * dt
        self._time += dt
        self._past.append((self._time, self.east, self.north, self.up))
        error, pace = measured_up - self._before(HEIGHT_LATE_S)[2], HEIGHT_PACE * dt
        self.pull = min(MOST_PULL, max(-MOST_PULL, self.pull + HEIGHT_PACE**2 * pace * error))
        climb = 3.0 * HEIGHT_PACE * pace * error
        self.climb += climb
        self._shift(0.0, 0.0, 3.0 * pace * error + climb * HEIGHT_LATE_S)

    def lean(self, dt: float, told: Sticks) -> None:
        """Between two attitudes that come, which may be a third of a second, the body leans on as it is told. [s]"""
        share = 1.0 - math.exp(-dt / LEAN_S)
        self.roll += share * (told.roll - self.roll)
        self.pitch += share * (told.pitch - self.pitch)

    def correct(self, velocity: Velocity) -> None:
        """A velocity over ground has come."""
        east, north, _ = self._before(VELOCITY_LATE_S)
        away = velocity.east - east, velocity.north - north
        share = FIX_SHARE if math.hypot(*away) < MOST_DRIFT else 1.0
        self._shift(share * away[0], share * away[1], 0.0)

    def _before(self, late: float) -> tuple[float, float, float]:
        """Velocity and height as they were reckoned a while ago. [s]"""
        for time, east, north, up in reversed(self._past):
            if time <= self._time - late:
                return east, north, up
        return self.east, self.north, self.up

    def _shift(self, east: float, north: float, up: float) -> None:
        """Correct what is reckoned now and was before: else the same error would be corrected again and again."""
        self.east, self.north, self.up = self.east + east, self.north + north, self.up + up
        for i, (time, e, n, u) in enumerate(self._past):
            self._past[i] = (time, e + east, n + north, u + up)

    def stand(self, up: float) -> None:
        """It stands on the ground at a height."""
        self.east = self.north = self.climb = self.pull = 0.0
        self.up = up
        self._past.clear()


@dataclass
class Cascade:
    """The loops and what they remember."""

    hover: float = 0.5
    """Throttle of the hover as it was found at take-off, 0 to 1."""
    wanted_up: float = 0.0
    """[m]"""
    throttle: float = 0.0
    """Of the last sticks."""
    _integral: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def begin(self, hover: float, up: float) -> None:
        """It has left the ground with this throttle, at this height."""
        self.hover = min(MOST_HOVER, max(LEAST_HOVER, hover))
        self.wanted_up = up
        self._integral = [0.0, 0.0]

    @property
    def lift(self) -> float:
        """Acceleration that the last throttle means. [m/s^2]"""
        return GRAVITY * (self.throttle / self.hover) ** 2

    def fly(self, dt: float, wanted: Velocity, motion: Motion) -> Sticks:
        """Sticks for a velocity."""
        roll, pitch = self._tilt(dt, wanted, motion)
        ahead = self.wanted_up + wanted.up * dt
        if abs(ahead - motion.up) < max(HEIGHT_LEAD, abs(self.wanted_up - motion.up)):
            self.wanted_up = ahead
        climb = wanted.up + HEIGHT_GAIN * (self.wanted_up - motion.up)
        error = climb - motion.climb
        lift = (GRAVITY + CLIMB_GAIN * error - motion.pull) / (math.cos(motion.roll) * math.cos(motion.pitch))
        asked = self.hover * math.sqrt(max(0.0, lift / GRAVITY))
        self.throttle = min(MOST_THROTTLE, max(LEAST_THROTTLE, asked))
        return Sticks(roll, pitch, self.throttle)

    def _tilt(self, dt: float, wanted: Velocity, motion: Motion) -> tuple[float, float]:
        most = GRAVITY * math.tan(math.radians(MOST_TILT_DEG))
        errors = wanted.east - motion.east, wanted.north - motion.north
        asked = [VELOCITY_GAIN * e + i for e, i in zip(errors, self._integral, strict=True)]
        size = math.hypot(*asked)
        if size <= most and math.hypot(*errors) < NEARLY:
            for axis, error in enumerate(errors):
                grown = self._integral[axis] + VELOCITY_INTEGRAL * error * dt
                self._integral[axis] = min(MOST_INTEGRAL, max(-MOST_INTEGRAL, grown))
        else:
            asked = [a * most / size for a in asked]
        sin, cos = math.sin(motion.yaw), math.cos(motion.yaw)
        ahead, right = asked[0] * sin + asked[1] * cos, asked[0] * cos - asked[1] * sin
        return math.atan(right / GRAVITY), math.atan(ahead / GRAVITY)


def toward(place: Place, here: Place, most: float) -> Velocity:
    """Level velocity to a place, from which it can stop there. [m/s]"""
    east, north = place.east - here.east, place.north - here.north
    distance = math.hypot(east, north)
    if distance == 0.0:
        return STANDSTILL
    speed = min(most, PLACE_GAIN * distance, math.sqrt(2.0 * BRAKING * distance))
    return Velocity(speed * east / distance, speed * north / distance, 0.0)
