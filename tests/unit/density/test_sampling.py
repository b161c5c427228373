"""What is removed is counted, and what remains weighs one."""

from __future__ import annotations

import time

import numpy as np
import pytest

from d2oc.density import GridDensity, Mixture, Patch, Uniform, sample_density
from d2oc.errors import DensityError
from d2oc.field import Field, NoFlyZone
from d2oc.scenario.schema import SamplingTable

SQUARE = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0]])
WITH_ZONE = Field(SQUARE, (NoFlyZone("pond", SQUARE / 10 + 20),))
EVEN = SamplingTable(n_samples=10_000)
RANDOM = SamplingTable(n_samples=10_000, method="random")


def test_samples_in_zones_are_removed_and_counted():
    samples = sample_density(Uniform(WITH_ZONE), WITH_ZONE, EVEN, np.random.default_rng(1))
    assert samples.n_outside_field == 0
    assert samples.n_in_no_fly_zones == pytest.approx(100, abs=5)  # the zone is 1 % of the field
    assert samples.removed_share == pytest.approx(samples.n_in_no_fly_zones / 10_000, rel=1e-9)
    assert len(samples.points) == 10_000 - samples.n_in_no_fly_zones
    assert WITH_ZONE.contains(samples.points).all()


def test_samples_outside_the_field_are_removed_and_counted():
    half_outside = Mixture((Patch(np.array([0.0, 50.0]), np.array([3.0, 3.0])),), Field(SQUARE))
    samples = sample_density(half_outside, Field(SQUARE), RANDOM, np.random.default_rng(1))
    assert samples.n_outside_field == pytest.approx(5000, abs=4 * 50)  # four standard errors
    assert samples.removed_share == pytest.approx(samples.n_outside_field / 10_000, rel=1e-9)
    assert abs(samples.weights.sum() - 1) <= 1e-12


def test_the_share_of_the_field_without_data_is_reported():
    """Of a field of 100 x 100 m the map knows 60 x 50 m, of which 10 x 50 m is nodata; the pond is not counted."""
    values = np.ones((5, 6))
    values[:, 5] = np.nan
    samples = sample_density(GridDensity(values, (0.0, 0.0), 10.0), WITH_ZONE, EVEN, np.random.default_rng(1))
    assert samples.nodata_share == pytest.approx(1 - (2500 - 100) / (10_000 - 100), abs=2e-3)


def test_nothing_remaining_is_an_error_with_a_sentence():
    elsewhere = Mixture((Patch(np.array([5000.0, 50.0]), np.array([3.0, 3.0])),), WITH_ZONE)
    with pytest.raises(DensityError) as refused:
        sample_density(elsewhere, WITH_ZONE, EVEN, np.random.default_rng(1))
    assert str(refused.value) == (
        "none of the 10000 samples of the density can be treated: 10000 are outside the field "
        "(x 0 to 100 m, y 0 to 100 m) and 0 in its no-fly zones; check that density and field use the same coordinates"
    )


def test_random_draws_come_from_the_generator_alone():
    draws = [sample_density(Uniform(WITH_ZONE), WITH_ZONE, RANDOM, np.random.default_rng(s)) for s in (1, 1, 2)]
    assert np.array_equal(draws[0].points, draws[1].points)
    assert not np.array_equal(draws[0].points, draws[2].points)


def test_the_global_random_state_is_neither_read_nor_touched():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    sample_density(Uniform(WITH_ZONE), WITH_ZONE, RANDOM, np.random.default_rng(1))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_low_discrepancy_leaves_the_generator_untouched():
    rng = np.random.default_rng(1)
    first = sample_density(Uniform(WITH_ZONE), WITH_ZONE, EVEN, rng)
    assert rng.bit_generator.state == np.random.default_rng(1).bit_generator.state
    assert np.array_equal(first.points, sample_density(Uniform(WITH_ZONE), WITH_ZONE, EVEN, rng).points)


def test_the_report_is_plain_data():
    report = sample_density(Uniform(WITH_ZONE), WITH_ZONE, EVEN, np.random.default_rng(1)).report()
    assert list(report) == [
        "n_samples",
        "n_requested",
        "n_outside_field",
        "n_in_no_fly_zones",
        "n_in_no_spray_zones",
        "removed_share",
        "nodata_share",
        "notes",
    ]
    assert all(type(value) in (int, float, list) for value in report.values())


@pytest.mark.parametrize("method", ["random", "low-discrepancy"])
def test_a_million_samples_are_drawn_in_seconds(method):
    patches = tuple(Patch(np.array([x, 50.0]), np.array([9.0, 5.0])) for x in (20.0, 50.0, 80.0))
    sampling = SamplingTable(n_samples=1_000_000, method=method)
    start = time.perf_counter()
    samples = sample_density(Mixture(patches, WITH_ZONE, 0.1), WITH_ZONE, sampling, np.random.default_rng(1))
    assert time.perf_counter() - start < 10
    assert abs(samples.weights.sum() - 1) <= 1e-12
