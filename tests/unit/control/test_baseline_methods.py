"""Each baseline against what its paper or a closed form says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from d2oc.control.baselines.guidance import CoverageTask
from d2oc.control.baselines.hedac import HeatDrivenCoverage, InsulatedHeat, gaussian, stationary_heat
from d2oc.control.baselines.lawnmower import Lawnmower, boustrophedon_cells, equal_strips, free_intervals
from d2oc.control.baselines.lloyd import Lloyd
from d2oc.control.baselines.smc import SpectralMultiscaleCoverage
from d2oc.control.baselines.way_round import WaysRound
from d2oc.field import Field, NoFlyZone

FIELD = Field.rectangle(0, 0, 100, 100)


def grid_points(n=50, side=100.0):
    middle = (np.arange(n) + 0.5) / n * side
    points = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)
    return points, np.full(n * n, 1.0 / n**2)


def task(start, n_steps, field=FIELD, speed=5.0, samples=None):
    points, weights = samples or grid_points()
    n_agents = len(start)
    return CoverageTask(
        points=points,
        weights=weights,
        field=field,
        start=np.asarray(start, float),
        n_steps=np.full(n_agents, n_steps, np.int32),
        alpha=np.full(n_agents, 1.0 / n_agents / n_steps),
        time_step=1.0,
        speed=np.full(n_agents, speed),
        response=np.ones(n_agents),
        rngs=tuple(np.random.default_rng(i) for i in range(n_agents)),
    )


def fly(guidance, start, n_steps, speed=5.0):
    """Point masses of 5 m/s in the square; positions, shape (n_steps + 1, L, 2)."""
    places = [np.asarray(start, float)]
    for k in range(n_steps):
        wanted = guidance.velocities(k, places[-1], np.zeros_like(places[-1]))
        length = np.linalg.norm(wanted, axis=1, keepdims=True)
        places.append(np.clip(places[-1] + wanted * np.minimum(1.0, speed / np.maximum(length, 1e-12)), 0, 100))
    return np.array(places)


# Spectral multiscale coverage


def test_smc_drives_its_metric_down_with_the_square_of_time():
    """Mathew and Mezic 2011: time averages converge like 1/t, so the squared distance falls like 1/t^2."""
    slopes = []
    checkpoints = [250, 500, 1000, 2000]
    for seed in range(3):
        start = np.random.default_rng(seed).uniform(0, 100, (3, 2))
        smc = SpectralMultiscaleCoverage(task(start, 2000), 10)
        metric, place = [], start
        for k in range(2000):
            velocity = smc.velocities(k, place, np.zeros((3, 2)))
            place = np.clip(place + velocity, 0, 100)
            if k + 1 in checkpoints:
                metric.append(smc.metric)
        slopes.append(np.polyfit(np.log(checkpoints), np.log(metric), 1)[0])
    assert np.mean(slopes) == pytest.approx(-2.0, abs=0.35)


def test_smc_metric_is_the_one_of_the_record():
    """The same sum over modes as `metrics.ergodic_metric`, computed straight from its definition."""
    rng = np.random.default_rng(5)
    start = rng.uniform(0, 100, (2, 2))
    setup = task(start, 30)
    smc = SpectralMultiscaleCoverage(setup, 6)
    visited = fly(smc, start, 30)[:-1].reshape(-1, 2)
    total = 0.0
    for k1 in range(6):
        for k2 in range(6):
            norm = (1.0 if k1 == 0 else 2**0.5) * (1.0 if k2 == 0 else 2**0.5)

            def mode(p, k1=k1, k2=k2, norm=norm):
                return norm * np.cos(k1 * np.pi * p[:, 0] / 100) * np.cos(k2 * np.pi * p[:, 1] / 100)

            difference = mode(visited).mean() - setup.weights @ mode(setup.points)
            total += (1 + k1**2 + k2**2) ** -1.5 * difference**2
    assert smc.metric == pytest.approx(total, rel=1e-10)


def test_smc_flies_at_cruise_speed_and_leaves_a_wall_it_starts_on():
    start = np.array([[30.0, 0.0], [100.0, 100.0]])
    smc = SpectralMultiscaleCoverage(task(start, 300), 10)
    velocity = smc.velocities(0, start, np.zeros((2, 2)))
    assert np.linalg.norm(velocity, axis=1) == pytest.approx(5.0)
    assert velocity[0, 1] > 0
    assert (velocity[1] < 0).all()
    places = fly(SpectralMultiscaleCoverage(task(start, 300), 10), start, 300)
    assert (np.ptp(places, axis=0) > 60).all()


# Heat equation driven area coverage


def test_a_cosine_mode_of_heat_is_divided_by_its_closed_form():
    cell, length = np.array([2.0, 3.0]), 17.0
    x, y = (np.arange(40) + 0.5) * cell[0], (np.arange(24) + 0.5) * cell[1]
    kx, ky = 3 * np.pi / 80.0, 5 * np.pi / 72.0
    source = 0.7 + np.cos(kx * x)[:, None] * np.cos(ky * y)[None, :]
    expected = 0.7 + (source - 0.7) / (1 + length**2 * (kx**2 + ky**2))
    temperature = stationary_heat(source, cell, length)
    assert np.abs(temperature - expected).max() < 1e-13


def test_heat_is_conserved_positive_and_solves_the_differential_equation():
    i = np.arange(128)
    source = np.exp(-((i[:, None] - 50.0) ** 2 + (i[None, :] - 120.0) ** 2) / (2 * 10.0**2))
    u = stationary_heat(source, np.array([1.0, 1.0]), 12.0)
    assert u.sum() == pytest.approx(source.sum())
    assert u.min() > 0
    wide = np.pad(u, 1, mode="edge")  # insulated walls
    laplacian = wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2] - 4 * u
    # second differences err by h^2 / 12 times the fourth derivatives
    assert np.abs(12.0**2 * laplacian - u + source).max() < 5e-3 * source.max()


def test_insulated_heat_of_a_mode_is_that_of_its_differences():
    cell, length = np.array([2.0, 3.0]), 17.0
    x, y = (np.arange(40) + 0.5) / 40, (np.arange(24) + 0.5) / 24
    source = np.cos(3 * np.pi * x)[:, None] * np.cos(5 * np.pi * y)[None, :]
    kx2, ky2 = ((2 - 2 * np.cos(k * np.pi / n)) / side**2 for k, n, side in ((3, 40, 2.0), (5, 24, 3.0)))
    u = InsulatedHeat(np.ones((40, 24), bool), cell, length).temperature(source)
    assert np.abs(u - source / (1 + length**2 * (kx2 + ky2))).max() < 1e-12


def test_no_heat_crosses_a_wall():
    inside = np.ones((30, 20), bool)
    inside[15] = False
    source = np.zeros((30, 20))
    source[3, 4] = 1.0
    u = InsulatedHeat(inside, np.ones(2), 8.0).temperature(source)
    assert u[:15].sum() == pytest.approx(1.0)
    assert (u[:15] > 0).all()
    assert (u[15:] == 0).all()


def test_footprint_is_a_gaussian():
    from scipy.fft import dctn, idctn

    spot = np.zeros((64, 64))
    spot[32, 32] = 1.0
    blurred = idctn(dctn(spot) * gaussian((64, 64), np.array([3.0, 3.0])))
    i = np.arange(64) - 32
    expected = np.exp(-(i[:, None] ** 2 + i[None, :] ** 2) / 18.0) / (2 * np.pi * 9.0)
    assert np.abs(blurred - expected).max() < 1e-9


def test_hedac_flies_up_the_temperature_to_what_is_not_covered():
    points = np.array([[80.0, 50.0], [80.0, 52.0]])
    setup = task([[20.0, 50.0]], 100, samples=(points, np.array([0.5, 0.5])))
    places = fly(HeatDrivenCoverage(setup, 50, 30.0, 3.0), setup.start, 14)[:, 0]
    assert np.linalg.norm(places[-1] - points.mean(axis=0)) < 8.0


# Lawnmower


def test_lawnmower_covers_a_rectangle_with_equal_spacing():
    setup = task([[5.0, 1.0], [55.0, 1.0]], 400, speed=5.0)
    mower = Lawnmower(setup)
    lines = np.sort(np.unique(np.round(np.concatenate([way[1:, 0] for way in mower.ways]), 9)))
    spacing = np.diff(lines)
    assert spacing == pytest.approx(spacing[0])
    assert lines[0] == pytest.approx(spacing[0] / 2)
    assert lines[-1] == pytest.approx(100 - spacing[0] / 2)
    for way in mower.ways:
        assert np.linalg.norm(np.diff(way, axis=0), axis=1).sum() <= 400 * 5.0
        ends = way[1:].reshape(-1, 2, 2)[:, :, 1]
        assert np.sort(ends, axis=1) == pytest.approx(np.tile([spacing[0] / 2, 100 - spacing[0] / 2], (len(ends), 1)))


def test_lawnmower_spreads_its_way_over_the_whole_operation():
    setup = task([[5.0, 1.0], [55.0, 1.0]], 400)
    mower = Lawnmower(setup)
    places = fly(mower, setup.start, 400)
    for r, way in enumerate(mower.ways):
        assert places[-1, r] == pytest.approx(way[-1], abs=1e-6)
        legs = np.linalg.norm(np.diff(places[:, r], axis=0), axis=1)
        steady = np.linalg.norm(np.diff(way, axis=0), axis=1).sum() / 400
        assert np.median(legs) == pytest.approx(steady)
        assert steady > 0.8 * 5.0  # one more pass would not have fitted


LAKE = NoFlyZone("lake", np.array([[30.0, 30.0], [60.0, 30.0], [60.0, 60.0], [30.0, 60.0]]))
CRANKED = Field(np.array([[0.0, 0], [120, 0], [120, 50], [70, 50], [70, 100], [0, 100]]), (LAKE,))


@pytest.mark.parametrize("field", [FIELD, CRANKED])
@pytest.mark.parametrize("n_strips", [1, 5])
def test_strips_partition_the_area_equally(field, n_strips):
    strips = equal_strips(field, n_strips)
    assert (strips[1:, 0] == strips[:-1, 1]).all()
    x_min, y_min, x_max, y_max = field.bounds
    across, low, high = (0, x_min, x_max) if y_max - y_min >= x_max - x_min else (1, y_min, y_max)
    assert strips[0, 0] == low
    assert strips[-1, 1] == high
    areas = []
    for first, last in strips:
        at = first + (np.arange(400) + 0.5) / 400 * (last - first)
        widths = [np.diff(free_intervals(field, u, across), axis=1).sum() for u in at]
        areas.append(np.mean(widths) * (last - first))
    assert areas == pytest.approx(np.full(n_strips, field.area_m2 / n_strips), rel=4e-3)


def test_free_intervals_leave_out_zones_and_what_is_outside():
    assert free_intervals(CRANKED, 45.0, 0) == pytest.approx(np.array([[0, 30], [60, 100]]))
    assert free_intervals(CRANKED, 100.0, 0) == pytest.approx(np.array([[0, 50]]))
    assert free_intervals(CRANKED, 45.0, 1) == pytest.approx(np.array([[0, 30], [60, 120]]))
    assert free_intervals(CRANKED, 200.0, 0).shape == (0, 2)


def test_a_lake_makes_four_cells():
    at = np.arange(5.0, 100.0, 10.0)
    passes = []
    for u in at:
        parts = free_intervals(Field(FIELD.boundary, (LAKE,)), u, 0)
        places = np.full((*parts.shape, 2), u)
        places[..., 1] = parts
        passes.append(places)
    cells = boustrophedon_cells(passes, 1)
    assert sorted(len(cell) for cell in cells) == [3, 3, 3, 4]


def test_lawnmower_keeps_out_of_zones_on_its_way():
    mower = Lawnmower(task([[5.0, 5.0], [100.0, 10.0], [50.0, 90.0]], 900, field=CRANKED))
    for way in mower.ways:
        for start, end in itertools.pairwise(way):
            between = start + np.linspace(0, 1, 40)[:, None] * (end - start)
            assert CRANKED.contains(between).all()


def test_shortest_way_round_a_square():
    ways = WaysRound(Field(FIELD.boundary, (LAKE,)))
    assert ways.between(np.array([10.0, 10.0]), np.array([90.0, 20.0])).tolist() == [[90.0, 20.0]]
    way = ways.between(np.array([20.0, 40.0]), np.array([70.0, 40.0]))
    length = np.linalg.norm(np.diff(np.vstack([[20.0, 40.0], way]), axis=0), axis=1).sum()
    exact = 2 * np.hypot(10, 10) + 30  # round the two lower corners
    assert exact < length < exact + 3.0


# Lloyd


def test_lloyd_converges_to_a_centroidal_configuration():
    rng = np.random.default_rng(2)
    samples = (rng.uniform(0, 100, (2000, 2)), rng.dirichlet(np.ones(2000)))
    start = rng.uniform(0, 100, (5, 2))
    lloyd = Lloyd(task(start, 300, samples=samples))
    places = fly(lloyd, start, 300)
    assert np.abs(lloyd.centroids(places[-1]) - places[-1]).max() < 1e-6

    def cost(position):
        squares = ((samples[0][:, None] - position[None]) ** 2).sum(axis=2)
        return samples[1] @ squares.min(axis=1)

    costs = [cost(position) for position in places]
    assert (np.diff(costs) <= 1e-9).all()


def test_lloyd_of_two_agents_splits_a_uniform_square():
    start = np.array([[40.0, 50.0], [70.0, 50.0]])
    places = fly(Lloyd(task(start, 400)), start, 400)
    assert np.sort(places[-1, :, 0]) == pytest.approx([25.0, 75.0], abs=1e-6)
    assert places[-1, :, 1] == pytest.approx([50.0, 50.0], abs=1e-6)
