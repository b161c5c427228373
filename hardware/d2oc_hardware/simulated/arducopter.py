"""A real ArduCopter as a simulated vehicle: the firmware built for the host ("SITL"), in a network of its own.

The firmware listens on every interface, so it is shut into a network namespace where that is allowed; this process
stands in both networks and carries MAVLink packets through, as they are. A second line that nobody outside can reach
serves as the ground crew: it sets the signing key, makes things go wrong, changes the battery and writes the truth.

What flies is the firmware's own quadrotor (`ideal`), or a body of the bullet world (`bullet`) through its JSON
interface, see :mod:`d2oc_hardware.simulated.json_physics`.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from d2oc.airframes.airframe import Airframe, load_preset
from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.mavlink.codec import Codec, Message, dialect, signature_time
from d2oc_hardware.mavlink.items import degrees
from d2oc_hardware.simulated.autopilot import CopterMode
from d2oc_hardware.simulated.copter_frame import frame_parameters
from d2oc_hardware.simulated.json_physics import JsonPhysics
from d2oc_hardware.simulated.parameters import DEFAULTS
from d2oc_hardware.simulated.plant import PUMP_OUTPUTS, chosen
from d2oc_hardware.simulated.private_network import die_with_parent, enter_private_network
from d2oc_hardware.simulated.process import LOOPBACK, MOST_PEERS, PEER_FORGOTTEN_S, SEVERITY, PlannedFault, VehicleSetup
from d2oc_hardware.simulated.protocol import tank_message

CREW_SYSTEM = 254
"""System id of the ground crew; its heartbeat counts for no failsafe."""
TANK_SENSOR = 181
"""Component of the level sensor: MAV_COMP_ID_BATTERY2."""
CREW_PERIOD_S = 0.2
BATTERY_RESET = 42651
CHARGE_STEP = 0.005
"""The firmware is told of a charge that has fallen by this share."""
RECEIVER_PORT = 5501
RECEIVER = (1500, 1500, 1000, 1500, 1800, 1000, 1000, 1800, *(1000,) * 8)
"""What the pilot's receiver says: throttle down, or it would not arm; the sprayer's channel held low. [us]"""
CREW_RATES = {33: 10.0, 36: 10.0, 245: 4.0, 162: 1.0}
"""Messages that the crew asks for, by number. [1/s]"""
HEAR_TIMEOUT_S = 30.0
"""The firmware must say its first word in this time of the wall. [s]"""
PUMP_SERVO_LOW = 1000
OURS_ALONE = frozenset({"SIM_EKF_DELAY", "SIM_TANK_L", "SIM_PUMP_L_MIN", "SIM_SERVICE", "SIM_ENDURANCE"})
"""Parameters of the simulated autopilot that mean nothing to the real one."""
PARAMETER_FAULTS = {"gps-loss": ("SIM_GPS1_ENABLE", 0.0), "wind": ("SIM_WIND_SPD", 20.0)}
OWN_FAULTS = ("link-cut", "battery-low")
BENCH: dict[str, float] = {
    "BATT_MONITOR": 4,
    "WPNAV_ACCEL": 500,  # with 250 as delivered it follows no command of 3 m/s^2
    "PSC_JERK_XY": 15,
    "FS_THR_ENABLE": 1,
    "FLTMODE6": CopterMode.LOITER,
    **{f"RC{n}_{end}": value for n in range(1, 10) for end, value in (("MIN", 1000), ("MAX", 2000), ("TRIM", 1500))},
    "RC9_TRIM": 1000,
    **{f"COMPASS_OFS{n}_{axis}": v for n in ("", "2", "3") for axis, v in (("X", 5), ("Y", 13), ("Z", -18))},
    **{f"INS_ACC{n}OFFS_{axis}": 0.001 for n in ("", "2") for axis in "XYZ"},
    **{f"INS_ACC{n}SCAL_{axis}": 1.001 for n in ("", "2") for axis in "XYZ"},
}
"""What makes the firmware's simulated sensors calibrated ones, and its receiver known."""


def parameter_file(values: Mapping[str, float]) -> str:
    """Parameters as a file that ground stations and the firmware read."""
    return "".join(f"{name} {value:.9g}\n" for name, value in values.items())


