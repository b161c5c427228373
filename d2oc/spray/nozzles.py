"""The nozzles of one drone over one control period: what they are told, what they give, where it comes down.

A control period is cut into pieces of about a cell. In each, the wanted rate is looked up ahead of the drone by the
lag of its pump, turned into a flow by the speed then, followed by the pump, and cut so that no cell under the footprint
gets more than its most: the *known* deposit decides, which is what the team believes from measured places and the mean
wind. The liquid itself comes down at the true place, in the true wind. A cut below the smallest flow shuts the nozzles.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.spray.deposit import Footprint, Touched, lay, room, touch
from d2oc.spray.passes import Lattice
from d2oc.spray.raster import L_PER_HA, Grid

PLANNED, OWED = 0, 1
"""How the rate is decided: by the flow of the slot, or by the largest dose still owed under the swath."""


LEAD = 0.7
"""Nozzles open this share of the pump's time constant early: half the flow is there where it is needed."""


class Ground(NamedTuple):
    """Rasters of the mission, each of shape (rows * columns,), doses in L/ha."""

    deposit: Floats
    """What lies there."""
    known: Floats
    """What the team believes to lie there."""
    target: Floats
    """What is wanted."""
    most: Floats
    """What may be believed to lie there, with room for what is not known."""
    inside: Flags
    """Where a drone may spray."""
    block: Ints
    """Sample that a cell belongs to, -1 where nothing is wanted."""


class Gear(NamedTuple):
    """Pump and nozzles."""

    least: float
    """Smallest flow. [L/s]"""
    largest: float
    """Largest flow. [L/s]"""
    lag: float
    """Time constant of the pump. [s]"""
    evaporated: float
    """Share that never arrives."""


class Way(NamedTuple):
    """What one control period needs to know of the drone."""

    x: float
    y: float
    vx: float
    vy: float
    ax: float
    ay: float
    """Measured place, velocity and acceleration at its start. [m, m/s, m/s^2]"""
    known_shift_x: float
    known_shift_y: float
    """From the measured place to where liquid is believed to come down. [m]"""
    true_shift_x: float
    true_shift_y: float
    """From the measured place to where it does come down. [m]"""


class Consumed(NamedTuple):
    """Litres owed that came down in this period, by sample; working memory."""

    amount: Floats
    """Shape (N,); zero outside a period. [L]"""
    sample: Ints
    """Samples that got something, shape (N,)."""
    n: Ints
    """How many, shape (1,)."""


