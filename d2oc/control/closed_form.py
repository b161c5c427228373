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

from d2oc.arrays import Floats, Ints
from d2oc.compiled import compiled, inlined


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
    M: Floats
    """alpha C'C + Q, shape (n, n)."""
    S: Floats
    """alpha C', maps a goal to the linear term of a state, shape (n, 2)."""
    P_end: Floats
    """Weight of the last state, shape (n, n): M, or the infinite-horizon cost."""
    S_end: Floats
    """Maps the last goal to the linear term of the last state, shape (n, 2)."""


def tracking(a: Floats, b: Floats, c: Floats, q: Floats, r: Floats, alpha: float) -> TrackingProblem:
    """Problem without terminal cost: the last state is weighted like every other.

    Parameters
    ----------
    a, b : ndarray, shape (K, n, n) and (K, n, m)
        Model.
    c : ndarray, shape (2, n)
        Output matrix.
    q, r : ndarray, shape (n, n) and (K, m, m)
        Weights.
    alpha : float
        Mass of one step.

    Returns
    -------
    problem : TrackingProblem
    """
    weight = alpha * c.T @ c + q
    pull = np.ascontiguousarray(alpha * c.T)
    a, b, q, r = (np.ascontiguousarray(array, dtype=np.float64) for array in (a, b, q, r))
    return TrackingProblem(a, b, c, q, r, alpha, weight, pull, weight, pull)


class Blocks(NamedTuple):
    """The same problem as independent blocks of equal size, solved one after the other.

    The x and y axes of most vehicles do not act on each other, which makes each stage of the recursion cheaper. A
    problem that does not fall apart is one block. G blocks of n states and m inputs each.
    """

    A: Floats
    """Shape (G, K, n, n)."""
    B: Floats
    """Shape (G, K, n, m)."""
    R: Floats
    """Shape (G, K, m, m)."""
    M: Floats
    """Shape (G, n, n)."""
    S: Floats
    """Shape (G, n, 2)."""
    P_end: Floats
    """Shape (G, n, n)."""
    S_end: Floats
    """Shape (G, n, 2)."""
    states: Ints
    """Which states a block holds, shape (G, n)."""
    inputs: Ints
    """Which inputs a block holds, shape (G, m)."""


def blocks_of(problem: TrackingProblem) -> Blocks:
    """Split a problem into independent blocks, if it falls into blocks of equal size.

    Parameters
    ----------
    problem : TrackingProblem
        The problem.

    Returns
    -------
    blocks : Blocks
    """
    states, inputs = _independent(problem)
    pairs = list(zip(states, inputs, strict=True))

    def cut(array: Floats, rows: list[list[int]], columns: list[list[int]]) -> Floats:
        parts = [array[..., r, :][..., c] for r, c in zip(rows, columns, strict=True)]
        return np.ascontiguousarray(np.stack(parts))

    both = [[0, 1]] * len(pairs)
    return Blocks(
        A=cut(problem.A, states, states),
        B=cut(problem.B, states, inputs),
        R=cut(problem.R, inputs, inputs),
        M=cut(problem.M, states, states),
        S=cut(problem.S, states, both),
        P_end=cut(problem.P_end, states, states),
        S_end=cut(problem.S_end, states, both),
        states=np.array(states, np.int32),
        inputs=np.array(inputs, np.int32),
    )


def _independent(problem: TrackingProblem) -> tuple[list[list[int]], list[list[int]]]:
    """States and inputs of each block; one block of all where the blocks would differ in size."""
    from scipy.sparse.csgraph import connected_components

    n, m = problem.B.shape[1:]
    link = np.zeros((n + m, n + m))
    link[:n, :n] = np.abs(problem.A).sum(axis=0) + np.abs(problem.M) + np.abs(problem.P_end)
    link[:n, n:] = np.abs(problem.B).sum(axis=0)
    link[n:, n:] = np.abs(problem.R).sum(axis=0)
    count, label = connected_components(link > 0, directed=False)
    states = [np.flatnonzero(label[:n] == g).tolist() for g in range(count)]
    inputs = [np.flatnonzero(label[n:] == g).tolist() for g in range(count)]
    sizes = {(len(s), len(i)) for s, i in zip(states, inputs, strict=True)}
    if len(sizes) > 1 or min(min(size) for size in sizes) == 0:
        return [list(range(n))], [list(range(m))]
    return states, inputs


