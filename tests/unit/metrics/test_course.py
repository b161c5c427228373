"""W2 on the way, and the time to a W2, against exact distances at every moment."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc import load_scenario, simulate
from d2oc.metrics import TIMES_LOOKED_AT, coverage_distance, time_to_w2, visited, w2_at_share
from d2oc.transport.wasserstein import wasserstein2


@pytest.fixture(scope="module")
def record():
    return simulate(load_scenario("six_drones", overrides=["mission.duration_s=40", "sampling.n_samples=150"]))


def exact(record, until):
    samples = np.column_stack([record.samples["x_m"], record.samples["y_m"]])
    return wasserstein2(*visited(record, until), samples, record.samples["weight"]).value


def test_w2_at_a_share_is_that_of_the_steps_until_then(record):
    for share in (0.25, 0.5, 1.0):
        assert w2_at_share(record, share) == pytest.approx(exact(record, round(share * 200)), rel=0.01)
    assert w2_at_share(record, 1.0) == pytest.approx(coverage_distance(record)["w2_m"], rel=0.01)
    assert w2_at_share(record, 0.0) is None


def test_time_to_w2_is_the_first_moment_at_which_it_is_low_enough(record):
    moments = [round(i / TIMES_LOOKED_AT * 200) for i in range(1, TIMES_LOOKED_AT + 1)]
    course = np.array([exact(record, until) for until in moments])
    for level in (1.001 * course[5], 0.999 * course[20], (course.min() + np.median(course)) / 2, 1.001 * course.min()):
        first = int(np.flatnonzero(course <= level)[0])
        assert time_to_w2(record, level) == pytest.approx(0.2 * moments[first])
    assert time_to_w2(record, 0.999 * course.min()) is None


def test_visited_until_counts_ticks(record):
    points, masses = visited(record, 3)
    assert len(points) == len(masses) == 18
    assert len(visited(record)[0]) == 200 * 6
