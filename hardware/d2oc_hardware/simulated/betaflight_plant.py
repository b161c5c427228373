"""The body that a real Betaflight flies: its motors come by UDP, and what sensors feel goes back, as fast as it turns.

The firmware's simulator keeps the pace of the wall, so this does too. It answers every packet of state with the
outputs of its motors. The packet's time stands still: where it moves, the firmware takes its own clock from it, and
packets that come late in a bunch make that clock jump.
"""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from typing import NamedTuple

import numpy as np

from d2oc.airframes.airframe import Airframe
from d2oc_hardware.frames import FieldDatum, Place
from d2oc_hardware.simulated.betaflight_frame import ROTOR_OF_MOTOR
from d2oc_hardware.simulated.motor_body import MotorBody, Moved

OUTPUTS_PORT, STATE_PORT, STICKS_PORT = 9001, 9003, 9004
"""UDP ports of the firmware: all outputs, state, and a receiver's sticks."""
STATE = struct.Struct("<18d")
OUTPUTS = struct.Struct("<H2x16f")
STICKS = struct.Struct("<d16H")
N_MOTORS = 4
STEP_S = 0.0025
MOST_STEPS = 20
"""At once: what was lost while the machine stood still longer is not caught up with."""
SEA_LEVEL_PA = 101325.0


class Truth(NamedTuple):
    """How the body stands."""

    time: float = 0.0
    """Flown. [s]"""
    place: Place = Place(0.0, 0.0, 0.0)
    """From where it was switched on."""
    motors: float = 0.0
    """Mean throttle, 0 to 1; 0 is disarmed."""
    pump: float = 0.0
    """0 to 1."""
    charge: float = 1.0
    """Of the battery, 0 to 1."""
    late: float = 0.0
    """Longest time for which the machine kept it waiting. [s]"""


class BetaflightPlant(threading.Thread):
    """Flies until stopped, in the network that it was started in.

    Parameters
    ----------
    airframe : Airframe
        What flies.
    datum : FieldDatum
        Where it is switched on.
    """

    def __init__(self, airframe: Airframe, datum: FieldDatum) -> None:
        super().__init__(daemon=True)
        MotorBody(airframe, 0.0, STEP_S).step(np.zeros(N_MOTORS))  # compiled in the air, it would stand still for long
        self._body = MotorBody(airframe, 0.0, STEP_S)
        self._datum = datum
        self._throttle = np.zeros(N_MOTORS)
        self._stopped = threading.Event()
        self.truth = Truth()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """Step, tell, take, wait."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.bind(("127.0.0.1", OUTPUTS_PORT))
            line.setblocking(False)
            due, late = time.monotonic(), 0.0
            while not self._stopped.is_set():
                now = time.monotonic()
                steps = min(MOST_STEPS, int((now - due) / STEP_S) + 1)
                late = max(late, now - due)
                due = max(due + steps * STEP_S, now - MOST_STEPS * STEP_S)
                for _ in range(steps):
                    moved = self._body.step(self._throttle)
                line.sendto(self._packet(moved), ("127.0.0.1", STATE_PORT))
                self._note(steps, moved, late)
                time.sleep(max(0.0, due - time.monotonic()))
                self._take(line)

    def _packet(self, moved: Moved) -> bytes:
        (x, y, z), (vx, vy, vz) = moved.position.tolist(), moved.velocity.tolist()
        (p, q, r), (ax, ay, az) = moved.rate.tolist(), moved.specific_force.tolist()
        qx, qy, qz, qw = moved.attitude.tolist()
        at = self._datum.geodetic(Place(-y, x, z))
        pressure = SEA_LEVEL_PA * (1.0 - 2.25577e-5 * at.altitude) ** 5.25588
        return STATE.pack(
            1.0, p, -q, -r, -ax, -ay, -az, qw, qx, -qy, -qz, -vy, vx, vz, at.longitude, at.latitude, at.altitude,
            pressure,
        )  # fmt: skip

    def _take(self, line: socket.socket) -> None:
        """The last outputs that came."""
        try:
            while True:
                data = line.recv(256)
                if len(data) == OUTPUTS.size:
                    _, *widths = OUTPUTS.unpack(data)
                    motors = [min(1.0, max(0.0, (w - 1000.0) / 1000.0)) for w in widths[:N_MOTORS]]
                    self._throttle[list(ROTOR_OF_MOTOR)] = motors
                    self._pump = min(1.0, max(0.0, (widths[N_MOTORS] - 1500.0) / 500.0))
        except BlockingIOError:
            return

    _pump = 0.0

    def _note(self, steps: int, moved: Moved, late: float) -> None:
        x, y, z = moved.position.tolist()
        self.truth = Truth(
            self.truth.time + steps * STEP_S,
            Place(-y, x, z),
            float(self._throttle.mean()),
            self._pump,
            self._body.charge if math.isfinite(self._body.charge) else 1.0,
            late,
        )
