"""Semi-discrete transport against closed forms, finite differences and exact discrete transport."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from d2oc.density.grid import GridDensity, cell_centres
from d2oc.errors import TransportError
from d2oc.transport import cold_start
from d2oc.transport.cell_masses import ground, links, measure_cells, moments, new_masses, new_workspace
from d2oc.transport.line_integrals import row_sums
from d2oc.transport.power_cells import blocked_order, sites_of
from d2oc.transport.semi_discrete import semi_discrete, summed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ot


def even(rows=40, columns=40, size=1.0, origin=(0.0, 0.0)):
    return GridDensity(np.full((rows, columns), size**2), origin, size)


def patchy(seed, rows=60, columns=45):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    values = np.zeros((rows, columns))
    for _ in range(3):
        centre, width = rng.uniform(0, 1, 2) * (columns, rows), rng.uniform(3, 9)
        values += np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))
    values[values < 0.05] = 0.0
    return GridDensity(values, (-20.0, 7.0), 0.5)


def area(cell):
    x, y = cell.T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) if len(cell) else 0.0


def exact_cost(density, sites, capacities):
    """Exact transport of the grid cells' centres; what capacity is missing goes nowhere at no cost."""
    rows, columns = density.values.shape
    where = cell_centres(density.bounds, density.cell_size)
    mass = density.values.ravel() / density.values.sum()
    cost = ((where[:, None] - sites[None]) ** 2).sum(axis=2)
    cost = np.column_stack([cost, np.zeros(rows * columns)])
    return ot.emd2(mass, np.append(capacities, 1.0 - capacities.sum()), cost, numItermax=10**6)


def test_four_sites_divide_a_square_in_four():
    sites = [[10, 10], [30, 10], [10, 30], [30, 30]]
    result = semi_discrete(even(), sites, [1, 1, 1, 1], mass=4.0)
    assert result.status == "converged"
    np.testing.assert_allclose(result.masses, 1.0, atol=1e-12)
    np.testing.assert_allclose(result.barycentres, sites, atol=1e-9)
    np.testing.assert_allclose(result.potentials, 0.0, atol=1e-9)
    assert result.squared_distance == pytest.approx(20.0**2 / 6)  # mean square distance from a square's centre
    assert result.unserved == 0.0


def test_two_sites_on_a_line():
    """The edge lies where the capacity says, whatever the sites; cost by integrating (x - y)^2 by hand."""
    result = semi_discrete(even(4, 100, 0.1, (3.0, -2.0)), [[5.0, -1.8], [10.0, -1.8]], [3.0, 7.0], mass=10.0)
    np.testing.assert_allclose(result.masses, [3.0, 7.0], atol=1e-8)
    np.testing.assert_allclose(result.barycentres, [[4.5, -1.8], [9.5, -1.8]], atol=1e-8)
    assert max(result.cells[0][:, 0]) == pytest.approx(6.0)
    assert result.potentials[0] - result.potentials[1] == pytest.approx((6 - 5) ** 2 - (10 - 6) ** 2)
    across = 10.0 * 0.4**2 / 12
    along = ((6 - 5) ** 3 - (3 - 5) ** 3) / 3 + ((13 - 10) ** 3 - (6 - 10) ** 3) / 3
    assert result.cost == pytest.approx(across + along)


def test_a_map_of_two_halves():
    """Three times the density in the west: the middle of the mass is at 2/3 of the west half."""
    values = np.ones((10, 20))
    values[:, :10] = 3.0
    result = semi_discrete(GridDensity(values, (0.0, 0.0), 1.0), [[1.0, 5.0], [19.0, 5.0]], [200, 200])
    assert max(result.cells[0][:, 0]) == pytest.approx(20 / 3)


