"""Maps cell by cell: zeros, nodata and exact masses."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.density import GridDensity
from d2oc.density.sampling import evenly_spread
from d2oc.errors import DensityError


def random_units(seed):
    rng = np.random.default_rng(seed)
    return lambda n: rng.random((n, 2))


def cells_of(grid, points):
    column, row = np.floor((points - grid.origin) / grid.cell_size).astype(int).T
    return row, column


@pytest.mark.parametrize("units", [evenly_spread, lambda: random_units(3)], ids=["even", "random"])
def test_zero_and_nodata_cells_get_no_sample(units):
    values = np.random.default_rng(0).uniform(0, 1, (30, 40))
    values[values < 0.4] = 0.0
    values[values > 0.8] = np.nan
    values[0] = values[-1] = values[:, 0] = values[:, -1] = 0.0
    grid = GridDensity(values, (-7.0, 3.0), 2.5)
    points, _ = grid.draw(100_000, units())
    assert (values[cells_of(grid, points)] > 0).all()


@pytest.mark.parametrize("cell_size", [0.1, 1 / 3, 2.5, 7.0])
def test_rounding_carries_no_sample_over_the_edge_of_a_cell(cell_size):
    """The largest and smallest coordinates of the unit square, with zero cells all around every cell with mass."""
    values = np.zeros((9, 9))
    values[1::2, 1::2] = 1.0
    grid = GridDensity(values, (0.7, -12.3), cell_size)
    edges = np.concatenate([np.arange(4) / 4, np.nextafter(np.arange(1, 5) / 4, 0)])
    points = grid.place(np.array([(u, v) for u in edges for v in edges]))
    assert (values[cells_of(grid, points)] > 0).all()


def test_cells_get_samples_in_proportion_to_their_mass():
    values = np.array([[1.0, 0.0, 3.0], [np.nan, 4.0, 2.0]])
    grid = GridDensity(values, (0.0, 0.0), 10.0)
    points, _ = grid.draw(10_000, evenly_spread())
    counted = np.zeros((2, 3))
    np.add.at(counted, cells_of(grid, points), 1.0)
    np.testing.assert_allclose(counted / 10_000, np.nan_to_num(values) / 10, atol=1e-3)


def test_inside_a_cell_samples_are_even():
    points, _ = GridDensity(np.array([[2.0]]), (5.0, 6.0), 4.0).draw(20_000, evenly_spread())
    np.testing.assert_allclose(points.mean(axis=0), [7.0, 8.0], atol=1e-3)
    np.testing.assert_allclose(points.var(axis=0), [16 / 12, 16 / 12], rtol=1e-3)


def test_values_of_very_different_size_overflow_nothing():
    grid = GridDensity(np.array([[1e308, 1e308], [1e-300, 0.0]]), (0.0, 0.0), 1.0)
    points, weights = grid.draw(1000, evenly_spread())
    assert np.isfinite(points).all()
    assert (points[:, 1] < 1).all()
    assert abs(weights.sum() - 1) <= 1e-12


def test_observed_tells_zero_from_nodata_and_from_outside():
    grid = GridDensity(np.array([[0.0, 1.0], [np.nan, 1.0]]), (0.0, 0.0), 10.0)
    places = np.array([[5.0, 5.0], [5.0, 15.0], [15.0, 15.0], [25.0, 5.0], [-1.0, 5.0]])
    assert grid.observed(places).tolist() == [True, False, True, False, False]


def test_another_raster_keeps_the_mass():
    values = np.random.default_rng(2).uniform(0, 1, (12, 9))
    grid = GridDensity(values, (1.0, 2.0), 5.0)
    finer = grid.rasterise((-3.0, -4.0, 60.0, 70.0), 1.7)
    assert finer.values[~finer.nodata].sum() == pytest.approx(values.sum(), rel=1e-12)
    coarser = grid.rasterise(grid.bounds, 15.0)
    np.testing.assert_allclose(coarser.values, values.reshape(4, 3, 3, 3).sum(axis=(1, 3)))


def test_a_raster_elsewhere_is_nodata_where_nothing_was_observed():
    grid = GridDensity(np.array([[1.0, np.nan]]), (0.0, 0.0), 10.0)
    raster = grid.rasterise((-10.0, 0.0, 20.0, 10.0), 10.0)
    np.testing.assert_array_equal(raster.values, [[np.nan, 1.0, np.nan]])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1.0, 2.0], "a density map has shape (2,), expected (rows, columns)"),
        ([[0.0, 0.0]], "a density map is zero or nodata everywhere, so there is nothing to cover"),
        ([[np.nan, np.nan]], "a density map is zero or nodata everywhere, so there is nothing to cover"),
        ([[1.0, -1.0]], "a density map has a negative or infinite value; values must be finite and at least 0"),
        ([[1.0, np.inf]], "a density map has a negative or infinite value; values must be finite and at least 0"),
    ],
)
def test_a_map_that_is_no_density_is_refused(values, sentence):
    with pytest.raises(DensityError) as refused:
        GridDensity(np.array(values), (0.0, 0.0), 1.0)
    assert str(refused.value) == sentence
