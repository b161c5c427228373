"""Telemetry logs read back: where each vehicle was, and what it was told, from every packet that was on the wire.

A tlog holds packets, each behind its time in microseconds, as ground stations write and read it, and as `d2oc fly`
does. It is the time of the wall: that of a flight with `--speedup 2` is half of what its clock says.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import FieldDatum, Geodetic, VelocityNed, from_ned
from d2oc_hardware.mavlink.codec import Message, dialect
from d2oc_hardware.mavlink.link import AUTOPILOT

STAMP = struct.Struct(">Q")
V1, V2 = 0xFE, 0xFD
"""First bytes of packets."""
SIGNED = 0x01
MODES = {0: "STABILIZE", 3: "AUTO", 4: "GUIDED", 5: "LOITER", 6: "RTL", 9: "LAND", 17: "BRAKE"}
"""Of ArduCopter; others are told by number."""
LOW = 1000
"""Pulse width at which a pump stands. [us]"""


@dataclass
class VehicleLog:
    """What a log tells of one vehicle; times in seconds since the first packet of the log."""

    system: int
    packets: int = 0
    places: list[tuple[float, ...]] = field(default_factory=list)
    """Time, latitude, longitude [deg], altitude [m], velocity east, north, up [m/s]."""
    told: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Time and velocity that it was told: east, north, up. [m/s]"""
    modes: list[tuple[float, int]] = field(default_factory=list)
    """Every change; numbers of ArduCopter."""
    armed: list[tuple[float, bool]] = field(default_factory=list)
    """Every change."""
    pump: list[tuple[float, float]] = field(default_factory=list)
    """Time and output, 0 to 1."""

    def table(self, datum: FieldDatum | None = None) -> Mapping[str, NDArray[Any]]:
        """A row for every place that it told; places count from its first one where no datum is given."""
        place = np.array(self.places, np.float64).reshape(-1, 7)
        time = place[:, 0]
        datum = datum or FieldDatum(Geodetic(*place[0, 1:4]))
        local = np.array([datum.local(Geodetic(*row)) for row in place[:, 1:4].tolist()])
        told = np.array(self.told, np.float64).reshape(-1, 4)
        return {
            "time_s": time,
            "system": np.full(len(time), self.system, np.int32),
            "latitude_deg": place[:, 1],
            "longitude_deg": place[:, 2],
            "altitude_m": place[:, 3],
            **{f"{name}_m": local[:, i] for i, name in enumerate(("x", "y", "height"))},
            **{f"{name}_m_s": place[:, 4 + i] for i, name in enumerate(("vx", "vy", "climb"))},
            **{
                f"told_{name}_m_s": _held(time, told[:, 0], told[:, 1 + i], math.nan)
                for i, name in enumerate(("vx", "vy", "climb"))
            },
            "pump": _held(time, [t for t, _ in self.pump], [p for _, p in self.pump], 0.0),
            "armed": _held(time, [t for t, _ in self.armed], [float(a) for _, a in self.armed], 0.0) > 0.0,
            "mode": _held(time, [t for t, _ in self.modes], [float(m) for _, m in self.modes], -1.0).astype(np.int32),
        }

    def summary(self) -> dict[str, Any]:
        """What it did, in numbers."""
        columns = self.table()
        periods = np.diff([t for t, *_ in self.told])
        steps = np.hypot(np.diff(columns["x_m"]), np.diff(columns["y_m"]))
        gaps = np.diff(columns["time_s"])
        return {
            "system": self.system,
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
            "modes": [[round(t, 2), MODES.get(mode, str(mode))] for t, mode in self.modes],
        }


def read_logs(paths: Sequence[Path]) -> list[VehicleLog]:
    """What logs tell of the vehicles in them that told where they were, ordered by system id.

    Parameters
    ----------
    paths : sequence of Path
        Logs of one flight; the first packet of all is time 0.

    Raises
    ------
    FlightError
        If one cannot be read, is no log, or no vehicle in them says where it is.
    """
    packets = sorted((p for path in paths for p in packets_of(path)), key=lambda p: p[0])
    vehicles: dict[int, VehicleLog] = {}
    for stamp, message in packets:
        _note(vehicles, (stamp - packets[0][0]) / 1e6, message)
    found = [vehicles[system] for system in sorted(vehicles) if vehicles[system].places]
    if not found:
        raise FlightError(f"{', '.join(map(str, paths))}: no vehicle says where it is")
    return found


def packets_of(path: Path) -> Iterator[tuple[int, Message]]:
    """Time [us] and message of every packet; a last one that was cut off is left out.

    Raises
    ------
    FlightError
        If the file cannot be read or is no log.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlightError(f"{path}: cannot be read ({error.strerror})") from None
    codec = dialect.MAVLink(None)
    at = 0
    while at + STAMP.size + 3 <= len(data):
        begin = at + STAMP.size
        end = begin + packet_length(data, begin)
        if end == begin:
            raise FlightError(f"{path}: no packet stands at byte {begin}, so this is no telemetry log (.tlog)")
        if end > len(data):
            return
        try:
            message = codec.decode(bytearray(data[begin:end]))
        except dialect.MAVError:
            message = None  # of another dialect, or damaged
        if message is not None:
            yield STAMP.unpack_from(data, at)[0], message
        at = end


def packet_length(data: bytes, begin: int) -> int:
    """Length of the packet that begins there, of which three bytes must be there; 0 where none does. [byte]"""
    if data[begin] == V1:
        return data[begin + 1] + 8
    if data[begin] == V2:
        return data[begin + 1] + 12 + (13 if data[begin + 2] & SIGNED else 0)
    return 0


def _note(vehicles: dict[int, VehicleLog], time: float, m: Message) -> None:
    kind = m.get_type()
    if kind == "SET_POSITION_TARGET_LOCAL_NED":
        v = from_ned(VelocityNed(m.vx, m.vy, m.vz))
        _of(vehicles, m.target_system).told.append((time, v.east, v.north, v.up))
        return
    if m.get_srcComponent() != AUTOPILOT:
        return
    vehicle = _of(vehicles, m.get_srcSystem())
    vehicle.packets += 1
    if kind == "GLOBAL_POSITION_INT":
        velocity = from_ned(VelocityNed(m.vx / 100.0, m.vy / 100.0, m.vz / 100.0))
        vehicle.places.append((time, m.lat / 1e7, m.lon / 1e7, m.alt / 1000.0, *velocity))
    elif kind == "HEARTBEAT":
        mode, armed = int(m.custom_mode), bool(m.base_mode & 128)
        if not vehicle.modes or vehicle.modes[-1][1] != mode:
            vehicle.modes.append((time, mode))
        if not vehicle.armed or vehicle.armed[-1][1] != armed:
            vehicle.armed.append((time, armed))
    elif kind == "SERVO_OUTPUT_RAW" and m.port == 0:
        vehicle.pump.append((time, max(0.0, (m.servo5_raw - LOW) / 1000.0)))


def _of(vehicles: dict[int, VehicleLog], system: int) -> VehicleLog:
    return vehicles.setdefault(system, VehicleLog(system))


def _latest(time: NDArray[Any], moments: Any) -> NDArray[Any]:
    """Number of the last moment at or before each time, -1 before the first."""
    return np.searchsorted(np.asarray(moments, np.float64), time, side="right") - 1


def _held(time: NDArray[Any], moments: Any, values: Any, before: float) -> NDArray[Any]:
    """Each value until the next one."""
    return np.concatenate([[before], np.asarray(values, np.float64)])[_latest(time, moments) + 1]
