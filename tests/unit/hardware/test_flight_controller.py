"""The contract of every flight controller: the same words do the same, whatever is behind them."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tty
from functools import partial
from pathlib import Path

import pytest

from d2oc_hardware.betaflight.controller import BetaflightController
from d2oc_hardware.betaflight.link import open_msp
from d2oc_hardware.clock import Clock
from d2oc_hardware.failsafe import Situation, Watch
from d2oc_hardware.flight_controller import FencePolygon, FlightError, Mode
from d2oc_hardware.frames import FieldDatum, Geodetic, Place, Velocity
from d2oc_hardware.guard import Guard
from d2oc_hardware.keep_out import Area
from d2oc_hardware.logs.telemetry import packet_length
from d2oc_hardware.mavlink.codec import dialect
from d2oc_hardware.mavlink.controller import MavlinkController
from d2oc_hardware.mavlink.link import open_link
from d2oc_hardware.promise import Limits, Motion
from d2oc_hardware.simulated.autopilot import Autopilot
from d2oc_hardware.simulated.controller import SimulatedController
from d2oc_hardware.simulated.parameters import DEFAULTS, FOR_SWARMS
from d2oc_hardware.simulated.plant import PointMass
from d2oc_hardware.simulated.process import SimulatedVehicle, VehicleSetup
from d2oc_hardware.swarm import free_ports

DATUM = FieldDatum(Geodetic(47.397742, 8.545594, 488.0))
START = Place(20.0, -10.0, 0.0)
SETTINGS = {**FOR_SWARMS, "SIM_EKF_DELAY": 1.0}
SPEEDUP = 10.0
PX4_SPEEDUP = 4.0
PX4_FOR_SWARMS: dict[str, float] = {
    "COM_OF_LOSS_T": 1,  # [s] without a setpoint until it leaves OFFBOARD
    "COM_OBL_RC_ACT": 5,  # for Hold; as delivered for Position, which is of no use without a pilot
    "NAV_DLL_ACT": 2,  # returns when the ground station is gone; as delivered: nothing
    "COM_DL_LOSS_T": 5,  # [s]
    "COM_FAIL_ACT_T": 0,  # [s] of hovering before a failsafe acts
    "COM_RC_IN_MODE": 6,  # MANUAL_CONTROL before the transmitter, which counts while none is sent
    "COM_RC_LOSS_T": 0.5,  # [s] until the pump stops by itself
    "COM_RCL_EXCEPT": 7,  # no transmitter is needed for missions, automatic modes and OFFBOARD
    "PWM_MAIN_FUNC5": 407,  # RC AUX 1: the pump, still at 1500 us and below
    "PWM_MAIN_DIS5": 1000,
    "PWM_MAIN_MIN5": 1000,
    "PWM_MAIN_MAX5": 2000,
    "GF_ACTION": 3,  # returns at the fence
    "RTL_RETURN_ALT": 10,  # [m] above home
    "RTL_DESCEND_ALT": 10,
    "RTL_LAND_DELAY": 0,
    "COM_LOW_BAT_ACT": 3,  # returns, and lands when it is critical
}
"""What a swarm of PX4 is flown with, see docs/flying.md."""


class Bench:
    """A controller and the autopilot behind it."""

    still = 0.1
    """So slow is a vehicle that keeps its place. [m/s]"""
    lags, strays = 2.0, 0.3
    """How far it may be behind after some seconds, and from where it keeps its place. [m]"""
    a_parameter = "GUID_TIMEOUT"
    """One that is 1."""
    keeps_fence = True
    patience = 60
    """In which a flight must be over. [s]"""

    def __init__(self, controller, autopilot, clock, tidy=()):
        self.controller, self.autopilot, self.clock, self.tidy = controller, autopilot, clock, tidy

    @property
    def pump(self):
        assert self.controller.telemetry  # brings the one without a process up to now
        return self.autopilot.pump

    def a_person_takes_over(self):
        self.autopilot.set_mode(0)

    def spoil_the_battery(self):
        self.autopilot.battery = 0.01

    @property
    def n_zones(self):
        return len(self.autopilot.exclusion)

    async def close(self):
        await self.controller.close()
        for step in self.tidy:
            step()
        await asyncio.sleep(0)


async def in_process():
    clock = Clock(SPEEDUP)
    autopilot = Autopilot(PointMass(), {**DEFAULTS, **SETTINGS})
    return Bench(SimulatedController(autopilot, START, clock), autopilot, clock)


async def over_udp(key=None):
    clock = Clock(SPEEDUP)
    link = await open_link("udp:127.0.0.1:0", key=key)
    port = link.port
    datum = FieldDatum(DATUM.geodetic(START))
    setup = VehicleSetup(datum, system=7, peers=(("127.0.0.1", port),), parameters=SETTINGS, key=key)
    transport, vehicle = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: SimulatedVehicle(setup, clock), local_addr=("127.0.0.1", 0)
    )
    task = asyncio.ensure_future(vehicle.run())
    controller = MavlinkController(link, 7, DATUM, clock)
    return Bench(controller, vehicle.autopilot, clock, (task.cancel, transport.close, link.close))


async def over_signed_udp():
    return await over_udp(bytes(range(32)))


class OnAStream:
    """The end of a stream at which a simulated vehicle speaks."""

    def __init__(self, clock, write):
        setup = VehicleSetup(FieldDatum(DATUM.geodetic(START)), system=7, peers=(("stream", 0),), parameters=SETTINGS)
        self.vehicle = SimulatedVehicle(setup, clock)
        self.vehicle.connection_made(self)
        self.write, self._pending = write, b""
        self.task = asyncio.ensure_future(self.vehicle.run())

    def sendto(self, data, address):
        """What the vehicle says, in two pieces: a stream keeps no packets together."""
        self.write(data[:7])
        self.write(data[7:])

    def take(self, data):
        """Bytes for the vehicle, which takes whole packets."""
        self._pending += data
        while len(self._pending) > 2:
            length = packet_length(self._pending, 0)
            if not length:
                self._pending = self._pending[1:]
            elif length > len(self._pending):
                return
            else:
                self.vehicle.datagram_received(self._pending[:length], ("stream", 0))
                self._pending = self._pending[length:]


async def over_tcp():
    clock, ends = Clock(SPEEDUP), []

    async def serve(reader, writer):
        end = OnAStream(clock, writer.write)
        ends.append((end, writer))
        while data := await reader.read(4096):
            end.take(data)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = await open_link(f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}")
    while not ends:
        await asyncio.sleep(0.01)
    end, writer = ends[0]
    controller = MavlinkController(link, 7, DATUM, clock)
    return Bench(controller, end.vehicle.autopilot, clock, (end.task.cancel, link.close, writer.close, server.close))


async def over_serial():
    clock, loop = Clock(SPEEDUP), asyncio.get_running_loop()
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    tty.setraw(ours)
    end = OnAStream(clock, lambda data: os.write(ours, data))
    loop.add_reader(ours, lambda: end.take(os.read(ours, 4096)))
    link = await open_link(f"serial:{os.ttyname(theirs)}:115200")
    controller = MavlinkController(link, 7, DATUM, clock)

    def pull():
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)

    return Bench(controller, end.vehicle.autopilot, clock, (end.task.cancel, link.close, pull))


class RealBench(Bench):
    """A real ArduCopter; what happens behind the controller's back comes from a second ground station."""

    def __init__(self, controller, clock, other, process, tidy):
        super().__init__(controller, None, clock, tidy)
        self.other, self.process = other, process

    @property
    def pump(self):
        return self.controller.telemetry.pump

    def a_person_takes_over(self):
        self.other.send(7, dialect.MAVLink_command_long_message(7, 1, 176, 0, 1, 16, 0, 0, 0, 0, 0))  # POSHOLD

    def spoil_the_battery(self):
        self.other.send(7, dialect.MAVLink_param_set_message(7, 1, b"BATT_ARM_VOLT", 20.0, 9))

    n_zones = 1  # nobody but itself knows

    async def close(self):
        await super().close()
        self.process.terminate()
        self.process.wait()


