"""The peer: one agent-step as the published code does it, in NumPy, with a full sort and a dense KKT system.

The same selection, control, update and sharing rules with the same result, written with whole-array operations:
all samples sorted twice, the KKT matrix of the horizon built once and solved anew every step, one dense ledger a
writer.
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.closed_form import TrackingProblem


class PublishedTeam:
    """A team in official mode, stepped the published way."""

    def __init__(
        self, points: Floats, initial_states: Floats, problem: TrackingProblem, horizon: int, comm_range: float
    ) -> None:
        n_agents, n = len(initial_states), len(points)
        self.points = points
        self.beta = np.full(n, 1.0 / n)
        self.state = initial_states.copy()
        self.problem = problem
        self.horizon = horizon
        self.comm_range = comm_range
        self.ledger = np.zeros((n_agents, n_agents, n))
        self.stamp = np.zeros((n_agents, n_agents), np.int64)
        self.weight = np.tile(self.beta, (n_agents, 1))
        self.clock = 0
        self._kkt = _kkt_matrix(problem, horizon)

    def step_agent(self, r: int) -> None:
        """Stages A, B and C of one agent, with its move in between."""
        position = self.problem.C @ self.state[r]
        if not (self.weight[r] > 0).any():
            return
        goal = self._select(r, position)
        command = self._control(self.state[r], goal)
        self.state[r] = self.problem.A[0] @ self.state[r] + self.problem.B[0] @ command
        self._update(r, self.problem.C @ self.state[r])
        self._share(r)

    def _select(self, r: int, position: Floats) -> Floats:
        left = np.flatnonzero(self.weight[r] > 0)
        weight = self.weight[r, left]
        key = ((self.points[left] - position) ** 2).sum(axis=1) / weight**2
        order = np.argsort(key, kind="stable")
        filled = np.cumsum(weight[order])
        alpha = self.problem.alpha
        last = min(int(np.searchsorted(filled, alpha)), len(order) - 1)
        taken = weight[order[: last + 1]].copy()
        taken[last] = alpha - (filled[last - 1] if last else 0.0)
        goal: Floats = taken @ self.points[left[order[: last + 1]]] / alpha
        return goal

    def _control(self, state: Floats, goal: Floats) -> Floats:
        n, m = self.problem.B.shape[1:]
        horizon = self.horizon
        right = np.zeros(len(self._kkt))
        right[: horizon * n] = np.tile(self.problem.alpha * self.problem.C.T @ goal, horizon)
        start = horizon * (n + m)
        right[start : start + n] = -self.problem.A[0] @ state
        solution = np.linalg.solve(self._kkt, right)
        return np.asarray(solution[horizon * n : horizon * n + m])

    def _update(self, r: int, position: Floats) -> None:
        left = np.flatnonzero(self.weight[r] > 0)
        weight = self.weight[r, left]
        order = np.argsort(((self.points[left] - position) ** 2).sum(axis=1), kind="stable")
        filled = np.cumsum(weight[order])
        last = min(int(np.searchsorted(filled, self.problem.alpha)), len(order) - 1)
        taken = weight[order[: last + 1]].copy()
        taken[last] = min(taken[last], self.problem.alpha - (filled[last - 1] if last else 0.0))
        self.ledger[r, r, left[order[: last + 1]]] += taken
        self.clock += 1
        self.stamp[r, r] = self.clock
        self._believe(r)

    def _share(self, r: int) -> None:
        position = self.state @ self.problem.C.T
        for q in range(len(self.state)):
            if q == r or np.hypot(*(position[r] - position[q])) >= self.comm_range:
                continue
            newer = self.stamp[q] > self.stamp[r]
            older = self.stamp[q] < self.stamp[r]
            self.ledger[r, newer], self.stamp[r, newer] = self.ledger[q, newer], self.stamp[q, newer]
            self.ledger[q, older], self.stamp[q, older] = self.ledger[r, older], self.stamp[r, older]
            self._believe(r)
            self._believe(q)

    def _believe(self, r: int) -> None:
        self.weight[r] = np.maximum(0.0, self.beta - self.ledger[r].sum(axis=0))


def _kkt_matrix(problem: TrackingProblem, horizon: int) -> Floats:
    n, m = problem.B.shape[1:]
    size = horizon * (2 * n + m)
    matrix = np.zeros((size, size))
    for h in range(horizon):
        x = slice(h * n, (h + 1) * n)
        u = slice(horizon * n + h * m, horizon * n + (h + 1) * m)
        y = slice(horizon * (n + m) + h * n, horizon * (n + m) + (h + 1) * n)
        matrix[x, x] = problem.alpha * problem.C.T @ problem.C + problem.Q
        matrix[u, u] = problem.R[0]
        matrix[y, x] = -np.eye(n)
        matrix[y, u] = problem.B[0]
        if h > 0:
            matrix[y, slice((h - 1) * n, h * n)] = problem.A[0]
    lower = matrix[horizon * (n + m) :, : horizon * (n + m)]
    matrix[: horizon * (n + m), horizon * (n + m) :] = lower.T
    return matrix
