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
from d2oc.spray.passes import Lattice, Segment
from d2oc.spray.routes import Pace, hop_time, tour, tour_time
from d2oc.transport.sample_partition import divide_samples

ROUNDS = 8
"""Divisions that are tried."""
MOVING_ROUNDS = 4
"""Rounds in which sites move to the centres of their cells."""
HANDED_OVER = 12
"""Segments that are tried to be handed over, at the most."""


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


def ends_of(lines: Lattice, parts: Sequence[Segment]) -> Floats:
    """Both ends of segments one after the other, shape (2 n, 2). [m]"""
    line = np.array([s.line for s in parts])
    first, last = (lines.middle(line, np.array(slot)) for slot in zip(*((s.first, s.last) for s in parts), strict=True))
    along = lines.slot / 2 * np.array([lines.cos, lines.sin])
    return np.stack([first - along, last + along], axis=1).reshape(-1, 2)


def divide(lines: Lattice, parts: Sequence[Segment], workers: Sequence[Worker], shift: Floats) -> list[Route]:
    """Routes of all drones.

    Parameters
    ----------
    lines : Lattice
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
    """
    if not parts:
        return [[] for _ in workers]
    ends = ends_of(lines, parts) + shift
    middles = ends.reshape(-1, 2, 2).mean(axis=1)
    litres = np.array([max(s.litres, 1e-6) for s in parts])
    owner = _balanced(ends, middles, litres, workers)
    tours = [_tour(ends, np.flatnonzero(owner == r), worker) for r, worker in enumerate(workers)]
    return [[Leg(parts[e // 2], e % 2 == 0) for e in entered.tolist()] for entered in tours]


def _balanced(ends: Floats, middles: Floats, litres: Floats, workers: Sequence[Worker]) -> Ints:
    """Drone of each segment."""
    n = len(workers)
    if n == 1:
        return np.zeros(len(litres), np.int32)
    capacity = np.array([w.pace.working for w in workers])
    sites = _spread(middles, litres, workers)
    owner: Ints = np.zeros(len(litres), np.int32)
    best = math.inf
    for k in range(ROUNDS):
        found = divide_samples(middles, litres, sites, capacity / capacity.sum() * litres.sum())
        own = found.owner(len(litres))
        times = np.array([_time(ends, litres, np.flatnonzero(own == r), w) for r, w in enumerate(workers)])
        if times.max() < best:
            best, owner = float(times.max()), own
        capacity = capacity * np.clip(times.mean() / np.maximum(times, 1.0), 0.5, 2.0) ** 0.7
        if k < MOVING_ROUNDS:
            sites = np.where(np.isfinite(found.barycentres), found.barycentres, sites)
    return _handed_over(ends, middles, litres, workers, owner)


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


def _handed_over(ends: Floats, middles: Floats, litres: Floats, workers: Sequence[Worker], owner: Ints) -> Ints:
    """Give segments of who ends last to who lies nearest, while that helps."""
    times = np.array([_time(ends, litres, np.flatnonzero(owner == r), w) for r, w in enumerate(workers)])
    for _ in range(HANDED_OVER):
        last = int(times.argmax())
        own = np.flatnonzero(owner == last)
        better = None
        for r in np.argsort(times)[:2].tolist():
            theirs = np.flatnonzero(owner == r)
            if r == last or len(own) < 2:
                continue
            near = _distance(middles[own], middles[theirs] if len(theirs) else workers[r].place[None])
            for i in own[np.argsort(near, kind="stable")[:3]].tolist():
                mine = _time(ends, litres, own[own != i], workers[last])
                his = _time(ends, litres, np.append(theirs, i), workers[r])
                if max(mine, his) < (better[0] if better else times[last] - 1.0):
                    better = (max(mine, his), i, r, mine, his)
        if better is None:
            break
        _, i, r, times[last], times[r] = better
        owner[i] = r
    return owner


def _distance(points: Floats, others: Floats) -> Floats:
    return np.asarray(np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1))


def _tour(ends: Floats, own: Longs, worker: Worker) -> Longs:
    """Ends of `ends` at which the own segments are entered."""
    if not len(own):
        return np.empty(0, np.int64)
    entered = tour(worker.pace, _places(ends, own, worker))
    return np.asarray(2 * own[entered // 2] + entered % 2)


def _places(ends: Floats, own: Longs, worker: Worker) -> Floats:
    own_ends = ends.reshape(-1, 2, 2)[own].reshape(-1, 2)
    return np.vstack([own_ends, worker.place, worker.place, worker.station, worker.station])


def _time(ends: Floats, litres: Floats, own: Longs, worker: Worker) -> float:
    """Time until a drone is back with nothing left to do. [s]"""
    if not len(own):
        return 0.0
    places = _places(ends, own, worker)
    flown = tour_time(worker.pace, places, tour(worker.pace, places))
    loads = math.ceil(max(0.0, litres[own].sum() - worker.liquid) / worker.tank - 1e-9)
    swaps = math.ceil(flown / worker.endurance) - 1
    away = np.linalg.norm(places[: 2 * len(own)].mean(axis=0) - worker.station)
    trip = 2.0 * hop_time(float(away), worker.pace.transit, worker.pace.acceleration) + worker.service
    return worker.delay + flown + max(loads, swaps, 0) * trip
