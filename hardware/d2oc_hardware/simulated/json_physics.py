"""The physics of a real ArduPilot, through its JSON interface: outputs come as a packet, motion goes back as a line.

Firmware and physics go in lock-step: the firmware waits for the line. So the physics keep the pace, by the clock of the
flight. The firmware's axes are north, east, down, and forward, right, down in the body.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import numpy as np

from d2oc.airframes.airframe import Airframe
from d2oc_hardware.clock import Clock
from d2oc_hardware.simulated.copter_frame import rotor_order
from d2oc_hardware.simulated.motor_body import MotorBody, Moved
from d2oc_hardware.simulated.plant import PUMP_OUTPUTS

RATE_HZ = 800
"""Steps in a second; ArduCopter asks for 1.8 times the rate of its own loops at least."""
PACKET = struct.Struct("<HHI16H")
MAGIC = 18458
PUMP_OUTPUT = PUMP_OUTPUTS["arducopter-bullet"]
BEHIND_S = 0.5
"""What was lost while the machine stood still is not caught up with beyond this, in seconds of the flight."""


class JsonPhysics:
    """A body that answers the firmware's packets.

    Parameters
    ----------
    airframe : Airframe
        What flies.
    liquid : float
        In its tank at first. [L]
    flow : float
        Of its pump at its full rate. [L/s]
    clock : Clock
        Of the flight: no step is answered before its time.
    answer : callable
        Sends bytes to the firmware.
    """

    def __init__(
        self, airframe: Airframe, liquid: float, flow: float, clock: Clock, answer: Callable[[bytes], None]
    ) -> None:
        self._order = rotor_order(airframe)
        self._body = MotorBody(airframe, liquid, 1.0 / RATE_HZ)
        self._body.turn(self._order.sense)
        self._full, self._flow = liquid, flow
        self._clock, self._answer = clock, answer
        self._steps = 0
        self._last: tuple[int, bytes] = (-1, b"")
        self._ahead = clock.now()
        self.throttle = 0.0
        """Mean of all rotors in the last step, 0 to 1."""

    @property
    def liquid(self) -> float:
        """Left in the tank. [L]"""
        return self._body.liquid

    @property
    def charge(self) -> float:
        """Of the battery, 0 to 1; below where it is overdrawn."""
        return self._body.charge

    def service(self) -> None:
        """Fill the tank as at first, change the battery."""
        self._body.fill(self._full)
        self._body.change_battery()

    def take(self, data: bytes, addr: object) -> None:
        """A packet of the firmware; one that it repeats gets the same answer again."""
        if len(data) != PACKET.size:
            return
        magic, _, count, *widths = PACKET.unpack(data)
        if magic != MAGIC:
            return
        if count != self._last[0]:
            self._last = (count, self._step(widths))
        self._wait(self._last[1])

    def _step(self, widths: list[int]) -> bytes:
        throttle = np.clip((np.array([widths[m] for m in self._order.motor_of_rotor]) - 1000.0) / 1000.0, 0.0, 1.0)
        pump = min(1.0, max(0.0, (widths[PUMP_OUTPUT - 1] - 1000.0) / 1000.0))
        self._body.drain(pump * self._flow / RATE_HZ)
        self.throttle = float(throttle.mean())
        self._steps += 1
        return line_of(self._steps / RATE_HZ, self._body.step(throttle))

    def _wait(self, line: bytes) -> None:
        now = self._clock.now()
        self._ahead = max(self._ahead + 1.0 / RATE_HZ, now - BEHIND_S)
        self._clock.expect(self._ahead)
        early = self._clock.wall(self._ahead - now)
        if early > 0.001:
            asyncio.get_running_loop().call_later(early, self._answer, line)
        else:
            self._answer(line)


def line_of(time: float, moved: Moved) -> bytes:
    """Motion as the firmware reads it; from north, west, up to north, east, down."""
    (x, y, z), (vx, vy, vz) = moved.position.tolist(), moved.velocity.tolist()
    (p, q, r), (ax, ay, az) = moved.rate.tolist(), moved.specific_force.tolist()
    qx, qy, qz, qw = moved.attitude.tolist()
    return (
        f'\n{{"timestamp":{time:.6f},"imu":{{"gyro":[{p:.7f}, {-q:.7f}, {-r:.7f}],'
        f'"accel_body":[{ax:.6f}, {-ay:.6f}, {-az:.6f}]}},"position":[{x:.6f}, {-y:.6f}, {-z:.6f}],'
        f'"quaternion":[{qw:.8f}, {qx:.8f}, {-qy:.8f}, {-qz:.8f}],"velocity":[{vx:.6f}, {-vy:.6f}, {-vz:.6f}]}}\n'
    ).encode("ascii")
