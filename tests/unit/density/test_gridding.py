"""From counts to a map: exact at the counts, nodata out of reach, and a field around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d2oc.density import GridDensity, build_density
from d2oc.density.counts_csv import Counts
from d2oc.density.gridding import field_around, grid_counts, interpolate, median_spacing
from d2oc.errors import DensityError, FieldError
from d2oc.field import Field, ring_contains
from d2oc.scenario.schema import FieldTable, PointsDensity

RNG = np.random.default_rng(11)
COUNTS = Counts(RNG.uniform(0, 100, (60, 2)), np.floor(RNG.exponential(5.0, 60)))
METHODS = ["idw", "linear", "nearest"]


def table_of(file=Path("counts.csv"), **keys):
    return PointsDensity(
        kind="points", file=file, x_column="x", y_column="y", value_column="v", coordinates="local-m", **keys
    )


def written(tmp_path, rows):
    file = tmp_path / "counts.csv"
    file.write_text("x,y,v\n" + "".join(f"{x},{y},{v}\n" for x, y, v in rows))
    return file


@pytest.mark.parametrize("method", METHODS)
def test_a_map_has_the_count_at_the_count(method):
    np.testing.assert_allclose(interpolate(COUNTS, COUNTS.places, method), COUNTS.values, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_stays_between_the_smallest_and_the_largest_count(method):
    values = interpolate(COUNTS, np.random.default_rng(1).uniform(-50, 150, (2000, 2)), method)
    values = values[~np.isnan(values)]
    assert values.min() >= COUNTS.values.min()
    assert values.max() <= COUNTS.values.max()


def test_idw_is_shepards_formula_over_the_eight_nearest():
    places = np.random.default_rng(2).uniform(0, 100, (50, 2))
    distance = np.linalg.norm(places[:, None] - COUNTS.places, axis=2)
    expected = []
    for row in distance:
        near = np.argsort(row)[:8]
        expected.append((COUNTS.values[near] / row[near] ** 2).sum() / (1 / row[near] ** 2).sum())
    np.testing.assert_allclose(interpolate(COUNTS, places, "idw"), expected, rtol=1e-12)


def test_idw_next_to_a_count_neither_overflows_nor_jumps():
    close = COUNTS.places[:1] + 1e-200
    np.testing.assert_allclose(interpolate(COUNTS, close, "idw"), COUNTS.values[:1])


def test_linear_reproduces_a_plane():
    plane = Counts(COUNTS.places, 2 + COUNTS.places @ [0.5, 0.25])
    places = np.random.default_rng(3).uniform(30, 70, (200, 2))
    np.testing.assert_allclose(interpolate(plane, places, "linear"), 2 + places @ [0.5, 0.25], rtol=1e-10)


def test_nearest_is_the_nearest():
    places = np.random.default_rng(4).uniform(0, 100, (200, 2))
    nearest = np.linalg.norm(places[:, None] - COUNTS.places, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(interpolate(COUNTS, places, "nearest"), COUNTS.values[nearest])


def test_outside_the_triangles_linear_knows_nothing():
    square = Counts(np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]]), np.ones(4))
    values = interpolate(square, np.array([[5.0, 5.0], [11.0, 5.0]]), "linear")
    assert np.isnan(values).tolist() == [False, True]


@pytest.mark.parametrize("method", METHODS)
def test_cells_out_of_reach_are_nodata_not_zero(method):
    counts = Counts(np.array([[5.0, 5], [15, 5], [5, 15], [95, 95]]), np.array([0.0, 2, 1, 3]))
    density = grid_counts(table_of(interpolation=method, cell_size_m=10.0, reach_m=12.0), counts, square_field())
    assert density.values[0, 0] == 0  # a count of zero
    assert np.isnan(density.values[5, 5])  # nobody looked
    assert density.values[9, 9] == 3
    assert f"{int(density.nodata.sum())} of them nodata (reach 12 m)" in density.notes()[0]


def square_field():
    return Field.rectangle(0, 0, 100, 100)


def test_the_default_reach_is_twice_the_median_spacing():
    grid = np.arange(0.0, 100.0, 20.0)
    counts = Counts(np.column_stack([np.tile(grid, 5), np.repeat(grid, 5)]), np.arange(25.0))
    assert median_spacing(counts) == 20.0
    field = Field.rectangle(0, 0, 200, 80)
    density = grid_counts(table_of(cell_size_m=1.0), counts, field)
    known = np.flatnonzero(~density.nodata[40])
    assert known.max() == 119  # centre at 119.5 m, the last count at 80 m, reach 40 m


def test_cells_outside_the_field_hold_no_mass():
    """An L-shaped field loses only the samples of the cells on its edge, not those of its bounding rectangle."""
    field = Field(np.array([[0.0, 0], [100, 0], [100, 40], [30, 40], [30, 100], [0, 100]]))
    density = grid_counts(table_of(cell_size_m=5.0, interpolation="nearest", reach_m=1e3), COUNTS, field)
    assert np.isnan(density.values[9:, 7:]).all()
    assert not np.isnan(density.values[:8]).any()


def test_a_sliver_of_field_between_probes_keeps_its_corner_cells():
    field = Field(np.array([[0.0, 0], [100, 0], [100, 50], [100.4, 99.0], [99.0, 50.0], [0, 50]]))
    density = grid_counts(table_of(cell_size_m=10.0, reach_m=1e3), COUNTS, field)
    assert not np.isnan(density.values[9, 10])


def test_the_field_around_counts_is_their_hull_widened_by_half_the_spacing():
    corners = Counts(np.array([[0.0, 0], [30, 0], [30, 30], [0, 30]]), np.ones(4))
    field = field_around(corners)
    assert field.bounds == pytest.approx((-15, -15, 45, 45))
    assert ring_contains(field.boundary, corners.places).all()
    rounded = 30 * 30 + 4 * 30 * 15 + np.pi * 15**2
    assert field.area_m2 == pytest.approx(rounded, rel=0.01)
    assert field.area_m2 < rounded


def test_counts_along_a_line_still_make_a_field():
    field = field_around(Counts(np.array([[0.0, 0], [10, 0], [20, 0]]), np.ones(3)))
    assert field.bounds == pytest.approx((-5, -5, 25, 5))


def test_a_given_field_is_kept(tmp_path):
    table = table_of(written(tmp_path, [(0, 0, 1), (10, 0, 2), (0, 10, 3)]))
    density, field = build_density(table, FieldTable(width_m=40.0, height_m=30.0))
    assert isinstance(density, GridDensity)
    assert field.bounds == (0, 0, 40, 30)
    assert density.values.shape == (6, 8)


BAD = {
    "linear with two": (
        [(0, 0, 1), (10, 0, 2)],
        {"interpolation": "linear"},
        "density.interpolation = 'linear' needs at least 3 places, there are 2; use 'idw'",
    ),
    "linear on a line": (
        [(0, 0, 1), (10, 10, 2), (20, 20, 3)],
        {"interpolation": "linear"},
        "density.interpolation = 'linear' needs places that span an area, but all lie on one line; use 'idw'",
    ),
    "too many cells": (
        [(0, 0, 1), (1000, 1000, 2)],
        {"cell_size_m": 0.01},
        "density.cell_size_m = 0.01 m makes 10,000,000,000 cells; at most 4,000,000 are gridded, "
        "so choose a larger cell",
    ),
    "one count": ([(5, 5, 1)], {}, "{f}: has a single place and so no spacing; give density.reach_m in metres"),
    "elsewhere": (
        [(50_000, 50_000, 1), (50_010, 50_000, 2)],
        {},
        "{f}: no cell of the map has a count above zero within reach_m = 20 m; "
        "check that field and counts use the same coordinates, or use smaller cells",
    ),
}


@pytest.mark.parametrize(("rows", "keys", "sentence"), BAD.values(), ids=BAD)
def test_counts_that_make_no_map_are_refused_with_a_sentence(tmp_path, rows, keys, sentence):
    file = written(tmp_path, rows)
    with pytest.raises(DensityError) as refused:
        build_density(table_of(file, **keys), FieldTable(width_m=1000.0, height_m=1000.0))
    assert str(refused.value) == sentence.format(f=file)


def test_a_single_count_makes_no_field(tmp_path):
    with pytest.raises(FieldError) as refused:
        build_density(table_of(written(tmp_path, [(5, 5, 1)])), None)
    assert str(refused.value) == (
        "a single scouted place makes no field; give [field] with width_m and height_m or boundary_m"
    )
