"""Maps and zones out, and in again: by the library, by rasterio, and by the command-line tools of GDAL."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest

from d2oc.errors import ExportError
from d2oc.export import export_record
from d2oc.export.zones import rate_classes
from d2oc.field import ring_contains
from d2oc.geo import LocalFrame
from d2oc.geo.raster import read_map
from d2oc.geo.vector import read_layer

pyogrio = pytest.importorskip("pyogrio", reason="the extra geo is not installed")
rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
shapely = pytest.importorskip("shapely", reason="the extra geo is not installed")

FRAME = LocalFrame("EPSG:32633", 353_000.0, 6_453_600.0)
BOUNDS = (0.0, 0.0, 50.0, 40.0)


def gdal(tool, *arguments):
    """Run one of GDAL's tools, which share no code of ours."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian: gdal-bin)")
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_dose_map_comes_back_as_it_was(sprayed, wanted, tmp_path):
    paths = export_record(sprayed(), "dose-cog", tmp_path / "dose.tif")
    assert paths == [tmp_path / "dose.tif"]
    back = read_map(paths[0], FRAME, BOUNDS, cell_size_m=5.0)
    assert back.values == pytest.approx(wanted)
    applied = export_record(sprayed(), "applied-cog", tmp_path / "applied.tif")[0]
    assert read_map(applied, FRAME, BOUNDS, cell_size_m=5.0).values == pytest.approx(1.1 * wanted, rel=1e-6)


