"""An airframe as ArduCopter knows it: which output turns which rotor, and the parameters that make it fly well.

The gains follow from the airframe. One unit of the rate controller's output changes each thrust by at most half of its
largest, which turns the body by an angular acceleration B = torque / inertia; a rate loop of bandwidth k then has the
gain k / B. Gains as delivered are for a small quadrotor and let one of 25 kg swing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from d2oc.airframes.airframe import Airframe
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.simulated.motor_body import GRAVITY, TOP_THROTTLE

QUAD, HEXA, OCTA, OCTA_QUAD = 1, 2, 3, 4
CW, CCW = 1, -1
"""Senses in which rotors turn, seen from above."""
MOTORS: Mapping[tuple[int, int], tuple[int, tuple[tuple[float, int], ...]]] = {
    (4, 1): (QUAD, ((45, CCW), (-135, CCW), (-45, CW), (135, CW))),
    (6, 1): (HEXA, ((90, CW), (-90, CCW), (-30, CW), (150, CCW), (30, CCW), (-150, CW))),
    (8, 1): (
        OCTA,
        ((22.5, CW), (-157.5, CW), (67.5, CCW), (157.5, CCW), (-22.5, CCW), (-112.5, CCW), (-67.5, CW), (112.5, CW)),
    ),
    (4, 2): (OCTA_QUAD, ((45, CCW), (-45, CW), (-135, CCW), (135, CW), (-45, CCW), (45, CW), (135, CCW), (-135, CW))),
}
"""FRAME_CLASS and, for each motor of its X, angle clockwise from ahead [deg] and sense; by arms and rotors on each."""
SPIN_MIN = 0.15
RATE_LEAD = 0.5
"""Share of the rotors' lag that the rate controller's D makes up for."""


class RotorOrder(NamedTuple):
    """Which motor of the firmware is which rotor of the airframe."""

    motor_of_rotor: tuple[int, ...]
    """Number of the motor, from 0, of each rotor."""
    sense: float
    """-1 where all rotors turn the other way round than in the airframe's table."""


def frame_class(airframe: Airframe) -> int:
    """FRAME_CLASS of an airframe.

    Raises
    ------
    FlightError
        If ArduCopter has no such frame in this table.
    """
    return _motors(airframe)[0]


def _motors(airframe: Airframe) -> tuple[int, tuple[tuple[float, int], ...]]:
    arms, per_arm = airframe.rotors.arms, airframe.rotors.per_arm
    if (arms, per_arm) not in MOTORS:
        raise FlightError(f"{airframe.name}: no frame of ArduCopter has {arms} arms with {per_arm} rotors each")
    return MOTORS[arms, per_arm]


def rotor_order(airframe: Airframe) -> RotorOrder:
    """Motors of the firmware in the airframe's order of rotors."""
    motors = _motors(airframe)[1]
    rotors = airframe.rotors
    for sense in (1, -1):
        order = []
        for arm in range(rotors.arms):
            clockwise = -(arm + 0.5) * 360.0 / rotors.arms
            for layer in range(rotors.per_arm):
                turns = sense * (CW if (arm + layer) % 2 == 0 else CCW)
                order += [
                    n for n, (angle, way) in enumerate(motors) if way == turns and (angle - clockwise) % 360.0 == 0.0
                ]
        if len(order) == len(motors):
            return RotorOrder(tuple(order), float(sense))
    raise AssertionError(airframe.name)


def hover_throttle(airframe: Airframe, liquid: float) -> float:
    """Throttle of every rotor in hover with some liquid in the tank [L], 0 to 1."""
    share = airframe.mass_with(liquid) * GRAVITY / (airframe.rotors.number * airframe.rotors.max_thrust_n)
    return TOP_THROTTLE * math.sqrt(share)


def frame_parameters(airframe: Airframe, liquid: float) -> dict[str, float]:
    """Parameters of ArduCopter for an airframe with some liquid in its tank [L]."""
    rotors, loops = airframe.rotors, airframe.loops
    inertia = airframe.inertia_with(liquid)
    angle = (np.repeat(np.arange(rotors.arms), rotors.per_arm) + 0.5) * 2.0 * np.pi / rotors.arms
    lever = np.abs(np.sin(angle))
    half = 0.5 * rotors.max_thrust_n
    roll = half * rotors.arm_m * float(np.sum(lever**2) / lever.max()) / inertia[0]  # factors go with the lever
    yaw = half * rotors.number * rotors.torque_per_thrust_m / inertia[2]
    hover = airframe.mass_with(liquid) * GRAVITY / (rotors.number * rotors.max_thrust_n)
    values: dict[str, float] = {"FRAME_CLASS": frame_class(airframe), "FRAME_TYPE": 1}
    for axis in ("RLL", "PIT"):
        gain = loops.rate_per_s / roll
        lag = RATE_LEAD * rotors.time_constant_s
        values |= {f"ATC_RAT_{axis}_{k}": v for k, v in (("P", gain), ("I", gain), ("D", gain * lag))}
        values[f"ATC_ANG_{axis}_P"] = max(3.0, loops.attitude_per_s)
    slow = max(1.0, loops.yaw_per_s)
    values |= {
        "ATC_RAT_YAW_P": 2.5 * slow / yaw,
        "ATC_RAT_YAW_I": 0.25 * slow / yaw,
        "ATC_ANG_YAW_P": 3.0,
        "ATC_ACCEL_R_MAX": math.degrees(0.3 * roll) * 100.0,
        "ATC_ACCEL_P_MAX": math.degrees(0.3 * roll) * 100.0,
        "ATC_ACCEL_Y_MAX": math.degrees(0.3 * yaw) * 100.0,
        "ATC_RATE_R_MAX": airframe.max_rate_deg_s,
        "ATC_RATE_P_MAX": airframe.max_rate_deg_s,
        "ANGLE_MAX": 100.0 * airframe.max_tilt_deg,
        "SCHED_LOOP_RATE": 300.0,  # a fast one asks for more of the physics than a busy machine can give
        "MOT_SPIN_ARM": 0.1,
        "MOT_SPIN_MIN": SPIN_MIN,
        "MOT_SPIN_MAX": TOP_THROTTLE,
        "MOT_THST_EXPO": 0.8,
        "MOT_THST_HOVER": hover,
        "MOT_BAT_VOLT_MAX": 0.0,
        "PSC_ACCZ_P": hover,
        "PSC_ACCZ_I": 2.0 * hover,
        "PSC_VELXY_P": 1.5 * loops.velocity_per_s,
        "PSC_VELXY_I": 0.5 * loops.velocity_per_s,
        "PSC_VELXY_D": 0.15 * loops.velocity_per_s,
        "PSC_POSXY_P": 0.75 * loops.velocity_per_s,
    }
    return values
