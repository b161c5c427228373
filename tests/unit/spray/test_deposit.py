"""Where liquid comes down."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.scenario.schema import SprayTable
from d2oc.spray.deposit import OWN_SHARE, SPACING, Footprint, footprint_of, lay, passes_cv, room, touch, touched_space
from d2oc.spray.raster import L_PER_HA, Grid


def laid(grid, footprint, pieces, litres, cos=0.0, sin=1.0, half=0.5):
    deposit = np.zeros(grid.rows * grid.columns)
    space = touched_space(footprint, grid, 2 * half)
    beyond = 0.0
    for x, y in pieces:
        n = touch(grid, footprint, x, y, cos, sin, half, space)
        beyond += lay(deposit, grid, space, n, litres)
    return deposit, beyond


@pytest.mark.parametrize("ratio", [2.5, 2.97, 3.38])
def test_parallel_passes_give_the_cv_of_the_closed_form(ratio):
    sigma = 4.0
    spacing = ratio * sigma
    grid = Grid(0.0, 0.0, 0.25, 40, round(8 * spacing / 0.25))
    pieces = [(i * spacing, k + 0.5) for i in range(-4, 13) for k in range(-5, 15)]
    deposit, _ = laid(grid, Footprint(sigma, 0.5), pieces, L_PER_HA * spacing)
    inner = deposit.reshape(grid.rows, grid.columns)[10:30, int(2 * spacing / 0.25) : int(6 * spacing / 0.25)]
    assert inner.mean() == pytest.approx(1.0, rel=1e-3)  # 1 L/ha was sprayed
    assert inner.std() / inner.mean() == pytest.approx(passes_cv(sigma, spacing), rel=0.01)


def test_the_closed_form_gives_the_published_figures():
    assert [round(100 * passes_cv(1.0, s)) for s in (2.5, 2.97, 3.38)] == [6, 15, 25]


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, 2.9])
def test_litres_laid_are_litres_sprayed_also_beyond_the_raster(angle):
    grid = Grid(-7.0, 3.0, 1.3, 20, 25)
    pieces = [(x, y) for x in (-9.0, 0.0, 10.3, 30.0) for y in (2.0, 15.1, 29.0)]
    deposit, beyond = laid(grid, Footprint(2.8, 0.7), pieces, 0.37, np.cos(angle), np.sin(angle))
    assert beyond > 0.1
    assert deposit.sum() * grid.litres + beyond == pytest.approx(0.37 * len(pieces), abs=1e-12)


def test_room_is_what_fits_below_the_maximum():
    grid = Grid(0.0, 0.0, 1.0, 40, 40)
    footprint = Footprint(3.0, 0.5)
    deposit, most = np.zeros(1600), np.full(1600, 20.0)
    space = touched_space(footprint, grid, 2.0)
    n = touch(grid, footprint, 20.0, 20.0, 1.0, 0.0, 1.0, space)
    lay(deposit, grid, space, n, 0.5 * room(deposit, most, 7.5, grid, space, n))
    lay(deposit, grid, space, n, room(deposit, most, 7.5, grid, space, n))
    assert deposit.max() == pytest.approx(OWN_SHARE * 20.0, rel=1e-12)
    most[25 * 40 + 20] = 0.0  # a cell under the footprint that must stay dry
    assert room(np.zeros(1600), most, 7.5, grid, space, n) == 0.0


def test_the_swath_is_the_declared_one_where_it_was_measured_and_grows_with_height():
    table = SprayTable(swath_m=7.0, swath_height_m=2.5, swath_speed_m_s=6.0)
    assert footprint_of(table, 2.5, 6.0).swath == pytest.approx(7.0)
    assert footprint_of(table, 10.0, 6.0).swath == pytest.approx(14.0)
    assert footprint_of(table, 2.5, 3.0).swath < 7.0
    assert footprint_of(table, 2.5, 6.0).across == pytest.approx(7.0 / SPACING)
