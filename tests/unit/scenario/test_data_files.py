"""What is taken along from what a scenario names, and under which name."""

from __future__ import annotations

import tomllib

from d2oc.scenario import data_files, load_scenario
from d2oc.scenario.data_files import portable
from d2oc.scenario.schema import FieldTable, GeotiffDensity

SHAPES = ("a/field.shp", "a/field.shx", "a/field.dbf", "b/field.shp", "b/field.shx", "b/field.dbf", "b/field.prj")


def scenario(folder):
    for name in ("map.tif", "map.tfw", "map.txt", *SHAPES):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    base = load_scenario("six_drones")
    shapes = {"boundary_file": "a/field.shp", "no_fly_file": "b/field.shp", "no_spray_file": "b/field.shp"}
    return base.model_copy(
        update={
            "density": GeotiffDensity(kind="geotiff", file=folder / "map.tif"),
            "field": FieldTable().model_copy(update={key: folder / name for key, name in shapes.items()}),
        }
    )


def test_a_scenario_without_files_takes_none():
    text, files = portable(load_scenario("six_drones"))
    assert files == ()
    assert tomllib.loads(text)["name"] == "six_drones"


def test_parts_come_along_and_names_are_kept_apart(tmp_path):
    text, files = portable(scenario(tmp_path))
    assert {file.source.relative_to(tmp_path).as_posix(): file.name for file in files} == {
        "map.tif": "data/map.tif", "map.tfw": "data/map.tfw", "a/field.shp": "data/field.shp",
        "a/field.dbf": "data/field.dbf", "a/field.shx": "data/field.shx", "b/field.shp": "data/2-field.shp",
        "b/field.dbf": "data/2-field.dbf", "b/field.prj": "data/2-field.prj", "b/field.shx": "data/2-field.shx",
    }  # fmt: skip
    found = tomllib.loads(text)
    assert found["density"]["file"] == "data/map.tif"
    assert found["field"]["boundary_file"] == "data/field.shp"
    assert found["field"]["no_fly_file"] == found["field"]["no_spray_file"] == "data/2-field.shp"


def test_what_is_too_large_stays_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(data_files, "LARGEST_TAKEN", 12)
    _, files = portable(scenario(tmp_path))
    assert not files[0].taken
    assert files[0].name == str(tmp_path / "map.tif")
