"""Samples divided among sites: capacities to rounding, cost near exact discrete transport, the same bits everywhere."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from d2oc.errors import TransportError
from d2oc.transport.sample_partition import divide_samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ot


def problem(n=3000, n_sites=12, seed=0, total=1.0):
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.normal(30, 8, (n // 2, 2)), rng.uniform(0, 100, (n - n // 2, 2))])
    weights = rng.random(n)
    capacities = rng.uniform(0.2, 1.0, n_sites)
    return points, weights / weights.sum(), rng.uniform(0, 100, (n_sites, 2)), total * capacities / capacities.sum()


def exact(points, weights, sites, capacities):
    cost = ((points[:, None] - sites[None]) ** 2).sum(axis=2)
    cost = np.column_stack([cost, np.zeros(len(points))])
    return ot.emd2(weights, np.append(capacities, max(0.0, 1.0 - capacities.sum())), cost, numItermax=10**6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("total", [1.0, 0.5])
def test_capacities_exactly_and_cost_nearly(seed, total):
    points, weights, sites, capacities = problem(seed=seed, total=total)
    result = divide_samples(points, weights, sites, capacities)
    np.testing.assert_allclose(result.masses, capacities, atol=1e-13)
    np.testing.assert_allclose(np.bincount(result.sample, result.amount), weights, atol=1e-15)
    assert result.unserved == pytest.approx(1.0 - total, abs=1e-12)
    assert len(result.sample) <= len(points) + len(sites)
    best = exact(points, weights, sites, capacities)
    assert result.lower_bound <= best * (1 + 1e-9)
    assert best * (1 - 1e-9) <= result.cost <= best * 1.03
    assert result.lower_bound >= best * 0.98


def test_owner_takes_the_largest_parcel():
    result = divide_samples(np.array([[0.0, 0.0]]), np.array([1.0]), [[1, 0], [2, 0]], [0.25, 0.75])
    np.testing.assert_allclose(result.masses, [0.25, 0.75])
    assert result.owner(1) == [1]


@pytest.mark.parametrize("total", [1.0, 3.0, 0.4])
@pytest.mark.parametrize("where", ["one point", "a line", "sparse", "home", "far"])
def test_degenerate(where, total):
    points, weights, sites, capacities = problem(500, 20, 1, total)
    if where == "one point":
        points[:] = 7.0
    if where == "a line":
        points[:, 1] = 3.0
    if where == "sparse":
        weights[20:] = 0.0
        weights /= weights.sum()
    if where == "home":
        sites[:] = -10.0
    if where == "far":
        sites[0] = 1e7
    result = divide_samples(points, weights, sites, capacities)
    np.testing.assert_allclose(result.masses, capacities / max(1.0, total), atol=1e-12)
    assert result.masses.sum() + result.unserved == pytest.approx(1.0)
    assert result.lower_bound <= result.cost * (1 + 1e-9)


def test_home_is_divided_into_compact_parts():
    """All agents at one place: each gets a region of its own, not a random share of everything."""
    points, weights, _, _ = problem(20_000, 4)
    result = divide_samples(points, weights, np.full((4, 2), 50.0), np.full(4, 0.25))
    spread = np.sqrt((weights @ (points - weights @ points) ** 2).sum())
    apart = np.linalg.norm(result.barycentres[:, None] - result.barycentres[None], axis=2)
    assert apart[np.triu_indices(4, 1)].min() > 0.3 * spread


def test_no_capacity():
    points, weights, sites, _ = problem(50, 3)
    result = divide_samples(points, weights, sites, np.zeros(3))
    assert result.status == "no capacity"
    assert result.unserved == pytest.approx(1.0)
    assert (result.owner(50) == -1).all()


def test_nothing_to_divide():
    with pytest.raises(TransportError, match="nothing to divide"):
        divide_samples(np.ones((3, 2)), np.zeros(3), [[1, 1]], [1])


SCRIPT = """
import hashlib, numpy as np
from d2oc.transport.sample_partition import divide_samples
rng = np.random.default_rng(3)
r = divide_samples(rng.random((5000, 2)), rng.random(5000), rng.random((30, 2)), rng.random(30) * 60)
arrays = (r.sample, r.site, r.amount, r.masses, r.barycentres, r.potentials)
print(hashlib.sha256(b"".join(a.tobytes() for a in arrays) + repr((r.cost, r.lower_bound)).encode()).hexdigest())
"""


def test_two_processes_agree_to_the_bit():
    digests = {subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(digests) == 1
    assert len(digests.pop()) == 65
