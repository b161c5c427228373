"""`d2oc bench guard`: what the guard adds to a command, beside packing the same command as a signed MAVLink message."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from d2oc_hardware.failsafe import Situation, Watch
from d2oc_hardware.frames import Place, Velocity
from d2oc_hardware.guard import Guard
from d2oc_hardware.keep_out import Area
from d2oc_hardware.mavlink.codec import Codec, dialect
from d2oc_hardware.promise import Limits, Motion, Teammate

MOST_US = 50.0
"""What a command may cost. [us]"""
SIZES = ((0, 19, True), (7, 19, True), (7, 60, True), (15, 19, True), (7, 19, False))
"""Teammates, edges of fence and zones, and whether this is a flight: every drone in a layer of its own, as fleet files
demand, and commands that follow on each other. If not, all are within 80 m at any height and are told anything."""
BATCH = 100
"""Commands whose time is taken together."""
EDGE = 20.0
"""Of the fence. [m]"""
LAYER = 3.0
"""[m]"""
GOOD = Situation(True, True, True, 0.05, 0.05, 0.5, 0.9, 5.0, 40.0, 5.0, 2.0)


def measure(*, n_commands: int = 4_000, on_row: Callable[[dict[str, Any]], None] | None = None) -> list[dict[str, Any]]:
    """Measure every size.

    Parameters
    ----------
    n_commands : int
        Commands of a row, a multiple of `BATCH`.
    on_row : callable, optional
        Called with each row as soon as it is there.

    Returns
    -------
    rows : list of dict
        Teammates, edges, time of the processor for a command in the median and the slowest batch [us], and the median
        over that of packing and signing the command. See `SIZES`.
    """
    packing = statistics.median(_packing(n_commands))
    rows = []
    for n_mates, n_edges, flight in SIZES:
        costs = _judging(n_mates, n_edges, n_commands, flight=flight)
        median = statistics.median(costs)
        row = {
            "teammates": n_mates,
            "edges": n_edges,
            "flight": flight,
            "microseconds": round(median, 1),
            "slowest_microseconds": round(max(costs), 1),
            "ratio_to_packing": round(median / packing, 2),
            "within": median <= MOST_US or not flight,
        }
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return rows


def _judging(n_mates: int, n_edges: int, n_commands: int, *, flight: bool) -> list[float]:
    """Time of a command, of each of many batches. [us]"""
    rng = random.Random(1)
    radius = EDGE * n_edges / (2.0 * math.pi)
    angles = [2.0 * math.pi * k / n_edges for k in range(n_edges)]
    ring = [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]
    reach = 0.65 * radius if flight else 40.0
    limits = replace(Limits(), lowest=LAYER - 0.6, highest=LAYER + 0.6) if flight else Limits()
    guard = Guard(limits, Watch(), Area(ring), Area(ring))
    asked = []
    for k in range(n_commands):
        drones = [
            _motion(rng, reach, LAYER * (n + 1) if flight else rng.uniform(3.0, 18.0)) for n in range(n_mates + 1)
        ]
        if flight:
            drones[0] = drones[0]._replace(velocity=_turning(k))
        bands = [(m.place.up - 0.6, m.place.up + 0.6) if flight else (2.0, 20.0) for m in drones]
        mates = [Teammate(str(n), drones[n], drones[n].velocity, bands[n]) for n in range(1, n_mates + 1)]
        asked.append((drones[0], _near(_turning(k), rng) if flight else _some_velocity(rng), mates))

    def judge(k: int) -> None:
        motion, wish, mates = asked[k]
        guard.judge(0.1 * k, motion, wish, GOOD, mates)

    return _cost(judge, n_commands)


def _packing(n_commands: int) -> list[float]:
    """Time in which a setpoint is packed and signed, of each of many batches. [us]"""
    codec, rng = Codec(255, 191, bytes(32)), random.Random(1)
    velocities = [_some_velocity(rng) for _ in range(n_commands)]

    def pack(k: int) -> None:
        codec.pack(
            dialect.MAVLink_set_position_target_local_ned_message(
                k, 1, 1, 1, 0xDC7, 0, 0, 0, *velocities[k], 0, 0, 0, 0, 0
            )
        )

    return _cost(pack, n_commands)


def _cost(do: Callable[[int], None], n: int) -> list[float]:
    """Time of the processor, of one call, in each batch of many; looking at that clock may take longer. [us]"""
    costs = []
    for first in range(0, n, BATCH):
        began = time.thread_time()
        for k in range(first, min(first + BATCH, n)):
            do(k)
        costs.append(1e6 * (time.thread_time() - began) / BATCH)
    return costs


def _turning(k: int) -> Velocity:
    """Of a drone that flies curves."""
    return Velocity(4.0 * math.cos(0.02 * k), 4.0 * math.sin(0.02 * k), 0.0)


def _near(velocity: Velocity, rng: random.Random) -> Velocity:
    return Velocity(velocity.east + rng.uniform(-0.5, 0.5), velocity.north + rng.uniform(-0.5, 0.5), 0.0)


def _motion(rng: random.Random, reach: float, height: float) -> Motion:
    place = Place(rng.uniform(-reach, reach), rng.uniform(-reach, reach), height)
    return Motion(place, _some_velocity(rng)._replace(up=rng.uniform(-0.3, 0.3)), 0.05)


def _some_velocity(rng: random.Random) -> Velocity:
    return Velocity(rng.uniform(-6.0, 6.0), rng.uniform(-6.0, 6.0), rng.uniform(-1.0, 1.0))
