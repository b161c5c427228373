"""The mixer: from the thrust and torque asked for to rotors, and from lagging rotors to the wrench they make."""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.world.fleet import Fleet
from d2oc.world.rotation import Vector


@compiled
def mix(fleet: Fleet, r: int, thrust: float, torque: Vector, rotor: Floats) -> None:
    """Thrust of each rotor for a wrench, as near as the rotors can; tilt comes before lift, lift before heading.

    Parameters
    ----------
    fleet : Fleet
        The airframes.
    r : int
        Which agent.
    thrust : float
        Lift asked for. [N]
    torque : tuple of 3 floats
        About the body's axes. [N m]
    rotor : ndarray, shape (R,)
        Receives the command of each rotor, from 0 to its largest. [N]
    """
    n = fleet.n_rotors[r]
    most = fleet.max_thrust[r]
    lowest, highest = _spread(fleet, r, torque, rotor)
    if highest - lowest > most:
        for i in range(n):
            rotor[i] *= most / (highest - lowest)
        lowest, highest = lowest * most / (highest - lowest), highest * most / (highest - lowest)
    lift = min(max(thrust / n, -lowest), most - highest)
    share = 1.0  # of the yaw torque asked for that leaves every rotor within its limits
    for i in range(n):
        rotor[i] += lift
        yaw = fleet.thrust_of_torque[r, i, 2] * torque[2]
        if yaw > 0.0:
            share = min(share, (most - rotor[i]) / yaw)
        elif yaw < 0.0:
            share = min(share, -rotor[i] / yaw)
    for i in range(n):
        rotor[i] += max(share, 0.0) * fleet.thrust_of_torque[r, i, 2] * torque[2]


@compiled
def _spread(fleet: Fleet, r: int, torque: Vector, rotor: Floats) -> tuple[float, float]:
    """Rotor thrusts of roll and pitch alone; their least and largest."""
    lowest, highest = 0.0, 0.0
    for i in range(fleet.n_rotors[r]):
        rotor[i] = fleet.thrust_of_torque[r, i, 0] * torque[0] + fleet.thrust_of_torque[r, i, 1] * torque[1]
        lowest = min(lowest, rotor[i])
        highest = max(highest, rotor[i])
    return lowest, highest


@compiled
def spin(fleet: Fleet, r: int, dt: float, asked: Floats, thrust: Floats) -> tuple[float, float, float, float, float]:
    """Let the rotors follow their commands for a while, each with a first-order lag.

    Parameters
    ----------
    fleet : Fleet
        The airframes.
    r : int
        Which agent.
    dt : float
        For how long. [s]
    asked : ndarray, shape (R,)
        Commands; overwritten. [N]
    thrust : ndarray, shape (R,)
        Thrusts now; overwritten with those afterwards. [N]

    Returns
    -------
    lift, roll, pitch, yaw : float
        Mean thrust [N] and torque [N m] over the time, so that the impulse is exact.
    power_measure : float
        (sum over rotors of mean thrust^1.5) times sqrt(rotors): equals lift^1.5 when all are alike. [N^1.5]
    """
    left = np.exp(-dt / fleet.rotor_time[r])
    mean_left = fleet.rotor_time[r] / dt * (1.0 - left)
    lift, roll, pitch, yaw, power = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(fleet.n_rotors[r]):
        behind = thrust[i] - asked[i]
        mean = asked[i] + behind * mean_left
        thrust[i] = asked[i] + behind * left
        lift += mean
        roll += fleet.torque_of_thrust[r, 0, i] * mean
        pitch += fleet.torque_of_thrust[r, 1, i] * mean
        yaw += fleet.torque_of_thrust[r, 2, i] * mean
        power += mean * np.sqrt(mean)
    return lift, roll, pitch, yaw, power * np.sqrt(fleet.n_rotors[r])
