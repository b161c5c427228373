r"""The control step of a full quadrotor: the problem of `d2oc.control.constrained` by sequential convexification [1]_.

.. math::
    \min_u \tfrac12 \sum_{h=1}^{H} \left[ \alpha |C x_h - g_h|^2 + x_h^T Q x_h \right]
    + \tfrac12 \sum_{h=0}^{H-1} u_h^T R_h u_h + \gamma \sum_i \left( s_i + \tfrac12 s_i^2 \right), \qquad
    x_{h+1} = f_h(x_h, u_h), \quad \underline u_h \le u_h \le \overline u_h

where s are the violations of the soft limits, in shares of them, and of the half-planes, in metres. In each round f is
linearised about the last plan, states are eliminated, the convex program is solved within the limits, and its plan is
flown by f itself. It is taken if the *true* merit, flown and with the true violations, falls by a share of what the
program promised. Else a share of its step is tried, and the next program pays for going far from the plan: a trust
region in its penalty form. So the merit never rises, and a plan can always be flown. Rounds begin from the
last plan, a step on, or from coming to rest by a linear law.

Towards the end of a long horizon inputs may be those of a linear law that brings to rest instead of free ones, which
keeps the program small.

References
----------
.. [1] Y. Mao, M. Szmuk and B. Acikmese, "Successive convexification of non-convex optimal control problems and its
   convergence properties", IEEE CDC 2016. :doi:`10.1109/CDC.2016.7798816`
.. [2] J. Nocedal and S. J. Wright, Numerical Optimization, 2006, chapter 18 (exact merit functions, section 18.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.control.active_set import ActiveSetSolver, Quadratic
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.condensing import add, clear
from d2oc.control.constrained import PENALTY, TOLERANCE_M, Infeasible, Solved, StepResult
from d2oc.control.constraint_rows import HARD, NO_BOUND, SOFT
from d2oc.control.half_planes import HalfPlanes
from d2oc.control.limit_rows import POLYGON_SIDES, inscribed_polygon
from d2oc.control.program import NOT_FINITE, end_weight, intrusion, standing_cost
from d2oc.control.stopping import leading_gain, stopping_gain
from d2oc.vehicles.linear import GRAVITY, LinearModel, RigidBody
from d2oc.vehicles.rigid_quadrotor import Stages, advance, linearise, stages

MOST_ROUNDS = 3
SMALLEST_SHARE, LARGEST_SHARE = 0.05, 0.5
"""After a refused step the next one is to be this share of it at least and at most; errors grow with its square."""
MORE_CAUTION = 5.0
CORRECTABLE = 0.03
"""Soft limits exceeded by more are not corrected for; a shorter step is."""
WILD = 0.5
"""A plan that exceeds a limit by this share is not begun with."""
CALM_EFFORT, REST_EFFORT, LEAD_EFFORT = 1.0, 0.1, 100.0
"""Weights of the inputs in the linear laws that bring to rest from anywhere, from nearly there, and back to what a
program expects."""
CORRECTIONS = 2
"""Second-order corrections in a round at most."""
INSIDE, INSIDE_M = 1e-3, 5e-3
"""Programs stay this share inside soft limits and this far inside half-planes [m], so that small errors of the linear
model violate nothing."""
ENOUGH, GOOD = 0.1, 0.75
"""Shares of the promised decrease from which a plan is taken, and above which the next round is less cautious."""
NO_GAIN = 1e-3
"""Rounds end when less is promised than this share of the cost of standing still, or of the merit."""
UNREACHED = 1e-9
"""A row that inputs move by less than this is left out of the program."""


class Flight(NamedTuple):
    """What is flown over the horizon."""

    inputs: Floats
    """Shape (H, 4)."""
    states: Floats
    """States 1 to H, shape (H, 12)."""
    merit: float
    """Cost and violations, in units of the cost of standing still."""
    excess: float
    """Largest violation of a soft limit, in shares of it."""


class Attempt(NamedTuple):
    """What came out of a round."""

    flight: Flight
    promised: float
    """Decrease of the merit that the program expected."""
    moved: float
    """See `distance`."""
    share: float
    """Which share of the program's step was flown."""


