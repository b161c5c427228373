"""The report of `d2oc field check`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from d2oc.cli import app
from d2oc.geo.inspect import inspect_file

CORNER = np.array([353_000.0, 6_453_600.0])
L_AREA = 360.0 * 120.0 + 130.0 * 330.0


def test_a_polygon_file(write_shapes, field_shape):
    report = inspect_file(write_shapes("field.gpkg", [field_shape], "EPSG:3006", name=["L"]))
    assert report.usable
    assert report.kind == "polygons"
    assert report.area_ha == pytest.approx((L_AREA - 1200) / 1e4, rel=1e-5)
    assert report.extent_m == pytest.approx((360, 450), abs=0.01)
    assert (report.details["n_holes"], report.details["n_vertices"], report.crs) == (1, 12, "EPSG:3006")
    assert report.lon_lat[0] == pytest.approx(12.4985, abs=0.001)


def test_a_raster_and_points(write_raster, write_shapes):
    values = np.ones((50, 80), np.float32)
    values[:, :40] = -1
    raster = inspect_file(write_raster("r.tif", values, CORNER[0], CORNER[1], 2.0, nodata=-1))
    assert raster.area_ha == pytest.approx(80 * 100 / 1e4, rel=0.03)
    assert raster.details["highest_mean"] == 1.0
    points = inspect_file(write_shapes("p.geojson", [shapely.Point(CORNER), shapely.Point(CORNER + 9)], weeds=[1, 2]))
    assert (points.kind, points.area_ha, points.details["n_features"]) == ("points", None, 2)


def test_the_command_draws_and_tells_by_its_exit_code(write_shapes, field_shape, write_raster, tmp_path):
    field = write_shapes("field.kml", [field_shape])
    raster = write_raster("r.tif", np.ones((450, 360), np.uint8), CORNER[0], CORNER[1] + 450, 1.0)
    picture = tmp_path / "check.png"
    outcome = CliRunner().invoke(app, ["field", "check", str(field), str(raster), "--draw", str(picture)])
    assert outcome.exit_code == 0, outcome.output
    assert picture.stat().st_size > 10_000
    assert "8.49 ha" in outcome.output
    empty = tmp_path / "empty.geojson"
    empty.write_text("")
    outcome = CliRunner().invoke(app, ["field", "check", str(field), str(empty), "--json"])
    assert outcome.exit_code == 1
    assert [report["usable"] for report in json.loads(outcome.stdout)] == [True, False]
