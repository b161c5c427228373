"""A run folder holds the data that its scenario names: it can be moved and flown again where the originals are not."""

from __future__ import annotations

import json
import shutil

import pytest

from d2oc import load_scenario, mission, simulate
from d2oc.record import load_record, remove_record

SCENARIO = """
name = "counted"
[density]
kind = "points"
file = "deep/counts.csv"
x_column = "x"
y_column = "y"
value_column = "n"
coordinates = "local-m"
[sampling]
n_samples = 100
[team]
n_agents = 2
[vehicle]
model = "double-integrator"
max_acceleration_m_s2 = 2.0
max_speed_m_s = 5.0
[control]
terminal_cost = "dare"
[mission]
duration_s = 10.0
time_step_s = 0.5
"""
COUNTS = "x,y,n\n0,0,1\n30,0,5\n0,20,2\n30,20,9\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "here" / "deep").mkdir(parents=True)
    (tmp_path / "here" / "deep" / "counts.csv").write_text(COUNTS)
    (tmp_path / "here" / "counted.toml").write_text(SCENARIO)
    return tmp_path / "here" / "counted.toml"


def test_a_moved_run_is_flown_again_without_the_originals(path, tmp_path):
    first = simulate(load_scenario(path), out=path.parent / "run")
    assert (path.parent / "run" / "data" / "counts.csv").read_text() == COUNTS
    assert 'file = "data/counts.csv"' in first.scenario_toml
    assert str(tmp_path) not in first.scenario_toml
    digest = first.digest()
    moved = tmp_path / "elsewhere"
    shutil.move(path.parent / "run", moved)
    shutil.rmtree(path.parent)
    assert load_record(moved).digest() == digest
    again = simulate(load_scenario(moved / "scenario.toml"), out=tmp_path / "again")
    assert again.digest() == digest
    assert (tmp_path / "again" / "data" / "counts.csv").read_text() == COUNTS


def test_records_in_memory_and_in_a_folder_are_equal(path):
    record = simulate(load_scenario(path), out=path.parent / "run")
    assert simulate(load_scenario(path)).digest() == record.digest()
    (name,) = record.provenance["data_sha256"]
    assert name == "data/counts.csv"


def test_a_run_can_replace_itself_and_another(path):
    run = path.parent / "run"
    digest = simulate(load_scenario(path), out=run).digest()
    assert simulate(load_scenario(run / "scenario.toml"), out=run, overwrite=True).digest() == digest
    assert (run / "data" / "counts.csv").is_file()
    (run / "data" / "mine.txt").write_text("not of the record")
    simulate(load_scenario("six_drones", overrides={"mission.duration_s": 2.0}), out=run, overwrite=True)
    assert [file.name for file in (run / "data").iterdir()] == ["mine.txt"]
    assert "data_sha256" not in json.loads((run / "provenance.json").read_text())
    remove_record(run)
    assert (run / "data" / "mine.txt").is_file()


def test_a_killed_run_goes_on_elsewhere(path, tmp_path, monkeypatch):
    """What was killed in memory of the original is gone; the run folder alone is enough."""
    whole = simulate(load_scenario(path))

    class KilledError(BaseException):
        pass

    flown = mission._Mission._report

    def report(self, k, *, last=False):
        if k == 7:
            raise KilledError
        flown(self, k, last=last)

    with monkeypatch.context() as patch:
        patch.setattr(mission._Mission, "_report", report)
        with pytest.raises(KilledError):
            simulate(load_scenario(path), out=path.parent / "run")
    shutil.move(path.parent / "run", tmp_path / "moved")
    shutil.rmtree(path.parent)
    assert mission.flies_anew(tmp_path / "moved")
    assert mission.resume(tmp_path / "moved").digest() == whole.digest()
    assert not mission.flies_anew(tmp_path / "moved")