class Soft(NamedTuple):
    """Limits on one or two states, or on what they change by in a step: |a x_i + b x_j| is at most 1."""

    state: Ints
    """i and j, shape (s, 2)."""
    share: Floats
    """a and b, shape (s, 2)."""
    change: Flags
    """Whether it is the change, shape (s,)."""


class Task(NamedTuple):
    """What a step asks for."""

    k: int
    state: Floats
    """State now, shape (12,)."""
    goals: Floats
    """Shape (H, 2). [m]"""
    normal: Floats
    """Of half-planes, shape (H, P, 2)."""
    offset: Floats
    """Shape (H, P); inf: none. [m]"""
    weight: float
    """One over the cost of standing still."""


class Sheet(NamedTuple):
    """The program of a round and its working memory; N inputs that are free, r rows."""

    a: Floats
    """Derivatives of the next state by the state, by a linear law too where inputs are not free, shape (H, 12, 12)."""
    b: Floats
    """Derivatives by the inputs in shares of half their range, shape (H, 12, 4)."""
    pull: Floats
    """Weights of the states that the linear law adds by its inputs, shape (H, 12, 12)."""
    response: Floats
    """Derivatives of the states 1 to H by the free inputs, shape (H, 12, N)."""
    hessian: Floats
    """Shape (N, N)."""
    gradient: Floats
    """Shape (N,)."""
    matrix: Floats
    """Rows, shape (r, N)."""
    value: Floats
    """What rows are at the plan, shape (r,)."""
    inside: Floats
    """By what the program is stricter than the limits, shape (r,)."""
    low: Floats
    """Bounds of inputs and rows, shape (N + r,)."""
    high: Floats
    adjoint: Floats
    """Working memory, shape (2, 12, N)."""
    slope: Floats
    """Working memory, shape (2, 12)."""
    stages: Stages


