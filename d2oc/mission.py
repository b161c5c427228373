"""From a scenario to a record: sample the density, build the team, step the mission, write it down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Floats
from d2oc.density import SampleSet, build_density, sample_density
from d2oc.density.moving import Moves, motion_of
from d2oc.field import Field
from d2oc.laws import team_law
from d2oc.record import (
    AgentHeader,
    Record,
    RecordHeader,
    RecordWriter,
    Tick,
    ended_record,
    read_mark,
    remove_record,
    runtime_of,
)
from d2oc.runtime.arrays import TeamSetup, positions
from d2oc.runtime.choice import Name, Runtime, RuntimeChoice, build_runtime
from d2oc.scenario import load_scenario
from d2oc.scenario.data_files import portable
from d2oc.scenario.schema import Scenario
from d2oc.spray.build import FarmMission, farm_mission
from d2oc.spray.farm import FarmRuntime
from d2oc.spray.plan import Plan
from d2oc.team import SAMPLING_STREAM, Kind, initial_state, random_stream, start_positions, team_kinds
from d2oc.transit import TransitRuntime, transit_plan
from d2oc.world import World
from d2oc.worlds import build_world, with_crashes

PROGRESS_INTERVAL_S = 0.05
"""Progress is reported at most this often. [s]"""

MARK_INTERVAL_S = 5.0
"""A run that is killed goes on from at most this long before. [s]"""

Watch = Callable[[RecordHeader, Floats, Floats], Callable[[Tick], None]]
"""Told what is flown (header; places and weights of the samples), it returns what is called with every tick."""


@dataclass(frozen=True)
class Progress:
    """How far a mission is."""

    step: int
    n_steps: int
    remaining_weight: float
    """Mean over the agents of what each believes to remain."""
    planning: bool = False
    """Whether the team plans before it takes off, which may take seconds to minutes."""


def simulate(
    scenario: Scenario,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    runtime: RuntimeChoice | Name = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    watch: Watch | None = None,
    world_of: Callable[[TeamSetup], World] | None = None,
) -> Record:
    """Fly a mission.

    Parameters
    ----------
    scenario : Scenario
        What `load_scenario` gives.
    out : str or Path, optional
        Run folder, written as the mission goes; None keeps the record in memory.
    overwrite : bool
        Replace a record that stands there, once it is certain that the scenario can be flown.
    runtime : RuntimeChoice or {"auto", "arrays", "inline", "ray"}
        What flies the team; `inline` and `ray` give the same record, see docs/swarm.md.
    on_progress : callable, optional
        Called now and then while the mission runs.
    watch : callable, optional
        Hears every tick; see `Watch`. It must be quick, and changes nothing.
    world_of : callable, optional
        Makes the world that moves the team; default: the ideal one.

    Returns
    -------
    record : Record
        Complete, or interrupted when Ctrl-C stopped the mission.

    Raises
    ------
    D2ocError
        If the scenario cannot be flown; the text is one sentence.
    """
    folder = None if out is None else Path(out)
    return _simulate(scenario, folder, overwrite, runtime, on_progress, None, watch, world_of)


def resume(
    run_folder: str | Path,
    *,
    runtime: RuntimeChoice | Name | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    watch: Watch | None = None,
) -> Record:
    """Go on with a mission whose program was killed, to the record that it would have written.

    Parameters
    ----------
    run_folder : str or Path
        Its run folder; the program that wrote it must not run any more.
    runtime : RuntimeChoice or str, optional
        What flies the team; default: what flew it before. The last mark of the flight is used where there is one;
        otherwise it begins anew.
    on_progress : callable, optional
        Called now and then while the mission runs.
    watch : callable, optional
        Hears every tick from where the flight goes on; see `Watch`.

    Returns
    -------
    record : Record
        As it stands if the mission had ended.

    Raises
    ------
    D2ocError
        If this is no run folder, or the scenario cannot be flown.
    """
    folder = Path(run_folder)
    record = ended_record(folder)
    if record is not None:
        return record
    mark = read_mark(folder)
    scenario = load_scenario(str(folder / "scenario.toml"))
    flown_by = cast(Name, runtime_of(folder))
    return _simulate(scenario, folder, mark is None, runtime or flown_by, on_progress, mark, watch)


def flies_anew(run_folder: str | Path) -> bool:
    """Whether `resume` begins a mission anew: it did not end, and nothing was marked from which it could go on.

    Spraying missions and those of one process on shared arrays mark nothing, since they take seconds.

    Raises
    ------
    RecordError
        If this is no run folder.
    """
    folder = Path(run_folder)
    return ended_record(folder) is None and read_mark(folder) is None


def _simulate(
    scenario: Scenario,
    folder: Path | None,
    overwrite: bool,
    runtime: RuntimeChoice | Name,
    on_progress: Callable[[Progress], None] | None,
    mark: tuple[int, int, bytes] | None,
    watch: Watch | None = None,
    world_of: Callable[[TeamSetup], World] | None = None,
) -> Record:
    began = time.perf_counter()
    if scenario.spray is not None:
        return _fly_farm(scenario, folder, overwrite, on_progress, watch, began)
    field, samples, kinds, setup, header = prepare(scenario)
    transit = None if scenario.transit is None else transit_plan(scenario, scenario.transit, field, setup)
    if transit is not None:
        header = replace(header, n_steps=transit.n_steps)
    choice = runtime if isinstance(runtime, RuntimeChoice) else RuntimeChoice(runtime)
    flown, parts, memory = mark or (0, None, None)
    vehicles = [k.vehicle for k in kinds]
    world = build_world(scenario, setup, vehicles) if world_of is None else world_of(setup)
    name, team = build_runtime(scenario, setup, choice, with_crashes(scenario, setup, world), memory)
    if transit is not None:
        team = TransitRuntime(team, transit)
    try:
        text, data = portable(scenario)
        if folder is not None and overwrite:
            remove_record(folder, keep=data)
        writer = RecordWriter(
            folder, header, text, samples.points, samples.weights, runtime=name, parts_kept=parts, data=data
        )
        on_tick = watch(header, samples.points, samples.weights) if watch is not None else None
        mission = _Mission(team, writer, header.n_steps, on_progress, on_tick)
        complete = mission.fly(flown)
    finally:
        team.close()
    timing = {
        "wall_time_s": time.perf_counter() - began,
        "compute_time_s": mission.compute_time_s,
        "agent_steps": float(mission.agent_steps),
        "memory_bytes": float(team.memory_bytes),
    }
    return writer.finish("complete" if complete else "interrupted", timing)


class Prepared(NamedTuple):
    """What a mission needs before it begins, whoever flies it."""

    field: Field
    samples: SampleSet
    kinds: list[Kind]
    setup: TeamSetup
    header: RecordHeader


def prepare(scenario: Scenario) -> Prepared:
    """Sample the density and build the team of a scenario."""
    density, field = build_density(scenario.density, scenario.field)
    samples = sample_density(density, field, scenario.sampling, random_stream(scenario, SAMPLING_STREAM))
    kinds = team_kinds(scenario)
    setup = team_setup(scenario, field, samples, kinds)
    return Prepared(field, samples, kinds, setup, record_header(scenario, field, samples, setup))


def prepare_farm(scenario: Scenario, plan: Plan | None = None, *, flown: bool = False) -> tuple[Prepared, FarmMission]:
    """Get a spraying mission, a scenario with `[spray]`, ready.

    Parameters
    ----------
    scenario : Scenario
    plan : Plan, optional
        Passes that were planned before, for this very mission; default: plans them.
    flown : bool
        Vehicles are to fly it, and no world.
    """
    density, field = build_density(scenario.density, scenario.field)
    kinds = team_kinds(scenario)
    farm = farm_mission(scenario, density, field, kinds, plan, flown=flown)
    header = replace(record_header(scenario, field, farm.samples, farm.setup), raster=farm.raster)
    return Prepared(field, farm.samples, kinds, farm.setup, header), farm


def _fly_farm(
    scenario: Scenario,
    folder: Path | None,
    overwrite: bool,
    on_progress: Callable[[Progress], None] | None,
    watch: Watch | None,
    began: float,
) -> Record:
    """Fly a spraying mission, which has a runtime of its own and a raster in its record."""
    prepared, farm = prepare_farm(scenario)
    header = prepared.header
    text, data = portable(scenario)
    if folder is not None and overwrite:
        remove_record(folder, keep=data)
    writer = RecordWriter(folder, header, text, farm.samples.points, farm.samples.weights, data=data)
    on_tick = watch(header, farm.samples.points, farm.samples.weights) if watch is not None else None
    mission = _Mission(farm.runtime, writer, header.n_steps, on_progress, on_tick)
    complete = mission.fly()
    timing = {
        "wall_time_s": time.perf_counter() - began,
        "compute_time_s": mission.compute_time_s,
        "agent_steps": float(mission.agent_steps),
        "memory_bytes": float(farm.runtime.memory_bytes),
    }
    return writer.finish("complete" if complete else "interrupted", timing, farm.cells())


class _Mission:
    """Steps a team to the end of its mission and records every step."""

    def __init__(
        self,
        runtime: Runtime,
        writer: RecordWriter,
        n_steps: int,
        on_progress: Callable[[Progress], None] | None,
        on_tick: Callable[[Tick], None] | None,
    ) -> None:
        self.runtime = runtime
        self.writer = writer
        self.n_steps = n_steps
        self.on_progress = on_progress
        self.on_tick = on_tick
        self.compute_time_s = 0.0
        self.agent_steps = 0
        self._reported = -np.inf

    def fly(self, k: int = 0) -> bool:
        """Fly from step k until time or work is over; returns False when Ctrl-C stopped it."""
        if k == 0:
            self._keep(start_tick(self.runtime))
        if self.on_progress is not None:
            self.on_progress(Progress(k, self.n_steps, 1.0, planning=True))
        marked = time.monotonic()
        try:
            while k < self.n_steps and not self.runtime.finished:
                began = time.perf_counter()
                self.runtime.step(k)
                self.compute_time_s += time.perf_counter() - began
                self.agent_steps += int(self.runtime.team.active.sum())
                self._keep(tick_after(self.runtime, k))
                k += 1
                self._report(k)
                if time.monotonic() - marked >= MARK_INTERVAL_S:
                    self._mark(k)
                    marked = time.monotonic()
        except KeyboardInterrupt:
            return False
        self._report(k, last=True)
        return True

    def _keep(self, tick: Tick) -> None:
        self.writer.append(tick)
        if self.on_tick is not None:
            self.on_tick(tick)

    def _mark(self, k: int) -> None:
        """Keep what is needed to go on from here."""
        memory = self.runtime.snapshot()
        if memory is not None:
            self.writer.mark(k, memory)

    def _report(self, k: int, *, last: bool = False) -> None:
        now = time.perf_counter()
        if self.on_progress is None or (now - self._reported < PROGRESS_INTERVAL_S and not last):
            return
        self._reported = now
        self.on_progress(Progress(k, k if last else self.n_steps, float(self.runtime.believed_remaining.mean())))


def team_setup(scenario: Scenario, field: Field, samples: SampleSet, kinds: Sequence[Kind]) -> TeamSetup:
    """Team of a scenario, ready to start."""
    kind = np.repeat(np.arange(len(kinds), dtype=np.int32), [k.n_agents for k in kinds])
    starts = start_positions(scenario, field, len(kind))
    motion = motion_of(scenario.density.motion)
    moves = None if motion is None else Moves(motion, scenario.mission.time_step_s)
    return TeamSetup(
        points=samples.points,
        weights=samples.weights,
        models=[k.model for k in kinds],
        gains=[k.gains for k in kinds],
        kind=kind,
        n_steps=np.array([kinds[int(i)].n_steps for i in kind], np.int32),
        alpha=np.array([kinds[int(i)].alpha for i in kind]),
        initial_states=[initial_state(kinds[int(i)].model, start) for i, start in zip(kind, starts, strict=True)],
        comm_range=scenario.radio.comm_range_m,
        rule=scenario.ledger.rule,
        order=scenario.mission.order,
        controller=team_law(scenario, field, samples, kinds, starts, moves),
        moves=moves,
    )


def record_header(scenario: Scenario, field: Field, samples: SampleSet, setup: TeamSetup) -> RecordHeader:
    """What stands above the record of a scenario."""
    agents = []
    for kind, n_steps, alpha in zip(setup.kind, setup.n_steps, setup.alpha, strict=True):
        model = setup.models[kind]
        agents.append(AgentHeader(model.name, model.state_names, model.input_names, int(n_steps), float(alpha)))
    return RecordHeader(
        name=scenario.name,
        seed=scenario.seed,
        n_steps=int(setup.n_steps.max()),
        time_step_s=scenario.mission.time_step_s,
        n_samples=len(samples.weights),
        agents=tuple(agents),
        boundary_m=_corners(field.boundary),
        no_fly_zones_m=tuple(_corners(zone.boundary) for zone in field.no_fly_zones),
        sampling=samples.report(),
        no_spray_zones_m=tuple(_corners(zone.boundary) for zone in field.no_spray_zones),
        georeference=None if field.frame is None else field.frame.as_mapping(),
        motion=None if setup.moves is None else setup.moves.motion.as_mapping(),
    )


def _corners(ring: NDArray[Any]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in ring)


def start_tick(runtime: Runtime) -> Tick:
    """A team before its first step."""
    team = runtime.team
    none = np.empty(0, np.int32)
    state = runtime.world.true_state(team.state)
    return Tick(
        tick=0,
        position=positions(state, team.kind, runtime.motion),
        state=_states(runtime, state),
        input=np.full_like(team.input, np.nan),
        goal=np.full_like(team.goal, np.nan),
        consumed=np.zeros_like(team.consumed),
        believed_remaining=runtime.believed_remaining,
        active=np.zeros_like(team.active),
        consumption=(none, none, np.empty(0)),
        messages=(none, none, none, none),
        telemetry=_telemetry(runtime),
    )


def tick_after(runtime: Runtime, k: int) -> Tick:
    """A team after step k."""
    team, mail = runtime.team, runtime.mail
    n = int(mail.n[0])
    state = runtime.world.true_state(team.state)
    return Tick(
        tick=k + 1,
        position=positions(state, team.kind, runtime.motion),
        state=_states(runtime, state),
        input=_inputs(runtime),
        goal=team.goal.copy(),
        consumed=team.consumed.copy(),
        believed_remaining=runtime.believed_remaining,
        active=team.active.copy(),
        consumption=runtime.consumption(k),
        messages=(
            mail.sender[:n].copy(), mail.receiver[:n].copy(), mail.entries[:n].copy(), mail.bytes[:n].copy(),
        ),
        events=runtime.events,
        telemetry=_telemetry(runtime),
    )  # fmt: skip


def _telemetry(runtime: Runtime) -> Mapping[str, Floats]:
    """What the world keeps besides, and what a spraying mission keeps."""
    own: Mapping[str, Floats] = runtime.telemetry() if isinstance(runtime, FarmRuntime | TransitRuntime) else {}
    return {**runtime.world.telemetry(), **own}


def _states(runtime: Runtime, state: NDArray[Any]) -> NDArray[Any]:
    """States, NaN where a model has fewer than the largest."""
    columns = np.arange(state.shape[1])
    n_states = runtime.motion.n_states[runtime.team.kind]
    return np.where(columns < n_states[:, None], state, np.nan)


def _inputs(runtime: Runtime) -> NDArray[Any]:
    columns = np.arange(runtime.team.input.shape[1])
    n_inputs = runtime.motion.n_inputs[runtime.team.kind]
    return np.where(columns < n_inputs[:, None], runtime.team.input, np.nan)
