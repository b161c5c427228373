"""`d2oc sweep`: what is found is what single flights give, nothing finished is flown twice, the best is the best."""

from __future__ import annotations

import json
import shutil
import statistics

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("optuna", reason="the extra sweep is not installed")

from d2oc import load_scenario, simulate
from d2oc.cli import app
from d2oc.columns import read_columns
from d2oc.errors import RecordError, ScenarioError
from d2oc.sweep import flights as flying
from d2oc.sweep.flights import Flown
from d2oc.sweep.study import sweep

SHORT = (
    "control.law=closed-form",
    "mission.duration_s=3",
    "sampling.n_samples=60",
    "team.n_agents=2",
    "team.start=random",
)
PARAMS = ("control.input_weight=0.0001..0.1:log:2", "control.terminal_cost=none,dare")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    return out, sweep("six_drones", PARAMS, out, n_seeds=2, changes=SHORT)


def test_a_grid_holds_all_combinations_and_every_flight_can_be_flown_again(grid):
    _, found = grid
    assert [setting.values for setting in found.settings] == [
        {"control.input_weight": weight, "control.terminal_cost": cost}
        for weight in (0.0001, 0.1)
        for cost in ("none", "dare")
    ]
    assert found.plan.seeds == (1, 2)
    setting = found.settings[2]
    for seed, flight in zip(found.plan.seeds, setting.flights, strict=True):
        scenario = load_scenario("six_drones", overrides=found.plan.changes_of(setting.values), seed=seed)
        assert simulate(scenario).summary()["w2_m"] == flight["w2_m"]


def test_the_best_is_the_best(grid):
    out, found = grid
    content = json.loads((out / "sweep.json").read_text())
    assert content == json.loads(json.dumps(found.as_dict()))
    means = [statistics.fmean(row["flights"]) for row in content["settings"]]
    assert content["best"]["mean"] == min(means)
    assert [found.mean(setting) for setting in found.ranked] == sorted(means)
    assert content["best"]["changes"][: len(SHORT)] == list(SHORT)