def test_gdal_reads_the_dose_map(sprayed, tmp_path):
    path = export_record(sprayed(), "dose-cog", tmp_path / "dose.tif")[0]
    info = json.loads(gdal("gdalinfo", "-json", path))
    assert info["size"] == [10, 8]
    assert info["geoTransform"] == [353_000.0, 5.0, 0.0, 6_453_640.0, 0.0, -5.0]
    assert info["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert [band["description"] for band in info["bands"]] == ["target_l_ha", "maximum_l_ha"]
    assert {(band["unit"], band["noDataValue"]) for band in info["bands"]} == {("L/ha", -9999.0)}
    value = gdal("gdallocationinfo", "-valonly", "-geoloc", path, 353_002.5, 6_453_602.5)
    assert value.split() == ["30", "40"]
    assert gdal("gdallocationinfo", "-valonly", "-geoloc", path, 353_047.5, 6_453_612.5).split() == ["12.5", "40"]


@pytest.mark.parametrize(("name", "file"), [("zones-shp", "zones.shp"), ("zones-geojson", "zones.geojson")])
def test_zones_come_back_with_their_rates_and_areas(sprayed, tmp_path, name, file):
    export_record(sprayed(), name, tmp_path / file)
    layer = read_layer(tmp_path / file)
    local = shapely.transform(layer.shapes, lambda places: FRAME.to_local(places, layer.crs))
    found = sorted(zip(layer.columns["rate"], layer.columns["area_ha"], shapely.area(local), strict=True))
    assert [row[0] for row in found] == [12.5, 30.0]
    assert [row[1] for row in found] == pytest.approx([5 * 25 / 1e4, 20 * 25 / 1e4])
    assert [row[2] for row in found] == pytest.approx([125, 500], rel=1e-4)
    strongest = local[int(np.argmax(layer.columns["rate"]))]
    assert strongest.symmetric_difference(shapely.box(0, 0, 25, 20)).area < 0.1


def test_gdal_reads_the_zones(sprayed, tmp_path):
    export_record(sprayed(), "zones-shp", tmp_path / "zones.shp")
    assert (tmp_path / "zones.prj").read_text().startswith('PROJCS["WGS_1984_UTM_Zone_33N"')
    text = gdal("ogrinfo", "-ro", "-al", tmp_path / "zones.shp")
    assert "Feature Count: 2" in text
    assert "rate (Real) = 30" in text
    export_record(sprayed(), "zones-geojson", tmp_path / "zones.geojson")
    assert "Feature Count: 2" in gdal("ogrinfo", "-ro", "-al", "-so", tmp_path / "zones.geojson")


def test_cells_and_track_in_a_geopackage(sprayed, wanted, tmp_path):
    export_record(sprayed(), "cells-gpkg", tmp_path / "cells.gpkg")
    layer = read_layer(tmp_path / "cells.gpkg")
    assert len(layer.shapes) == (wanted > 0).sum()
    assert layer.columns["target_l_ha"].sum() == pytest.approx(wanted.sum())
    middle = shapely.get_coordinates(shapely.centroid(layer.shapes)) - FRAME.origin
    at = {
        tuple(place): rate
        for place, rate in zip(np.round(middle, 3).tolist(), layer.columns["target_l_ha"], strict=True)
    }
    assert (at[2.5, 2.5], at[47.5, 12.5]) == (30.0, 12.5)
    export_record(sprayed(), "track-gpkg", tmp_path / "track.gpkg")
    track = read_layer(tmp_path / "track.gpkg")
    assert len(track.shapes) == 2 * 18
    # 3 steps at 6, 2 at 3 and 2 at 12 L/min, of a second each
    assert track.columns["litres"].sum() == pytest.approx((3 * 6 + 2 * 3 + 2 * 12) / 60)
    assert "Feature Count: 36" in gdal("ogrinfo", "-ro", "-al", "-so", tmp_path / "track.gpkg")


def test_many_rates_become_few_that_are_never_too_low():
    rates = np.random.default_rng(3).uniform(0, 30, (40, 50))
    rates[5, 5], rates[6, 6] = 0.0, np.nan
    classes, of_class = rate_classes(rates)
    assert len(of_class) == 9
    assert (of_class[classes] >= np.nan_to_num(rates) - 1e-9).all()
    assert (of_class[classes] - np.nan_to_num(rates)).max() <= rates[~np.isnan(rates)].max() / 8 + 1e-9
    assert classes[5, 5] == classes[6, 6] == 0


def test_a_record_without_spraying_gives_relative_maps(record_by_hand, sprayed, tmp_path):
    from d2oc.mission import simulate
    from d2oc.scenario import load_scenario

    changes = {"mission.duration_s": 10.0, "field.origin_lon_lat_deg": [12.5, 58.2]}
    record = simulate(load_scenario("six_drones", overrides=changes))
    wanted = export_record(record, "dose-cog", tmp_path / "d.tif")[0]
    with rasterio.open(wanted) as raster:
        hectares = abs(raster.transform.a * raster.transform.e) / 1e4
        assert raster.read(1).sum() * hectares == pytest.approx(100, rel=1e-5)  # percent of the whole
        assert raster.units == ("%/ha",)
    applied = export_record(record, "applied-cog", tmp_path / "a.tif")[0]
    with rasterio.open(applied) as raster:
        seconds = (record.trajectory["consumed"] > 0).sum() * record.header.time_step_s
        assert raster.read(1).sum() * hectares == pytest.approx(seconds, rel=0.02)


def test_what_cannot_be_written_is_said_in_a_sentence(sprayed, tmp_path):
    record = sprayed(placed=False)
    with pytest.raises(ExportError, match=r"has no place on the globe; fly it with field\.origin_lon_lat_deg"):
        export_record(record, "dose-cog", tmp_path / "d.tif")
    with pytest.raises(ExportError, match=r'format "doze-cog" is not known; did you mean dose-cog\?'):
        export_record(sprayed(), "doze-cog", tmp_path / "d.tif")
    with pytest.raises(ExportError, match=r"ends in \.tif"):
        export_record(sprayed(), "dose-cog", tmp_path / "d.png")
    with pytest.raises(ExportError, match="nothing is wanted anywhere"):
        export_record(sprayed(wanted=np.zeros((8, 10))), "zones-shp", tmp_path / "z.shp")


def test_the_zones_lie_where_the_doses_are(sprayed, wanted, tmp_path):
    """Point by point, against the raster itself."""
    export_record(sprayed(), "zones-geojson", tmp_path / "zones.geojson")
    features = json.loads((tmp_path / "zones.geojson").read_text())["features"]
    places = np.random.default_rng(4).uniform((0.1, 0.1), (49.9, 39.9), (300, 2))
    at = wanted[(places[:, 1] // 5).astype(int), (places[:, 0] // 5).astype(int)]
    found = np.zeros(len(places))
    for feature in features:
        (ring,) = feature["geometry"]["coordinates"]
        found[ring_contains(FRAME.from_lon_lat(ring), places)] = feature["properties"]["rate"]
    assert (found == at).mean() > 0.99  # what lies on an edge may be on either side
