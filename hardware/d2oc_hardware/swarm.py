"""`d2oc fly`: starts a process for every drone, gives orders, gathers what they report into one record.

The ground station decides nothing about motion: agents and guards do, each in its own process. It says when to begin,
hears the operator, and writes down. If it dies, the drones go home; if a drone's process dies, its autopilot takes
that one home, and the others go on.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from d2oc.as_flown import NO_TIMES
from d2oc.geo.frame import LocalFrame
from d2oc.ledger import quantum_of
from d2oc.mission import Prepared, Watch
from d2oc.record import Record, RecordHeader, RecordWriter, Tick, as_utc, remove_record
from d2oc.runtime.choice import unfit
from d2oc.scenario import scenario_toml
from d2oc.scenario.data_files import portable
from d2oc.scenario.schema import Scenario
from d2oc.spray.build import FarmMission
from d2oc_hardware.clock import Clock
from d2oc_hardware.drone_process import agents_of
from d2oc_hardware.fleet import Fleet
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import Place
from d2oc_hardware.pilot import Phase
from d2oc_hardware.plain import as_text
from d2oc_hardware.preflight import Check, computer_clock, reach_of
from d2oc_hardware.resumed import LAID_BEFORE, keep_laid, laid_in, prepared_for
from d2oc_hardware.simulated.parameters import DEFAULTS, FOR_SWARMS
from d2oc_hardware.waiting_clock import Pacemaker

MODELS = ("single-integrator", "double-integrator", "lagged-integrator")
"""Vehicle models whose commands an autopilot takes as velocities."""
PLANNED_METHODS = ("d2oc", "prescription", "prescription-skip", "uniform")
"""Spraying missions whose passes stand before take-off."""
RUNGS = ("simulation", "bench", "tethered", "single", "swarm")
ONE_THREAD = ("OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "NUMBA_NUM_THREADS=1")
"""For numeric libraries one thread a process is enough: there are many processes."""
START_TIMEOUT_WALL_S = 120.0
"""Until all drone processes are connected and checked. [s]"""
START_EACH_WALL_S = 20.0
"""The same for each of many: they share the processors. [s]"""
ALIVE_INTERVAL = 1.0
"""The drones hear from the ground station so often. [s]"""
OWN_SILENCE_S = 3.0
"""A simulated autopilot that has not heard the ground station for so long flies home. [s]"""
SLOW = 0.9
"""A share of the speed-up below which that is told."""
COUNTDOWN = 1.0
"""Between the order to begin and the beginning. [s]"""
PAD_TOLERANCE_M = 1.0
SPARE_TANK = 1.1
"""Simulated tanks hold this times the largest load of the plan: what is counted and what is pumped differ a little."""
LAND_TIMEOUT = 240.0
"""After the mission's end, until everyone must be down. [s]"""


@dataclass(frozen=True)
class FlightPlan:
    """What is flown."""

    scenario: Scenario
    fleet: Fleet
    out: Path
    speedup: float = 1.0
    simulated: bool = False
    physics: str = "ideal"
    arducopter: Path | None = None
    """A real ArduCopter, built for this machine, that the simulated vehicles run."""
    betaflight: Path | None = None
    """A real Betaflight, likewise."""
    faults: tuple[tuple[int, str], ...] = ()
    """Drone and fault, as `d2oc sim-vehicle --fault` takes it; also `process-killed@SECONDS` after the beginning."""
    upload_fence: bool = False
    overwrite: bool = False
    resumed: Path | None = None
    """Run folder of an earlier flight, of which only the rest is flown."""
    prepared: tuple[Prepared, FarmMission | None] | None = None
    """What `prepared_for` gave, where that was needed before; default: it is made here."""


