"""Who flies which segments: litres divided by a power diagram so that all drones end at about the same time.

The samples are the middles of the segments and weigh their litres. They are divided among the drones by semi-discrete
optimal transport from sites that move to the centres of their cells, in proportion to capacities; each drone's tour is
then timed, sorties included, and the capacity of who takes longer is lowered, a few times. Last, single segments go
from the drone that ends last to another where that shortens the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2oc.arrays import Floats, Ints, Longs
from d2oc.spray.passes import Passes, Segment
from d2oc.spray.routes import Pace, hop_time, pass_time, tour, tour_time
from d2oc.transport.sample_partition import divide_samples

ROUNDS = 8
"""Divisions that are tried."""
MOVING_ROUNDS = 4
"""Rounds in which sites move to the centres of their cells."""
HANDED_OVER = 12
"""Segments that are tried to be handed over, at the most."""


TURN_LOSS_S = 2.0
"""Time that a pass and the turn after it take longer than at full acceleration from rest to rest. [s]"""


@dataclass(frozen=True, eq=False)
class Worker:
    """What a drone can do from now on."""

    place: Floats
    """Where it is, shape (2,). [m]"""
    pace: Pace
    tank: float
    """Largest load. [L]"""
    liquid: float
    """In the tank now. [L]"""
    endurance: float
    """Time in the air from one battery, reserve kept. [s]"""
    station: Floats
    """Where it is served, shape (2,). [m]"""
    service: float
    """Time on the ground and up and down of one service. [s]"""
    delay: float = 0.0
    """Time until it can fly. [s]"""


@dataclass(frozen=True)
class Leg:
    """A segment and the way in which it is flown."""

    segment: Segment
    forwards: bool


Route = list[Leg]


def ends_of(passes: Sequence[Passes], parts: Sequence[Segment]) -> Floats:
    """Both ends of segments one after the other, shape (2 n, 2). [m]"""
    ends = np.empty((len(parts), 2, 2))
    number = np.array([part.lattice for part in parts])
    for k in np.unique(number):
        lines = passes[k].lines
        line, first, last = np.array([part[:3] for part in parts if part.lattice == k]).T
        along = lines.slot / 2 * np.array([lines.cos, lines.sin])
        ends[number == k, 0] = lines.middle(line, first) - along
        ends[number == k, 1] = lines.middle(line, last) + along
    return ends.reshape(-1, 2)


def times_of(passes: Sequence[Passes], parts: Sequence[Segment], pace: Pace) -> Floats:
    """What flying segments takes, shape (n,). [s]"""
    return np.array(
        [
            pass_time(pace, (part.last - part.first + 1) * own.lines.slot, own.gaps(part)) + TURN_LOSS_S
            for part in parts
            for own in (passes[part.lattice],)
        ]
    )


def divide(
    passes: Sequence[Passes], parts: Sequence[Segment], workers: Sequence[Worker], shift: Floats
) -> tuple[list[Route], float]:
    """Routes of all drones.

    Parameters
    ----------
    passes : sequence of Passes
        The lattices of the segments.
    parts : sequence of Segment
        What is to be sprayed.
    workers : sequence of Worker
        At least one.
    shift : ndarray, shape (2,)
        From where liquid comes down to where the drone is then. [m]

    Returns
    -------
    routes : list of Route
        One a worker; empty where there is nothing for it.
    makespan : float
        Time until the last is back. [s]
    """
    if not parts:
        return [[] for _ in workers], 0.0
    seconds = {worker.pace: times_of(passes, parts, worker.pace) for worker in workers}
    todo = _ToDo(
        ends=ends_of(passes, parts) + shift,
        litres=np.array([max(part.litres, 1e-6) for part in parts]),
        seconds=[seconds[worker.pace] for worker in workers],
        workers=workers,
    )
    owner = _balanced(todo)
    tours = [todo.tour(r, np.flatnonzero(owner == r)) for r in range(len(workers))]
    makespan = max(todo.time(r, np.flatnonzero(owner == r)) for r in range(len(workers)))
    return [[Leg(parts[e // 2], e % 2 == 0) for e in entered.tolist()] for entered in tours], makespan


@dataclass(frozen=True, eq=False)
class _ToDo:
    """Segments to be flown, and by whom."""

    ends: Floats
    """Both ends of each, shape (2 n, 2). [m]"""
    litres: Floats
    """What each takes, shape (n,). [L]"""
    seconds: list[Floats]
    """Flying time of each for every worker, shape (n,). [s]"""
    workers: Sequence[Worker]

    @property
    def middles(self) -> Floats:
        """Of the segments, shape (n, 2). [m]"""
        return np.asarray(self.ends.reshape(-1, 2, 2).mean(axis=1))

    def tour(self, r: int, own: Longs) -> Longs:
        """Ends of `ends` at which worker r enters its own segments."""
        if not len(own):
            return np.empty(0, np.int64)
        entered = tour(self.workers[r].pace, self._places(r, own))
        return np.asarray(2 * own[entered // 2] + entered % 2)

    def time(self, r: int, own: Longs) -> float:
        """Time until worker r is back with nothing left to do. [s]"""
        if not len(own):
            return 0.0
        worker, places = self.workers[r], self._places(r, own)
        flown = tour_time(worker.pace, places, tour(worker.pace, places), self.seconds[r][own])
        loads = math.ceil(max(0.0, self.litres[own].sum() - worker.liquid) / worker.tank - 1e-9)
        swaps = math.ceil(flown / worker.endurance) - 1
        away = np.linalg.norm(places[: 2 * len(own)].mean(axis=0) - worker.station)
        trip = 2.0 * hop_time(float(away), worker.pace.transit, worker.pace.acceleration) + worker.service
        return float(worker.delay + flown + max(loads, swaps, 0) * trip)

    def times(self, owner: Ints) -> Floats:
        """Of all workers, shape (L,). [s]"""
        return np.array([self.time(r, np.flatnonzero(owner == r)) for r in range(len(self.workers))])

    def _places(self, r: int, own: Longs) -> Floats:
        worker, own_ends = self.workers[r], self.ends.reshape(-1, 2, 2)[own].reshape(-1, 2)
        return np.vstack([own_ends, worker.place, worker.place, worker.station, worker.station])


def _balanced(todo: _ToDo) -> Ints:
    """Drone of each segment: beginning with shares by speed, and with shares by tank where these are unlike."""
    if len(todo.workers) == 1:
        return np.zeros(len(todo.litres), np.int32)
    speeds = np.array([w.pace.working for w in todo.workers])
    tanks = np.array([w.tank for w in todo.workers])
    starts = [speeds] if np.allclose(tanks / tanks.sum(), speeds / speeds.sum()) else [speeds, tanks]
    owners = [_handed_over(todo, _balanced_from(todo, capacity)) for capacity in starts]
    return min(owners, key=lambda owner: float(todo.times(owner).max()))


def _balanced_from(todo: _ToDo, capacity: Floats) -> Ints:
    """Drone of each segment, from first shares of the litres on."""
    middles, litres = todo.middles, todo.litres
    sites = _spread(middles, litres, todo.workers)
    owner: Ints = np.zeros(len(litres), np.int32)
    best = math.inf
    for k in range(ROUNDS):
        found = divide_samples(middles, litres, sites, capacity / capacity.sum() * litres.sum())
        own = found.owner(len(litres))
        times = todo.times(own)
        if times.max() < best:
            best, owner = float(times.max()), own
        capacity = capacity * np.clip(times.mean() / np.maximum(times, 1.0), 0.5, 2.0) ** 0.7
        if k < MOVING_ROUNDS:
            sites = np.where(np.isfinite(found.barycentres), found.barycentres, sites)
    return owner


def _spread(middles: Floats, litres: Floats, workers: Sequence[Worker]) -> Floats:
    """First sites: along the longer axis of what is to do, in order of where the drones are; apart in any case."""
    centre = np.average(middles, axis=0, weights=litres)
    _, _, axes = np.linalg.svd((middles - centre) * np.sqrt(litres)[:, None], full_matrices=False)
    along = (middles - centre) @ axes[0]
    order = np.argsort(along, kind="stable")
    share = (np.cumsum(litres[order]) - litres[order] / 2) / litres.sum()
    places = np.array([w.place for w in workers])
    rank = np.argsort(np.argsort((places - centre) @ axes[0], kind="stable"), kind="stable")
    at = np.interp((rank + 0.5) / len(workers), share, along[order])
    apart = 1.0 * (np.arange(len(workers)) - len(workers) / 2)
    sites: Floats = centre + at[:, None] * axes[0] + apart[:, None] * axes[0] * 1e-3
    return sites


def _handed_over(todo: _ToDo, owner: Ints) -> Ints:
    """Give segments of who ends last to who lies nearest, while that helps."""
    middles, times = todo.middles, todo.times(owner)
    for _ in range(HANDED_OVER):
        last = int(times.argmax())
        own = np.flatnonzero(owner == last)
        better = None
        for r in np.argsort(times)[:2].tolist():
            theirs = np.flatnonzero(owner == r)
            if r == last or len(own) < 2:
                continue
            near = _distance(middles[own], middles[theirs] if len(theirs) else todo.workers[r].place[None])
            for i in own[np.argsort(near, kind="stable")[:3]].tolist():
                mine = todo.time(last, own[own != i])
                his = todo.time(r, np.append(theirs, i))
                if max(mine, his) < (better[0] if better else times[last] - 1.0):
                    better = (max(mine, his), i, r, mine, his)
        if better is None:
            break
        _, i, r, times[last], times[r] = better
        owner[i] = r
    return owner


def _distance(points: Floats, others: Floats) -> Floats:
    return np.asarray(np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1))
