r"""A change of variables in which the cost of a condensed program is :math:`\tfrac12 |z|^2 + w^T z`, compiled.

A dual active-set method makes this change first in any case, row by row of a dense matrix. Here the Hessian falls into
one part for each axis, and states at step h involve no later input. With the *upper* triangular factor
:math:`W = U U^T` and :math:`z = U^T u`, input i is row i of :math:`U^{-T}`, which involves no later variable either,
and the states answer to z by the model itself, :math:`G_h = A G_{h-1} + B U^{-T}_h`: no row has to be transformed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Ints, Longs
from d2oc.compiled import compiled
from d2oc.control.closed_form import Blocks
from d2oc.control.condensing import Condensed, add, clear


class White(NamedTuple):
    """Factors of G condensed programs of N inputs."""

    part: Longs
    """Inputs of each part that the cost does not couple to the others, in order of time, shape (parts, n)."""
    factor: Floats
    """Transposed factors of the parts, lower triangular, shape (G, parts, n, n)."""
    column: Floats
    """Working memory, shape (n,)."""


def white(count: int, inputs: Ints, horizon: int, n_inputs: int) -> White:
    """Memory for G programs.

    Parameters
    ----------
    count : int
        Programs G.
    inputs : ndarray, shape (parts, m')
        Inputs of each part, of one step.
    horizon : int
        Steps looked ahead, H.
    n_inputs : int
        Inputs m of a program in each step.
    """
    part = np.array([[h * n_inputs + int(i) for h in range(horizon) for i in own] for own in inputs], np.int64)
    n = part.shape[1]
    return White(part, np.zeros((count, len(part), n, n)), np.zeros(n))


@compiled
def whiten(blocks: Blocks, k: int, into: Condensed, program: White, inputs: Floats) -> bool:
    """Bring condensed programs into the new variables.

    Parameters
    ----------
    blocks : Blocks
        Model and weights.
    k : int
        Step of the mission at which the horizon begins.
    into : Condensed
        The programs; gradient and response become those of the new variables.
    program : White
        Receives the factors.
    inputs : ndarray, shape (G, N or more, N)
        Receives in its first N rows the inputs as functions of the new variables; zero where it was never written.

    Returns
    -------
    convex : bool
        Whether all Hessians are positive definite; if not, the rest is not filled in.
    """
    for g in range(len(into.hessian)):
        for p in range(len(program.part)):
            if not _whiten_part(program.part[p], program.factor[g, p], program.column, into, g, inputs[g]):
                return False
        _respond(blocks, g, k, inputs[g], into.response[g])
    return True


@compiled
def _whiten_part(part: Longs, factor: Floats, column: Floats, into: Condensed, g: int, inputs: Floats) -> bool:
    n = len(part)
    for i in range(n):
        for j in range(i + 1):
            factor[i, j] = into.hessian[g, part[i], part[j]]
    if not _factorise(factor):
        return False
    for i in range(n):
        column[i] = into.gradient[g, part[i]]
    _solve(factor, column, n)
    for i in range(n):
        into.gradient[g, part[i]] = column[i]
    for i in range(n):
        clear(column, i)
        column[i] = 1.0
        _solve(factor, column, i + 1)
        for j in range(i + 1):
            inputs[part[i], part[j]] = column[j]
    return True


@compiled
def _factorise(v: Floats) -> bool:
    """The transposed factor U^T of a matrix given by its lower triangle, in place, from the last row up."""
    for j in range(len(v) - 1, -1, -1):
        if not v[j, j] > 0.0:
            return False
        pivot = np.sqrt(v[j, j])
        v[j, j] = pivot
        for i in range(j):
            v[j, i] /= pivot
        for i in range(j):
            add(-v[j, i], v[j], v[i], i + 1)
    return True


@compiled
def _solve(v: Floats, column: Floats, count: int) -> None:
    """Solve U y = column in place, for a column that is zero from `count` on."""
    for j in range(count - 1, -1, -1):
        column[j] /= v[j, j]
        add(-column[j], v[j], column, j)


@compiled
def _respond(blocks: Blocks, g: int, k: int, inputs: Floats, response: Floats) -> None:
    """How the states answer to the new variables: one sweep forward."""
    m = blocks.B.shape[3]
    last = blocks.A.shape[1] - 1
    for h in range(len(response)):
        a, b = blocks.A[g, min(k + h, last)], blocks.B[g, min(k + h, last)]
        for i in range(len(a)):
            clear(response[h, i], (h + 1) * m)
            if h > 0:
                for j in range(len(a)):
                    if a[i, j] != 0.0:
                        add(a[i, j], response[h - 1, j], response[h, i], h * m)
            for c in range(m):
                if b[i, c] != 0.0:
                    add(b[i, c], inputs[h * m + c], response[h, i], (h + 1) * m)


@compiled
def unwhiten(found: Floats, program: White, g: int, inputs: Floats) -> None:
    """Inputs of program g from the solution z, shape (N,) each: solve U^T u = z."""
    for p in range(len(program.part)):
        part, v = program.part[p], program.factor[g, p]
        for j in range(len(part)):
            total = found[part[j]]
            for i in range(j):
                total -= v[j, i] * program.column[i]
            program.column[j] = total / v[j, j]
        for j in range(len(part)):
            inputs[part[j]] = program.column[j]


@compiled
def put_together(blocks: Blocks, apart: Condensed, apart_inputs: Floats, into: Condensed, inputs: Floats) -> None:
    """A program of the whole vehicle from those of its blocks, all in the new variables.

    Parameters
    ----------
    blocks : Blocks
        Which states and inputs each block holds.
    apart : Condensed
        The programs of the blocks.
    apart_inputs : ndarray, shape (G, n or more, n)
        Their inputs as functions of the new variables.
    into : Condensed
        Receives free response, response and gradient of the whole.
    inputs : ndarray, shape (N or more, N)
        Receives in its first N rows the inputs of the whole.
    """
    count, own = blocks.inputs.shape
    every = count * own
    for g in range(count):
        for h in range(apart.free.shape[1]):
            for c in range(own):
                into.gradient[0, h * every + blocks.inputs[g, c]] = apart.gradient[g, h * own + c]
                _spread(blocks, g, h, apart_inputs[g, h * own + c], inputs[h * every + blocks.inputs[g, c]])
            for i in range(apart.free.shape[2]):
                state = blocks.states[g, i]
                into.free[0, h, state] = apart.free[g, h, i]
                _spread(blocks, g, h, apart.response[g, h, i], into.response[0, h, state])


@compiled
def _spread(blocks: Blocks, g: int, h: int, source: Floats, target: Floats) -> None:
    """Entries up to step h of a row of block g to their places in a row of the whole."""
    count, own = blocks.inputs.shape
    for t in range(h + 1):
        for c in range(own):
            target[t * count * own + blocks.inputs[g, c]] = source[t * own + c]