class ConvexifiedFlight:
    """The control step of one kind of full quadrotor; answers depend on the arguments of `solve` alone.

    Parameters
    ----------
    problem : TrackingProblem
        Weights.
    model : LinearModel
        A full quadrotor.
    horizon : int
        Steps looked ahead, H.
    n_half_planes : int
        Half-planes at each step, P.
    free : int, optional
        Steps whose inputs are free; those of the others are a linear law's that brings to rest. Default: all.
    penalty : float
        Weight of soft limits, see `d2oc.control.constrained`.
    """

    def __init__(
        self,
        problem: TrackingProblem,
        model: LinearModel,
        horizon: int,
        n_half_planes: int = 0,
        *,
        free: int | None = None,
        penalty: float = PENALTY,
    ) -> None:
        assert model.body is not None
        self.horizon = horizon
        self.n_half_planes = n_half_planes
        self._body: RigidBody = model.body
        self._problem = problem
        self._soft = soft_limits(model)
        self._penalty = penalty
        self._end_weight = end_weight(problem)
        self._calm_gain = stopping_gain(problem, model, CALM_EFFORT, haste=1.0)
        self._rest_gain = stopping_gain(problem, model, REST_EFFORT)
        self._lead_gain = leading_gain(problem, model, LEAD_EFFORT)
        self._wanted = np.zeros((horizon, 12))
        self._anywhere = np.full((horizon, 12), np.nan)
        self._free = min(horizon, free or horizon)
        self._no_change = np.zeros(4 * self._free)
        self._sheet = _sheet(horizon, self._free, len(self._soft.change), n_half_planes)
        sheet, n = self._sheet, 4 * self._free
        sense = np.array([HARD] * n + [SOFT] * len(sheet.matrix), np.int32)
        self._solver = ActiveSetSolver(
            Quadratic(sheet.hessian, sheet.gradient, sheet.matrix, sheet.high, sheet.low, sense), penalty
        )

    def solve(
        self,
        k: int,
        state: Floats,
        goals: Floats,
        half_planes: HalfPlanes | None = None,
        start: Floats | None = None,
    ) -> StepResult:
        """Command of step k; see `d2oc.control.constrained.ConstrainedStep.solve`.

        Parameters
        ----------
        k, state, goals, half_planes
            As there.
        start : ndarray, shape (up to H, 4), optional
            Inputs to begin with, say of the last plan a step on; those that are missing are zero.
        """
        task = self._task(k, state, goals, half_planes)
        flights = list(self.descend(task, start)) if np.isfinite(task.weight) else []
        if not flights or not np.isfinite(flights[-1].merit):
            return self._rest(NOT_FINITE)
        flight, rounds = flights[-1], len(flights) - 1
        depth = intrusion(task.normal, task.offset, self._problem.C, flight.states)
        if half_planes is not None and half_planes.hard.any():
            of_hard = np.where(half_planes.hard, task.offset, np.inf)
            too_deep = intrusion(task.normal, of_hard, self._problem.C, flight.states)
            if too_deep > TOLERANCE_M:
                return Infeasible(
                    flight.inputs[0], flight.inputs, flight.states,
                    f"a hard half-plane is violated by {too_deep:.3g} m", rounds,
                )  # fmt: skip
        no_set = np.zeros((self.horizon, 0), np.int32)
        return Solved(flight.inputs[0], flight.inputs, flight.states, rounds, no_set, flight.excess, depth)

    def descend(self, task: Task, start: Floats | None) -> Iterator[Flight]:
        """Ever better flights, each of lower merit than the one before."""
        flight = self._first(task, start)
        yield flight
        caution = 0.0
        for _ in range(MOST_ROUNDS):
            if not np.isfinite(flight.merit):
                return
            self._prepare(task, flight, caution)
            attempt = self._attempt(task, flight, caution)
            gain = flight.merit - attempt.flight.merit
            if gain > max(0.0, ENOUGH * attempt.share * attempt.promised):
                flight = attempt.flight
                yield flight
                caution *= 0.1 if gain > GOOD * attempt.promised else 1.0
            if attempt.share < 1.0 and attempt.moved > 0.0:
                caution = max(MORE_CAUTION * caution, attempt.promised / (attempt.moved * attempt.share))
            if attempt.promised <= NO_GAIN * max(1.0, flight.merit):
                return

    def _prepare(self, task: Task, flight: Flight, caution: float) -> None:
        """The program linearised about a flight."""
        sheet, body = self._sheet, self._body
        linearise_about(task, flight.inputs, flight.states, body, self._problem.R, self._rest_gain, sheet)
        respond(sheet)
        weigh(task, flight.inputs, flight.states, body, self._problem, caution, sheet)
        bound(task, flight.inputs, flight.states, body, self._soft, sheet)

    def _attempt(self, task: Task, flight: Flight, caution: float) -> Attempt:
        """The flight that the program leads to.

        Where the flight misses it a little, the program is solved again with its rows shifted by what the flight
        missed: the second-order correction, without which an exact penalty refuses good steps (Maratos effect [2]_).
        """
        promised, moved = 0.0, 0.0
        for correction in range(1 + CORRECTIONS):
            solution = self._solver.solve()
            if solution.reason:
                return Attempt(flight, 0.0, 0.0, 1.0)
            expect(self._sheet, flight.states, solution.inputs, self._wanted)
            if correction == 0:
                moved = distance(task, flight.states, self._wanted, solution.inputs, self._body)
                promised = promise(self._sheet, solution.inputs, self._penalty) + 0.5 * caution * moved
            new = self._flown(task, flight.inputs, solution.inputs, self._wanted)
            if flight.merit - new.merit > ENOUGH * promised:
                return Attempt(new, promised, moved, 1.0)
            if new.excess > CORRECTABLE:
                break
            correct(task, new.states, solution.inputs, self._soft, self._sheet)
        share = min(max(np.sqrt(INSIDE / max(new.excess, INSIDE)), SMALLEST_SHARE), LARGEST_SHARE)
        self._wanted[:] = flight.states + share * (self._wanted - flight.states)
        return Attempt(self._flown(task, flight.inputs, share * solution.inputs, self._wanted), promised, moved, share)

    def _task(self, k: int, state: Floats, goals: Floats, half_planes: HalfPlanes | None) -> Task:
        here = self._problem.C @ state
        weight = 1.0 / standing_cost(self._problem.alpha, self._end_weight, here[0], here[1], goals)
        count = 0 if half_planes is None else len(half_planes.hard)
        if count > self.n_half_planes:
            raise ValueError(f"{count} half-planes a step, memory was set aside for {self.n_half_planes}")
        normal = np.zeros((self.horizon, self.n_half_planes, 2))
        offset = np.full((self.horizon, self.n_half_planes), np.inf)
        if half_planes is not None:
            normal[:, :count], offset[:, :count] = half_planes.normal, half_planes.offset
        return Task(k, np.ascontiguousarray(state), np.ascontiguousarray(goals), normal, offset, weight)

    def _first(self, task: Task, start: Floats | None) -> Flight:
        """A given plan, completed by coming to rest; coming to rest at once if it is no good beginning."""
        inputs = np.empty((self.horizon, 4))
        if start is not None:
            known = min(len(start), self._free)
            inputs[:known] = start[:known]
            flight = self._begun(task, known, inputs)
            if flight.excess < WILD:
                return flight
        return self._begun(task, 0, inputs)

    def _begun(self, task: Task, known: int, inputs: Floats) -> Flight:
        come_to_rest(task, known, self._body, self._calm_gain, inputs, self._sheet.stages)
        return self._flown(task, inputs, self._no_change, self._anywhere)

    def _flown(self, task: Task, inputs: Floats, change: Floats, wanted: Floats) -> Flight:
        changed, states = np.empty_like(inputs), np.empty((self.horizon, 12))
        fly(
            task, inputs, change, wanted, self._lead_gain, self._rest_gain, self._body, changed, states,
            self._sheet.stages,
        )  # fmt: skip
        merit, excess = judge(task, changed, states, self._problem, self._soft, self._penalty)
        return Flight(changed, states, merit if np.isfinite(merit) else np.inf, excess)

    def _rest(self, reason: str) -> Infeasible:
        """Hover thrust and no torque, when nothing better is known."""
        inputs = np.zeros((self.horizon, 4))
        return Infeasible(inputs[0], inputs, np.full((self.horizon, 12), np.nan), reason)