class Socket(asyncio.DatagramProtocol):
    """A UDP socket that hands on what comes.

    Parameters
    ----------
    take : callable
        Takes a datagram and who has sent it.
    """

    def __init__(self, take: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._take = take
        self.transport: asyncio.DatagramTransport
        self.peer: tuple[str, int] | None = None
        """Who was heard last."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand it on."""
        self.peer = addr
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there, yet or any more."""

    @property
    def port(self) -> int:
        """UDP port."""
        return int(self.transport.get_extra_info("sockname")[1])

    def answer(self, data: bytes) -> None:
        """Send to who was heard last."""
        if self.peer is not None:
            self.transport.sendto(data, self.peer)


async def open_socket(take: Callable[[bytes, tuple[str, int]], None], port: int = 0) -> Socket:
    """A socket on the loopback interface of the network that this process is in now.

    Raises
    ------
    FlightError
        If the port is taken.
    """
    loop = asyncio.get_running_loop()
    try:
        _, made = await loop.create_datagram_endpoint(lambda: Socket(take), local_addr=(LOOPBACK, port))
    except OSError as error:
        raise FlightError(f"UDP port {port} on {LOOPBACK} cannot be used ({error.strerror})") from None
    return made


class RealArduCopter:
    """The firmware's process and what stands around it.

    Parameters
    ----------
    setup : VehicleSetup
        What is simulated.
    binary : Path
        The firmware.
    clock : Clock
        Of the flight; the firmware runs as fast as it says.
    airframe : Airframe, optional
        What flies as a body of the bullet world; default: the firmware's own quadrotor.
    """

    def __init__(self, setup: VehicleSetup, binary: Path, clock: Clock, airframe: Airframe | None = None) -> None:
        if not os.access(binary, os.X_OK):
            raise FlightError(f"{binary}: is no program that can be started")
        _require_possible(setup.faults)
        self._setup, self._binary, self._clock, self._airframe = setup, binary, clock, airframe
        self._pump_output = PUMP_OUTPUTS.get("arducopter-ideal" if airframe is None else "arducopter-bullet", 5)
        self._heard: dict[tuple[str, int], float] = {}
        self._cut = False
        self._crew_codec = Codec(CREW_SYSTEM, 190)
        self._sensor_codec = Codec(setup.system, TANK_SENSOR, setup.key)
        self._sensed_at = 0.0
        self._truth: dict[str, object] = {
            "time_s": 0.0, "flew": False, "landed": False, "mode": "", "fence_breaches": 0,
        }  # fmt: skip
        self._armed = False
        self._pump, self._pump_at = 0.0, 0.0
        self._unasked = 0.0
        self._flew_at: float | None = None
        self._down_since = math.inf
        self._told_charge = 1.0
        self._changed: set[PlannedFault] = set()
        self._crew_heard = False
        self._service = setup.parameters.get("SIM_SERVICE", 0.0)

    async def run(self) -> None:
        """Fly until cancelled; raises when the firmware ends by itself."""
        self._outside = await open_socket(self._from_outside, self._setup.port)
        is_private = enter_private_network()
        self._line = await open_socket(self._from_firmware)
        self._crew = await open_socket(self._from_firmware_to_crew)
        if self._airframe is not None:
            self._plant_line = await open_socket(lambda data, addr: self._physics.take(data, addr))
            self._physics = self._physics_of(self._airframe)
        with tempfile.TemporaryDirectory(prefix="arducopter-") as folder:
            process = self._start(Path(folder), is_private)
            try:
                await self._attend(process, Path(folder))
            finally:
                process.kill()
                process.wait()

    def _start(self, folder: Path, is_private: bool) -> subprocess.Popen[bytes]:
        setup = self._setup
        (folder / "defaults.parm").write_text(parameter_file(self._parameters()), encoding="ascii")
        at = setup.datum.origin
        self._receiver_port = RECEIVER_PORT if is_private else RECEIVER_PORT + 10 * setup.system
        flown = ["--model", "quad", "--speedup", f"{self._clock.speedup:g}"]
        if self._airframe is not None:  # the physics keep the pace, the firmware must not
            flown = ["--model", f"JSON:{LOOPBACK}", "--sim-port-out", str(self._plant_line.port), "--speedup", "1000"]
        words = [
            str(self._binary.resolve()), "--wipe", *flown,
            "--home", f"{at.latitude:.8f},{at.longitude:.8f},{at.altitude:.3f},90", "--sysid", str(setup.system),
            "--defaults", "defaults.parm", "--rc-in-port", str(self._receiver_port),
            "--serial0", f"udpclient:{LOOPBACK}:{self._crew.port}",
            "--serial1", f"udpclient:{LOOPBACK}:{self._line.port}",
        ]  # fmt: skip
        for number in (2, 5, 6, 7, 8):
            words += [f"--serial{number}", "none"]
        with (folder / "console.txt").open("wb") as console:
            return subprocess.Popen(
                words, cwd=folder, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )  # fmt: skip

    def _parameters(self) -> dict[str, float]:
        own = {name: value for name, value in self._setup.parameters.items() if name not in OURS_ALONE}
        pump = own.pop("SERVO5_FUNCTION", DEFAULTS["SERVO5_FUNCTION"])
        frame: dict[str, float] = {"FRAME_CLASS": 1, "FRAME_TYPE": 1}
        if self._airframe is not None:
            frame = frame_parameters(self._airframe, self._liquid)
        n = self._pump_output
        output = {f"SERVO{n}_FUNCTION": pump, f"SERVO{n}_MIN": 1000.0, f"SERVO{n}_MAX": 2000.0}
        return {**frame, **BENCH, **output, **own}

    @property
    def _liquid(self) -> float:
        return self._setup.parameters.get("SIM_TANK_L", 0.0)

    def _physics_of(self, airframe: Airframe) -> JsonPhysics:
        flow = self._setup.parameters.get("SIM_PUMP_L_MIN", 0.0) / 60.0
        return JsonPhysics(airframe, self._liquid, flow, self._clock, self._plant_line.answer)

    async def _attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        began, next_report = time.monotonic(), 0.0
        while True:
            if process.poll() is not None or (not self._crew_heard and time.monotonic() > began + HEAR_TIMEOUT_S):
                last = (folder / "console.txt").read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
                why = "; ".join(map(str.strip, last)) or "it says nothing"
                raise FlightError(f"{self._binary}: the firmware does not fly ({why})")
            self._crew.transport.sendto(struct.pack("<16H", *RECEIVER), (LOOPBACK, self._receiver_port))
            self._serve()
            self._plan_faults()
            if self._airframe is not None:
                self._tell_charge()
                self._tell_tank()
            if self._setup.report is not None and self._now >= next_report and self._crew_heard:
                next_report = self._now + 1.0
                self._tell_truth(self._setup.report)
            await self._clock.sleep(CREW_PERIOD_S)

    # The line that flies it

    def _from_outside(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self._cut and (addr in self._heard or len(self._heard) < MOST_PEERS):
            self._heard[addr] = time.monotonic()
            self._line.answer(data)

    def _from_firmware(self, data: bytes, addr: tuple[str, int]) -> None:
        self._to_outside(data)

    def _to_outside(self, data: bytes) -> None:
        if self._cut:
            return
        now = time.monotonic()
        recent = [peer for peer, heard in self._heard.items() if now - heard < PEER_FORGOTTEN_S]
        for peer in dict.fromkeys([*self._setup.peers, *recent]):
            self._outside.transport.sendto(data, peer)

    # The crew

    def _from_firmware_to_crew(self, data: bytes, addr: tuple[str, int]) -> None:
        for message in self._crew_codec.parse(data):
            if not self._crew_heard:
                self._crew_heard = True
                self._get_ready()
            self._note(message)

    def _get_ready(self) -> None:
        for number, rate in CREW_RATES.items():
            self._command(511, number, 1e6 / rate)
        if self._setup.key is not None:
            key = list(self._setup.key)
            self._tell(dialect.MAVLink_setup_signing_message(self._setup.system, 1, key, signature_time()))

    def _note(self, m: Message) -> None:
        kind, truth = m.get_type(), self._truth
        if kind == "HEARTBEAT" and m.get_srcComponent() == 1:
            self._armed = bool(m.base_mode & 128)
            truth["mode"] = next((mode.name for mode in CopterMode if mode == m.custom_mode), str(m.custom_mode))
        elif kind == "EXTENDED_SYS_STATE":
            is_down = m.landed_state == 1 and not self._armed
            truth["landed"] = is_down
            self._down_since = min(self._down_since, self._now) if is_down else math.inf
            if m.landed_state in (2, 3) and self._armed and self._flew_at is None:
                self._flew_at, truth["flew"] = self._now, True
        elif kind == "FENCE_STATUS":
            truth["fence_breaches"] = m.breach_count
        elif kind == "GLOBAL_POSITION_INT":
            place = self._setup.datum.local(degrees(m.lat, m.lon, m.alt / 1000.0))
            truth["time_s"], truth["place_m"] = m.time_boot_ms / 1000.0, [round(x, 2) for x in place]
        elif kind == "SERVO_OUTPUT_RAW" and m.port == 0:
            self._note_pump(getattr(m, f"servo{self._pump_output}_raw"), m.time_usec / 1e6)

    def _note_pump(self, width: int, now: float) -> None:
        if self._pump > 0.0 and self._truth["mode"] not in ("GUIDED", "AUTO"):
            self._unasked += max(0.0, min(now - self._pump_at, 1.0))
        self._pump, self._pump_at = max(0.0, (width - PUMP_SERVO_LOW) / 1000.0), now

    @property
    def _now(self) -> float:
        """Time since the firmware was switched on. [s]"""
        return float(cast(float, self._truth["time_s"]))

    def _serve(self) -> None:
        """On the ground for so long that somebody has changed the battery."""
        if self._service and self._now - self._down_since > self._service:
            self._command(BATTERY_RESET, 255.0, 100.0)
            if self._airframe is not None:
                self._physics.service()
                self._told_charge = 1.0
            self._down_since = self._now

    def _tell_charge(self) -> None:
        """Keep the firmware's count of its battery to what the body has drawn: its own sensor sees no such motors."""
        charge = max(0.0, self._physics.charge)
        if self._told_charge - charge >= CHARGE_STEP and self._crew_heard:
            self._told_charge = charge
            self._command(BATTERY_RESET, 255.0, 100.0 * charge)

    def _tell_tank(self) -> None:
        """Say what is in the tank, as a sensor that is a component of its own does: ArduCopter knows no tank."""
        if self._now - self._sensed_at >= 1.0:
            self._sensed_at = self._now
            self._to_outside(self._sensor_codec.pack(tank_message(self._physics.liquid, self._liquid)))

    def _plan_faults(self) -> None:
        if self._flew_at is None:
            return
        since = self._now - self._flew_at
        for fault in self._setup.faults:
            holds = fault.at <= since < fault.at + fault.duration
            if holds != (fault in self._changed):
                self._changed ^= {fault}
                self._set_fault(fault.kind, holds)

    def _set_fault(self, kind: str, holds: bool) -> None:
        if kind == "link-cut":
            self._cut = holds
        elif kind == "battery-low":
            self._command(BATTERY_RESET, 255.0, SEVERITY[kind] if holds else 100.0 * self._told_charge)
        else:
            name, bad = PARAMETER_FAULTS[kind]
            value = bad if holds else float(not bad)
            self._tell(dialect.MAVLink_param_set_message(self._setup.system, 1, name.encode(), value, 9))

    def _command(self, command: int, *values: float) -> None:
        padded = [*values, *[0.0] * (7 - len(values))]
        self._tell(dialect.MAVLink_command_long_message(self._setup.system, 1, command, 0, *padded))

    def _tell(self, message: Message) -> None:
        self._crew.answer(self._crew_codec.pack(message))

    def _tell_truth(self, path: Path) -> None:
        unfinished = path.with_suffix(".unfinished")
        truth = {**self._truth, "sprayed_unasked_s": round(self._unasked, 2)}
        if self._airframe is not None:
            truth |= {"liquid_l": round(self._physics.liquid, 3), "throttle": round(self._physics.throttle, 4)}
            truth["charge"] = round(self._physics.charge, 3)
        unfinished.write_text(json.dumps(truth), encoding="utf-8")
        unfinished.replace(path)


def _require_possible(faults: tuple[PlannedFault, ...]) -> None:
    known = (*PARAMETER_FAULTS, *OWN_FAULTS)
    for fault in faults:
        if fault.kind not in known:
            raise FlightError(f"fault {fault.kind}: a real ArduCopter has only {', '.join(known)}")


async def fly_arducopter(setup: VehicleSetup, binary: Path, clock: Clock) -> None:
    """Run the firmware until cancelled."""
    airframe = load_preset(setup.airframe) if chosen(setup.physics) == "bullet" else None
    with suppress(asyncio.CancelledError):
        await RealArduCopter(setup, binary, clock, airframe).run()
