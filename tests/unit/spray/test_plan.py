"""Plans of a field: second lattices, gaps that are flown on, strips, and what a team carries."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from d2oc.airframes.airframe import load_preset
from d2oc.scenario.schema import SprayTable
from d2oc.spray.deposit import Footprint
from d2oc.spray.division import Worker
from d2oc.spray.logistics import Drone, load_for
from d2oc.spray.passes import segments
from d2oc.spray.plan import LEAST_USE, Task, _draft, _flows, plan_by_density, plan_by_strips
from d2oc.spray.raster import DoseMap, Grid
from d2oc.spray.routes import Pace

GRID = Grid(0.0, 0.0, 1.0, 120, 160)
PACE = Pace(6.0, 10.0, 3.0)


def task_of(severity, dry=None):
    dry = np.zeros(severity.shape, bool) if dry is None else dry
    target = np.where((severity > 0.0) & ~dry, 15.0, 0.0)
    ground = DoseMap(
        GRID, np.where(dry, 0.0, severity), target, target, np.where(dry, 0.0, 30.0), ~dry, np.ones(dry.shape, bool)
    )
    return Task(
        map=ground, footprint=Footprint(2.8, 0.5), spray=SprayTable(), speed=6.0, shift=np.zeros(2),
        wanted=0.9 * target, most=np.where(dry, 0.0, 26.0), effective_share=0.8, uniform_rate=15.0,
    )  # fmt: skip


def workers(n=2):
    station = np.array([80.0, -10.0])
    return [Worker(station + np.array([5.0 * r, 0.0]), PACE, 40.0, 40.0, 600.0, station, 100.0) for r in range(n)]


def disc(x, y, radius):
    row, column = np.mgrid[0 : GRID.rows, 0 : GRID.columns] + 0.5
    return (column - x) ** 2 + (row - y) ** 2 < radius**2


def pond():
    dry = np.zeros((GRID.rows, GRID.columns), bool)
    dry[50:70, 65:95] = True
    return dry


def test_lines_across_reach_what_lies_beside_a_pond():
    task = task_of(disc(80, 60, 45).astype(float), pond())
    nothing = np.zeros(task.wanted.shape)
    passes, missed = _draft(task, nothing, 0.0)
    assert len(passes) == 2
    along, deposit = _flows(task, nothing, 0.0, LEAST_USE)
    assert np.array_equal(passes[0].flow, along.flow)
    alone = ((deposit < 12.0) & (task.map.target > 0.0)).sum() / (task.map.target > 0.0).sum()
    assert missed < 0.5 * alone


def test_where_little_is_missed_one_lattice_is_enough():
    passes, missed = _draft(task_of(disc(80, 60, 45).astype(float)), np.zeros((120, 160)), 0.3)
    assert len(passes) == 1
    assert missed < 0.02


def test_what_lies_there_is_not_planned_again():
    task = task_of(disc(80, 60, 40).astype(float))
    half = np.where(np.arange(GRID.columns) < 80, 13.0, 0.0) * np.ones((GRID.rows, 1))
    whole, rest = (plan_by_density(task, known, workers()) for known in (np.zeros(half.shape), half))
    assert 0.4 < rest.litres / whole.litres < 0.6
    done = plan_by_density(task, np.full(half.shape, 13.0), workers())
    assert done.litres == 0.0
    assert done.routes == [[], []]


def test_every_pass_of_a_plan_is_flown_by_one_drone():
    task = task_of((disc(40, 60, 25) | disc(125, 80, 20)).astype(float), pond())
    plan = plan_by_density(task, np.zeros(task.wanted.shape), workers(3))
    parts = [leg.segment for route in plan.routes for leg in route]
    assert len({(*part[:3], part.lattice) for part in parts}) == len(parts)
    assert sum(part.litres for part in parts) == pytest.approx(plan.litres)


def test_a_lawnmower_that_skips_sprays_the_same_and_flies_less():
    task = task_of((disc(40, 60, 25) | disc(125, 80, 20)).astype(float))
    whole, skipped = (plan_by_strips(task, workers(), name) for name in ("prescription", "prescription-skip"))
    flown = [
        sum(leg.segment.last - leg.segment.first + 1 for route in plan.routes for leg in route)
        for plan in (whole, skipped)
    ]
    assert flown[1] < 0.7 * flown[0]
    assert skipped.litres == pytest.approx(whole.litres, rel=0.05)
    for route in skipped.routes:
        for leg in route:
            on = skipped.passes[0].on(leg.segment)
            assert on[0]
            assert on[-1]


def test_strips_of_a_lawnmower_take_equal_times():
    task = task_of(np.ones((120, 160)))
    plan = plan_by_strips(task, workers(2), "uniform")
    counts = [len(route) for route in plan.routes]
    assert abs(counts[0] - counts[1]) <= 1
    lines = plan.passes[0].lines
    assert plan.litres == pytest.approx(15.0 * plan.passes[0].flow.astype(bool).sum() * lines.slot * 7.0e-4)


def test_a_load_is_what_one_battery_sprays():
    drone = Drone(0, load_preset("sprayer"), PACE, 40.0, 2.0, 0)
    litres, seconds = np.full(30, 2.0), np.full(30, 30.0)
    energy = 0.85 * drone.full_energy
    load = load_for(drone, litres, seconds, 60.0, energy)
    mass, per = drone.airframe.mass_with, drone.airframe.hover_power
    # The same, in steps of a tenth of a second.
    left, drawn = load, 60.0 * per(mass(0.0))
    while left > 0.0:
        left -= 2.0 / 30.0 * 0.1
        drawn += 0.1 * per(mass(max(left, 0.0)))
    assert 0.0 < load < 40.0
    assert drawn == pytest.approx(energy, rel=0.02)
    assert load_for(drone, litres[:3], seconds[:3], 60.0, energy) == 6.0
    assert load_for(dataclasses.replace(drone, tank=5.0), litres, seconds, 60.0, energy) == 5.0


def test_segments_of_both_lattices_are_told_apart():
    task = task_of(disc(80, 60, 45).astype(float), pond())
    passes, _ = _draft(task, np.zeros(task.wanted.shape), 0.0)
    free = [np.ones(own.flow.shape, bool) for own in passes]
    parts = [part for k, own in enumerate(passes) for part in segments(own, free[k], 25.0, k)]
    assert {part.lattice for part in parts} == {0, 1}
