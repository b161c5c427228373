"""The pilot of one drone: flies one agent's commands through the guard, from take-off to landing.

It asks the guard ten times a second and sends what the guard lets pass; the agent is stepped at its own period, in a
thread of its own: an agent that plans anew may think for longer than a period, and meanwhile its last command is flown
for as long as the guard takes it for fresh. Whoever changes the vehicle's mode wins: from then on the pilot is silent,
until the operator engages again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from d2oc.agent import Agent, Observation, Outcome
from d2oc_hardware.clock import Clock
from d2oc_hardware.failsafe import Answer, Situation
from d2oc_hardware.flight_controller import MOST_LEASE, FlightController, FlightError, Mode, Telemetry
from d2oc_hardware.frames import STANDSTILL, Place, Velocity
from d2oc_hardware.guard import Guard, Verdict
from d2oc_hardware.promise import Motion, Teammate

SPRAY_LEASE = 0.6
"""[s]"""
ON_GROUND = (0.0, 0.0)
"""Band of heights of a drone whose flight is over. [m]"""
ARRIVED = 0.7
"""[m]"""
MOST_CARRIED = 0.3
"""A place is carried on by its velocity for at most so long. [s]"""
BACKLOG = 300
"""Datagrams that may have come while the process stood still."""
TOGETHER = 0.01
"""A command that is due so shortly before the agent's step waits for it. [s]"""
QUICK = 0.03
"""An agent is waited for so long before the next command goes out without its word. [s]"""
DOWN_AFTER = 120.0
"""Who is lost has come down by itself after so long; what was last heard of it is no obstacle any more. [s]"""
LANDING_SPEED = 0.5
"""Over home it must be slower than this before it lands. [m/s]"""


class Phase(IntEnum):
    """What a drone is doing; numbers of the record."""

    GROUND = 0
    TAKING_OFF = 1
    TRANSIT = 2
    MISSION = 3
    RETURNING = 4
    LANDING = 5
    SERVICE = 6
    LOST = 7


class Radio(Protocol):
    """What drones say to each other."""

    def say_where(self, time: float, mate: Teammate) -> None:
        """Tell where this drone is."""

    def say(self, message: bytes) -> None:
        """Tell what the agent says."""

    def teammates(self) -> list[Teammate]:
        """Where the others are."""

    def heard(self, place: Place, reach: float) -> list[bytes]:
        """What other agents have said."""


@dataclass(frozen=True)
class Task:
    """What one drone is to do."""

    number: int
    home: Place
    start: Place
    """Where its agent begins."""
    height: float
    """Its layer. [m]"""
    time_step: float
    """Of the agent. [s]"""
    n_steps: int
    model: str
    """What the agent's command is: that of `single-integrator` a velocity, of the others an acceleration."""
    state_names: tuple[str, ...]
    comm_range: float
    """[m]"""
    band: tuple[float, float]
    """Heights that it keeps to. [m]"""
    lag: float
    """By which the velocity of the vehicle follows its command. [s]"""
    negligible: int
    """A belief with no more left than this is empty. [quanta]"""


