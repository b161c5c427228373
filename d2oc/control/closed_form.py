r"""Stage A, control: the finite-horizon problem in closed form, by a Riccati recursion.

.. math::
    \min_{u_0 \dots u_{H-1}} \tfrac12 \sum_{h=1}^{H} \left[ \alpha |C x_h - g_h|^2 + x_h^T Q x_h \right]
    + \tfrac12 \sum_{h=0}^{H-1} u_h^T R_h u_h, \qquad x_{h+1} = A_h x_h + B_h u_h

eq. (14) of [1]_. The published code solves the KKT system of this problem; the backward recursion here gives
the same inputs in O(H): with :math:`V_h(x) = \tfrac12 x^T P_h x - x^T s_h`,

.. math::
    S_h = R_h + B_h^T P_{h+1} B_h, \quad K_h = S_h^{-1} B_h^T P_{h+1} A_h, \quad
    u_h = -K_h x_h + S_h^{-1} B_h^T s_{h+1},

    P_h = M + A_h^T P_{h+1} A_h - (B_h^T P_{h+1} A_h)^T K_h, \quad
    s_h = \alpha C^T g_h + A_h^T s_{h+1} - K_h^T B_h^T s_{h+1}, \quad M = \alpha C^T C + Q.

References
----------
.. [1] S. Seo and K. Lee, IEEE Trans. SMC: Systems, 2025. :doi:`10.1109/TSMC.2025.3622075`
.. [2] B. D. O. Anderson and J. B. Moore, Optimal Control: Linear Quadratic Methods, 1990, ch. 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2oc.compiled import compiled

Floats = NDArray[np.float64]


class TrackingProblem(NamedTuple):
    """The optimal control problem of one vehicle; A, B and R may have one entry (time invariant) or many."""

    A: Floats
    """State matrices, shape (K, n, n)."""
    B: Floats
    """Input matrices, shape (K, n, m)."""
    C: Floats
    """Output matrix, shape (2, n)."""
    Q: Floats
    """State weight, shape (n, n)."""
    R: Floats
    """Input weights, shape (K, m, m)."""
    alpha: float
    """Weight of the squared distance to the goal: the mass of one step."""
    P_end: Floats
    """Weight of the last state, shape (n, n): M, or the infinite-horizon cost."""
    S_end: Floats
    """Maps the last goal to the linear term of the last state, shape (n, 2)."""


class Recursion(NamedTuple):
    """Working memory and result of the backward recursion over H steps."""

    K: Floats
    """Feedback gains, shape (H, m, n)."""
    feedforward: Floats
    """Inputs at the zero state, shape (H, m)."""
    P: Floats
    AP: Floats
    BP: Floats
    BPA: Floats
    S: Floats
    s: Floats
    s_next: Floats
    Bs: Floats


def recursion(horizon: int, n: int, m: int) -> Recursion:
    """Working memory for a horizon of H steps, n states and m inputs."""
    return Recursion(
        np.empty((horizon, m, n)), np.empty((horizon, m)), np.empty((n, n)), np.empty((n, n)),
        np.empty((m, n)), np.empty((m, n)), np.empty((m, m)), np.empty(n), np.empty(n), np.empty(m),
    )  # fmt: skip


@compiled
def solve_closed_form(
    problem: TrackingProblem, k: int, state: Floats, goals: Floats, work: Recursion, inputs: Floats
) -> None:
    """Optimal inputs over the horizon from step k on.

    Parameters
    ----------
    problem : TrackingProblem
        Model and weights.
    k : int
        Step of the mission at which the horizon begins (chooses A_k, B_k, R_k).
    state : ndarray, shape (n,)
        State now.
    goals : ndarray, shape (H, 2)
        Goal of each of the states 1 to H, local ENU. [m]
    work : Recursion
        Working memory for H steps; receives gains and feedforward.
    inputs : ndarray, shape (H, m)
        Receives the optimal inputs.
    """
    sweep_back(problem, k, goals, work)
    _roll_out(problem, k, state, work, inputs)


@compiled
def sweep_back(problem: TrackingProblem, k: int, goals: Floats, work: Recursion) -> None:
    """Backward recursion: gains and feedforward of every step of the horizon."""
    horizon = len(goals)
    n = problem.Q.shape[0]
    last_ab = len(problem.A) - 1
    last_r = len(problem.R) - 1
    for i in range(n):
        work.s[i] = problem.S_end[i, 0] * goals[horizon - 1, 0] + problem.S_end[i, 1] * goals[horizon - 1, 1]
        for j in range(n):
            work.P[i, j] = problem.P_end[i, j]
    for h in range(horizon - 1, -1, -1):
        a = problem.A[min(k + h, last_ab)]
        b = problem.B[min(k + h, last_ab)]
        _gain(a, b, problem.R[min(k + h, last_r)], work, work.K[h], work.feedforward[h])
        if h > 0:
            _step_value(problem, a, goals[h - 1], work, work.K[h])


@compiled
def _gain(a: Floats, b: Floats, r: Floats, work: Recursion, gain: Floats, feedforward: Floats) -> None:
    """K = S^-1 B'PA and S^-1 B's; keeps B'PA and B's for the value step."""
    n, m = b.shape
    for i in range(m):
        work.Bs[i] = 0.0
        for j in range(n):
            work.BP[i, j] = 0.0
            work.BPA[i, j] = 0.0
        for k in range(n):
            factor = b[k, i]
            if factor != 0.0:
                work.Bs[i] += factor * work.s[k]
                for j in range(n):
                    work.BP[i, j] += factor * work.P[k, j]
    for i in range(m):
        for j in range(m):
            total = r[i, j]
            for k in range(n):
                total += work.BP[i, k] * b[k, j]
            work.S[i, j] = total
    for k in range(n):
        for j in range(n):
            factor = a[k, j]
            if factor != 0.0:
                for i in range(m):
                    work.BPA[i, j] += work.BP[i, k] * factor
    _cholesky(work.S)
    for j in range(n):
        _solve_into(work.S, work.BPA[:, j], gain[:, j])
    _solve_into(work.S, work.Bs, feedforward)


@compiled
def _step_value(problem: TrackingProblem, a: Floats, goal: Floats, work: Recursion, gain: Floats) -> None:
    """P and s one step earlier; zeros of A are skipped, as models are sparse."""
    n = len(a)
    m = len(gain)
    for i in range(n):
        total = 0.0
        for k in range(m):
            total -= gain[k, i] * work.Bs[k]
        for c in range(2):
            total += problem.alpha * problem.C[c, i] * goal[c]
        work.s_next[i] = total
        for j in range(n):
            work.AP[i, j] = 0.0
    for k in range(n):
        for i in range(n):
            factor = a[k, i]
            if factor != 0.0:
                work.s_next[i] += factor * work.s[k]
                for j in range(n):
                    work.AP[i, j] += factor * work.P[k, j]
    for i in range(n):
        work.s[i] = work.s_next[i]
        for j in range(n):
            total = problem.Q[i, j]
            for c in range(2):
                total += problem.alpha * problem.C[c, i] * problem.C[c, j]
            for k in range(m):
                total -= work.BPA[k, i] * gain[k, j]
            work.P[i, j] = total
    for k in range(n):
        for j in range(n):
            factor = a[k, j]
            if factor != 0.0:
                for i in range(n):
                    work.P[i, j] += work.AP[i, k] * factor


@compiled
def _roll_out(problem: TrackingProblem, k: int, state: Floats, work: Recursion, inputs: Floats) -> None:
    """Forward sweep: inputs along the predicted states (held in the working memory of s)."""
    n = len(state)
    last_ab = len(problem.A) - 1
    now = work.s
    after = work.s_next
    for i in range(n):
        now[i] = state[i]
    for h in range(len(inputs)):
        a = problem.A[min(k + h, last_ab)]
        b = problem.B[min(k + h, last_ab)]
        for i in range(inputs.shape[1]):
            total = work.feedforward[h, i]
            for j in range(n):
                total -= work.K[h, i, j] * now[j]
            inputs[h, i] = total
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += a[i, j] * now[j]
            for j in range(inputs.shape[1]):
                total += b[i, j] * inputs[h, j]
            after[i] = total
        for i in range(n):
            now[i] = after[i]


@compiled
def _cholesky(matrix: Floats) -> None:
    """In place, lower triangle; the matrix is positive definite as R is."""
    m = len(matrix)
    for i in range(m):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = np.sqrt(total) if i == j else total / matrix[j, j]


@compiled
def _solve_into(lower: Floats, right: Floats, solution: Floats) -> None:
    m = len(lower)
    for i in range(m):
        total = right[i]
        for k in range(i):
            total -= lower[i, k] * solution[k]
        solution[i] = total / lower[i, i]
    for i in range(m - 1, -1, -1):
        total = solution[i]
        for k in range(i + 1, m):
            total -= lower[k, i] * solution[k]
        solution[i] = total / lower[i, i]
