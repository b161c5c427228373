"""The plan of a spraying mission, before take-off and again whenever there is news: passes, flows, who flies what."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Flags, Floats, Ints
from d2oc.scenario.schema import SprayTable
from d2oc.spray.deposit import Footprint
from d2oc.spray.division import Leg, Route, Worker, divide
from d2oc.spray.passes import Lattice, Segment, best_angle, lattice, least_flows, segments
from d2oc.spray.raster import L_PER_HA, DoseMap, Grid

LONGEST_GAP_M = 25.0
"""Unsprayed way that is flown on rather than left, on one pass. [m]"""
SMALLEST_SHARE = 0.002
"""Segments that together serve less than this share of the litres owed are not worth the way."""


@dataclass(frozen=True, eq=False)
class Task:
    """What the planner knows that does not change in flight."""

    map: DoseMap
    footprint: Footprint
    spray: SprayTable
    speed: float
    """Working speed that rates are turned into flows with. [m/s]"""
    shift: Floats
    """Mean drift of the liquid, shape (2,). [m]"""
    wanted: Floats
    """Dose to plan for: between the effective and the target dose, shape (rows, columns). [L/ha]"""
    most: Floats
    """What may be believed to lie there, shape (rows, columns). [L/ha]"""
    effective_share: float
    """A place with less than this share of what it needs counts as missed."""
    uniform_rate: float
    """Rate of uniform spraying. [L/ha]"""


@dataclass(eq=False)
class Plan:
    """Passes and who flies them."""

    lines: Lattice
    flow: Floats
    """Flow of every slot, shape (lines, slots). [L/ha]"""
    routes: list[Route]

    @property
    def litres(self) -> float:
        """To be sprayed. [L]"""
        return float(self.flow.sum()) * self.lines.slot * self.lines.spacing * L_PER_HA


def lattice_for(task: Task, wanted: Flags) -> Lattice:
    """Lines in the direction that takes the least time."""
    swath = task.footprint.swath
    return lattice(task.map.grid, wanted, best_angle(task.map.grid, wanted, swath, task.speed), swath)


def usable(task: Task, lines: Lattice) -> tuple[Flags, Flags]:
    """Slots that may be sprayed from, and slots that may be flown over, shape (lines, slots) each."""
    grid = task.map.grid
    middles = lines.middle(*np.mgrid[0 : lines.lines, 0 : lines.slots])
    inside = at(grid, task.map.inside, middles)
    passable = at(grid, task.map.flyable, middles - task.shift)
    return inside & passable, passable


def at(grid: Grid, cells: NDArray[Any], places: Floats) -> NDArray[Any]:
    """Values of a raster at places, shape (..., 2); 0 or False beyond it."""
    column = np.floor((places[..., 0] - grid.x) / grid.cell).astype(np.intp)
    row = np.floor((places[..., 1] - grid.y) / grid.cell).astype(np.intp)
    known = (column >= 0) & (column < grid.columns) & (row >= 0) & (row < grid.rows)
    found = np.zeros(places.shape[:-1], cells.dtype)
    found[known] = cells[row[known], column[known]]
    return found


def plan_by_density(task: Task, lines: Lattice, known: Floats, workers: Sequence[Worker]) -> Plan:
    """Plan the dose still owed.

    Parameters
    ----------
    task : Task
    lines : Lattice
    known : ndarray, shape (rows, columns)
        What lies on the ground already, as far as the team knows. [L/ha]
    workers : sequence of Worker

    Returns
    -------
    plan : Plan
    """
    allowed, passable = usable(task, lines)
    per_rate = L_PER_HA * lines.spacing * task.speed / (1.0 - task.spray.evaporated_share)
    least, largest = task.spray.least_flow_l_min / 60.0 / per_rate, task.spray.largest_flow_l_min / 60.0 / per_rate
    flow = least_flows(task.map.grid, lines, task.footprint, allowed, known, task.wanted, task.most, least, largest)
    parts = segments(lines, flow, passable, LONGEST_GAP_M)
    parts = _worth_it(lines, flow, parts)
    return Plan(lines, flow, divide(lines, parts, workers, -task.shift))


def _worth_it(lines: Lattice, flow: Floats, parts: list[Segment]) -> list[Segment]:
    """Leave out the smallest segments, up to a small share of the litres; their flows become 0."""
    litres = np.array([part.litres for part in parts])
    order = np.argsort(litres, kind="stable")
    n_left = int((np.cumsum(litres[order]) <= SMALLEST_SHARE * litres.sum()).sum())
    for i in order[:n_left].tolist():
        part = parts[i]
        flow[part.line, part.first : part.last + 1] = 0.0
    return [parts[i] for i in sorted(order[n_left:].tolist())]


def plan_by_strips(task: Task, workers: Sequence[Worker], *, prescription: bool) -> Plan:
    """Lines over the whole field, to and fro, in strips of equal flying time side by side: the lawnmower.

    Parameters
    ----------
    task : Task
    workers : sequence of Worker
    prescription : bool
        Spray at the largest target under the swath, and not where there is none; else everywhere the uniform rate.

    Returns
    -------
    plan : Plan
    """
    lines = lattice_for(task, task.map.inside)
    allowed, passable = usable(task, lines)
    flow = np.where(allowed, _under_swath(task, lines) if prescription else task.uniform_rate, 0.0)
    parts = segments(lines, allowed.astype(np.float64), passable, LONGEST_GAP_M)
    litres = flow * lines.slot * lines.spacing * L_PER_HA
    parts = [part._replace(litres=float(litres[part.line, part.first : part.last + 1].sum())) for part in parts]
    lengths = np.array([(p.last - p.first + 1) * lines.slot + 6.0 * task.speed for p in parts])
    share = np.array([w.pace.working for w in workers])
    bounds = np.cumsum(share) / share.sum()
    middle = (np.cumsum(lengths) - lengths / 2) / lengths.sum()
    owner = np.searchsorted(bounds, middle)
    places = np.array([w.place for w in workers]) @ np.array([-lines.sin, lines.cos])
    strip_of = np.argsort(np.argsort(places, kind="stable"), kind="stable")
    routes = []
    for strip in strip_of.tolist():
        routes.append(_to_and_fro([part for part, who in zip(parts, owner.tolist(), strict=True) if who == strip]))
    return Plan(lines, flow, routes)


def _under_swath(task: Task, lines: Lattice) -> Floats:
    """Largest target under the swath of every slot, shape (lines, slots). [L/ha]"""
    grid = task.map.grid
    line, slot = np.mgrid[0 : lines.lines, 0 : lines.slots]
    rate = np.zeros(line.shape)
    n_along, n_across = math.ceil(lines.slot / grid.cell), math.ceil(lines.spacing / grid.cell)
    for along in (np.arange(n_along) + 0.5) / n_along - 0.5:
        for across in (np.arange(n_across) + 0.5) / n_across - 0.5:
            rate = np.maximum(rate, at(grid, task.map.target, lines.middle(line + across, slot + along)))
    return rate


def _to_and_fro(parts: Sequence[Segment]) -> Route:
    """Line after line, every other one backwards."""
    route: Route = []
    for k, (_, on_line) in enumerate(itertools.groupby(parts, key=lambda part: part.line)):
        own = list(on_line)
        route += [Leg(part, k % 2 == 0) for part in (own if k % 2 == 0 else own[::-1])]
    return route


def block_side(grid: Grid, target: Floats, n_samples: int) -> int:
    """Side of the square blocks of cells, at most `n_samples` with something wanted, that are samples. [cells]"""
    wanted = int((target > 0.0).sum())
    side = max(1, math.floor(math.sqrt(wanted / n_samples)))
    while len(np.unique(_block_numbers(grid, side)[target.ravel() > 0.0])) > n_samples:
        side += 1
    return side


def blocks(grid: Grid, target: Floats, n_samples: int) -> tuple[Floats, Floats, Ints]:
    """The dose wanted as samples.

    Returns
    -------
    points : ndarray, shape (N, 2)
        Centres of the dose of each block. [m]
    litres : ndarray, shape (N,)
        What each wants. [L]
    block : ndarray of int32, shape (rows * columns,)
        Sample of each cell, -1 where nothing is wanted.
    """
    number = _block_numbers(grid, block_side(grid, target, n_samples))
    dose = target.ravel()
    wanted = dose > 0.0
    _, found = np.unique(number[wanted], return_inverse=True)
    block = np.full(dose.size, -1, np.int32)
    block[wanted] = found
    mass = np.bincount(found, dose[wanted]).astype(np.float64)
    centres = grid.centres[wanted]
    points = np.stack([np.bincount(found, dose[wanted] * centres[:, i]) / mass for i in range(2)], axis=1)
    return points, mass * grid.litres, block


def _block_numbers(grid: Grid, side: int) -> NDArray[Any]:
    row, column = np.divmod(np.arange(grid.rows * grid.columns), grid.columns)
    return np.asarray(row // side * grid.columns + column // side)
