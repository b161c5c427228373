"""Whole flights in one process and in no time: pilots, guards and simulated autopilots on a clock that never waits."""

from __future__ import annotations

import asyncio
import selectors
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from d2oc.agent import Agent
from d2oc.runtime.agents import ground_of_team
from d2oc.transport.wasserstein import wasserstein2
from d2oc_hardware.clock import Clock
from d2oc_hardware.drone_process import agents_of, limits_of, machine_of, no_spray_zones, task_of
from d2oc_hardware.fleet import simulated_fleet
from d2oc_hardware.frames import Place
from d2oc_hardware.guard import Guard
from d2oc_hardware.keep_out import Area
from d2oc_hardware.neighbours import Neighbours
from d2oc_hardware.pilot import Pilot
from d2oc_hardware.resumed import prepared_for
from d2oc_hardware.simulated.autopilot import Autopilot
from d2oc_hardware.simulated.controller import SimulatedController
from d2oc_hardware.simulated.parameters import DEFAULTS, FOR_SWARMS
from d2oc_hardware.simulated.plant import PointMass
from d2oc_hardware.spray_pilot import SprayPilot
from d2oc_hardware.swarm import sprayer_parameters


@pytest.fixture(scope="session")
def small():
    """Path of a spraying mission of two minutes."""
    return str(Path(__file__).parents[2] / "small_patch.toml")


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


class OneInThree(InMemory):
    """A radio that loses every third of the messages of agents, in no order."""

    def __init__(self, number, now, others) -> None:
        super().__init__(number, now, others)
        self._lost = np.random.default_rng(number)

    def say(self, message):
        if self._lost.random() > 0.34:
            super().say(message)


@dataclass
class Flown:
    """What became of a flight."""

    reports: list[dict[int, dict[str, Any]]] = field(default_factory=list)
    pilots: list[Pilot] = field(default_factory=list)
    summaries: list[dict[str, Any]] = field(default_factory=list)
    w2: float = 0.0
    cells: dict[str, Any] = field(default_factory=dict)

    @property
    def missed(self):
        """Share of the infestation with too little, in percent."""
        needed = self.cells["effective_l_ha"] > 0
        short = needed & (self.cells["deposit_l_ha"] < self.cells["effective_l_ha"])
        return 100 * self.cells["severity"][short].sum() / self.cells["severity"][needed].sum()

    @property
    def causes(self):
        return [summary["causes"] for summary in self.summaries]


@pytest.fixture(scope="session")
def timeless():
    """Runs a coroutine on a clock that never waits; the coroutine is given the clock."""

    def run(flight):
        with asyncio.Runner(loop_factory=TimelessLoop) as runner:
            return runner.run(flight(LoopClock(1.0, 0.0)))

    return run


async def at_once(step, *arguments):
    return step(*arguments)


@pytest.fixture(scope="session")
def lossy():
    """A radio for `fly` that loses a third."""
    return OneInThree


@pytest.fixture(scope="session")
def fly():
    """Fly a scenario; see `fly_timeless`."""
    return fly_timeless


def fly_timeless(
    scenario, *, think=at_once, pilot_class=Pilot, plant=PointMass, lag=0.35, beside=None, resumed=None, kill=(),
    radio=InMemory,
) -> Flown:  # fmt: skip
    """Fly a scenario with a simulated vehicle for each agent, all in one process.

    `beside` is an operator: a coroutine of pilots and clock. Without one, machines are serviced by themselves.
    `plant` makes what flies, of the `lag` by which its velocity follows, and which the pilots are told. [s]
    `kill` has pairs of a drone and the seconds after the beginning at which its program dies.
    """
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        return runner.run(_fly(scenario, think, pilot_class, plant, lag, beside, resumed, dict(kill), radio))


