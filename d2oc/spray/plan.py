"""The plan of a spraying mission, before take-off and again whenever there is news: passes, flows, who flies what."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Flags, Floats, Ints
from d2oc.scenario.schema import SprayTable
from d2oc.spray.deposit import Footprint
from d2oc.spray.division import Leg, Route, Worker, divide, times_of
from d2oc.spray.passes import Lattice, Passes, Segment, best_angles, lattice, least_flows, segments
from d2oc.spray.raster import L_PER_HA, DoseMap, Grid

LONGEST_GAPS_M = (10.0, 25.0, 60.0, 150.0)
"""Unsprayed ways that are flown on rather than left, on one pass; each is tried. [m]"""
STRIP_GAP_M = 25.0
"""The same of a lawnmower, where the field itself has a gap. [m]"""
MISSED_IN_PLAN = 0.02
"""Where a plan misses more of the infestation than this share, a second lattice across the first is planned."""
AS_GOOD = 0.005
"""Plans that miss so much more of the infestation than the best one are as good, and the fastest of them is flown."""
MOST_CELLS = 20_000_000
"""Cells times directions that are planned in full; of a very large field only the direction that seems fastest is."""
LEAST_USE, LEAST_USE_LATER = 0.35, 0.2
"""A slot is not sprayed on if less than this share of its own strip, by dose, is owed; later: for what was missed."""
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

    passes: list[Passes]
    """Lattices and the flows on them."""
    routes: list[Route]
    missed: float = 1.0
    """Share of the infestation that it leaves with too little."""

    @property
    def litres(self) -> float:
        """To be sprayed. [L]"""
        return sum(passes.litres for passes in self.passes)


def no_plan(n_agents: int) -> Plan:
    """Nothing to spray for anybody: where a plan is not needed, or made later."""
    return Plan([], [[] for _ in range(n_agents)])


def lattice_for(task: Task, wanted: Flags) -> Lattice:
    """Lines in the direction that seems to take the least time."""
    swath = task.footprint.swath
    return lattice(task.map.grid, wanted, best_angles(task.map.grid, wanted, swath, task.speed)[0], swath)


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


def plan_by_density(task: Task, known: Floats, workers: Sequence[Worker]) -> Plan:
    """Plan the dose still owed.

    Every direction is planned, with a second lattice across where too much would be missed. Of those that miss about
    as little as the best one, the fastest is taken, with each of a few lengths of gaps that are flown on.

    Parameters
    ----------
    task : Task
    known : ndarray, shape (rows, columns)
        What lies on the ground already, as far as the team knows. [L/ha]
    workers : sequence of Worker

    Returns
    -------
    plan : Plan
    """
    owed = _owed(task, known)
    if not owed.any():
        return Plan([], [[] for _ in workers])
    angles = best_angles(task.map.grid, owed, task.footprint.swath, task.speed)
    n_tried = min(max(MOST_CELLS // owed.size, 1), len(angles))
    drafts = [_draft(task, known, angle) for angle in angles[:n_tried].tolist()]
    least = min(missed for _, missed in drafts)
    best, plan = math.inf, Plan([], [[] for _ in workers])
    for passes, missed in drafts:
        if missed > least + AS_GOOD:
            continue
        for gap in LONGEST_GAPS_M:
            found, makespan = _routed(task, passes, gap, workers)
            if makespan < best:
                best, plan = makespan, replace(found, missed=missed)
    return plan


def _owed(task: Task, known: Floats) -> Flags:
    """Cells that want something and have not got an effective dose, shape (rows, columns)."""
    m = task.map
    needed = np.where(m.needed > 0.0, m.needed, m.target)
    return np.asarray((task.wanted > 0.0) & (known < task.effective_share * needed))


def missed_share(task: Task, known: Floats) -> float:
    """Share of the infestation to be treated that has less than its effective dose."""
    m = task.map
    weight = m.severity * (m.needed > 0.0)
    return float(weight[known < task.effective_share * m.needed].sum() / weight.sum())


def _draft(task: Task, known: Floats, angle: float) -> tuple[list[Passes], float]:
    """Flows on lines in one direction, and across it where that leaves too much; also what is missed then."""
    first_time = not known.any()
    passes, deposit = _flows(task, known, angle, LEAST_USE if first_time else LEAST_USE_LATER)
    missed = missed_share(task, deposit)
    if missed <= MISSED_IN_PLAN or not _owed(task, deposit).any():
        return [passes], missed
    across, deposit = _flows(task, deposit, angle + math.pi / 2.0, LEAST_USE)
    return [passes, across], missed_share(task, deposit)


def _flows(task: Task, known: Floats, angle: float, least_use: float) -> tuple[Passes, Floats]:
    """Least flows in one direction for what is owed, and what lies on the ground then."""
    owed = _owed(task, known)
    lines = lattice(task.map.grid, owed, angle, task.footprint.swath)
    allowed, _ = usable(task, lines)
    per_rate = L_PER_HA * lines.spacing * task.speed / (1.0 - task.spray.evaporated_share)
    least, largest = task.spray.least_flow_l_min / 60.0 / per_rate, task.spray.largest_flow_l_min / 60.0 / per_rate
    wanted = np.where(owed, task.wanted, 0.0)
    flow, deposit = least_flows(
        task.map.grid, lines, task.footprint, allowed, known, wanted, task.most, least, largest, least_use
    )
    return Passes(lines, flow), deposit


def _routed(task: Task, drafted: Sequence[Passes], gap: float, workers: Sequence[Worker]) -> tuple[Plan, float]:
    """The plan that flies on over gaps up to a length [m], and its makespan [s]."""
    passes = [Passes(own.lines, own.flow.copy()) for own in drafted]
    parts = [part for k, own in enumerate(passes) for part in segments(own, usable(task, own.lines)[1], gap, k)]
    routes, makespan = divide(passes, _worth_it(passes, parts), workers, -task.shift)
    return Plan(passes, routes), makespan


def _worth_it(passes: Sequence[Passes], parts: list[Segment]) -> list[Segment]:
    """Leave out the smallest segments, up to a small share of the litres; their flows become 0."""
    litres = np.array([part.litres for part in parts])
    order = np.argsort(litres, kind="stable")
    n_left = int((np.cumsum(litres[order]) <= SMALLEST_SHARE * litres.sum()).sum())
    for i in order[:n_left].tolist():
        part = parts[i]
        passes[part.lattice].flow[part.line, part.first : part.last + 1] = 0.0
    return [parts[i] for i in sorted(order[n_left:].tolist())]


def plan_by_strips(task: Task, workers: Sequence[Worker], method: str) -> Plan:
    """To and fro on lines, in strips of equal flying time side by side: the lawnmower.

    Parameters
    ----------
    task : Task
    workers : sequence of Worker
    method : str
        `uniform`: everywhere the same rate; `prescription`: the largest target under the swath, nothing where there is
        none, on all lines of the field; `prescription-skip`: the same, lines begin and end with what is sprayed on
        them, and lines without anything are not flown.

    Returns
    -------
    plan : Plan
    """
    skip = method == "prescription-skip"
    lines = lattice_for(task, task.map.target > 0.0 if skip else task.map.inside)
    allowed, passable = usable(task, lines)
    flow = np.where(allowed, task.uniform_rate if method == "uniform" else _under_swath(task, lines), 0.0)
    passes = Passes(lines, flow)
    flown = passes if skip else Passes(lines, allowed.astype(np.float64))
    found = segments(flown, passable, math.inf if skip else STRIP_GAP_M)
    parts = [passes.cut(part, part.first, part.last) for part in found]
    lengths = times_of([passes], parts, workers[0].pace)
    share = np.array([w.pace.working for w in workers])
    bounds = np.cumsum(share) / share.sum()
    middle = (np.cumsum(lengths) - lengths / 2) / lengths.sum()
    owner = np.searchsorted(bounds, middle)
    places = np.array([w.place for w in workers]) @ np.array([-lines.sin, lines.cos])
    strip_of = np.argsort(np.argsort(places, kind="stable"), kind="stable")
    routes = []
    for strip in strip_of.tolist():
        routes.append(_to_and_fro([part for part, who in zip(parts, owner.tolist(), strict=True) if who == strip]))
    return Plan([passes], routes)


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
