"""From dose to passes and flows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from d2oc.spray.deposit import Footprint, lay, touch, touched_space
from d2oc.spray.passes import Passes, best_angles, lattice, least_flows, segments
from d2oc.spray.raster import L_PER_HA, Grid

FOOTPRINT = Footprint(2.8, 0.5)
GRID = Grid(0.0, 0.0, 1.0, 120, 150)


def patch(centre, radius):
    y, x = np.mgrid[0 : GRID.rows, 0 : GRID.columns] + 0.5
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2


def deposit_of(lines, flow, on_ground):
    deposit = on_ground.ravel().copy()
    space = touched_space(FOOTPRINT, GRID, lines.slot)
    for i, j in zip(*np.nonzero(flow), strict=True):
        x, y = lines.middle(i, j)
        n = touch(GRID, FOOTPRINT, x, y, lines.cos, lines.sin, lines.slot / 2, space)
        lay(deposit, GRID, space, n, flow[i, j] * lines.slot * lines.spacing * L_PER_HA)
    return deposit.reshape(GRID.rows, GRID.columns)


def plan(wanted, most=30.0, on_ground=None, angle=0.3):
    on_ground = np.zeros(wanted.shape) if on_ground is None else on_ground
    most = np.broadcast_to(most, wanted.shape).astype(float).copy()
    lines = lattice(GRID, wanted > 0, angle, FOOTPRINT.swath)
    allowed = np.ones((lines.lines, lines.slots), bool)
    flow, deposit = least_flows(GRID, lines, FOOTPRINT, allowed, on_ground, wanted, most, 0.5, 60.0, 0.2)
    assert np.allclose(deposit, deposit_of(lines, flow, on_ground), atol=1e-9)
    return lines, flow


def test_every_place_gets_its_dose_and_none_more_than_its_maximum():
    wanted = 13.0 * (patch((40, 50), 20) | patch((110, 80), 12))
    lines, flow = plan(wanted)
    deposit = deposit_of(lines, flow, np.zeros(wanted.shape))
    assert (deposit[wanted > 0] >= 0.85 * wanted[wanted > 0]).mean() > 0.99
    assert deposit.max() <= 30.0 + 1e-9
    litres = flow.sum() * lines.slot * lines.spacing * L_PER_HA
    assert litres < 1.5 * wanted.sum() * GRID.litres


def test_what_lies_there_already_is_not_sprayed_again():
    wanted = 13.0 * patch((60, 60), 20)
    on_ground = np.where(np.arange(GRID.columns) < 60, 13.0, 0.0) * np.ones((GRID.rows, 1))
    _, whole = plan(wanted)
    _, rest = plan(wanted, on_ground=on_ground)
    assert 0.3 < rest.sum() / whole.sum() < 0.7
    assert plan(wanted, on_ground=np.full(wanted.shape, 13.0))[1].sum() == 0.0


def test_a_cell_that_must_stay_dry_is_not_touched_at_all():
    wanted = 13.0 * patch((60, 60), 25)
    most = np.where(patch((60, 85), 8), 0.0, 30.0)
    wanted[most == 0.0] = 0.0
    lines, flow = plan(wanted, most)
    assert deposit_of(lines, flow, np.zeros(wanted.shape))[most == 0.0].max() == 0.0
    assert flow.sum() > 0.0


def test_lines_run_along_a_long_patch():
    y, x = np.mgrid[0 : GRID.rows, 0 : GRID.columns] + 0.5
    along = math.radians(30.0)
    strip = abs((y - 60) * math.cos(along) - (x - 75) * math.sin(along)) < 10
    assert best_angles(GRID, strip, 7.0, 6.0)[0] == pytest.approx(along)


def test_segments_end_at_long_gaps_and_at_what_cannot_be_flown_over():
    wanted = 13.0 * (patch((20, 60), 8) | patch((45, 60), 8) | patch((120, 60), 8))
    lines, flow = plan(wanted, angle=0.0)
    passes = Passes(lines, flow)
    free = np.ones(flow.shape, bool)
    near = segments(passes, free, longest_gap=20.0)
    lines_used = len({s.line for s in near})
    assert lines_used < len(near) <= 2 * lines_used + 1
    assert sum(s.litres for s in near) == pytest.approx(flow.sum() * lines.slot * lines.spacing * L_PER_HA)
    walled = free.copy()
    walled[:, [int((33 - lines.x) / lines.slot)]] = False
    assert len(segments(passes, walled, longest_gap=20.0)) > len(near)


def test_the_inside_of_a_patch_gets_the_flow_of_even_passes():
    """Parallel passes lay least midway between them: 1 - 2 exp(-2 (pi sigma / S)^2) of the mean."""
    wanted = 13.0 * patch((75, 60), 45)
    lines, flow = plan(wanted, angle=0.0)
    trough = 1.0 - 2.0 * math.exp(-2.0 * (math.pi * FOOTPRINT.across / lines.spacing) ** 2)
    inside = deposit_of(lines, flow, np.zeros(wanted.shape))[patch((75, 60), 25)]
    assert inside.mean() == pytest.approx(13.0 / trough, rel=0.01)
    assert inside.min() >= 0.999 * 13.0


def test_gaps_and_cuts_of_a_segment():
    lines = lattice(GRID, np.ones((GRID.rows, GRID.columns), bool), 0.0, FOOTPRINT.swath)
    flow = np.zeros((lines.lines, lines.slots))
    flow[2, [3, 4, 9, 11]] = 10.0
    passes = Passes(lines, flow)
    (segment,) = segments(passes, np.ones(flow.shape, bool), longest_gap=20.0, number=1)
    assert segment[:3] == (2, 3, 11)
    assert segment.lattice == 1
    assert passes.gaps(segment).tolist() == [4 * lines.slot, lines.slot]
    assert passes.cut(segment, 9, 11).litres == pytest.approx(segment.litres / 2)
    assert passes.litres == pytest.approx(segment.litres)
