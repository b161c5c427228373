"""Boundaries and zones from every format: the same L, in metres, wherever it came from."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from d2oc.errors import MapFileError
from d2oc.field import Field, ring_area
from d2oc.geo import LocalFrame, read_boundary, read_zones
from d2oc.scenario.schema import FieldTable

CORNER = np.array([353_000.0, 6_453_600.0])
L = np.array([[0.0, 0.0], [360.0, 0.0], [360.0, 120.0], [130.0, 120.0], [130.0, 450.0], [0.0, 450.0]])
L_AREA = 360.0 * 120.0 + 130.0 * 330.0
POND = np.array([[30.0, 300.0], [60.0, 300.0], [60.0, 340.0], [30.0, 340.0]])

FRAME = LocalFrame("EPSG:32633", *CORNER)
FORMATS = [
    ("field.shp", "EPSG:4326"),
    ("field.shp", "EPSG:3006"),  # Sweden's own system, whose definition puts north first
    ("field.gpkg", "EPSG:32632"),  # the neighbouring zone
    ("field.gpkg", "EPSG:3857"),
    ("field.geojson", "EPSG:4326"),
    ("field.kml", "EPSG:4326"),
    ("FIELD.GPKG", "EPSG:4258"),
]


def same_ring(ring, expected, within):
    return shapely.Polygon(ring).symmetric_difference(shapely.Polygon(expected)).area < within * ring_area(expected)


@pytest.mark.parametrize(("name", "crs"), FORMATS)
def test_every_format_gives_the_same_field(write_shapes, field_shape, name, crs):
    outline = read_boundary(write_shapes(name, [field_shape], crs, name=["north field"]))
    assert outline.frame.crs == "EPSG:32633"
    assert [outline.frame.origin_easting_m, outline.frame.origin_northing_m] == pytest.approx(CORNER, abs=1.01)
    shift = CORNER - outline.frame.origin
    assert same_ring(outline.ring, L + shift, 1e-6)
    assert len(outline.holes) == 1
    assert same_ring(outline.holes[0].ring, POND + shift, 1e-5)
    assert outline.notes == ()


def test_the_l_stands_upright(write_shapes, field_shape):
    """With axes exchanged it would be long to the east."""
    outline = read_boundary(write_shapes("field.geojson", [field_shape]))
    width, height = np.ptp(outline.ring, axis=0)
    assert (width, height) == pytest.approx((360, 450), abs=0.01)
    field = Field(outline.ring)
    assert field.contains([[100.0, 400.0]])
    assert not field.contains([[300.0, 400.0]])


def test_polygons_that_touch_are_one_field(write_shapes):
    parts = [shapely.box(0, 0, 100, 50), shapely.box(100, 0, 180, 50)]
    path = write_shapes("two.gpkg", [shapely.transform(part, lambda p: p + CORNER) for part in parts], "EPSG:32633")
    assert ring_area(read_boundary(path).ring) == pytest.approx(180 * 50)


def test_separate_polygons_are_told_apart_and_can_be_chosen(write_shapes):
    parts = [shapely.box(0, 0, 50, 50), shapely.box(100, 0, 200, 100)]
    path = write_shapes("two.gpkg", [shapely.transform(part, lambda p: p + CORNER) for part in parts], "EPSG:32633")
    with pytest.raises(MapFileError) as error:
        read_boundary(path)
    assert str(error.value) == (
        f"{path}: has 2 separate polygons (1, 0.25 ha), a field is one; choose it by boundary_part = 1 (the largest) "
        "to 2, or save it alone"
    )
    assert ring_area(read_boundary(path, part=2).ring) == pytest.approx(2500)
    with pytest.raises(MapFileError, match="boundary_part = 3 is none of them"):
        read_boundary(path, part=3)


def test_a_ring_that_crosses_itself_is_repaired_and_reported(write_json):
    """A slip at one corner: the boundary with a small loop of 1 m2 beside it."""
    ring = np.array(
        [[0, 0], [200, 0], [200, 100], [101, 100], [100, 101], [101, 101], [100, 100], [0, 100], [0, 0]], float
    )
    lon_lat = FRAME.to_lon_lat(ring)
    path = write_json("slip.geojson", {"type": "Polygon", "coordinates": [lon_lat.tolist()]}, name="slip")
    outline = read_boundary(path)
    assert ring_area(outline.ring) == pytest.approx(20_000, rel=1e-3)
    assert outline.notes[0] == "slip.geojson: shape 'slip' was repaired (self-intersection)"
    assert "parts below 1 % of the largest, left out: 1" in outline.notes[1]


def test_a_bow_tie_is_two_fields(write_json):
    ring = FRAME.to_lon_lat(np.array([[0.0, 0.0], [100.0, 100.0], [100.0, 0.0], [0.0, 80.0], [0.0, 0.0]]))
    path = write_json("bow.geojson", {"type": "Polygon", "coordinates": [ring.tolist()]})
    with pytest.raises(MapFileError, match="has 2 separate polygons"):
        read_boundary(path)


def test_many_corners_are_simplified_within_5_cm(write_shapes):
    angle = np.linspace(0, 2 * np.pi, 20_001)[:-1]
    circle = CORNER + 200 + 200 * np.column_stack([np.cos(angle), np.sin(angle)])
    outline = read_boundary(write_shapes("circle.gpkg", [shapely.Polygon(circle)], "EPSG:32633"))
    assert len(outline.ring) < 500
    assert abs(np.hypot(*(outline.ring - 200 - (CORNER - outline.frame.origin)).T) - 200).max() < 0.05
    assert "20,001 corners simplified to" in outline.notes[0]


def test_zones_come_with_names_and_buffers(write_shapes, tmp_path):
    tree, line = (
        shapely.Point(50 + CORNER[0], 60 + CORNER[1]),
        shapely.LineString([[0, 200], [130, 200]] + CORNER[None]),
    )
    path = write_shapes("obstacles.gpkg", [tree, line], name=["oak", "power line"])
    zones, notes = read_zones(path, FRAME, L, 5.0)
    assert [zone.name for zone in zones] == ["oak", "power line"]
    # a circle of 16 corners, and a strip of 130 x 10 with two half circles at its ends
    assert ring_area(zones[0].ring) == pytest.approx(np.pi * 25, rel=0.03)
    assert ring_area(zones[1].ring) == pytest.approx(1300 + np.pi * 25, rel=0.01)
    assert notes == ()
    with pytest.raises(MapFileError, match="holds lines and points, which are zones only with a buffer"):
        read_zones(path, FRAME, L)


def test_a_zone_elsewhere_on_the_farm_is_left_out_and_reported(write_shapes):
    shapes = [shapely.box(10, 10, 20, 20), shapely.box(2000, 10, 2020, 20)]
    path = write_shapes("zones.shp", [shapely.transform(s, lambda p: p + CORNER) for s in shapes], name=["in", "out"])
    zones, notes = read_zones(path, FRAME, L)
    assert [zone.name for zone in zones] == ["in"]
    assert notes == ("zones.shp: zones that do not reach into the field, left out: 1",)


def test_the_field_table_puts_files_together(write_shapes, field_shape):
    boundary = write_shapes("field.gpkg", [field_shape])
    zone = shapely.transform(shapely.box(10, 10, 20, 20), lambda p: p + CORNER)
    table = FieldTable(
        boundary_file=boundary,
        no_fly_file=write_shapes("fly.geojson", [zone], name=["mast"]),
        no_spray_file=write_shapes("spray.geojson", [zone], name=["well"]),
        no_spray_buffer_m=3.0,
    )
    field = Field.from_table(table)
    assert [zone.name for zone in field.no_fly_zones] == ["hole 1", "mast"]
    assert [zone.name for zone in field.no_spray_zones] == ["well"]
    assert field.frame is not None
    assert field.area_m2 == pytest.approx(L_AREA - 1200 - 100, rel=1e-5)
    # 16 x 16 less the corners, which the buffer rounds
    assert field.treatable_area_m2 == pytest.approx(L_AREA - 1200 - (256 - (4 - np.pi) * 9), rel=1e-4)


def test_a_local_field_with_a_place_takes_zones_from_files(write_shapes):
    zone = shapely.transform(shapely.box(10, 10, 20, 20), lambda p: p + CORNER)
    lon, lat = FRAME.to_lon_lat([[0.0, 0.0]])[0]
    table = FieldTable(
        width_m=100.0, height_m=50.0, origin_lon_lat_deg=(lon, lat), no_fly_file=write_shapes("z.kml", [zone])
    )
    assert Field.from_table(table).no_fly_zones[0].boundary.mean(axis=0) == pytest.approx([15, 15], abs=1e-3)


def test_options_of_the_library_are_as_they_were_afterwards(write_shapes, field_shape):
    import pyogrio

    path = write_shapes("field.gpkg", [field_shape])
    pyogrio.set_gdal_config_options({"GDAL_HTTP_PROXY": "proxy.example:1"})
    try:
        read_boundary(path)
        assert pyogrio.get_gdal_config_option("GDAL_HTTP_PROXY") == "proxy.example:1"
        assert pyogrio.get_gdal_config_option("OGR_GEOJSON_MAX_OBJ_SIZE") is None
    finally:
        pyogrio.set_gdal_config_options({"GDAL_HTTP_PROXY": None})