def soft_limits(model: LinearModel, sides: int = POLYGON_SIDES) -> Soft:
    """Soft limits of a full quadrotor: polygons in the discs of speed, tilt and acceleration, and single states."""
    assert model.body is not None
    limits, time_step = model.limits, float(model.body.constants[0, 6])
    rows: list[tuple[int, int, float, float, bool]] = []
    for (i, j), most, change in (
        ((3, 4), limits.speed_norm, False),
        ((6, 7), limits.tilt_norm, False),
        ((3, 4), limits.acceleration_norm * time_step, True),
    ):
        if np.isfinite(most):
            rows += [(i, j, a, b, change) for a, b in inscribed_polygon(most, sides).tolist()]
    if limits.state_each is not None:
        rows += [(i, i, 1.0 / most, 0.0, False) for i, most in enumerate(limits.state_each.tolist()) if most < np.inf]
    return Soft(
        np.array([row[:2] for row in rows], np.int32).reshape(-1, 2),
        np.array([row[2:4] for row in rows]).reshape(-1, 2),
        np.array([row[4] for row in rows], np.bool_),
    )


def _sheet(horizon: int, free: int, n_soft: int, n_half_planes: int) -> Sheet:
    size, rows = free * 4, horizon * (n_soft + n_half_planes)
    return Sheet(
        a=np.zeros((horizon, 12, 12)),
        b=np.zeros((horizon, 12, 4)),
        pull=np.zeros((horizon, 12, 12)),
        response=np.zeros((horizon, 12, size)),
        hessian=np.zeros((size, size)),
        gradient=np.zeros(size),
        matrix=np.zeros((rows, size)),
        value=np.zeros(rows),
        inside=np.tile([INSIDE] * n_soft + [INSIDE_M] * n_half_planes, horizon),
        low=np.full(size + rows, -1.0),
        high=np.ones(size + rows),
        adjoint=np.zeros((2, 12, size)),
        slope=np.zeros((2, 12)),
        stages=stages(),
    )


