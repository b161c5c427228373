"""From dose to passes: one lattice of parallel lines for the whole team, and the least flow on every slot of it.

The lines are a swath apart and cut into slots of a few metres. A slot at the flow of 1 L/ha gives each cell under it
what the footprint says, so the dose on the ground is linear in the flows, and the plan is a linear program: least
litres such that every cell has what it is owed and none more than its maximum. It is solved approximately and fast by
coordinate moves: all flows start at the dose wanted under them, are raised where that is too little, and are then
lowered, the slots that serve least first, each as far as the cells under it allow. What lies on the ground already is
part of the dose, so the same function plans the first flight and what is still owed after an hour.

Because all drones fly lines of one lattice, the deposit along the border of two drones' parts is what it is anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints, Longs
from d2oc.compiled import compiled
from d2oc.spray.deposit import OWN_SHARE, Footprint, Touched, touch, touched_space
from d2oc.spray.raster import L_PER_HA, Grid

SLOT_CELLS = 2.0
"""Length of a slot. [cells]"""
LEAST_WEIGHT = 0.05
"""A slot that gives a cell less than this share of its dose is not held responsible for it."""
ANGLES = 12
"""Directions of passes that are tried."""
TURN_S = 6.0
"""Time of a turn, to compare directions. [s]"""


class Lattice(NamedTuple):
    """Parallel lines in slots; slot (i, j) is the j-th of line i."""

    x: float
    y: float
    """Start of line 0. [m]"""
    cos: float
    sin: float
    """Direction of the lines."""
    spacing: float
    """Distance of the lines. [m]"""
    slot: float
    """Length of a slot. [m]"""
    lines: int
    slots: int

    def middle(self, line: Floats | Ints | int, slot: Floats | Ints | float) -> Floats:
        """Middle of slots, shape (..., 2). [m]"""
        along = (np.asarray(slot) + 0.5) * self.slot
        across = np.asarray(line) * self.spacing
        return np.stack(
            [self.x + along * self.cos - across * self.sin, self.y + along * self.sin + across * self.cos], axis=-1
        )


class Segment(NamedTuple):
    """A run of slots on one line that is flown in one go."""

    line: int
    first: int
    last: int
    """First and last slot."""
    litres: float
    """What is to be sprayed on it. [L]"""
    lattice: int = 0
    """Number of its lattice in the plan."""


@dataclass(frozen=True, eq=False)
class Passes:
    """Lines and what is sprayed on them."""

    lines: Lattice
    flow: Floats
    """Flow of every slot, shape (lines, slots). [L/ha]"""

    @property
    def litres(self) -> float:
        """To be sprayed. [L]"""
        return float(self.flow.sum()) * self.litres_per_flow

    @property
    def litres_per_flow(self) -> float:
        """On one slot at the flow of 1 L/ha. [L]"""
        return self.lines.slot * self.lines.spacing * L_PER_HA

    def on(self, segment: Segment) -> Flags:
        """Slots of a segment with open nozzles, shape (last - first + 1,)."""
        return np.asarray(self.flow[segment.line, segment.first : segment.last + 1] > 0.0)

    def cut(self, segment: Segment, first: int, last: int) -> Segment:
        """The part of a segment from one slot to another."""
        litres = float(self.flow[segment.line, first : last + 1].sum()) * self.litres_per_flow
        return segment._replace(first=first, last=last, litres=litres)

    def gaps(self, segment: Segment) -> Floats:
        """Lengths of the ways with shut nozzles within a segment, shape (n,). [m]"""
        between = np.diff(np.flatnonzero(self.on(segment))) - 1
        return np.asarray(between[between > 0] * self.lines.slot)


def lattice(grid: Grid, wanted: Flags, angle: float, spacing: float) -> Lattice:
    """Lines in one direction over all cells that want something.

    Parameters
    ----------
    grid : Grid
    wanted : ndarray of bool, shape (rows, columns)
    angle : float
        Direction, anticlockwise from east. [rad]
    spacing : float
        [m]
    """
    cos, sin = math.cos(angle), math.sin(angle)
    row, column = np.nonzero(wanted)
    x, y = grid.x + (column + 0.5) * grid.cell, grid.y + (row + 0.5) * grid.cell
    along, across = x * cos + y * sin, y * cos - x * sin
    slot = SLOT_CELLS * grid.cell
    low_l, low_c = along.min() - spacing, across.min()
    width = across.max() - low_c
    lines = max(1, math.ceil(width / spacing))
    low_c -= (lines * spacing - width) / 2 - spacing / 2  # evenly over the width
    low_c -= spacing  # and one line more on either side
    slots = math.ceil((along.max() + spacing - low_l) / slot)
    return Lattice(low_l * cos - low_c * sin, low_l * sin + low_c * cos, cos, sin, spacing, slot, lines + 2, slots)


def best_angles(grid: Grid, wanted: Flags, spacing: float, speed: float) -> Floats:
    """Directions by the time their passes take: way on passes over speed, and a turn for each pass. [rad]"""
    costs = []
    for k in range(ANGLES):
        angle = math.pi * k / ANGLES
        lines = lattice(grid, wanted, angle, spacing)
        n_slots, n_runs = _runs(wanted, grid, lines)
        costs.append(n_slots * lines.slot / speed + n_runs * TURN_S)
    return np.asarray(math.pi * np.argsort(costs, kind="stable") / ANGLES)


@compiled
def _runs(wanted: Flags, grid: Grid, lines: Lattice) -> tuple[int, int]:
    """Slots with something wanted within half a spacing of them, and the runs that they form."""
    n_slots, n_runs = 0, 0
    for i in range(lines.lines):
        since = 1_000
        for j in range(lines.slots):
            along = (j + 0.5) * lines.slot
            found = False
            for part in (-0.4, 0.0, 0.4):
                across = (i + part) * lines.spacing
                column = int((lines.x + along * lines.cos - across * lines.sin - grid.x) / grid.cell)
                row = int((lines.y + along * lines.sin + across * lines.cos - grid.y) / grid.cell)
                if 0 <= row < grid.rows and 0 <= column < grid.columns and wanted[row, column]:
                    found = True
            since += 1
            if found:
                n_slots += 1
                if since > 10:
                    n_runs += 1
                since = 0
    return n_slots, n_runs


def least_flows(
    grid: Grid,
    lines: Lattice,
    footprint: Footprint,
    allowed: Flags,
    on_ground: Floats,
    wanted: Floats,
    most: Floats,
    least_flow: float,
    largest_flow: float,
    least_use: float,
) -> tuple[Floats, Floats]:
    """Flow of every slot, as small as the dose owed allows.

    Parameters
    ----------
    grid : Grid
    lines : Lattice
    footprint : Footprint
    allowed : ndarray of bool, shape (lines, slots)
        Slots that may be sprayed from.
    on_ground, wanted, most : ndarray, shape (rows, columns)
        What lies there, what should, and what may. [L/ha]
    least_flow, largest_flow : float
        Of a slot that is sprayed on, as a rate. [L/ha]
    least_use : float
        A slot is not sprayed on if less than this share of its own strip, by dose, is owed.

    Returns
    -------
    flow : ndarray, shape (lines, slots)
        As a rate: litres of the slot over its length and the spacing. [L/ha]
    deposit : ndarray, shape (rows, columns)
        What lies on the ground then. [L/ha]
    """
    deposit = on_ground.ravel().copy()
    flow = np.zeros((lines.lines, lines.slots))
    space = touched_space(footprint, grid, lines.slot)
    shares = np.empty((lines.lines, lines.slots))
    args = (grid, lines, footprint, deposit, wanted.ravel(), most.ravel(), flow, space)
    _start(*args, allowed, shares, least_flow, largest_flow, least_use)
    by_use = np.argsort(np.where(flow > 0.0, shares, np.inf), axis=None, kind="stable")
    order = by_use[: int((flow > 0.0).sum())].astype(np.int64)
    _raise(*args, order[::-1].copy(), largest_flow)
    _lower(*args, order, least_flow)
    return flow, deposit.reshape(on_ground.shape)


@compiled
def _start(
    grid: Grid,
    lines: Lattice,
    footprint: Footprint,
    deposit: Floats,
    wanted: Floats,
    most: Floats,
    flow: Floats,
    space: Touched,
    allowed: Flags,
    shares: Floats,
    least_flow: float,
    largest_flow: float,
    least_use: float,
) -> None:
    """Every slot gets the largest dose owed near it, midway between lines too, as far as no maximum is passed.

    Also finds the share of its own strip that each serves.
    """
    between = 1.0 - 2.0 * math.exp(-2.0 * (math.pi * footprint.across / lines.spacing) ** 2)
    per_cell = lines.slot * lines.spacing / (grid.cell * grid.cell)
    owed = np.maximum(wanted - deposit, 0.0)
    for i in range(lines.lines):
        for j in range(lines.slots):
            shares[i, j] = 0.0
            if not allowed[i, j]:
                continue
            x, y = _middle(lines, i, j)
            n = touch(grid, footprint, x, y, lines.cos, lines.sin, lines.slot / 2, space)
            rate, cap = 0.0, largest_flow
            for k in range(n):
                cell = space.cell[k]
                if cell < 0 or space.weight[k] <= 0.0:
                    continue
                if abs(space.across[k]) <= 0.8 * lines.spacing:
                    rate = max(rate, owed[cell])
                if abs(space.across[k]) <= 0.5 * lines.spacing:
                    shares[i, j] += owed[cell]
                limit = most[cell] * OWN_SHARE if abs(space.across[k]) <= 0.5 * lines.spacing else most[cell]
                cap = min(cap, max(limit - deposit[cell], 0.0) / (space.weight[k] * per_cell))
            shares[i, j] /= lines.slot * lines.spacing / (grid.cell * grid.cell)
            rate = min(max(rate / between, least_flow), cap) if shares[i, j] > least_use * rate else 0.0
            if rate < least_flow:
                continue
            flow[i, j] = rate
            _lay(deposit, space, n, rate, per_cell)


@compiled
def _raise(
    grid: Grid,
    lines: Lattice,
    footprint: Footprint,
    deposit: Floats,
    wanted: Floats,
    most: Floats,
    flow: Floats,
    space: Touched,
    order: Longs,
    largest_flow: float,
) -> None:
    """Where cells between lines have too little, raise the slots beside them."""
    per_cell = lines.slot * lines.spacing / (grid.cell * grid.cell)
    for number in order:
        i, j = number // lines.slots, number % lines.slots
        x, y = _middle(lines, i, j)
        n = touch(grid, footprint, x, y, lines.cos, lines.sin, lines.slot / 2, space)
        more, cap = 0.0, largest_flow - flow[i, j]
        for k in range(n):
            cell = space.cell[k]
            gain = space.weight[k] * per_cell
            if cell < 0 or gain <= 0.0:
                continue
            if abs(space.across[k]) <= 0.5 * lines.spacing and gain > LEAST_WEIGHT:
                more = max(more, min((wanted[cell] - deposit[cell]) / gain, 0.25 * flow[i, j]))
            limit = most[cell] * OWN_SHARE if abs(space.across[k]) <= 0.5 * lines.spacing else most[cell]
            cap = min(cap, max(limit - deposit[cell], 0.0) / gain)
        more = min(more, cap)
        if more > 0.0:
            flow[i, j] += more
            _lay(deposit, space, n, more, per_cell)


@compiled
def _lower(
    grid: Grid,
    lines: Lattice,
    footprint: Footprint,
    deposit: Floats,
    wanted: Floats,
    most: Floats,
    flow: Floats,
    space: Touched,
    order: Longs,
    least_flow: float,
) -> None:
    """Lower every slot as far as the cells under it allow; to nothing, or not below the least flow."""
    per_cell = lines.slot * lines.spacing / (grid.cell * grid.cell)
    for number in order:
        i, j = number // lines.slots, number % lines.slots
        x, y = _middle(lines, i, j)
        n = touch(grid, footprint, x, y, lines.cos, lines.sin, lines.slot / 2, space)
        less = flow[i, j]
        for k in range(n):
            cell = space.cell[k]
            gain = space.weight[k] * per_cell
            if cell >= 0 and gain > LEAST_WEIGHT and wanted[cell] > 0.0:
                less = min(less, max(deposit[cell] - wanted[cell], 0.0) / gain)
        if 0.0 < flow[i, j] - less < least_flow:
            less = max(flow[i, j] - least_flow, 0.0)
        flow[i, j] -= less
        _lay(deposit, space, n, -less, per_cell)


@compiled
def _lay(deposit: Floats, space: Touched, n: int, flow: float, per_cell: float) -> None:
    """Add what a flow over a slot leaves in the n cells it touches."""
    for k in range(n):
        if space.cell[k] >= 0:
            deposit[space.cell[k]] += flow * space.weight[k] * per_cell


@compiled
def lay_flows(grid: Grid, lines: Lattice, footprint: Footprint, flow: Floats, deposit: Floats, space: Touched) -> None:
    """Add what all slots leave to a deposit, shape (rows * columns,) [L/ha]."""
    per_cell = lines.slot * lines.spacing / (grid.cell * grid.cell)
    for i in range(lines.lines):
        for j in range(lines.slots):
            if flow[i, j] > 0.0:
                x, y = _middle(lines, i, j)
                n = touch(grid, footprint, x, y, lines.cos, lines.sin, lines.slot / 2, space)
                _lay(deposit, space, n, flow[i, j], per_cell)


@compiled
def _middle(lines: Lattice, i: int, j: int) -> tuple[float, float]:
    along, across = (j + 0.5) * lines.slot, i * lines.spacing
    return lines.x + along * lines.cos - across * lines.sin, lines.y + along * lines.sin + across * lines.cos


def segments(passes: Passes, passable: Flags, longest_gap: float, number: int = 0) -> list[Segment]:
    """Runs of slots that are flown in one go.

    Parameters
    ----------
    passes : Passes
    passable : ndarray of bool, shape (lines, slots)
        Slots that may be flown over.
    longest_gap : float
        Unsprayed way up to this is flown on rather than left. [m]
    number : int
        Of this lattice in the plan.
    """
    flow = passes.flow
    found = []
    for i in np.flatnonzero((flow > 0.0).any(axis=1)).tolist():
        on = np.flatnonzero(flow[i] > 0.0)
        blocked = np.cumsum(~passable[i])
        gap = np.diff(on) > 1 + longest_gap / passes.lines.slot
        gap |= np.diff(blocked[on]) > 0
        for run in np.split(on, np.flatnonzero(gap) + 1):
            first, last = int(run[0]), int(run[-1])
            found.append(passes.cut(Segment(i, first, last, 0.0, number), first, last))
    return found