@compiled
def spray(
    mode: int,
    dt: float,
    way: Way,
    line: int,
    forwards: float,
    flow: Floats,
    lines: Lattice,
    grid: Grid,
    footprint: Footprint,
    gear: Gear,
    ground: Ground,
    pump: float,
    tank: float,
    space: Touched,
    consumed: Consumed,
) -> tuple[float, float, float, float, float, float]:
    """Spray for one control period.

    Parameters
    ----------
    mode : int
        How the rate is decided.
    dt : float
        [s]
    way : Way
    line, forwards : int, float
        Line of the lattice that is flown, and 1 or -1, for `PLANNED`.
    flow : ndarray, shape (lines, slots)
        Flow of every slot, for `PLANNED`. [L/ha]
    lines : Lattice
    grid, footprint, gear, ground : Grid, Footprint, Gear, Ground
        The rasters `deposit` and `known` are changed in place.
    pump : float
        Flow of the pump at the start. [L/s]
    tank : float
        Liquid that there is. [L]
    space, consumed : Touched, Consumed
        Working memory; `consumed` receives the litres owed that came down.

    Returns
    -------
    sprayed : float
        What left the nozzles. [L]
    beyond : float
        What came down beyond the raster. [L]
    evaporated : float
        What did not come down. [L]
    pump : float
        Flow of the pump at the end. [L/s]
    opened, shut : float
        When within the period the first came down and the last; equal if nothing did. [s]
    """
    far = math.sqrt(way.vx**2 + way.vy**2) * dt + 0.5 * math.sqrt(way.ax**2 + way.ay**2) * dt * dt
    pieces = max(1, math.ceil(far / grid.cell))
    h = dt / pieces
    sprayed, beyond, evaporated = 0.0, 0.0, 0.0
    opened, shut = dt, dt
    for k in range(pieces):
        t = (k + 0.5) * h
        x = way.x + way.vx * t + 0.5 * way.ax * t * t
        y = way.y + way.vy * t + 0.5 * way.ay * t * t
        vx, vy = way.vx + way.ax * t, way.vy + way.ay * t
        speed = math.sqrt(vx * vx + vy * vy)
        if speed < 0.05:
            pump = 0.0
            continue
        cos, sin = vx / speed, vy / speed
        later = max(speed + gear.lag * (way.ax * cos + way.ay * sin), 0.0)
        n = touch(grid, footprint, x + way.known_shift_x, y + way.known_shift_y, cos, sin, speed * h / 2, space)
        if not _may_spray_from(ground, grid, x + way.known_shift_x, y + way.known_shift_y):
            rate = 0.0
        elif mode == PLANNED:
            lead = forwards * speed * LEAD * gear.lag
            rate = _planned(lines, flow, line, x + way.known_shift_x, y + way.known_shift_y, lead)
        else:
            rate = _under(lines.spacing, ground, space, n)
        wanted = rate * L_PER_HA * lines.spacing * later / (1.0 - gear.evaporated)
        if rate <= 0.0 or wanted <= 0.0:
            pump = 0.0
            continue
        wanted = min(max(wanted, gear.least), gear.largest)
        pump += (wanted - pump) * (1.0 - math.exp(-h / gear.lag)) if gear.lag > 0.0 else wanted - pump
        litres = pump * h
        most = min(
            room(ground.known, ground.most, lines.spacing, grid, space, n) / (1.0 - gear.evaporated), tank - sprayed
        )
        if litres > most:
            litres = most if most >= gear.least * h else 0.0
        if litres <= 0.0:
            continue
        arrived = litres * (1.0 - gear.evaporated)
        lay(ground.known, grid, space, n, arrived)
        n = touch(grid, footprint, x + way.true_shift_x, y + way.true_shift_y, cos, sin, speed * h / 2, space)
        _account(ground, grid, space, n, arrived, consumed)
        beyond += lay(ground.deposit, grid, space, n, arrived)
        sprayed += litres
        opened, shut = min(opened, k * h), (k + 1) * h
        evaporated += litres - arrived
    return sprayed, beyond, evaporated, pump, opened, shut


@compiled
def spray_given(
    dt: float,
    way: Way,
    wanted: float,
    grid: Grid,
    footprint: Footprint,
    gear: Gear,
    ground: Ground,
    pump: float,
    space: Touched,
    consumed: Consumed,
) -> tuple[float, float]:
    """Lay what a pump gives for one control period, whatever anybody planned and whatever is allowed.

    Parameters
    ----------
    dt : float
        [s]
    way : Way
        Shifted to where its liquid comes down; only place and velocity are used.
    wanted : float
        What the pump is told. [L/s]
    grid, footprint, gear, ground, space, consumed
        As for `spray`; `deposit` is changed.
    pump : float
        Flow of the pump at the start. [L/s]

    Returns
    -------
    sprayed : float
        What left the nozzles. [L]
    pump : float
        Flow of the pump at the end. [L/s]
    """
    speed = math.sqrt(way.vx * way.vx + way.vy * way.vy)
    cos, sin = (way.vx / speed, way.vy / speed) if speed > 0.0 else (1.0, 0.0)
    pieces = max(1, math.ceil(speed * dt / grid.cell))
    h = dt / pieces
    sprayed = 0.0
    for k in range(pieces):
        t = (k + 0.5) * h
        pump += (wanted - pump) * (1.0 - math.exp(-h / gear.lag)) if gear.lag > 0.0 else wanted - pump
        n = touch(grid, footprint, way.x + way.vx * t, way.y + way.vy * t, cos, sin, speed * h / 2, space)
        arrived = pump * h * (1.0 - gear.evaporated)
        _account(ground, grid, space, n, arrived, consumed)
        lay(ground.deposit, grid, space, n, arrived)
        sprayed += pump * h
    return sprayed, pump


