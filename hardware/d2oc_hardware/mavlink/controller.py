"""The MAVLink adapter: ArduCopter in GUIDED, or PX4 in OFFBOARD, as a `FlightController`.

What it guards against was all seen on the real thing (docs/flying.md): commands get lost, so each is sent up to four
times and then believed only when the heartbeat says so; setpoints are no heartbeat, so both are sent; the sprayer is
a latch, so it is run by what dies out when it is not renewed; the frame of an autopilot begins where it was switched
on, so places are WGS84.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import MOST_LEASE, FencePolygon, FlightError, Health, Mode, Telemetry
from d2oc_hardware.frames import FieldDatum, Geodetic, Place, Velocity, VelocityNed, from_ned, to_ned
from d2oc_hardware.mavlink.codec import Message, dialect
from d2oc_hardware.mavlink.firmware import FIRMWARES, PUMP_ON, ArduCopter, Firmware
from d2oc_hardware.mavlink.items import (
    FENCE,
    MISSION,
    Item,
    degrees,
    fence_items,
    fence_of,
    item_of,
    mission_items,
    places_of,
    whole,
)
from d2oc_hardware.mavlink.link import AUTOPILOT, Link

TRIES = 4
ACK_TIMEOUT = 1.0
"""Until a command is sent again. [s]"""
REASON_TIME = 0.3
"""The reasons of a refusal come as texts behind it. [s]"""
CONFIRM_TIMEOUT = 5.0
"""Until the vehicle itself must say that it is so. [s]"""
CONNECT_TIMEOUT = 15.0
POSITION_TIMEOUT = 90.0
"""ArduCopter was seen to need 41 s from power-on. [s]"""
HEARTBEAT_INTERVAL = 0.5
SPRAY_INTERVAL = 0.2
"""The override of the sprayer's channel is renewed so often. [s]"""
TANK_MONITOR = 1
"""Number of the battery monitor that tells of the tank."""
WARNING = 4
"""Severity of a text from which on something is wrong; higher numbers only inform."""
VELOCITY_ONLY = 0b0000_0101_1100_0111
"""Type mask: use the velocity and a yaw rate of zero, ignore place, acceleration and yaw.

ArduCopter turns its nose after a velocity that says nothing of the heading; a heavy one that did circled ever wider.
"""
PLACE_ONLY = 0b0000_0101_1111_1000
"""Type mask: use the place and a yaw rate of zero, ignore the rest."""
GLOBAL_INT = 5
"""Frame: latitude, longitude and altitude above the sea."""
PREARM, COMPASS = 0x1000_0000, 0x4
"""Bits of SYS_STATUS: it would arm, its compass is well."""
VERSION = 148
"""Message AUTOPILOT_VERSION."""
NEEDED_EKF = 0x1 | 0x2 | 0x4 | 0x10
"""Attitude, horizontal and vertical velocity, horizontal position."""
CONST_POS = 0x80
"""ArduPilot only: it assumes to stand still."""
STREAM_BEFORE = 1.5
"""PX4 wants setpoints for more than a second before it takes any. [s]"""
STEP_OF_PUMP = 50
"""A change of the pump's rate that is sent at once, not with the next renewal. [us of pulse width]"""
FENCE_TOLERANCE_M = 0.05
"""A corner may come back this far off: coordinates are whole steps of 1.1 cm."""
SLOW = 0.25
"""A vehicle slower than this may report the same place twice. [m/s]"""


