"""The pilot of a machine that sprays: sortie after sortie, each taken off, flown and landed through the same guard.

The machine says what is to be done; the pilot does it with the vehicle and tells the machine what has become of it. The
pump runs only on passes, at the rate that the plan has for the place, and only by lease. On the ground it waits until
tank and battery are full and somebody has given the word: a person may stand beside it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.phases import Phase as Doing
from d2oc_hardware.clock import Clock
from d2oc_hardware.failsafe import BATTERY_LOW, TANK_EMPTY, Answer, Situation
from d2oc_hardware.flight_controller import FlightController, FlightError, Mode, Telemetry
from d2oc_hardware.frames import STANDSTILL, Place, Velocity
from d2oc_hardware.guard import Guard
from d2oc_hardware.machine import Machine
from d2oc_hardware.pilot import MOST_CARRIED, ON_GROUND, Phase, Pilot, Radio, Task

FULL = 0.9
"""A battery with less was not changed."""
CURABLE = frozenset({BATTERY_LOW.cause, TANK_EMPTY.cause})
"""Causes to go home that are gone after a service."""
BY_ITSELF = (Doing.TRANSIT, Doing.MISSION, Doing.RETURN)
"""The machine steers."""


class SprayPilot(Pilot):
    """Flies one machine; for parameters see `Pilot`.

    Parameters
    ----------
    machine : Machine
        Decides what is flown.
    by_itself : bool
        A served vehicle takes off again without the operator's word; only where nobody can stand beside it.
    """

    def __init__(
        self,
        task: Task,
        controller: FlightController,
        guard: Guard,
        limited: Callable[[int, NDArray[Any], NDArray[Any]], NDArray[Any]],
        machine: Machine,
        radio: Radio,
        clock: Clock,
        report: Callable[[Mapping[str, Any]], None],
        *,
        by_itself: bool = False,
        think: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        super().__init__(task, controller, guard, limited, None, radio, clock, report, think)
        self._machine = machine
        self._by_itself = by_itself
        self._ready = False
        self._ends = False
        """Whether it flies no more: home, down, and nothing after that."""
        self._dividing: asyncio.Task[None] | None = None
        self._word = True
        """Whether it may take off when it is served; the word to begin is the first one."""
        self._pumped = False
        self._litres = 0.0
        self._looked_at = clock.now()
        self._steering: NDArray[Any] | None = None
        self._told_at_step = STANDSTILL

    # What the operator says

    async def take_off(self) -> None:
        """Get ready; it takes off when the mission begins."""
        self._ready = True

    def serviced(self) -> None:
        """The operator's word that it is served and nobody stands beside it; for a sortie of this moment only."""
        self._word = self._word or not self._machine.is_idle

    async def engage(self) -> None:
        """Take it back; it goes on with its sortie if it still flies."""
        self._guard.release()
        if self._controller.telemetry.mode != Mode.OURS and not self._controller.telemetry.landed:
            await self._controller.engage()
        if self._guard.latched == Answer.FLY and not self._controller.telemetry.landed:
            self._handed_over = self._ends = False
            self.phase = Phase.TRANSIT

    def go_home(self) -> None:
        """Fly home, land and stay."""
        self._ends = True
        if self.phase in (Phase.GROUND, Phase.SERVICE):
            self.phase = Phase.LANDING
        super().go_home()

    def land_here(self) -> None:
        """Land where it is, and stay."""
        self._ends = True
        super().land_here()

    @property
    def is_waiting(self) -> bool:
        """Whether it could take off."""
        return self._ready and self.phase == Phase.GROUND

    @property
    def is_down(self) -> bool:
        """Whether it stands on the ground and will not fly again."""
        return self._ends and super().is_down

    # The loop

    def _look(self) -> None:
        super()._look()
        now, t = self._clock.now(), self._controller.telemetry
        self._pumped |= t.pump > 0.0
        self._litres += t.pump * self._machine.largest_flow * (now - self._looked_at)
        self._looked_at = now
        self._heed_guard()
        if t.landed and not t.armed and self.phase in (Phase.TRANSIT, Phase.MISSION, Phase.RETURNING):
            self._ends, self.phase = True, Phase.LANDING  # its pilot or its autopilot has brought it down
        if t.landed and not t.armed and self.phase == Phase.LANDING and not self._ends:
            self._handed_over = False
            self.phase = Phase.SERVICE
            self._word = self._by_itself

    def _heed_guard(self) -> None:
        """Who is sent home ends there, but for what a service cures."""
        if self._ends or self._guard.latched < Answer.RETURN:
            return
        if self._guard.latched == Answer.RETURN and CURABLE.issuperset(self._guard.causes):
            self._machine.call_home()
        else:
            self._ends = True

    async def _step_agent(self) -> None:
        """Let the machine decide for every period that has passed since the mission began."""
        while self._begin is not None and self._clock.now() >= self._begin + self._tick * self.task.time_step:
            now, t = self._clock.now(), self._controller.telemetry
            flown, acted = self._steering, self.phase == Phase.MISSION and t.mode == Mode.OURS
            self._listen()
            if not self._ends:
                self._decide(now, t)
            self._talk()
            self._log_machine(now, t, flown, acted=acted)
            self._stepped_at, self._velocity_at_step, self._told_at_step = now, t.velocity, self._guard.last
            self._tick += 1

    def _listen(self) -> None:
        """Hear the other machines; who stood still so long that it may be taken for lost, ends."""
        place = self._controller.telemetry.position or self.task.home
        for message in self._radio.heard(place, self.task.comm_range):
            self._machine.team.hear(message, self._tick)
        self._machine.team.gone = self.gone
        stood_still = self._clock.now() - self._stepped_at > self._guard.watch.operator_return and self._tick > 0
        if not self._ends and (self.task.number in self.gone or self._machine.team.is_given_up or stood_still):
            self._report({"kind": "note", "text": "was silent for so long that the others take over what it leaves"})
            self.go_home()

    def _talk(self) -> None:
        """Tell the others how far it is, and share out what somebody leaves, where that is its part."""
        team = self._machine.team
        team.own_waits = not self._word
        if not self._ends and (self._dividing is None or self._dividing.done()):
            divide = team.to_divide(self._tick)
            if divide is not None:
                self._dividing = asyncio.ensure_future(self._divide(divide))
        self._radio.say(team.word(self._tick, ended=self._ends))

    async def _divide(self, divide: Callable[[], Any]) -> None:
        self._machine.team.take(await self._think(divide))

    def _decide(self, now: float, t: Telemetry) -> None:
        comes_down = self.phase in (Phase.LANDING, Phase.SERVICE) and self._machine.phase == Doing.RETURN
        if comes_down and t.position is not None:
            # For the machine it has arrived: an autopilot lands a little off its pad.
            t = replace(t, position=Place(*self._machine.pad, t.position.up), velocity=STANDSTILL)
        state = self._state(now, t)
        ahead = state if comes_down else self._ahead(now, t)
        down = t.landed and not t.armed
        wanted = self._machine.step(
            self._tick,
            state,
            ahead,
            up=self.phase in (Phase.TRANSIT, Phase.MISSION),
            landed=down and self.phase == Phase.SERVICE,
            may_rise=down and self._word and t.battery is not None and t.battery >= FULL,
            tank=t.tank,
            pumped=self._pumped,
            elapsed=now - self._stepped_at,
            charge=t.battery,
            may_turn=self._guard.latched == Answer.FLY,
        )
        if self._machine.takes_over and not self._machine.is_idle:
            self._report({"kind": "news", "text": "has a new share of what is left"})
        self._pumped = t.pump > 0.0  # it runs on into the next step
        self._steering = self._limited(self._tick, ahead, wanted)
        doing = self._machine.phase
        if doing == Doing.TAKE_OFF and self.phase in (Phase.GROUND, Phase.SERVICE):
            self._rise()
        elif doing in BY_ITSELF and self.phase in (Phase.TRANSIT, Phase.MISSION, Phase.RETURNING):
            self.phase = {Doing.TRANSIT: Phase.TRANSIT, Doing.MISSION: Phase.MISSION}.get(doing, Phase.RETURNING)
            self.task = replace(self.task, home=Place(*self._machine.pad, 0.0))
        elif doing == Doing.LANDING and self.phase in (Phase.RETURNING, Phase.TRANSIT):
            self._hand_over(self._controller.land, Phase.LANDING)
        if self._machine.is_done and self.phase in (Phase.GROUND, Phase.SERVICE):
            self._ends, self.phase = True, Phase.LANDING

    def _rise(self) -> None:
        self._guard.release()  # it has a fresh battery and a full tank, and somebody has said so
        self.phase = Phase.TAKING_OFF
        self._changing = asyncio.ensure_future(self._try_to_rise())

    async def _try_to_rise(self) -> None:
        try:
            await super().take_off()
        except FlightError as error:
            self._ends = True
            self._report({"kind": "note", "text": str(error)})

    def _wish(self, now: float, place: Place) -> Velocity:
        if self._ends:
            return super()._wish(now, place)
        up = max(-1.0, min(1.0, 0.8 * (self.task.height - place.up)))
        if self._paused_at is not None or self._steering is None or self._machine.phase not in BY_ITSELF:
            return Velocity(0.0, 0.0, up)
        return self._commanded(now, up, self._steering)

    def _ahead(self, now: float, t: Telemetry) -> NDArray[Any]:
        """State of its model as far ahead as the vehicle lags behind.

        Where the velocity v follows the command c with the lag T, v' = (c - v) / T, the place x + T v moves by c
        exactly. So in that place and with the command as its velocity, the vehicle is the model that the machine
        steers.
        """
        told, lag, place = self._guard.last, self.task.lag, t.position
        assert place is not None
        here = place._replace(east=place.east + lag * t.velocity.east, north=place.north + lag * t.velocity.north)
        state = self._state(now, replace(t, position=here))
        names = self.task.state_names
        for name, value in (("vx_m_s", told.east), ("vy_m_s", told.north)):
            if name in names:
                state[names.index(name)] = value
        return state

    def _commanded(self, now: float, up: float, command: NDArray[Any]) -> Velocity:
        """The velocity by which a command of the machine is flown: from the last command on."""
        if self.task.model == "single-integrator":
            return super()._commanded(now, up, command)
        told = self._told_at_step
        lead = min(now - self._stepped_at, self.task.time_step) + 0.5 * self._guard.limits.period
        return Velocity(told.east + lead * float(command[0]), told.north + lead * float(command[1]), up)

    def _situation(self, now: float, t: Telemetry, place: Place) -> Situation:
        steered = not self._ends and self._paused_at is None
        situation = super()._situation(now, t, place)
        return situation._replace(setpoint_age=now - self._stepped_at if steered else 0.0)

    def _spray_share(self, t: Telemetry) -> float:
        if t.position is None:
            return 0.0
        velocity = np.array([t.velocity.east, t.velocity.north])
        age = min(max(0.0, self._clock.now() - t.position_time), MOST_CARRIED)
        return self._machine.share(np.array(t.position[:2]) + age * velocity, velocity)

    def _log_machine(self, now: float, t: Telemetry, flown: NDArray[Any] | None, *, acted: bool) -> None:
        samples, amounts = self._machine.entries if not self._ends else ([], [])
        told = self._machine.told if not self._ends else {**self._machine.told, "spray_l_min": 0.0}
        self._report_tick(
            now,
            t,
            {
                "input": None if flown is None else flown.tolist(),
                "goal": None if self._ends else self._machine.goal,
                "consumed": math.fsum(amounts),
                "remaining": self._machine.remaining,
                "active": acted,
                "samples": samples,
                "amounts": amounts,
                "heard": [[], [], []],
                "machine": dict(told),
            },
        )

    def summary(self) -> dict[str, Any]:
        """How the flight ended, for the ground station."""
        return {
            **super().summary(),
            "sorties": int(self._machine.told.get("sorties", 0.0)),
            "litres_by_plan": round(self._machine.litres, 2),
            "litres_by_pump": round(self._litres, 2),
        }

    async def end(self) -> None:
        """Let nothing run on."""
        if self._dividing is not None:
            self._dividing.cancel()
        await super().end()

    def _band(self, t: Telemetry) -> tuple[float, float]:
        """Heights that it keeps to; a machine that is served stays down until it says that it rises."""
        return ON_GROUND if self.phase == Phase.SERVICE and t.landed and not t.armed else super()._band(t)

    @property
    def deposit(self) -> NDArray[Any]:
        """What it has laid, as it believes, shape (cells,). [L/ha]"""
        return self._machine.deposit
