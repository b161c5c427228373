"""`d2oc compare`: one table, the same starts for all, and nothing finished is flown twice."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import pytest
from typer.testing import CliRunner

from d2oc.cli import app
from d2oc.compare import comparison as module
from d2oc.compare.comparison import MEASURES, compare, write_csv
from d2oc.compare.methods import METHODS, overrides_of
from d2oc.compare.table import _short
from d2oc.errors import RecordError, ScenarioError
from d2oc.scenario import load_scenario
from d2oc.scenario.schema import GroupTable

PAGE = Path(__file__).resolve().parents[3] / "docs" / "compare.md"
SHORT = ("mission.duration_s=6", "sampling.n_samples=120")
METHODS_FLOWN = ("d2oc", "official", "random")


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison")
    return out, compare("six_drones", METHODS_FLOWN, 2, out, changes=SHORT, w2_level_m=30.0)


def test_a_row_each_with_mean_and_spread(flown):
    _, result = flown
    assert [row["name"] for row in result.methods] == list(METHODS_FLOWN)
    assert result.seeds == (1, 2)
    for row in result.methods:
        flights = [flight for flight in result.flights if flight["method"] == row["name"]]
        assert len(flights) == row["n_seeds"] == 2
        for key in set(MEASURES) - {"time_to_w2_s"}:
            values = [flight[key] for flight in flights]
            assert row[key] == pytest.approx(statistics.fmean(values))
            assert row[f"{key}_std"] == pytest.approx(statistics.stdev(values), abs=1e-12)


def test_same_starts_for_all_methods_and_others_for_the_next_seed(flown):
    _, result = flown
    starts = {(flight["method"], flight["seed"]): flight["starts_m"] for flight in result.flights}
    for seed in (1, 2):
        assert all(starts[method, seed] == starts["d2oc", seed] for method in METHODS_FLOWN)
    assert starts["d2oc", 1] != starts["d2oc", 2]
    assert "team.start" in result.notes[0]


def test_methods_differ_and_w2_at_the_end_is_that_of_the_record(flown):
    _, result = flown
    digests = {flight["record_digest"] for flight in result.flights}
    assert len(digests) == len(result.flights)
    for flight in result.flights:
        assert flight["top_speed_m_s"] <= 8.0 * (1 + 1e-9)
        assert flight["w2_m"] > 0
        assert flight["memory_mib"] > 0


def test_resume_flies_only_what_is_missing(flown, monkeypatch):
    out, result = flown
    (out / "flights" / "random-seed2.json").unlink()
    flown_again = []
    simulate = module.simulate

    def counted(scenario, **keywords):
        if "on_progress" in keywords:  # not the warm-up
            flown_again.append((scenario.control.law, scenario.seed))
        return simulate(scenario, **keywords)

    monkeypatch.setattr(module, "simulate", counted)
    again = compare("six_drones", METHODS_FLOWN, 2, out, changes=SHORT, w2_level_m=30.0, resume=True)
    assert flown_again == [("random", 2)]
    digests = [[flight["record_digest"] for flight in r.flights] for r in (result, again)]
    assert digests[0] == digests[1]


def test_a_killed_comparison_keeps_what_was_finished(tmp_path, monkeypatch):
    simulate = module.simulate
    left = [2]

    def killed(scenario, **keywords):
        if "on_progress" in keywords:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        return simulate(scenario, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(module, "simulate", killed)
        with pytest.raises(KeyboardInterrupt):
            compare("six_drones", ("d2oc", "random"), 2, tmp_path, changes=SHORT)
    assert sorted(path.name for path in (tmp_path / "flights").iterdir()) == ["d2oc-seed1.json", "d2oc-seed2.json"]
    result = compare("six_drones", ("d2oc", "random"), 2, tmp_path, changes=SHORT, resume=True)
    assert len(result.flights) == 4


def test_a_kept_flight_of_other_settings_or_a_damaged_one_does_not_count(tmp_path, monkeypatch):
    compare("six_drones", ("random",), 1, tmp_path, changes=SHORT)
    kept = tmp_path / "flights" / "random-seed1.json"
    before = json.loads(kept.read_text())
    compare("six_drones", ("random",), 1, tmp_path, changes=("mission.duration_s=5", SHORT[1]), resume=True)
    assert json.loads(kept.read_text())["flight"]["record_digest"] != before["flight"]["record_digest"]
    kept.write_text(kept.read_text()[:100])
    compare("six_drones", ("random",), 1, tmp_path, changes=SHORT, resume=True)
    assert json.loads(kept.read_text())["flight"]["record_digest"] == before["flight"]["record_digest"]


def test_a_folder_with_flights_is_refused_without_resume(flown):
    out, _ = flown
    with pytest.raises(RecordError, match="--resume"):
        compare("six_drones", ("random",), 1, out, changes=SHORT)


def test_csv_has_a_line_each(flown, tmp_path):
    _, result = flown
    write_csv(result, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == list(METHODS_FLOWN)
    assert float(lines[0]["w2_m"]) == pytest.approx(result.methods[0]["w2_m"])


def test_unknown_methods_and_those_that_cannot_fly_end_in_a_sentence(tmp_path):
    known = r"must be one of mission-plan, mission-plan-early, d2oc-cells, d2oc, official, .*did you mean lawnmower"
    with pytest.raises(ScenarioError, match=known):
        compare("six_drones", ("lawnmover",), 1, tmp_path)
    with pytest.raises(ScenarioError, match=r"method smc cannot fly this: .*cruise_speed_m_s"):
        compare("published_six_drones", ("d2oc", "smc"), 1, tmp_path)


def test_every_method_loads_and_groups_fly_it_too():
    data = ["team.n_agents=6", "mission.duration_s=6"]
    for name, method in METHODS.items():
        loaded = load_scenario("six_drones", overrides=[*data, *method.overrides])
        assert loaded.mission.order == ("sequential" if name == "official" else "parallel")
    base = load_scenario("six_drones")
    team = base.team.model_copy(update={"groups": (GroupTable(n_agents=2, control=base.control),)})
    overrides = overrides_of(METHODS["smc"], base.model_copy(update={"team": team}))
    assert "team.groups.0.control.law=smc" in overrides


def test_command_line(flown, tmp_path):
    out, _ = flown
    arguments = ["compare", "six_drones", "--methods", ",".join(METHODS_FLOWN), "--seeds", "2", "--w2-level", "30"]
    arguments += ["--out", str(out), "--resume", "--csv", str(tmp_path / "table.csv")]
    for change in SHORT:
        arguments += ["--set", change]
    printed = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert printed.exit_code == 0
    content = json.loads(printed.stdout)
    assert [row["name"] for row in content["methods"]] == list(METHODS_FLOWN)
    assert (tmp_path / "table.csv").exists()
    assert (out / "comparison.png").stat().st_size > 10_000
    table = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "W2 at the end [m]" in table.stdout
    assert "±" in table.stdout


def test_numbers_have_no_exponents():
    assert [_short(value) for value in (0.0, 2e-4, 0.0123, 3.14159, 99.96, 999.7, 12345.6)] == [
        "0", "< 0.001", "0.0123", "3.14", "100", "1,000", "12,346",
    ]  # fmt: skip
    assert [_short(value, 2) for value in (9.96, 99.6, 0.71)] == ["10", "100", "0.71"]


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/compare.md is not beside the tests")
def test_the_page_names_every_method_and_measure():
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in METHODS if f"`{name}`" not in page] == []
    short = [key for key in MEASURES if not key.startswith("w2_at_")]
    assert [key for key in short if f"`{key}`" not in page] == []