class MavlinkController:
    """One vehicle behind a link; see `d2oc_hardware.flight_controller.FlightController`.

    Parameters
    ----------
    link : Link
        Shared by all vehicles on it.
    system : int
        System id of the vehicle.
    datum : FieldDatum
        Of the field frame.
    clock : Clock
        Of the flight.
    pump_output : int
        Number of the autopilot's output (SERVOn) that drives the pump, 1 to 16.
    """

    def __init__(self, link: Link, system: int, datum: FieldDatum, clock: Clock, pump_output: int = 5) -> None:
        self._link = link
        self._system = system
        self._datum = datum
        self._clock = clock
        self._pump_width = f"servo{pump_output}_raw"
        self._now = Telemetry()
        self._raw: tuple[int, int, int] | None = None
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._params: dict[str, asyncio.Future[float]] = {}
        self._inbox: asyncio.Queue[Message] | None = None
        self._task: asyncio.Task[None] | None = None
        self._spray_until = -math.inf
        self._sprays = False
        self._sprayed = 0
        self._autopilot: int | None = None
        self._firmware: Firmware = ArduCopter()
        self._kept: Place | None = None
        self._problems: list[str] = []
        self._complaints: list[str] = []
        link.subscribe(system, self._hear)

    @property
    def telemetry(self) -> Telemetry:
        """What the vehicle last said."""
        return self._now

    @property
    def firmware(self) -> str:
        """Name of the autopilot."""
        return self._firmware.name

    # Words of an operator

    @property
    def keeps_fence(self) -> bool:
        """It holds one."""
        return True

    async def connect(self) -> None:
        """Find the vehicle, refuse what is unknown, ask for telemetry; returns when it reports a position."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._keep_alive())
        await self._until(
            lambda: self._now.heartbeat_time > -math.inf, CONNECT_TIMEOUT, f"vehicle {self._system} is not heard"
        )
        if self._autopilot not in FIRMWARES:
            known = " and ".join(f"{firmware.name} ({number})" for number, firmware in FIRMWARES.items())
            raise FlightError(f"vehicle {self._system} runs autopilot {self._autopilot}, and {known} are supported")
        for number, rate in self._firmware.rates.items():
            with suppress(FlightError):  # what it does not know it cannot send
                await self._command(511, number, 1e6 / rate)
        with suppress(FlightError):
            await self._command(512, VERSION)
        self._send(dialect.MAVLink_timesync_message(0, int(self._clock.now() * 1e9)))
        await self._until(
            lambda: self._now.position is not None and self._now.health.position_known,
            POSITION_TIMEOUT,
            f"vehicle {self._system} does not know its position",
        )

    async def close(self) -> None:
        """Spray off, then fall silent."""
        self._spray_off()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def engage(self) -> None:
        """GUIDED; or OFFBOARD, for which setpoints must be there before, and until the first `fly`."""
        if self._firmware.climbs_by_setpoint and not (self._now.mode == Mode.OURS and self._now.armed):
            self._kept = self._now.position
            await self._clock.sleep(STREAM_BEFORE)
        await self._mode(Mode.OURS)

    async def arm(self) -> None:
        """Arm; the reasons of a refusal are in the sentence."""
        if not self._now.armed:
            await self._command(400, 1.0)
        await self._until(lambda: self._now.armed, CONFIRM_TIMEOUT, f"vehicle {self._system} did not arm")

    async def disarm(self) -> None:
        """Disarm."""
        if self._now.armed:
            await self._command(400, 0.0)
        await self._until(lambda: not self._now.armed, CONFIRM_TIMEOUT, f"vehicle {self._system} did not disarm")

    async def take_off(self, height: float) -> None:
        """Take off to a height in the field frame. [m]"""
        home = self._now.home or self._now.position
        rise = height - (home.up if home is not None else 0.0)
        if not self._now.landed and abs(self._height() - height) < 0.5:
            return
        limit = 10.0 + abs(rise) / 0.5
        if self._firmware.climbs_by_setpoint and self._now.position is not None:
            self._kept = self._now.position._replace(up=height)
        else:
            await self._command(22, 0, 0, 0, math.nan, 0, 0, rise)
        await self._until(lambda: self._height() > height - 0.3, limit, f"vehicle {self._system} did not climb")

    def fly(self, velocity: Velocity) -> None:
        """Velocity setpoint."""
        self._kept = None
        v = to_ned(velocity)
        time = int(self._clock.now() * 1000) & 0xFFFFFFFF
        self._send(
            dialect.MAVLink_set_position_target_local_ned_message(
                time, self._system, AUTOPILOT, 1, VELOCITY_ONLY, 0, 0, 0, *v, 0, 0, 0, 0, 0
            )
        )

    def spray(self, share: float, lease: float) -> None:
        """Spray for at most `lease` seconds."""
        if not (math.isfinite(share) and math.isfinite(lease)) or share <= 0.0 or not self._ours_in_flight():
            self._spray_off()
            return
        off = self._firmware.pump_off
        wanted = round(off + min(share, 1.0) * (PUMP_ON - off))
        begins = not self._sprays or abs(wanted - self._sprayed) > STEP_OF_PUMP
        self._spray_until = self._clock.now() + min(max(lease, 0.0), MOST_LEASE)
        self._sprays, self._sprayed = True, wanted
        if begins:
            self._run_pump(wanted)

    async def hold(self) -> None:
        """BRAKE, or AUTO.LOITER."""
        await self._give_over(Mode.HOLD)

    async def return_home(self) -> None:
        """RTL."""
        await self._give_over(Mode.RETURN)

    async def land(self) -> None:
        """LAND."""
        await self._give_over(Mode.LAND)

    async def _give_over(self, mode: Mode) -> None:
        """Spray off, and let the autopilot fly."""
        self._spray_off()
        self._kept = None
        await self._mode(mode)

    async def parameters(self, names: Sequence[str]) -> dict[str, float | None]:
        """Values of parameters, each asked for up to four times."""
        return {name: await self._parameter(name) for name in names}

    async def upload_fence(self, fence: Sequence[FencePolygon]) -> None:
        """Upload a fence and compare what comes back, corner by corner."""
        await self._upload(FENCE, fence_items(fence, self._datum))
        back = await self.read_fence()
        if not _same_fence(fence, back):
            raise FlightError(f"vehicle {self._system}: the fence that it holds is not the one that was sent")

    async def read_fence(self) -> list[FencePolygon]:
        """The fence that it holds."""
        return fence_of(await self._download(FENCE), self._datum)

    async def upload_mission(self, places: Sequence[Place]) -> None:
        """Upload a mission and compare what comes back."""
        home = self._now.home or self._now.position or Place(0.0, 0.0, 0.0)
        items = mission_items(
            [place._replace(up=place.up - home.up) for place in places],
            self._datum,
            self._datum.geodetic(home),
            begins_at_home=self._firmware.mission_begins_at_home,
        )
        await self._upload(MISSION, items)
        back = await self.read_mission()
        if len(back) != len(places) or any(math.dist(a, b) > 0.1 for a, b in zip(back, places, strict=True)):
            raise FlightError(f"vehicle {self._system}: the mission that it holds is not the one that was sent")

    async def read_mission(self) -> list[Place]:
        """Places of the mission that it holds."""
        home = self._now.home or self._now.position or Place(0.0, 0.0, 0.0)
        items = await self._download(MISSION)
        places = places_of(items, self._datum, begins_at_home=self._firmware.mission_begins_at_home)
        return [place._replace(up=place.up + home.up) for place in places]

    # Asking

    async def _command(self, command: int, *parameters: float) -> None:
        """A command, sent until it is acknowledged; raises where it is refused."""
        padded = [*parameters, *[0.0] * (7 - len(parameters))]
        self._complaints.clear()
        for attempt in range(TRIES):
            answer = self._acks[command] = asyncio.get_running_loop().create_future()
            self._send(dialect.MAVLink_command_long_message(self._system, AUTOPILOT, command, attempt, *padded))
            try:
                result = await asyncio.wait_for(answer, self._clock.wall(ACK_TIMEOUT))
            except TimeoutError:
                continue
            if result == 0:
                return
            if result == 5:  # in progress
                continue
            await self._clock.sleep(REASON_TIME)
            why = f": {'; '.join(self._complaints)}" if self._complaints else ""
            raise FlightError(f"vehicle {self._system} refuses command {command} (result {result}){why}")
        raise FlightError(f"vehicle {self._system} does not answer command {command}")

    async def _mode(self, mode: Mode) -> None:
        """Another mode, confirmed by the heartbeat."""
        for _ in range(TRIES):
            if self._now.mode == mode:
                return
            await self._command(176, *self._firmware.mode_words(mode))
            with suppress(FlightError):
                await self._until(lambda: self._now.mode == mode, 2.0, "")
        if self._now.mode != mode:
            raise FlightError(f"vehicle {self._system} did not change to {mode.value}")

    async def _until(self, holds: Callable[[], bool], timeout: float, complaint: str) -> None:
        end = self._clock.now() + timeout
        while not holds():
            if self._clock.now() > end:
                why = f" ({self._problems[-1]})" if self._problems else ""
                raise FlightError(f"{complaint} within {timeout:.0f} s{why}")
            await self._clock.sleep(0.05)

    async def _parameter(self, name: str) -> float | None:
        for _ in range(TRIES):
            answer = self._params[name] = asyncio.get_running_loop().create_future()
            self._send(dialect.MAVLink_param_request_read_message(self._system, AUTOPILOT, name.encode(), -1))
            with suppress(TimeoutError):
                return await asyncio.wait_for(answer, self._clock.wall(ACK_TIMEOUT))
        return None

    async def _upload(self, kind: int, items: Sequence[Item]) -> None:
        inbox = self._inbox = asyncio.Queue()
        message = dialect.MAVLink_mission_count_message(self._system, AUTOPILOT, len(items), kind)
        tries = 0
        self._send(message)
        while True:
            try:
                heard = await asyncio.wait_for(inbox.get(), self._clock.wall(ACK_TIMEOUT))
            except TimeoutError:
                tries += 1
                if tries > TRIES:
                    raise FlightError(f"vehicle {self._system} does not take the list that is sent") from None
                self._send(message)
                continue
            if heard.mission_type != kind:
                continue
            if heard.get_type() in ("MISSION_REQUEST", "MISSION_REQUEST_INT") and heard.seq < len(items):
                message = self._item(kind, heard.seq, items[heard.seq])
                self._send(message)
            elif heard.get_type() == "MISSION_ACK":
                if heard.type != 0:
                    raise FlightError(f"vehicle {self._system} refuses the list (result {heard.type})")
                return

    def _item(self, kind: int, number: int, item: Item) -> Message:
        return dialect.MAVLink_mission_item_int_message(
            self._system, AUTOPILOT, number, item.frame, item.command, 0, 1, item.param1, 0, 0, 0, item.latitude,
            item.longitude, item.altitude, kind,
        )  # fmt: skip

    async def _download(self, kind: int) -> list[Item]:
        count = await self._reply(
            dialect.MAVLink_mission_request_list_message(self._system, AUTOPILOT, kind),
            lambda m: m.get_type() == "MISSION_COUNT" and m.mission_type == kind,
        )
        items = []
        for number in range(count.count):
            heard = await self._reply(
                dialect.MAVLink_mission_request_int_message(self._system, AUTOPILOT, number, kind),
                partial(_is_item, number, kind),
            )
            items.append(item_of(heard))
        self._send(dialect.MAVLink_mission_ack_message(self._system, AUTOPILOT, 0, kind))
        return items

    async def _reply(self, message: Message, fits: Callable[[Message], bool]) -> Message:
        inbox = self._inbox = asyncio.Queue()
        for _ in range(TRIES):
            self._send(message)
            with suppress(TimeoutError):
                return await asyncio.wait_for(_first(inbox, fits), self._clock.wall(ACK_TIMEOUT))
        raise FlightError(f"vehicle {self._system} does not answer {message.get_type()}")

    # Speaking

    def _send(self, message: Message) -> None:
        self._link.send(self._system, message)

    async def _keep_alive(self) -> None:
        """Heartbeats, and the sprayer's override as long as its lease holds."""
        next_heartbeat = self._clock.now()
        while True:
            now = self._clock.now()
            if now >= next_heartbeat:
                self._send(dialect.MAVLink_heartbeat_message(self._firmware.heartbeat_type, 8, 0, 0, 4, 3))
                next_heartbeat = now + HEARTBEAT_INTERVAL
            if self._sprays and now >= self._spray_until:
                self._spray_off()
            elif self._sprays:
                self._run_pump(self._sprayed)
            if self._kept is not None:
                self._send_place(self._kept)
            await self._clock.sleep(SPRAY_INTERVAL)

    def _run_pump(self, width: int) -> None:
        self._send(self._firmware.pump(self._system, width))

    def _spray_off(self) -> None:
        self._sprays, self._spray_until = False, -math.inf
        self._run_pump(self._firmware.pump_off)

    def _ours_in_flight(self) -> bool:
        return self._now.mode == Mode.OURS and self._now.armed and not self._now.landed

    def _height(self) -> float:
        return self._now.position.up if self._now.position is not None else -math.inf

    def _send_place(self, place: Place) -> None:
        at, time = self._datum.geodetic(place), int(self._clock.now() * 1000) & 0xFFFFFFFF
        self._send(
            dialect.MAVLink_set_position_target_global_int_message(
                time, self._system, AUTOPILOT, GLOBAL_INT, PLACE_ONLY, *whole(at), at.altitude, 0, 0, 0, 0, 0, 0, 0, 0
            )
        )

    # Hearing

    def _hear(self, m: Message) -> None:
        kind = m.get_type()
        is_tank = kind == "BATTERY_STATUS" and m.id == TANK_MONITOR  # may be a component of its own
        if m.get_srcComponent() != AUTOPILOT and not is_tank:
            return
        now = self._clock.now()
        if kind == "GLOBAL_POSITION_INT":
            self._on_position(m, now)
        elif kind == "HEARTBEAT":
            self._on_heartbeat(m, now)
        elif kind == "COMMAND_ACK":
            _answer(self._acks.get(m.command), m.result)
        elif kind == "PARAM_VALUE":
            _answer(self._params.get(_text(m.param_id)), self._firmware.value(m))
        elif kind.startswith("MISSION_") and kind != "MISSION_CURRENT":
            if self._inbox is not None:
                self._inbox.put_nowait(m)
        elif kind == "STATUSTEXT":
            if m.severity <= WARNING:
                self._problems = [*self._problems[-9:], _text(m.text)]
                self._complaints = [*self._complaints[-4:], _text(m.text)]
                self._health()
        else:
            self._on_state(kind, m, now)

    def _on_heartbeat(self, m: Message, now: float) -> None:
        self._autopilot = m.autopilot
        self._firmware = FIRMWARES.get(m.autopilot, self._firmware)
        mode = self._firmware.mode_of(m.custom_mode)
        if mode != self._now.mode and mode != Mode.OURS:
            self._spray_off()  # on every edge away from us: the sprayer would go on by itself
        self._now = replace(self._now, mode=mode, armed=bool(m.base_mode & 128), heartbeat_time=now)

    def _on_position(self, m: Message, now: float) -> None:
        """A position counts as news if the place has changed, or the vehicle says that it hardly moves."""
        velocity = from_ned(VelocityNed(m.vx / 100.0, m.vy / 100.0, m.vz / 100.0))
        raw = (m.lat, m.lon, m.alt)
        is_news = raw != self._raw or max(velocity.horizontal, abs(velocity.up)) < SLOW
        self._raw = raw
        place = self._datum.local(degrees(m.lat, m.lon, m.alt / 1000.0))
        time = now if is_news else self._now.position_time
        self._now = replace(self._now, position=place, velocity=velocity, position_time=time)

    def _on_state(self, kind: str, m: Message, now: float) -> None:
        if kind == "SYS_STATUS":
            well = m.onboard_control_sensors_health
            armable = True if well & PREARM else False if self._firmware.judges_any_mode else None
            health = replace(self._now.health, armable=armable, compass=bool(well & COMPASS))
            self._now = replace(self._now, health=health)
        elif kind == "BATTERY_STATUS" and m.id == 0 and m.battery_remaining >= 0:
            self._now = replace(self._now, battery=m.battery_remaining / 100.0)
        elif kind == "BATTERY_STATUS" and m.id == TANK_MONITOR and m.battery_remaining >= 0:
            full = (
                m.current_consumed / max(1e-9, 10.0 * (100.0 - m.battery_remaining)) if m.battery_remaining < 100 else 0
            )
            self._now = replace(self._now, tank=full * m.battery_remaining / 100.0 if full else None, tank_time=now)
        elif kind == "SERVO_OUTPUT_RAW" and m.port == 0:
            off = self._firmware.pump_off
            pump = max(0.0, (getattr(m, self._pump_width) - off) / (PUMP_ON - off))
            self._now = replace(self._now, pump=pump, pump_time=now)
        elif kind == "EXTENDED_SYS_STATE":
            self._now = replace(self._now, landed=m.landed_state == 1)
        elif kind in ("EKF_STATUS_REPORT", "ESTIMATOR_STATUS"):
            known = m.flags & NEEDED_EKF == NEEDED_EKF and not (kind == "EKF_STATUS_REPORT" and m.flags & CONST_POS)
            self._now = replace(self._now, health=replace(self._now.health, position_known=known))
        elif kind == "GPS_RAW_INT":
            self._now = replace(self._now, health=replace(self._now.health, satellites=m.satellites_visible))
        elif kind == "HOME_POSITION":
            home = self._datum.local(Geodetic(m.latitude / 1e7, m.longitude / 1e7, m.altitude / 1000.0))
            self._now = replace(self._now, home=home)
        elif kind == "WIND":
            self._now = replace(self._now, wind=float(m.speed))
        elif kind == "WIND_COV":
            self._now = replace(self._now, wind=math.hypot(m.wind_x, m.wind_y))
        elif kind == "TIMESYNC" and m.tc1 != 0:
            offset = (m.tc1 - 0.5 * (m.ts1 + self._clock.now() * 1e9)) / 1e9
            self._now = replace(self._now, clock_offset=offset)
        elif kind == "AUTOPILOT_VERSION":
            major, minor, patch, _ = m.flight_sw_version.to_bytes(4, "big")
            self._now = replace(self._now, version=(major, minor, patch))

    def _health(self) -> None:
        health: Health = replace(self._now.health, problems=tuple(self._problems))
        self._now = replace(self._now, health=health)


async def _first(inbox: asyncio.Queue[Message], fits: Callable[[Message], bool]) -> Message:
    while True:
        message = await inbox.get()
        if fits(message):
            return message


def _is_item(number: int, kind: int, message: Message) -> bool:
    return bool(message.get_type() == "MISSION_ITEM_INT" and message.seq == number and message.mission_type == kind)


def _answer(future: asyncio.Future[int] | asyncio.Future[float] | None, value: float) -> None:
    if future is not None and not future.done():
        future.set_result(value)  # type: ignore[arg-type]


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.rstrip("\x00")


def _same_fence(sent: Sequence[FencePolygon], back: Sequence[FencePolygon]) -> bool:
    if [(len(p.corners), p.inside_allowed) for p in sent] != [(len(p.corners), p.inside_allowed) for p in back]:
        return False
    corners = zip((c for p in sent for c in p.corners), (c for p in back for c in p.corners), strict=True)
    return all(math.dist(a, b) < FENCE_TOLERANCE_M for a, b in corners)
