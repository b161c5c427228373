"""One Betaflight as a `FlightController`.

Betaflight knows neither velocities nor missions nor, as flown here, a way home. It holds angles, and this program flies
it by sticks over MSP, forty times a second: whatever moves it is a loop in this process (`cascade.py`), also while it
holds, returns and lands. When this process dies the sticks end, and what happens then is the firmware's own: see
docs/flying.md. Where it is, it says itself, from its receiver of satellites.

The sticks carry a mark, on a channel of its own. Betaflight says by which channels it flies; where the mark is not
there, they are somebody else's, and this program is silent until the operator engages again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from d2oc_hardware.betaflight import msp
from d2oc_hardware.betaflight.cascade import IDLE, Cascade, Motion, Sticks, toward
from d2oc_hardware.betaflight.link import MspLink
from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import MOST_LEASE, FencePolygon, FlightError, Health, Mode, Telemetry
from d2oc_hardware.frames import STANDSTILL, FieldDatum, Geodetic, Place, Velocity

STICK_PERIOD = 0.025
"""[s]"""
ARM_CHANNEL, PUMP_CHANNEL, MARK_CHANNEL = 4, 5, 6
"""From 0; the four sticks come first."""
LOW, MIDDLE, HIGH = 1000, 1500, 2000
"""Widths of a channel; the pump stands still in the middle, where the channel is before sticks have come. [us]"""
ARMED_BOX, FAILSAFE_BOX, RESCUE_BOX = 0, 27, 46
"""Permanent ids of modes."""
POLLED = (msp.RAW_GPS, msp.ATTITUDE, msp.ALTITUDE, msp.STATUS_EX, msp.RC)
SLOW_PERIOD = 1.0
"""Between two questions for the battery. [s]"""
FOREIGN_S = 0.3
"""So long must somebody else's sticks be seen."""
FIX_LATE_S, MOST_CARRIED_S = 0.05, 0.25
"""So old a new position is, and for so long at most it is carried on by the velocity."""
SETPOINT_S = 1.0
"""Without a new velocity for so long, it stands still."""
FRESH_S = 0.5
"""Older telemetry is not flown by: it is held level then."""
ANSWER_TIMEOUT = 60.0
ARM_TIMEOUT = 20.0
"""What passes by itself is waited for so long: calibration, the time after switching on. [s]"""
PASSING = ("BOOT_GRACE_TIME", "CALIBRATING", "RX_FAILSAFE", "NOT_DISARMED", "ARM_SWITCH")
ARM_TRIES = 3
SPOOL_FROM, SPOOL_UP = 0.3, 0.15
"""From which the throttle grows until it lifts off, and how fast. [1/s]"""
LIFT_LATE_S = 0.45
"""So long after it the lift-off is known."""
LIFT_CLIMB = 0.5
"""Climb that it has then. [m/s]"""
LIFTED = 0.08
"""It has lifted off. [m]"""
CLIMB, DESCEND, TOUCH_DOWN = 1.2, 0.9, 0.4
"""[m/s]"""
NEAR_GROUND = 1.5
"""Below, over where it was armed, it sinks slowly. [m]"""
RETURN_SPEED = 3.0
NEAR = 0.3
ARRIVED = 0.4
"""[m]"""
SLOW, STOPPING_S = 0.4, 0.5
"""So slow it is nearly standing [m/s], and stands after so long [s]."""
DOWN_S, DOWN_M, DOWN_SHARE = 1.2, 0.05, 0.97
"""It stands when it has sunk no farther than this [m] for so long [s], with so much less throttle than at first."""
IDLE_SHARE = 0.7
"""Of the hover's throttle as found at take-off: with less, and as low as it was then, it stands in any case."""
SWITCH_S = 0.3
YAW_GAIN, MOST_YAW, FULL_YAW = 1.5, 0.5, math.radians(100.0)
"""[1/s], [rad/s], and what a full stick asks for [rad/s]."""
NO_FENCE = "Betaflight keeps no geofence: the guard of this program is the only one"
NO_MISSION = "Betaflight flies no missions by itself"