@compiled
def come_to_rest(task: Task, known: int, body: RigidBody, gain: Floats, inputs: Floats, work: Stages) -> None:
    """The first inputs as they are; then those of a linear law that brings everything but the position to zero."""
    now, after = task.state.copy(), np.empty(12)
    last = len(body.constants) - 1
    for h in range(len(inputs)):
        at = min(task.k + h, last)
        for c in range(4):
            total = 0.0
            for i in range(12):
                total -= gain[c, i] * now[i]
            if h < known:
                total = inputs[h, c]
            inputs[h, c] = min(max(total, body.lowest[at, c]), body.highest[at, c])
        advance(body.constants[at], now, inputs[h], after, work)
        now[:] = after


@compiled
def expect(sheet: Sheet, states: Floats, change: Floats, wanted: Floats) -> None:
    """States that the program expects of changed inputs, shape (H, 12)."""
    for h in range(len(states)):
        for i in range(12):
            total = states[h, i]
            for c in range(min(4 * (h + 1), len(change))):
                total += sheet.response[h, i, c] * change[c]
            wanted[h, i] = total


@compiled
def fly(
    task: Task,
    inputs: Floats,
    change: Floats,
    wanted: Floats,
    gain: Floats,
    rest_gain: Floats,
    body: RigidBody,
    changed: Floats,
    states: Floats,
    work: Stages,
) -> None:
    """Inputs with a change, in shares of half their range, and where they lead.

    What the program expects is not quite where inputs lead; a linear law leads the flight back to it, so that it stays
    within the limits that the program kept. The inputs so found, cut to the hard limits, are those of the new plan.
    Those that are not free are inputs of the law that brings to rest.
    """
    last = len(body.constants) - 1
    now = task.state
    for h in range(len(inputs)):
        at = min(task.k + h, last)
        for c in range(4):
            low, high = body.lowest[at, c], body.highest[at, c]
            u = 0.0
            if 4 * h < len(change):
                u = inputs[h, c] + 0.5 * (high - low) * change[4 * h + c]
                if h > 0 and np.isfinite(wanted[h - 1, 0]):
                    for i in range(12):
                        u -= gain[c, i] * (now[i] - wanted[h - 1, i])
            else:
                for i in range(12):
                    u -= rest_gain[c, i] * now[i]
            changed[h, c] = min(max(u, low), high)
        advance(body.constants[at], now, changed[h], states[h], work)
        now = states[h]