class Pilot:
    """Flies one drone.

    Parameters
    ----------
    task : Task
        What to do.
    controller : FlightController
        The vehicle.
    guard : Guard
        Sees every command.
    limited : callable
        Step, state and command to what the model of the vehicle allows of it.
    agent : Agent or None
        Decides where to go; None where something else does.
    radio : Radio
        To the other drones.
    clock : Clock
        Of the flight.
    report : callable
        Takes what the ground station should know, as plain data.
    think : callable, optional
        Runs the agent's step beside the loop; default: in a thread.
    """

    def __init__(
        self,
        task: Task,
        controller: FlightController,
        guard: Guard,
        limited: Callable[[int, NDArray[Any], NDArray[Any]], NDArray[Any]],
        agent: Agent | None,
        radio: Radio,
        clock: Clock,
        report: Callable[[Mapping[str, Any]], None],
        think: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        self.task = task
        self.phase = Phase.GROUND
        self._controller = controller
        self._guard = guard
        self._limited = limited
        self._agent = agent
        self._radio = radio
        self._clock = clock
        self._report = report
        self._think = think
        self._thinking: asyncio.Task[None] | None = None
        self._begin: float | None = None
        self._paused_at: float | None = None
        self._tick = 0
        self._outcome: Outcome | None = None
        self._stepped_at = -math.inf
        self._velocity_at_step = STANDSTILL
        self._handed_over = False
        self._changing: asyncio.Task[None] | None = None
        self.operator_heard = clock.now()
        self.gone: frozenset[int] = frozenset()
        """Whom the ground station does not hear."""
        self.spraying_allowed = True
        self._sprayed_until = -math.inf
        self._allowed_at = -math.inf
        self.spray_outside = 0.0
        """Time for which the pump ran longer than a lease after the guard had last allowed it. [s]"""
        self.outside_fence = 0
        """Times it left the fence."""
        self._was_outside = False
        self._last_loop = clock.now()
        self.periods: list[float] = []
        """Times between setpoints. [s]"""

    # What the operator says

    async def take_off(self) -> None:
        """Take over, arm, climb to the layer, then fly to where the agent begins; raises if the vehicle refuses."""
        self.phase = Phase.TAKING_OFF
        try:
            await self._controller.engage()
            await self._controller.arm()
            await self._controller.take_off(self.task.height)
        except FlightError:
            await self._give_up_taking_off()
            raise
        if self.phase == Phase.TAKING_OFF:  # nobody has called it home meanwhile
            self.phase = Phase.TRANSIT

    async def _give_up_taking_off(self) -> None:
        """Motors off if it stands on the ground, otherwise home: it may climb later than it was waited for."""
        if self.phase != Phase.TAKING_OFF:
            return
        if self._controller.telemetry.landed:
            with suppress(FlightError):
                await self._controller.disarm()
        t = self._controller.telemetry
        self.phase = Phase.LANDING if t.landed and not t.armed else Phase.RETURNING

    def begin(self, moment: float) -> None:
        """Begin the mission at a moment of the flight, or go on with it from the tick that it had reached."""
        self._begin = moment - self._tick * self.task.time_step
        self._paused_at = None
        # Nothing is late yet: neither the first command, which may take a while, nor after a pause the one before it.
        self._stepped_at, self._velocity_at_step = moment, STANDSTILL

    def pause(self) -> None:
        """Stand still; the mission's time stops."""
        if self._paused_at is None:
            self._paused_at = self._clock.now()

    async def engage(self) -> None:
        """Take the vehicle back after a pilot's mode change or a return that the guard began."""
        self._guard.release()
        if self._controller.telemetry.mode != Mode.OURS and not self._controller.telemetry.landed:
            await self._controller.engage()
        self._handed_over = False
        if self.phase == Phase.RETURNING and self._guard.latched == Answer.FLY and self._tick < self.task.n_steps:
            self.phase = Phase.MISSION

    def go_home(self) -> None:
        """Fly home and land."""
        if self.phase in (Phase.TAKING_OFF, Phase.TRANSIT, Phase.MISSION):
            self.phase = Phase.RETURNING

    def land_here(self) -> None:
        """Land where it is."""
        if self.phase not in (Phase.GROUND, Phase.LANDING):
            self._hand_over(self._controller.land, Phase.LANDING)

    @property
    def is_waiting(self) -> bool:
        """Whether it is where its agent begins."""
        place = self._controller.telemetry.position
        return self.phase == Phase.TRANSIT and place is not None and _flat_distance(place, self.task.start) < ARRIVED

    @property
    def is_down(self) -> bool:
        """Whether it has flown and stands on the ground with its motors off."""
        t = self._controller.telemetry
        return self.phase in (Phase.LANDING, Phase.RETURNING, Phase.LOST) and t.landed and not t.armed

    # The loop

    async def run(self) -> None:
        """Fly until cancelled."""
        period = self._guard.limits.period
        next_look = self._clock.now()
        while True:
            if self._clock.now() - self._last_loop > 3.0 * period:
                await _read_everything()  # this process stood still: what has come meanwhile is not old
            next_look = min(next_look, self._clock.now())  # one that is early, as its agent was due, counts as well
            await self._keep_thinking()
            self._look()
            next_look = max(next_look + period, self._clock.now() - period)
            step = self._next_step
            await self._clock.turn(step if step < next_look + TOGETHER else next_look)

    def _look(self) -> None:
        now, t = self._clock.now(), self._controller.telemetry
        self._keep_books(now, t)
        if t.position is not None:
            self._radio.say_where(
                t.position_time, Teammate("", Motion(t.position, t.velocity, 0.0), self._guard.last, self._band(t))
            )
        if self.phase in (Phase.TRANSIT, Phase.MISSION, Phase.RETURNING) and not self._handed_over:
            self._fly(now, t)
        elif self._handed_over and t.landed and not t.armed:
            self.phase = Phase.LANDING

    def _fly(self, now: float, t: Telemetry) -> None:
        place = t.position or self.task.home
        motion = Motion(place, t.velocity, max(0.0, now - t.position_time))
        verdict = self._guard.judge(
            now, motion, self._wish(now, place), self._situation(now, t, place), self._mates(),
            on_mission=self.phase == Phase.MISSION and self._paused_at is None,
        )  # fmt: skip
        self._obey(now, t, verdict)

    def _mates(self) -> list[Teammate]:
        """The others, but for those that are lost for so long that their autopilots have brought them down."""
        mates = self._radio.teammates()
        return [mate for mate in mates if mate.motion.age < DOWN_AFTER or int(mate.name) not in self.gone]

    def _obey(self, now: float, t: Telemetry, verdict: Verdict) -> None:
        if verdict.answer == Answer.SILENT:
            self._controller.spray(0.0, 0.0)
            return
        if verdict.answer == Answer.LAND:
            self._hand_over(self._controller.land, Phase.LANDING)
            return
        if verdict.answer == Answer.RETURN_BY_AUTOPILOT:
            self._hand_over(self._controller.return_home, Phase.RETURNING)
            return
        if verdict.answer == Answer.RETURN and self.phase != Phase.RETURNING:
            self.phase = Phase.RETURNING
        self._controller.fly(verdict.velocity)
        share = self._spray_share(t) if verdict.spray and self.spraying_allowed and self.phase == Phase.MISSION else 0.0
        if share > 0.0:
            self._controller.spray(share, SPRAY_LEASE)
            self._sprayed_until, self._allowed_at = now + SPRAY_LEASE, now
        elif t.pump > 0.0 or now < self._sprayed_until:
            self._controller.spray(0.0, 0.0)
            self._sprayed_until = -math.inf
        if self.phase == Phase.RETURNING and self._is_home(t):
            self._hand_over(self._controller.land, Phase.LANDING)

    def _spray_share(self, t: Telemetry) -> float:
        """At which share of its rate the pump should run; a mission that covers sprays all the time."""
        return 1.0

    def _is_home(self, t: Telemetry) -> bool:
        near = t.position is not None and _flat_distance(t.position, self.task.home) < ARRIVED
        return near and t.velocity.horizontal < LANDING_SPEED

    def _hand_over(self, operation: Callable[[], Any], phase: Phase) -> None:
        """Let the autopilot end the flight; asked again until the vehicle obeys."""
        self.phase = phase
        self._controller.spray(0.0, 0.0)
        if not self._handed_over or self._changing is None or self._changing.done():
            self._handed_over = True
            self._changing = asyncio.ensure_future(self._insist(operation))

    async def _insist(self, operation: Callable[[], Any]) -> None:
        while not self._controller.telemetry.landed:
            try:
                await operation()
                return
            except FlightError as error:
                self._report({"kind": "note", "text": str(error)})

    def _wish(self, now: float, place: Place) -> Velocity:
        up = max(-1.0, min(1.0, 0.8 * (self.task.height - place.up)))
        if self.phase == Phase.TRANSIT:
            return self._toward(place, self.task.start)._replace(up=up)
        if self.phase == Phase.RETURNING:
            return self._toward(place, self.task.home)._replace(up=up)
        if self._paused_at is not None or self._outcome is None:
            return Velocity(0.0, 0.0, up)
        return self._commanded(now, up, self._outcome.command)

    def _commanded(self, now: float, up: float, command: NDArray[Any]) -> Velocity:
        """The velocity by which a command of the agent is flown."""
        if self.task.model == "single-integrator":
            return Velocity(float(command[0]), float(command[1]), up)
        # The velocity that the acceleration will have led to in the middle of the time for which this is flown, and
        # what the vehicle's own loop lags behind.
        lead = min(now - self._stepped_at, self.task.time_step) + 0.5 * self._guard.limits.period + self.task.lag
        v = self._velocity_at_step
        return Velocity(v.east + lead * float(command[0]), v.north + lead * float(command[1]), up)

    def _toward(self, here: Place, there: Place) -> Velocity:
        away = _flat_distance(here, there)
        limits = self._guard.limits
        speed = min(0.7 * limits.max_speed, math.sqrt(limits.braking * away), 0.8 * away)
        share = speed / away if away > 1e-6 else 0.0
        return Velocity(share * (there.east - here.east), share * (there.north - here.north), 0.0)

    def _situation(self, now: float, t: Telemetry, place: Place) -> Situation:
        on_mission = self.phase == Phase.MISSION and self._paused_at is None
        return Situation(
            ours=t.mode == Mode.OURS,
            position_known=t.health.position_known,
            inside=True,
            telemetry_age=now - t.position_time,
            setpoint_age=now - self._stepped_at if on_mission else 0.0,
            operator_age=now - self.operator_heard,
            battery=t.battery,
            tank=t.tank if self.phase == Phase.MISSION else None,
            home_distance=_flat_distance(place, self.task.home),
            height=place.up,
            wind=t.wind,
        )

    def _band(self, t: Telemetry) -> tuple[float, float]:
        """Heights that it keeps to, for the others; who is down stays down, also when its program has ended."""
        if self.is_down:
            return ON_GROUND
        flies = self.phase in (Phase.TRANSIT, Phase.MISSION, Phase.RETURNING) and not self._handed_over
        return self.task.band if flies else (0.0, self.task.band[1])

    # The agent

    @property
    def _next_step(self) -> float:
        """When the agent is to act next; never, while it is thinking or has nothing to do. [s]"""
        thinks = self._thinking is not None and not self._thinking.done()
        if self._begin is None or self._paused_at is not None or thinks:
            return math.inf
        return self._begin + self._tick * self.task.time_step

    async def _keep_thinking(self) -> None:
        """Let the agent act when it is time, and wait for it a little, so that its command is flown at once."""
        if self._thinking is not None and self._thinking.done():
            self._thinking.result()  # an agent that fails ends its pilot
        if self._clock.now() >= self._next_step and self._controller.telemetry.position is not None:
            self._thinking = asyncio.ensure_future(self._step_agent())
        if self._thinking is not None and not self._thinking.done():
            await asyncio.wait({self._thinking}, timeout=self._clock.wall(QUICK))

    async def _step_agent(self) -> None:
        """Step the agent for every period that has passed since the mission began."""
        assert self._agent is not None
        if self.phase == Phase.TRANSIT:
            self.phase = Phase.MISSION
        while self._begin is not None and self._clock.now() >= self._begin + self._tick * self.task.time_step:
            now, t = self._clock.now(), self._controller.telemetry
            acts = self.phase == Phase.MISSION and t.mode == Mode.OURS  # where a pilot flies it, nothing is treated
            command = None if self._outcome is None else self._outcome.command
            goal = None if self._outcome is None else self._outcome.report.goal
            acted = self._outcome is not None and self._outcome.report.active and acts
            if acts and t.position is not None:
                inbox = self._radio.heard(t.position, self.task.comm_range)
                state = self._state(now, t)
                outcome = await self._think(self._agent.step, Observation(self._tick, state), inbox)
                self._outcome = outcome._replace(command=self._limited(self._tick, state, outcome.command))
                for message in self._outcome.outbox:
                    self._radio.say(message)
            elif self._outcome is not None:
                self._outcome = self._agent.stopped()
            self._log(now, t, command, goal, acted)
            self._stepped_at, self._velocity_at_step = now, t.velocity
            self._tick += 1
            if self.phase == Phase.MISSION and self._is_done():
                self.phase = Phase.RETURNING
            if self._paused_at is not None:
                return

    def _is_done(self) -> bool:
        nothing_left = self._outcome is not None and self._outcome.report.remaining <= self.task.negligible
        return self._tick > self.task.n_steps or nothing_left

    def _state(self, now: float, t: Telemetry) -> NDArray[Any]:
        """State of the agent's model, the place carried on to this moment.

        An acceleration is what the velocity has done since the last step.
        """
        assert t.position is not None
        v, before, step = t.velocity, self._velocity_at_step, self.task.time_step
        age = min(max(0.0, now - t.position_time), MOST_CARRIED)
        values = {
            "x_m": t.position.east + age * v.east,
            "y_m": t.position.north + age * v.north,
            "vx_m_s": v.east,
            "vy_m_s": v.north,
            "ax_m_s2": (v.east - before.east) / step,
            "ay_m_s2": (v.north - before.north) / step,
        }
        return np.array([values[name] for name in self.task.state_names])

    def _log(self, now: float, t: Telemetry, command: Any, goal: Any, acted: bool) -> None:
        """One row of the flight log: where the step that ends has led."""
        report = None if self._outcome is None else self._outcome.report
        on_mission = self.phase == Phase.MISSION and report is not None
        self._report_tick(
            now,
            t,
            {
                "input": None if command is None else command.tolist(),
                "goal": None if goal is None or not acted else goal.tolist(),
                "consumed": report.consumed if on_mission and report else 0.0,
                "remaining": report.remaining if report else 0,
                "active": bool(acted),
                "samples": report.samples.tolist() if on_mission and report else [],
                "amounts": report.amounts.tolist() if on_mission and report else [],
                "heard": [column.tolist() for column in report.heard] if on_mission and report else [[], [], []],
            },
        )

    def _report_tick(self, now: float, t: Telemetry, done: Mapping[str, Any]) -> None:
        """Report where the vehicle is after a step, and what was decided and done in it."""
        self._report(
            {
                "kind": "tick",
                "tick": self._tick,
                "state": self._state(now, t).tolist(),
                "phase": int(self.phase),
                "height": 0.0 if t.position is None else t.position.up,
                "pump": t.pump,
                "battery": t.battery,
                "tank": t.tank,
                **done,
            }
        )

    def _keep_books(self, now: float, t: Telemetry) -> None:
        """Times and breaches, from what the vehicle itself says."""
        dt, self._last_loop = now - self._last_loop, now
        self.periods.append(dt)
        if t.position is None:
            return
        x, y = t.position.east, t.position.north
        outside = not self._guard.area.contains(x, y)
        self.outside_fence += outside and not self._was_outside
        self._was_outside = outside
        if t.pump > 0.0 and t.pump_time > self._allowed_at + MOST_LEASE:
            self.spray_outside += min(dt, 2.0 * self._guard.limits.period)  # what is old says nothing of a gap

    def summary(self) -> dict[str, Any]:
        """How the flight ended, for the ground station."""
        t = self._controller.telemetry
        periods = np.array(self.periods[20:] or [0.0])
        return {
            "landed": bool(t.landed and not t.armed),
            "phase": self.phase.name.lower(),
            "causes": list(self._guard.causes),
            "fence_breaches": self.outside_fence,
            "spray_outside_mission_s": round(self.spray_outside, 2),
            "setpoint_period_median_s": round(float(np.median(periods)), 4),
            "setpoint_period_p99_s": round(float(np.percentile(periods, 99)), 4),
        }

    async def end(self) -> None:
        """Let nothing run on."""
        for running in (self._changing, self._thinking):
            if running is not None:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running


async def _read_everything() -> None:
    """Let the event loop take in a backlog: it reads one datagram a turn."""
    for _ in range(BACKLOG):
        await asyncio.sleep(0)


def _flat_distance(a: Place, b: Place) -> float:
    return math.hypot(a.east - b.east, a.north - b.north)