def test_the_table_has_a_row_a_flight(grid):
    out, found = grid
    columns = read_columns(out / "sweep.parquet")
    assert columns["setting"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert columns["seed"].tolist() == [1, 2] * 4
    assert columns["control.input_weight"].tolist() == [0.0001] * 4 + [0.1] * 4
    assert columns["control.terminal_cost"].tolist() == [0, 0, 1, 1] * 2  # their places among the values
    assert columns["state"].tolist() == [0] * 8
    assert columns["w2_m"].tolist() == [flight["w2_m"] for setting in found.settings for flight in setting.flights]
    assert columns["path_length_m"].min() > 0


def test_nothing_finished_is_flown_twice(grid, tmp_path, monkeypatch):
    out, found = grid
    shutil.copytree(out, tmp_path / "again")
    with pytest.raises(RecordError, match=r"holds a sweep; add --resume to go on, or choose another folder"):
        sweep("six_drones", PARAMS, tmp_path / "again", n_seeds=2, changes=SHORT)
    with pytest.raises(RecordError, match="holds a sweep of another scenario, of other parameters, seeds or metric"):
        sweep("six_drones", PARAMS, tmp_path / "again", n_seeds=1, changes=SHORT, resume=True)
    monkeypatch.setattr(flying, "fly", pytest.fail)
    assert sweep("six_drones", PARAMS, tmp_path / "again", n_seeds=2, changes=SHORT, resume=True) == found


@pytest.mark.parametrize("n_flown", [0, 1, 2, 5])
def test_an_interrupted_sweep_goes_on_to_the_same_end(grid, tmp_path, monkeypatch, n_flown):
    _, found = grid
    real, count = flying.fly, 0

    def fly(scenario):
        nonlocal count
        if count == n_flown:
            raise KeyboardInterrupt
        count += 1
        return real(scenario)

    monkeypatch.setattr(flying, "fly", fly)
    with pytest.raises(KeyboardInterrupt):
        sweep("six_drones", PARAMS, tmp_path / "out", n_seeds=2, changes=SHORT)
    count = -1000
    resumed = sweep("six_drones", PARAMS, tmp_path / "out", n_seeds=2, changes=SHORT, resume=True)
    assert count + 1000 == 8 - n_flown // 2 * 2  # a setting under way is flown anew
    by_values = {json.dumps(setting.values): setting.flights for setting in resumed.settings}
    assert by_values == {json.dumps(setting.values): setting.flights for setting in found.settings}


def bowl(monkeypatch, noise=0.0):
    """In the place of flights, a metric in closed form: smallest at a horizon of 20 and an input weight of 0.01."""
    flown = []

    def fly(scenario):
        weight, horizon = scenario.control.input_weight or 1.0, scenario.control.horizon_steps
        flown.append((horizon, weight, scenario.seed))
        chance = noise * np.random.default_rng(scenario.seed).normal()
        return Flown({"w2_m": (np.log10(weight) + 2) ** 2 + ((horizon - 20) / 20) ** 2 + chance, "n_agents": 2})

    monkeypatch.setattr(flying, "fly", fly)
    return flown


RANGES = ("control.input_weight=0.00001..10:log", "control.horizon_steps=1..60")


def test_search_where_good_ones_were_found_beats_even_draws(tmp_path, monkeypatch):
    bowl(monkeypatch)
    means = {}
    for method in ("random", "bayesian"):
        found = [
            sweep("six_drones", RANGES, tmp_path / f"{method}{seed}", method=method, n_settings=40,
                  changes=[*SHORT, f"seed={seed}"])
            for seed in range(5)
        ]  # fmt: skip
        assert all(len(result.settings) == 40 for result in found)
        means[method] = statistics.fmean(result.mean(result.ranked[0]) for result in found)
    assert means["bayesian"] < 0.5 * means["random"]
    assert means["bayesian"] < 0.05


def test_hopeless_settings_are_given_up_and_the_best_is_not(tmp_path, monkeypatch):
    flown = bowl(monkeypatch, noise=0.1)
    found = sweep("six_drones", RANGES, tmp_path / "out", method="random", n_settings=30, n_seeds=4, changes=SHORT)
    given_up = [setting for setting in found.settings if setting.state == "given up"]
    assert len(given_up) >= 10
    assert len(flown) == sum(len(setting.flights) for setting in found.settings) < 0.75 * 30 * 4
    assert all(len(setting.flights) < 4 for setting in given_up)
    everything = sweep(
        "six_drones", RANGES, tmp_path / "all", method="random", n_settings=30, n_seeds=4, changes=SHORT, give_up=False
    )
    assert {setting.state for setting in everything.settings} == {"complete"}
    assert everything.ranked[0].values == found.ranked[0].values


def test_larger_can_be_better(tmp_path, monkeypatch):
    bowl(monkeypatch)
    found = sweep("six_drones", ["control.horizon_steps=10,20,60"], tmp_path / "out", maximise=True, changes=SHORT)
    assert [setting.values["control.horizon_steps"] for setting in found.ranked] == [60, 10, 20]


def test_a_resumed_search_draws_on(tmp_path, monkeypatch):
    flown = bowl(monkeypatch)
    sweep("six_drones", RANGES, tmp_path / "out", method="random", n_settings=5, changes=SHORT)
    more = sweep("six_drones", RANGES, tmp_path / "out", method="random", n_settings=12, changes=SHORT, resume=True)
    assert len(more.settings) == 12
    assert len(set(flown)) == 12


def test_a_setting_that_cannot_be_flown_is_not_the_end(tmp_path, monkeypatch):
    """One is refused when it is read (a start in a no-fly zone), one only in flight."""
    zone = "field.no_fly_zones=[{boundary_m=[[40,10],[60,10],[60,30],[40,30]]}]"
    changes = [*SHORT[:-1], zone]
    bowl(monkeypatch)
    usual = flying.fly
    monkeypatch.setattr(
        flying, "fly", lambda s: usual(s) if s.control.horizon_steps != 9 else Flown({}, "the closed loop diverges")
    )
    params = ["team.start_m=[[10,10],[20..80:3,20]]", "control.horizon_steps=7,9"]
    found = sweep("six_drones", params, tmp_path / "out", changes=changes)
    assert [setting.state for setting in found.settings] == ["complete", *["failed"] * 3, "complete", "failed"]
    assert "team.start_m[1] = [50, 20] must be inside the field" in found.settings[2].problem
    assert found.settings[1].problem == "the closed loop diverges"
    with pytest.raises(ScenarioError, match="none of 1 settings could be flown; the last: the closed loop diverges"):
        sweep("six_drones", ["control.horizon_steps=9"], tmp_path / "none", changes=SHORT)


@pytest.mark.parametrize(
    ("params", "options", "sentence"),
    [
        (["control.horizon=1,2"], {}, "control.horizon"),
        (["control.horizon_steps=0,2"], {}, "control.horizon_steps = 0 must be at least 1"),
        (["control.horizon_steps=1..5000:2"], {}, "control.horizon_steps = 5000 must be at most 1,000"),
        (["control.horizon_steps=1..50"], {}, "a grid needs to know how many points"),
        (["control.horizon_steps=5"], {"metric": "w3_m"}, "--metric w3_m: must be one of control_energy, "),
    ],
)
def test_sentences_before_anything_is_flown(tmp_path, params, options, sentence):
    with pytest.raises(ScenarioError) as caught:
        sweep("six_drones", params, tmp_path / "out", changes=SHORT, **options)
    assert sentence in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_journal_that_is_none(tmp_path):
    (tmp_path / "sweep.journal").write_text("nonsense\n")
    with pytest.raises(RecordError, match=r"sweep\.journal: cannot be read"):
        sweep("six_drones", ["control.horizon_steps=5"], tmp_path, changes=SHORT, resume=True)


def test_processes_of_their_own_find_the_same(grid, tmp_path):
    _, found = grid
    spread = sweep("six_drones", PARAMS, tmp_path / "out", n_seeds=2, changes=SHORT, n_at_once=2)
    by_values = {json.dumps(setting.values): setting.flights for setting in spread.settings}
    assert by_values == {json.dumps(setting.values): setting.flights for setting in found.settings}


def test_the_command_prints_the_best_and_draws(tmp_path, monkeypatch):
    bowl(monkeypatch)
    words = ["sweep", "six_drones", "--param", "control.horizon_steps=5,20", "--out", str(tmp_path / "out")]
    words += [word for change in SHORT for word in ("--set", change)]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    assert "best     d2oc run six_drones --set control.law=closed-form" in outcome.stdout
    assert "--set control.horizon_steps=20\n" in outcome.stdout
    assert "2 of 2 settings flown with all seeds" in outcome.stdout
    assert (tmp_path / "out" / "sweep.png").stat().st_size > 1000
    outcome = CliRunner().invoke(app, [*words, "--resume", "--json"])
    assert json.loads(outcome.stdout)["best"]["values"] == {"control.horizon_steps": 20}