async def heard(bench):
    """A bench whose vehicle has begun to speak: that takes as long as the machine is busy."""
    end = time.monotonic() + 30.0
    while bench.controller.telemetry.heartbeat_time == -math.inf and time.monotonic() < end:
        await asyncio.sleep(0.1)
    return bench


async def real_arducopter(key=None):
    folder = Path(tempfile.mkdtemp())
    clock, vehicle = Clock(SPEEDUP), free_ports(1)[0]
    link = await open_link("udp:127.0.0.1:0", key=key)
    other = await open_link(f"udpout:127.0.0.1:{vehicle}", system=200, key=key)
    at = ",".join(map(repr, DATUM.geodetic(START)))
    words = [
        "sim-vehicle", "--arducopter", os.environ["ARDUCOPTER_BIN"], "--physics", "ideal", "--at", at,
        "--system-id", "7", "--to", f"127.0.0.1:{link.port}", "--port", str(vehicle), "--speedup", str(SPEEDUP),
    ]  # fmt: skip
    if key is not None:
        (folder / "key").write_text(key.hex())
        (folder / "key").chmod(0o600)
        words += ["--key", str(folder / "key")]
    for name, value in FOR_SWARMS.items():
        words += ["--param", f"{name}={value}"]
    process = subprocess.Popen([sys.executable, "-m", "d2oc", *words])
    tidy = (link.close, other.close, partial(shutil.rmtree, folder))
    return await heard(RealBench(MavlinkController(link, 7, DATUM, clock), clock, other, process, tidy))


