"""Without the extra one sentence says what to install, and all that needs no map works."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from d2oc.errors import MissingExtraError
from d2oc.export import export_record
from d2oc.geo import LocalFrame, frame, read_boundary
from d2oc.geo.inspect import inspect_file
from d2oc.geo.raster import raster_info
from d2oc.mission import simulate
from d2oc.scenario import load_scenario

INSTALL = r"needs the extra 'geo': pip install 'd2oc\[geo\]'"


@pytest.fixture
def without(monkeypatch):
    for name in ("shapely", "pyogrio", "rasterio", "pyproj"):
        monkeypatch.setitem(sys.modules, name, None)
    frame._transformer.cache_clear()
    yield
    frame._transformer.cache_clear()


def test_every_way_in_names_the_extra(without, tmp_path):
    path = tmp_path / "field.geojson"
    path.write_text("{}")
    raster = tmp_path / "map.tif"
    raster.write_bytes(b"II*\x00")
    for read in (
        lambda: read_boundary(path),
        lambda: raster_info(raster),
        lambda: inspect_file(path),
        lambda: inspect_file(raster),
        lambda: LocalFrame.at(12.5, 58.2),
        lambda: load_scenario("six_drones", overrides={"field": {"boundary_file": str(path)}}),
        lambda: load_scenario("six_drones", overrides={"field.origin_lon_lat_deg": [12.5, 58.2]}),
    ):
        with pytest.raises(MissingExtraError, match=INSTALL):
            read()


def test_a_mission_in_local_metres_needs_no_map_library(without):
    record = simulate(load_scenario("six_drones", overrides={"mission.duration_s": 1.0}))
    assert record.complete


def test_every_map_out_names_the_extra(without, tmp_path, record_by_hand):
    record = record_by_hand(np.zeros((2, 1, 2)))
    object.__setattr__(record.header, "georeference", LocalFrame("EPSG:32633", 353_000.0, 6_453_600.0).as_mapping())
    for name, file in (
        ("dose-cog", "d.tif"),
        ("zones-shp", "z.shp"),
        ("cells-gpkg", "c.gpkg"),
        ("track-gpkg", "t.gpkg"),
    ):
        with pytest.raises(MissingExtraError, match=INSTALL):
            export_record(record, name, tmp_path / file)
