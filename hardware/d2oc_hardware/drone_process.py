"""The process of one drone: its vehicle, its guard, its agent. Orders come as JSON lines, reports go as JSON lines.

When the orders end because the ground station's program has died, the drone goes home and lands, then the process ends.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.agent import Agent, AgentSetup, Observation
from d2oc.errors import D2ocError
from d2oc.ledger import quantum_of
from d2oc.mission import Prepared, prepare_farm
from d2oc.runtime.agents import agent_setups, ground_of_team
from d2oc.runtime.arrays import NEGLIGIBLE_WEIGHT
from d2oc.scenario.load import validate
from d2oc.scenario.schema import Scenario
from d2oc.spray.build import FarmMission
from d2oc.spray.plan import Plan
from d2oc.vehicles.motion import limit_input, motion_arrays
from d2oc_hardware.betaflight.controller import BetaflightController
from d2oc_hardware.betaflight.link import PREFIX, MspLink, open_msp
from d2oc_hardware.clock import Clock
from d2oc_hardware.fleet import Fleet
from d2oc_hardware.flight_controller import FlightController
from d2oc_hardware.frames import Place
from d2oc_hardware.guard import Guard
from d2oc_hardware.keep_out import Area
from d2oc_hardware.machine import Machine
from d2oc_hardware.mavlink.codec import read_key
from d2oc_hardware.mavlink.controller import MavlinkController
from d2oc_hardware.mavlink.link import Link, open_link
from d2oc_hardware.neighbours import Neighbours
from d2oc_hardware.network import NetworkNeighbours, addresses_of, network_of
from d2oc_hardware.pilot import Phase, Pilot, Task
from d2oc_hardware.plain import from_text
from d2oc_hardware.preflight import check_drone
from d2oc_hardware.resumed import keep_laid, prepared_for
from d2oc_hardware.spray_pilot import SprayPilot
from d2oc_hardware.waiting_clock import WaitingClock

LONGEST_LINE = 1 << 27
"""Of an order: the first one brings an agent's plan. [byte]"""
JUDGED_TIMEOUT = 40.0
"""After that it has something against arming that does not go away. [s]"""
KEEP_INTERVAL = 1.0
"""What a machine has laid is written down so often. [s]"""
TIMES_TOLD = 10
FAREWELL = 0.5
"""[s]"""
WARM_UP_PASSES = 200
"""Steps in which a machine has begun to spray."""
WARM_UP_TICKS = 40
"""Enough for an agent to be astray, and to miss another one."""


def agents_of(scenario: Scenario, prepared: Prepared) -> list[AgentSetup]:
    """What the agents know before take-off: those that fly under these numbers in the simulation, too."""
    mission, ground = scenario.mission, ground_of_team(prepared.setup)
    limit = scenario.radio.message_limit_bytes
    return agent_setups(prepared.setup, ground, mission.time_step_s, limit, give_way=mission.give_way)


def limits_of(prepared: Prepared, number: int) -> Callable[[int, NDArray[Any], NDArray[Any]], NDArray[Any]]:
    """What a drone's model allows of a command, as in the simulation."""
    motion, kind = motion_arrays(prepared.setup.models), int(prepared.setup.kind[number])

    def limited(k: int, state: NDArray[Any], command: NDArray[Any]) -> NDArray[Any]:
        allowed = command.copy()
        limit_input(motion, kind, min(k, int(motion.length[kind]) - 1), state, allowed)
        return allowed

    return limited


def warm_up(prepared: Prepared, setup: AgentSetup) -> None:
    """Let the agent and a copy of it talk, be blown off its way and left alone, on the ground.

    In the air nothing may be compiled or loaded for the first time, also not what an agent needs to plan anew.
    """
    ground = ground_of_team(prepared.setup)
    mate_number = (setup.number + 1) % len(prepared.setup.kind)
    agent, mate = Agent(setup, ground), Agent(replace(setup, number=mate_number), ground)
    state = prepared.setup.initial_states[setup.number].copy()
    inbox: list[bytes] = []
    for tick in range(min(WARM_UP_TICKS, setup.n_steps)):
        outcome = agent.step(Observation(tick, state), inbox)
        limits_of(prepared, setup.number)(tick, state, outcome.command)
        inbox = mate.step(Observation(tick, state), outcome.outbox).outbox if tick < 4 else []
        state[list(setup.position_states)] += 0.2


def machine_of(scenario: Scenario, farm: FarmMission, number: int) -> Machine:
    """A machine of a spraying mission that was just planned."""
    assert scenario.spray is not None
    return Machine(farm.runtime, number, scenario.spray.largest_flow_l_min / 60.0)


def warm_up_machine(scenario: Scenario, plan: Plan) -> None:
    """Fly the beginning of a spraying mission in the simulation: in the air nothing may be compiled."""
    prepared, farm = prepare_farm(scenario, plan, flown=True)
    for k in range(WARM_UP_PASSES):
        farm.runtime.step(k)
    _warm_up_sharing(farm)
    for number, state in enumerate(prepared.setup.initial_states):
        farm.runtime.wanted_flow(number, state[:2], np.ones(2))
        limits_of(prepared, number)(0, state, np.zeros(2))


