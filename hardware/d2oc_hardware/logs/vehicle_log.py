"""What a log tells of one vehicle, whatever kind of log it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc_hardware.frames import FieldDatum, Geodetic

Floats = NDArray[np.float64]

ARDUPILOT, PX4 = "ArduPilot", "PX4"
MODES: Mapping[str, Mapping[int, str]] = {
    ARDUPILOT: {
        0: "STABILIZE", 1: "ACRO", 2: "ALT_HOLD", 3: "AUTO", 4: "GUIDED", 5: "LOITER", 6: "RTL", 7: "CIRCLE", 9: "LAND",
        16: "POSHOLD", 17: "BRAKE", 21: "SMART_RTL",
    },
    PX4: {
        0: "MANUAL", 1: "ALTCTL", 2: "POSCTL", 3: "AUTO_MISSION", 4: "AUTO_LOITER", 5: "AUTO_RTL", 10: "ACRO",
        14: "OFFBOARD", 15: "STABILIZED", 17: "AUTO_TAKEOFF", 18: "AUTO_LAND",
    },
}  # fmt: skip
"""Of ArduCopter, and the navigation states of PX4; others are told by number."""
PUMPS = (22, 59)
"""Functions of outputs (SERVOn_FUNCTION) that are a pump: ArduPilot's sprayer; channel 9, as this program uses it."""
PX4_PUMP = 407
"""RC AUX 1 (PWM_MAIN_FUNCn)."""
N_OUTPUTS = 16
FIRST_SYSTEM = 1
"""System id of a vehicle that was given no other."""
LOW, HIGH = 1000.0, 2000.0
"""Pulse widths at which a pump stands, and gives all. [us]"""
PX4_LOW = 1500.0
"""The same of a pump that follows a stick: in the middle it stands. [us]"""
PLACE = 7
"""Columns of a place: time [s], latitude, longitude [deg], altitude [m], velocity east, north, up [m/s]."""


