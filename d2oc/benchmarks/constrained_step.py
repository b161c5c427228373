"""What one constrained control step costs, beside the same problem stated in cvxpy and solved in the same run.

The time-varying 8-state quadrotor with limits on torque, speed, tilt and tilt rate; a tank drains, so every matrix is
new at each step. It chases goals that move now and then, so that limits bind at most steps. With half-planes, three
around a corner that most goals lie beyond couple the axes. Each step counts at its fastest of all runs, so that a
busy machine spoils less; the ratio compares whole runs that alternate with cvxpy, which a busy machine slows alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.constrained import ConstrainedStep, StepResult
from d2oc.control.half_planes import HalfPlanes
from d2oc.control.law import tracking_problem
from d2oc.errors import MissingExtraError
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, LinearModel, quadrotor

if TYPE_CHECKING:
    from d2oc.control.convex_program import ConvexProgram

HORIZONS = (10, 15, 30)
N_STEPS = 300
GOAL_CHANGES_EVERY = 20
GOAL_DISTANCE_M = 10.0
CVXPY_STEPS = 12
RUNS = 5
TORQUE_N_M, SPEED_M_S, TILT_DEG, TILT_RATE_DEG_S = 0.1, 2.0, 15.0, 60.0


@dataclass(frozen=True)
class Row:
    """One measured line."""

    name: str
    """What was measured."""
    horizon_steps: int
    n_half_planes: int
    """Half-planes at each step."""
    microseconds_per_agent_step: float
    """Condensing, solving and predicting: mean over the flight, each step at its fastest. [us]"""
    slowest_run_microseconds: float
    """Slowest of the runs, its mean. [us]"""
    slowest_step_microseconds: float
    """Slowest step of the flight, each at its fastest. [us]"""
    binding_share: float
    """Share of the steps at which a limit is active in the plan."""
    iterations: float
    """Changes of the active set, mean."""
    cold_microseconds: float
    """The same started from no active constraint. [us]"""
    cvxpy_microseconds: float | None
    """cvxpy (DPP parameters, CLARABEL) on some of the same steps; None without cvxpy. [us]"""
    ratio_to_cvxpy: float | None
    """How many times less: median over the runs of mean over mean."""
    max_deviation: float | None
    """Largest difference of a planned input from cvxpy at tight tolerance, as a share of the torque limit."""
    max_command_deviation: float | None
    """The same of the input that is applied."""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Call:
    """Arguments and result of one step."""

    k: int
    state: Floats
    goals: Floats
    half_planes: HalfPlanes | None
    start: Ints | None
    result: StepResult

    @property
    def arguments(self) -> tuple[int, Floats, Floats, HalfPlanes | None]:
        """What both solvers are given."""
        return self.k, self.state, self.goals, self.half_planes


def measure(*, quick: bool = False) -> Iterator[Row]:
    """Rows for each horizon, without and with half-planes.

    Parameters
    ----------
    quick : bool
        One run and the shortest horizon.

    Yields
    ------
    row : Row
    """
    for horizon in HORIZONS[:1] if quick else HORIZONS:
        for n_half_planes in (0, 3):
            yield _row(horizon, n_half_planes, 1 if quick else RUNS)


def vehicle() -> tuple[LinearModel, TrackingProblem]:
    """The vehicle and its problem: published weights, scaled with inertia, and an infinite-horizon terminal cost."""
    each = np.full(8, np.inf)
    each[[2, 6]], each[[3, 7]] = math.radians(TILT_DEG), math.radians(TILT_RATE_DEG_S)
    limits = Limits(input_each=TORQUE_N_M, speed_each=SPEED_M_S, state_each=each)
    inertia: Floats = np.linspace(0.0075, 0.004, N_STEPS + max(HORIZONS), dtype=np.float64)
    model = quadrotor(0.1, inertia, limits)
    control = ControlTable(scale_input_weight_with_inertia=True, terminal_cost="dare")
    return model, tracking_problem(model, control, 1 / 900)


def corner(horizon: int) -> HalfPlanes:
    """Three half-planes around a corner at (2, 2) m."""
    normal = np.array([[0.8, 0.6], [0.6, 0.8], [math.sqrt(0.5), math.sqrt(0.5)]])
    offset = normal @ [2.0, 2.0] - [0.0, 0.0, 0.1]
    return HalfPlanes(np.tile(normal, (horizon, 1, 1)), np.tile(offset, (horizon, 1)), np.zeros(3, np.bool_))


def _row(horizon: int, n_half_planes: int, runs: int) -> Row:
    model, problem = vehicle()
    step = ConstrainedStep(problem, model, horizon, n_half_planes)
    calls = _fly(step, model, corner(horizon) if n_half_planes else None)
    sampled = calls[5 :: len(calls) // CVXPY_STEPS]
    peer = _peer(problem, model, horizon, n_half_planes)
    warm, cold, cvxpy = [], [], []
    for _ in range(runs):
        step.solve(*calls[0].arguments)  # cvxpy has emptied the caches of the processor
        warm.append([_time(step.solve, *call.arguments, call.start) for call in calls])
        cold.append([_time(step.solve, *call.arguments) for call in calls])
        if peer is not None:
            cvxpy.append([_time(peer.solve, *call.arguments) for call in sampled])
    ours = float(np.min(warm, axis=0).mean())
    theirs = float(np.min(cvxpy, axis=0).mean()) if cvxpy else None
    ratio = float(np.median(np.mean(cvxpy, axis=1) / np.mean(warm, axis=1))) if cvxpy else None
    apart = _deviations(_peer(problem, model, horizon, n_half_planes), sampled)
    return Row(
        name="constrained_step",
        horizon_steps=horizon,
        n_half_planes=n_half_planes,
        microseconds_per_agent_step=round(ours, 1),
        slowest_run_microseconds=round(float(np.mean(warm, axis=1).max()), 1),
        slowest_step_microseconds=round(float(np.min(warm, axis=0).max()), 1),
        binding_share=round(float(np.mean([_binds(call.result) for call in calls])), 3),
        iterations=round(float(np.mean([call.result.iterations for call in calls])), 1),
        cold_microseconds=round(float(np.min(cold, axis=0).mean()), 1),
        cvxpy_microseconds=None if theirs is None else round(theirs),
        ratio_to_cvxpy=None if ratio is None else round(ratio, 1),
        max_deviation=None if apart is None else float(apart.max()),
        max_command_deviation=None if apart is None else float(apart[:, 0].max()),
    )


def _time(work: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    work(*arguments)
    return (time.perf_counter() - began) * 1e6


def _binds(result: StepResult) -> bool:
    return result.active_set is not None and bool(result.active_set.any())


def _fly(step: ConstrainedStep, model: LinearModel, half_planes: HalfPlanes | None) -> list[_Call]:
    """A flight in closed loop."""
    rng = np.random.default_rng(0)
    state, goal, start = np.zeros(8), np.array([GOAL_DISTANCE_M, GOAL_DISTANCE_M / 2]), None
    calls = []
    for k in range(N_STEPS):
        if k % GOAL_CHANGES_EVERY == GOAL_CHANGES_EVERY - 1:
            goal = model.C @ state + rng.uniform(-GOAL_DISTANCE_M, GOAL_DISTANCE_M, 2)
        goals = np.tile(goal, (step.horizon, 1))
        result = step.solve(k, state, goals, half_planes, start)
        calls.append(_Call(k, state, goals, half_planes, start, result))
        start = result.active_set
        state = model.A[k] @ state + model.B[k] @ result.input
    return calls


def _peer(problem: TrackingProblem, model: LinearModel, horizon: int, n_half_planes: int) -> ConvexProgram | None:
    """The same in cvxpy, already compiled; None where it is not installed."""
    try:
        from d2oc.control.convex_program import ConvexProgram
    except MissingExtraError:
        return None
    peer = ConvexProgram(problem, model, horizon, n_half_planes)
    peer.solve(0, np.zeros(8), np.zeros((horizon, 2)), corner(horizon) if n_half_planes else None)
    return peer


def _deviations(peer: ConvexProgram | None, calls: list[_Call]) -> Floats | None:
    """Differences from cvxpy at a tight tolerance at each step of the horizon, in shares of the torque limit."""
    if peer is None:
        return None
    apart = []
    for call in calls:
        optimum = peer.solve(*call.arguments, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        apart.append(np.abs(optimum.inputs - call.result.inputs).max(axis=1) / TORQUE_N_M)
    return np.array(apart)
