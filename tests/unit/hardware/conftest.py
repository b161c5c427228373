"""Whole flights in one process and in no time: pilots, guards and simulated autopilots on a clock that never waits."""

from __future__ import annotations

import asyncio
import selectors
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from d2oc.agent import Agent
from d2oc.mission import prepare
from d2oc.runtime.agents import ground_of_team
from d2oc.transport.wasserstein import wasserstein2
from d2oc_hardware.clock import Clock
from d2oc_hardware.drone_process import agents_of, limits_of, task_of
from d2oc_hardware.fleet import simulated_fleet
from d2oc_hardware.frames import Place
from d2oc_hardware.guard import Guard
from d2oc_hardware.keep_out import Area
from d2oc_hardware.neighbours import Neighbours
from d2oc_hardware.pilot import Pilot
from d2oc_hardware.simulated.autopilot import Autopilot
from d2oc_hardware.simulated.controller import SimulatedController
from d2oc_hardware.simulated.parameters import DEFAULTS, FOR_SWARMS
from d2oc_hardware.simulated.plant import PointMass


class _NeverWaits(selectors.DefaultSelector):
    """Instead of waiting it moves the clock of its loop on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        found = super().select(0.0 if timeout else timeout)
        if not found and timeout:
            self.now += timeout
        return found


class TimelessLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time, and everything happens in the same order every time."""

    def __init__(self) -> None:
        self._times = _NeverWaits()
        super().__init__(self._times)

    def time(self) -> float:
        return self._times.now


class LoopClock(Clock):
    """Time of the running loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()


class InMemory(Neighbours):
    """Datagrams that need no socket."""

    def __init__(self, number, now, others: dict[int, InMemory]) -> None:
        super().__init__(number, dict.fromkeys(range(99), 0), now)
        self._others = others
        others[number] = self

    def _send(self, kind, body):
        from d2oc_hardware.neighbours import HEAD

        for number, other in self._others.items():
            if number != self._number:
                other.datagram_received(HEAD.pack(kind, self._number) + body, ("", 0))


@dataclass
class Flown:
    """What became of a flight."""

    reports: list[dict[int, dict[str, Any]]] = field(default_factory=list)
    pilots: list[Pilot] = field(default_factory=list)
    summaries: list[dict[str, Any]] = field(default_factory=list)
    w2: float = 0.0

    @property
    def causes(self):
        return [summary["causes"] for summary in self.summaries]


async def at_once(step, *arguments):
    return step(*arguments)


@pytest.fixture(scope="session")
def fly():
    """Fly a scenario; see `fly_timeless`."""
    return fly_timeless


def fly_timeless(scenario, *, think=at_once, pilot_class=Pilot, plant=PointMass) -> Flown:
    """Fly a scenario with a simulated vehicle for each agent, all in one process."""
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        return runner.run(_fly(scenario, think, pilot_class, plant))


async def _fly(scenario, think, pilot_class, plant) -> Flown:
    prepared, clock = prepare(scenario), LoopClock(1.0, 0.0)
    setup = prepared.setup
    starts = zip(setup.kind, setup.initial_states, strict=True)
    homes = [tuple(map(float, x[list(setup.models[k].position_states)])) for k, x in starts]
    fleet = simulated_fleet(homes, [14550] * len(homes), min(scenario.vehicle.max_speed_m_s, 8.0), 1.0)
    boundary = [(float(x), float(y)) for x, y in prepared.field.boundary]
    zones = [[(float(x), float(y)) for x, y in zone.boundary] for zone in prepared.field.no_fly_zones]
    fence = Area(fleet.fence(boundary, zones)[0].corners, zones)
    ground, agents, radios = ground_of_team(setup), agents_of(scenario, prepared), {}
    flown = Flown()
    for number, home in enumerate(homes):
        autopilot = Autopilot(plant(), {**DEFAULTS, **FOR_SWARMS, "SIM_EKF_DELAY": 0.0})
        controller = SimulatedController(autopilot, Place(*home, 0.0), clock)
        rows = {}
        flown.reports.append(rows)

        def note(report, rows=rows):
            if report["kind"] == "tick":
                rows[report["tick"]] = report

        flown.pilots.append(
            pilot_class(
                task_of(scenario, prepared, fleet, number), controller,
                Guard(fleet.guard_limits(number), fleet.watch(), fence, Area(boundary, zones)),
                limits_of(prepared, number), Agent(agents[number], ground), InMemory(number, clock.now, radios), clock,
                note, think,
            )
        )  # fmt: skip
    await _from_start_to_end(flown.pilots, clock)
    flown.summaries = [pilot.summary() for pilot in flown.pilots]
    points = [
        ([row["state"][i] for i in setup.models[kind].position_states], alpha)
        for rows, kind, alpha in zip(flown.reports, setup.kind, setup.alpha, strict=True)
        for row in rows.values()
        if row["active"]
    ]
    flown.w2 = wasserstein2(
        np.array([p for p, _ in points]), np.array([a for _, a in points]), prepared.samples.points,
        prepared.samples.weights,
    ).value  # fmt: skip
    return flown


async def _from_start_to_end(pilots, clock):
    running = [asyncio.ensure_future(pilot.run()) for pilot in pilots]
    await asyncio.gather(*(pilot.take_off() for pilot in pilots))

    async def until(holds):
        while not all(map(holds, pilots)):
            for task in running:
                if task.done():
                    task.result()
            for pilot in pilots:
                pilot.operator_heard = clock.now()
            await clock.sleep(0.2)

    await until(lambda pilot: pilot.is_waiting)
    begin = clock.now() + 1.0
    for pilot in pilots:
        pilot.begin(begin)
    await until(lambda pilot: pilot.is_down)
    for task in running:
        task.cancel()
