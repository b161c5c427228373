"""What the rotors of an airframe make together: torques of their thrusts, and thrusts of a torque."""

from __future__ import annotations

import numpy as np

from d2oc.airframes.airframe import Rotors
from d2oc.arrays import Floats

THRUST_RANGE = (0.5, 1.5)
"""Least and largest thrust that a law may ask for, in weights."""

THRUST_SHARE = 0.8
"""Share of the largest thrust that a law may ask for, so that some is left for torques."""

TORQUE_SHARES = (0.4, 0.4, 0.2)
"""Shares of what thrust leaves to the rotors that a law may use for roll, pitch and yaw."""


def rotor_torques(rotors: Rotors) -> Floats:
    """Torque about x, y, z of a unit thrust of each rotor, shape (3, rotors). [m]

    A rotor at (x, y) that pushes up turns the body by (y, -x); its drag turns it against its own sense, which
    changes from one rotor to the next.
    """
    arm = np.repeat(np.arange(rotors.arms), rotors.per_arm)
    angle = (arm + 0.5) * 2 * np.pi / rotors.arms
    layer = np.tile(np.arange(rotors.per_arm), rotors.arms)
    sense = np.where((arm + layer) % 2 == 0, 1.0, -1.0)
    x, y = rotors.arm_m * np.cos(angle), rotors.arm_m * np.sin(angle)
    return np.stack([y, -x, sense * rotors.torque_per_thrust_m])


def least_thrusts(torques: Floats) -> Floats:
    """Least thrusts that make a unit torque about each axis and no lift, shape (rotors, 3). [1/m]"""
    effect = np.vstack([torques, np.ones(torques.shape[1])])
    return np.asarray(np.linalg.pinv(effect)[:, :3], np.float64)


def input_range(rotors: Rotors, weight: float) -> tuple[Floats, Floats]:
    """Inputs of a full quadrotor whose every combination the rotors can make.

    Parameters
    ----------
    rotors : Rotors
        Its rotors.
    weight : float
        [N]

    Returns
    -------
    lowest, highest : ndarray, shape (4,)
        Thrust above weight [N] and torques about x, y, z [N m].
    """
    strength = rotors.number * rotors.max_thrust_n
    least, most = THRUST_RANGE[0] * weight, min(THRUST_RANGE[1] * weight, THRUST_SHARE * strength)
    left = min(least, strength - most) / rotors.number
    torque = np.array(TORQUE_SHARES) * left / np.abs(least_thrusts(rotor_torques(rotors))).max(axis=0)
    return np.array([least - weight, *-torque]), np.array([most - weight, *torque])
