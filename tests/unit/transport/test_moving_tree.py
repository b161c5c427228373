"""The tree over samples that move finds what a full sort finds."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.density.moving import Drift, Moves, VelocityField
from d2oc.transport.moving_tree import MovingTree
from d2oc.transport.nearest_mass import count_alive, nearest_mass, sample_tree, search_space

RNG = np.random.default_rng(4)
POINTS = RNG.uniform(0.0, 100.0, (700, 2))
WEIGHTS = RNG.uniform(0.2, 1.0, 700)
SHEAR = VelocityField(np.array([[[[-1.0, 0.2]] * 2, [[2.0, 0.0]] * 2]]), (0.0, 0.0), 50.0, 1.0)


@pytest.mark.parametrize("motion", [Drift((1.0, 2.0)), SHEAR], ids=["drift", "shear"])
def test_nearest_mass_is_that_of_a_full_sort(motion):
    tree = sample_tree(POINTS, WEIGHTS)
    moving = MovingTree(tree, Moves(motion, 0.5))
    weight, alive, space = WEIGHTS[tree.sample], np.zeros(2 * tree.leaves, np.uint8), search_space(tree)
    count_alive(tree, weight, alive)
    for tick in (0, 7, 40, 3):
        now = moving.at(tick)
        points = POINTS.copy()
        for k in range(tick):
            points = motion.carried(points, 0.5 * k, 0.5 * (k + 1))
        np.testing.assert_array_equal(np.column_stack([now.x, now.y]), points[tree.sample])
        for by_weight in (False, True):
            x, y = RNG.uniform(0.0, 100.0, 2)
            n, _ = nearest_mass(now, weight, alive, x, y, 6.0, by_weight, space)
            key = ((points - [x, y]) ** 2).sum(axis=1) / (WEIGHTS**2 if by_weight else 1.0)
            order = np.argsort(key, kind="stable")
            n_needed = int(np.searchsorted(np.cumsum(WEIGHTS[order]), 6.0)) + 1
            assert set(now.sample[space.found[:n]]) == set(order[:n_needed])


def test_samples_at_rest_are_the_tree_itself():
    tree = sample_tree(POINTS, WEIGHTS)
    assert MovingTree(tree, None).at(9) is tree