@dataclass
class _Drone:
    """What the ground station knows of a drone."""

    process: asyncio.subprocess.Process
    checks: list[Check] | None = None
    waiting: bool = False
    down: bool = False
    dead: bool = False
    summary: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    ticks: dict[int, dict[str, Any]] = field(default_factory=dict)
    last: dict[str, Any] | None = None
    vehicle: asyncio.subprocess.Process | None = None
    late: list[float] = field(default_factory=list)
    """By how much later it was heard what another computer said by its clock. [s]"""
    laid: NDArray[np.float64] | None = None
    """What it has laid, if it runs on another computer, shape (cells,). [L/ha]"""
    heard_at: float = 0.0
    """When it last reported something. [s]"""
    silent: bool = False
    """Whether it once said nothing for so long that it counts as lost."""

    @property
    def flies(self) -> bool:
        return not self.down and not self.dead

    @property
    def speaks(self) -> bool:
        """Whether more is to be heard of it."""
        return self.flies and not self.silent


class Swarm:
    """A flight.

    Parameters
    ----------
    plan : FlightPlan
        What is flown.
    say : callable
        Takes sentences for the operator.
    watch : callable, optional
        Hears every tick as it is written down; see `d2oc.mission.Watch`.
    """

    def __init__(self, plan: FlightPlan, say: Callable[[str], None], watch: Watch | None = None) -> None:
        require_flyable(plan.scenario, plan.fleet)
        self.plan = plan
        self._say = say
        self._clock = Clock(plan.speedup)
        self._pacemaker: Pacemaker | None = None
        self._prepared: Prepared
        self._farm: FarmMission | None
        self._prepared, self._farm = plan.prepared or prepared_for(plan.scenario, plan.resumed)
        if self._farm is not None:
            require_pads(plan.scenario, plan.fleet, self._farm)
        boundary = [(float(x), float(y)) for x, y in self._prepared.field.boundary]
        self._fence = plan.fleet.fence(boundary, [])
        self._drones: list[_Drone] = []
        self._tick = 0
        self._began: float | None = None
        self._paused = False
        self.interrupted = False
        self._kill_at = {
            n: float(text.partition("@")[2]) for n, text in plan.faults if text.startswith("process-killed")
        }
        quantum = quantum_of(self._prepared.setup.weights, len(self._prepared.setup.kind))
        self._quantum = quantum
        self._writer: RecordWriter | None = None
        self._watch = watch
        self._on_tick: Callable[[Tick], None] = lambda tick: None

    # Orders of the operator

    def order(self, what: str, **more: Any) -> None:
        """Give an order to every drone that flies."""
        for drone in self._drones:
            self._order(drone, what, **more)

    def _order(self, drone: _Drone, what: str, **more: Any) -> None:
        if drone.flies and drone.process.stdin is not None:
            with suppress(OSError, RuntimeError):
                drone.process.stdin.write(json.dumps({"order": what, **more}).encode() + b"\n")

    def pause(self) -> None:
        """Everyone stands still."""
        self._paused = True
        self.order("pause")

    def resume(self) -> None:
        """Everyone goes on."""
        self._paused = False
        self.order("engage")
        self.order("begin", at=self._clock.now() + COUNTDOWN)

    def serviced(self) -> None:
        """Machines on the ground are filled, and nobody stands beside them."""
        self.order("serviced")

    def return_all(self) -> None:
        """Everyone goes home."""
        self.interrupted = True
        self.order("return")

    def land_all(self) -> None:
        """Everyone lands where it is."""
        self.interrupted = True
        self.order("land")

    # The flight

    async def check(self) -> list[list[Check]]:
        """Start everything, connect and check; the checklists of all drones."""
        await self._start()
        await self._wait(lambda drone: drone.checks is not None, "is not connected and checked")
        return [drone.checks or [] for drone in self._drones]

    async def fly(self) -> tuple[Record | None, dict[str, Any]]:
        """Take off, fly the mission, bring everyone home; the record, none if the mission never began, and the end."""
        plan, samples, header = self.plan, self._prepared.samples, self._header()
        text, data = portable(plan.scenario)
        if plan.overwrite:
            remove_record(plan.out, keep=data)
        self._writer = RecordWriter(plan.out, header, text, samples.points, samples.weights, runtime="fly", data=data)
        if self._watch is not None:
            self._on_tick = self._watch(header, samples.points, samples.weights)
        self.order("take off")
        with suppress(FlightError):
            await self._wait(lambda drone: drone.waiting or bool(drone.problems), "is not at its start", 300.0)
        refused = [n for n, drone in enumerate(self._drones) if not drone.waiting]
        if refused:
            self._say(f"drone {refused[0]} did not get to its start, so all return")
            self.order("return")
        else:
            self._began = self._clock.now() + COUNTDOWN
            self.order("begin", at=self._began)
            begins = time.time() + self._clock.wall(self._began - self._clock.now())
            self._writer.know(simulated=plan.simulated, tick_0=as_utc(begins))
        await self._until_down()
        self._tell_pace()
        if self._tick == 0:
            remove_record(plan.out)
            return None, self._summary()
        record = self._writer.finish("interrupted" if self.interrupted else "complete", NO_TIMES, self._cells())
        return record, self._summary()

    def _tell_pace(self) -> None:
        """Say by how much slower than asked the flight went, if it did."""
        if self._pacemaker is not None and self._pacemaker.pace < SLOW * self.plan.speedup:
            pace, asked = self._pacemaker.pace, self.plan.speedup
            self._say(f"the clock went at {pace:.2g} times real time, not {asked:g}: it waited for a busy machine")

    def _header(self) -> RecordHeader:
        """What stands above the record; a real flight was where its fleet file has the field."""
        if self.plan.simulated:
            return self._prepared.header
        at = self.plan.fleet.datum
        place = LocalFrame.around(at.longitude_deg, at.latitude_deg)
        return replace(self._prepared.header, georeference=place.as_mapping())

    def _cells(self) -> dict[str, Any] | None:
        """What lies on the ground after a spraying mission: the sum of what each machine believes to have laid."""
        if self._farm is None:
            return None
        deposit = self._farm.runtime.ground.deposit
        deposit[:] = laid_in(self.plan.out, deposit)  # of one that was killed, up to a moment before
        return self._farm.cells()

    async def close(self) -> None:
        """End every process that was started here."""
        for drone in self._drones:
            for process in (drone.process, drone.vehicle):
                if process is not None and process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        if self._pacemaker is not None:
            self._pacemaker.close()

    async def _start(self) -> None:
        plan = self.plan
        self._pacemaker = pacemaker_of(plan)
        if self._pacemaker is not None:
            self._clock = self._pacemaker.clock
        agents = [] if self._farm else await asyncio.to_thread(agents_of, plan.scenario, self._prepared)
        plan.out.mkdir(parents=True, exist_ok=True)
        for old in (*plan.out.glob("drone-*-deposit.npz"), plan.out / LAID_BEFORE):
            old.unlink(missing_ok=True)
        if self._farm is not None and plan.resumed is not None:
            keep_laid(plan.out / LAID_BEFORE, self._farm.runtime.ground.deposit)
        fleet = plan.fleet.model_dump(mode="json", exclude_none=True)
        (plan.out / "fleet.toml").write_text(tomli_w.dumps(fleet), encoding="utf-8")
        ports = dict(enumerate(free_ports(len(plan.fleet.drones))))
        flight, scenario = f"flight-{secrets.token_hex(8)}", scenario_toml(plan.scenario)
        for number, table in enumerate(plan.fleet.drones):
            vehicle = await self._start_vehicle(number) if plan.simulated else None
            # In a session of its own, so that neither Ctrl-C nor a terminal that is closed ends it or its connection.
            process = await asyncio.create_subprocess_exec(
                *command_by(table.start, [sys.executable, "-m", "d2oc_hardware.drone_process"]),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24, start_new_session=True,
            )  # fmt: skip
            self._drones.append(_Drone(process, vehicle=vehicle))
        if plan.simulated:
            await self._until_switched_on()
        for number, drone in enumerate(self._drones):
            first = {
                "scenario": scenario,
                "fleet": plan.fleet.model_dump(mode="json"),
                "number": number,
                "agent": as_text(agents[number]) if agents else "",
                "plan": "" if self._farm is None else as_text(self._farm.runtime.plan),
                "simulated": plan.simulated,
                "resumed": str(plan.resumed) if plan.resumed else "",
                "deposit": str(self._deposit_of(number)),
                "elsewhere": bool(plan.fleet.drones[number].start),
                "ports": ports,
                "flight": flight,
                "speedup": plan.speedup,
                "clock": "" if self._pacemaker is None else str(self._pacemaker.path),
                "turn": number,
                "epoch": self._clock.epoch,
                "epoch_utc": self._clock.epoch_utc,
                "log": str(plan.out / f"drone-{number}.tlog"),
                "upload_fence": plan.upload_fence or plan.simulated,
            }
            assert drone.process.stdin is not None
            drone.process.stdin.write(json.dumps(first).encode() + b"\n")
            drone_task = asyncio.ensure_future(self._hear(number, drone))
            drone_task.add_done_callback(lambda task: task.exception())
        self._alive = asyncio.ensure_future(self._stay_alive())

    async def _until_switched_on(self) -> None:
        """Until every simulated vehicle speaks: on a new machine it compiles longer than a real one is waited for."""
        reports = [self._report_of(number) for number in range(len(self._drones))]
        end = asyncio.get_running_loop().time() + self._start_timeout
        while not all(report.exists() for report in reports) and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.05)

    def _report_of(self, number: int) -> Path:
        """File in which a simulated vehicle writes the truth."""
        return self.plan.out / f"vehicle-{number}.json"

    def _clock_words(self, number: int) -> list[str]:
        """By which clock a simulated vehicle goes."""
        if self._pacemaker is None:
            return ["--epoch", repr(self._clock.epoch)]
        return ["--clock", f"{self._pacemaker.path}:{len(self.plan.fleet.drones) + number}"]

    def _deposit_of(self, number: int) -> Path:
        """File that says what a machine has laid."""
        return self.plan.out / f"drone-{number}-deposit.npz"

    async def _start_vehicle(self, number: int) -> asyncio.subprocess.Process:
        plan, drone = self.plan, self.plan.fleet.drones[number]
        self._report_of(number).unlink(missing_ok=True)  # that of an earlier flight
        at = plan.fleet.datum.datum.geodetic(Place(*drone.home_m, 0.0))
        to = ["--to", drone.link.removeprefix("udp:")]
        if plan.betaflight is not None:
            to = ["--port", drone.link.rpartition(":")[2], "--betaflight", str(plan.betaflight)]
        parameters = {
            **FOR_SWARMS,
            "FS_GCS_TIMEOUT": OWN_SILENCE_S,
            "RTL_ALT": 100.0 * drone.height_m,
            "MAV_GCS_SYSID": plan.fleet.source_system,
            "FENCE_RADIUS": max(DEFAULTS["FENCE_RADIUS"], math.ceil(reach_of(plan.fleet, number, self._fence))),
        }
        if self._farm is not None:
            parameters.update(sprayer_parameters(plan.scenario, self._farm, number))
        arguments = [
            "sim-vehicle", "--system-id", str(drone.system_id), *to, "--speedup", str(plan.speedup),
            *self._clock_words(number), "--at", f"{at.latitude!r},{at.longitude!r},{at.altitude!r}",
            "--physics", plan.physics, "--airframe", self._airframe(number), "--report", str(self._report_of(number)),
        ]  # fmt: skip
        for name, value in parameters.items():
            arguments += ["--param", f"{name}={value}"]
        for of, fault in plan.faults:
            if of == number and not fault.startswith("process-killed"):
                arguments += ["--fault", fault]
        if plan.fleet.key_file is not None:
            arguments += ["--key", str(plan.fleet.key_file)]
        if plan.arducopter is not None:
            arguments += ["--arducopter", str(plan.arducopter)]
        return await asyncio.create_subprocess_exec(
            *command_by(drone.start, [sys.executable, "-m", "d2oc", *arguments]),
            stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _airframe(self, number: int) -> str:
        """Preset of a drone."""
        return self._prepared.kinds[int(self._prepared.setup.kind[number])].vehicle.preset

    async def _stay_alive(self) -> None:
        looked = self._clock.now()
        while True:
            now = self._clock.now()
            self.order("alive", gone=self._gone(now, now - looked))
            looked = now
            for number, at in list(self._kill_at.items()):
                if self._began is not None and now - self._began >= at:
                    del self._kill_at[number]
                    self._order(self._drones[number], "die")
            await self._clock.sleep(ALIVE_INTERVAL)

    def _gone(self, now: float, since: float) -> list[int]:
        """Drones that are lost or down, or were silent for as long as silence is borne; that they stay.

        Nothing is heard either while all are paused, or this process itself has stood still, `since` its last look.
        """
        borne = self.plan.fleet.limits.operator_return_s
        deaf = self._began is None or now < self._began or self._paused or since > 0.5 * borne
        for number, drone in enumerate(self._drones):
            if deaf:
                drone.heard_at = now
            elif drone.flies and not drone.silent and now - drone.heard_at > borne:
                drone.silent = True
                self._say(f"drone {number}: not heard for {borne:g} s; it is taken for lost")
        return [n for n, drone in enumerate(self._drones) if drone.silent or not drone.flies]

    @property
    def _start_timeout(self) -> float:
        return max(START_TIMEOUT_WALL_S, START_EACH_WALL_S * len(self._drones))

    async def _wait(self, holds: Callable[[_Drone], bool], complaint: str, timeout: float | None = None) -> None:
        """Until something holds of every drone; raises for the first of which it does not."""
        now = asyncio.get_running_loop().time if timeout is None else self._clock.now
        end = now() + (self._start_timeout if timeout is None else timeout)
        while not all(map(holds, self._drones)):
            late = next(n for n, drone in enumerate(self._drones) if not holds(drone))
            drone = self._drones[late]
            if drone.dead or now() > end or self.interrupted:
                why = f": {drone.problems[-1]}" if drone.problems else ": its process has ended" if drone.dead else ""
                raise FlightError(f"drone {late} {complaint}{why}")
            await asyncio.sleep(0.05)

    async def _until_down(self) -> None:
        """Until everyone is down or lost; longer than the mission and the way home cannot take it."""
        end = None
        longest = self.plan.scenario.mission.duration_s * 1.5 + LAND_TIMEOUT
        deadline = self._clock.now() + longest
        while any(map(self._is_awaited, self._drones)):
            self._write_ticks()
            if self._paused:
                deadline = max(deadline, self._clock.now() + LAND_TIMEOUT)
            if self._clock.now() > deadline and end is None:
                end = self._clock.now()
                self._say("the mission is over and not everyone is down: all land")
                self.order("land")
            if end is not None and self._clock.now() > end + LAND_TIMEOUT:
                break
            await asyncio.sleep(0.05)
        if self.plan.simulated:  # they write down their truth every second, so the last word comes a little late
            await self._until_vehicles_down()
        self._write_ticks(last=True)

    def _is_awaited(self, drone: _Drone) -> bool:
        """Whether it flies and, if it fell silent, may still come back to its senses on its way home."""
        return drone.flies and (not drone.silent or self._clock.now() - drone.heard_at < LAND_TIMEOUT)

    async def _until_vehicles_down(self) -> None:
        end = self._clock.now() + LAND_TIMEOUT
        while self._clock.now() < end:
            if all(truth.get("landed") or not truth.get("flew") for truth in self._truths()):
                return
            await asyncio.sleep(0.1)

    async def _hear(self, number: int, drone: _Drone) -> None:
        """Take in what a drone's process reports, until it ends."""
        assert drone.process.stdout is not None
        while line := await drone.process.stdout.readline():
            with suppress(json.JSONDecodeError):
                self._note(number, drone, json.loads(line))
        await drone.process.wait()
        if self._pacemaker is not None:
            self._pacemaker.forget(number)
        if not drone.down:
            drone.dead = True
            if self._began is not None:
                self._say(f"drone {number}: its process ended; its autopilot is to take it home")

    def _note(self, number: int, drone: _Drone, report: Mapping[str, Any]) -> None:
        kind = report["kind"]
        drone.heard_at = self._clock.now()
        if kind == "tick":
            drone.ticks[report["tick"]] = dict(report)
        elif kind == "checks":
            drone.checks = [Check(*check) for check in report["checks"]]
            if drone.late:
                drone.checks.append(computer_clock(drone.late))
        elif kind == "time":
            drone.late.append(self._clock.wall(self._clock.now() - report["now"]))
        elif kind == "laid":  # its own file is on another computer
            self._keep_laid(number, drone, report)
        elif kind == "waiting":
            drone.waiting = True
        elif kind == "down":
            drone.down, drone.summary = True, dict(report["summary"])
            causes = ", ".join(drone.summary["causes"])
            self._say(f"drone {number}: down" + (f" ({causes})" if causes else ""))
        elif kind == "news":
            self._say(f"drone {number}: {report['text']}")
        elif kind in ("refused", "failed", "note"):
            drone.problems.append(report["text"])
            self._say(f"drone {number}: {report['text']}")

    def _keep_laid(self, number: int, drone: _Drone, report: Mapping[str, Any]) -> None:
        assert self._farm is not None
        if drone.laid is None:
            drone.laid = np.zeros_like(self._farm.runtime.ground.deposit)
        drone.laid[report["cells"]] = report["laid"]
        keep_laid(self._deposit_of(number), drone.laid)

    # The record

    def _write_ticks(self, *, last: bool = False) -> None:
        """Write every tick of which all is known."""
        if self._writer is None:
            return
        while any(self._tick in drone.ticks for drone in self._drones):
            if not last and any(drone.speaks and self._tick not in drone.ticks for drone in self._drones):
                return
            if any(drone.last is None and self._tick not in drone.ticks for drone in self._drones):
                return
            tick = self._record_tick()
            self._writer.append(tick)
            self._on_tick(tick)
            self._tick += 1

    def _record_tick(self) -> Tick:
        rows = []
        for drone in self._drones:
            row = drone.ticks.pop(self._tick, None)
            if row is None:
                assert drone.last is not None
                phase = Phase.GROUND if drone.down else Phase.LOST
                row = {
                    **drone.last, "input": None, "goal": None, "consumed": 0.0, "active": False, "samples": [],
                    "amounts": [], "heard": [[], [], []], "phase": int(phase), "pump": 0.0,
                    **({"machine": {**drone.last["machine"], "spray_l_min": 0.0}} if "machine" in drone.last else {}),
                }  # fmt: skip
            drone.last = row
            rows.append(row)
        prepared = self._prepared
        kinds = prepared.setup.kind
        n, m = max(model.n_states for model in prepared.setup.models), prepared.setup.models[kinds[0]].n_inputs
        state = np.full((len(rows), n), np.nan)
        place = np.empty((len(rows), 2))
        for r, row in enumerate(rows):
            state[r, : len(row["state"])] = row["state"]
            place[r] = [row["state"][i] for i in prepared.setup.models[kinds[r]].position_states]
        return Tick(
            tick=self._tick,
            position=place,
            state=state,
            input=np.array([row["input"] or [np.nan] * m for row in rows]),
            goal=np.array([row["goal"] or [np.nan, np.nan] for row in rows]),
            consumed=np.array([row["consumed"] for row in rows]),
            believed_remaining=np.array([row["remaining"] for row in rows]) * (1.0 if self._farm else self._quantum),
            active=np.array([row["active"] for row in rows], np.bool_),
            consumption=_consumption(rows),
            messages=_heard(rows),
            telemetry={
                "height_m": np.array([row["height"] for row in rows]),
                "phase": np.array([float(row["phase"]) for row in rows]),
                "pump": np.array([row["pump"] for row in rows]),
                "battery_percent": np.array([_or_nan(row["battery"], 100.0) for row in rows]),
                "tank_l": np.array([_or_nan(row["tank"], 1.0) for row in rows]),
                **{name: np.array([row["machine"][name] for row in rows]) for name in self._machine_columns},
            },
        )

    @property
    def _machine_columns(self) -> list[str]:
        """What the record keeps of machines beside what it keeps of every drone."""
        own = {} if self._farm is None else self._farm.runtime.telemetry()
        return [name for name in own if name not in ("phase", "height_m")]

    def _truths(self) -> list[dict[str, Any]]:
        """What the simulated vehicles themselves say at the end."""
        truths = []
        for number in range(len(self._drones)):
            with suppress(OSError, json.JSONDecodeError):
                truths.append(json.loads(self._report_of(number).read_text(encoding="utf-8")))
        return truths

    def _summary(self) -> dict[str, Any]:
        drones = []
        truths = self._truths() if self.plan.simulated else []
        for number, drone in enumerate(self._drones):
            own = {"drone": number, "process": "killed" if drone.dead else "ended", "problems": drone.problems}
            truth = truths[number] if number < len(truths) else {}
            drones.append({**own, **drone.summary, **({"truth": truth} if truth else {})})
        landed = [d.get("truth", {}).get("landed", d.get("landed", False)) for d in drones]
        return {
            "landed": all(landed),
            "fence_breaches": sum(
                max(d.get("fence_breaches", 0), d.get("truth", {}).get("fence_breaches", 0)) for d in drones
            ),
            "spray_outside_mission_s": round(
                sum(
                    max(d.get("spray_outside_mission_s", 0.0), d.get("truth", {}).get("sprayed_unasked_s", 0.0))
                    for d in drones
                ),
                2,
            ),
            **({} if self._pacemaker is None else {"pace": round(self._pacemaker.pace, 2)}),
            "drones": drones,
        }


def require_flyable(scenario: Scenario, fleet: Fleet) -> None:
    """Refuse what cannot be flown by this version.

    Raises
    ------
    FlightError
        One sentence.
    """
    if scenario.spray is not None and scenario.spray.method not in PLANNED_METHODS:
        methods = ", ".join(PLANNED_METHODS)
        raise FlightError(f"{scenario.name}: spray.method = {scenario.spray.method} cannot be flown, only {methods}")
    for key, value, needed in unfit(scenario):
        raise FlightError(f"{scenario.name}: {key} = {value} cannot be flown, only {needed}")
    models = {scenario.vehicle.model, *(g.vehicle.model for g in scenario.team.groups if g.vehicle is not None)}
    for model in sorted(models - set(MODELS)):
        raise FlightError(f"{scenario.name}: vehicle.model = {model} cannot be flown, only {', '.join(MODELS)}")
    n_agents = scenario.team.size
    if n_agents != len(fleet.drones):
        raise FlightError(f"{scenario.name}: the team has {n_agents} agents and the fleet {len(fleet.drones)} drones")
    if scenario.mission.time_step_s < 0.1:
        raise FlightError(f"{scenario.name}: mission.time_step_s must be at least 0.1 s to be flown")


def require_pads(scenario: Scenario, fleet: Fleet, farm: FarmMission) -> None:
    """Refuse a fleet whose machines do not stand where the plan has them.

    Raises
    ------
    FlightError
        One sentence.
    """
    for number, (drone, machine) in enumerate(zip(fleet.drones, farm.runtime.drones, strict=True)):
        x, y = farm.runtime.stations.pad(machine.station, number)
        if np.hypot(drone.home_m[0] - x, drone.home_m[1] - y) > PAD_TOLERANCE_M:
            raise FlightError(
                f"{scenario.name}: drones[{number}].home_m must be [{x:g}, {y:g}], its place at the station"
            )


def sprayer_parameters(scenario: Scenario, farm: FarmMission, number: int) -> dict[str, float]:
    """What makes a simulated vehicle the sprayer of the plan."""
    assert scenario.spray is not None
    machine = farm.runtime.drones[number]
    station = farm.runtime.stations.tables[machine.station]
    return {
        "SERVO5_FUNCTION": 59,
        "RC9_OPTION": 0,
        "SIM_TANK_L": round(SPARE_TANK * machine.tank, 3),
        "SIM_PUMP_L_MIN": scenario.spray.largest_flow_l_min,
        "SIM_ENDURANCE": round(machine.endurance, 1),
        "SIM_SERVICE": round(station.handling_s + max(station.swap_s, 60.0 * machine.tank / station.fill_l_min), 1),
    }


def require_rung(fleet: Fleet, *, simulated: bool) -> None:
    """Refuse to arm a fleet beyond the rung of the ladder that its file claims.

    Raises
    ------
    FlightError
        One sentence.
    """
    if simulated:
        return
    needed = "single" if len(fleet.drones) == 1 else "swarm"
    if RUNGS.index(fleet.rung) < RUNGS.index(needed):
        raise FlightError(
            f'the fleet file says rung = "{fleet.rung}", and flying it takes "{needed}": climb the ladder of '
            "docs/flying.md first, then write the rung into the file"
        )


def free_ports(count: int) -> list[int]:
    """UDP ports of the loopback interface that nobody uses at this moment."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()


def with_addresses(fleet: Fleet, certificates: Path | None) -> Fleet:
    """The same fleet, whose drones talk over the network bus at free ports of this machine."""
    ports = free_ports(len(fleet.drones))
    drones = [
        drone.model_copy(update={"address": f"127.0.0.1:{port}"})
        for drone, port in zip(fleet.drones, ports, strict=True)
    ]
    return fleet.model_copy(update={"drones": tuple(drones), "certificates": certificates})


def pacemaker_of(plan: FlightPlan) -> Pacemaker | None:
    """What keeps a clock that waits, where all is simulated on this machine; Betaflight knows only the wall's time."""
    if not plan.simulated or plan.betaflight is not None or any(drone.start for drone in plan.fleet.drones):
        return None
    return Pacemaker(2 * len(plan.fleet.drones), plan.speedup)


def command_by(start: Sequence[str], words: Sequence[str]) -> list[str]:
    """Command that runs `words` where `start` takes it.

    ssh joins words by spaces, and the shell over there takes them apart again; so they are quoted for it.
    """
    command = ["env", *ONE_THREAD, *words]
    by_shell = bool(start) and Path(start[0]).name == "ssh"
    return [*start, *(map(shlex.quote, command) if by_shell else command)]


def _or_nan(value: float | None, factor: float) -> float:
    return float("nan") if value is None else factor * value


def _consumption(rows: Sequence[Mapping[str, Any]]) -> tuple[Any, Any, Any]:
    agent = np.repeat(np.arange(len(rows), dtype=np.int32), [len(row["samples"]) for row in rows])
    sample = np.array([s for row in rows for s in row["samples"]], np.int32)
    return agent, sample, np.array([a for row in rows for a in row["amounts"]], np.float64)


def _heard(rows: Sequence[Mapping[str, Any]]) -> tuple[Any, Any, Any, Any]:
    receiver = np.repeat(np.arange(len(rows), dtype=np.int32), [len(row["heard"][0]) for row in rows])
    sender, entries, size = (np.array([x for row in rows for x in row["heard"][i]], np.int32) for i in range(3))
    return sender, receiver, entries, size
