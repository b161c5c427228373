"""A body of the bullet world whose rotors a real autopilot turns: throttles in, motion out, a tank that drains.

The axes are north, west, up, and forward, left, up in the body: those of PyBullet with the nose to the north.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2oc.airframes.airframe import Airframe

GRAVITY = 9.81
TOP_THROTTLE = 0.95
"""Throttle at which a rotor gives its largest thrust; below, thrust goes with the square, as with that of its speed."""
LESS_MASS = 1e-3
"""The engine hears of a mass that has changed by this share."""


class Moved(NamedTuple):
    """What sensors would feel, and the truth."""

    position: NDArray[Any]
    """North, west, up. [m]"""
    attitude: NDArray[Any]
    """Quaternion (x, y, z, w) from the body's axes to the world's."""
    velocity: NDArray[Any]
    """[m/s]"""
    rate: NDArray[Any]
    """About the body's axes. [rad/s]"""
    specific_force: NDArray[Any]
    """What an accelerometer feels, along the body's axes. [m/s^2]"""


class MotorBody:
    """One vehicle on level ground.

    Parameters
    ----------
    airframe : Airframe
        What it is.
    liquid : float
        In its tank. [L]
    dt : float
        Step. [s]
    wind : sequence of 3 floats
        Steady, north, west, up. [m/s]
    """

    def __init__(self, airframe: Airframe, liquid: float, dt: float, wind: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        from d2oc.world.air import still_air
        from d2oc.world.bodies import Bodies
        from d2oc.world.fleet import fleet_arrays
        from d2oc.world.flight import Wrench, push_by_rotors
        from d2oc.world.rotation import unrotated
        from d2oc.world.terrain import level_ground

        self.airframe, self.liquid, self._dt = airframe, liquid, dt
        self._push, self._unrotated = push_by_rotors, unrotated
        self._fleet = fleet_arrays([airframe], np.array([liquid]), np.array([np.inf]))
        start = np.array([[0.0, 0.0, 0.5 * airframe.height_m]])
        size = [(airframe.radius_m, airframe.height_m)]
        self._bodies = Bodies(start, self._fleet.mass, self._fleet.inertia, size, dt, 1, level_ground())
        self._bodies.let_fall(0)
        self._body = np.zeros((1, 13))
        self._bodies.read(self._body)
        self._air = still_air(1, ground_effect=False, downwash=False)
        self._air.wind[0] = wind
        self._thrust = np.zeros((1, airframe.rotors.number))
        self._drawn = np.zeros(1)
        self._wrench = Wrench(np.zeros((1, 3)), np.zeros((1, 3)))
        self._weighed = liquid

    def turn(self, sense: float) -> None:
        """Let all rotors turn the other way round (-1) than those of the airframe's table (1)."""
        self._fleet.torque_of_thrust[:, 2] *= sense

    def step(self, throttle: NDArray[Any]) -> Moved:
        """Fly one step.

        Parameters
        ----------
        throttle : ndarray, shape (rotors,)
            Of each rotor, 0 to 1, in the order of the airframe.
        """
        asked = self.airframe.rotors.max_thrust_n * np.minimum(1.0, (throttle / TOP_THROTTLE) ** 2)
        before = self._body[0, 7:10].copy()
        self._push(
            self._dt, self._fleet, 0, asked, self._body[0], self._air, self._thrust[0], self._drawn, self._wrench
        )
        self._bodies.push(self._body[:, :3], self._wrench.force, self._wrench.torque)
        self._bodies.step()
        self._bodies.read(self._body)
        body = self._body[0]
        q = (body[3], body[4], body[5], body[6])
        felt = (body[7:10] - before) / self._dt
        return Moved(
            position=body[:3] - (0.0, 0.0, 0.5 * self.airframe.height_m),
            attitude=body[3:7],
            velocity=body[7:10],
            rate=np.array(self._unrotated(q, (body[10], body[11], body[12]))),
            specific_force=np.array(self._unrotated(q, (felt[0], felt[1], felt[2] + GRAVITY))),
        )

    def drain(self, litres: float) -> None:
        """Let liquid out; mass and inertia follow."""
        self.fill(max(0.0, self.liquid - litres))

    def fill(self, liquid: float) -> None:
        """So much is in the tank from now on. [L]"""
        self.liquid = liquid
        mass = self.airframe.mass_with(liquid)
        if abs(mass - self.airframe.mass_with(self._weighed)) > LESS_MASS * mass or liquid == 0.0:
            self._weighed = liquid
            inertia = np.array(self.airframe.inertia_with(liquid))
            self._fleet.mass[0], self._fleet.inertia[0] = mass, inertia
            self._bodies.set_mass(0, mass, inertia)

    def change_battery(self) -> None:
        """It gets a full one."""
        self._drawn[0] = 0.0

    @property
    def charge(self) -> float:
        """Of the battery, 0 to 1; below where it is overdrawn."""
        return 1.0 - float(self._drawn[0] / self._fleet.battery_energy[0])
