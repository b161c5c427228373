"""What moves under a simulated autopilot: a point mass with the promised response, or a rigid body in PyBullet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from d2oc_hardware.frames import STANDSTILL, Place, Velocity

IDEAL_LAG = 0.35
"""By which the velocity of a point mass follows its command, its control period included; measured. [s]"""
ARDUCOPTER_LAG = 0.5
"""The same of a real ArduCopter, whatever it flies. [s]"""
BETAFLIGHT_LAG = 0.6
"""The same of a real Betaflight, flown by `d2oc_hardware.betaflight`. [s]"""
LAG = {"research-quadrotor": 0.5, "sprayer": 0.4, "hexacopter-sprayer": 0.35, "octocopter-sprayer": 0.3}
"""The same of rigid bodies, by airframe; of others the largest is taken. [s]"""
PUMP_OUTPUTS = {"arducopter-bullet": 9}
"""Output of the autopilot that drives the pump, where it is not 5: the first one that is no motor of any airframe."""
SWITCHED_ON = Place(0.0, 0.0, 0.0)
"""Where it was switched on."""


def chosen(physics: str) -> str:
    """`ideal` or `bullet`; `auto` is the second where PyBullet is installed."""
    if physics == "auto":
        return "bullet" if find_spec("pybullet") else "ideal"
    return physics


def lag_of(physics: str, airframe: str) -> float:
    """By which the velocity of a simulated vehicle follows its command. [s]"""
    return IDEAL_LAG if chosen(physics) == "ideal" else LAG.get(airframe, max(LAG.values()))


class Plant(Protocol):
    """Something that flies velocities; places are relative to where it was switched on, axes east, north, up."""

    place: Place
    velocity: Velocity

    def step(self, dt: float, command: Velocity) -> None:
        """Fly a velocity for a while. [s]"""

    def rest(self) -> None:
        """Stand on the ground."""

    def carry(self, liquid: float) -> None:
        """The tank holds so much from now on. [L]"""


@dataclass
class PointMass:
    """Velocity follows its command with a first-order lag, and never faster than the acceleration allows."""

    place: Place = SWITCHED_ON
    velocity: Velocity = STANDSTILL
    response: float = 0.35
    """[s]"""
    acceleration: float = 4.0
    """[m/s^2]"""
    vertical_acceleration: float = 2.5
    """[m/s^2]"""

    def step(self, dt: float, command: Velocity) -> None:
        """See `Plant`."""
        dx, dy = command.east - self.velocity.east, command.north - self.velocity.north
        gap = math.hypot(dx, dy)
        share = min(1.0, min(gap / self.response, self.acceleration) * dt / gap) if gap > 0.0 else 0.0
        dz = command.up - self.velocity.up
        climb = math.copysign(min(abs(dz) / self.response, self.vertical_acceleration) * dt, dz)
        before = self.velocity
        self.velocity = Velocity(before.east + share * dx, before.north + share * dy, before.up + climb)
        here = self.place
        self.place = Place(
            here.east + 0.5 * (before.east + self.velocity.east) * dt,
            here.north + 0.5 * (before.north + self.velocity.north) * dt,
            here.up + 0.5 * (before.up + self.velocity.up) * dt,
        )

    def rest(self) -> None:
        """See `Plant`."""
        self.place = self.place._replace(up=0.0)
        self.velocity = STANDSTILL

    def carry(self, liquid: float) -> None:
        """See `Plant`; a point weighs nothing."""


class RigidBody:
    """One body of the bullet world, told velocities; height follows the climb rate by the height that it holds.

    Parameters
    ----------
    preset : str
        Airframe of `d2oc/airframes/presets`.
    """

    def __init__(self, preset: str = "research-quadrotor") -> None:
        import numpy as np

        from d2oc.airframes.airframe import load_preset
        from d2oc.vehicles.linear import single_integrator
        from d2oc.vehicles.motion import motion_arrays
        from d2oc.world.bullet import BulletSetup, BulletWorld
        from d2oc.world.sensors import SatelliteReceiver
        from d2oc.world.wind import Wind

        airframe = load_preset(preset)
        self._floor = airframe.height_m / 2 + 0.5  # the world has no take-off: it starts in the air, called 0
        self._period = 0.1
        model = single_integrator(self._period)
        zero = np.zeros(1)
        self._liquid: Any = np.zeros(1) if airframe.tank else None
        setup = BulletSetup(
            models=[model],
            kind=np.zeros(1, np.int32),
            airframes=[airframe],
            liquid=zero,
            flow=zero,
            place=np.array([[0.0, 0.0, self._floor]]),
            time_step=self._period,
        )
        rng = np.random.default_rng(0)
        wind = Wind(0.0, 0.0, None, [rng])

        def world() -> Any:
            return BulletWorld(setup, motion_arrays([model]), wind, SatelliteReceiver(0.0, 0.0, [rng]))

        self._state: Any = np.zeros((1, model.n_states))
        self._flies: Any = np.ones(1, np.bool_)
        self._array = np.array
        # One step that nobody sees: compiled in the air, it would let the vehicle stand still for half a minute.
        world().advance(0, self._state, np.zeros((1, 2)), self._flies)
        self._world: Any = world()
        self._state[:] = 0.0
        self._owed = 0.0
        self._height = self._floor
        self.place = Place(0.0, 0.0, 0.0)
        self.velocity = STANDSTILL

    def step(self, dt: float, command: Velocity) -> None:
        """See `Plant`."""
        self._height = max(self._floor, self._height + command.up * dt)
        self._owed += dt
        while self._owed >= self._period - 1e-9:
            self._owed -= self._period
            if self._liquid is not None:
                self._world.carry(self._liquid)
            self._world.hold_height(0, self._height)
            self._world.advance(0, self._state, self._array([[command.east, command.north]]), self._flies)
        body = self._world.body[0]
        self.place = Place(float(body[0]), float(body[1]), float(body[2]) - self._floor)
        self.velocity = Velocity(float(body[7]), float(body[8]), float(body[9]))

    def rest(self) -> None:
        """See `Plant`."""
        self._height = self._floor
        self.velocity = STANDSTILL
        self.place = self.place._replace(up=0.0)

    def carry(self, liquid: float) -> None:
        """See `Plant`; its mass and inertia follow, if its airframe has a tank."""
        if self._liquid is not None:
            self._liquid[0] = liquid
