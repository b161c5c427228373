"""Gaussian mixtures against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import qmc

from d2oc.density import Mixture, Patch, build_density
from d2oc.density.sampling import evenly_spread
from d2oc.errors import FieldError
from d2oc.field import Field
from d2oc.scenario.schema import FieldTable, MixtureComponent, MixtureDensity, UniformDensity

FIELD = Field.rectangle(0, 0, 100, 60)
PATCHES = (
    Patch(np.array([20.0, 30.0]), np.array([8.0, 2.0]), np.deg2rad(30), 1.0),
    Patch(np.array([70.0, 40.0]), np.array([5.0, 5.0]), 0.0, 3.0),
)


def random_units(seed):
    rng = np.random.default_rng(seed)
    return lambda n: rng.random((n, 2))


def closed_form_moments(mixture):
    """Mean and covariance of a sum of Gaussians and a uniform rectangle."""
    means = [patch.mean for patch in mixture.patches] + [np.array([50.0, 30.0])]
    spreads = []
    for patch in mixture.patches:
        c, s = np.cos(patch.angle), np.sin(patch.angle)
        turn = np.array([[c, -s], [s, c]])
        spreads.append(turn @ np.diag(patch.sigma**2) @ turn.T)
    spreads.append(np.diag([100.0**2, 60.0**2]) / 12)
    weights = [1.0, 3.0, mixture.background * 4.0]
    shares = np.array(weights) / sum(weights)
    mean = sum(s * m for s, m in zip(shares, means, strict=True))
    second = sum(s * (c + np.outer(m, m)) for s, c, m in zip(shares, spreads, means, strict=True))
    return mean, second - np.outer(mean, mean)


@pytest.mark.parametrize("background", [0.0, 0.5])
def test_random_samples_have_the_closed_form_moments(background):
    mixture = Mixture(PATCHES, FIELD, background)
    n = 200_000
    points, _ = mixture.draw(n, random_units(7))
    mean, covariance = closed_form_moments(mixture)
    standard_error = np.sqrt(np.diag(covariance) / n)
    assert (abs(points.mean(axis=0) - mean) < 4 * standard_error).all()
    np.testing.assert_allclose(np.cov(points.T), covariance, atol=0.01 * covariance.max())


@pytest.mark.parametrize("background", [0.0, 0.5])
def test_even_samples_have_the_closed_form_moments_far_closer_than_random_ones_could(background):
    mixture = Mixture(PATCHES, FIELD, background)
    n = 50_000
    points, _ = mixture.draw(n, evenly_spread())
    mean, covariance = closed_form_moments(mixture)
    standard_error = np.sqrt(np.diag(covariance) / n)
    assert (abs(points.mean(axis=0) - mean) < 0.1 * standard_error).all()
    np.testing.assert_allclose(np.cov(points.T), covariance, atol=1e-3 * covariance.max())


def corner_mass_error(points):
    """Largest error of the mass south-west of 21 x 21 places for a single upright Gaussian, by Phi * Phi."""
    at = np.linspace(-2.5, 2.5, 21)
    exact = ndtr(at)[:, None] * ndtr(at)[None, :]
    z = (points - [50.0, 30.0]) / [10.0, 4.0]
    below_x = (z[:, :1] <= at).astype(float)
    below_y = (z[:, 1:] <= at).astype(float)
    return abs(below_x.T @ below_y / len(points) - exact).max()


def gaussian():
    return Mixture((Patch(np.array([50.0, 30.0]), np.array([10.0, 4.0])),), FIELD)


def test_even_samples_have_a_third_of_the_error_of_the_luckiest_of_ten_random_draws():
    even = corner_mass_error(gaussian().draw(2000, evenly_spread())[0])
    random = min(corner_mass_error(gaussian().draw(2000, random_units(seed))[0]) for seed in range(10))
    assert even < random / 3


def test_the_mass_south_west_of_a_place_converges_nearly_like_one_over_n():
    errors = [corner_mass_error(gaussian().draw(n, evenly_spread())[0]) for n in (100, 1000, 10_000, 100_000)]
    assert all(error < 3 / n**0.85 for error, n in zip(errors, (100, 1000, 10_000, 100_000), strict=True)), errors


@pytest.mark.parametrize(("n", "factor"), [(64, 0.6), (500, 0.4), (2000, 0.2), (5000, 0.15)])
def test_even_unit_points_have_a_far_lower_discrepancy_than_the_luckiest_random_ones(n, factor):
    even = qmc.discrepancy(evenly_spread()(n), method="L2-star")
    random = min(qmc.discrepancy(random_units(seed)(n), method="L2-star") for seed in range(10))
    assert even < factor * random


def test_even_unit_points_continue_where_they_stopped():
    whole, parts = evenly_spread(), evenly_spread()
    assert np.array_equal(whole(10), np.concatenate([parts(3), parts(7)]))
    assert (whole(1000) < 1).all()


def test_two_equal_patches_do_not_put_samples_on_top_of_each_other():
    mixture = Mixture((PATCHES[1], PATCHES[1]), FIELD)
    points, _ = mixture.draw(400, evenly_spread())
    assert len(np.unique(points, axis=0)) == 400


def test_raster_holds_the_mass_of_a_cell():
    raster = gaussian().rasterise((0, 0, 100, 60), 5.0)
    x, y = (np.arange(21) * 5.0 - 50) / 10, (np.arange(13) * 5.0 - 30) / 4
    exact = np.diff(ndtr(y))[:, None] * np.diff(ndtr(x))[None, :]
    np.testing.assert_allclose(raster.values, exact, atol=1e-6)


def test_a_table_becomes_a_mixture():
    table = MixtureDensity(
        kind="mixture",
        components=(
            MixtureComponent(mean_m=(10.0, 20.0), sigma_m=3.0),
            MixtureComponent(mean_m=(10.0, 20.0), sigma_m=(4.0, 2.0), angle_deg=90.0, weight=3.0),
        ),
    )
    mixture, field = build_density(table, FieldTable(width_m=30.0, height_m=40.0))
    assert field.bounds == (0, 0, 30, 40)
    np.testing.assert_allclose(mixture.shares, [0.25, 0.75])
    np.testing.assert_allclose(mixture.patches[0].covariance, np.diag([9.0, 9.0]), atol=1e-12)
    np.testing.assert_allclose(mixture.patches[1].covariance, np.diag([4.0, 16.0]), atol=1e-12)


@pytest.mark.parametrize("kind", ["uniform", "mixture"])
def test_a_formula_without_a_field_is_refused(kind):
    table = UniformDensity(kind="uniform")
    if kind == "mixture":
        table = MixtureDensity(kind="mixture", components=(MixtureComponent(mean_m=(1.0, 2.0), sigma_m=3.0),))
    with pytest.raises(FieldError) as refused:
        build_density(table, None)
    assert str(refused.value) == (
        f"density.kind = '{kind}' covers no ground of its own; add [field] with width_m and height_m, or boundary_m"
    )
