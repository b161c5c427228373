"""A mission in many processes: each flies one agent and writes its part of the record, and the parts are joined.

The processes share nothing but the scenario and a bus; see `d2oc.runtime.network` for how they keep in step. With the
whole team heard, the joined record is the one that the runtimes `inline` and `ray` write, to the last bit.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from d2oc.bus.from_scenario import radio_model
from d2oc.bus.radio import Radio
from d2oc.columns import Columns
from d2oc.errors import BusError, RecordError, RuntimeUnavailableError
from d2oc.ledger import quantum_of
from d2oc.mission import Progress, prepare, simulate, start_tick, tick_after
from d2oc.record import (
    Record,
    RecordHeader,
    RecordWriter,
    Status,
    data_taken,
    load_record,
    remove_record,
    write_record,
)
from d2oc.runtime.agents import AgentsRuntime, LocalHost, agent_setups, ground_of_team
from d2oc.runtime.arrays import NEGLIGIBLE_WEIGHT, TeamSetup
from d2oc.runtime.choice import require_fit
from d2oc.runtime.network import MessageBus, NetworkRadio, Patience
from d2oc.scenario import scenario_toml
from d2oc.scenario.data_files import portable
from d2oc.scenario.schema import Scenario

WARM_UP_STEPS = 2
"""A flight so short compiles all that a flight needs, before anybody waits for this agent."""


@dataclass(frozen=True)
class PartFlown:
    """What one process did."""

    agent: int
    record: Record
    """Its part: rows of this agent only."""
    missed: int
    """Messages that it stopped waiting for."""
    dropped: Mapping[str, int]
    """Messages that it dropped, by reason."""


def mission_id(scenario: Scenario) -> str:
    """Name of a mission on the network: agents hear each other only if they fly the very same scenario."""
    return hashlib.sha256(scenario_toml(scenario).encode()).hexdigest()[:16]


def fly_agent(
    scenario: Scenario,
    number: int,
    join_team: Callable[[str, int], MessageBus],
    out: Path,
    *,
    overwrite: bool = False,
    patience: Patience | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> PartFlown:
    """Fly one agent of a mission in this process, in step with the others on the bus.

    Parameters
    ----------
    scenario : Scenario
        The mission; the same for all its agents, and in the ideal world.
    number : int
        Which agent.
    join_team : callable
        Links the agent to the others, given `mission_id` and the size of the team; called when it is ready to fly.
    out : Path
        Folder of this part.
    overwrite : bool
        Replace a part that stands there.
    patience : Patience, optional
        How long it waits for others.
    on_progress : callable, optional
        Called after every step.

    Returns
    -------
    part : PartFlown

    Raises
    ------
    D2ocError
        If the scenario cannot be flown so, or the team does not come together.
    """
    setup, header = _prepared(scenario)
    n_agents = len(setup.kind)
    if not 0 <= number < n_agents:
        raise BusError(f"{scenario.name}: there is no agent {number}, the team has agents 0 to {n_agents - 1}")
    _warm_up(scenario)
    text, data = portable(scenario)
    if overwrite:
        remove_record(out, keep=data)
    writer = RecordWriter(
        out,
        replace(header, agents=(header.agents[number],)),
        text,
        setup.points,
        setup.weights,
        runtime="network",
        part=(number, n_agents),
        data=data,
    )
    try:
        bus = join_team(mission_id(scenario), n_agents)
        radio = _gathered(bus, scenario, number, setup, patience)
    except BaseException:  # nothing was flown, so nothing is left behind
        remove_record(out)
        raise
    began = time.perf_counter()
    try:
        runtime = _runtime_of_one(scenario, setup, number, radio)
        complete = _fly(runtime, writer, header.n_steps, on_progress)
        if complete:
            radio.farewell()
    finally:
        bus.close()
    timing = {
        "wall_time_s": time.perf_counter() - began,
        "agent_steps": float(header.agents[number].n_steps),
        "memory_bytes": float(runtime.memory_bytes),
    }
    record = writer.finish("complete" if complete else "interrupted", timing)
    return PartFlown(number, record, radio.missed, radio.dropped)


def _gathered(
    bus: MessageBus, scenario: Scenario, number: int, setup: TeamSetup, patience: Patience | None
) -> NetworkRadio:
    """The radio of an agent whose whole team is there."""
    simulated = Radio(radio_model(scenario), len(setup.kind), scenario.seed)
    radio = NetworkRadio(bus, simulated, number, setup.n_steps.tolist(), patience)
    try:
        radio.gather()
    except BaseException:
        bus.close()
        raise
    return radio


def _prepared(scenario: Scenario) -> tuple[TeamSetup, RecordHeader]:
    require_fit(scenario)
    if scenario.world.kind != "ideal":
        raise RuntimeUnavailableError(
            f'{scenario.name}: world.kind = "{scenario.world.kind}" has one world for all, '
            'but agents in processes of their own each move their own vehicle; it must be "ideal"'
        )
    if scenario.spray is not None:
        raise RuntimeUnavailableError(
            f"{scenario.name}: a spraying mission ([spray]) is planned for the whole team; "
            "agents in processes of their own do not fly it yet"
        )
    if scenario.transit is not None:
        raise RuntimeUnavailableError(
            f"{scenario.name}: [transit] lets the team take off and land as one, "
            "which agents in processes of their own do not do; leave it away"
        )
    prepared = prepare(scenario)
    return prepared.setup, prepared.header


def _warm_up(scenario: Scenario) -> None:
    short = WARM_UP_STEPS * scenario.mission.time_step_s
    groups = tuple(group.model_copy(update={"duration_s": None}) for group in scenario.team.groups)
    changes = {
        "mission": scenario.mission.model_copy(update={"duration_s": short}),
        "team": scenario.team.model_copy(update={"groups": groups}),
    }
    simulate(scenario.model_copy(update=changes), runtime="inline")


def _runtime_of_one(scenario: Scenario, setup: TeamSetup, number: int, radio: NetworkRadio) -> AgentsRuntime:
    """One agent that knows of the team what all know before take-off."""
    ground = ground_of_team(setup)
    model = radio_model(scenario)
    agents = agent_setups(setup, ground, model.time_step, model.message_limit, give_way=scenario.mission.give_way)
    one = replace(
        setup,
        kind=setup.kind[[number]],
        n_steps=setup.n_steps[[number]],
        alpha=setup.alpha[[number]],
        initial_states=[setup.initial_states[number]],
    )
    return AgentsRuntime(one, LocalHost([agents[number]], ground), radio, ground.quantum)


def _fly(
    runtime: AgentsRuntime, writer: RecordWriter, n_steps: int, on_progress: Callable[[Progress], None] | None
) -> bool:
    """Fly to the end, for the others may still need what this agent knows; False when Ctrl-C stopped it."""
    try:
        writer.append(start_tick(runtime))
        for k in range(n_steps):
            runtime.step(k)
            writer.append(tick_after(runtime, k))
            if on_progress is not None:
                on_progress(Progress(k + 1, n_steps, float(runtime.believed_remaining[0])))
    except KeyboardInterrupt:
        return False
    return True


def join_parts(folders: Sequence[Path], out: Path, *, overwrite: bool = False) -> Record:
    """One record from the parts that the processes of a mission wrote.

    A process that ended early leaves its agent where it was, inactive, as one that fell out.

    Parameters
    ----------
    folders : sequence of Path
        A part of every agent.
    out : Path
        Run folder to write.
    overwrite : bool
        Replace a record that stands there.

    Returns
    -------
    record : Record

    Raises
    ------
    RecordError
        If a part is missing or of another mission.
    """
    parts = _sorted_parts(folders)
    first = parts[0]
    header = replace(first.header, agents=tuple(part.header.agents[0] for part in parts))
    last = max(part.n_ticks for part in parts) - 1
    trajectories = [_padded(part.trajectory, r, last) for r, part in enumerate(parts)]
    end = _last_tick(trajectories, [part.n_ticks > last for part in parts], first, header.n_agents)
    tables = {
        "trajectory": _joined(trajectories, end),
        "consumption": _joined([part.consumption for part in parts], end),
        "events": _joined([part.events for part in parts], end),
        "messages": _by_tick(_joined([part.messages for part in parts], end)),
    }
    if overwrite:
        remove_record(out)
    status: Status = "complete" if any(part.complete for part in parts) else "interrupted"
    provenance = {name: value for name, value in first.provenance.items() if name != "part"} | {
        "timing": _timing(parts)
    }
    whole = Record(header, status, first.scenario_toml, tables | {"samples": first.samples}, provenance)
    return write_record(out, whole, [] if first.path is None else data_taken(first.path))


def _sorted_parts(folders: Sequence[Path]) -> list[Record]:
    """Parts in the order of their agents."""
    by_agent: dict[int, Record] = {}
    for folder in folders:
        part = load_record(folder)
        try:
            agent, n_agents = part.provenance["part"]
        except (KeyError, TypeError, ValueError):
            raise RecordError(f"{folder}: is no part of a mission; `d2oc agent` writes such folders") from None
        if agent in by_agent:
            raise RecordError(f"{folder}: is of agent {agent}, and so is {by_agent[agent].path}")
        by_agent[agent] = part
    if not by_agent:
        raise RecordError("there are no parts to join")
    parts = [by_agent[agent] for agent in sorted(by_agent)]
    for part in parts:
        if part.scenario_toml != parts[0].scenario_toml:
            raise RecordError(f"{part.path}: flew another scenario or seed than {parts[0].path}")
    missing = sorted(set(range(n_agents)) - by_agent.keys())
    if missing:
        raise RecordError(f"the part of agent {missing[0]} is missing: the team has agents 0 to {n_agents - 1}")
    return parts


def _timing(parts: Sequence[Record]) -> dict[str, float]:
    """Times of the whole mission, of those that wrote theirs down."""
    told = [part.provenance["timing"] for part in parts if "timing" in part.provenance]
    timing = {"wall_time_s": max((times["wall_time_s"] for times in told), default=0.0)}
    return timing | {name: sum(times[name] for times in told) for name in ("agent_steps", "memory_bytes")}


def _padded(part: Columns, agent: int, last: int) -> Columns:
    """Rows of one agent up to the last tick of the team; where its own end, it stays where it is and does nothing."""
    have = len(part["tick"])
    row = np.minimum(np.arange(last + 1), have - 1)
    columns = {name: values[row] for name, values in part.items()}
    columns["agent"] = np.full(last + 1, agent, np.int32)
    columns["tick"] = np.arange(last + 1, dtype=np.int32)
    if have <= last:
        step = part["time_s"][1] if have > 1 else 0.0
        columns["time_s"] = columns["tick"] * step
        for name in columns:
            if name in ("consumed", "active") or name.startswith("input_"):
                columns[name][have:] = 0
            elif name.startswith("goal_"):
                columns[name][have:] = np.nan
    return columns


def _last_tick(trajectories: Sequence[Columns], whole: Sequence[bool], part: Record, n_agents: int) -> int:
    """The tick at which the mission is over: when nobody who is there has anything left to treat."""
    quantum = quantum_of(part.samples["weight"], n_agents)
    negligible = int(NEGLIGIBLE_WEIGHT / quantum) * quantum
    believed = [columns["believed_remaining"] for columns, there in zip(trajectories, whole, strict=True) if there]
    over = np.flatnonzero(np.max(believed, axis=0) <= negligible)
    return int(over[0]) if len(over) else len(believed[0]) - 1


def _joined(tables: Sequence[Columns], end: int) -> Columns:
    """Rows up to a tick, agent by agent."""
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    kept = joined["tick"] <= end
    return {name: values[kept] for name, values in joined.items()}


def _by_tick(messages: Columns) -> Columns:
    order = np.argsort(messages["tick"], kind="stable")
    return {name: values[order] for name, values in messages.items()}
