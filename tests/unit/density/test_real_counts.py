"""Published counts: weeds at Bjertorp (Guillot, Loren, Rudemo 2009) and aphids in wheat (Perry et al. 1999)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d2oc.density import build_density, sample_density
from d2oc.density.counts_csv import read_counts
from d2oc.density.gridding import median_spacing
from d2oc.scenario.schema import PointsDensity, SamplingTable

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the field data of ../shared/data are not on this machine")

WEEDS = {"file": "weed_bjertorp.csv", "x_column": "easting_m", "y_column": "northing_m", "value_column": "weed_count"}
APHIDS = {"file": "aphids.csv", "x_column": "xm", "y_column": "ym", "value_column": "i"}


def table_of(columns, **keys):
    columns = columns | {"file": DATA / columns["file"]}
    return PointsDensity(kind="points", coordinates="local-m", **columns, **keys)


@pytest.mark.parametrize(
    ("columns", "n", "total", "n_zero"), [(WEEDS, 100, 8135, 0), (APHIDS, 63, 554, 18)], ids=["weeds", "aphids"]
)
def test_all_counts_are_read(columns, n, total, n_zero):
    counts = read_counts(table_of(columns))
    assert (len(counts.values), counts.values.sum(), (counts.values == 0).sum()) == (n, total, n_zero)
    assert counts.notes() == ()


def test_the_field_around_the_weeds_is_about_the_published_area():
    _, field = build_density(table_of(WEEDS), None)
    assert 18.8e4 < field.area_m2 < 24e4  # 18.8 ha scouted, widened by half the spacing


def test_the_field_around_the_aphids_is_their_grid_and_half_a_spacing():
    counts = read_counts(table_of(APHIDS))
    _, field = build_density(table_of(APHIDS), None)
    assert median_spacing(counts) == 30.0
    assert field.bounds == pytest.approx((-15, -15, 195, 255))


@pytest.mark.parametrize("method", ["idw", "linear", "nearest"])
def test_on_a_regular_grid_the_mean_of_the_map_is_near_the_mean_of_the_counts(method):
    """63 counts on a 30 m grid, mean 8.79: every interpolation keeps it within 15 %."""
    density, _ = build_density(table_of(APHIDS, interpolation=method), None)
    assert np.nanmean(density.values) == pytest.approx(554 / 63, rel=0.15)


def test_nearest_keeps_the_total_of_a_regular_grid_exactly():
    """Every count owns 30 x 30 m = 6 x 6 cells, but for the four rounded corners of the field."""
    density, field = build_density(table_of(APHIDS, interpolation="nearest"), None)
    counts = read_counts(table_of(APHIDS))
    lost = 36 * counts.values.sum() - np.nansum(density.values)
    assert 0 <= lost <= 0.02 * 36 * counts.values.sum()
    assert field.area_m2 == pytest.approx(210 * 270, rel=0.01)


@pytest.mark.parametrize("method", ["idw", "linear", "nearest"])
@pytest.mark.parametrize("columns", [WEEDS, APHIDS], ids=["weeds", "aphids"])
def test_samples_have_the_mean_place_of_the_map(columns, method):
    density, field = build_density(table_of(columns, interpolation=method), None)
    samples = sample_density(density, field, SamplingTable(n_samples=20_000), np.random.default_rng(1))
    rows, shape_columns = density.values.shape
    mass = np.nan_to_num(density.values)
    x = density.origin[0] + density.cell_size * (np.arange(shape_columns) + 0.5)
    y = density.origin[1] + density.cell_size * (np.arange(rows) + 0.5)
    mean = np.array([(mass.sum(axis=0) * x).sum(), (mass.sum(axis=1) * y).sum()]) / mass.sum()
    np.testing.assert_allclose(samples.points.mean(axis=0), mean, atol=1.5)  # cells cut by the boundary shift it
    assert samples.removed_share < 0.04
    assert samples.nodata_share < (0.25 if method == "linear" else 0.01)


def test_the_scouted_places_themselves():
    density, field = build_density(table_of(APHIDS, interpolation="none"), None)
    samples = sample_density(density, field, SamplingTable(n_samples=9), np.random.default_rng(1))
    assert len(samples.points) == samples.n_requested == 63 - 18
    assert samples.removed_share == 0
    counts = read_counts(table_of(APHIDS))
    mean = counts.values @ counts.places / counts.values.sum()
    np.testing.assert_allclose(samples.weights @ samples.points, mean)
