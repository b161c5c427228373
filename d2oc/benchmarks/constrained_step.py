"""What one constrained control step costs, beside the same problem stated in cvxpy and solved in the same run.

The time-varying 8-state quadrotor with limits on torque, speed, tilt and tilt rate; a tank drains, so every matrix is
new at each step. It chases goals that move now and then, so that limits bind at most steps.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.constrained import ConstrainedStep
from d2oc.control.law import tracking_problem
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, LinearModel, quadrotor

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
    microseconds_per_agent_step: float
    """Condensing, solving and predicting: median of the runs; a run is the mean over a flight. [us]"""
    slowest_run_microseconds: float
    """Slowest run. [us]"""
    slowest_step_microseconds: float
    """Slowest step of the flight, its fastest run. [us]"""
    binding_share: float
    """Share of the steps at which a limit is active in the plan."""
    iterations: float
    """Changes of the active set, mean."""
    cold_microseconds: float
    """The same started from no active constraint. [us]"""
    cvxpy_microseconds: float | None
    """cvxpy (DPP parameters, CLARABEL), median over some of the same steps; None without cvxpy. [us]"""
    ratio_to_cvxpy: float | None
    """How many times less."""
    max_deviation: float | None
    """Largest difference of a planned input from cvxpy at tight tolerance, as a share of the torque limit."""
    max_command_deviation: float | None
    """The same of the input that is applied."""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Call:
    k: int
    state: Floats
    goals: Floats
    start: object
    inputs: Floats
    is_bound: bool
    iterations: int


def measure(*, quick: bool = False) -> Iterator[Row]:
    """Rows for each horizon.

    Parameters
    ----------
    quick : bool
        One run, two horizons, few cvxpy solutions.

    Yields
    ------
    row : Row
    """
    for horizon in HORIZONS[::2] if quick else HORIZONS:
        yield _row(horizon, 1 if quick else RUNS, 4 if quick else CVXPY_STEPS)


def vehicle() -> tuple[LinearModel, TrackingProblem]:
    """The vehicle and its problem: published weights, scaled with inertia, and an infinite-horizon terminal cost."""
    each = np.full(8, np.inf)
    each[[2, 6]], each[[3, 7]] = math.radians(TILT_DEG), math.radians(TILT_RATE_DEG_S)
    limits = Limits(input_each=TORQUE_N_M, speed_each=SPEED_M_S, state_each=each)
    model = quadrotor(0.1, np.linspace(0.0075, 0.004, N_STEPS + max(HORIZONS)), limits)
    control = ControlTable(scale_input_weight_with_inertia=True, terminal_cost="dare")
    return model, tracking_problem(model, control, 1 / 900)


def _row(horizon: int, runs: int, n_peer: int) -> Row:
    model, problem = vehicle()
    step = ConstrainedStep(problem, model, horizon)
    calls = _fly(step, model)
    times = np.array([_times(step, calls, warm=True) for _ in range(runs)])
    cold = np.array([_times(step, calls, warm=False) for _ in range(runs)])
    median = statistics.median(times.mean(axis=1))
    peer, deviation, command = _cvxpy(problem, model, horizon, calls[5 :: len(calls) // n_peer])
    return Row(
        name="constrained_step",
        horizon_steps=horizon,
        microseconds_per_agent_step=round(median, 1),
        slowest_run_microseconds=round(float(times.mean(axis=1).max()), 1),
        slowest_step_microseconds=round(float(times.min(axis=0).max()), 1),
        binding_share=round(float(np.mean([call.is_bound for call in calls])), 3),
        iterations=round(float(np.mean([call.iterations for call in calls])), 1),
        cold_microseconds=round(statistics.median(cold.mean(axis=1)), 1),
        cvxpy_microseconds=None if peer is None else round(peer, 0),
        ratio_to_cvxpy=None if peer is None else round(peer / median, 1),
        max_deviation=deviation,
        max_command_deviation=command,
    )


def _fly(step: ConstrainedStep, model: LinearModel) -> list[_Call]:
    """A flight in closed loop, as the arguments and results of each call."""
    rng = np.random.default_rng(0)
    state, goal, start, calls = np.zeros(8), np.array([GOAL_DISTANCE_M, GOAL_DISTANCE_M / 2]), None, []
    for k in range(N_STEPS):
        if k % GOAL_CHANGES_EVERY == GOAL_CHANGES_EVERY - 1:
            goal = model.C @ state + rng.uniform(-GOAL_DISTANCE_M, GOAL_DISTANCE_M, 2)
        goals = np.tile(goal, (step.horizon, 1))
        result = step.solve(k, state, goals, None, start)
        is_bound = result.active_set is not None and bool(result.active_set.any())
        calls.append(_Call(k, state, goals, start, result.inputs, is_bound, result.iterations))
        start = result.active_set
        state = model.A[k] @ state + model.B[k] @ result.input
    return calls


def _times(step: ConstrainedStep, calls: list[_Call], *, warm: bool) -> list[float]:
    """Time of each step. [us]"""
    times = []
    for call in calls:
        start = call.start if warm else None
        began = time.perf_counter()
        step.solve(call.k, call.state, call.goals, None, start)  # type: ignore[arg-type]
        times.append((time.perf_counter() - began) * 1e6)
    return times


def _cvxpy(
    problem: TrackingProblem, model: LinearModel, horizon: int, calls: list[_Call]
) -> tuple[float | None, float | None, float | None]:
    """Median time at cvxpy's own tolerance, and the largest deviations at a tight one."""
    from d2oc.errors import MissingExtraError

    try:
        from d2oc.control.convex_program import ConvexProgram
    except MissingExtraError:
        return None, None, None
    program, tight = ConvexProgram(problem, model, horizon), ConvexProgram(problem, model, horizon)
    program.solve(calls[0].k, calls[0].state, calls[0].goals)  # compile the DPP form
    times, apart = [], []
    for call in calls:
        began = time.perf_counter()
        program.solve(call.k, call.state, call.goals)
        times.append((time.perf_counter() - began) * 1e6)
        optimum = tight.solve(call.k, call.state, call.goals, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        apart.append(np.abs(optimum.inputs - call.inputs).max(axis=1) / TORQUE_N_M)
    plan = np.array(apart)
    return statistics.median(times), float(plan.max()), float(plan[:, 0].max())
