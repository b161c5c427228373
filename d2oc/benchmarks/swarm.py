"""`d2oc bench swarm`: what it costs that agents stand in processes of their own and talk to each other in bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from d2oc.agent import AgentSetup, Ground
from d2oc.arrays import Floats
from d2oc.bus.perfect import PerfectBus
from d2oc.bus.radio import Radio, RadioModel
from d2oc.control.law import first_gains, tracking_problem
from d2oc.runtime.agents import AgentsRuntime, Host, LocalHost, agent_setups, ground_of_team
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.runtime.ray_actors import RayHost, connect
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import double_integrator

N_STEPS = 600
TIME_STEP_S = 0.5
HORIZON = 15
COMM_RANGE_M = 25.0
AREA_PER_AGENT_M2 = 1667.0
SAMPLES_PER_AGENT = 250
MESSAGE_LIMIT_BYTES = 1400
QUICK_CASES = ((4, 1), (4, 2))
"""Agents, and how many of them share an actor."""
CASES = ((4, 1), (16, 1), (16, 8), (64, 1), (64, 32), (256, 128), (1000, 500), (128, 1))
"""Those whose actors do not fit into memory are left out; the last one takes 14 GB."""
ACTOR_BYTES = 110 << 20
"""Of an actor with one agent, beside what it shares."""
TICKS = 40
TICKS_OF_LARGE_TEAM = 10
LARGE_TEAM = 1000
IDLE_S = 2.0
"""For so long actors are watched doing nothing. [s]"""


@dataclass(frozen=True)
class SwarmRow:
    """One measured team."""

    n_agents: int
    n_samples: int
    n_actors: int
    """0: all agents in this process."""
    ready_s: float
    """From asking for the actors until every agent has answered once; without starting Ray itself. [s]"""
    tick_ms: float
    """A step of the whole team, median. [ms]"""
    inline_tick_ms: float
    """The same agents in this process, one after the other, median. [ms]"""
    arrays_tick_ms: float
    """The runtime `arrays`: shared arrays, no messages, median. [ms]"""
    ratio_to_inline: float
    """tick_ms / inline_tick_ms"""
    overhead_ms: float
    """What a step takes beyond its work divided evenly among the processors, tick_ms - inline_tick_ms / p. [ms]"""
    actor_mib: float
    """Memory of an actor that it shares with nobody, mean. [MiB]"""
    idle_percent: float
    """Processor time of an actor with nothing to do, share of one processor, mean. [%]"""
    bytes_per_message: float

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def measure(*, quick: bool = False, on_row: Callable[[SwarmRow], None] | None = None) -> tuple[float, list[SwarmRow]]:
    """Measure everything `d2oc bench swarm` reports.

    Parameters
    ----------
    quick : bool
        Only 4 agents.
    on_row : callable, optional
        Called with each row as soon as it is there.

    Returns
    -------
    start_s : float
        Time until an empty local Ray was there. [s]
    rows : list of SwarmRow
    """
    free = free_memory()
    cases = [case for case in (QUICK_CASES if quick else CASES) if -(-case[0] // case[1]) * ACTOR_BYTES < free]
    began = time.perf_counter()
    connection = connect(n_actors=max(-(-n // k) for n, k in cases))
    start_s = time.perf_counter() - began
    try:
        rows = []
        for row in _rows(cases):
            rows.append(row)
            if on_row is not None:
                on_row(row)
    finally:
        connection.close()
    return start_s, rows


def _rows(cases: Sequence[tuple[int, int]]) -> Iterator[SwarmRow]:
    _fly(_on_arrays(team_setup(2)), 2)  # compile
    for n_agents, per_actor in cases:
        setup = team_setup(n_agents)
        ground = ground_of_team(setup)
        setups = agent_setups(setup, ground, TIME_STEP_S, MESSAGE_LIMIT_BYTES, give_way=True)
        arrays_ms = _fly(_on_arrays(setup), ticks_of(n_agents))
        inline_ms, _ = _flown(setup, ground, LocalHost(setups, ground))
        yield _row(setup, ground, setups, per_actor, inline_ms, arrays_ms)


def _row(
    setup: TeamSetup, ground: Ground, setups: list[AgentSetup], per_actor: int, inline_ms: float, arrays_ms: float
) -> SwarmRow:
    began = time.perf_counter()
    host = RayHost(setups, ground, per_actor)
    try:
        pids = host.pids
        ready = time.perf_counter() - began
        tick_ms, radio = _flown(setup, ground, host)
        memory = np.mean([own_memory(pid) for pid in pids]) / 2**20
        idle = np.mean(_idle_shares(pids))
    finally:
        host.close()
    return SwarmRow(
        n_agents=len(setups),
        n_samples=len(setup.weights),
        n_actors=len(pids),
        ready_s=round(ready, 2),
        tick_ms=round(tick_ms, 2),
        inline_tick_ms=round(inline_ms, 2),
        arrays_tick_ms=round(arrays_ms, 3),
        ratio_to_inline=round(tick_ms / inline_ms, 3),
        overhead_ms=round(tick_ms - inline_ms / min(len(pids), os.cpu_count() or 1), 2),
        actor_mib=round(float(memory), 1),
        idle_percent=round(100.0 * float(idle), 2),
        bytes_per_message=round(radio.bytes_on_air / max(1, radio.n_sent), 1),
    )


def team_setup(n_agents: int) -> TeamSetup:
    """Double integrators on a square that grows with the team."""
    side = np.sqrt(AREA_PER_AGENT_M2 * n_agents)
    n_samples = SAMPLES_PER_AGENT * n_agents
    rng = np.random.default_rng(3)
    alpha = 1.0 / (n_agents * N_STEPS)
    model = double_integrator(TIME_STEP_S)
    control = ControlTable(terminal_cost="dare", input_weight=alpha, state_weight=(0.0, 0.0))
    start = np.zeros((n_agents, 4))
    start[:, [0, 2]] = rng.uniform(0, side, (n_agents, 2))
    return TeamSetup(
        points=rng.uniform(0, side, (n_samples, 2)),
        weights=np.full(n_samples, 1.0 / n_samples),
        models=[model],
        gains=[first_gains(tracking_problem(model, control, alpha), HORIZON, N_STEPS)],
        kind=np.zeros(n_agents, np.int32),
        n_steps=np.full(n_agents, N_STEPS, np.int32),
        alpha=np.full(n_agents, alpha),
        initial_states=list(start),
        comm_range=COMM_RANGE_M,
    )


def _on_arrays(setup: TeamSetup) -> ArraysRuntime:
    return ArraysRuntime(setup, PerfectBus(COMM_RANGE_M))


def _flown(setup: TeamSetup, ground: Ground, host: Host) -> tuple[float, Radio]:
    radio = Radio(RadioModel(COMM_RANGE_M, TIME_STEP_S), len(setup.kind), 1)
    return _fly(AgentsRuntime(setup, host, radio, ground.quantum), ticks_of(len(setup.kind))), radio


def ticks_of(n_agents: int) -> int:
    """Steps flown: a large team has enough work in few."""
    return TICKS if n_agents < LARGE_TEAM else TICKS_OF_LARGE_TEAM


def _fly(runtime: AgentsRuntime | ArraysRuntime, n_steps: int) -> float:
    times: Floats = np.empty(n_steps)
    for k in range(n_steps):
        began = time.perf_counter()
        runtime.step(k)
        times[k] = time.perf_counter() - began
    return float(np.median(times)) * 1e3


def _idle_shares(pids: Sequence[int]) -> list[float]:
    """Processor time over time of each process while nobody asks anything of them; 0 where the system does not tell."""
    before = [processor_time(pid) for pid in pids]
    time.sleep(IDLE_S)
    return [(processor_time(pid) - used) / IDLE_S for pid, used in zip(pids, before, strict=True)]


def processor_time(pid: int) -> float:
    """Of a process since it began; 0 where the system does not tell. [s]"""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def free_memory() -> float:
    """Memory that new processes can have; infinite where the system does not tell. [byte]"""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return np.inf
    return next((int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable:")), np.inf)


def own_memory(pid: int) -> int:
    """Memory that a process shares with nobody; 0 where the system does not tell. [byte]"""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
