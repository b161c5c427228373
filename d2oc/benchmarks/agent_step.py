"""`d2oc bench core`: what one agent-step costs, beside the same work done the published way."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from d2oc.arrays import Floats
from d2oc.benchmarks.published_way import PublishedTeam
from d2oc.bus.perfect import PerfectBus
from d2oc.compiled import compiled
from d2oc.control.closed_form import (
    Blocks,
    Recursion,
    TrackingProblem,
    blocks_of,
    recursion,
    solve_closed_form,
)
from d2oc.control.law import first_gains, tracking_problem
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import double_integrator, quadrotor

HORIZON = 15
N_STEPS = 150
N_AGENTS = 6
COMM_RANGE_M = 25.0
MAP_M = 100.0
RUNS = 5


@dataclass(frozen=True)
class Row:
    """One measured line."""

    name: str
    """What was measured."""
    n_samples: int | None
    n_agents: int | None
    horizon_steps: int | None
    microseconds_per_agent_step: float
    """Median of the runs; a run is the mean over all agents and steps it flew. [us]"""
    slowest_run_microseconds: float
    """Slowest run. [us]"""
    numpy_microseconds: float | None
    """The same work the published way, mean over a few agent-steps. [us]"""
    ratio_to_numpy: float | None
    """How many times less."""
    memory_mib: float | None = None
    """Beliefs, ledgers and search tree of the whole team. [MiB]"""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def measure(*, quick: bool = False, on_row: Callable[[Row], None] | None = None) -> list[Row]:
    """Measure everything `d2oc bench core` reports.

    Parameters
    ----------
    quick : bool
        One run each, no sizes above 100,000 samples.
    on_row : callable, optional
        Called with each row as soon as it is there.

    Returns
    -------
    rows : list of Row
    """
    rows = []
    for row in _rows(quick):
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return rows


def _rows(quick: bool) -> Iterator[Row]:
    runs = 1 if quick else RUNS
    for n_samples in (1_000, 10_000, 100_000) if quick else (1_000, 10_000, 100_000, 1_000_000):
        yield _official_step(n_samples, runs, quick)
    for horizon in (10, 30, 100):
        yield _time_varying_control(horizon, runs)
    for n_agents in (6, 30) if quick else (6, 60, 200, 1000):
        yield _parallel_step(n_agents, 10_000 if quick else 100_000)


def official_problem(alpha: float) -> TrackingProblem:
    """The published quadrotor and weights."""
    return tracking_problem(quadrotor(0.1, np.array([0.0075])), ControlTable(), alpha)


def _official_step(n_samples: int, runs: int, quick: bool) -> Row:
    """Official mode, L = 6, H = 15, a whole mission of 150 steps a run."""
    _fly(_official_runtime(1_000, 3)[0], 3)  # compile
    times = []
    for _ in range(runs):
        runtime, _, _ = _official_runtime(n_samples, N_STEPS)
        times.append(_fly(runtime, N_STEPS) / (N_STEPS * N_AGENTS))
    _, points, start = _official_runtime(n_samples, N_STEPS)
    steps = max(2, min(60, 600_000 // n_samples)) if not quick else 2
    peer = _published_step(points, start, steps)
    return _row("agent_step", times, peer, n_samples=n_samples, n_agents=N_AGENTS, horizon=HORIZON)


def _official_runtime(n_samples: int, n_steps: int) -> tuple[ArraysRuntime, Floats, Floats]:
    rng = np.random.default_rng(7)
    points = rng.uniform(0, MAP_M, (n_samples, 2))
    start = np.zeros((N_AGENTS, 8))
    start[:, [0, 4]] = np.random.RandomState(1).random_sample((N_AGENTS, 2)) * MAP_M
    alpha = 1.0 / (N_AGENTS * N_STEPS)
    setup = TeamSetup(
        points=points,
        weights=np.full(n_samples, 1.0 / n_samples),
        models=[quadrotor(0.1, np.array([0.0075]))],
        gains=[first_gains(official_problem(alpha), HORIZON, N_STEPS)],
        kind=np.zeros(N_AGENTS, np.int32),
        n_steps=np.full(N_AGENTS, n_steps, np.int32),
        alpha=np.full(N_AGENTS, alpha),
        initial_states=list(start),
        comm_range=COMM_RANGE_M,
        order="sequential",
    )
    return ArraysRuntime(setup, PerfectBus(COMM_RANGE_M)), points, start


def _fly(runtime: ArraysRuntime, n_steps: int) -> float:
    began = time.perf_counter()
    for k in range(n_steps):
        runtime.step(k)
    return (time.perf_counter() - began) * 1e6


def _published_step(points: Floats, start: Floats, n_steps: int) -> float:
    problem = official_problem(1.0 / (N_AGENTS * N_STEPS))
    team = PublishedTeam(points, start, problem, HORIZON, COMM_RANGE_M)
    team.step_agent(0)
    began = time.perf_counter()
    for _ in range(n_steps):
        for r in range(N_AGENTS):
            team.step_agent(r)
    return (time.perf_counter() - began) * 1e6 / (n_steps * N_AGENTS)


def _time_varying_control(horizon: int, runs: int) -> Row:
    """The whole LTV law of the 8-state quadrotor, every matrix and every goal new each step."""
    inertia: Floats = np.linspace(0.0075, 0.004, 1000, dtype=np.float64)
    control = ControlTable(horizon_steps=horizon, scale_input_weight_with_inertia=True)
    problem = tracking_problem(quadrotor(0.1, inertia), control, 1 / 900)
    rng = np.random.default_rng(1)
    goals, state = rng.uniform(-9, 9, (horizon, 2)), rng.normal(size=8)
    blocks, inputs = blocks_of(problem), np.empty((horizon, 2))
    work = recursion(blocks, horizon)
    _solve_repeatedly(blocks, 1, state, goals, work, inputs)  # compile
    repeats = 30_000 // horizon
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        _solve_repeatedly(blocks, repeats, state, goals, work, inputs)
        times.append((time.perf_counter() - began) * 1e6 / repeats)
    began = time.perf_counter()
    for k in range(5):
        _dense_time_varying(problem, k, state, goals)
    peer = (time.perf_counter() - began) * 1e6 / 5
    return _row("ltv_control", times, peer, horizon=horizon)


@compiled
def _solve_repeatedly(
    blocks: Blocks, repeats: int, state: Floats, goals: Floats, work: Recursion, inputs: Floats
) -> None:
    """As the compiled loop calls it: no Python in between."""
    for k in range(repeats):
        solve_closed_form(blocks, k, state, goals, work, inputs)


def _dense_time_varying(problem: TrackingProblem, k: int, state: Floats, goals: Floats) -> Floats:
    """The dense KKT system of the horizon from step k on, built and solved in NumPy."""
    horizon, (n, m) = len(goals), problem.B.shape[1:]
    hessian = np.zeros((horizon * (n + m),) * 2)
    dynamics = np.zeros((horizon * n, horizon * (n + m)))
    right = np.zeros(horizon * (2 * n + m))
    for h in range(horizon):
        x = slice(h * n, (h + 1) * n)
        u = slice(horizon * n + h * m, horizon * n + (h + 1) * m)
        hessian[x, x] = problem.P_end
        hessian[u, u] = problem.R[k + h]
        dynamics[x, x] = -np.eye(n)
        dynamics[x, u] = problem.B[k + h]
        if h > 0:
            dynamics[x, (h - 1) * n : h * n] = problem.A[k + h]
        right[x] = problem.S_end @ goals[h]
    right[horizon * (n + m) : horizon * (n + m) + n] = -problem.A[k] @ state
    zero = np.zeros((horizon * n, horizon * n))
    solution = np.linalg.solve(np.block([[hessian, dynamics.T], [dynamics, zero]]), right)
    return np.asarray(solution[horizon * n : horizon * (n + m)].reshape(horizon, m))


def _parallel_step(n_agents: int, n_samples: int) -> Row:
    """Parallel mode with many agents: double integrators, the field grows with the team."""
    side = MAP_M * np.sqrt(n_agents / N_AGENTS)
    rng = np.random.default_rng(3)
    steps = 20
    alpha = 1.0 / (n_agents * N_STEPS)
    model = double_integrator(0.5)
    control = ControlTable(terminal_cost="dare", input_weight=alpha, state_weight=(0.0, 0.0))
    gains = first_gains(tracking_problem(model, control, alpha), HORIZON, N_STEPS)
    start = np.zeros((n_agents, 4))
    start[:, [0, 2]] = rng.uniform(0, side, (n_agents, 2))
    setup = TeamSetup(
        points=rng.uniform(0, side, (n_samples, 2)),
        weights=np.full(n_samples, 1.0 / n_samples),
        models=[model],
        gains=[gains],
        kind=np.zeros(n_agents, np.int32),
        n_steps=np.full(n_agents, N_STEPS, np.int32),
        alpha=np.full(n_agents, alpha),
        initial_states=list(start),
        comm_range=COMM_RANGE_M,
    )
    runtime = ArraysRuntime(setup, PerfectBus(COMM_RANGE_M))
    runtime.step(0)
    began = time.perf_counter()
    for k in range(1, steps):
        runtime.step(k)
    elapsed = (time.perf_counter() - began) * 1e6 / ((steps - 1) * n_agents)
    return _row(
        "agent_step_parallel", [elapsed], None, n_samples=n_samples, n_agents=n_agents, horizon=HORIZON,
        memory_mib=runtime.memory_bytes / 2**20,
    )  # fmt: skip


def _row(
    name: str,
    times: list[float],
    peer: float | None,
    *,
    n_samples: int | None = None,
    n_agents: int | None = None,
    horizon: int | None = None,
    memory_mib: float | None = None,
) -> Row:
    median = statistics.median(times)
    return Row(
        name=name,
        n_samples=n_samples,
        n_agents=n_agents,
        horizon_steps=horizon,
        microseconds_per_agent_step=round(median, 2),
        slowest_run_microseconds=round(max(times), 2),
        numpy_microseconds=None if peer is None else round(peer, 1),
        ratio_to_numpy=None if peer is None else round(peer / median, 1),
        memory_mib=None if memory_mib is None else round(memory_mib, 1),
    )