async def _fly(scenario, think, pilot_class, plant, lag, beside, resumed, kill, radio_class) -> Flown:
    clock = LoopClock(1.0, 0.0)
    prepared, farm = prepared_for(scenario, resumed)
    agents = [] if farm is not None else agents_of(scenario, prepared)
    setup, ground, radios = prepared.setup, ground_of_team(prepared.setup), {}
    boundary = [(float(x), float(y)) for x, y in prepared.field.boundary]
    zones = [[(float(x), float(y)) for x, y in zone.boundary] for zone in prepared.field.no_fly_zones]
    starts = zip(setup.kind, setup.initial_states, strict=True)
    homes = [tuple(map(float, x[list(setup.models[k].position_states)])) for k, x in starts]
    speed = min(scenario.vehicle.max_speed_m_s, 8.0)
    fleet = simulated_fleet(homes, [14550] * len(homes), speed, boundary, lag)
    fence = Area(fleet.fence(boundary, zones)[0].corners, zones)
    flown = Flown()
    for number, home in enumerate(homes):
        own = {} if farm is None else sprayer_parameters(scenario, farm, number)
        autopilot = Autopilot(plant(response=lag), {**DEFAULTS, **FOR_SWARMS, "SIM_EKF_DELAY": 0.0, **own})
        autopilot.tank = autopilot.parameter["SIM_TANK_L"]
        rows = {}
        flown.reports.append(rows)

        def note(report, rows=rows):
            if report["kind"] == "tick":
                rows[report["tick"]] = report

        hands = (
            task_of(scenario, prepared, fleet, number),
            SimulatedController(autopilot, Place(*home, 0.0), clock),
            Guard(
                fleet.guard_limits(number), fleet.watch(), fence, Area(boundary, [*zones, *no_spray_zones(prepared)])
            ),
            limits_of(prepared, number),
        )
        radio = radio_class(number, clock.now, radios)
        if farm is None:
            pilot = pilot_class(*hands, Agent(agents[number], ground), radio, clock, note, think)
        else:
            machine = machine_of(scenario, prepared_for(scenario, resumed, farm.runtime.plan)[1], number)
            pilot = SprayPilot(*hands, machine, radio, clock, note, by_itself=beside is None, think=think)
        flown.pilots.append(pilot)
    operator = asyncio.ensure_future(beside(flown.pilots, clock)) if beside is not None else None
    await _from_start_to_end(flown.pilots, clock, kill)
    if operator is not None:
        await operator
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
    if farm is not None:
        before = 0.0 if resumed is None else farm.runtime.ground.deposit.copy()
        farm.runtime.ground.deposit[:] = before + sum(pilot.deposit for pilot in flown.pilots)
        flown.cells = farm.cells()
    return flown


SILENCE_BORNE_S = 10.0
"""As the ground station has it. [s]"""


async def _from_start_to_end(pilots, clock, kill):
    running = [asyncio.ensure_future(pilot.run()) for pilot in pilots]
    await asyncio.gather(*(pilot.take_off() for pilot in pilots))
    dead = set()

    def is_down(number):
        if number not in dead:
            return pilots[number].is_down
        autopilot = pilots[number]._controller._autopilot
        autopilot.advance(clock.now())  # nobody speaks to it any more
        return autopilot.landed and not autopilot.armed

    async def until(holds):
        while not all(map(holds, range(len(pilots)))):
            for number, task in enumerate(running):
                if task.done() and number not in dead:
                    task.result()
                pilots[number].operator_heard = clock.now()
            await clock.sleep(0.2)
            for number in [n for n, at in kill.items() if begin is not None and clock.now() >= begin + at]:
                if number not in dead:
                    dead.add(number)
                    running[number].cancel()
                    pilots[number]._radio._others.pop(number)
                if clock.now() >= begin + kill[number] + SILENCE_BORNE_S:
                    for pilot in pilots:
                        pilot.gone = frozenset(dead)

    begin = None
    await until(lambda number: pilots[number].is_waiting)
    begin = clock.now() + 1.0
    for pilot in pilots:
        pilot.begin(begin)
    await until(is_down)
    for task in running:
        task.cancel()