def _warm_up_sharing(farm: FarmMission) -> None:
    """Divide what is left anew, and count what others have laid."""
    runtime = farm.runtime
    parts = [leg.segment for drone in runtime.drones for leg in drone.route]
    workers = [runtime.worker(drone, runtime.team.position[drone.number].copy()) for drone in runtime.drones]
    runtime.divided(parts, workers)
    runtime.laid_by_others(parts[:1])


def no_spray_zones(prepared: Prepared) -> list[list[tuple[float, float]]]:
    """Where nothing may come down."""
    return [[(float(x), float(y)) for x, y in zone.boundary] for zone in prepared.field.no_spray_zones]


def task_of(scenario: Scenario, prepared: Prepared, fleet: Fleet, number: int) -> Task:
    """What drone `number` is to do."""
    setup, drone = prepared.setup, fleet.drones[number]
    model = setup.models[setup.kind[number]]
    x, y = (float(setup.initial_states[number][i]) for i in model.position_states)
    limits = fleet.guard_limits(number)
    return Task(
        number=number,
        home=Place(*drone.home_m, 0.0),
        start=Place(x, y, drone.height_m),
        height=drone.height_m,
        time_step=scenario.mission.time_step_s,
        n_steps=int(setup.n_steps[number]),
        model=model.name,
        state_names=model.state_names,
        comm_range=scenario.radio.comm_range_m,
        band=(limits.lowest, limits.highest),
        lag=fleet.limits.lag_s,
        negligible=int(NEGLIGIBLE_WEIGHT / quantum_of(setup.weights, len(setup.kind))),
    )


def clock_of(order: Mapping[str, Any]) -> Clock:
    """The flight's clock, on the ground station's computer or on another one."""
    if order["elsewhere"]:
        return Clock.by_time_of_day(order["speedup"], order["epoch_utc"])
    if order["clock"]:
        return WaitingClock.in_file(Path(order["clock"]), int(order["turn"]), order["speedup"])
    return Clock(order["speedup"], order["epoch"])


