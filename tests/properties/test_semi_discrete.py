"""What must hold for any map, any sites and any capacities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2oc.density.grid import GridDensity
from d2oc.transport.sample_partition import divide_samples
from d2oc.transport.semi_discrete import semi_discrete


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.random((draw(st.integers(2, 40)), draw(st.integers(2, 40)))) ** draw(st.sampled_from([0, 1, 8]))
    if draw(st.booleans()):
        values[:, : values.shape[1] // 2] = 0.0
    n = draw(st.sampled_from([1, 2, 3, 10, 40]))
    size = draw(st.sampled_from([0.1, 1.0, 30.0]))
    extent = size * np.array(values.shape[::-1])
    sites = rng.uniform(-draw(st.sampled_from([0.0, 0.5, 3.0])), 1.0, (n, 2)) * extent
    if draw(st.booleans()):
        sites[rng.integers(n)] = sites[0]
    capacities = rng.uniform(0.1, 1.0, n)
    total = draw(st.sampled_from([1.0, 2.0, 0.9, 0.3]))
    return GridDensity(values, (0.0, 0.0), size), sites, total * capacities / capacities.sum(), total


@given(problem=problems())
@settings(max_examples=120, deadline=None)
def test_capacities_are_met_and_nothing_is_lost(problem):
    density, sites, capacities, total = problem
    result = semi_discrete(density, sites, capacities, mass=1.0)
    assert result.masses.sum() + result.unserved == pytest.approx(1.0, abs=1e-7)
    assert result.mass_error == pytest.approx(np.abs(result.masses - capacities / max(1.0, total)).max(), abs=1e-9)
    assert (result.mass_error < 1e-6) or result.status != "converged"
    corners = np.concatenate(result.cells)
    slack = 1e-6 * np.hypot(*density.bounds[2:])
    assert (corners >= np.array(density.bounds[:2]) - slack).all()
    assert (corners <= np.array(density.bounds[2:]) + slack).all()


@given(problem=problems(), shift=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)))
@settings(max_examples=30, deadline=None)
def test_a_map_may_be_moved(problem, shift):
    density, sites, capacities, _ = problem
    moved = GridDensity(density.values, (shift[0], shift[1]), density.cell_size)
    here = semi_discrete(density, sites, capacities, mass=1.0)
    there = semi_discrete(moved, sites + np.array(shift), capacities, mass=1.0)
    if here.status == there.status == "converged":
        assert there.cost == pytest.approx(here.cost, rel=1e-5)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 300), n_sites=st.integers(1, 30), total=st.floats(0.1, 2.0))
@settings(max_examples=100, deadline=None)
def test_samples_meet_every_capacity(seed, n, n_sites, total):
    rng = np.random.default_rng(seed)
    points, weights = rng.random((n, 2)), rng.random(n) + 1e-3
    capacities = rng.random(n_sites) + 0.01
    capacities *= total * weights.sum() / capacities.sum()
    result = divide_samples(points, weights, rng.random((n_sites, 2)), capacities)
    np.testing.assert_allclose(result.masses, capacities / max(1.0, total), atol=1e-10)
    np.testing.assert_allclose(np.bincount(result.sample, result.amount), weights, atol=1e-10)
    assert (result.amount >= 0).all()
    assert result.lower_bound <= result.cost + 1e-9