@compiled
def flow_at(
    x: float,
    y: float,
    vx: float,
    vy: float,
    line: int,
    forwards: float,
    flow: Floats,
    lines: Lattice,
    grid: Grid,
    footprint: Footprint,
    gear: Gear,
    ground: Ground,
    space: Touched,
) -> float:
    """Flow that `spray` would want of the pump at one moment, by `PLANNED`; changes nothing.

    Parameters
    ----------
    x, y : float
        Where liquid is believed to come down. [m]
    vx, vy : float
        Velocity. [m/s]
    line, forwards, flow, lines, grid, footprint, gear, ground, space
        As for `spray`.

    Returns
    -------
    flow : float
        [L/s]
    """
    speed = math.sqrt(vx * vx + vy * vy)
    if speed < 0.05 or not _may_spray_from(ground, grid, x, y):
        return 0.0
    rate = _planned(lines, flow, line, x, y, forwards * speed * LEAD * gear.lag)
    if rate <= 0.0:
        return 0.0
    wanted = min(max(rate * L_PER_HA * lines.spacing * speed / (1.0 - gear.evaporated), gear.least), gear.largest)
    n = touch(grid, footprint, x, y, vx / speed, vy / speed, grid.cell / 2, space)
    most = room(ground.known, ground.most, lines.spacing, grid, space, n) * speed / grid.cell / (1.0 - gear.evaporated)
    if wanted <= most:
        return wanted
    return most if most >= gear.least else 0.0


@compiled
def _may_spray_from(ground: Ground, grid: Grid, x: float, y: float) -> bool:
    column, row = math.floor((x - grid.x) / grid.cell), math.floor((y - grid.y) / grid.cell)
    if not (0 <= row < grid.rows and 0 <= column < grid.columns):
        return False
    return ground.inside[row * grid.columns + column]


@compiled
def _planned(lines: Lattice, flow: Floats, line: int, x: float, y: float, lead: float) -> float:
    """Larger of the rates planned here and so far ahead, where the pump will be when it has followed."""
    along = (x - lines.x) * lines.cos + (y - lines.y) * lines.sin
    return max(_of_slot(lines, flow, line, along), _of_slot(lines, flow, line, along + lead))


@compiled
def _of_slot(lines: Lattice, flow: Floats, line: int, along: float) -> float:
    j = math.floor(along / lines.slot)
    return flow[line, j] if 0 <= j < lines.slots else 0.0


@compiled
def _under(spacing: float, ground: Ground, space: Touched, n: int) -> float:
    """Largest dose owed within half a swath of the way."""
    rate = 0.0
    for i in range(n):
        cell = space.cell[i]
        if cell < 0 or abs(space.across[i]) > 0.5 * spacing:
            continue
        rate = max(rate, ground.target[cell] - ground.known[cell])
    return rate


@compiled
def _account(ground: Ground, grid: Grid, space: Touched, n: int, litres: float, consumed: Consumed) -> None:
    """Note how much of what is owed comes down, by sample."""
    per_cell = grid.cell * grid.cell * L_PER_HA
    for i in range(n):
        cell = space.cell[i]
        if cell < 0 or ground.block[cell] < 0:
            continue
        before = ground.deposit[cell]
        gain = min(before + litres / per_cell * space.weight[i], ground.target[cell]) - before
        if gain > 0.0:
            sample = ground.block[cell]
            if consumed.amount[sample] == 0.0:
                consumed.sample[consumed.n[0]] = sample
                consumed.n[0] += 1
            consumed.amount[sample] += gain * per_cell


def new_consumed(n_samples: int) -> Consumed:
    """Nothing consumed yet."""
    return Consumed(np.zeros(n_samples), np.zeros(n_samples, np.int32), np.zeros(1, np.int64))
