"""`d2oc new`: what it writes is a scenario, and flies."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from d2oc.errors import D2ocError, ScenarioError
from d2oc.export import FORMATS, export_record
from d2oc.geo import LocalFrame
from d2oc.geo.vector import read_layer
from d2oc.mission import simulate
from d2oc.scenario import load_scenario
from d2oc.starter import MapFiles, Rate, write_scenario

FRAME = LocalFrame("EPSG:32633", 353_000.0, 6_453_600.0)


@pytest.fixture
def folder(tmp_path):
    """A boundary with a hole, a well, and counts in three forms, in a folder of their own."""
    data = tmp_path / "data"
    data.mkdir()
    lon_lat = lambda ring: FRAME.to_lon_lat(np.array([*ring, ring[0]], float)).tolist()  # noqa: E731
    field = [lon_lat([[0, 0], [120, 0], [120, 90], [0, 90]]), lon_lat([[50, 40], [60, 40], [60, 50], [50, 50]])]
    well = [lon_lat([[90, 10], [100, 10], [100, 20], [90, 20]])]
    for name, rings in (("field", field), ("well", well)):
        geometry = {"type": "Polygon", "coordinates": rings}
        feature = {"type": "Feature", "properties": {"name": name}, "geometry": geometry}
        (data / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    places = np.array([[x, y] for x in (10, 40, 80, 110) for y in (10, 45, 80)], float)
    rows = [f"{lon:.8f},{lat:.8f},{i % 4}" for i, (lon, lat) in enumerate(FRAME.to_lon_lat(places))]
    (data / "counts.csv").write_text("\n".join(["lon,lat,weeds", *rows]))
    (data / "plain.csv").write_text("x,y,weeds,thistles\n1,2,3,4\n")
    return tmp_path


def test_what_it_writes_flies_from_anywhere_with_its_zones(folder, monkeypatch, tmp_path):
    data = folder / "data"
    files = MapFiles(data / "field.geojson", data / "counts.csv", no_spray=data / "well.geojson", no_spray_buffer_m=2.0)
    write_scenario(files, folder / "mine.toml", n_agents=2)
    monkeypatch.chdir("/")
    scenario = load_scenario(folder / "mine.toml", overrides={"mission.duration_s": 2.0})
    record = simulate(scenario, out=tmp_path / "run")
    assert record.header.n_agents == 2
    assert len(record.header.no_fly_zones_m) == 1
    assert len(record.header.no_spray_zones_m) == 1
    assert record.header.georeference["crs"] == "EPSG:32633"
    again = load_scenario(tmp_path / "run" / "scenario.toml")
    assert simulate(again).digest() == record.digest()


def test_the_file_names_its_data_relative_to_itself(folder):
    write_scenario(MapFiles(folder / "data/field.geojson", folder / "data/counts.csv"), folder / "mine.toml", 1)
    text = (folder / "mine.toml").read_text()
    assert 'boundary_file = "data/field.geojson"' in text
    assert 'file = "data/counts.csv"' in text
    assert 'coordinates = "lon-lat"' in text


def test_what_cannot_be_flown_leaves_no_file(folder):
    out = folder / "mine.toml"
    with pytest.raises(ScenarioError, match="is not there"):
        write_scenario(MapFiles(folder / "data/field.geojson", folder / "data/nothing.tif"), out, 1)
    with pytest.raises(D2ocError):
        write_scenario(MapFiles(folder / "data/nothing.gpkg", folder / "data/counts.csv"), out, 1)
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(ScenarioError, match="is there already"):
        write_scenario(MapFiles(folder / "data/field.geojson", folder / "data/counts.csv"), out, 1)
    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "name the column with the counts by --value-column: weeds, thistles"),
        ({"value_column": "weeds"}, "say what its coordinates are by --coordinates"),
    ],
)
def test_what_a_csv_file_does_not_say_is_asked_for(folder, keys, sentence):
    files = MapFiles(folder / "data/field.geojson", folder / "data/plain.csv", **keys)
    with pytest.raises(ScenarioError, match=sentence):
        write_scenario(files, folder / "mine.toml", 1)


def test_a_dose_makes_a_spraying_mission_whose_files_agree(folder, tmp_path):
    """From a boundary and counts to every file, and the same litres in all of them."""
    data = folder / "data"
    files = MapFiles(data / "field.geojson", data / "counts.csv", no_spray=data / "well.geojson")
    write_scenario(files, folder / "spray.toml", 1, Rate(20.0, 1.5))
    record = simulate(load_scenario(folder / "spray.toml"))
    assert record.complete
    litres = record.trajectory["spray_l_min"].sum() * record.header.time_step_s / 60
    assert litres > 1
    written = {
        name: export_record(record, name, tmp_path / name / f"out{form.ending}") for name, form in FORMATS.items()
    }
    content = json.loads(written["record-json"][0].read_text())
    assert content["mix_l"] == pytest.approx(litres, abs=1e-3)
    with written["mix-sheet"][0].open(newline="") as stream:
        assert sum(float(row["used_l"]) for row in csv.DictReader(stream)) == pytest.approx(litres, abs=0.02)
    track = read_layer(written["track-gpkg"][0])
    assert track.columns["litres"].sum() == pytest.approx(litres, rel=1e-9)
    target = record.cells["target_l_ha"]
    cell = record.header.raster["cell_m"]
    zones = read_layer(written["zones-geojson"][0])
    assert set(zones.columns["rate"]) == {20.0}
    assert zones.columns["area_ha"].sum() == pytest.approx((target > 0).sum() * cell**2 / 1e4)
    raw = np.frombuffer(written["isoxml"][1].read_bytes(), "<i4")
    assert set(raw.tolist()) == {0, 200_000}
    for path in written["qgc-plan"]:
        items = json.loads(path.read_text())["mission"]["items"]
        assert [items[0]["command"], items[0]["params"][0]] == [216, 0]
        assert [items[-2]["command"], items[-2]["params"][0], items[-1]["command"]] == [216, 0, 20]