@compiled
def judge(
    task: Task, inputs: Floats, states: Floats, problem: TrackingProblem, soft: Soft, penalty: float
) -> tuple[float, float]:
    """Merit of a flight, and its largest violation of a soft limit in shares of it."""
    horizon, n = states.shape
    last_r = len(problem.R) - 1
    origin = np.zeros(n)  # costs do not depend on where zero is, rounding does
    for i in range(n):
        for axis in range(2):
            origin[i] += problem.C[axis, i] * task.state[i]
    cost, worst, violation = 0.0, 0.0, 0.0
    for h in range(horizon):
        is_end = h == horizon - 1
        weight = problem.P_end if is_end else problem.M
        pull = problem.S_end if is_end else problem.S
        gx = task.goals[h, 0] - (problem.C[0] * origin).sum()
        gy = task.goals[h, 1] - (problem.C[1] * origin).sum()
        cost += 0.5 * problem.alpha * (gx * gx + gy * gy)
        for i in range(n):
            x = states[h, i] - origin[i]
            cost -= x * (pull[i, 0] * gx + pull[i, 1] * gy)
            for j in range(n):
                if weight[i, j] != 0.0:
                    cost += 0.5 * x * weight[i, j] * (states[h, j] - origin[j])
        r = problem.R[min(task.k + h, last_r)]
        for c in range(inputs.shape[1]):
            for d in range(inputs.shape[1]):
                cost += 0.5 * inputs[h, c] * r[c, d] * inputs[h, d]
        for i in range(len(soft.change)):
            excess = abs(_of_state(soft, i, states, h, task.state)) - 1.0
            if excess > 0.0:
                worst = max(worst, excess)
                violation += excess + 0.5 * excess * excess
        for p in range(task.offset.shape[1]):
            depth = task.normal[h, p, 0] * (problem.C[0] * states[h]).sum()
            depth += task.normal[h, p, 1] * (problem.C[1] * states[h]).sum() - task.offset[h, p]
            if depth > 0.0:
                violation += depth + 0.5 * depth * depth
    return task.weight * cost + penalty * violation, worst


@compiled
def _of_state(soft: Soft, i: int, states: Floats, h: int, start: Floats) -> float:
    """What a soft limit is on at step h, in shares of it."""
    total = 0.0
    for part in range(2):
        value = states[h, soft.state[i, part]]
        if soft.change[i]:
            value -= states[h - 1, soft.state[i, part]] if h > 0 else start[soft.state[i, part]]
        total += soft.share[i, part] * value
    return total


@compiled
def linearise_about(
    task: Task, inputs: Floats, states: Floats, body: RigidBody, r: Floats, rest_gain: Floats, sheet: Sheet
) -> None:
    """Derivatives of every step along a plan."""
    last, last_r, free = len(body.constants) - 1, len(r) - 1, len(sheet.gradient) // 4
    now, after = task.state, np.empty(12)
    for h in range(len(inputs)):
        at = min(task.k + h, last)
        slope = linearise(body.constants[at], now, inputs[h], after, sheet.stages)
        for i in range(12):
            for j in range(12):
                total = slope[i, j]
                if h >= free:
                    for c in range(4):
                        total -= slope[i, 12 + c] * rest_gain[c, j]
                sheet.a[h, i, j] = total
            for c in range(4):
                sheet.b[h, i, c] = slope[i, 12 + c] * 0.5 * (body.highest[at, c] - body.lowest[at, c])
        if h >= free:  # the law's own inputs weigh on the state that they answer to
            weight = r[min(task.k + h, last_r)]
            for i in range(12):
                for j in range(12):
                    sheet.pull[h - 1, i, j] = 0.0
                    for c in range(4):
                        for d in range(4):
                            sheet.pull[h - 1, i, j] += rest_gain[c, i] * weight[c, d] * rest_gain[d, j]
        now = states[h]


@compiled
def respond(sheet: Sheet) -> None:
    """Derivatives of all states by the free inputs: one sweep forward."""
    horizon, _, size = sheet.response.shape
    for h in range(horizon):
        reached = min(4 * h, size)
        for i in range(12):
            row = sheet.response[h, i]
            clear(row, reached)
            for j in range(12):
                if h > 0 and sheet.a[h, i, j] != 0.0:
                    add(sheet.a[h, i, j], sheet.response[h - 1, j], row, reached)
            if reached < size:
                for c in range(4):
                    row[reached + c] = sheet.b[h, i, c]


