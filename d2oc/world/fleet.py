"""The airframes of a fleet as arrays, one row per agent, for the compiled flight stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from d2oc.airframes.airframe import Airframe
from d2oc.airframes.rotors import least_thrusts, rotor_torques
from d2oc.arrays import Floats, Ints


class Fleet(NamedTuple):
    """What does not change in flight, and the mass and inertia that do."""

    mass: Floats
    """With the liquid left in the tank, shape (L,). [kg]"""
    inertia: Floats
    """Roll, pitch, yaw, with that liquid, shape (L, 3). [kg m^2]"""
    n_rotors: Ints
    """Shape (L,)."""
    torque_of_thrust: Floats
    """Torque about x, y, z of a unit thrust of each rotor, shape (L, 3, R). [m]"""
    thrust_of_torque: Floats
    """Thrust of each rotor that makes a unit torque about x, y, z, shape (L, R, 3). [1/m]"""
    max_thrust: Floats
    """Of one rotor, shape (L,). [N]"""
    rotor_radius: Floats
    """Shape (L,). [m]"""
    disc_area: Floats
    """Of all rotors seen from above, shape (L,). [m^2]"""
    rotor_time: Floats
    """Lag of the thrust, shape (L,). [s]"""
    drag_linear: Floats
    """Shape (L,). [N s/m]"""
    drag_area: Floats
    """Shape (L,). [m^2]"""
    rate_gain: Floats
    """Bandwidth of the rate loop, shape (L,). [1/s]"""
    attitude_gain: Floats
    yaw_gain: Floats
    velocity_gain: Floats
    height_gain: Floats
    max_tilt: Floats
    """Shape (L,). [rad]"""
    max_rate: Floats
    """Of roll and pitch, shape (L,). [rad/s]"""
    max_speed: Floats
    """Horizontal speed the autopilot does not exceed on purpose, shape (L,). [m/s]"""
    power_constant: Floats
    """c of the electric power c m^1.5 in hover, shape (L,). [W/kg^1.5]"""
    battery_energy: Floats
    """Shape (L,). [J]"""


def fleet_arrays(airframes: Sequence[Airframe], liquid: Floats, max_speed: Floats) -> Fleet:
    """Arrays of a fleet.

    Parameters
    ----------
    airframes : sequence of Airframe, length L
        What each agent is.
    liquid : ndarray, shape (L,)
        Load at the start. [L]
    max_speed : ndarray, shape (L,)
        [m/s]
    """
    most = max(a.rotors.number for a in airframes)
    torque_of_thrust = np.zeros((len(airframes), 3, most))
    thrust_of_torque = np.zeros((len(airframes), most, 3))
    for r, airframe in enumerate(airframes):
        n = airframe.rotors.number
        torque_of_thrust[r, :, :n] = rotor_torques(airframe.rotors)
        thrust_of_torque[r, :n] = least_thrusts(torque_of_thrust[r, :, :n])
    loops = [a.loops for a in airframes]
    return Fleet(
        mass=np.array([a.mass_with(v) for a, v in zip(airframes, liquid, strict=True)]),
        inertia=np.array([a.inertia_with(v) for a, v in zip(airframes, liquid, strict=True)]),
        n_rotors=np.array([a.rotors.number for a in airframes], np.int32),
        torque_of_thrust=torque_of_thrust,
        thrust_of_torque=thrust_of_torque,
        max_thrust=np.array([a.rotors.max_thrust_n for a in airframes]),
        rotor_radius=np.array([a.rotors.radius_m for a in airframes]),
        disc_area=np.array([a.rotors.disc_area for a in airframes]),
        rotor_time=np.array([a.rotors.time_constant_s for a in airframes]),
        drag_linear=np.array([a.drag.linear_n_s_m for a in airframes]),
        drag_area=np.array([a.drag.area_m2 for a in airframes]),
        rate_gain=np.array([loop.rate_per_s for loop in loops]),
        attitude_gain=np.array([loop.attitude_per_s for loop in loops]),
        yaw_gain=np.array([loop.yaw_per_s for loop in loops]),
        velocity_gain=np.array([loop.velocity_per_s for loop in loops]),
        height_gain=np.array([loop.height_per_s for loop in loops]),
        max_tilt=np.array([a.max_tilt for a in airframes]),
        max_rate=np.radians([a.max_rate_deg_s for a in airframes]),
        max_speed=np.asarray(max_speed, dtype=np.float64),
        power_constant=np.array([a.hover_power_per_mass for a in airframes]),
        battery_energy=np.array([3600.0 * a.battery.energy_wh for a in airframes]),
    )
