"""Room divided before take-off: nobody can exceed a maximum together with others that it does not hear."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.spray.deposit import Footprint
from d2oc.spray.division import Leg
from d2oc.spray.passes import Passes, lattice, segments
from d2oc.spray.raster import L_PER_HA, Grid
from d2oc.spray.reservation import planned_deposit, reserved

GRID = Grid(0.0, 0.0, 1.0, 60, 80)
FOOTPRINT = Footprint(2.8, 0.5)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_parts_sum_to_the_room_and_follow_the_plan(n):
    rng = np.random.default_rng(n)
    room = rng.uniform(0.0, 30.0, 200) * (rng.random(200) > 0.2)
    planned = [rng.uniform(0.0, 15.0, 200) * (rng.random(200) > 0.5) for _ in range(n)]
    parts = reserved(room, planned)
    assert np.allclose(np.sum(parts, axis=0), room)
    assert all((part >= 0.0).all() for part in parts)


def test_a_route_lays_its_own_litres_only():
    lines = lattice(GRID, np.ones((60, 80), bool), 0.2, FOOTPRINT.swath)
    flow = np.zeros((lines.lines, lines.slots))
    flow[4, 15:25] = 10.0
    flow[6, 15:25] = 20.0
    passes = Passes(lines, flow)
    one, two = segments(passes, np.ones(flow.shape, bool), 25.0)
    both = planned_deposit(GRID, FOOTPRINT, [passes], [Leg(one, True), Leg(two, False)])
    first = planned_deposit(GRID, FOOTPRINT, [passes], [Leg(one, True)])
    second = planned_deposit(GRID, FOOTPRINT, [passes], [Leg(two, True)])
    assert np.allclose(first + second, both)
    assert first.sum() * L_PER_HA == pytest.approx(one.litres, rel=1e-9)
    assert planned_deposit(GRID, FOOTPRINT, [passes], []).sum() == 0.0
