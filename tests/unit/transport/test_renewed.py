"""The network simplex from an earlier tree finds what a solver from nothing finds."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.transport.exact import exact_transport, squared_distances
from d2oc.transport.plan import renewed_plan, transport_plan
from d2oc.transport.renewed import UNITS, first_basis, renew


def cost_of(basis, points, samples):
    """Total cost of a tree, and that its flows are not negative and sum to the masses."""
    n = len(basis.rows)
    node = np.flatnonzero(basis.parent >= 0)
    assert len(node) == n + len(basis.columns) - 1
    assert (basis.flow[node] >= 0).all()
    row, column = np.minimum(node, basis.parent[node]), np.maximum(node, basis.parent[node]) - n
    for end, masses in ((row, basis.rows), (column, basis.columns)):
        units = np.zeros_like(masses)
        np.add.at(units, end, basis.flow[node])
        assert np.array_equal(units, masses)
    return (basis.flow[node] / UNITS * ((points[row] - samples[column]) ** 2).sum(axis=1)).sum()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (9, 1), (60, 60), (90, 100), (200, 70)])
def test_it_is_optimal_after_every_move(n, m):
    """Equal masses: many ties, as between steps and samples."""
    rng = np.random.default_rng([n, m])
    points, samples = rng.uniform(0, 100, (n, 2)), rng.uniform(0, 100, (m, 2))
    masses, weights = np.full(n, 1 / n), np.full(m, 1 / m)
    basis = first_basis(points, masses, samples, weights)
    cost_of(basis, points, samples)
    for _ in range(4):
        basis, _ = renew(basis, points, samples)
        best = exact_transport(masses, weights, squared_distances(points, samples)).cost
        assert cost_of(basis, points, samples) == pytest.approx(best, rel=1e-9)
        points = points + rng.normal(0, 3, points.shape)


def test_points_and_samples_that_fall_together_do_no_harm():
    points, samples = np.repeat([[0.0, 0], [1, 1]], 20, axis=0), np.repeat([[1.0, 1], [0, 0]], 10, axis=0)
    basis = first_basis(points, np.full(40, 1 / 40), samples, np.full(20, 1 / 20))
    basis, _ = renew(basis, points, samples)
    assert cost_of(basis, points, samples) == pytest.approx(0.0, abs=1e-12)


def test_a_small_move_takes_few_pivots():
    rng = np.random.default_rng(3)
    points, samples = rng.uniform(0, 100, (200, 2)), rng.uniform(0, 100, (150, 2))
    basis, first = renew(first_basis(points, np.ones(200), samples, np.ones(150)), points, samples)
    _, second = renew(basis, points + rng.normal(0, 0.2, points.shape), samples)
    _, again = renew(basis, points, samples)
    assert again == 0
    assert second < 0.2 * first


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_the_plan_is_that_from_nothing(share):
    """Also where mass stays unserved or points idle, and where some samples ask for nothing."""
    rng = np.random.default_rng(4)
    points, samples = rng.uniform(0, 100, (40, 2)), rng.uniform(0, 100, (70, 2))
    masses, weights = rng.uniform(0.5, 1.5, 40), rng.uniform(0.5, 1.5, 70)
    weights[::7] = 0.0
    weights *= share * masses.sum() / weights.sum()
    last = None
    for _ in range(3):
        plan, last = renewed_plan(points, masses, samples, weights, last)
        cold = transport_plan(points, masses, samples, weights)
        assert plan.cost == pytest.approx(cold.cost, rel=1e-9)
        assert plan.served == pytest.approx(cold.served, rel=1e-9, abs=1e-9)
        busy = cold.served > 1e-9
        assert plan.goals[busy] == pytest.approx(cold.goals[busy], abs=1e-6)
        assert (np.diff(plan.point) >= 0).all()
        points = points + rng.normal(0, 2, points.shape)


def test_a_tree_of_other_masses_is_not_used():
    rng = np.random.default_rng(5)
    points, samples = rng.uniform(0, 100, (10, 2)), rng.uniform(0, 100, (12, 2))
    _, last = renewed_plan(points, np.ones(10), samples, np.full(12, 10 / 12))
    weights = rng.uniform(1, 2, 12)
    plan, _ = renewed_plan(points, np.ones(10), samples, weights, last)
    assert plan.cost == pytest.approx(transport_plan(points, np.ones(10), samples, weights).cost, rel=1e-9)
