"""An airframe as Betaflight knows it: the command line's lines that make its gains, modes, channels and failsafe.

A unit of the mixer's command for an axis is the whole range of a motor. Betaflight makes it from rates in degrees per
second with the factors below (src/main/flight/pid.h of Betaflight 4.6), a thousandth of their sum being the command.
So a rate loop of bandwidth k on an axis that the whole range turns by an angular acceleration B has the gain k / B.
"""

from __future__ import annotations

import math

from d2oc.airframes.airframe import Airframe
from d2oc_hardware.betaflight.controller import ARM_CHANNEL, MARK_CHANNEL, PUMP_CHANNEL
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.simulated.motor_body import GRAVITY, TOP_THROTTLE

P_SCALE, I_SCALE, D_SCALE = 0.032029, 0.244381, 0.000529
PID_SUM = 1000.0
IDLE = 0.055
"""Least throttle of a motor that turns."""
INTEGRAL_PER_S = 3.0
"""Bandwidth of the integral part of the rate loop. [1/s]"""
RATE_LEAD = 0.5
"""Share of the rotors' lag that D makes up for."""
ROTOR_OF_MOTOR = (2, 3, 1, 0)
"""Rotor of the airframe that motor 1, 2, ... turns: behind right, ahead right, behind left, ahead left."""
STICK_RATE = 200.0
"""Of a full stick, so that it is linear. [deg/s]"""
YAW_RATE = 100.0


def require_quadrotor(airframe: Airframe) -> None:
    """Refuse what Betaflight's simulator has no motors for.

    Raises
    ------
    FlightError
        If it has not four rotors on four arms.
    """
    if (airframe.rotors.arms, airframe.rotors.per_arm) != (4, 1):
        raise FlightError(f"{airframe.name}: Betaflight is flown here with four rotors on four arms only")


def hover_stick(airframe: Airframe) -> float:
    """Throttle stick at which it hovers, 0 to 1, of the motors' range above idle."""
    share = airframe.mass_with(0.0) * GRAVITY / (airframe.rotors.number * airframe.rotors.max_thrust_n)
    return (TOP_THROTTLE * math.sqrt(share) - IDLE) / (1.0 - IDLE)


def settings(airframe: Airframe) -> list[str]:
    """Lines for the command line of Betaflight as delivered."""
    require_quadrotor(airframe)
    rotors, loops = airframe.rotors, airframe.loops
    hover = hover_stick(airframe)
    motor = IDLE + (1.0 - IDLE) * hover
    per_unit = 2.0 * rotors.max_thrust_n * motor * (1.0 - IDLE) / TOP_THROTTLE**2
    turning = {
        "roll": 4.0 * rotors.arm_m * math.sqrt(0.5) * per_unit / airframe.inertia_kg_m2[0],
        "pitch": 4.0 * rotors.arm_m * math.sqrt(0.5) * per_unit / airframe.inertia_kg_m2[1],
        "yaw": 4.0 * rotors.torque_per_thrust_m * per_unit / airframe.inertia_kg_m2[2],
    }
    bandwidth = {"roll": loops.rate_per_s, "pitch": loops.rate_per_s, "yaw": 2.5 * loops.yaw_per_s}
    values: dict[str, object] = {"simplified_pids_mode": "OFF"}
    for axis, torque in turning.items():
        gain = PID_SUM * bandwidth[axis] / torque * math.radians(1.0)
        lead = RATE_LEAD * rotors.time_constant_s if axis != "yaw" else 0.0
        values |= {
            f"p_{axis}": _gain(gain / P_SCALE),
            f"i_{axis}": _gain(gain * INTEGRAL_PER_S / I_SCALE),
            f"d_{axis}": _gain(gain * lead / D_SCALE),
            f"d_max_{axis}": 0,
            f"f_{axis}": 0,
            f"{axis}_rc_rate": round((YAW_RATE if axis == "yaw" else STICK_RATE) / 10.0),
            f"{axis}_srate": round((YAW_RATE if axis == "yaw" else STICK_RATE) / 10.0),
        }
    values |= {
        "angle_p_gain": round(10.0 * loops.attitude_per_s),
        "angle_limit": round(airframe.max_tilt_deg),
        "angle_feedforward": 0,
        "iterm_relax": "OFF",
        "anti_gravity_gain": 0,
        "tpa_rate": 0,
        "throttle_boost": 0,
        "rc_smoothing": "OFF",
        "motor_idle": round(1e4 * IDLE),
        "gps_provider": "VIRTUAL",
        "altitude_source": "GPS_ONLY",
        "altitude_lpf": 1000,
        "pwr_on_arm_grace": 1,
        "gyro_calib_duration": 50,
        "ap_hover_throttle": round(1000.0 + 1000.0 * hover),
        "ap_throttle_max": 2000,
        "ap_max_angle": round(airframe.max_tilt_deg),
        "failsafe_procedure": "AUTO-LAND",
        "failsafe_delay": 10,
        "alt_hold_climb_rate": 10,
        "channel_forwarding_start": PUMP_CHANNEL,
        "serial_update_rate_hz": 200,
    }
    lines = ["feature -AIRMODE", "feature GPS", "feature CHANNEL_FORWARDING"]
    lines += [f"aux 0 0 {ARM_CHANNEL - 4} 1700 2100 0 0", "aux 1 1 0 900 2100 0 0"]  # armed by a switch; ANGLE always
    lines += ["serial UART2 1 115200 57600 0 115200"]
    lines += ["serial UART3 2 115200 57600 0 115200"]  # without a line of its own, GPS is taken out again
    lines += ["rxfail 3 h", f"rxfail {PUMP_CHANNEL} s 1000", f"rxfail {MARK_CHANNEL} s 1000"]
    return lines + [f"set {name} = {value}" for name, value in values.items()]


def _gain(value: float) -> int:
    return max(0, min(250, round(value)))