class BetaflightController:
    """Flies the vehicle at the other end of a link; see `FlightController`."""

    def __init__(self, link: MspLink, datum: FieldDatum, clock: Clock) -> None:
        self._link, self._datum, self._clock = link, datum, clock
        link.take = self._note
        self._now = Telemetry()
        self._boxes: tuple[int, ...] = ()
        self._variant = ""
        self._status = msp.Status(0, 0)
        self._fix: msp.RawGps | None = None
        self._fixed_at = -math.inf
        self._ground = 0.0
        self._mode = Mode.PILOT
        self._arm = False
        self._armed_by_us = False
        self._ours_at = -math.inf
        self._task: asyncio.Task[None] | None = None
        self._angle_limit = math.radians(30.0)
        self._motion, self._cascade = Motion(), Cascade()
        self._measured_up = 0.0
        self._wanted: tuple[float, Velocity] = (-math.inf, STANDSTILL)
        self._stay: Place | None = None
        self._height: float | None = None
        self._spool: float | None = None
        self._heading = 0.0
        self._lowest = (math.inf, -math.inf, 0.0)
        self._switched_at = -math.inf
        self._spray: tuple[float, float] = (0.0, -math.inf)
        self._slow_at = -math.inf
        self._silent = True

    @property
    def telemetry(self) -> Telemetry:
        """What it last said."""
        return self._now

    @property
    def firmware(self) -> str:
        """It is no other."""
        return "Betaflight"

    @property
    def keeps_fence(self) -> bool:
        """It knows none."""
        return False

    async def connect(self) -> None:
        """Ask who it is, then for where it is."""
        if self._task is not None:
            return
        await self._identify()
        limit = await self._link.setting("angle_limit")
        if limit is not None:
            self._angle_limit = math.radians(limit)
        self._task = asyncio.ensure_future(self._run())
        await self._until(lambda: self._now.health.position_known, ANSWER_TIMEOUT, "the vehicle has no position")

    async def _identify(self) -> None:
        end = self._clock.now() + ANSWER_TIMEOUT
        while wanted := self._unidentified():
            if self._clock.now() > end:
                raise FlightError("no Betaflight answers on this line")
            self._link.ask(wanted)
            await self._clock.sleep(0.02)
        if self._variant != "BTFL":
            raise FlightError(f"the vehicle is {self._variant}, and only BTFL, Betaflight, is flown over MSP")

    def _unidentified(self) -> int:
        """What is still to be asked, 0 when all is known."""
        known = {msp.FC_VARIANT: self._variant, msp.FC_VERSION: self._now.version, msp.BOX_IDS: self._boxes}
        return next((command for command, value in known.items() if not value), 0)

    async def close(self) -> None:
        """Spray off; then no more sticks."""
        self.spray(0.0, 0.0)
        if self._task is not None:
            self._link.send_sticks(self._widths(self._last))
            self._task.cancel()
            self._task = None
        self._link.close()

    async def engage(self) -> None:
        """From now on our sticks count."""
        if self._now.armed and self._silent:
            raise FlightError("the vehicle refuses: it was armed by somebody else")
        if self._mode == Mode.OURS:
            return
        self._mode, self._stay, self._wanted = Mode.OURS, None, (-math.inf, STANDSTILL)
        if not self._now.landed:
            self._height = None if self._now.position is None else self._now.position.up
        self._ours_at = self._clock.now()
        await self._until(lambda: self._now.mode == Mode.OURS, 2.0, "the vehicle flies by somebody else's sticks")

    async def arm(self) -> None:
        """Wait for what passes, then throw the switch; again where the receiver was not heard at that moment."""
        if self._now.armed:
            return
        if self._mode != Mode.OURS:
            raise FlightError("the vehicle refuses: engage first")
        for _ in range(ARM_TRIES):
            end = self._clock.now() + ARM_TIMEOUT
            while obstacles := [name for name in self._status.obstacles() if name != "ARM_SWITCH"]:
                if set(obstacles) - set(PASSING) or self._clock.now() > end:
                    raise FlightError(f"the vehicle refuses: {', '.join(obstacles)}")
                await self._clock.sleep(0.05)
            self._arm, self._spool, self._height = True, None, None
            try:
                await self._until(lambda: self._now.armed, 1.5, "the vehicle did not arm")
            except FlightError:
                self._arm = False
                await self._clock.sleep(0.3)
                continue
            self._armed_by_us = True
            return
        raise FlightError(f"the vehicle did not arm: {', '.join(self._status.obstacles()) or 'it says not why'}")

    async def disarm(self) -> None:
        """Put the switch back, on the ground."""
        if self._now.armed and not self._now.landed:
            raise FlightError("the vehicle refuses: it flies")
        self._arm = False
        await self._until(lambda: not self._now.armed, 2.0, "the vehicle did not disarm")

    async def take_off(self, height: float) -> None:
        """Throttle up until it lifts off, then climb."""
        if not self._now.armed or self._mode != Mode.OURS:
            raise FlightError("the vehicle refuses: engage and arm first")
        if self._now.landed:
            self._stay, self._spool = self._now.position, SPOOL_FROM
            self._heading = self._motion.yaw
        self._height = height
        await self._until(lambda: self._is_at(height), ANSWER_TIMEOUT, "the vehicle did not climb")

    def _is_at(self, height: float) -> bool:
        """Whether it is at a height, and its loops want to keep it there."""
        return max(abs(self._up - height), abs(self._cascade.wanted_up - height)) < NEAR

    def fly(self, velocity: Velocity) -> None:
        """A velocity, good for a second."""
        if self._mode == Mode.OURS and not self._now.landed:
            self._wanted = (self._clock.now(), velocity)
            self._stay = self._height = None

    def spray(self, share: float, lease: float) -> None:
        """The pump's channel."""
        wanted = share > 0.0 and math.isfinite(lease) and self._mode == Mode.OURS and not self._now.landed
        self._spray = (min(1.0, share), self._clock.now() + min(lease, MOST_LEASE)) if wanted else (0.0, -math.inf)

    async def hold(self) -> None:
        """Keep the place."""
        self._change(Mode.HOLD)

    async def return_home(self) -> None:
        """Fly to where it was armed, and land."""
        self._change(Mode.RETURN)

    async def land(self) -> None:
        """Sink where it is."""
        self._change(Mode.LAND)

    def _change(self, mode: Mode) -> None:
        self.spray(0.0, 0.0)
        if self._now.mode == Mode.PILOT and self._now.armed:
            raise FlightError("the vehicle refuses: it flies by somebody else's sticks")
        self._mode = mode
        self._stay = None
        self._height = self._up if mode == Mode.HOLD else None
        self._now = replace(self._now, mode=mode)

    async def parameters(self, names: Sequence[str]) -> dict[str, float | None]:
        """Settings; no sticks are sent while they are asked for, so not in flight."""
        if self._now.armed:
            raise FlightError("the vehicle refuses: its settings are read on the ground only")
        return {name: await self._link.setting(name) for name in names}

    async def upload_fence(self, fence: Sequence[FencePolygon]) -> None:
        """There is none."""
        raise FlightError(NO_FENCE)

    async def read_fence(self) -> list[FencePolygon]:
        """There is none."""
        raise FlightError(NO_FENCE)

    async def upload_mission(self, places: Sequence[Place]) -> None:
        """There is none."""
        raise FlightError(NO_MISSION)

    async def read_mission(self) -> list[Place]:
        """There is none."""
        raise FlightError(NO_MISSION)

    # What it says

    def _note(self, frame: msp.Frame) -> None:
        now = self._clock.now()
        self._now = replace(self._now, heartbeat_time=now)
        if frame.command == msp.MULTIPLE:
            found = msp.parts(frame.payload, POLLED)
            if len(found) == len(POLLED):
                self._note_state(found, now)
        elif frame.command == msp.FC_VARIANT:
            self._variant = frame.payload.decode("ascii", "replace")
        elif frame.command == msp.FC_VERSION and len(frame.payload) >= 3:
            self._now = replace(self._now, version=(frame.payload[0], frame.payload[1], frame.payload[2]))
        elif frame.command == msp.BOX_IDS:
            self._boxes = tuple(frame.payload)
        elif frame.command == msp.BATTERY_STATE:
            battery = msp.battery(frame.payload)
            if battery.cells and battery.capacity:
                self._now = replace(self._now, battery=max(0.0, 1.0 - battery.drawn / battery.capacity))

    def _note_state(self, found: dict[int, bytes], now: float) -> None:
        status = self._status = msp.status(found[msp.STATUS_EX])
        gps, attitude = msp.raw_gps(found[msp.RAW_GPS]), msp.attitude(found[msp.ATTITUDE])
        channels = msp.channels(found[msp.RC])
        armed = self._has(ARMED_BOX)
        self._note_height(msp.altitude(found[msp.ALTITUDE]), armed)
        motion = self._motion
        motion.roll, motion.pitch = math.radians(attitude.roll), math.radians(attitude.pitch)
        motion.yaw = math.radians(attitude.yaw)
        course = math.radians(gps.course)
        velocity = Velocity(gps.speed * math.sin(course), gps.speed * math.cos(course), motion.climb)
        if gps != self._fix:
            self._fix, self._fixed_at = gps, now - FIX_LATE_S
            motion.correct(velocity)
        here = self._datum.local(Geodetic(gps.latitude, gps.longitude, self._datum.origin.altitude))
        age = min(MOST_CARRIED_S, now - self._fixed_at)
        place = Place(here.east + age * velocity.east, here.north + age * velocity.north, self._measured_up)
        landed = not armed or (self._now.landed and self._measured_up < self._ground + LIFTED)
        self._note_who(channels, armed, now)
        obstacles = tuple(name for name in status.obstacles() if name != "ARM_SWITCH")
        has_fix = gps.fix and gps.satellites > 3
        self._now = replace(
            self._now,
            position=place if has_fix else self._now.position,
            velocity=velocity if armed else STANDSTILL,
            position_time=now if has_fix else self._now.position_time,
            mode=self._told_mode(),
            armed=armed,
            landed=landed,
            health=Health(has_fix, gps.satellites, armed or not obstacles, self._has_compass(found), obstacles),
            pump=max(0.0, (channels[PUMP_CHANNEL] - MIDDLE) / (HIGH - MIDDLE)) if len(channels) > PUMP_CHANNEL else 0.0,
            pump_time=now,
            home=place if not armed and has_fix else self._now.home,
        )

    @staticmethod
    def _has_compass(found: dict[int, bytes]) -> bool:
        return bool(int.from_bytes(found[msp.STATUS_EX][4:6], "little") & 4)

    def _note_height(self, told: float, armed: bool) -> None:
        """Armed, it tells its height above where it was armed; before, above the sea. The change takes a moment."""
        now = self._clock.now()
        if armed != self._now.armed:
            self._switched_at = now
        if now - self._switched_at < SWITCH_S:
            return
        if armed:
            self._measured_up = self._ground + told
        else:
            self._ground = self._measured_up = told - self._datum.origin.altitude

    def _note_who(self, channels: tuple[int, ...], armed: bool, now: float) -> None:
        """Whose sticks it flies by, and whether it fell into its own failsafe."""
        marked = len(channels) > MARK_CHANNEL and channels[MARK_CHANNEL] == HIGH
        if marked or "RX_FAILSAFE" in self._status.obstacles():  # lost sticks are nobody's
            self._ours_at = now
        elif now - self._ours_at > FOREIGN_S and not self._in_failsafe and self._mode != Mode.PILOT:
            self._mode = Mode.PILOT
            self.spray(0.0, 0.0)
        if armed and self._in_failsafe and self._mode != Mode.PILOT:
            self._mode, self._stay, self._height = Mode.LAND, None, None
        if self._now.armed and not armed:
            self._arm = self._armed_by_us = False
        self._silent = armed and not self._armed_by_us and not self._arm

    def _told_mode(self) -> Mode:
        if self._has(RESCUE_BOX):
            return Mode.RETURN
        return Mode.LAND if self._in_failsafe and self._has(ARMED_BOX) else self._mode

    @property
    def _in_failsafe(self) -> bool:
        return self._has(FAILSAFE_BOX)

    def _has(self, box: int) -> bool:
        """Whether a mode is active."""
        return box in self._boxes and bool(self._status.boxes >> self._boxes.index(box) & 1)

    @property
    def _up(self) -> float:
        return self._measured_up

    # What it is told

    _last: Sticks = IDLE

    async def _run(self) -> None:
        before = self._clock.now()
        while True:
            now = self._clock.now()
            dt, before = min(0.2, now - before), now
            if now - self._slow_at > SLOW_PERIOD and self._link.ask(msp.BATTERY_STATE):
                self._slow_at = now
            else:
                self._link.ask(msp.MULTIPLE, bytes(POLLED))
            if not self._silent:
                self._last = self._sticks(dt, now)
                self._link.send_sticks(self._widths(self._last))
            elif not self._now.armed and self._now.position_time > -math.inf:
                self._silent = False
            await self._clock.sleep_until(now + STICK_PERIOD)

    def _sticks(self, dt: float, now: float) -> Sticks:
        """What the mode asks for."""
        motion, t = self._motion, self._now
        if not t.armed or not self._arm:
            motion.stand(self._measured_up)
            return IDLE
        if t.landed:
            motion.stand(self._measured_up)
            return self._lift_off(dt)
        motion.lean(dt, self._last)
        motion.carry_on(dt, self._cascade.lift, self._measured_up)
        if self._spool is not None:  # it has just lifted off
            self._cascade.begin(self._spool - SPOOL_UP * LIFT_LATE_S, self._measured_up)
            motion.climb = LIFT_CLIMB
            self._spool = None
        if now - t.position_time > FRESH_S:
            return Sticks(0.0, 0.0, self._cascade.fly(dt, STANDSTILL, motion).throttle)
        sticks = self._cascade.fly(dt, self._velocity(now), motion)
        self._look_for_ground(now)
        return sticks

    def _lift_off(self, dt: float) -> Sticks:
        """More throttle until it flies; none while nobody wants it to."""
        if self._mode != Mode.OURS or self._spool is None:
            self._spool = None
            return IDLE
        self._spool = min(0.9, self._spool + SPOOL_UP * dt)
        return Sticks(0.0, 0.0, self._spool)

    def _velocity(self, now: float) -> Velocity:
        """Velocity that is wanted now."""
        here = self._now.position
        assert here is not None
        if self._mode == Mode.LAND:
            return self._staying(here)._replace(up=self._sinking())
        if self._mode == Mode.RETURN:
            return self._homewards(here)
        told, wanted = self._wanted
        if self._mode == Mode.OURS and now - told < SETPOINT_S:
            return wanted
        return self._staying(here)._replace(up=self._climbing())

    def _staying(self, here: Place) -> Velocity:
        """Brake, then keep the place where it has come to a stand."""
        v = self._motion
        if self._stay is None and math.hypot(v.east, v.north) < SLOW:
            self._stay = Place(here.east + STOPPING_S * v.east, here.north + STOPPING_S * v.north, here.up)
        return STANDSTILL if self._stay is None else toward(self._stay, here, RETURN_SPEED)

    def _climbing(self) -> float:
        if self._height is None:
            return 0.0
        return min(CLIMB, max(-DESCEND, 1.5 * (self._height - self._cascade.wanted_up)))

    def _sinking(self) -> float:
        return -DESCEND if self._up > self._ground + NEAR_GROUND else -TOUCH_DOWN

    def _homewards(self, here: Place) -> Velocity:
        home = self._now.home
        if home is None:
            return STANDSTILL._replace(up=self._sinking())
        away = math.hypot(home.east - here.east, home.north - here.north)
        slow = math.hypot(self._motion.east, self._motion.north) < SLOW
        if self._height is None and away < ARRIVED and slow:
            self._height = -math.inf  # over home: from now on down
        level = toward(home, here, RETURN_SPEED)
        return level._replace(up=self._sinking()) if self._height is not None else level

    def _look_for_ground(self, now: float) -> None:
        """Told to sink, with ever less throttle, and no lower for a while: it stands, and the motors stop."""
        up, since, throttle = self._lowest
        if self._mode not in (Mode.LAND, Mode.RETURN) or self._velocity(now).up >= 0.0:
            self._lowest = (math.inf, now, 0.0)
        elif self._measured_up < up - DOWN_M:
            self._lowest = (self._measured_up, now, self._cascade.throttle)
        elif now - since > DOWN_S and (
            self._cascade.throttle < DOWN_SHARE * throttle
            or (self._measured_up < self._ground + NEAR and self._cascade.throttle < IDLE_SHARE * self._cascade.hover)
        ):
            self._arm, self._lowest = False, (math.inf, now, 0.0)

    def _widths(self, sticks: Sticks) -> tuple[int, ...]:
        share, until = self._spray
        pump = share if self._clock.now() < until and self._mode == Mode.OURS else 0.0
        error = math.remainder(self._heading - self._motion.yaw, 2.0 * math.pi)
        yaw = min(MOST_YAW, max(-MOST_YAW, YAW_GAIN * error)) / FULL_YAW if sticks.throttle > 0.0 else 0.0
        return (
            _width(sticks.roll / self._angle_limit),
            _width(sticks.pitch / self._angle_limit),
            LOW + round((HIGH - LOW) * sticks.throttle),
            _width(yaw),
            HIGH if self._arm else LOW,
            _width(pump) if pump > 0.0 else LOW,
            HIGH,
        )

    async def _until(self, holds: Callable[[], bool], timeout: float, complaint: str) -> None:
        end = self._clock.now() + timeout
        while not holds():
            if self._clock.now() > end:
                raise FlightError(complaint)
            await self._clock.sleep(0.02)


def _width(share: float) -> int:
    return MIDDLE + round((HIGH - MIDDLE) * min(1.0, max(-1.0, share)))