def test_moments_of_a_whole_map():
    density = patchy(1)
    rows, columns = density.values.shape
    sums = row_sums(density.values)
    sites = sites_of(np.zeros((1, 2)), columns / 2, rows / 2, False)
    found = moments(sums, sites, np.zeros(1), new_workspace(sites))[0]
    y, x = np.mgrid[:rows, :columns] + 0.5
    v = density.values
    expected = [v.sum(), (v * x).sum(), (v * y).sum(), (v * (x**2 + y**2 + 1 / 6)).sum()]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("limited", [False, True])
def test_derivatives_against_finite_differences(limited):
    density = even(64, 64)
    rng = np.random.default_rng(5)
    points = rng.uniform(-30, 30, (12, 2))
    points = points[blocked_order(points)]
    sites = sites_of(points, 32.0, 32.0, limited)
    potentials = rng.uniform(60, 100, 12)
    sums, space, found = row_sums(density.values), new_workspace(sites), new_masses(12)

    def masses(psi):
        measure_cells(sums, sites, 0.5 * (psi - (points**2).sum(axis=1)), space, found)
        return found.mass.copy()

    masses(potentials)
    jacobian = np.zeros((12, 12))
    n = found.pairs[0]
    weight = links(sites, found, 0.0)
    for i, j, w in zip(found.first[:n], found.second[:n], weight, strict=True):
        jacobian[[i, j], [j, i]] -= w
        jacobian[[i, j], [i, j]] += w
    jacobian += np.diag(ground(sites, 0.5 * (potentials - (points**2).sum(axis=1)), found, 0.0))
    step = 1e-4 * np.eye(12)
    expected = np.array([(masses(potentials + h) - masses(potentials - h)) / 2e-4 for h in step]).T
    np.testing.assert_allclose(jacobian, expected, atol=2e-4 * expected.max() if limited else 1e-9)
    assert (ground(sites, np.zeros(12), found, 0.0).any()) == limited


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("total", [1.0, 0.6])
def test_cost_of_exact_discrete_transport(seed, total):
    density = patchy(seed)
    rng = np.random.default_rng(seed)
    west, south, east, north = density.bounds
    sites = rng.uniform((west, south), (east, north), (7, 2))
    capacities = rng.uniform(0.2, 1.0, 7)
    capacities *= total / capacities.sum()
    result = semi_discrete(density, sites, capacities, mass=1.0)
    assert result.status == "converged"
    np.testing.assert_allclose(result.masses, capacities, atol=1e-8)
    assert result.unserved == pytest.approx(1.0 - total, abs=1e-7)
    # A centre stands for a square of variance h^2 / 6. A discrete plan spread evenly over the squares is a feasible
    # plan here, so it costs at least as much; it costs more because it cannot cut a square along an edge.
    discrete = exact_cost(density, sites, capacities) + total * density.cell_size**2 / 6
    assert 0.996 * discrete <= result.cost <= discrete * (1 + 1e-9)


def test_strong_duality():
    density = patchy(2)
    sites = np.random.default_rng(2).uniform((-20, 7), (2, 37), (9, 2))
    result = semi_discrete(density, sites, np.full(9, 1 / 9), mass=1.0)
    fine = density.rasterise(density.bounds, 0.125)
    where, mass = cell_centres(fine.bounds, 0.125), fine.values.ravel() / fine.values.sum()
    power = ((where[:, None] - sites[None]) ** 2).sum(axis=2) - result.potentials
    np.testing.assert_array_equal(result.owner(where), power.argmin(axis=1))
    dual = mass @ power.min(axis=1) + result.potentials.mean() + 0.125**2 / 6
    assert result.cost == pytest.approx(dual, rel=1e-4)