@dataclass
class VehicleLog:
    """One vehicle; times in seconds since the first word of the logs."""

    system: int
    source: Path
    firmware: str = ARDUPILOT
    packets: int = 0
    places: Floats = field(default_factory=lambda: np.empty((0, PLACE)))
    """Shape (n, 7), see `PLACE`; altitudes above mean sea level."""
    told: Floats = field(default_factory=lambda: np.empty((0, 4)))
    """Time and velocity that it was told: east, north, up; shape (n, 4). [s, m/s]"""
    modes: list[tuple[float, int]] = field(default_factory=list)
    """Every change; numbers of the firmware."""
    armed: list[tuple[float, bool]] = field(default_factory=list)
    """Every change; empty: it does not say."""
    outputs: Floats = field(default_factory=lambda: np.empty((0, 1 + N_OUTPUTS)))
    """Time and pulse widths of outputs 1 to 16, NaN or 0 where there is none; shape (n, 17). [s, us]"""
    battery: Floats = field(default_factory=lambda: np.empty((0, 2)))
    """Time and charge, 0 to 1; shape (n, 2)."""
    parameters: dict[str, float] = field(default_factory=dict)
    usual_pump: int | None = None
    """Output of a pump where no parameter tells of one."""
    onboard: bool = False
    """Whether the vehicle itself wrote it, and not whoever listened."""
    utc: float | None = None
    """Seconds since 1970 at its time 0; None where it does not say."""

    def pump(self, output: int | None = None) -> Floats:
        """Times and shares of the largest rate, 0 to 1, of the output that drives the pump; shape (n, 2)."""
        output = output or self._pump_output()
        if output is None or not len(self.outputs):
            return np.empty((0, 2))
        low, high = self._pulses(output)
        share = (np.nan_to_num(self.outputs[:, output]) - low) / (high - low)
        return np.column_stack([self.outputs[:, 0], np.clip(share, 0.0, 1.0)])

    def _pump_output(self) -> int | None:
        for n in range(1, N_OUTPUTS + 1):
            if (
                self.parameters.get(f"SERVO{n}_FUNCTION") in PUMPS
                or self.parameters.get(f"PWM_MAIN_FUNC{n}") == PX4_PUMP
            ):
                return n
        known = f"SERVO{self.usual_pump}_FUNCTION" in self.parameters
        return None if known else self.usual_pump

    def _pulses(self, output: int) -> tuple[float, float]:
        if self.firmware == PX4:
            return PX4_LOW, self.parameters.get(f"PWM_MAIN_MAX{output}", HIGH)
        if self.parameters.get(f"SERVO{output}_FUNCTION") != PUMPS[0]:
            return LOW, HIGH
        low = self.parameters.get(f"SERVO{output}_MIN", LOW)
        return low, max(self.parameters.get(f"SERVO{output}_MAX", HIGH), low + 1.0)

    def table(self, datum: FieldDatum | None = None, pump_output: int | None = None) -> Mapping[str, NDArray[Any]]:
        """A row for every place that it told; places count from its first one where no datum is given."""
        place, pump = self.places, self.pump(pump_output)
        time = place[:, 0]
        datum = datum or FieldDatum(Geodetic(*place[0, 1:4]))
        local = local_places(place, datum)
        told = self.told
        return {
            "time_s": time,
            "system": np.full(len(time), self.system, np.int32),
            "latitude_deg": place[:, 1],
            "longitude_deg": place[:, 2],
            "altitude_m": place[:, 3],
            **{f"{name}_m": local[:, i] for i, name in enumerate(("x", "y", "height"))},
            **{f"{name}_m_s": place[:, 4 + i] for i, name in enumerate(("vx", "vy", "climb"))},
            **{
                f"told_{name}_m_s": held(time, told[:, 0], told[:, 1 + i], math.nan)
                for i, name in enumerate(("vx", "vy", "climb"))
            },
            "pump": held(time, pump[:, 0], pump[:, 1], 0.0),
            "armed": self.is_armed(time),
            "mode": held(time, [t for t, _ in self.modes], [float(m) for _, m in self.modes], -1.0).astype(np.int32),
        }

    def is_armed(self, time: Floats) -> NDArray[np.bool_]:
        """Whether it was armed at each time; always, where it does not say."""
        if not self.armed:
            return np.ones(len(time), np.bool_)
        return held(time, [t for t, _ in self.armed], [float(a) for _, a in self.armed], 0.0) > 0.0

    def summary(self, pump_output: int | None = None) -> dict[str, Any]:
        """What it did, in numbers."""
        columns = self.table(pump_output=pump_output)
        periods = np.diff(self.told[:, 0])
        steps = np.hypot(np.diff(columns["x_m"]), np.diff(columns["y_m"]))
        gaps = np.diff(columns["time_s"])
        names = MODES[self.firmware]
        return {
            "system": self.system,
            "log": self.source.name,
            "firmware": self.firmware,
            "packets": self.packets,
            "duration_s": round(float(np.ptp(columns["time_s"])), 2),
            "armed_s": round(float(gaps[columns["armed"][:-1]].sum()), 2),
            "way_m": round(float(steps[columns["armed"][:-1]].sum()), 1),
            "top_speed_m_s": round(float(np.hypot(columns["vx_m_s"], columns["vy_m_s"]).max()), 2),
            "highest_m": round(float(columns["height_m"].max()), 2),
            "pump_s": round(float(gaps[columns["pump"][:-1] > 0.0].sum()), 2),
            "setpoints": len(self.told),
            "setpoint_period_median_s": round(float(np.median(periods)), 4) if len(periods) else None,
            "setpoint_period_p99_s": round(float(np.percentile(periods, 99)), 4) if len(periods) else None,
            "modes": [[round(t, 2), names.get(mode, str(mode))] for t, mode in self.modes],
        }

    @property
    def begin(self) -> float:
        """Time of its first word. [s]"""
        return min([self.first, *(t for t, _ in self.modes[:1]), *(t for t, _ in self.armed[:1])])

    @property
    def first(self) -> float:
        """Time of its first place. [s]"""
        return float(self.places[0, 0])

    @property
    def last(self) -> float:
        """Time of its last place. [s]"""
        return float(self.places[-1, 0])

    def later(self, seconds: float) -> VehicleLog:
        """The same with every time so much later."""
        shift = np.array([seconds])

        def moved(table: Floats) -> Floats:
            return np.column_stack([table[:, :1] + shift, table[:, 1:]])

        return replace(
            self,
            places=moved(self.places),
            told=moved(self.told),
            outputs=moved(self.outputs),
            battery=moved(self.battery),
            modes=[(t + seconds, mode) for t, mode in self.modes],
            armed=[(t + seconds, armed) for t, armed in self.armed],
            utc=None if self.utc is None else self.utc - seconds,
        )

    def then(self, other: VehicleLog) -> VehicleLog:
        """The same vehicle in a later log; times of both must count from the same moment."""

        def both(mine: Floats, its: Floats) -> Floats:
            joined = np.concatenate([mine, its])
            return joined[np.argsort(joined[:, 0], kind="stable")]

        off = [(self.last, False)] if other.first > self.last and self.armed and self.armed[-1][1] else []
        return replace(
            self,
            packets=self.packets + other.packets,
            places=both(self.places, other.places),
            told=both(self.told, other.told),
            outputs=both(self.outputs, other.outputs),
            battery=both(self.battery, other.battery),
            modes=sorted([*self.modes, *other.modes]),
            armed=sorted([*self.armed, *off, *other.armed]),
            parameters={**self.parameters, **other.parameters},
        )


def system_of(parameter: float) -> int:
    """System id that a parameter of a log tells; damaged ones tell the first."""
    return int(parameter) if 1 <= parameter <= 255 else FIRST_SYSTEM


def local_places(places: Floats, datum: FieldDatum) -> Floats:
    """East, north and up in the field frame of places of a log, shape (n, 3). [m]"""
    return np.array([datum.local(Geodetic(*row)) for row in places[:, 1:4].tolist()]).reshape(-1, 3)


def changes(times: Sequence[float] | Floats, values: Sequence[Any] | NDArray[Any]) -> list[tuple[float, Any]]:
    """Moments at which a value differs from the one before, with the value."""
    found: list[tuple[float, Any]] = []
    for time, value in zip(times, values, strict=True):
        if not found or found[-1][1] != value:
            found.append((float(time), value))
    return found


def held(time: Floats, moments: Any, values: Any, before: float) -> Floats:
    """Each value until the next one."""
    latest = np.searchsorted(np.asarray(moments, np.float64), time, side="right")
    found: Floats = np.concatenate([[before], np.asarray(values, np.float64)])[latest]
    return found
