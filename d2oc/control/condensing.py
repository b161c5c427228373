r"""Condensing: the states of the tracking problem written as functions of the inputs, compiled.

With the inputs stacked, :math:`U = (u_0, \dots, u_{H-1})`, the predicted states are :math:`x_h = f_h + G_h U`, and the
cost of :mod:`d2oc.control.closed_form` is :math:`\tfrac12 U^T W U + w^T U` + const, with

.. math::
    Y_h = M_h G_h + A_h^T Y_{h+1}, \quad W_{h-1,\cdot} = B_{h-1}^T Y_h + R, \qquad
    y_h = M_h f_h - S_h g_h + A_h^T y_{h+1}, \quad w_{h-1} = B_{h-1}^T y_h,

which needs O(H^2) operations instead of the O(H^3) of the products G' M G (the adjoint recursion of [1]_). Zeros of the
model are skipped: the models are sparse.

References
----------
.. [1] G. Frison and J. B. Jorgensen, "A fast condensing method for solution of linear-quadratic control problems",
   IEEE Conference on Decision and Control, 2013.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled, inlined
from d2oc.control.closed_form import Blocks


class Condensed(NamedTuple):
    """G blocks over a horizon of H steps, in the inputs alone; n states and m inputs each."""

    free: Floats
    """States if no input acts, shape (G, H, n)."""
    response: Floats
    """Which states an input moves, shape (G, H, n, H m); zero where the input comes later."""
    hessian: Floats
    """Shape (G, H m, H m)."""
    gradient: Floats
    """Shape (G, H m)."""
    adjoint: Floats
    """Working memory, shape (2, n, H m)."""
    slope: Floats
    """Working memory, shape (2, n)."""


def condensed(blocks: Blocks, horizon: int) -> Condensed:
    """Memory for H steps."""
    count, _, n, m = blocks.B.shape
    size = horizon * m
    return Condensed(
        np.zeros((count, horizon, n)), np.zeros((count, horizon, n, size)), np.zeros((count, size, size)),
        np.zeros((count, size)), np.zeros((2, n, size)), np.zeros((2, n)),
    )  # fmt: skip


@compiled
def condense(blocks: Blocks, k: int, state: Floats, goals: Floats, weight: float, into: Condensed) -> None:
    """Condense the problem from step k on.

    Parameters
    ----------
    blocks : Blocks
        Model and weights.
    k : int
        Step of the mission at which the horizon begins.
    state : ndarray, shape (n,)
        State now, of the whole vehicle.
    goals : ndarray, shape (H, 2)
        Goal of each of the states 1 to H. [m]
    weight : float
        Factor of the whole cost.
    into : Condensed
        Receives everything.
    """
    for g in range(len(blocks.A)):
        _respond(blocks, g, k, state, into.free[g], into.response[g])
        _weigh(blocks, g, k, goals, weight, into)


@compiled
def _respond(blocks: Blocks, g: int, k: int, state: Floats, free: Floats, response: Floats) -> None:
    """Free and forced response: one sweep forward."""
    m = blocks.B.shape[3]
    last = blocks.A.shape[1] - 1
    for h in range(len(free)):
        a, b = blocks.A[g, min(k + h, last)], blocks.B[g, min(k + h, last)]
        columns = h * m
        for i in range(len(a)):
            total = 0.0
            clear(response[h, i], columns)
            for j in range(len(a)):
                factor = a[i, j]
                if factor != 0.0:
                    total += factor * (free[h - 1, j] if h > 0 else state[blocks.states[g, j]])
                    if h > 0:
                        add(factor, response[h - 1, j], response[h, i], columns)
            free[h, i] = total
            for c in range(m):
                response[h, i, columns + c] = b[i, c]


@compiled
def _weigh(blocks: Blocks, g: int, k: int, goals: Floats, weight: float, into: Condensed) -> None:
    """Hessian and gradient: one sweep backward."""
    horizon, n = into.free.shape[1:]
    m = blocks.B.shape[3]
    last, last_r = blocks.A.shape[1] - 1, blocks.R.shape[1] - 1
    for h in range(horizon - 1, -1, -1):
        now, later = h % 2, (h + 1) % 2
        is_end = h == horizon - 1
        cost = blocks.P_end[g] if is_end else blocks.M[g]
        pull = blocks.S_end[g] if is_end else blocks.S[g]
        columns = (h + 1) * m
        for i in range(n):
            slope = -pull[i, 0] * goals[h, 0] - pull[i, 1] * goals[h, 1]
            row = into.adjoint[now, i]
            clear(row, columns)
            for j in range(n):
                if cost[i, j] != 0.0:
                    slope += cost[i, j] * into.free[g, h, j]
                    add(cost[i, j], into.response[g, h, j], row, columns)
            if not is_end:
                a = blocks.A[g, min(k + h + 1, last)]
                for j in range(n):
                    if a[j, i] != 0.0:
                        slope += a[j, i] * into.slope[later, j]
                        add(a[j, i], into.adjoint[later, j], row, columns)
            into.slope[now, i] = slope
        b, r = blocks.B[g, min(k + h, last)], blocks.R[g, min(k + h, last_r)]
        _project(b, r, weight, h, into.adjoint[now], into.slope[now], into.hessian[g], into.gradient[g])


@compiled
def _project(
    b: Floats, r: Floats, weight: float, h: int, adjoint: Floats, slope: Floats, hessian: Floats, gradient: Floats
) -> None:
    """Rows of the Hessian and the gradient that belong to the inputs of step h."""
    n, m = b.shape
    columns = (h + 1) * m
    for i in range(m):
        row = h * m + i
        gradient[row] = 0.0
        clear(hessian[row], h * m)
        for c in range(m):
            hessian[row, h * m + c] = weight * r[i, c]
        for j in range(n):
            factor = weight * b[j, i]
            if factor != 0.0:
                gradient[row] += factor * slope[j]
                add(factor, adjoint[j], hessian[row], columns)
        for c in range(row):
            hessian[c, row] = hessian[row, c]


@inlined
def clear(target: Floats, count: int) -> None:
    """The first entries of `target` zero."""
    for c in range(count):
        target[c] = 0.0


@inlined
def add(factor: float, source: Floats, target: Floats, count: int) -> None:
    """The first entries of `target` plus `factor` times those of `source`."""
    for c in range(count):
        target[c] += factor * source[c]


@compiled
def predict(blocks: Blocks, g: int, k: int, state: Floats, inputs: Floats, states: Floats) -> None:
    """Predicted states of a block, by its model.

    Parameters
    ----------
    blocks : Blocks
        The model.
    g : int
        Number of the block.
    k : int
        Step of the mission at which the horizon begins.
    state : ndarray, shape (all n,)
        State now, of the whole vehicle.
    inputs : ndarray, shape (H, all m)
        Inputs of the whole vehicle.
    states : ndarray, shape (H, all n)
        Receives the states 1 to H of the block.
    """
    of_state, of_input = blocks.states[g], blocks.inputs[g]
    last = blocks.A.shape[1] - 1
    for h in range(len(inputs)):
        a, b = blocks.A[g, min(k + h, last)], blocks.B[g, min(k + h, last)]
        for i in range(len(of_state)):
            total = 0.0
            for j in range(len(of_state)):
                total += a[i, j] * (states[h - 1, of_state[j]] if h > 0 else state[of_state[j]])
            for c in range(len(of_input)):
                total += b[i, c] * inputs[h, of_input[c]]
            states[h, of_state[i]] = total
