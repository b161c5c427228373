r"""The control step of a unicycle: the problem of stage A with input limits, by sequential convexification [1]_.

.. math::
    \min_u \tfrac12 \sum_{h=1}^{H} |p_h - g_h|^2 + \tfrac12 \sum_{h=0}^{H-1} (u_h)^T (R / \alpha)\, u_h, \qquad
    x_{h+1} = f(x_h, u_h), \quad |u_h| \le u_{max}

which is eq. (14) of [2]_ over alpha, without Q. In each round f is linearised about the last plan, the convex program
is solved within the limits and a trust region, and its plan is driven by f itself: it is taken if it lowers the true
cost; how much of what was promised it does sets the next trust region. So the cost never rises and the plan is always
one that can be driven. A rover at rest that looks past its goal is at a stationary point, so rounds begin from the
better of two plans: the last one, a step on, and a pursuit that turns to its goal and drives there.

References
----------
.. [1] Y. Mao, M. Szmuk and B. Acikmese, "Successive convexification of non-convex optimal control problems and its
   convergence properties", IEEE CDC 2016. :doi:`10.1109/CDC.2016.7798816`
.. [2] S. Seo and K. Lee, IEEE Trans. SMC: Systems, 2025. :doi:`10.1109/TSMC.2025.3622075`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.compiled import compiled
from d2oc.control.active_set import ActiveSetSolver, Quadratic
from d2oc.control.controller import Controller, Crew
from d2oc.control.d2oc import Team
from d2oc.control.pilot import Brief
from d2oc.transport.nearest_mass import SampleTree
from d2oc.vehicles.unicycle import arc, arc_jacobians

MOST_ROUNDS = 12
FIRST_TRUST = 0.5
"""Inputs move at most by this share of their limits in the first round."""
SMALLEST_TRUST = 1e-3
GOOD, BAD = 0.75, 0.25
"""Shares of the promised decrease above which the trust region grows, below which it shrinks."""
NO_GAIN = 1e-6
"""Rounds end when the cost falls by less than this share."""


class Plan(NamedTuple):
    """What is driven over the horizon."""

    inputs: Floats
    """Speed and turn rate, shape (H, 2)."""
    states: Floats
    """States 1 to H, shape (H, 3)."""
    cost: float
    rounds: int


@dataclass(frozen=True)
class Rover:
    """A unicycle and its weights."""

    time_step: float
    """[s]"""
    horizon: int
    """Steps looked ahead, H."""
    limit: tuple[float, float]
    """Largest speed and turn rate. [m/s, rad/s]"""
    effort: tuple[float, float]
    """Weights of speed and turn rate over alpha. [s^2, m^2 s^2]"""


class ConvexifiedStep:
    """The control step of one kind of rover; answers depend on the arguments alone."""

    def __init__(self, rover: Rover) -> None:
        n = 2 * rover.horizon
        self._rover = rover
        self._effort = np.tile(rover.effort, rover.horizon)
        self._limit = np.tile(rover.limit, rover.horizon)
        self._program = Quadratic(
            np.eye(n), np.zeros(n), np.zeros((0, n)), np.ones(n), -np.ones(n), np.zeros(n, np.int32)
        )
        self._solver = ActiveSetSolver(self._program, 1.0)
        self._slope = np.zeros((rover.horizon, 2, n))

    def solve(self, state: Floats, goals: Floats, last: Floats | None = None) -> Plan:
        """Plan from a state.

        Parameters
        ----------
        state : ndarray, shape (3,)
            x, y, heading now.
        goals : ndarray, shape (H, 2)
            Goal of each of the steps 1 to H. [m]
        last : ndarray, shape (H, 2), optional
            Inputs of the plan of one step ago.

        Returns
        -------
        plan : Plan
        """
        plan = self._drive(state, goals, self._pursuit(state, goals))
        if last is not None:
            plan = min(self._drive(state, goals, np.vstack([last[1:], last[-1:]])), plan, key=lambda p: p.cost)
        trust = FIRST_TRUST
        for rounds in range(1, MOST_ROUNDS + 1):
            change, promised = self._convex(state, goals, plan, trust)
            new = self._drive(state, goals, np.clip(plan.inputs + change, -self._bounds, self._bounds))
            gain = plan.cost - new.cost
            small = promised <= NO_GAIN * plan.cost
            trust *= 2.0 if gain > GOOD * promised else (0.3 if gain < BAD * promised else 1.0)
            if gain > 0.0:
                plan = new
            plan = plan._replace(rounds=rounds)
            if small or trust < SMALLEST_TRUST:
                break
        return plan

    @property
    def _bounds(self) -> Floats:
        return np.array(self._rover.limit)

    def _drive(self, state: Floats, goals: Floats, inputs: Floats) -> Plan:
        states = np.empty((len(inputs), 3))
        _follow(state, inputs, self._rover.time_step, states)
        away = ((states[:, :2] - goals) ** 2).sum()
        return Plan(inputs, states, 0.5 * float(away + (self._effort * inputs.ravel() ** 2).sum()), 0)

    def _convex(self, state: Floats, goals: Floats, plan: Plan, trust: float) -> tuple[Floats, float]:
        """Change of the inputs that the program linearised about a plan asks for, and the decrease it promises."""
        program, inputs = self._program, plan.inputs.ravel()
        _linearise(state, plan.states, plan.inputs, self._rover.time_step, self._slope)
        slope = self._slope.reshape(-1, len(inputs))
        program.hessian[:] = slope.T @ slope + np.diag(self._effort)
        program.gradient[:] = slope.T @ (plan.states[:, :2] - goals).ravel() + self._effort * inputs
        program.high[:] = np.minimum(trust * self._limit, self._limit - inputs)
        program.low[:] = np.maximum(-trust * self._limit, -self._limit - inputs)
        solution = self._solver.solve()
        change = np.zeros_like(inputs) if solution.reason else solution.inputs
        promised = -(program.gradient @ change + 0.5 * change @ program.hessian @ change)
        return change.reshape(-1, 2), float(promised)

    def _pursuit(self, state: Floats, goals: Floats) -> Floats:
        """Turn to the goal as fast as allowed, drive as fast as it lies ahead."""
        inputs = np.empty_like(goals)
        _pursue(state, goals, self._rover.time_step, *self._rover.limit, inputs)
        return inputs


@compiled
def _follow(state: Floats, inputs: Floats, time_step: float, states: Floats) -> None:
    now = state
    for h in range(len(inputs)):
        arc(now, inputs[h, 0], inputs[h, 1], time_step, states[h])
        now = states[h]


@compiled
def _linearise(state: Floats, states: Floats, inputs: Floats, time_step: float, slope: Floats) -> None:
    """Derivatives of the positions of steps 1 to H by all inputs, shape (H, 2, 2 H)."""
    horizon = len(inputs)
    by_state, by_command = np.empty((3, 3)), np.empty((3, 2))
    whole = np.zeros((3, 2 * horizon))
    now = state
    for h in range(horizon):
        arc_jacobians(now, inputs[h, 0], inputs[h, 1], time_step, by_state, by_command)
        for j in range(2 * h):  # only the heading acts on what follows
            whole[0, j] += by_state[0, 2] * whole[2, j]
            whole[1, j] += by_state[1, 2] * whole[2, j]
        whole[:, 2 * h : 2 * h + 2] = by_command
        slope[h] = whole[:2]
        now = states[h]


@compiled
def _pursue(
    state: Floats, goals: Floats, time_step: float, max_speed: float, max_turn_rate: float, inputs: Floats
) -> None:
    now, after = state.copy(), np.empty(3)
    for h in range(len(goals)):
        dx, dy = goals[h, 0] - now[0], goals[h, 1] - now[1]
        turn = np.arctan2(dy, dx) - now[2]
        turn = np.arctan2(np.sin(turn), np.cos(turn))
        ahead = np.sqrt(dx * dx + dy * dy) * max(0.0, np.cos(turn))
        inputs[h, 0] = min(max_speed, ahead / time_step)
        inputs[h, 1] = min(max(turn / time_step, -max_turn_rate), max_turn_rate)
        arc(now, inputs[h, 0], inputs[h, 1], time_step, after)
        now[:] = after


class ConvexifiedLaw:
    """Another law says where to go and what is consumed; rovers drive there; see `d2oc.control.controller.Controller`.

    Parameters
    ----------
    inner : Controller
        Of the whole team.
    rovers : sequence of Rover or None
        One an agent; None for agents that the inner law steers itself.
    """

    def __init__(self, inner: Controller, rovers: Sequence[Rover | None]) -> None:
        self._inner = inner
        steps = {rover: ConvexifiedStep(rover) for rover in rovers if rover is not None}
        self._rovers = rovers
        self._steps = [None if rover is None else steps[rover] for rover in rovers]
        self._last: list[Floats | None] = [None] * len(rovers)

    def decide(self, k: int, crew: Crew) -> None:
        """Goals of the inner law, and inputs of every rover."""
        self._inner.decide(k, crew)
        team = crew.team
        for r, (rover, step) in enumerate(zip(self._rovers, self._steps, strict=True)):
            if rover is not None and step is not None and team.active[r]:
                goals = self._inner.preview(r, k, rover.horizon, crew)
                plan = step.solve(np.ascontiguousarray(team.state[r, :3]), goals, self._last[r])
                self._last[r] = plan.inputs
                team.input[r] = 0.0
                team.input[r, :2] = plan.inputs[0]

    def account(self, k: int, first: int, crew: Crew) -> int:
        """Stage B of the inner law."""
        return self._inner.account(k, first, crew)

    def hear(self, k: int, sender: Ints, receiver: Ints, before: Floats, crew: Crew) -> None:
        """As the inner law."""
        self._inner.hear(k, sender, receiver, before, crew)

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """As the inner law."""
        return self._inner.preview(r, k, horizon, crew)

    def briefs(self, tree: SampleTree, weight: Floats, team: Team) -> list[Brief] | None:
        """None: rovers are steered from one process."""
        return None

    @property
    def flies_to_the_end(self) -> bool:
        """As the inner law."""
        return self._inner.flies_to_the_end

    @property
    def memory_bytes(self) -> int:
        """Last plans, and memory of the inner law."""
        return self._inner.memory_bytes + sum(plan.nbytes for plan in self._last if plan is not None)