def test_limited_tank_serves_the_disc_around_it():
    result = semi_discrete(even(), [[22.0, 17.0]], [np.pi * 11.0**2])
    assert result.potentials[0] == pytest.approx(11.0**2, rel=1e-6)
    assert area(result.cells[0]) == pytest.approx(np.pi * 11.0**2, rel=1e-9)
    np.testing.assert_allclose(result.barycentres[0], [22.0, 17.0], atol=1e-5)
    assert result.cost == pytest.approx(np.pi * 11.0**4 / 2, rel=1e-6)
    assert result.unserved == pytest.approx(1600 - np.pi * 11.0**2)
    np.testing.assert_array_equal(result.owner([[32.9, 17.0], [33.1, 17.0], [22.0, 6.1]]), [0, -1, 0])


@pytest.mark.parametrize("served", [0.2, 0.6, 0.9])
def test_limited_tanks_from_small_discs_and_from_serving_everything_end_alike(served, monkeypatch):
    """The two ways to begin have nothing in common but the answer, which is unique."""
    density, sites = patchy(4), np.random.default_rng(4).uniform((-20, 7), (2, 37), (40, 2))
    from_discs = semi_discrete(density, sites, np.full(40, served / 40), mass=1.0)
    monkeypatch.setattr(cold_start, "MOST_GROWN", 0.0)
    from_everything = semi_discrete(density, sites, np.full(40, served / 40), mass=1.0)
    assert from_discs.status == from_everything.status == "converged"
    assert from_discs.steps != from_everything.steps
    np.testing.assert_allclose(from_discs.potentials, from_everything.potentials, atol=1e-4)
    assert from_discs.cost == pytest.approx(from_everything.cost, rel=1e-7)


def test_too_much_capacity_is_used_in_proportion():
    result = semi_discrete(even(), [[10, 20], [30, 20]], [1000, 3000])
    np.testing.assert_allclose(result.masses, [400, 1200], atol=1e-5)
    assert result.unserved == 0.0


@pytest.mark.parametrize("total", [1.0, 0.5])
def test_mass_on_a_million_cells(total):
    values = np.random.default_rng(1).random((1000, 1000)) ** 3
    sites = np.random.default_rng(2).uniform(0, 100, (50, 2))
    result = semi_discrete(GridDensity(values, (0.0, 0.0), 0.1), sites, np.full(50, total / 50), mass=1.0)
    owner = result.owner(cell_centres((0, 0, 100, 100), 0.1))
    share = np.bincount(owner + 1, values.ravel(), 51) / values.sum()
    np.testing.assert_allclose(share[1:], total / 50, rtol=3e-3)  # whole cells only
    assert result.mass_error < 1e-6
    assert np.abs(result.masses - total / 50).max() < 1e-6


DEGENERATE = {
    "one site": ([[3, 3]], [1.0]),
    "one place": ([[20, 20]] * 30, np.full(30, 1 / 30)),
    "two places": ([[5, 5]] * 4 + [[35, 30]] * 3, np.full(7, 1 / 7)),
    "almost one place": (20 + 1e-9 * np.arange(12).reshape(6, 2), np.full(6, 1 / 6)),
    "far outside": ([[1e7, -3e6], [10, 10], [12, 30]], [0.3, 0.3, 0.4]),
    "all on one side": ([[-500, 3], [-500, 7], [-900, 5]], [0.2, 0.2, 0.6]),
    "in a row": (np.column_stack([np.linspace(0, 40, 9), np.full(9, 20)]), np.full(9, 1 / 9)),
    "on a lattice": (np.stack(np.meshgrid([5, 15, 25, 35], [5, 15, 25, 35]), -1).reshape(-1, 2), np.full(16, 1 / 16)),
    "zero capacity": ([[10, 10], [20, 20], [30, 30]], [0.5, 0.0, 0.5]),
    "very unequal": ([[10, 10], [20, 20], [30, 30]], [1e-5, 0.5, 0.49999]),
}


