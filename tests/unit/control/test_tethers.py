"""The team stays connected where without tethers it breaks; tethered pairs hold a spanning tree."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.control.tethers import is_connected, keeps_to, middles, reach_of, sides
from d2oc.errors import ScenarioError
from d2oc.mission import simulate
from d2oc.scenario import load_scenario

CHANGES = {
    "control.limits": "optimised",
    "control.law": "closed-form",
    "team.start_m": [[46.0 + 2 * i, 50.0] for i in range(6)],
    "mission.duration_s": 24.0,
    "sampling.n_samples": 400,
    "radio.comm_range_m": 25.0,
}


def stays_connected(record, comm_range):
    position = record.by_tick("x_m", "y_m")
    return all(is_connected(places, comm_range) for places in position)


@pytest.mark.parametrize("law", ["closed-form", "random"])
def test_the_graph_breaks_without_and_holds_with_tethers(law):
    free = simulate(load_scenario("six_drones", overrides={**CHANGES, "control.law": law}))
    assert not stays_connected(free, 25.0)
    tied = simulate(load_scenario("six_drones", overrides={**CHANGES, "control.law": law, "team.keep_connected": True}))
    assert stays_connected(tied, 25.0)
    spread = np.ptp(tied.by_tick("x_m", "y_m"), axis=1).max()
    assert spread > 40.0  # it is no herd


def test_tethers_with_separation_and_zones():
    zone = [{"name": "barn", "boundary_m": [[30.0, 54.0], [70.0, 54.0], [70.0, 60.0], [30.0, 60.0]]}]
    changes = {**CHANGES, "team.start_m": [[30.0 + 8 * i, 40.0] for i in range(6)], "team.separation_m": 2.0}
    tied = simulate(
        load_scenario("six_drones", overrides={**changes, "field.no_fly_zones": zone, "team.keep_connected": True})
    )
    assert stays_connected(tied, 25.0)
    assert tied.summary()["min_separation_m"] >= 2.0


@pytest.mark.parametrize("seed", range(20))
def test_tethered_pairs_are_symmetric_and_connected(seed):
    """Every agent decides alone, from those in its range, and all decide alike."""
    rng = np.random.default_rng(seed)
    n, reach = 12, 30.0
    ways = rng.uniform(0.0, 60.0, (n, 1, 2)) + rng.uniform(-3.0, 3.0, (n, 7, 2))
    if seed % 2:
        ways = np.round(ways / 5.0) * 5.0  # many equal lengths
    length = np.sqrt(((ways[:, None] - ways[None]) ** 2).sum(axis=3)).max(axis=2)
    pairs = set()
    for r in range(n):
        others = np.array([q for q in range(n) if q != r and length[r, q] <= reach], np.int32)
        kept = middles(r, ways[r], others, ways[others], reach)
        for middle in kept:
            q = next(q for q in others if np.allclose((ways[q] + ways[r]) / 2, middle) and (r, q) not in pairs)
            pairs.add((r, int(q)))
    able = _parts(n, [(r, q) for r in range(n) for q in range(n) if r != q and length[r, q] <= reach])
    assert {(q, r) for r, q in pairs} == pairs
    assert _parts(n, pairs) == able
    assert len(pairs) < (length <= reach).sum() - n


def _parts(n, pairs):
    """Which agents are connected, as the smallest number in each one's part."""
    part = list(range(n))
    for _ in range(n):
        for r, q in pairs:
            part[r] = part[q] = min(part[r], part[q])
    return part


def test_two_ways_in_the_disc_are_within_reach():
    rng = np.random.default_rng(1)
    one, other = rng.uniform(-5.0, 5.0, (2, 9, 2))
    middle = middles(0, one, np.array([1], np.int32), other[None], 20.0)
    assert keeps_to(one, middle, 20.0)
    far = middle[0] + np.array([0.0, 9.99])
    assert keeps_to(far, middle, 20.0)
    assert not keeps_to(far + np.array([0.0, 0.02]), middle, 20.0)
    planes = sides(one, far + 50.0, middle, 20.0)
    assert ((planes.normal * one[:, None]).sum(axis=2) <= planes.offset).all()


def test_what_cannot_be_connected_says_so():
    with pytest.raises(ScenarioError, match=r"needs a team that is connected at the start, with less than 9\.97 m"):
        simulate(
            load_scenario(
                "six_drones",
                overrides={
                    **CHANGES,
                    "team.start": "line",
                    "team.start_m": [[10.0 + 14 * i, 5.0] for i in range(6)],
                    "radio.comm_range_m": 10.0,
                    "team.keep_connected": True,
                },
            )
        )
    with pytest.raises(ScenarioError, match=r'kept with control\.limits = "optimised" only'):
        load_scenario("six_drones", overrides={"team.keep_connected": True})
    assert reach_of(10.0) < 10.0
