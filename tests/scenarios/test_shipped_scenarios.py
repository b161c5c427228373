"""Every shipped scenario loads, flies, repeats itself to the byte, and draws its picture."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

from d2oc.mission import simulate
from d2oc.phases import Phase
from d2oc.record import TABLES, load_record
from d2oc.scenario import load_scenario, shipped_scenarios
from d2oc_viz import draw_coverage

SCENARIOS = shipped_scenarios()
NAMES = [info.name for info in SCENARIOS]
DETERMINISTIC = ["run.json", "scenario.toml", "samples.parquet", *(f"{name}.parquet" for name in TABLES)]
N_STEPS = 25
SPRAYING_STEPS = 240
"""A sprayer takes off, flies to its first pass, and goes home in time."""


def brief(name, seed=None):
    """The scenario, some steps long and with few samples."""
    whole = load_scenario(name)
    changes = {"mission.duration_s": n_steps(whole) * whole.mission.time_step_s, "sampling.n_samples": 400}
    if whole.spray is not None:
        changes["spray.cell_m"] = 2.0
    return load_scenario(name, overrides=changes, seed=seed)


def n_on_mission(record):
    return int((record.by_tick("phase")[:, :, 0] == Phase.MISSION).any(axis=1).sum())


def n_steps(scenario):
    return N_STEPS if scenario.spray is None else SPRAYING_STEPS


@pytest.fixture(scope="module", params=NAMES)
def twice(request, tmp_path_factory):
    """Name, scenario and two run folders of the same mission."""
    folder = tmp_path_factory.mktemp(request.param)
    scenario = brief(request.param)
    return request.param, scenario, [simulate(scenario, out=folder / run) for run in ("one", "two")]


def test_it_flies(twice):
    name, scenario, (record, _) = twice
    assert record.complete
    assert record.header.name == name
    on_mission = record.n_ticks - 1 if "phase" not in record.trajectory else n_on_mission(record)
    assert on_mission <= n_steps(scenario)
    assert scenario.spray is not None or on_mission == N_STEPS
    assert np.isfinite(record.by_tick("x_m", "y_m")).all()
    summary = record.summary()
    json.dumps(summary, allow_nan=False)
    assert 0 <= summary["remaining_weight"] < 1
    assert summary["w2_m"] > 0
    assert summary["path_length_m"] > 0
    assert scenario.field is not None or name in ("scouting_counts", "spray_counts")


def test_two_runs_are_equal_to_the_byte(twice):
    _, _, (one, two) = twice
    for file in DETERMINISTIC:
        assert (one.path / file).read_bytes() == (two.path / file).read_bytes(), file
    assert one.digest() == two.digest()
    assert {**one.summary(), "timing": None} == {**two.summary(), "timing": None}


def test_a_record_on_disk_is_the_one_in_memory(twice):
    _, scenario, (one, _) = twice
    memory = simulate(scenario)
    assert memory.digest() == one.digest()
    assert memory.header == one.header
    assert load_record(one.path).header == one.header
    for table in ("samples", *TABLES):
        for column, values in getattr(memory, table).items():
            assert np.array_equal(values, getattr(one, table)[column], equal_nan=values.dtype.kind == "f")


def test_it_draws_the_same_picture_twice(twice, tmp_path):
    _, _, (one, two) = twice
    pictures = [draw_coverage(record, tmp_path / f"{i}.png").read_bytes() for i, record in enumerate((one, two))]
    assert pictures[0].startswith(b"\x89PNG")
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) > 20_000


def test_another_seed_is_another_record(twice):
    name, _, (one, _) = twice
    assert simulate(brief(name, seed=12345)).digest() != one.digest()


def test_every_key_has_a_comment_where_it_first_stands():
    for info in SCENARIOS:
        known, text = {"description"}, info.path.read_text()  # a description is a sentence itself
        for line in text.splitlines():
            key = line.partition(" = ")[0]
            if " = " not in line or line.startswith(("#", " ")) or key in known:
                continue
            known.add(key)
            assert "#" in line, f"{info.name}: {key}"
        assert "mission" in tomllib.loads(text)


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_scenario_flies_as_a_file_of_the_user(d2oc, tmp_path, name):
    """`d2oc scenarios show NAME > mine.toml`, then `d2oc run mine.toml`, in an empty folder."""
    (tmp_path / "mine.toml").write_text(d2oc("scenarios", "show", name, cwd=tmp_path).stdout)
    assert load_scenario(tmp_path / "mine.toml") == load_scenario(name)


def test_the_template_flies_as_printed_and_with_a_file_of_the_user(d2oc, tmp_path):
    text = d2oc("scenarios", "show", "scouting_counts", cwd=tmp_path).stdout
    shipped = next(info.path for info in SCENARIOS if info.name == "scouting_counts").with_suffix(".csv")
    assert text.count(f'"{shipped}"') == 1
    (tmp_path / "as_printed.toml").write_text(text)
    (tmp_path / "mine.toml").write_text(text.replace(f'"{shipped}"', '"mine.csv"').replace('"easting_m"', '"x"'))
    (tmp_path / "mine.csv").write_text(shipped.read_text().replace("easting_m", "x"))
    brief_s = {"mission.duration_s": 10.0}
    printed, mine = (simulate(load_scenario(tmp_path / f, overrides=brief_s)) for f in ("as_printed.toml", "mine.toml"))
    assert np.array_equal(printed.by_tick("x_m", "y_m"), mine.by_tick("x_m", "y_m"))
    result = d2oc("run", "mine.toml", "--set", "mission.duration_s=2", "--quiet", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