@compiled
def weigh(
    task: Task,
    inputs: Floats,
    states: Floats,
    body: RigidBody,
    problem: TrackingProblem,
    caution: float,
    sheet: Sheet,
) -> None:
    """Hessian and gradient of the cost: one sweep backward, as in `d2oc.control.condensing`.

    The Hessian is also that of `caution` times half of `distance`, whose gradient is zero at the plan.
    """
    horizon, _, size = sheet.response.shape
    last, last_r = len(body.constants) - 1, len(problem.R) - 1
    for h in range(horizon - 1, -1, -1):
        now, later, is_end = h % 2, (h + 1) % 2, h == horizon - 1
        weight = problem.P_end if is_end else problem.M
        pull = problem.S_end if is_end else problem.S
        columns = min(4 * (h + 1), size)
        gx, gy = task.goals[h, 0] - task.state[0], task.goals[h, 1] - task.state[1]
        for i in range(12):
            slope = -pull[i, 0] * gx - pull[i, 1] * gy
            row = sheet.adjoint[now, i]
            clear(row, columns)
            for j in range(12):
                cost = weight[i, j] + sheet.pull[h, i, j]
                slope += cost * states[h, j] - (weight[i, j] * task.state[j] if j < 2 else 0.0)
                cost += caution / task.weight if i == j and 6 <= i < 8 else 0.0
                if cost != 0.0:
                    add(cost, sheet.response[h, j], row, columns)
                if not is_end and sheet.a[h + 1, j, i] != 0.0:
                    slope += sheet.a[h + 1, j, i] * sheet.slope[later, j]
                    add(sheet.a[h + 1, j, i], sheet.adjoint[later, j], row, columns)
            sheet.slope[now, i] = slope
        if 4 * h >= size:
            continue
        at, r = min(task.k + h, last), problem.R[min(task.k + h, last_r)]
        for c in range(4):
            half = 0.5 * (body.highest[at, c] - body.lowest[at, c])
            row, total = sheet.hessian[4 * h + c], 0.0
            clear(row, columns)
            for d in range(4):
                row[4 * h + d] = half * r[c, d] * 0.5 * (body.highest[at, d] - body.lowest[at, d])
                total += half * r[c, d] * inputs[h, d]
            if c == 0:
                row[4 * h] += caution / task.weight * (half / (GRAVITY * body.constants[at, 0])) ** 2
            for i in range(12):
                total += sheet.b[h, i, c] * sheet.slope[now, i]
                add(sheet.b[h, i, c], sheet.adjoint[now, i], row, columns)
            sheet.gradient[4 * h + c] = task.weight * total
            for d in range(columns):
                row[d] *= task.weight
                sheet.hessian[d, 4 * h + c] = row[d]


@compiled
def distance(task: Task, states: Floats, wanted: Floats, change: Floats, body: RigidBody) -> float:
    """How far the program goes from a plan: the squares of what roll, pitch [rad] and thrust [weights] change by.

    It is their products that the linear model does not know.
    """
    total = 0.0
    for h in range(len(states)):
        for i in range(6, 8):
            total += (wanted[h, i] - states[h, i]) ** 2
        if 4 * h < len(change):
            at = min(task.k + h, len(body.constants) - 1)
            half = 0.5 * (body.highest[at, 0] - body.lowest[at, 0])
            total += (half * change[4 * h] / (GRAVITY * body.constants[at, 0])) ** 2
    return total


