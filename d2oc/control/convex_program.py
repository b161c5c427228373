"""The constrained problem as a convex program, stated in cvxpy: readable, general, and slow.

It is the reference that :mod:`d2oc.control.constrained` is tested against, and solves what that one only approximates:
limits on Euclidean norms as second-order cones. This is the one place that names cvxpy.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.constrained import PENALTY
from d2oc.control.half_planes import HalfPlanes, no_half_planes
from d2oc.control.limit_rows import POLYGON_SIDES, limit_rows
from d2oc.control.program import end_weight, standing_cost
from d2oc.errors import MissingExtraError
from d2oc.vehicles.linear import LinearModel

try:
    import cvxpy
except ImportError as missing:
    raise MissingExtraError("stating the control problem in cvxpy needs cvxpy", "convex") from missing

cp: Any = cvxpy  # its functions carry no types


class Optimum(NamedTuple):
    """What cvxpy found."""

    inputs: Floats
    """Shape (H, m)."""
    states: Floats
    """States 1 to H, shape (H, n)."""
    status: str
    """`optimal`, `optimal_inaccurate`, or what cvxpy says instead; then inputs and states are NaN."""


class ConvexProgram:
    """The problem of `ConstrainedStep`, stated once with parameters (DPP) and solved for any step.

    Parameters
    ----------
    problem, model, horizon, n_half_planes, sides, penalty
        As for `ConstrainedStep`.
    exact_norms : bool
        Limits on norms as cones; False: as the same inscribed polygons.
    """

    def __init__(
        self,
        problem: TrackingProblem,
        model: LinearModel,
        horizon: int,
        n_half_planes: int = 0,
        *,
        exact_norms: bool = True,
        sides: int = POLYGON_SIDES,
        penalty: float = PENALTY,
    ) -> None:
        n, m = problem.B.shape[1:]
        self._problem, self._model, self._horizon = problem, model, horizon
        self._exact_norms, self._sides, self._penalty = exact_norms, sides, penalty
        self._x, self._u = cp.Variable((horizon + 1, n)), cp.Variable((horizon, m))
        self._start = cp.Parameter(n)
        self._a = [cp.Parameter((n, n)) for _ in range(horizon)]
        self._b = [cp.Parameter((n, m)) for _ in range(horizon)]
        self._state_root = [cp.Parameter((n, n)) for _ in range(horizon)]
        self._input_root = [cp.Parameter((m, m)) for _ in range(horizon)]
        self._pull = cp.Parameter((horizon, n))
        self._normal = [cp.Parameter((n_half_planes, n)) for _ in range(horizon)] if n_half_planes else []
        self._offset: Any = cp.Parameter((horizon, n_half_planes)) if n_half_planes else None
        self._hard: Flags = np.zeros(n_half_planes, np.bool_)
        self._program = self._state()

    def _state(self) -> Any:
        """The program itself."""
        x, u = self._x, self._u
        rules = [x[0] == self._start]
        cost = 0
        for h in range(self._horizon):
            rules += [x[h + 1] == self._a[h] @ x[h] + self._b[h] @ u[h]]
            cost += cp.sum_squares(self._state_root[h] @ x[h + 1]) / 2 - self._pull[h] @ x[h + 1]
            cost += cp.sum_squares(self._input_root[h] @ u[h]) / 2
        rules += self._input_limits()
        excess = self._state_excess()
        for h, normal in enumerate(self._normal):
            beyond = normal @ x[h + 1] - self._offset[h]
            soft, hard = np.flatnonzero(~self._hard), np.flatnonzero(self._hard)
            excess += [beyond[soft]] if len(soft) else []
            rules += [beyond[hard] <= 0] if len(hard) else []
        for beyond in excess:
            slack = cp.Variable(beyond.shape, nonneg=True)
            rules += [beyond <= slack]
            cost += self._penalty * (cp.sum(slack) + cp.sum_squares(slack) / 2)
        return cp.Problem(cp.Minimize(cost), rules)

    def _input_limits(self) -> list[Any]:
        limits, u = self._model.limits, self._u
        if self._exact_norms and np.isfinite(limits.input_norm):
            return [cp.norm(u, axis=1) <= limits.input_norm]
        rows = limit_rows(self._model, self._sides)
        limited = np.flatnonzero(np.isfinite(rows.input_each))
        rules = [cp.abs(u[:, i]) <= rows.input_each[i] for i in limited]
        return rules + ([cp.abs(u @ rows.input_rows.T) <= 1] if len(rows.input_rows) else [])

    def _state_excess(self) -> list[Any]:
        """What the penalty acts on: limits exceeded, in shares of the limit."""
        limits, x = self._model.limits, self._x[1:]
        rows = limit_rows(self._model, self._sides)
        names = np.array(rows.state_names)
        if self._exact_norms and np.isfinite(limits.speed_norm) and self._model.velocity_states:
            speed = cp.norm(x[:, list(self._model.velocity_states)], axis=1)
            others = rows.state_rows[names != "speed"]
            return [speed / limits.speed_norm - 1] + ([cp.abs(x @ others.T) - 1] if len(others) else [])
        return [cp.abs(x @ rows.state_rows.T) - 1] if len(rows.state_rows) else []

    def solve(
        self,
        k: int,
        state: Floats,
        goals: Floats,
        half_planes: HalfPlanes | None = None,
        solver: str = "CLARABEL",
        **settings: float,
    ) -> Optimum:
        """Optimum of step k.

        Parameters
        ----------
        k, state, goals, half_planes
            As for `ConstrainedStep.solve`.
        solver : str
            A solver of cvxpy.
        **settings
            Passed on to the solver.

        Returns
        -------
        optimum : Optimum
        """
        self._set(k, state, goals, half_planes or no_half_planes(self._horizon))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the status says so too
                self._program.solve(solver=solver, **settings)
        except cp.error.SolverError as failure:
            return self._nothing(f"failed: {failure}")
        if self._u.value is None:
            return self._nothing(str(self._program.status))
        return Optimum(self._u.value.copy(), self._x.value[1:].copy(), str(self._program.status))

    def _nothing(self, status: str) -> Optimum:
        return Optimum(np.full(self._u.shape, np.nan), np.full((self._horizon, self._x.shape[1]), np.nan), status)

    def _set(self, k: int, state: Floats, goals: Floats, planes: HalfPlanes) -> None:
        problem, last = self._problem, self._horizon - 1
        x, y = problem.C @ state
        scale = standing_cost(problem.alpha, end_weight(problem), x, y, goals)
        self._start.value = state
        self._pull.value = np.array(
            [(problem.S_end if h == last else problem.S) @ goal / scale for h, goal in enumerate(goals)]
        )
        for h in range(self._horizon):
            self._a[h].value = problem.A[min(k + h, len(problem.A) - 1)]
            self._b[h].value = problem.B[min(k + h, len(problem.B) - 1)]
            self._state_root[h].value = _root((problem.P_end if h == last else problem.M) / scale)
            self._input_root[h].value = _root(problem.R[min(k + h, len(problem.R) - 1)] / scale)
        self._set_half_planes(planes)

    def _set_half_planes(self, planes: HalfPlanes) -> None:
        if self._offset is None:
            return
        if (planes.hard != self._hard).any():  # which rules are hard is part of the statement
            self._hard = planes.hard.copy()
            self._program = self._state()
        # A parameter cannot be infinite: "no half-plane" is stated as 0 <= 1.
        is_there = np.isfinite(planes.offset)
        self._offset.value = np.where(is_there, planes.offset, 1.0)
        for h, parameter in enumerate(self._normal):
            parameter.value = is_there[h, :, None] * planes.normal[h] @ self._problem.C


def _root(weight: Floats) -> Floats:
    """L with L' L = weight, for a weight that may be singular."""
    value, vector = np.linalg.eigh(weight)
    return np.sqrt(np.maximum(value, 0.0))[:, None] * vector.T
