"""Whatever a drone does, no litre is lost and nothing is sprayed beyond the maximum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2oc.spray.deposit import Footprint, touched_space
from d2oc.spray.nozzles import OWED, PLANNED, Gear, Ground, Way, new_consumed, spray
from d2oc.spray.passes import lattice
from d2oc.spray.raster import Grid

GRID = Grid(-5.0, 10.0, 1.0, 40, 50)
FOOTPRINT = Footprint(2.4, 0.6)
N = GRID.rows * GRID.columns


def number(low, high):
    return st.floats(low, high, allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    mode=st.sampled_from([PLANNED, OWED]),
    speed=number(0.0, 8.0),
    lag=number(0.0, 0.6),
    tank=number(0.0, 0.3),
    stray=number(-1.0, 1.0),
)
def test_litres_are_conserved_on_random_missions(seed, mode, speed, lag, tank, stray):
    rng = np.random.default_rng(seed)
    target = np.where(rng.random(N) < 0.4, rng.uniform(5.0, 20.0, N), 0.0)
    most = np.where(rng.random(N) < 0.01, 0.0, 25.0)
    block = np.where(target > 0.0, rng.integers(0, 30, N), -1).astype(np.int32)
    ground = Ground(np.zeros(N), np.zeros(N), target, most, np.ones(N, bool), block)
    lines = lattice(GRID, target.reshape(GRID.rows, GRID.columns) > 0.0, rng.uniform(0, np.pi), FOOTPRINT.swath)
    flow = rng.uniform(0.0, 20.0, (lines.lines, lines.slots))
    gear = Gear(0.002, 0.2, lag, 0.03)
    space, consumed = touched_space(FOOTPRINT, GRID, 6.0), new_consumed(30)
    left, pump, gone, served = tank, 0.0, 0.0, 0.0
    for _ in range(25):
        x, y, angle = *rng.uniform((-8, 5), (48, 55)), rng.uniform(0, 2 * np.pi)
        way = Way(x, y, speed * np.cos(angle), speed * np.sin(angle), *rng.uniform(-3, 3, 2), 0.4, -0.2, stray, 0.1)
        sprayed, beyond, evaporated, pump, opened, shut = spray(
            mode, 0.5, way, int(rng.integers(lines.lines)), 1.0, flow, lines, GRID, FOOTPRINT, gear, ground, pump, left,
            space, consumed,
        )  # fmt: skip
        assert 0.0 <= opened <= shut <= 0.5
        assert (sprayed > 0.0) == (opened < shut)
        left -= sprayed
        gone += beyond + evaporated
        served += consumed.amount.sum()
        consumed.amount[:] = 0.0
        consumed.n[0] = 0
    assert left >= 0.0
    assert tank == pytest.approx(left + gone + ground.deposit.sum() * GRID.litres, abs=1e-9)
    assert (ground.known <= most + 1e-9).all()
    assert served == pytest.approx(np.minimum(ground.deposit, target).sum() * GRID.litres, abs=1e-9)
