"""A tracking problem with limits as small quadratic programs in the inputs, one for each block of the vehicle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.control.active_set import NOT_CONVEX, ActiveSetSolver, Quadratic
from d2oc.control.closed_form import Blocks, TrackingProblem, blocks_of
from d2oc.control.condensing import Condensed, condense, condensed, predict
from d2oc.control.constraint_rows import Columns, Rows, constraint_rows, fill_rows, mark_active, read_active
from d2oc.control.half_planes import HalfPlanes
from d2oc.control.limit_rows import LimitRows
from d2oc.control.whitening import White, put_together, unwhiten, white, whiten

NOT_FINITE = "the state or a goal is not a finite number"
_WHY_NOT = {1: NOT_FINITE, 2: NOT_CONVEX}


class Plan(NamedTuple):
    """What a program found."""

    inputs: Floats
    """Shape (H, m)."""
    states: Floats
    """Shape (H, n)."""
    active: Ints
    """Active constraints, shape (H, c)."""
    iterations: int
    excess: float
    """Largest violation of a soft limit, in shares of the limit; 0 if all are met."""
    reason: str
    """Why there is no plan; empty if there is one."""


class Program:
    """The quadratic programs of all blocks, with their memory.

    Parameters
    ----------
    problem : TrackingProblem
        Model and weights.
    limits : LimitRows
        Limits of the vehicle.
    horizon : int
        Steps looked ahead, H.
    n_half_planes : int
        Half-planes at each step that these programs use; they are then one.
    columns : Columns
        Columns of the active sets.
    penalty : float
        Weight of soft constraints.
    apart : Program, optional
        The same without half-planes, always solved just before with the same arguments: its work is used again where
        its blocks are those that the cost of the whole vehicle falls into.
    """

    def __init__(
        self,
        problem: TrackingProblem,
        limits: LimitRows,
        horizon: int,
        n_half_planes: int,
        columns: Columns,
        penalty: float,
        apart: Program | None = None,
    ) -> None:
        blocks = whole(problem) if n_half_planes else blocks_of(problem)
        rows = constraint_rows(blocks, limits, problem.C, horizon, n_half_planes, columns)
        if rows is None:
            blocks = whole(problem)
            rows = constraint_rows(blocks, limits, problem.C, horizon, n_half_planes, columns)
        assert rows is not None  # one block has nothing it could be coupled to
        self._problem, self._limits, self._blocks, self._rows = problem, limits, blocks, rows
        self._condensed = condensed(blocks, horizon)
        self._end_weight = end_weight(problem)
        self._shape = (horizon, problem.B.shape[2]), (horizon, problem.B.shape[1])
        self._found = np.zeros_like(self._condensed.gradient)
        self._multiplier = np.zeros_like(rows.high)
        n_inputs = blocks.B.shape[3]
        uncoupled = blocks_of(problem).inputs if len(blocks.A) == 1 else np.arange(n_inputs, dtype=np.int32)[None]
        self._white = white(len(blocks.A), uncoupled, horizon, n_inputs)
        self._apart = apart if apart is not None and len(apart._blocks.A) == len(uncoupled) > len(blocks.A) else None
        if self._apart is not None:
            factor = self._apart._white.factor
            self._white = self._white._replace(factor=factor.reshape(1, len(factor), *factor.shape[2:]))
        even = np.eye(horizon * n_inputs)
        self._solvers = [
            ActiveSetSolver(Quadratic(even, *parts), penalty)
            for parts in zip(
                self._condensed.gradient, rows.matrix, rows.high, rows.low, rows.sense, strict=True
            )
        ]  # fmt: skip

    def solve(self, k: int, state: Floats, goals: Floats, half_planes: HalfPlanes, guess: Ints) -> Plan:
        """Plan from step k on.

        Parameters
        ----------
        k, state, goals
            As for `ConstrainedStep.solve`.
        half_planes : HalfPlanes
            As many as the program was made for.
        guess : ndarray of int32, shape (H, c)
            Constraints to start with.

        Returns
        -------
        plan : Plan
        """
        (inputs, states), active = self.empty_plan(), np.zeros_like(guess)
        code = self._prepare(k, state, goals, half_planes, guess)
        if code:
            return Plan(inputs, states, active, 0, 0.0, _WHY_NOT[code])
        iterations = 0
        for g, solver in enumerate(self._solvers):
            solution = solver.solve()
            iterations += solution.iterations
            if solution.reason:
                return Plan(inputs, states, active, iterations, 0.0, solution.reason)
            self._found[g], self._multiplier[g] = solution.inputs, solution.multiplier
        excess = _finish(
            self._blocks, self._white, k, state, self._rows.place, self._found, self._multiplier,
            self._limits.input_each, self._limits.input_norm, self._limits.state_rows, inputs, states, active.ravel(),
        )  # fmt: skip
        return Plan(inputs, states, active, iterations, excess, "")

    def _prepare(self, k: int, state: Floats, goals: Floats, half_planes: HalfPlanes, guess: Ints) -> int:
        """Everything the solvers need; 0, or a key of `_WHY_NOT`."""
        apart, rows, planes = self._apart, self._rows, half_planes
        if apart is not None:
            put_together(apart._blocks, apart._condensed, apart._rows.matrix, self._condensed, rows.matrix[0])
            fill_rows(rows, self._condensed, self._problem.C, planes.normal, planes.offset, planes.hard)
            mark_active(rows, guess.ravel())
            return 0
        return _prepare(
            self._blocks, self._problem.alpha, self._end_weight, k, state, goals, self._condensed, self._white,
            rows, self._problem.C, planes.normal, planes.offset, planes.hard, guess.ravel(),
        )  # fmt: skip

    def empty_plan(self) -> tuple[Floats, Floats]:
        """Inputs and states of a plan, all zero."""
        return np.zeros(self._shape[0]), np.zeros(self._shape[1])


def whole(problem: TrackingProblem) -> Blocks:
    """A problem as one block."""
    n, m = problem.B.shape[1:]
    return Blocks(
        A=problem.A[None],
        B=problem.B[None],
        R=problem.R[None],
        M=problem.M[None],
        S=problem.S[None],
        P_end=problem.P_end[None],
        S_end=problem.S_end[None],
        states=np.arange(n, dtype=np.int32)[None],
        inputs=np.arange(m, dtype=np.int32)[None],
    )


@compiled
def standing_cost(alpha: float, end_weight: float, x: float, y: float, goals: Floats) -> float:
    """Cost of staying at (x, y), and a metre more off each goal: the unit of the cost.

    Parameters
    ----------
    alpha, end_weight : float
        Weight of the squared distance before and at the end of the horizon; 1 is returned if both are zero.
    x, y : float
        Position now. [m]
    goals : ndarray, shape (H, 2)
        Goals. [m]

    Returns
    -------
    cost : float
    """
    total = 0.0
    for h in range(len(goals)):
        dx, dy = x - goals[h, 0], y - goals[h, 1]
        total += 0.5 * (1.0 + dx * dx + dy * dy) * (end_weight if h == len(goals) - 1 else alpha)
    return total if total > 0.0 else 1.0


def end_weight(problem: TrackingProblem) -> float:
    """Weight of the squared distance at the end of the horizon, the larger axis or more."""
    return float(np.trace(problem.C @ problem.P_end @ problem.C.T))


@compiled
def _prepare(
    blocks: Blocks,
    alpha: float,
    end_weight: float,
    k: int,
    state: Floats,
    goals: Floats,
    into: Condensed,
    program: White,
    rows: Rows,
    positions: Floats,
    normal: Floats,
    offset: Floats,
    hard: Flags,
    guess: Ints,
) -> int:
    """Everything the solvers need; 1 if the state or a goal is not a finite number, 2 if the cost is not convex."""
    x, y, total = 0.0, 0.0, 0.0
    for i in range(len(state)):
        x += positions[0, i] * state[i]
        y += positions[1, i] * state[i]
        total += abs(state[i])
    for h in range(len(goals)):
        total += abs(goals[h, 0]) + abs(goals[h, 1])
    if not np.isfinite(total):
        return 1
    condense(blocks, k, state, goals, 1.0 / standing_cost(alpha, end_weight, x, y, goals), into)
    if not whiten(blocks, k, into, program, rows.matrix):
        return 2
    fill_rows(rows, into, positions, normal, offset, hard)
    mark_active(rows, guess)
    return 0


@compiled
def _finish(
    blocks: Blocks,
    program: White,
    k: int,
    state: Floats,
    place: Ints,
    found: Floats,
    multiplier: Floats,
    each: Floats,
    norm: float,
    state_rows: Floats,
    inputs: Floats,
    states: Floats,
    active: Ints,
) -> float:
    """The plan; returns the largest violation of a soft limit, in shares of the limit."""
    for g in range(len(found)):
        unwhiten(found[g], program, g, found[g])
        _cut(found[g], blocks.inputs[g], each, norm, inputs)
        predict(blocks, g, k, state, inputs, states)
        read_active(place[g], multiplier[g], active)
    worst = 0.0
    for h in range(len(states)):
        for r in range(len(state_rows)):
            total = 0.0
            for i in range(state_rows.shape[1]):
                total += state_rows[r, i] * states[h, i]
            worst = max(worst, abs(total) - 1.0)
    return worst


@compiled
def _cut(found: Floats, which: Ints, each: Floats, norm: float, inputs: Floats) -> None:
    """Cut off what the solver's tolerance leaves, so that hard limits on the input hold exactly."""
    m = len(which)
    for h in range(len(inputs)):
        length = 0.0
        for i in range(m):
            u = min(max(found[h * m + i], -each[which[i]]), each[which[i]])
            found[h * m + i] = u
            length += u * u
        for i in range(m):
            if length > norm * norm:
                found[h * m + i] *= (1.0 - 1e-15) * norm / np.sqrt(length)
            inputs[h, which[i]] = found[h * m + i]


@compiled
def intrusion(normal: Floats, offset: Floats, positions: Floats, states: Floats) -> float:
    """Largest violation of a half-plane by predicted states; 0 if all are met. [m]"""
    worst = 0.0
    for h in range(len(states)):
        x, y = 0.0, 0.0
        for i in range(positions.shape[1]):
            x += positions[0, i] * states[h, i]
            y += positions[1, i] * states[h, i]
        for p in range(offset.shape[1]):
            worst = max(worst, normal[h, p, 0] * x + normal[h, p, 1] * y - offset[h, p])
    return worst
