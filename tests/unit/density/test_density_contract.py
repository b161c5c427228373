"""What every reference density must do, whatever it is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d2oc.density import GridDensity, Mixture, Patch, ScoutedPoints, Uniform, sample_density
from d2oc.density.counts_csv import Counts
from d2oc.density.gridding import grid_counts
from d2oc.density.sampling import evenly_spread
from d2oc.field import Field
from d2oc.scenario.schema import PointsDensity, SamplingTable

L_SHAPE = Field(np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 40.0], [30.0, 40.0], [30.0, 80.0], [0.0, 80.0]]))
BOUNDS = (0.0, 0.0, 100.0, 80.0)
COUNTS = Counts(np.random.default_rng(3).uniform(0, 1, (40, 2)) * [100, 80], np.arange(40.0) % 7)


def uniform():
    return Uniform(L_SHAPE)


def mixture():
    patches = (
        Patch(np.array([30.0, 30.0]), np.array([8.0, 3.0]), 0.5, 1.0),
        Patch(np.array([60.0, 50.0]), np.array([5.0, 5.0]), 0.0, 2.0),
    )
    return Mixture(patches, L_SHAPE, background=0.4)


def grid():
    values = np.random.default_rng(1).uniform(0, 1, (16, 20))
    values[:4] = 0.0
    values[10:, :5] = np.nan
    return GridDensity(values, (0.0, 0.0), 5.0)


def gridded_counts():
    table = PointsDensity(
        kind="points", file=Path("c.csv"), x_column="x", y_column="y", value_column="v", coordinates="local-m"
    )
    return grid_counts(table, COUNTS, L_SHAPE)


def scouted_points():
    return ScoutedPoints(COUNTS)


DENSITIES = [uniform, mixture, grid, gridded_counts, scouted_points]


@pytest.fixture(params=DENSITIES, ids=lambda make: make.__name__)
def density(request):
    return request.param()


def random_units(seed):
    rng = np.random.default_rng(seed)
    return lambda n: rng.random((n, 2))


def test_draws_are_points_with_positive_weights_that_sum_to_one(density):
    points, weights = density.draw(777, random_units(1))
    assert points.shape == (len(weights), 2)
    assert points.dtype == weights.dtype == np.float64
    assert np.isfinite(points).all()
    assert (weights > 0).all()
    assert abs(weights.sum() - 1) <= 1e-12
    if not isinstance(density, ScoutedPoints):
        assert len(points) == 777


def test_a_draw_depends_on_nothing_but_the_unit_points(density):
    first, again, other = (density.draw(500, random_units(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert isinstance(density, ScoutedPoints) or not np.array_equal(first, other)


def test_the_corners_of_the_unit_square_are_carried_to_finite_points(density):
    last = np.nextafter(1.0, 0.0)
    corners = np.array([[0.0, 0.0], [last, 0.0], [0.0, last], [last, last]])
    points, _ = density.draw(4, lambda n: corners[:n])
    assert np.isfinite(points).all()
    assert density.observed(points).all()


def test_samples_carry_the_mass_that_the_raster_says(density):
    """Mass of every 10 m cell, from even samples and from the raster of the density: two ways, one answer."""
    points, weights = density.draw(40_000, evenly_spread())
    column, row = np.floor(points / 10).astype(int).T
    inside = (column >= 0) & (column < 10) & (row >= 0) & (row < 8)
    sampled = np.zeros((8, 10))
    np.add.at(sampled, (row[inside], column[inside]), weights[inside])
    mass = np.nan_to_num(density.rasterise(BOUNDS, 10.0).values)
    expected = mass / mass.sum() * sampled.sum()
    assert sampled.sum() > 0.95
    np.testing.assert_allclose(sampled, expected, atol=4e-4)


def test_samples_are_where_something_was_observed(density):
    points, _ = density.draw(3000, evenly_spread())
    assert density.observed(points).all()


def test_notes_are_sentences(density):
    assert isinstance(density.notes(), tuple)
    assert all(isinstance(note, str) and note for note in density.notes())


@pytest.mark.parametrize("method", ["random", "low-discrepancy"])
def test_a_sample_set_lies_in_the_field(density, method):
    sampling = SamplingTable(n_samples=2000, method=method)
    samples = sample_density(density, L_SHAPE, sampling, np.random.default_rng(4))
    assert L_SHAPE.contains(samples.points).all()
    assert samples.points.flags.c_contiguous
    assert abs(samples.weights.sum() - 1) <= 1e-12
    assert len(samples.points) + samples.n_outside_field + samples.n_in_no_fly_zones == samples.n_requested
