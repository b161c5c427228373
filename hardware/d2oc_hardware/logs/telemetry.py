"""Telemetry logs (tlog): every packet that was on the wire, behind its time in microseconds.

Ground stations write and read them, and so does `d2oc fly`. The time of a packet is that of the computer that listened;
where a vehicle says when it was somewhere by a clock of its own, that is taken, as a radio may be late, and a simulated
vehicle faster than the wall.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import VelocityNed, from_ned
from d2oc_hardware.logs.vehicle_log import ARDUPILOT, N_OUTPUTS, PLACE, PX4, Floats, VehicleLog, changes
from d2oc_hardware.mavlink.codec import Message, dialect
from d2oc_hardware.mavlink.firmware import FIRMWARES
from d2oc_hardware.mavlink.link import AUTOPILOT

STAMP = struct.Struct(">Q")
V1, V2 = 0xFE, 0xFD
"""First bytes of packets."""
SIGNED = 0x01
ARMED = 128
QUADROTOR = 2
"""MAV_TYPE whose outputs 1 to 4 are motors."""
USUAL_PUMP = 5
"""Output of the pump of a quadrotor."""
PX4_STATES = {(1, 0): 0, (2, 0): 1, (3, 0): 2, (4, 4): 3, (4, 3): 4, (4, 5): 5, (6, 0): 14, (4, 2): 17, (4, 6): 18}
"""Main and sub mode of a heartbeat to the navigation states that PX4's own logs tell."""
UNKNOWN_CHARGE = -1
SAME_RATE = 0.01
"""Clocks that differ by less than this share run equally fast; the rest is the radio's."""


class _Heard:
    """What packets told of one vehicle, at the times of the listener."""

    def __init__(self) -> None:
        self.packets = 0
        self.places: list[tuple[float, ...]] = []
        self.clock: list[float] = []
        """The vehicle's own time of each place. [s]"""
        self.told: list[tuple[float, ...]] = []
        self.modes: list[tuple[float, int]] = []
        self.armed: list[tuple[float, bool]] = []
        self.outputs: list[tuple[float, ...]] = []
        self.battery: list[tuple[float, float]] = []
        self.parameters: dict[str, float] = {}
        self.autopilot = 3
        self.kind = QUADROTOR


def read_telemetry(paths: Sequence[Path]) -> list[VehicleLog]:
    """Vehicles in telemetry logs that told where they were, ordered by system id; time 0 is the first packet of all."""
    packets = sorted((p for path in paths for p in packets_of(path)), key=lambda p: p[0])
    heard: dict[int, _Heard] = {}
    for stamp, message in packets:
        _note(heard, (stamp - packets[0][0]) / 1e6, message)
    return [
        _vehicle(system, paths[0], heard[system], packets[0][0] / 1e6)
        for system in sorted(heard)
        if heard[system].places
    ]


def packets_of(path: Path) -> Iterator[tuple[int, Message]]:
    """Time [us] and message of every packet; a last one that was cut off is left out.

    Raises
    ------
    FlightError
        If what begins as a log goes on as something else.
    """
    data = path.read_bytes()
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


def is_telemetry(data: bytes) -> bool:
    """Whether a file that begins so is a telemetry log."""
    begin = STAMP.size
    return len(data) > begin + 3 and packet_length(data, begin) > 0


def _note(vehicles: dict[int, _Heard], time: float, m: Message) -> None:
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
        vehicle.clock.append(m.time_boot_ms / 1000.0)
    elif kind == "HEARTBEAT":
        vehicle.autopilot, vehicle.kind = m.autopilot, m.type
        vehicle.modes.append((time, _mode(m)))
        vehicle.armed.append((time, bool(m.base_mode & ARMED)))
    elif kind == "SERVO_OUTPUT_RAW" and m.port == 0:
        widths = (getattr(m, f"servo{n}_raw") for n in range(1, N_OUTPUTS + 1))
        vehicle.outputs.append((time, *map(float, widths)))
    elif kind == "BATTERY_STATUS" and m.id == 0 and m.battery_remaining != UNKNOWN_CHARGE:
        vehicle.battery.append((time, m.battery_remaining / 100.0))
    elif kind == "PARAM_VALUE" and vehicle.autopilot in FIRMWARES:
        vehicle.parameters[_text(m.param_id)] = FIRMWARES[vehicle.autopilot].value(m)


