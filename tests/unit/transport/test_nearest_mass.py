"""The tree search against a stable full sort: the same samples, ties and partial amounts included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2oc.transport.nearest_mass import (
    by_sample,
    count_alive,
    drop_slot,
    nearest_mass,
    sample_tree,
    search_space,
)


def full_sort(points, weights, x, y, mass, by_weight):
    """What the published code does: sort everything, take until the mass is filled."""
    alive = np.flatnonzero(weights > 0)
    dx, dy = points[alive, 0] - x, points[alive, 1] - y
    key = dx * dx + dy * dy
    if by_weight:
        key = key / (weights[alive] * weights[alive])
    taken, left = {}, mass
    for j in alive[np.argsort(key, kind="stable")]:
        if left <= 0:
            break
        taken[int(j)] = min(weights[j], left)
        left -= taken[int(j)]
    return taken, left


def search(points, initial, weights, x, y, mass, by_weight):
    tree = sample_tree(points, initial)
    by_slot = weights[tree.sample]
    alive = np.zeros(2 * tree.leaves, np.uint8)
    count_alive(tree, by_slot, alive)
    space = search_space(tree)
    n, left = nearest_mass(tree, by_slot, alive, x, y, mass, by_weight, space)
    found = tree.sample[space.found[:n]]
    return dict(zip(found.tolist(), space.amount[:n].tolist(), strict=True)), left


def cases():
    """Weights are whole multiples of 1/64, so every sum is exact and amounts must be equal."""
    return st.tuples(
        st.integers(0, 2**32 - 1),
        st.integers(1, 400),
        st.booleans(),
        st.booleans(),
        st.integers(1, 2000),
    )


@settings(max_examples=300, deadline=None)
@given(cases())
def test_finds_what_a_stable_full_sort_finds(case):
    seed, n, on_a_lattice, by_weight, mass = case
    rng = np.random.default_rng(seed)
    # On a lattice many keys are equal, so the order of ties is put to the test.
    points = rng.integers(0, 6, (n, 2)).astype(float) if on_a_lattice else rng.uniform(0, 100, (n, 2))
    initial = rng.integers(1, 9, n) / 64
    weights = np.minimum(initial, rng.integers(-3, 9, n) / 64)
    x, y = rng.uniform(-3, 9, 2)
    taken, left = search(points, initial, weights, x, y, mass / 64, by_weight)
    wanted, wanted_left = full_sort(points, weights, x, y, mass / 64, by_weight)
    assert taken == wanted
    assert left == wanted_left


def test_the_partly_taken_sample_stands_last():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    taken, left = search(points, np.full(3, 0.5), np.full(3, 0.5), 0.0, 0.0, 0.75, False)
    assert list(taken.items()) == [(0, 0.5), (1, 0.25)]
    assert left == 0


def test_nothing_left_gives_nothing():
    taken, left = search(np.zeros((5, 2)), np.ones(5), np.zeros(5), 0.0, 0.0, 1.0, True)
    assert taken == {}
    assert left == 1.0


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33, 1000, 4097])
def test_tree_holds_every_sample_once_inside_its_boxes(n):
    rng = np.random.default_rng(n)
    points, weights = rng.normal(size=(n, 2)), rng.random(n)
    tree = sample_tree(points, weights)
    assert sorted(tree.sample.tolist()) == list(range(n))
    assert np.array_equal(tree.x, points[tree.sample, 0])
    assert tree.heaviest[1] == weights.max()
    assert tree.box[1].tolist() == [*points.min(axis=0), *points.max(axis=0)]
    for leaf in range(tree.leaves):
        slots = range(leaf * 16, min(leaf * 16 + 16, n))
        for slot in slots:
            node = tree.leaves + leaf
            while node:
                low_x, low_y, high_x, high_y = tree.box[node]
                assert low_x <= tree.x[slot] <= high_x
                assert low_y <= tree.y[slot] <= high_y
                node //= 2
    assert np.array_equal(by_sample(tree, tree.x), points[:, 0])


def test_dropping_slots_keeps_the_counts_that_counting_gives():
    rng = np.random.default_rng(5)
    tree = sample_tree(rng.random((200, 2)), np.ones(200))
    weight = np.ones(200)
    alive, recount = np.zeros((2, 2 * tree.leaves), np.uint8)
    count_alive(tree, weight, alive)
    for slot in rng.permutation(200):
        weight[slot] = 0
        drop_slot(alive, tree.leaves, slot)
        count_alive(tree, weight, recount)
        assert np.array_equal(alive, recount)
    assert alive[1] == 0
