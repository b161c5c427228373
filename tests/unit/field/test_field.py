"""Polygons with no-fly zones: what is inside, how large it is, and what is refused."""

from __future__ import annotations

import time

import numpy as np
import pytest

from d2oc.errors import FieldError
from d2oc.field import Field, NoFlyZone, ring_area, ring_contains
from d2oc.scenario.schema import FieldTable, NoFlyZoneTable

SQUARE = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0]])
L_SHAPE = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 40.0], [30.0, 40.0], [30.0, 80.0], [0.0, 80.0]])
COMB = np.array([[0, 0], [9, 0], [9, 9], [8, 9], [7, 1], [6, 9], [5, 9], [4, 1], [3, 9], [2, 9], [1, 1], [0, 9]], float)


def square_zone(x, y, size, name="pond"):
    return NoFlyZone(name, np.array([[x, y], [x + size, y], [x + size, y + size], [x, y + size]]))


def winding_number(ring, point):
    """Independent oracle: how often the ring turns around the point."""
    offset = ring - point
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    turn = np.diff(np.append(angle, angle[0]))
    return round(float(((turn + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi)))


def test_corners_edges_and_inside_of_a_rectangle_are_inside():
    field = Field(SQUARE)
    inside = [[0, 0], [100, 100], [50, 0], [0, 37.3], [100, 1e-12], [50, 50]]
    outside = [[-1e-3, 50], [100.001, 50], [50, -1e-3], [50, 100.001], [200, 0], [-5, 100], [np.nan, 5], [5, np.nan]]
    assert field.contains(inside).all()
    assert not field.contains(outside).any()


@pytest.mark.parametrize("ring", [SQUARE, L_SHAPE, COMB], ids=["square", "L", "comb"])
@pytest.mark.parametrize("reverse", [False, True])
def test_contains_agrees_with_the_winding_number(ring, reverse):
    ring = ring[::-1] if reverse else ring
    points = np.random.default_rng(5).uniform(-0.1, 1.1, (400, 2)) * ring.max(axis=0)
    expected = [winding_number(ring, point) != 0 for point in points]
    assert ring_contains(ring, points).tolist() == expected


def test_points_level_with_corners_are_not_miscounted():
    diamond = np.array([[0.0, -1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert ring_contains(diamond, [[0.0, 0.0], [0.999, 0.0], [-1.0, 0.0]]).all()
    assert not ring_contains(diamond, [[-2.0, 0.0], [2.0, 0.0], [-1.0, 1.0], [1.0, -1.0]]).any()


def test_points_on_an_oblique_edge_are_inside():
    triangle = np.array([[0.0, 0.0], [97.0, 13.0], [31.0, 71.0]])
    share = np.linspace(0, 1, 101)[:, None]
    assert ring_contains(triangle, triangle[0] * (1 - share) + triangle[1] * share).all()


def test_the_edge_of_a_zone_belongs_to_the_zone():
    field = Field(SQUARE, (square_zone(20, 20, 10),))
    assert field.contains([[20, 20], [25, 30], [25, 25], [19.99, 25]]).tolist() == [False, False, False, True]
    assert field.in_boundary([[25, 25]]).all()
    assert field.in_no_fly_zones([[25, 25], [150, 150]]).tolist() == [True, False]


def test_area_is_exact_with_zones_that_overlap_each_other_and_the_boundary():
    overlapping = Field(SQUARE, (square_zone(10, 10, 20), square_zone(20, 20, 20)))
    assert overlapping.area_m2 == pytest.approx(10_000 - (400 + 400 - 100), rel=1e-12)
    over_the_edge = Field(SQUARE, (square_zone(90, 90, 50),))
    assert over_the_edge.area_m2 == pytest.approx(10_000 - 100, rel=1e-12)
    outside = Field(SQUARE, (square_zone(200, 200, 50),))
    assert outside.area_m2 == pytest.approx(10_000, rel=1e-12)


def test_area_of_crossing_oblique_zones_is_exact():
    """Two squares on their points, centres 10 m apart: union by hand."""
    diamond = np.array([[0.0, -10.0], [10.0, 0.0], [0.0, 10.0], [-10.0, 0.0]])
    zones = (NoFlyZone("a", diamond + 50), NoFlyZone("b", diamond + np.array([60, 50])))
    shared = 2 * 5.0**2  # a diamond of half diagonal 5
    assert Field(SQUARE, zones).area_m2 == pytest.approx(10_000 - (2 * 200 - shared), rel=1e-12)


def test_area_of_an_l_shape_and_bounds():
    field = Field(L_SHAPE)
    assert field.area_m2 == pytest.approx(100 * 40 + 30 * 40, rel=1e-14)
    assert field.bounds == (0.0, 0.0, 100.0, 80.0)


@pytest.mark.parametrize("ring", [SQUARE, L_SHAPE, COMB, np.array([[0.0, 0], [97, 13], [31, 71]])])
def test_the_unit_square_is_carried_onto_the_polygon_area_for_area(ring):
    """Moments of the image of a fine midpoint grid are those of the polygon (Green's theorem)."""
    n = 400
    grid = (np.arange(n) + 0.5) / n
    unit = np.column_stack([np.tile(grid, n), np.repeat(grid, n)])
    points = Field(ring).place(unit)
    x, y = ring.T
    x1, y1 = np.roll(x, -1), np.roll(y, -1)
    cross = x * y1 - x1 * y
    area = cross.sum() / 2
    mean = np.array([((x + x1) * cross).sum(), ((y + y1) * cross).sum()]) / (6 * area)
    second = np.array([((x * x + x * x1 + x1 * x1) * cross).sum(), ((y * y + y * y1 + y1 * y1) * cross).sum()])
    assert ring_contains(ring, points).all()
    np.testing.assert_allclose(points.mean(axis=0), mean, rtol=1e-3)
    np.testing.assert_allclose((points**2).mean(axis=0), second / (12 * area), rtol=2e-3)


def test_many_corners_and_many_points_are_quick():
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    points = np.random.default_rng(1).uniform(-1, 1, (200_000, 2))
    start = time.perf_counter()
    share = ring_contains(circle, points).mean()
    assert share == pytest.approx(ring_area(circle) / 4, abs=5e-3)
    assert time.perf_counter() - start < 5  # every edge against every point would take far longer


def test_a_repeated_corner_and_a_closing_corner_are_dropped():
    field = Field(np.array([[0, 0], [0, 0], [10, 0], [10, 10], [0, 10], [0, 0]], float))
    assert field.boundary.shape == (4, 2)


REFUSED = [
    ([[0, 0], [1, 0]], "field boundary has 2 distinct corners, a polygon needs at least 3"),
    ([[0, 0], [1, 0], [0, 0], [0, 0]], "field boundary has 2 distinct corners, a polygon needs at least 3"),
    ([[0, 0], [1, 1], [2, 2]], "field boundary has no area: all its 3 corners lie on one line"),
    (
        [[0, 0], [10, 10], [10, 0], [0, 10]],
        "field boundary crosses itself: edge 1 from (0, 0) m to (10, 10) m meets edge 3 from (10, 0) m to (0, 10) m",
    ),
    (
        [[0, 0], [10, 0], [10, 10], [5, 0], [0, 10]],
        "field boundary crosses itself: edge 1 from (0, 0) m to (10, 0) m meets edge 3 from (10, 10) m to (5, 0) m",
    ),
    (
        [[0, 0], [10, 0], [10, 10], [10, 5], [0, 5]],
        "field boundary folds back on itself at the corner (10, 10) m",
    ),
    ([[0, 0], [np.nan, 0], [1, 1]], "field boundary has the corner (nan, 0) m, which is not finite"),
]


@pytest.mark.parametrize(("corners", "sentence"), REFUSED)
def test_a_broken_boundary_is_refused_with_its_sentence(corners, sentence):
    with pytest.raises(FieldError) as refused:
        Field(np.array(corners, float))
    assert str(refused.value) == sentence


def test_a_broken_zone_is_named():
    with pytest.raises(FieldError, match=r"^no-fly zone 'pond' has no area: all its 3 corners lie on one line$"):
        NoFlyZone("pond", np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]]))


def test_zones_over_the_whole_field_are_refused():
    zones = (square_zone(-1, -1, 60), square_zone(-1, 40, 80), square_zone(50, -1, 200))
    with pytest.raises(FieldError, match=r"^field\.no_fly_zones cover the whole field, so nothing is left to treat$"):
        Field(SQUARE, zones)


def test_a_table_becomes_a_field():
    zone = NoFlyZoneTable(name="pond", boundary_m=((10.0, 10.0), (20.0, 10.0), (20.0, 20.0)))
    field = Field.from_table(FieldTable(width_m=50.0, height_m=40.0, no_fly_zones=(zone,)))
    assert field.bounds == (0.0, 0.0, 50.0, 40.0)
    assert field.no_fly_zones[0].name == "pond"
    assert field.area_m2 == pytest.approx(2000 - 50)
    assert Field.from_table(FieldTable(boundary_m=((0.0, 0.0), (9.0, 0.0), (0.0, 9.0)))).area_m2 == pytest.approx(40.5)


def test_points_of_a_wrong_shape_are_a_programming_error():
    with pytest.raises(ValueError, match="points have shape"):
        Field(SQUARE).contains([1.0, 2.0, 3.0])
