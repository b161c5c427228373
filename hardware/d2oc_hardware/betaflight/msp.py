"""MSP, the serial protocol of Betaflight, version 1: frames, and the messages that the adapter needs.

A frame is `$M`, a direction, the payload's length, a command, the payload, and the exclusive or of all from the length
on (https://betaflight.com/docs/development/msp). All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import reduce
from operator import xor
from typing import NamedTuple

API_VERSION, FC_VARIANT, FC_VERSION = 1, 2, 3
SERVO = 103
RC = 105
RAW_GPS = 106
ATTITUDE = 108
ALTITUDE = 109
BOX_IDS = 119
BATTERY_STATE = 130
STATUS_EX = 150
SET_RAW_RC = 200
MULTIPLE = 230
"""Commands."""
TO_CONTROLLER, FROM_CONTROLLER, REFUSED = b"<", b">", b"!"
"""Directions."""
HEAD = 5
"""Bytes in front of the payload."""

ARMING_FLAGS = (
    "NO_GYRO", "FAILSAFE", "RX_FAILSAFE", "NOT_DISARMED", "BOXFAILSAFE", "RUNAWAY_TAKEOFF", "CRASH_DETECTED",
    "THROTTLE", "ANGLE", "BOOT_GRACE_TIME", "NOPREARM", "LOAD", "CALIBRATING", "CLI", "CMS_MENU", "BST", "MSP",
    "PARALYZE", "GPS", "RESC", "DSHOT_TELEM", "REBOOT_REQUIRED", "DSHOT_BITBANG", "ACC_CALIBRATION", "MOTOR_PROTOCOL",
    "CRASHFLIP", "ALTHOLD", "POSHOLD", "ARM_SWITCH",
)  # fmt: skip
"""Why Betaflight 4.6 does not arm, by bit."""


class Frame(NamedTuple):
    """What came."""

    command: int
    payload: bytes
    refused: bool = False
    """The controller knows no such command, or does not obey it."""


def frame(command: int, payload: bytes = b"", direction: bytes = TO_CONTROLLER) -> bytes:
    """Bytes of a frame."""
    body = bytes((len(payload), command)) + payload
    return b"$M" + direction + body + bytes((reduce(xor, body),))


class Parser:
    """Finds frames in a stream; whatever is none is skipped."""

    def __init__(self) -> None:
        self._pending = b""

    def take(self, data: bytes) -> Iterator[Frame]:
        """Frames that are whole now."""
        self._pending += data
        while True:
            start = self._pending.find(b"$M")
            if start < 0:
                self._pending = self._pending[-1:] if self._pending.endswith(b"$") else b""
                return
            self._pending = self._pending[start:]
            if len(self._pending) < HEAD:
                return
            end = HEAD + self._pending[3] + 1
            if len(self._pending) < end:
                return
            body, check, direction = self._pending[3 : end - 1], self._pending[end - 1], self._pending[2:3]
            if direction not in (TO_CONTROLLER, FROM_CONTROLLER, REFUSED) or reduce(xor, body) != check:
                self._pending = self._pending[2:]
                continue
            self._pending = self._pending[end:]
            yield Frame(body[1], body[2:], direction == REFUSED)


def parts(payload: bytes, commands: tuple[int, ...]) -> dict[int, bytes]:
    """Payloads of several commands in the answer to MSP_MULTIPLE_MSP, in the order in which they were asked for."""
    found, at = {}, 0
    for command in commands:
        if at >= len(payload) or at + 1 + payload[at] > len(payload):
            break
        found[command] = payload[at + 1 : at + 1 + payload[at]]
        at += 1 + payload[at]
    return found


class RawGps(NamedTuple):
    """Position as the receiver has it."""

    fix: bool
    satellites: int
    latitude: float
    """[deg]"""
    longitude: float
    """[deg]"""
    altitude: float
    """Above mean sea level, in whole metres. [m]"""
    speed: float
    """Over ground. [m/s]"""
    course: float
    """Clockwise from north. [deg]"""


def raw_gps(payload: bytes) -> RawGps:
    """MSP_RAW_GPS."""
    fix, satellites, latitude, longitude, altitude, speed, course = struct.unpack_from("<BBiiHHH", payload)
    return RawGps(bool(fix), satellites, latitude / 1e7, longitude / 1e7, float(altitude), speed / 100.0, course / 10.0)


class Attitude(NamedTuple):
    """Angles as the controller has them."""

    roll: float
    """To the right. [deg]"""
    pitch: float
    """Nose down. [deg]"""
    yaw: float
    """Clockwise from north, in whole degrees. [deg]"""


def attitude(payload: bytes) -> Attitude:
    """MSP_ATTITUDE."""
    roll, pitch, yaw = struct.unpack_from("<hhh", payload)
    return Attitude(roll / 10.0, pitch / 10.0, float(yaw))


def altitude(payload: bytes) -> float:
    """Height above where it was armed, from MSP_ALTITUDE. [m]"""
    return float(struct.unpack_from("<i", payload)[0]) / 100.0


def channels(payload: bytes) -> tuple[int, ...]:
    """Pulse widths of MSP_RC, MSP_SERVO and MSP_SET_RAW_RC. [us]"""
    return struct.unpack(f"<{len(payload) // 2}H", payload[: len(payload) // 2 * 2])


def channel_bytes(widths: tuple[int, ...]) -> bytes:
    """Payload of MSP_SET_RAW_RC."""
    return struct.pack(f"<{len(widths)}H", *widths)


class Battery(NamedTuple):
    """MSP_BATTERY_STATE."""

    cells: int
    capacity: int
    """[mAh]"""
    drawn: int
    """[mAh]"""
    voltage: float
    """[V]"""


def battery(payload: bytes) -> Battery:
    """MSP_BATTERY_STATE."""
    cells, capacity, _, drawn, _ = struct.unpack_from("<BHBHH", payload)
    voltage = struct.unpack_from("<H", payload, 9)[0] / 100.0 if len(payload) >= 11 else payload[3] / 10.0
    return Battery(cells, capacity, drawn, voltage)


def battery_bytes(state: Battery) -> bytes:
    """Payload of MSP_BATTERY_STATE."""
    decivolts = min(255, round(state.voltage * 10))
    return struct.pack(
        "<BHBHHBH", state.cells, state.capacity, decivolts, state.drawn, 0, 0, round(state.voltage * 100)
    )


class Status(NamedTuple):
    """MSP_STATUS_EX."""

    boxes: int
    """Bit n: the n-th of the modes that MSP_BOXIDS lists is active."""
    arming_disabled: int
    """Bits of `ARMING_FLAGS`."""

    def obstacles(self) -> tuple[str, ...]:
        """Names of what keeps it from arming."""
        return tuple(name for bit, name in enumerate(ARMING_FLAGS) if self.arming_disabled >> bit & 1)


def status(payload: bytes) -> Status:
    """MSP_STATUS_EX."""
    boxes = struct.unpack_from("<I", payload, 6)[0]
    more = payload[15] & 0x0F
    boxes |= int.from_bytes(payload[16 : 16 + more], "little") << 32
    return Status(boxes, struct.unpack_from("<I", payload, 17 + more)[0])
