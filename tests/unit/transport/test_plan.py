"""Transport plans between points and samples: balanced, too little capacity, too much."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.transport.exact import exact_transport, squared_distances
from d2oc.transport.plan import transport_plan


def random_case(n=40, m=60, capacity=1.0, seed=3):
    rng = np.random.default_rng(seed)
    masses = rng.random(n) + 0.1
    weights = rng.random(m) + 0.1
    masses *= capacity / masses.sum()
    return rng.uniform(0, 100, (n, 2)), masses, rng.uniform(0, 100, (m, 2)), weights / weights.sum()


def test_balanced_plan_serves_everything_and_costs_what_exact_transport_costs():
    points, masses, samples, weights = random_case()
    plan = transport_plan(points, masses, samples, weights)
    assert np.bincount(plan.point, plan.amount, len(points)) == pytest.approx(masses, abs=1e-12)
    assert np.bincount(plan.sample, plan.amount, len(samples)) == pytest.approx(weights, abs=1e-12)
    cost = exact_transport(masses, weights, squared_distances(points, samples)).cost
    assert plan.cost == pytest.approx(cost, rel=1e-12)
    assert (np.diff(plan.point) >= 0).all()


def test_goals_are_barycentres_and_moving_a_point_costs_its_distance_to_them():
    """sum_j pi |y - q_j|^2 = (sum pi) |y - qbar|^2 + const for every y."""
    points, masses, samples, weights = random_case()
    plan = transport_plan(points, masses, samples, weights)
    for moved in (points + 3.0, points * 0.5):
        cost = (plan.amount * ((moved[plan.point] - samples[plan.sample]) ** 2).sum(axis=1)).sum()
        by_goals = (plan.served * ((moved - plan.goals) ** 2).sum(axis=1)).sum()
        at_points = (plan.served * ((points - plan.goals) ** 2).sum(axis=1)).sum()
        assert cost - by_goals == pytest.approx(plan.cost - at_points, rel=1e-9)


def test_with_too_little_capacity_the_dearest_samples_stay_unserved():
    """One point that can serve half: the nearest half."""
    samples = np.column_stack([np.arange(10.0), np.zeros(10)])
    plan = transport_plan(np.zeros((1, 2)), np.array([0.5]), samples, np.full(10, 0.1))
    assert sorted(plan.sample) == [0, 1, 2, 3, 4]
    assert plan.amount == pytest.approx(np.full(5, 0.1))
    assert plan.goals[0] == pytest.approx([2.0, 0.0])


def test_with_too_much_capacity_the_farthest_points_are_idle():
    points = np.column_stack([np.arange(4.0), np.zeros(4)])
    plan = transport_plan(points, np.full(4, 0.5), np.zeros((1, 2)), np.array([1.0]))
    assert plan.served == pytest.approx([0.5, 0.5, 0.0, 0.0])
    assert np.isnan(plan.goals[2:]).all()
    assert plan.goals[:2] == pytest.approx(np.zeros((2, 2)))
