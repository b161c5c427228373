r"""Stage A, control, with the limits inside the optimisation.

The cost of :mod:`d2oc.control.closed_form`, with

- hard limits on the input (a box; a disc as an inscribed polygon),
- soft limits with an exact penalty on speed, tilt and tilt rate,
- half-planes on the position at each step, soft or hard, for zones, the field's edge and other drones.

The states are eliminated and a dual active-set method solves for the inputs. Axes that do not act on each other are
solved apart, unless a half-plane that binds couples them.

The cost is scaled so that standing still costs 1 (see `standing_cost`), and every limit is 1. The multipliers of the
soft limits then add up to at most (cost of a plan strictly inside its limits - least cost) / (the share of the limits
this plan leaves free) [1]_. Hence the penalty's weight of 10^3: it is exact, and soft limits are met, as soon as some
plan that costs no more than standing still leaves 10^-3 of each limit free (of half-planes: 10^-3 m).

References
----------
.. [1] J.-B. Hiriart-Urruty and C. Lemaréchal, Convex Analysis and Minimization Algorithms I, 1993, ch. VII.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.constraint_rows import columns
from d2oc.control.half_planes import HalfPlanes, no_half_planes
from d2oc.control.limit_rows import POLYGON_SIDES, limit_rows
from d2oc.control.program import NOT_FINITE, Plan, Program, intrusion
from d2oc.control.stopping import stopping_problem
from d2oc.vehicles.linear import LinearModel

PENALTY = 1e3
"""Cost of exceeding a limit by all of it, in units of the cost of standing still; per metre for half-planes."""

TOLERANCE_M = 1e-6
"""A hard half-plane violated by less counts as met. [m]"""


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """A command that is optimal within the limits."""

    input: Floats
    """Command of this step, within the hard limits, shape (m,)."""
    inputs: Floats
    """Planned inputs, shape (H, m)."""
    predicted_states: Floats
    """States 1 to H of the plan, shape (H, n)."""
    iterations: int
    """Changes of the active set."""
    active_set: Ints
    """Active constraints, shape (H, c): 1 at the upper, -1 at the lower bound; starts the next step."""
    excess: float
    """Largest violation of a soft limit in the plan, in shares of the limit; 0 if all are met."""
    intrusion_m: float
    """Largest violation of a half-plane in the plan; 0 if all are met. [m]"""
    reason: str = ""
    """Always empty."""


@dataclass(frozen=True, eq=False, slots=True)
class Infeasible:
    """No command meets the hard limits and half-planes, or the solver failed: the fallback brakes."""

    input: Floats
    """Braking command within the hard limits, shape (m,); zero if even that was not found."""
    inputs: Floats
    """Planned inputs while braking, shape (H, m)."""
    predicted_states: Floats
    """States 1 to H while braking, shape (H, n)."""
    reason: str
    """What could not be met, in words."""
    iterations: int = 0
    """Changes of the active set."""
    active_set: None = None
    """None: the next step starts from no active constraint."""


StepResult = Solved | Infeasible


class ConstrainedStep:
    """The constrained optimal control step of one kind of vehicle; all working memory is allocated here.

    Answers depend on the arguments of `solve` alone, not on earlier calls: agents with the same vehicle can share one.
    It cannot be pickled: each process makes its own. Its arrays grow with H^2 (0.3 MB at H = 30, 3 MB at H = 100, twice
    that with half-planes).

    Parameters
    ----------
    problem : TrackingProblem
        Model and weights.
    model : LinearModel
        The same model with its limits.
    horizon : int
        Steps looked ahead, H.
    n_half_planes : int
        Half-planes at each step, P.
    sides : int
        Sides of the polygons inscribed in the discs of norm limits.
    penalty : float
        Weight of the soft limits, see `PENALTY`.
    """

    def __init__(
        self,
        problem: TrackingProblem,
        model: LinearModel,
        horizon: int,
        n_half_planes: int = 0,
        *,
        sides: int = POLYGON_SIDES,
        penalty: float = PENALTY,
    ) -> None:
        self.horizon = horizon
        self.n_half_planes = n_half_planes
        self._positions = problem.C
        limits = limit_rows(model, sides)
        held = columns(limits, n_half_planes)
        self._shape = (horizon, held.half_planes)
        self._state = np.zeros(model.n_states)
        self._goals = np.zeros((horizon, 2))
        self._nowhere = np.zeros((horizon, 2))
        self._no_planes = no_half_planes(horizon)
        self._planes = HalfPlanes(
            np.zeros((horizon, n_half_planes, 2)),
            np.zeros((horizon, n_half_planes)),
            np.zeros(n_half_planes, np.bool_),
        )
        self._free = Program(problem, limits, horizon, 0, held, penalty)
        self._stop = Program(stopping_problem(problem, model), limits, horizon, 0, held, penalty)
        self._fenced = self._free
        if n_half_planes:
            self._fenced = Program(problem, limits, horizon, n_half_planes, held, penalty, self._free)

    def solve(
        self,
        k: int,
        state: Floats,
        goals: Floats,
        half_planes: HalfPlanes | None = None,
        start: Ints | None = None,
    ) -> StepResult:
        """Command of step k.

        Parameters
        ----------
        k : int
            Step of the mission at which the horizon begins.
        state : ndarray, shape (n,)
            State now.
        goals : ndarray, shape (H, 2)
            Goal of each of the states 1 to H, local ENU. [m]
        half_planes : HalfPlanes, optional
            At most as many as the memory was allocated for.
        start : ndarray of int32, shape (H, c), optional
            `active_set` of the last result; a guess that may make the solution faster, not different.

        Returns
        -------
        result : Solved or Infeasible
            Never an exception from the solver.
        """
        self._state[:], self._goals[:] = state, goals
        guess = self._one_step_on(start)
        # The optimum without half-planes is the optimum with them if it happens to meet them.
        plan = self._free.solve(k, self._state, self._goals, self._no_planes, guess)
        if half_planes is None or plan.reason:
            return self._judge(k, plan, self._no_planes)
        planes = self._held(half_planes)
        if not _well_formed(planes):
            return self._brake(k, "a half-plane is not made of finite numbers", plan.iterations)
        if intrusion(planes.normal, planes.offset, self._positions, plan.states) > 0.0:
            before = plan.iterations
            plan = self._fenced.solve(k, self._state, self._goals, planes, guess)
            plan = plan._replace(iterations=plan.iterations + before)
        return self._judge(k, plan, planes)

    def _held(self, half_planes: HalfPlanes) -> HalfPlanes:
        """Half-planes in the memory set aside for them; the rest of it says "no half-plane"."""
        count = len(half_planes.hard)
        if count > self.n_half_planes:
            raise ValueError(f"{count} half-planes a step, memory was set aside for {self.n_half_planes}")
        self._planes.normal[:, :count] = half_planes.normal
        self._planes.offset[:, :count] = half_planes.offset
        self._planes.offset[:, count:] = np.inf
        self._planes.hard[:count] = half_planes.hard
        return self._planes

    def _one_step_on(self, start: Ints | None) -> Ints:
        """The active set of the last step, seen from one step later."""
        if start is None or start.shape != self._shape:
            return np.zeros(self._shape, np.int32)
        return np.concatenate([start[1:], start[-1:]])

    def _judge(self, k: int, plan: Plan, planes: HalfPlanes) -> StepResult:
        if plan.reason == NOT_FINITE:
            return self._rest(plan.reason)
        if plan.reason:
            return self._brake(k, plan.reason, plan.iterations)
        if planes is self._no_planes:
            return _solved(plan, 0.0)
        depth = intrusion(planes.normal, planes.offset, self._positions, plan.states)
        if depth > TOLERANCE_M and planes.hard.any():
            of_hard = np.where(planes.hard, planes.offset, np.inf)
            too_deep = intrusion(planes.normal, of_hard, self._positions, plan.states)
            if too_deep > TOLERANCE_M:
                reason = f"a hard half-plane is violated by {too_deep:.3g} m before any input moves the vehicle"
                return self._brake(k, reason, plan.iterations)
        return _solved(plan, depth)

    def _brake(self, k: int, reason: str, iterations: int) -> Infeasible:
        """Come to rest within the limits of the vehicle, without half-planes."""
        plan = self._stop.solve(k, self._state, self._nowhere, self._no_planes, np.zeros(self._shape, np.int32))
        if plan.reason:
            return self._rest(f"{reason}; braking: {plan.reason}")
        return Infeasible(plan.inputs[0], plan.inputs, plan.states, reason, iterations + plan.iterations)

    def _rest(self, reason: str) -> Infeasible:
        """No input at all, when nothing better is known; what follows is not predicted."""
        inputs, states = self._free.empty_plan()
        return Infeasible(inputs[0], inputs, np.full_like(states, np.nan), reason)


def _solved(plan: Plan, depth: float) -> Solved:
    return Solved(plan.inputs[0], plan.inputs, plan.states, plan.iterations, plan.active, plan.excess, depth)


def _well_formed(planes: HalfPlanes) -> bool:
    """Normals are finite, offsets are finite or +inf."""
    return bool(np.isfinite(planes.normal).all() and (planes.offset > -np.inf).all())
