"""A record of a flight that no law of this program flew: where a team was goes in, the record of a mission comes out.

The scenario says what there was to treat, and with what. What was treated follows from the way flown: by the ledger of
the laws where nothing is sprayed, otherwise by the liquid that came down, through the same footprint as in the
simulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Flags, Floats, Ints
from d2oc.bus.perfect import PerfectBus
from d2oc.control.controller import Crew
from d2oc.control.d2oc import deliver, has_room, settle
from d2oc.control.weight_sharing import empty_mail
from d2oc.mission import Prepared, prepare, prepare_farm, tick_after
from d2oc.phases import Phase
from d2oc.record import Record, RecordWriter, Tick, remove_record
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup, positions
from d2oc.scenario.data_files import portable
from d2oc.scenario.schema import Scenario
from d2oc.spray.build import FarmMission, gear_of
from d2oc.spray.deposit import touched_space
from d2oc.spray.nozzles import Way, new_consumed, spray_given
from d2oc.spray.plan import no_plan
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.ideal import IdealWorld

NO_TIMES = {"wall_time_s": 0.0, "compute_time_s": 0.0, "agent_steps": 1.0, "memory_bytes": 0.0}
"""Nothing was computed while it flew."""


@dataclass(frozen=True, eq=False)
class Track:
    """Where a team was at every tick, and what it did in the step that ends there; K steps, L agents."""

    position: Floats
    """Local ENU, shape (K + 1, L, 2). [m]"""
    velocity: Floats
    """Over ground, shape (K + 1, L, 2). [m/s]"""
    phase: Ints
    """See `d2oc.phases.Phase`, shape (K + 1, L)."""
    treats: Flags
    """Whether something was treated in the step that ends at the tick, shape (K + 1, L)."""
    pump: Floats
    """Mean share of its largest flow that the pump gave in that step, 0 to 1, shape (K + 1, L)."""
    telemetry: Mapping[str, Floats]
    """Other columns of the trajectory by name, each of shape (K + 1, L)."""

    @property
    def n_steps(self) -> int:
        """K."""
        return len(self.position) - 1


def prepare_as_flown(scenario: Scenario) -> tuple[Prepared, FarmMission | None]:
    """What a scenario had to treat and its team; nothing is planned."""
    if scenario.spray is None:
        return prepare(scenario), None
    unplanned = scenario.model_copy(update={"spray": scenario.spray.model_copy(update={"method": "d2oc"})})
    return prepare_farm(unplanned, no_plan(scenario.team.size), flown=True)


def record_as_flown(
    scenario: Scenario,
    prepared: tuple[Prepared, FarmMission | None],
    track: Track,
    out: Path | None,
    *,
    overwrite: bool = False,
    known: Mapping[str, Any] | None = None,
) -> Record:
    """The record of a flight.

    Parameters
    ----------
    scenario : Scenario
        What there was to treat.
    prepared : tuple
        What `prepare_as_flown` made of it.
    track : Track
        Where its team was.
    out : Path or None
        Run folder; None keeps the record in memory.
    overwrite : bool
        Replace a record that stands there.
    known : mapping, optional
        What its provenance is to say besides.

    Returns
    -------
    record : Record
    """
    before, farm = prepared
    text, data = portable(scenario)
    if out is not None and overwrite:
        remove_record(out, keep=data)
    samples = before.samples
    writer = RecordWriter(out, before.header, text, samples.points, samples.weights, runtime="log", data=data)
    writer.know(**known or {})
    states = _states(before.setup, track, scenario.mission.time_step_s)
    ticks = _by_ledger(before.setup, track, states) if farm is None else _by_liquid(scenario, farm, track, states)
    for tick in ticks:
        writer.append(tick)
    return writer.finish("complete", NO_TIMES, None if farm is None else farm.cells())


def _states(setup: TeamSetup, track: Track, time_step: float) -> Floats:
    """States of the models, as far as places and velocities tell them, NaN elsewhere; shape (K + 1, L, n)."""
    acceleration = np.gradient(track.velocity, time_step, axis=0) if track.n_steps else np.zeros_like(track.velocity)
    told = {
        f"{name}{axis}{unit}": values[:, :, i]
        for name, unit, values in (
            ("", "_m", track.position), ("v", "_m_s", track.velocity), ("a", "_m_s2", acceleration),
        )
        for i, axis in enumerate("xy")
    }  # fmt: skip
    states = np.full((*track.phase.shape, max(model.n_states for model in setup.models)), np.nan)
    for r, kind in enumerate(setup.kind):
        for i, name in enumerate(setup.models[kind].state_names):
            if name in told:
                states[:, r, i] = told[name][:, r]
    return states


def _start(track: Track, states: Floats, setup: TeamSetup) -> Tick:
    none = np.empty(0, np.int32)
    n_agents, n_inputs = track.phase.shape[1], setup.models[0].n_inputs
    return Tick(
        tick=0,
        position=track.position[0],
        state=states[0],
        input=np.full((n_agents, n_inputs), np.nan),
        goal=np.full((n_agents, 2), np.nan),
        consumed=np.zeros(n_agents),
        believed_remaining=np.ones(n_agents),
        active=np.zeros(n_agents, np.bool_),
        consumption=(none, none, np.empty(0)),
        messages=(none, none, none, none),
        telemetry=_telemetry(track, 0),
    )


def _telemetry(track: Track, tick: int) -> dict[str, Floats]:
    own = {"phase": track.phase[tick].astype(np.float64), "pump": track.pump[tick]}
    return {**own, **{name: values[tick] for name, values in track.telemetry.items()}}


# Where nothing is sprayed


class _AsFlown:
    """A law that decides nothing: who treats is known, and consumes what is nearest that nobody has consumed yet."""

    flies_to_the_end = True
    memory_bytes = 0

    def __init__(self, track: Track) -> None:
        self._track = track

    def decide(self, k: int, crew: Crew) -> None:
        """Who treats."""
        team = crew.team
        team.active[:] = self._track.treats[k + 1]
        team.input[:] = np.nan
        team.goal[:] = np.nan
        team.consumed[:] = 0.0

    def account(self, k: int, first: int, crew: Crew) -> int:
        """Stage B of one after the other, each of whom knows at once what the one before has consumed."""
        team = crew.team
        for r in range(first, len(team.kind)):
            if not has_room(crew.logs, crew.tree):
                return r
            if team.active[r]:
                settle(r, k, crew.quantum, team, crew.tree, crew.belief, crew.logs, crew.space)
                self._tell(r, crew)
        return len(team.kind)

    def _tell(self, r: int, crew: Crew) -> None:
        others = np.flatnonzero(np.arange(len(crew.team.kind)) != r).astype(np.int32)
        known, mail = crew.belief.version.copy(), empty_mail(len(others))
        sender = np.full(len(others), r, np.int32)
        deliver(sender, others, known, crew.quantum, crew.tree, crew.belief, crew.logs, mail)

    def hear(self, k: int, sender: Ints, receiver: Ints, before: Floats, crew: Crew) -> None:
        """Nobody has to be heard."""

    def briefs(self, tree: Any, weight: Floats, team: Any) -> None:
        """None: it flies nobody."""

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """Where it was."""
        return self._track.position[k + 1 : k + 1 + horizon, r]


class _Carried(IdealWorld):
    """A world that puts everybody where it was."""

    def __init__(self, setup: TeamSetup, track: Track) -> None:
        self._of_positions = motion_arrays(setup.models)
        super().__init__(self._of_positions, setup.kind)
        self._kind_of = setup.kind
        self._track = track

    def advance(self, k: int, state: Floats, command: Floats, active: Flags) -> None:
        """Everybody to the place of the next tick."""
        self.put(k + 1, state)

    def put(self, tick: int, state: Floats) -> None:
        """Everybody to the place of a tick."""
        np.put_along_axis(state, self._of_positions.position_states[self._kind_of], self._track.position[tick], axis=1)


def _by_ledger(setup: TeamSetup, track: Track, states: Floats) -> Iterator[Tick]:
    """Mass that the ledger of the laws counts, where everybody knows of everybody."""
    own = replace(
        setup,
        n_steps=np.full(len(setup.kind), track.n_steps, np.int32),
        order="parallel",
        rule="sum",
        controller=_AsFlown(track),
    )
    world = _Carried(setup, track)
    runtime = ArraysRuntime(own, PerfectBus(0.0), world)
    world.put(0, runtime.team.state)
    runtime.team.position[:] = positions(runtime.team.state, runtime.team.kind, runtime.motion)
    yield _start(track, states, setup)
    none = np.empty(0, np.int32)
    for k in range(track.n_steps):
        runtime.step(k)
        yield replace(
            tick_after(runtime, k), position=track.position[k + 1], state=states[k + 1],
            messages=(none, none, none, none), telemetry=_telemetry(track, k + 1),
        )  # fmt: skip


# Where liquid is sprayed


class _Nozzles:
    """Lays the liquid of a team on the ground of a mission."""

    def __init__(self, scenario: Scenario, farm: FarmMission, fastest: float) -> None:
        assert scenario.spray is not None
        task = farm.runtime.task
        self._farm, self._task = farm, task
        self._gear = gear_of(scenario.spray)
        self._dt = scenario.mission.time_step_s
        self._space = touched_space(task.footprint, task.map.grid, 2.0 * task.map.grid.cell + self._dt * fastest)
        self._consumed = new_consumed(len(farm.setup.weights))
        self._flow = np.zeros(len(farm.setup.kind))

    def spray(self, r: int, start: Floats, end: Floats, share: float) -> tuple[float, Ints, Floats]:
        """Litres out of the nozzles on a straight way in one step; samples served, and shares of all that is owed."""
        velocity = (end - start) / self._dt
        x, y = (start + self._task.shift).tolist()
        way = Way(x, y, float(velocity[0]), float(velocity[1]), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        litres, self._flow[r] = spray_given(
            self._dt, way, share * self._gear.largest, self._task.map.grid, self._task.footprint, self._gear,
            self._farm.runtime.ground, self._flow[r], self._space, self._consumed,
        )  # fmt: skip
        n = int(self._consumed.n[0])
        sample = np.sort(self._consumed.sample[:n])
        amount = self._consumed.amount[sample] / float(self._task.map.owed)
        self._consumed.amount[sample] = 0.0
        self._consumed.n[0] = 0
        return litres, sample, amount

    def stand(self, who: Flags) -> None:
        """Pumps that stand; nozzles are shut at once."""
        self._flow[who] = 0.0


def _by_liquid(scenario: Scenario, farm: FarmMission, track: Track, states: Floats) -> Iterator[Tick]:
    """Liquid that came down, from places, pumps and the footprint of the nozzles."""
    dt, n_agents = scenario.mission.time_step_s, track.phase.shape[1]
    fastest = float(np.linalg.norm(np.diff(track.position, axis=0), axis=2).max(initial=0.0)) / dt
    nozzles = _Nozzles(scenario, farm, fastest)
    sorties = _take_offs(track.phase)
    first = _start(track, states, farm.setup)
    yield replace(first, telemetry={**first.telemetry, "spray_l_min": np.zeros(n_agents), "sorties": sorties[0]})
    remaining = 1.0
    none = np.empty(0, np.int32)
    for k in range(track.n_steps):
        served: list[tuple[int, Ints, Floats]] = []
        litres = np.zeros(n_agents)
        for r in np.flatnonzero(track.pump[k + 1] > 0.0).tolist():
            litres[r], sample, amount = nozzles.spray(
                r, track.position[k, r], track.position[k + 1, r], float(track.pump[k + 1, r])
            )
            served.append((r, sample, amount))
        nozzles.stand(track.pump[k + 1] <= 0.0)
        consumed = np.zeros(n_agents)
        for r, _, amount in served:
            consumed[r] = amount.sum()
        remaining = max(0.0, remaining - float(consumed.sum()))
        yield replace(
            first,
            tick=k + 1,
            position=track.position[k + 1],
            state=states[k + 1],
            consumed=consumed,
            believed_remaining=np.full(n_agents, remaining),
            active=track.phase[k + 1] == Phase.MISSION,
            consumption=_entries(served),
            messages=(none, none, none, none),
            telemetry={
                **_telemetry(track, k + 1), "spray_l_min": 60.0 * litres / dt, "sorties": sorties[k + 1],
            },
        )  # fmt: skip


def _entries(served: list[tuple[int, Ints, Floats]]) -> tuple[Ints, Ints, Floats]:
    """Agent, sample and amount of everything served in a step."""
    agent = np.concatenate([np.full(len(sample), r, np.int32) for r, sample, _ in served] or [np.empty(0, np.int32)])
    sample = np.concatenate([sample for _, sample, _ in served] or [np.empty(0, np.int32)])
    return agent, sample, np.concatenate([amount for *_, amount in served] or [np.empty(0)])


def _take_offs(phase: NDArray[Any]) -> Floats:
    """Take-offs of each so far, shape (K + 1, L)."""
    down = np.isin(phase, (Phase.GROUND, Phase.SERVICE))
    rises = np.zeros(phase.shape)
    rises[1:] = down[:-1] & ~down[1:]
    return np.cumsum(rises, axis=0)
