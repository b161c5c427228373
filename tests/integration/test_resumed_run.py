"""A mission whose program was killed goes on to the record it would have written."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest

from d2oc import load_scenario, mission, simulate
from d2oc.errors import RecordError
from d2oc.record import load_record, read_mark

CHANGES = {
    "control.law": "closed-form",
    "mission.duration_s": 60.0,
    "sampling.n_samples": 300,
    "radio.loss": 0.3,
    "radio.jitter_s": 0.5,
}
N_STEPS = 300


class KilledError(BaseException):
    """Stands for a program that ends without a word."""


def killed_at(step, folder, monkeypatch, runtime="inline", changes=None):
    """Run folder of a mission that was marked every step and killed in step `step`."""
    changes = CHANGES if changes is None else changes
    with monkeypatch.context() as patch:
        patch.setattr(mission, "MARK_INTERVAL_S", 0.0)
        flown = mission._Mission._report

        def report(self, k, *, last=False):
            if k == step:
                raise KilledError
            flown(self, k, last=last)

        patch.setattr(mission._Mission, "_report", report)
        with pytest.raises(KilledError):
            simulate(load_scenario("six_drones", overrides=changes), out=folder, runtime=runtime)


@pytest.fixture(scope="module")
def digest():
    return simulate(load_scenario("six_drones", overrides=CHANGES), runtime="inline").digest()


@pytest.mark.parametrize("step", [1, 2, 57, N_STEPS])
def test_a_killed_mission_goes_on_to_the_same_record(tmp_path, monkeypatch, digest, step):
    killed_at(step, tmp_path / "run", monkeypatch)
    mark = read_mark(tmp_path / "run")
    assert (mark[0] if mark else 0) == step - 1
    record = mission.resume(tmp_path / "run")
    assert record.complete
    assert record.digest() == digest
    assert load_record(tmp_path / "run").digest() == digest
    assert not (tmp_path / "run" / "parts").exists()
    assert mission.resume(tmp_path / "run").digest() == digest  # it has ended: nothing is left to do


def test_what_was_written_after_the_mark_is_flown_again(tmp_path, monkeypatch, digest):
    killed_at(40, tmp_path / "old", monkeypatch)
    killed_at(200, tmp_path / "run", monkeypatch)
    shutil.copy(tmp_path / "old" / "parts" / "flight.msgpack", tmp_path / "run" / "parts" / "flight.msgpack")
    assert mission.resume(tmp_path / "run").digest() == digest


def test_the_runtime_on_arrays_flies_anew(tmp_path, monkeypatch):
    changes = {key: value for key, value in CHANGES.items() if not key.startswith("radio")}
    scenario = load_scenario("six_drones", overrides=changes)
    monkeypatch.setitem(globals(), "CHANGES", changes)
    killed_at(50, tmp_path / "run", monkeypatch, runtime="arrays")
    assert mission.resume(tmp_path / "run").digest() == simulate(scenario, runtime="arrays").digest()


OTHERS = {
    "a plan, replaced in flight": {
        "control.plan_routes": 2, "control.plan_rounds": 1, "mission.duration_s": 24.0, "sampling.n_samples": 300,
        "radio.comm_range_m": 60.0, "radio.loss": 0.2,
        "faults": [{"what": "gps", "agents": [1], "at_s": 5.0}, {"what": "crash", "agents": [4], "at_s": 6.0}],
    },
    "limits inside": {
        "control.law": "closed-form", "control.limits": "optimised", "team.separation_m": 2.0,
        "mission.duration_s": 16.0, "sampling.n_samples": 300, "radio.comm_range_m": 90.0, "radio.loss": 0.2,
    },
    "rigid bodies in gusts, one crashing": {
        "control.law": "closed-form", "mission.duration_s": 12.0, "sampling.n_samples": 300, "radio.loss": 0.2,
        "world": {"kind": "bullet", "height_m": 5.0, "wind": {"speed_m_s": 5.0},
                  "sensors": {"position_sigma_m": 0.3, "velocity_sigma_m_s": 0.1}},
        "vehicle": {"model": "double-integrator", "max_acceleration_m_s2": 3.0, "max_speed_m_s": 7.0,
                    "preset": "sprayer", "liquid_l": 20.0},
        "faults": [{"what": "crash", "agents": [4], "at_s": 4.0}],
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_every_law_and_world_goes_on_where_it_was(tmp_path, monkeypatch, changes):
    if "world" in changes:
        pytest.importorskip("pybullet")
    whole = simulate(load_scenario("six_drones", overrides=changes), runtime="inline").digest()
    for step in (17, 45):
        folder = tmp_path / str(step)
        killed_at(step, folder, monkeypatch, changes=changes)
        assert read_mark(folder)[0] == step - 1 or ("world" in changes and read_mark(folder)[0] > 20)  # one lies there
        assert mission.resume(folder).digest() == whole


def test_a_mark_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch):
    killed_at(20, tmp_path / "run", monkeypatch)
    mark = tmp_path / "run" / "parts" / "flight.msgpack"
    mark.write_bytes(mark.read_bytes()[:200])
    with pytest.raises(RecordError, match="fly it anew"):
        mission.resume(tmp_path / "run")


def test_a_program_that_was_killed_for_real(d2oc, tmp_path, digest):
    """SIGKILL as soon as the first mark stands; the command goes on from it."""
    changes = [word for key, value in CHANGES.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-c", "from d2oc import cli, mission; mission.MARK_INTERVAL_S = 0.05; cli.main()"]
    words = ["run", "six_drones", *changes, "--runtime", "inline", "--out", "run", "--quiet"]
    with subprocess.Popen([*command, *words], cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 100
        while not (tmp_path / "run" / "parts" / "flight.msgpack").exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    outcome = d2oc("run", "--resume", "run", "--json", cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    assert digest in outcome.stdout


def test_resume_takes_nothing_else(d2oc, tmp_path):
    assert d2oc("run", "six_drones", "--resume", "run", cwd=tmp_path).returncode == 2
    assert d2oc("run", cwd=tmp_path).returncode == 2
    missing = d2oc("run", "--resume", "no-such-run", cwd=tmp_path)
    assert missing.returncode == 2
    assert missing.stderr.splitlines()[-1] == "error: no-such-run: no such run folder"