@pytest.mark.parametrize("scale", [1.0, 0.7])
@pytest.mark.parametrize("zero", ["none", "middle", "all but corners"])
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate(case, zero, scale):
    values = np.ones((40, 40))
    if zero == "middle":
        values[:, 8:32] = 0.0
    if zero == "all but corners":
        values[5:] = values[:, 4:36] = 0.0
    sites, capacities = np.asarray(DEGENERATE[case][0], float), scale * np.asarray(DEGENERATE[case][1])
    result = semi_discrete(GridDensity(values, (0.0, 0.0), 1.0), sites, capacities, mass=1.0)
    assert result.status == "converged"
    np.testing.assert_allclose(result.masses, capacities, atol=1e-6)
    assert result.masses.sum() + result.unserved == pytest.approx(1.0, abs=1e-8)
    assert np.isfinite(result.cost)
    for cell, capacity in zip(result.cells, capacities, strict=True):
        assert (area(cell) > 0) == (capacity > 0)


def test_no_capacity_at_all():
    result = semi_discrete(even(), [[1, 1], [2, 2]], [0, 0])
    assert (result.status, result.unserved, result.cost) == ("no capacity", 1600.0, 0.0)
    assert (result.owner([[1.0, 1.0]]) == -1).all()


def test_a_hopeless_case_ends_with_a_name():
    density = patchy(0)
    sites = np.random.default_rng(0).uniform(-20, 20, (40, 2))
    result = semi_discrete(density, sites, np.full(40, 1 / 40), mass=1.0, most_steps=1)
    assert result.status == "out of steps"
    assert result.mass_error > 1e-6
    assert result.masses.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("total", [1.0, 0.6])
def test_warm_start_gives_what_a_cold_one_gives(total):
    density = summed(patchy(3))
    sites = np.random.default_rng(3).uniform((-20, 7), (2, 37), (30, 2))
    capacities = np.random.default_rng(4).uniform(0.5, 1.0, 30)
    capacities *= total / capacities.sum()
    before = semi_discrete(density, sites + 0.05, np.full(30, total / 30), mass=1.0)
    cold = semi_discrete(density, sites, capacities, mass=1.0)
    warm = semi_discrete(density, sites, capacities, mass=1.0, start=before.potentials)
    again = semi_discrete(density, sites, capacities, mass=1.0, start=cold.potentials)
    assert warm.steps < cold.steps
    assert again.steps == 0
    np.testing.assert_allclose(warm.potentials, cold.potentials, atol=1e-4)
    np.testing.assert_allclose(warm.barycentres, cold.barycentres, atol=1e-5)


def test_a_useless_start_is_not_used():
    start = np.array([0.0, -1e9, np.nan])
    result = semi_discrete(even(), [[1, 1], [20, 20], [30, 3]], [1, 1, 1], mass=3.0, start=start)
    np.testing.assert_allclose(result.masses, 1.0, atol=1e-6)


def test_same_arguments_same_bits():
    density = patchy(1)
    sites = np.random.default_rng(1).uniform(-20, 20, (25, 2))
    one, other = (semi_discrete(density, sites.copy(), np.full(25, 0.03), mass=1.0) for _ in range(2))
    for field in ("masses", "barycentres", "potentials"):
        assert getattr(one, field).tobytes() == getattr(other, field).tobytes()
    assert [cell.tobytes() for cell in one.cells] == [cell.tobytes() for cell in other.cells]
    assert one.cost == other.cost


@pytest.mark.parametrize(
    ("sites", "capacities", "mass", "words"),
    [
        ([[1, 2, 3]], [1], 1.0, "expected \\(number of sites, 2\\)"),
        (np.empty((0, 2)), [], 1.0, "at least one"),
        ([[1, 2]], [1, 2], 1.0, "expected one for each of 1 sites"),
        ([[1, np.nan]], [1], 1.0, "not finite"),
        ([[1, 2]], [-1], 1.0, "0 or more"),
        ([[1, 2]], [1], 0.0, "mass = 0.0"),
    ],
)
def test_mistakes_are_one_sentence(sites, capacities, mass, words):
    with pytest.raises(TransportError, match=words):
        semi_discrete(even(), sites, capacities, mass=mass)