def _of(vehicles: dict[int, _Heard], system: int) -> _Heard:
    return vehicles.setdefault(system, _Heard())


def _text(value: Any) -> str:
    return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).rstrip("\0")


def _mode(m: Message) -> int:
    if FIRMWARES.get(m.autopilot) is None or FIRMWARES[m.autopilot].name != PX4:
        return int(m.custom_mode)
    words = m.custom_mode >> 16 & 0xFF, m.custom_mode >> 24 & 0xFF
    return PX4_STATES.get(words, int(m.custom_mode))


def _vehicle(system: int, path: Path, heard: _Heard, utc: float) -> VehicleLog:
    firmware = FIRMWARES.get(heard.autopilot)
    places = np.array(heard.places).reshape(-1, PLACE)
    clock = _Clock(places[:, 0].copy(), np.array(heard.clock))
    places[:, 0] = clock.own
    return VehicleLog(
        system,
        path,
        firmware=PX4 if firmware is not None and firmware.name == PX4 else ARDUPILOT,
        packets=heard.packets,
        places=places[np.argsort(places[:, 0], kind="stable")],
        told=clock.at(np.array(heard.told).reshape(-1, 4)),
        modes=changes(clock.times(t for t, _ in heard.modes), [mode for _, mode in heard.modes]),
        armed=changes(clock.times(t for t, _ in heard.armed), [armed for _, armed in heard.armed]),
        outputs=clock.at(np.array(heard.outputs).reshape(-1, 1 + N_OUTPUTS)),
        battery=clock.at(np.array(heard.battery).reshape(-1, 2)),
        parameters=heard.parameters,
        usual_pump=USUAL_PUMP if heard.kind == QUADROTOR else None,
        utc=utc,
    )


class _Clock:
    """A vehicle's clock beside that of who listened; it begins anew where the vehicle was switched on again.

    Parameters
    ----------
    heard : ndarray, shape (n,)
        Times of the listener. [s]
    own : ndarray, shape (n,)
        What the vehicle's clock said then. [s]
    """

    def __init__(self, heard: Floats, own: Floats) -> None:
        self._heard = heard
        self.own = heard
        """The vehicle's times, counted as the listener's are. [s]"""
        if len(own) < 3 or np.ptp(own) <= 0.02 * np.ptp(heard):
            return  # it has none
        begins = np.concatenate([[0], np.flatnonzero(np.diff(own) < 0.0) + 1, [len(own)]])
        longest = max(_spans(begins), key=lambda span: span[1] - span[0])
        self._rate = _rate(heard[slice(*longest)], own[slice(*longest)])
        counted = own.astype(np.float64)
        for a, b in _spans(begins):
            counted[a:b] += np.median(self._rate * heard[a:b] - own[a:b])
        self.own = counted

    def times(self, heard: Any) -> Floats:
        """Times of the listener as the vehicle counted. [s]"""
        times = np.fromiter(heard, np.float64)
        if self.own is self._heard:
            return times
        inside = np.interp(times, self._heard, self.own)
        before, after = np.minimum(times - self._heard[0], 0.0), np.maximum(times - self._heard[-1], 0.0)
        return np.asarray(inside + self._rate * (before + after))

    def at(self, table: Floats) -> Floats:
        """A table whose first column are times of the listener."""
        table[:, 0] = self.times(table[:, 0])
        return table


def _rate(heard: Floats, own: Floats) -> float:
    """Seconds of the vehicle in one of the listener, who may have read a backlog at once."""
    half = len(own) // 2
    waited = heard[half:] - heard[: len(heard) - half]
    rates = (own[half:] - own[: len(own) - half])[waited > 0.0] / waited[waited > 0.0]
    rate = float(np.median(rates)) if len(rates) else 1.0
    return 1.0 if abs(rate - 1.0) < SAME_RATE else rate


def _spans(begins: Any) -> list[tuple[int, int]]:
    return list(zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True))