class DroneProcess:
    """Obeys orders.

    Parameters
    ----------
    order : mapping
        The first one: scenario, fleet, number, ports, clock, log.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._order = order
        self._number = int(order["number"])
        self._clock = clock_of(order)
        self._fleet = Fleet.model_validate(order["fleet"])
        self._tasks: list[asyncio.Task[None]] = []
        self._kept_at = self._clock.now()
        self._told_laid: NDArray[np.float64] | None = None

    async def run(self, orders: asyncio.StreamReader) -> None:
        """Connect, check, then do what is ordered until the drone is down or the orders end."""
        order, number, fleet = self._order, self._number, self._fleet
        scenario = validate(tomllib.loads(order["scenario"]), "the ground station's scenario")
        plan, setup = from_text(order["plan"]), from_text(order["agent"])
        prepared, farm = prepared_for(scenario, Path(order["resumed"]) if order["resumed"] else None, plan)
        key = read_key(fleet.key_file) if fleet.key_file else None
        log = Path(order["log"])
        log.parent.mkdir(parents=True, exist_ok=True)  # on another computer there may be no such folder yet
        link, controller = await self._vehicle(fleet, number, key, log)
        radio = self._radio()
        await radio.open()
        boundary = [(float(x), float(y)) for x, y in prepared.field.boundary]
        zones = [[(float(x), float(y)) for x, y in zone.boundary] for zone in prepared.field.no_fly_zones]
        fence = fleet.fence(boundary, zones)
        spray_area = Area(boundary, [*zones, *no_spray_zones(prepared)])
        guard = Guard(fleet.guard_limits(number), fleet.watch(), Area(fence[0].corners, zones), spray_area)
        warm_up_machine(scenario, plan) if setup is None else warm_up(prepared, setup)
        await controller.connect()
        if order["upload_fence"] and controller.keeps_fence:
            await controller.upload_fence(fence)
        await self._until_judged(controller)
        duration = 0.0 if farm is not None else scenario.mission.duration_s
        checks = await check_drone(controller, fleet, number, fence, by_rate=farm is not None, duration=duration)
        if isinstance(radio, NetworkNeighbours):
            checks = [*checks, await radio.gathered()]
        if order["elsewhere"]:
            await self._say_time()
        self._say({"kind": "checks", "checks": [list(check) for check in checks]})
        task = task_of(scenario, prepared, fleet, number)
        hands = (task, controller, guard, limits_of(prepared, number))
        self._pilot: Pilot
        if setup is not None:
            agent = Agent(setup, ground_of_team(prepared.setup))
            self._pilot = Pilot(*hands, agent, radio, self._clock, self._say)
        else:
            assert farm is not None
            machine = machine_of(scenario, farm, number)
            simulated = bool(order["simulated"])
            self._pilot = SprayPilot(*hands, machine, radio, self._clock, self._say, by_itself=simulated)
        self._controller = controller
        flying = asyncio.ensure_future(self._pilot.run())
        listening = asyncio.ensure_future(self._listen(orders))
        try:
            await self._watch(flying, listening)
        finally:
            for running in (flying, listening, *self._tasks):
                running.cancel()
            await self._pilot.end()
            await controller.close()
            radio.close()
            link.close()
            self._clock.expect(math.inf)

    async def _vehicle(
        self, fleet: Fleet, number: int, key: bytes | None, log: Path
    ) -> tuple[Link | MspLink, MavlinkController | BetaflightController]:
        """The line to the vehicle, and who speaks over it."""
        drone, datum = fleet.drones[number], fleet.datum.datum
        if drone.link.startswith(PREFIX):
            line = await open_msp(drone.link, self._clock)
            return line, BetaflightController(line, datum, self._clock)
        link = await open_link(drone.link, system=fleet.source_system, key=key, log=log)
        return link, MavlinkController(link, drone.system_id, datum, self._clock, fleet.pump_output)

    async def _until_judged(self, controller: FlightController) -> None:
        """Wait until the vehicle would arm, if it says: it judges itself anew once a second, a new fence included."""
        end = self._clock.now() + JUDGED_TIMEOUT
        await self._clock.sleep(0.5)
        while self._clock.now() < end:
            t = controller.telemetry
            if t.health.armable is not False and t.battery is not None:  # the battery is told once a second only
                return
            await self._clock.sleep(0.2)

    def _radio(self) -> Neighbours:
        """What carries words to the other drones."""
        order, number = self._order, self._number
        if addresses_of(self._fleet):
            return network_of(self._fleet, number, order["flight"], self._clock.now)
        return Neighbours(number, {int(n): port for n, port in order["ports"].items()}, self._clock.now)

    async def _watch(self, flying: asyncio.Task[None], listening: asyncio.Task[None]) -> None:
        waiting_told = False
        while True:
            await self._clock.sleep(0.2)
            if flying.done():
                flying.result()
            if self._pilot.is_waiting and not waiting_told:
                waiting_told = True
                self._say({"kind": "waiting"})
            self._keep_deposit()
            if self._pilot.is_down:
                await self._clock.sleep(FAREWELL)  # the others hear that it stands on the ground
                self._say({"kind": "down", "summary": self._pilot.summary()})
                return
            if listening.done() and self._pilot.phase == Phase.GROUND:
                return

    def _keep_deposit(self) -> None:
        """Write down what a machine has laid: now and then, and once more when nothing can come to it any more."""
        pilot, now = self._pilot, self._clock.now()
        if isinstance(pilot, SprayPilot) and (pilot.is_down or now - self._kept_at > KEEP_INTERVAL):
            self._kept_at = now
            keep_laid(Path(self._order["deposit"]), pilot.deposit)
            if self._order["elsewhere"]:  # the ground station cannot read this file
                self._say_laid(pilot.deposit)

    async def _say_time(self) -> None:
        """Tell what time it is here, often enough that once it is heard at once."""
        for _ in range(TIMES_TOLD):
            self._say({"kind": "time", "now": self._clock.now()})
            await asyncio.sleep(0.1)

    def _say_laid(self, laid: NDArray[np.float64]) -> None:
        """Tell what was laid since it was last told."""
        if self._told_laid is None:
            self._told_laid = np.zeros_like(laid)
        new = np.flatnonzero(laid != self._told_laid)
        self._told_laid[new] = laid[new]
        self._say({"kind": "laid", "cells": new.tolist(), "laid": laid[new].tolist()})

    async def _listen(self, orders: asyncio.StreamReader) -> None:
        while line := await orders.readline():
            self._pilot.operator_heard = self._clock.now()
            self._do(json.loads(line))
        self._pilot.go_home()  # the ground station's program is gone
        while self._pilot.phase != Phase.GROUND:
            self._pilot.operator_heard = self._clock.now()
            await self._clock.sleep(1.0)

    def _do(self, order: Mapping[str, Any]) -> None:
        pilot, what = self._pilot, order["order"]
        if what == "take off":
            self._start(self._try(pilot.take_off()))
        elif what == "alive":
            pilot.gone = frozenset(order["gone"])
        elif what == "begin":
            pilot.begin(float(order["at"]))
        elif what == "pause":
            pilot.pause()
        elif what == "engage":
            self._start(self._try(pilot.engage()))
        elif what == "return":
            pilot.go_home()
        elif what == "land":
            pilot.land_here()
        elif what == "serviced":
            if isinstance(pilot, SprayPilot):
                pilot.serviced()
        elif what == "spray":
            pilot.spraying_allowed = bool(order["on"])
        elif what == "die":  # a fault on purpose, for tests
            os.kill(os.getpid(), 9)

    def _start(self, work: Any) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _try(self, work: Any) -> None:
        try:
            await work
        except D2ocError as error:
            self._say({"kind": "refused", "text": str(error)})

    def _say(self, report: Mapping[str, Any]) -> None:
        try:
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
        except OSError:  # the ground station is gone: the drone flies home, and nobody needs to hear of it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _main() -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    first = json.loads(await orders.readline())
    try:
        await DroneProcess(first).run(orders)
    except D2ocError as error:
        print(json.dumps({"kind": "failed", "text": str(error)}), flush=True)


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the ground station's to answer
    asyncio.run(_main())
