"""The inequalities of one condensed block, as an active-set solver wants them, compiled.

First come the bounds of the H m inputs, then rows on the stacked inputs, each from the limits of a vehicle or from a
half-plane. A row on a state that no input reaches yet cannot be influenced and is left out: the tilt of the published
quadrotor answers after two steps, its position after four.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled, inlined
from d2oc.control.closed_form import Blocks
from d2oc.control.condensing import Condensed, add, clear
from d2oc.control.limit_rows import LimitRows

NO_BOUND = 1e30
"""What daqp takes for infinity."""

HARD, SOFT = 0, 8
"""How daqp marks a constraint."""


class Rows(NamedTuple):
    """Inequalities of G blocks with H m inputs each; r rows: on an input, on a state, half-planes, in this order."""

    matrix: Floats
    """The H m inputs, then the rows, on the variables of the program, shape (G, H m + r, H m)."""
    low: Floats
    """Bounds from below of inputs and rows, shape (G, H m + r)."""
    high: Floats
    """Bounds from above, shape (G, H m + r)."""
    sense: Ints
    """Hard or soft, and whether a constraint is active at the start, shape (G, H m + r)."""
    place: Ints
    """Where each constraint stands in the flattened active set, shape (G, H m + r)."""
    step: Ints
    """Step of the horizon of each row, shape (G, r)."""
    coefficients: Floats
    """What a row multiplies with the state of its step, shape (G, r, n)."""
    on_input: Floats
    """What a row multiplies with the input of its step, shape (G, r, m)."""
    plane: Ints
    """Number of the half-plane of a row, shape (G, r); -1: a limit on the state, -2: on the input."""


class Columns(NamedTuple):
    """Which columns of an active set, shape (H, c), belong to what."""

    inputs: int
    """Bounds of inputs: columns 0 to this."""
    input_rows: int
    """Rows on the input: from there to this."""
    state_rows: int
    """Rows on the state: from there to this."""
    half_planes: int
    """Half-planes: from there to this, the number of columns c."""


def columns(limits: LimitRows, n_half_planes: int) -> Columns:
    """Columns of the active sets of a vehicle."""
    ends = np.cumsum([limits.n_inputs, len(limits.input_rows), len(limits.state_rows), n_half_planes])
    return Columns(*(int(end) for end in ends))


def constraint_rows(
    blocks: Blocks, limits: LimitRows, positions: Floats, horizon: int, n_half_planes: int, columns: Columns
) -> Rows | None:
    """Rows of all blocks; what does not change from step to step is filled in.

    Parameters
    ----------
    blocks : Blocks
        The model.
    limits : LimitRows
        Limits of the vehicle.
    positions : ndarray, shape (2, n)
        Output matrix of the vehicle.
    horizon : int
        Steps looked ahead, H.
    n_half_planes : int
        Half-planes at each step; 0 unless one block holds the whole vehicle.
    columns : Columns
        Columns of the active sets.

    Returns
    -------
    rows : Rows or None
        None if a limit couples the blocks, or the blocks have different numbers of rows.
    """
    parts = [
        _rows_of_block(blocks, g, limits, positions, horizon, n_half_planes, columns) for g in range(len(blocks.A))
    ]
    couples = any(
        sum(row[part].any() for part in parts) != 1
        for array, parts in ((limits.input_rows, blocks.inputs), (limits.state_rows, blocks.states))
        for row in array
    )
    if couples or len({part.matrix.shape for part in parts}) > 1:
        return None
    return Rows(*(np.stack(arrays) for arrays in zip(*parts, strict=True)))


def _rows_of_block(
    blocks: Blocks, g: int, limits: LimitRows, positions: Floats, horizon: int, n_half_planes: int, columns: Columns
) -> Rows:
    """Rows of one block, without the leading axis."""
    states, inputs = blocks.states[g], blocks.inputs[g]
    reached = _reached(blocks, g, horizon)
    steps = range(horizon)
    on_input = [(h, i) for h in steps for i, row in enumerate(limits.input_rows) if row[inputs].any()]
    on_state = [(h, i) for h in steps for i, row in enumerate(limits.state_rows) if row[states][reached[h]].any()]
    is_position = (positions[:, states] != 0).any(axis=0)
    at_plane = [(h, p) for h in steps for p in range(n_half_planes) if reached[h][is_position].all()]

    size, n_rows = horizon * len(inputs), len(on_input) + len(on_state) + len(at_plane)
    coefficients, of_input = np.zeros((n_rows, len(states))), np.zeros((n_rows, len(inputs)))
    for r, (_, i) in enumerate(on_input):
        of_input[r] = limits.input_rows[i][inputs]
    for r, (_, i) in enumerate(on_state, start=len(on_input)):
        coefficients[r] = limits.state_rows[i][states]
    high = np.concatenate([np.tile(limits.input_each[inputs], horizon), np.ones(n_rows)])
    high = np.minimum(high, NO_BOUND)
    low = -high
    low[len(low) - len(at_plane) :] = -NO_BOUND
    n_hard = size + len(on_input)
    starts = (0, columns.inputs, columns.input_rows, columns.state_rows)
    groups = ([(h, i) for h in steps for i in inputs], on_input, on_state, at_plane)
    place = [h * columns.half_planes + start + i for start, group in zip(starts, groups, strict=True) for h, i in group]
    return Rows(
        matrix=np.zeros((size + n_rows, size)),
        low=low,
        high=high,
        sense=np.array([HARD] * n_hard + [SOFT] * (len(high) - n_hard), np.int32),
        place=np.array(place, np.int32),
        step=np.array([h for h, _ in on_input + on_state + at_plane], np.int32),
        coefficients=coefficients,
        on_input=of_input,
        plane=np.array([-2] * len(on_input) + [-1] * len(on_state) + [p for _, p in at_plane], np.int32),
    )


def _reached(blocks: Blocks, g: int, horizon: int) -> list[Flags]:
    """Which states of a block some input has reached, at each step."""
    moves = (blocks.A[g] != 0).any(axis=0).astype(int)
    enters = (blocks.B[g] != 0).any(axis=(0, 2))
    reached = [enters]
    for _ in range(horizon - 1):
        reached.append(enters | (moves @ reached[-1].astype(int) > 0))
    return reached


@compiled
def fill_rows(rows: Rows, into: Condensed, positions: Floats, normal: Floats, offset: Floats, hard: Flags) -> None:
    r"""Rows on the predicted states, :math:`|G x| \le 1` and :math:`a \cdot C x \le b`.

    Parameters
    ----------
    rows : Rows
        Receives the rows.
    into : Condensed
        The condensed blocks; their response and the first rows of the matrix are those of the program's variables.
    positions : ndarray, shape (2, n)
        Output matrix C.
    normal : ndarray, shape (H, P, 2)
        Outward normals a, of length one.
    offset : ndarray, shape (H, P)
        Offsets b; inf: no half-plane. [m]
    hard : ndarray of bool, shape (P,)
        Whether half-plane p is hard.
    """
    horizon = into.free.shape[1]
    size = into.gradient.shape[1]
    m = size // horizon
    for g in range(len(rows.matrix)):
        for r in range(rows.step.shape[1]):
            h, p = rows.step[g, r], rows.plane[g, r]
            row = rows.matrix[g, size + r]
            clear(row, (h + 1) * m)
            if p == -2:
                for c in range(m):
                    add(rows.on_input[g, r, c], rows.matrix[g, h * m + c], row, (h + 1) * m)
                continue
            if p >= 0:
                _take_half_plane(rows, g, r, h, p, size, positions, normal, offset, hard)
            without_input = 0.0
            for i in range(into.free.shape[2]):
                factor = rows.coefficients[g, r, i]
                if factor != 0.0:
                    without_input += factor * into.free[g, h, i]
                    add(factor, into.response[g, h, i], row, (h + 1) * m)
            if p == -1:
                rows.low[g, size + r] = -1.0 - without_input
                rows.high[g, size + r] = 1.0 - without_input
            elif offset[h, p] < NO_BOUND:
                rows.high[g, size + r] = offset[h, p] - without_input


@inlined
def _take_half_plane(
    rows: Rows,
    g: int,
    r: int,
    h: int,
    p: int,
    size: int,
    positions: Floats,
    normal: Floats,
    offset: Floats,
    hard: Flags,
) -> None:
    rows.sense[g, size + r] = HARD if hard[p] else SOFT
    rows.high[g, size + r] = NO_BOUND
    # Where there is no half-plane the row is along x: the solver cannot scale a row of zeros.
    ax, ay = (normal[h, p, 0], normal[h, p, 1]) if offset[h, p] < NO_BOUND else (1.0, 0.0)
    for i in range(positions.shape[1]):
        rows.coefficients[g, r, i] = ax * positions[0, i] + ay * positions[1, i]


@compiled
def mark_active(rows: Rows, active: Ints) -> None:
    """Begin with the constraints that were active, given flattened: 1 above, -1 below, 0 inactive."""
    for g in range(len(rows.place)):
        for i in range(rows.place.shape[1]):
            side = active[rows.place[g, i]]
            rows.sense[g, i] &= SOFT
            if side > 0 and rows.high[g, i] < NO_BOUND:
                rows.sense[g, i] |= 1
            elif side < 0 and rows.low[g, i] > -NO_BOUND:
                rows.sense[g, i] |= 3


@compiled
def read_active(place: Ints, multiplier: Floats, active: Ints) -> None:
    """Write the active constraints, seen by their multipliers, into the flattened active set."""
    for i in range(len(place)):
        active[place[i]] = 1 if multiplier[i] > 0.0 else (-1 if multiplier[i] < 0.0 else 0)
