"""The CoverageControl task: its map, its measure, and that any method of compare flies it."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.benchmarks.coverage_task import N_ROBOTS, SIDE_M, fly_task, task_map, task_time_to, task_w2


def test_map_is_a_density_of_cut_patches():
    density = task_map(0)
    assert density.shape == (256, 256)
    assert density.sum() == pytest.approx(1.0)
    empty = (density == 0).mean()
    assert 0.3 < empty < 0.9  # 32 discs of radius 80 to 120 m on a square kilometre
    assert np.array_equal(density, task_map(0))
    assert not np.array_equal(density, task_map(1))


def test_samples_lie_where_the_map_says():
    record = fly_task("random", 3, comm_range_m=0.0, n_steps=2, changes=["sampling.n_samples=4000"])
    x, y = record.samples["x_m"], record.samples["y_m"]
    sampled, _, _ = np.histogram2d(x, y, bins=16, range=[(0, SIDE_M)] * 2, weights=record.samples["weight"])
    wanted = task_map(3).reshape(16, 16, 16, 16).sum(axis=(1, 3))
    assert np.abs(sampled - wanted).max() < 2e-3
    assert np.abs(sampled.T - wanted).max() > 1e-2


def test_flies_and_is_measured_on_pooled_cells():
    record = fly_task("random", 1, comm_range_m=0.0, n_steps=120, changes=["sampling.n_samples=500"])
    assert record.header.n_agents == N_ROBOTS
    legs = np.linalg.norm(np.diff(record.by_tick("x_m", "y_m"), axis=0), axis=2)
    assert legs.max() <= 5.0 * (1 + 1e-9)
    distance = task_w2(record)
    assert 20.0 < distance < 300.0
    assert task_time_to(record, distance + 300.0) == 50.0
    assert task_time_to(record, 1.0) is None