class Recursion(NamedTuple):
    """Working memory and result of the backward recursion over H steps, for each of G blocks."""

    K: Floats
    """Feedback gains, shape (G, H, m, n)."""
    feedforward: Floats
    """Inputs at the zero state, shape (G, H, m)."""
    P: Floats
    PA: Floats
    BP: Floats
    BPA: Floats
    factor: Floats
    s: Floats
    s_next: Floats
    Bs: Floats


def recursion(blocks: Blocks, horizon: int) -> Recursion:
    """Working memory for a horizon of H steps."""
    count, _, n, m = blocks.B.shape
    return Recursion(
        np.empty((count, horizon, m, n)), np.empty((count, horizon, m)), np.empty((n, n)), np.empty((n, n)),
        np.empty((m, n)), np.empty((m, n)), np.empty((m, m)), np.empty(n), np.empty(n), np.empty(m),
    )  # fmt: skip


@compiled
def solve_closed_form(blocks: Blocks, k: int, state: Floats, goals: Floats, work: Recursion, inputs: Floats) -> None:
    """Optimal inputs over the horizon from step k on.

    Parameters
    ----------
    blocks : Blocks
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
    for g in range(len(blocks.A)):
        sweep_back(blocks, g, k, goals, work)
        _roll_out(blocks, g, k, state, work, inputs)


@compiled
def sweep_back(blocks: Blocks, g: int, k: int, goals: Floats, work: Recursion) -> None:
    """Backward recursion of block g: gains and feedforward of every step of the horizon."""
    horizon = len(goals)
    last_ab = blocks.A.shape[1] - 1
    last_r = blocks.R.shape[1] - 1
    all_a, all_b, all_r = blocks.A[g], blocks.B[g], blocks.R[g]
    weight, pull = blocks.M[g], blocks.S[g]
    gain, feedforward = work.K[g], work.feedforward[g]
    value, slope, pa, bp, bpa, factor, bs = work.P, work.s, work.PA, work.BP, work.BPA, work.factor, work.Bs
    n = len(weight)
    for i in range(n):
        slope[i] = blocks.S_end[g, i, 0] * goals[horizon - 1, 0] + blocks.S_end[g, i, 1] * goals[horizon - 1, 1]
        for j in range(n):
            value[i, j] = blocks.P_end[g, i, j]
    for h in range(horizon - 1, -1, -1):
        ab = min(k + h, last_ab)
        _project(all_b, ab, value, slope, bp, bs)
        _multiply(bp, all_a, ab, bpa)
        _factorise(all_r, min(k + h, last_r), all_b, ab, bp, factor)
        _solve_gain(factor, bpa, bs, gain, feedforward, h)
        if h > 0:
            _multiply(value, all_a, ab, pa)
            _step_slope(all_a, ab, pull, goals, h - 1, gain, h, bs, slope, work.s_next)
            _step_value(all_a, ab, weight, pa, bpa, gain, h, value)


@inlined
def _project(all_b: Floats, at: int, value: Floats, slope: Floats, bp: Floats, bs: Floats) -> None:
    """B'P and B's; zeros of B are skipped, as models are sparse."""
    n, m = all_b.shape[1:]
    for i in range(m):
        bs[i] = 0.0
        for j in range(n):
            bp[i, j] = 0.0
        for k in range(n):
            b = all_b[at, k, i]
            if b != 0.0:
                bs[i] += b * slope[k]
                for j in range(n):
                    bp[i, j] += b * value[k, j]


@inlined
def _multiply(left: Floats, all_a: Floats, at: int, product: Floats) -> None:
    """`left` times A."""
    rows, n = left.shape
    for i in range(rows):
        for j in range(n):
            product[i, j] = left[i, 0] * all_a[at, 0, j]
        for k in range(1, n):
            factor = left[i, k]
            for j in range(n):
                product[i, j] += factor * all_a[at, k, j]


@inlined
def _factorise(all_r: Floats, at_r: int, all_b: Floats, at: int, bp: Floats, factor: Floats) -> None:
    """Lower Cholesky factor of S = R + B'PB, positive definite as R is."""
    n, m = all_b.shape[1:]
    for i in range(m):
        for j in range(i + 1):
            total = all_r[at_r, i, j]
            for k in range(n):
                total += bp[i, k] * all_b[at, k, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            factor[i, j] = np.sqrt(total) if i == j else total / factor[j, j]


@inlined
def _solve_gain(factor: Floats, bpa: Floats, bs: Floats, gain: Floats, feedforward: Floats, h: int) -> None:
    """K = S^-1 B'PA and S^-1 B's."""
    m, n = bpa.shape
    for i in range(m):
        scale = 1.0 / factor[i, i]
        feedforward[h, i] = bs[i]
        for j in range(n):
            gain[h, i, j] = bpa[i, j]
        for k in range(i):
            feedforward[h, i] -= factor[i, k] * feedforward[h, k]
            for j in range(n):
                gain[h, i, j] -= factor[i, k] * gain[h, k, j]
        feedforward[h, i] *= scale
        for j in range(n):
            gain[h, i, j] *= scale
    for i in range(m - 1, -1, -1):
        scale = 1.0 / factor[i, i]
        for k in range(i + 1, m):
            feedforward[h, i] -= factor[k, i] * feedforward[h, k]
            for j in range(n):
                gain[h, i, j] -= factor[k, i] * gain[h, k, j]
        feedforward[h, i] *= scale
        for j in range(n):
            gain[h, i, j] *= scale


@inlined
def _step_slope(
    all_a: Floats,
    at: int,
    pull: Floats,
    goals: Floats,
    goal: int,
    gain: Floats,
    h: int,
    bs: Floats,
    slope: Floats,
    before: Floats,
) -> None:
    """S one step earlier."""
    n = len(slope)
    for i in range(n):
        before[i] = pull[i, 0] * goals[goal, 0] + pull[i, 1] * goals[goal, 1]
    for k in range(len(bs)):
        for i in range(n):
            before[i] -= gain[h, k, i] * bs[k]
    for k in range(n):
        for i in range(n):
            before[i] += all_a[at, k, i] * slope[k]
    for i in range(n):
        slope[i] = before[i]


@inlined
def _step_value(
    all_a: Floats, at: int, weight: Floats, pa: Floats, bpa: Floats, gain: Floats, h: int, value: Floats
) -> None:
    """P one step earlier."""
    n = len(value)
    for i in range(n):
        for j in range(n):
            value[i, j] = weight[i, j]
        for k in range(len(bpa)):
            for j in range(n):
                value[i, j] -= bpa[k, i] * gain[h, k, j]
        for k in range(n):
            a = all_a[at, k, i]
            if a != 0.0:
                for j in range(n):
                    value[i, j] += a * pa[k, j]


@compiled
def _roll_out(blocks: Blocks, g: int, k: int, state: Floats, work: Recursion, inputs: Floats) -> None:
    """Forward sweep: inputs along the predicted states (held in the working memory of s)."""
    n = blocks.states.shape[1]
    m = blocks.inputs.shape[1]
    last_ab = blocks.A.shape[1] - 1
    all_a, all_b = blocks.A[g], blocks.B[g]
    gain, feedforward = work.K[g], work.feedforward[g]
    now, after, command = work.s, work.s_next, work.Bs
    for i in range(n):
        now[i] = state[blocks.states[g, i]]
    for h in range(len(inputs)):
        at = min(k + h, last_ab)
        for i in range(m):
            command[i] = feedforward[h, i]
            for j in range(n):
                command[i] -= gain[h, i, j] * now[j]
            inputs[h, blocks.inputs[g, i]] = command[i]
        for i in range(n):
            after[i] = 0.0
            for j in range(n):
                after[i] += all_a[at, i, j] * now[j]
            for j in range(m):
                after[i] += all_b[at, i, j] * command[j]
        for i in range(n):
            now[i] = after[i]