async def signed_real_arducopter():
    return await real_arducopter(bytes(range(32)))


class RealPx4Bench(RealBench):
    """A real PX4 with its own physics; it stays in its place to half a metre per second, no better."""

    still, lags, strays = 1.2, 4.0, 1.0

    a_parameter = "COM_OF_LOSS_T"

    def a_person_takes_over(self):
        async def stick_and_switch():
            for _ in range(40):
                self.other.send(7, dialect.MAVLink_manual_control_message(7, 0, 0, 500, 0, 0))
                self.other.send(7, dialect.MAVLink_command_long_message(7, 1, 176, 0, 1, 3, 0, 0, 0, 0, 0))  # POSCTL
                await self.clock.sleep(0.1)

        self.person = asyncio.ensure_future(stick_and_switch())

    def spoil_the_battery(self):
        self.other.send(7, dialect.MAVLink_param_set_message(7, 1, b"COM_ARMABLE", 0.0, 6))


async def real_px4():
    build, folder = Path(os.environ["PX4_DIR"]), Path(tempfile.mkdtemp())
    clock, instance = Clock(PX4_SPEEDUP), 6
    link = await open_link(f"udp:127.0.0.1:{14540 + instance}")
    other = await open_link(f"udpout:127.0.0.1:{18570 + instance}", system=200)
    at = DATUM.geodetic(START)
    surroundings = {
        "PX4_SIM_MODEL": "sihsim_quadx", "PX4_SYS_AUTOSTART": "10040", "PX4_SIM_SPEED_FACTOR": f"{PX4_SPEEDUP:g}",
        "PX4_HOME_LAT": f"{at.latitude:.9f}", "PX4_HOME_LON": f"{at.longitude:.9f}",
        "PX4_HOME_ALT": f"{at.altitude:.3f}",
        **{f"PX4_PARAM_{name}": f"{value:g}" for name, value in (PX4_FOR_SWARMS | {"SIM_BAT_DRAIN": 3600}).items()},
    }  # fmt: skip
    process = subprocess.Popen(
        [build / "bin" / "px4", "-d", "-i", str(instance), build / "etc", "-w", folder],
        cwd=folder, env={**os.environ, **surroundings}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    tidy = (link.close, other.close, partial(shutil.rmtree, folder, ignore_errors=True))
    return await heard(RealPx4Bench(MavlinkController(link, 7, DATUM, clock), clock, other, process, tidy))


class RealBetaflightBench(RealBench):
    """A real Betaflight on a body of the bullet world, in real time; a person's hand comes as signals."""

    a_parameter = "pid_process_denom"
    keeps_fence = False
    patience = 120

    def a_person_takes_over(self):
        self.process.send_signal(signal.SIGUSR1)

    def spoil_the_battery(self):
        self.process.send_signal(
            signal.SIGUSR2
        )  # it arms with any battery, but not while somebody is at its command line

    async def close(self):
        await self.controller.close()
        self.process.terminate()
        self.process.wait()


async def real_betaflight():
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        port = any_socket.getsockname()[1]
    at = ",".join(map(repr, DATUM.geodetic(START)))
    driver = Path(__file__).with_name("betaflight_driver.py")
    process = subprocess.Popen([sys.executable, driver, os.environ["BETAFLIGHT_BIN"], str(port), at])
    clock, end = Clock(), time.monotonic() + 60.0
    while True:
        try:
            link = await open_msp(f"msp:tcp:127.0.0.1:{port}", clock)
            break
        except FlightError:
            assert process.poll() is None
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
    return RealBetaflightBench(BetaflightController(link, DATUM, clock), clock, None, process, ())


needs_betaflight = pytest.mark.skipif(
    "BETAFLIGHT_BIN" not in os.environ,
    reason="BETAFLIGHT_BIN names no Betaflight built for this machine, see docs/flying.md",
)
needs_px4 = pytest.mark.skipif(
    "PX4_DIR" not in os.environ, reason="PX4_DIR names no folder of a PX4 built for this machine, see docs/flying.md"
)
needs_arducopter = pytest.mark.skipif(
    "ARDUCOPTER_BIN" not in os.environ,
    reason="ARDUCOPTER_BIN names no ArduCopter built for this machine, see docs/flying.md",
)
BENCHES = [
    in_process,
    over_udp,
    over_signed_udp,
    over_tcp,
    over_serial,
    pytest.param(real_arducopter, marks=[pytest.mark.sitl, needs_arducopter]),
    pytest.param(signed_real_arducopter, marks=[pytest.mark.sitl, needs_arducopter]),
    pytest.param(real_betaflight, marks=[pytest.mark.sitl, needs_betaflight]),
    pytest.param(real_px4, marks=[pytest.mark.sitl, needs_px4]),
]


@pytest.mark.parametrize("make", [over_tcp, over_serial])
def test_a_line_that_is_pulled_lets_telemetry_grow_old_and_nothing_else(make):
    async def whole():
        bench = await make()
        await bench.controller.connect()
        stop, close, *pull = bench.tidy
        stop()
        for step in pull:
            step()
        heard = bench.controller.telemetry.position_time
        await bench.clock.sleep(3.0)
        bench.controller.fly(Velocity(1.0, 0.0, 0.0))
        assert bench.controller.telemetry.position_time <= heard + 0.5
        await bench.controller.close()
        close()

    asyncio.run(asyncio.wait_for(whole(), 30))


@pytest.fixture(params=BENCHES, ids=lambda make: make.__name__)
def fly(request):
    """Runs a flight on a bench of each kind."""

    def run(flight):
        async def whole():
            bench = await request.param()
            try:
                await asyncio.wait_for(flight(bench.controller, bench), bench.patience)
            finally:
                await bench.close()

        asyncio.run(whole())

    return run


async def in_the_air(controller, height=5.0):
    await controller.connect()
    await controller.engage()
    await controller.arm()
    await controller.take_off(height)


async def keep_spraying(controller, clock, velocity, seconds):
    """As `keep_flying`, with the pump's lease renewed each time."""
    end = clock.now() + seconds
    while clock.now() < end:
        controller.fly(velocity)
        controller.spray(1.0, 0.6)
        await clock.sleep(0.1)


async def keep_flying(controller, clock, velocity, seconds):
    end = clock.now() + seconds
    while clock.now() < end:
        controller.fly(velocity)
        await clock.sleep(0.1)


def test_it_takes_off_flies_a_velocity_returns_and_lands(fly):
    async def flight(controller, bench):
        await in_the_air(controller)
        await in_the_air(controller)  # all of it is so already
        t = controller.telemetry
        assert t.armed
        assert not t.landed
        assert t.mode == Mode.OURS
        assert t.position == pytest.approx((20, -10, 5), abs=0.6)
        before = t.position
        await keep_flying(controller, bench.clock, Velocity(2.0, -1.0, 0.0), 4.0)
        moved = [b - a for a, b in zip(before, controller.telemetry.position, strict=True)]
        assert moved[0] == pytest.approx(7.5, abs=bench.lags)
        assert moved[1] == pytest.approx(-moved[0] / 2, abs=bench.lags / 4)
        await controller.return_home()
        assert controller.telemetry.mode == Mode.RETURN
        while controller.telemetry.armed:
            await bench.clock.sleep(0.5)
        assert controller.telemetry.landed
        assert math.dist(controller.telemetry.position, START) < 1.0 + bench.strays
        await controller.engage()  # after a change of batteries, say
        await controller.arm()
        assert controller.telemetry.armed

    fly(flight)


def test_it_stops_when_setpoints_end(fly):
    async def flight(controller, bench):
        await in_the_air(controller)
        await keep_flying(controller, bench.clock, Velocity(3.0, 0.0, 0.0), 2.0)
        await bench.clock.sleep(4.0)
        assert controller.telemetry.velocity.horizontal < bench.still

    fly(flight)


def test_spray_is_a_lease_that_ends_by_itself_and_with_the_mode(fly):
    async def flight(controller, bench):
        await in_the_air(controller)

        await keep_spraying(controller, bench.clock, Velocity(3.0, 0.0, 0.0), 3.0)
        assert bench.pump > 0.3
        assert controller.telemetry.pump > 0.3
        await keep_flying(controller, bench.clock, Velocity(3.0, 0.0, 0.0), 2.5)
        assert bench.pump == 0.0
        await keep_spraying(controller, bench.clock, Velocity(3.0, 0.0, 0.0), 2.0)
        await controller.hold()
        await bench.clock.sleep(0.5)
        assert bench.pump == 0.0
        controller.spray(1.0, 1.0)  # not ours: nothing
        await bench.clock.sleep(0.6)
        assert bench.pump == 0.0

    fly(flight)


def test_a_refusal_is_a_sentence(fly):
    async def flight(controller, bench):
        await controller.connect()
        await controller.engage()
        bench.spoil_the_battery()
        await bench.clock.sleep(2.0)
        with pytest.raises(FlightError, match=r"refuses|did not arm"):
            await controller.arm()
        assert not controller.telemetry.armed
        await controller.disarm()  # is so already

    fly(flight)


async def push_against(controller, clock, guard, wish, seconds):
    """Ask for a velocity through the guard, ten times a second; the places where it was, and the longest gap. [s]"""
    places, gap, end, before = [], 0.0, clock.now() + seconds, clock.now()
    while clock.now() < end:
        now, t = clock.now(), controller.telemetry
        gap, before = max(gap, now - before), now
        fine = Situation(
            ours=True, position_known=True, inside=True, telemetry_age=now - t.position_time, setpoint_age=0.0,
            operator_age=0.0, battery=1.0, tank=10.0, home_distance=0.0, height=t.position.up, wind=0.0,
        )  # fmt: skip
        controller.fly(guard.judge(now, Motion(t.position, t.velocity, now - t.position_time), wish, fine).velocity)
        places.append(t.position)
        await clock.sleep(0.1)
    return places, gap


@pytest.mark.parametrize("wish", [Velocity(6.0, 0.0, 0.0), Velocity(4.0, 4.0, 0.0)], ids=["at an edge", "at a corner"])
def test_whoever_is_told_to_fly_out_of_the_fence_stops_in_front_of_it(fly, wish):
    area = Area([(0.0, -30.0), (45.0, -30.0), (45.0, 10.0), (0.0, 10.0)])

    async def flight(controller, bench):
        await in_the_air(controller)
        guard = Guard(Limits(), Watch(), area)
        places, gap = await push_against(controller, bench.clock, guard, wish, 14.0)
        if gap > Limits().period + Limits().latency:
            pytest.skip(f"the machine was too busy: {gap:.2f} s between two commands")
        nearest = min(area.distance(p.east, p.north) if area.contains(p.east, p.north) else -1.0 for p in places)
        assert nearest < 3.0, "it did not come near"
        assert nearest > 0.0

    fly(flight)


def test_a_fence_and_a_mission_come_back_as_they_were_sent(fly):
    fence = [
        FencePolygon(((-50.0, -50.0), (60.0, -50.0), (60.0, 70.0), (-50.0, 70.0)), True),
        FencePolygon(((30.0, 30.0), (35.0, 30.0), (32.0, 36.0)), False),
    ]
    places = [Place(25.0, -5.0, 6.0), Place(30.0, 0.0, 7.0)]

    async def flight(controller, bench):
        await controller.connect()
        if not bench.keeps_fence:
            for refused in (controller.upload_fence(fence), controller.read_fence(), controller.upload_mission(places)):
                with pytest.raises(FlightError, match=r"keeps no geofence|flies no missions"):
                    await refused
            return
        await controller.upload_fence(fence)
        back = await controller.read_fence()
        assert [p.inside_allowed for p in back] == [True, False]
        assert back[1].corners[2] == pytest.approx((32, 36), abs=0.05)
        assert bench.n_zones == 1
        await controller.upload_mission(places)
        for place, expected in zip(await controller.read_mission(), places, strict=True):
            assert place == pytest.approx(expected, abs=0.05)

    fly(flight)


def test_parameters_are_read_and_unknown_ones_are_none(fly):
    async def flight(controller, bench):
        await controller.connect()
        assert await controller.parameters([bench.a_parameter]) == {bench.a_parameter: 1.0}
        assert await controller.parameters(["NO_SUCH"]) == {"NO_SUCH": None}

    fly(flight)


def test_a_mode_of_the_pilot_is_seen_and_setpoints_do_nothing_then(fly):
    async def flight(controller, bench):
        await in_the_air(controller)
        bench.a_person_takes_over()
        await bench.clock.sleep(2.0)
        assert controller.telemetry.mode == Mode.PILOT
        before = controller.telemetry.position
        await keep_flying(controller, bench.clock, Velocity(3.0, 0.0, 0.0), 2.0)
        assert controller.telemetry.position[:2] == pytest.approx(before[:2], abs=bench.strays)
        assert bench.pump == 0.0

    fly(flight)


@pytest.mark.sitl
@needs_betaflight
def test_a_betaflight_whose_program_dies_stops_the_pump_and_lands_by_itself():
    async def whole():
        bench = await real_betaflight()
        controller, clock = bench.controller, bench.clock
        try:
            await in_the_air(controller, 3.0)
            await keep_spraying(controller, clock, Velocity(2.0, 1.0, 0.0), 2.0)
            assert controller.telemetry.pump == pytest.approx(1.0, abs=0.05)
            controller._link.send_sticks = lambda widths: None  # nothing more is sent, but telemetry is asked for
            before = clock.now()
            while controller.telemetry.pump > 0.0 or controller.telemetry.mode != Mode.LAND:
                assert clock.now() < before + 5.0
                await clock.sleep(0.02)
            assert controller._in_failsafe
            while controller.telemetry.position.up > 0.2:
                assert controller.telemetry.pump == 0.0
                assert clock.now() < before + 20.0
                await clock.sleep(0.1)
        finally:
            await bench.close()

    asyncio.run(asyncio.wait_for(whole(), 90))


@pytest.mark.sitl
@needs_px4
def test_a_px4_whose_program_dies_stops_the_pump_leaves_offboard_and_returns():
    async def whole():
        bench = await real_px4()
        controller, clock = bench.controller, bench.clock
        try:
            await in_the_air(controller)
            await keep_spraying(controller, clock, Velocity(2.0, 1.0, 0.0), 3.0)
            assert controller.telemetry.pump == pytest.approx(1.0, abs=0.05)
            controller._task.cancel()
            controller._send = lambda message: None  # nothing more is sent, not even that the pump should stop
            await clock.sleep(2.0)
            assert controller.telemetry.pump == 0.0
            await clock.sleep(14.0)
            assert controller.telemetry.mode == Mode.RETURN
            assert controller.telemetry.pump == 0.0
        finally:
            controller._task = None
            await bench.close()

    asyncio.run(asyncio.wait_for(whole(), 60))