@compiled
def bound(task: Task, inputs: Floats, states: Floats, body: RigidBody, soft: Soft, sheet: Sheet) -> None:
    """Bounds of the free inputs; soft limits and half-planes as rows. What is out of reach is left without bounds."""
    for h in range(len(sheet.gradient) // 4):
        at = min(task.k + h, len(body.constants) - 1)
        for c in range(4):
            half = 0.5 * (body.highest[at, c] - body.lowest[at, c])
            sheet.low[4 * h + c] = (body.lowest[at, c] - inputs[h, c]) / half
            sheet.high[4 * h + c] = (body.highest[at, c] - inputs[h, c]) / half
    horizon, n_soft, n_planes = len(states), len(soft.change), task.offset.shape[1]
    size = len(sheet.gradient)
    response = sheet.response
    for h in range(horizon):
        count = min(4 * (h + 1), size)
        for i in range(n_soft + n_planes):
            at = h * (n_soft + n_planes) + i
            row = sheet.matrix[at]
            if i < n_soft:
                sheet.value[at] = _of_state(soft, i, states, h, task.state)
                low, high = INSIDE - 1.0, 1.0 - INSIDE
                clear(row, count)
                for part in range(2):
                    column, share = soft.state[i, part], soft.share[i, part]
                    if share != 0.0:
                        add(share, response[h, column], row, count)
                        if soft.change[i] and h > 0:
                            add(-share, response[h - 1, column], row, min(4 * h, size))
            else:
                p = i - n_soft
                nx, ny = task.normal[h, p, 0], task.normal[h, p, 1]
                sheet.value[at] = nx * states[h, 0] + ny * states[h, 1]
                low, high = -NO_BOUND, task.offset[h, p] - INSIDE_M
                clear(row, count)
                add(nx, response[h, 0], row, count)
                add(ny, response[h, 1], row, count)
            far = 0.0
            for c in range(count):
                far += abs(row[c]) * max(sheet.high[c], -sheet.low[c])
            reached = far > UNREACHED
            value = sheet.value[at]
            sheet.low[size + at] = low - value if reached and value - far < low else -NO_BOUND
            sheet.high[size + at] = high - value if reached and value + far > high else NO_BOUND


@compiled
def promise(sheet: Sheet, change: Floats, penalty: float) -> float:
    """Decrease of the merit that the program promises."""
    size = len(change)
    gain = 0.0
    for i in range(size):
        total = 0.0
        for j in range(size):
            total += sheet.hessian[i, j] * change[j]
        gain -= change[i] * (sheet.gradient[i] + 0.5 * total)
    for r in range(len(sheet.value)):
        low, high = sheet.low[size + r], sheet.high[size + r]
        if low == -NO_BOUND and high == NO_BOUND:
            continue
        low, high = low - sheet.inside[r], high + sheet.inside[r]
        move = 0.0
        for j in range(size):
            move += sheet.matrix[r, j] * change[j]
        before, after = max(low, -high, 0.0), max(low - move, move - high, 0.0)
        gain += penalty * (before + 0.5 * before * before - after - 0.5 * after * after)
    return gain


@compiled
def correct(task: Task, states: Floats, change: Floats, soft: Soft, sheet: Sheet) -> None:
    """Shift the bounds of the rows by what a flight missed of what the program expected of a change."""
    horizon, n_soft, n_planes = len(states), len(soft.change), task.offset.shape[1]
    size = len(change)
    for h in range(horizon):
        for i in range(n_soft + n_planes):
            at = h * (n_soft + n_planes) + i
            if sheet.low[size + at] == -NO_BOUND and sheet.high[size + at] == NO_BOUND:
                continue
            if i < n_soft:
                missed = _of_state(soft, i, states, h, task.state)
            else:
                p = i - n_soft
                missed = task.normal[h, p, 0] * states[h, 0] + task.normal[h, p, 1] * states[h, 1]
            missed -= sheet.value[at]
            for c in range(min(4 * (h + 1), size)):
                missed -= sheet.matrix[at, c] * change[c]
            if sheet.low[size + at] > -NO_BOUND:
                sheet.low[size + at] -= missed
            if sheet.high[size + at] < NO_BOUND:
                sheet.high[size + at] -= missed
