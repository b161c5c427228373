"""Laws of the field and of sampling that hold for every polygon, every zone and every map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from d2oc.density import GridDensity, Mixture, Patch, Uniform, sample_density
from d2oc.density.counts_csv import Counts
from d2oc.density.gridding import interpolate
from d2oc.errors import DensityError
from d2oc.field import Field, NoFlyZone, ring_area
from d2oc.scenario.schema import SamplingTable


def drawn(density, field, sampling, seed):
    """Samples, or None where the density happens to have nothing inside the field."""
    try:
        return sample_density(density, field, sampling, np.random.default_rng(seed))
    except DensityError:
        return None


EVEN_OR_RANDOM = st.sampled_from(["low-discrepancy", "random"])


@st.composite
def star_shapes(draw, centre=(50.0, 50.0), largest=50.0):
    """Simple polygons: corners in every direction from a centre at a random distance."""
    radii = draw(st.lists(st.floats(largest / 10, largest), min_size=3, max_size=12))
    turn = draw(st.floats(0, 6))
    angle = turn + 2 * np.pi * np.arange(len(radii)) / len(radii)
    ring = np.array(centre) + np.array(radii)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return ring[:: draw(st.sampled_from([1, -1]))]


@st.composite
def fields(draw):
    boundary = draw(star_shapes())
    centres = draw(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=3))
    return Field(boundary, tuple(NoFlyZone("zone", draw(star_shapes(c, 10.0))) for c in centres))


@st.composite
def maps(draw):
    rows, columns = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    cell = st.one_of(st.just(0.0), st.just(float("nan")), st.floats(1e-6, 1e6))
    values = np.array(draw(st.lists(cell, min_size=rows * columns, max_size=rows * columns)))
    assume(np.nanmax(values, initial=0.0) > 0)
    return GridDensity(values.reshape(rows, columns), draw(st.sampled_from([(0.0, 0.0), (-20.0, 15.0)])), 12.5)


@st.composite
def densities(draw, field):
    kind = draw(st.sampled_from(["uniform", "mixture", "map"]))
    if kind == "uniform":
        return Uniform(field)
    if kind == "map":
        return draw(maps())
    number = st.floats(0.5, 30)
    patches = draw(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), number, number, number), min_size=1))
    return Mixture(
        tuple(Patch(np.array([x, y]), np.array([a, b]), 0.3, w) for x, y, a, b, w in patches), field, draw(number)
    )


@given(data=st.data(), field=fields(), n=st.integers(1, 300), method=EVEN_OR_RANDOM, seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_samples_are_in_the_field_weigh_one_and_repeat(data, field, n, method, seed):
    density = data.draw(densities(field))
    sampling = SamplingTable(n_samples=n, method=method)
    samples = drawn(density, field, sampling, seed)
    if samples is None:
        return
    assert field.contains(samples.points).all()
    assert (samples.weights > 0).all()
    assert abs(samples.weights.sum() - 1) <= 1e-12
    assert len(samples.points) + samples.n_outside_field + samples.n_in_no_fly_zones == samples.n_requested == n
    assert 0 <= samples.removed_share < 1
    assert 0 <= samples.nodata_share <= 1
    again = sample_density(density, field, sampling, np.random.default_rng(seed))
    assert again.points.tobytes() == samples.points.tobytes()
    assert again.weights.tobytes() == samples.weights.tobytes()


@given(data=st.data(), field=fields(), method=EVEN_OR_RANDOM)
@settings(max_examples=50, deadline=None)
def test_more_samples_only_add_points(data, field, method):
    density = data.draw(densities(field))
    few, many = (drawn(density, field, SamplingTable(n_samples=n, method=method), seed=3) for n in (40, 100))
    if few is not None:
        assert np.array_equal(few.points, many.points[: len(few.points)])


@given(field=fields())
@settings(max_examples=60, deadline=None)
def test_area_agrees_with_the_share_of_even_points_that_may_be_treated(field):
    n = 200
    grid = (np.arange(n) + 0.5) / n
    points = field.place(np.column_stack([np.tile(grid, n), np.repeat(grid, n)]))
    assert field.in_boundary(points).all()
    whole = ring_area(field.boundary)
    assert field.area_m2 / whole == pytest.approx(field.contains(points).mean(), abs=0.02)


@given(field=fields(), shift=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)))
@settings(max_examples=60, deadline=None)
def test_a_field_may_be_moved(field, shift):
    moved = Field(
        field.boundary + np.array(shift),
        tuple(NoFlyZone(zone.name, zone.boundary + np.array(shift)) for zone in field.no_fly_zones),
    )
    assert moved.area_m2 == pytest.approx(field.area_m2, rel=1e-6)
    points = np.random.default_rng(1).uniform(0, 100, (200, 2))
    different = field.contains(points) != moved.contains(points + np.array(shift))
    assert different.sum() <= 1  # only a point within rounding of an edge may change sides


@given(density=maps(), method=EVEN_OR_RANDOM)
@settings(max_examples=80, deadline=None)
def test_no_sample_falls_on_zero_or_nodata(density, method):
    field = Field.rectangle(*density.bounds)
    samples = sample_density(density, field, SamplingTable(n_samples=500, method=method), np.random.default_rng(1))
    rows, columns = density.values.shape
    column, row = np.floor((samples.points - density.origin) / density.cell_size).astype(int).T
    assert (density.values[np.minimum(row, rows - 1), np.minimum(column, columns - 1)] > 0).all()


@given(
    rows=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 9)), min_size=3, max_size=40),
    method=st.sampled_from(["idw", "nearest"]),
    scale=st.sampled_from([1e-3, 1.0, 250.0]),
)
def test_interpolation_scales_with_the_counts_and_keeps_their_range(rows, method, scale):
    places = np.array(sorted({row[:2] for row in rows}), dtype=float)
    values = np.array([row[2] for row in rows[: len(places)]], dtype=float)
    where = np.random.default_rng(1).uniform(-10, 60, (100, 2))
    plain = interpolate(Counts(places, values), where, method)
    scaled = interpolate(Counts(places, values * scale), where, method)
    np.testing.assert_allclose(scaled, plain * scale, rtol=1e-12)
    assert values.min() <= plain.min()
    assert plain.max() <= values.max()
