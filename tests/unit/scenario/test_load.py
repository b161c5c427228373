"""Loading: overrides, seeds, files beside the scenario, and the text of a scenario as run."""

from __future__ import annotations

import math

import pytest
import tomli_w
from pydantic import ValidationError

from d2oc.scenario import load_scenario, scenario_toml, shipped_scenarios

NAMES = [info.name for info in shipped_scenarios()]


@pytest.mark.parametrize("name", NAMES)
def test_the_text_as_run_loads_to_the_same_scenario(tmp_path, name):
    scenario = load_scenario(name)
    path = tmp_path / "again.toml"
    path.write_text(scenario_toml(scenario))
    again = load_scenario(path)
    assert again == scenario
    assert scenario_toml(again) == scenario_toml(scenario)


def test_infinity_and_seeds_survive_the_text_as_run(tmp_path):
    scenario = load_scenario("six_drones", overrides={"radio.comm_range_m": math.inf}, seed=2**63 - 1)
    (tmp_path / "again.toml").write_text(scenario_toml(scenario))
    assert load_scenario(tmp_path / "again.toml") == scenario


def test_a_scenario_is_frozen():
    scenario = load_scenario("six_drones")
    with pytest.raises(ValidationError, match="frozen"):
        scenario.team.n_agents = 7


@pytest.mark.parametrize(
    ("change", "read", "value"),
    [
        ("radio.comm_range_m=inf", lambda s: s.radio.comm_range_m, math.inf),
        ("radio.comm_range_m = 1_000", lambda s: s.radio.comm_range_m, 1000.0),
        ("name=my plot", lambda s: s.name, "my plot"),
        ('name="5"', lambda s: s.name, "5"),
        ("control.law=closed-form", lambda s: s.control.law, "closed-form"),
        ("mission.give_way=false", lambda s: s.mission.give_way, False),
        ("density.components.1.weight=9", lambda s: s.density.components[1].weight, 9.0),
        ("density.components[1].sigma_m=[3, 4]", lambda s: s.density.components[1].sigma_m, (3.0, 4.0)),
        ("ledger.rule=minimum", lambda s: s.ledger.rule, "minimum"),
        (
            "team.start_m=[[1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [6, 6]]",
            lambda s: s.team.start_m and s.team.start_m[5],
            (6.0, 6.0),
        ),
    ],
)
def test_an_override_is_read_as_toml_or_as_text(change, read, value):
    assert read(load_scenario("six_drones", overrides=[change])) == value
    assert read(load_scenario("six_drones")) != value


def test_the_last_override_of_a_key_counts():
    scenario = load_scenario("six_drones", overrides=["seed=3", "seed=4"])
    assert scenario.seed == 4
    assert load_scenario("six_drones", overrides=["seed=3"], seed=5).seed == 5


def test_data_files_are_found_from_the_scenario_and_from_the_working_directory(tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
        (folder / "counts.csv").write_text("x,y,n\n1,1,1\n")
    density = {"kind": "points", "file": "counts.csv", "x_column": "x", "y_column": "y", "value_column": "n"}
    data = {
        "name": "plot",
        "density": {**density, "coordinates": "local-m"},
        "team": {"n_agents": 1},
        "vehicle": {"model": "single-integrator"},
        "mission": {"duration_s": 1.0},
    }
    (there / "plot.toml").write_text(tomli_w.dumps(data))
    monkeypatch.chdir(here)
    assert load_scenario("../there/plot.toml").density.file == there / "counts.csv"
    changed = load_scenario(there / "plot.toml", overrides=["density.file=counts.csv"])
    assert changed.density.file == here / "counts.csv"


def test_a_folder_named_like_a_shipped_scenario_does_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "six_drones").mkdir()
    assert load_scenario("six_drones").name == "six_drones"
    with pytest.raises(Exception, match="is a folder, not a scenario file"):
        load_scenario("./six_drones")


def test_the_list_of_shipped_scenarios_says_what_they_are():
    for info in shipped_scenarios():
        scenario = load_scenario(info.name)
        assert (info.name, info.description) == (scenario.name, scenario.description)
        assert info.path.stem == info.name
        assert info.n_agents == (scenario.team.n_agents or sum(g.n_agents for g in scenario.team.groups))
        assert info.duration_s == scenario.mission.duration_s
        assert 20 <= len(info.description) <= 100
