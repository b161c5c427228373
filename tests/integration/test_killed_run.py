"""A run that was killed, interrupted or damaged is a record up to where it came."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from d2oc.errors import RecordError
from d2oc.mission import simulate
from d2oc.record import TABLES, load_record
from d2oc.scenario import load_scenario

MISSION = (
    "six_drones", "--seed", "5", "--set", "control.law=closed-form", "--set", "mission.duration_s=20000", "--set",
    "sampling.n_samples=60", "--set", "sampling.method=random",
)  # fmt: skip
"""100,000 steps: too many to end before it is stopped."""


def start_and_stop(folder, n_parts, how):
    """Start a run and send it a signal when it has written some parts; what it returned and said."""
    command = [sys.executable, "-m", "d2oc", "run", *MISSION, "--out", str(folder), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while not (folder / "parts" / f"trajectory-{n_parts - 1:06d}.parquet").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(how)
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Folder of a run that was killed after its third part."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    code, _, _ = start_and_stop(folder, 3, signal.SIGKILL)
    assert code == -signal.SIGKILL
    return folder


def test_a_killed_run_is_a_record_up_to_its_last_part(killed):
    record = load_record(killed)
    assert (record.status, record.complete, record.problems) == ("running", False, [])
    assert sorted(path.name for path in killed.iterdir() if path.is_file()) == [
        "provenance.json", "run.json", "samples.parquet", "scenario.toml"
    ]  # fmt: skip
    whole_parts = len(list((killed / "parts").glob("trajectory-*.parquet")))
    assert whole_parts >= 3
    assert record.n_ticks > 3
    assert len(record.trajectory["tick"]) == 6 * record.n_ticks


def test_its_ticks_are_those_of_a_run_that_was_not_killed(killed):
    record = load_record(killed)

    def stop(progress):
        if progress.step >= record.n_ticks:
            raise KeyboardInterrupt

    other = simulate(load_scenario(killed / "scenario.toml"), on_progress=stop)
    assert other.n_ticks >= record.n_ticks
    for name in ("samples", *TABLES):
        theirs = getattr(other, name)
        kept = theirs["tick"] < record.n_ticks if "tick" in theirs else slice(None)
        for column, values in getattr(record, name).items():
            assert values.dtype == theirs[column].dtype
            assert np.array_equal(values, theirs[column][kept], equal_nan=values.dtype.kind == "f"), (name, column)


def test_metrics_of_a_killed_run(killed):
    summary = load_record(killed).summary()
    assert summary["status"] == "running"
    assert summary["n_steps"] == load_record(killed).n_ticks - 1
    assert summary["timing"] == {"wall_time_s": 0.0, "compute_time_per_agent_step_us": 0.0}


def test_ctrl_c_keeps_what_was_computed_and_returns_130(tmp_path):
    code, out, err = start_and_stop(tmp_path / "run", 2, signal.SIGINT)
    assert (code, out) == (130, "")
    record = load_record(tmp_path / "run")
    assert err == f"interrupted after {record.n_ticks - 1} of 100000 steps; the record holds them\n"
    assert (record.status, record.complete, record.problems) == ("interrupted", False, [])
    assert record.n_ticks > 1
    assert not (tmp_path / "run" / "parts").exists()
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == record.summary()
    assert (tmp_path / "run" / "coverage.png").exists()


def test_a_full_disk_ends_in_a_sentence_and_keeps_what_was_written(killed, tmp_path):
    """A limit of 60 kB on files stands in for the disk; `killed` has compiled all functions before.

    On shared arrays, as they mark nothing: what a slow machine marks after five seconds is over the limit, too.
    """
    run = f"{sys.executable} -m d2oc run six_drones --runtime arrays --out run --quiet"
    result = subprocess.run(
        ["sh", "-c", f"ulimit -f 120; exec {run}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert re.fullmatch(r"error: run/\S+\.parquet: cannot be written \(File too large\)\n", result.stderr)
    assert list(tmp_path.rglob("*.unfinished")) == []
    assert load_record(tmp_path / "run").n_ticks >= 1


def damaged(killed, folder, name, change):
    shutil.copytree(killed, folder)
    path = folder / "parts" / name
    content = path.read_bytes()
    path.write_bytes(change(content))
    return folder, path


def cut(content):
    return content[: len(content) // 2]


def scramble(content):
    """Damage that keeps both marks of the file."""
    return content[:4] + bytes(len(content) - 12) + content[-8:]


@pytest.mark.parametrize("change", [cut, scramble, lambda content: b""])
@pytest.mark.parametrize("table", TABLES)
def test_a_torn_part_ends_the_record_with_a_note(killed, tmp_path, table, change):
    folder, path = damaged(killed, tmp_path / "torn", f"{table}-000001.parquet", change)
    record = load_record(folder)
    assert 0 < record.n_ticks < load_record(killed).n_ticks
    assert len(record.problems) == 1
    assert str(path) in record.problems[0]
    assert "\n" not in record.problems[0]
    assert record.summary()["n_steps"] == record.n_ticks - 1


def test_the_note_on_a_torn_part_is_printed(d2oc, killed, tmp_path):
    folder, path = damaged(killed, tmp_path / "torn", "trajectory-000002.parquet", cut)
    result = d2oc("metrics", folder, cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == f"note: {path}: not a Parquet file, or cut short\n"


def test_a_torn_first_part_leaves_nothing_to_read(killed, tmp_path):
    folder, path = damaged(killed, tmp_path / "torn", "trajectory-000000.parquet", cut)
    with pytest.raises(RecordError) as error:
        load_record(folder)
    assert str(error.value) == f"{path}: not a Parquet file, or cut short"


def test_a_run_killed_at_once_says_so(killed, tmp_path):
    shutil.copytree(killed, tmp_path / "early")
    shutil.rmtree(tmp_path / "early" / "parts")
    with pytest.raises(RecordError) as error:
        load_record(tmp_path / "early")
    assert str(error.value) == f"{tmp_path / 'early'}: the run was killed before its first tick was written"


def test_a_file_that_was_being_written_is_left_alone(killed, tmp_path):
    shutil.copytree(killed, tmp_path / "unfinished")
    (tmp_path / "unfinished" / "parts" / "trajectory-000099.parquet.unfinished").write_bytes(b"PAR1")
    assert load_record(tmp_path / "unfinished").digest() == load_record(killed).digest()
