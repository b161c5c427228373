"""The command line as a user calls it: what it prints, writes, and returns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from d2oc.cli import main
from d2oc.mission import simulate
from d2oc.record import load_record
from d2oc.scenario import load_scenario, shipped_scenarios

SHORT = ("--set", "mission.duration_s=8", "--set", "sampling.n_samples=300")
GOLDEN = Path(__file__).parents[1] / "reference" / "golden_case.npz"
FILES = {
    "consumption.parquet", "coverage.png", "events.parquet", "messages.parquet", "provenance.json", "run.json",
    "samples.parquet", "scenario.toml", "summary.json", "trajectory.parquet",
}  # fmt: skip


@pytest.fixture(scope="module")
def flown(d2oc, tmp_path_factory):
    """A short run, printed as JSON."""
    folder = tmp_path_factory.mktemp("flown")
    result = d2oc("run", "six_drones", *SHORT, "--seed", 3, "--out", "mine", "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "mine", result


@pytest.fixture
def here(monkeypatch, capsys, tmp_path):
    """The command line in this process, in an empty folder: exit code and what it printed."""

    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["d2oc", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return call


def test_run_writes_a_folder_and_prints_its_summary(flown):
    folder, result = flown
    assert {path.name for path in folder.iterdir()} == FILES
    summary = json.loads(result.stdout)
    assert summary == json.loads((folder / "summary.json").read_text())
    assert (summary["name"], summary["seed"], summary["status"]) == ("six_drones", 3, "complete")
    assert (summary["n_agents"], summary["n_steps"], summary["duration_s"]) == (6, 40, 8.0)
    assert summary["record_digest"] == load_record(folder).digest()
    as_run = tomllib.loads((folder / "scenario.toml").read_text())
    assert as_run["mission"]["duration_s"] == 8.0
    assert as_run["seed"] == 3
    assert (folder / "coverage.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_of_the_folder_are_those_of_the_run(d2oc, flown):
    folder, run = flown
    result = d2oc("metrics", folder, "--json", cwd=folder.parent)
    assert result.returncode == 0
    assert result.stderr == ""
    assert json.loads(result.stdout) == json.loads(run.stdout)


def test_metrics_are_printed_as_a_table(here, flown):
    code, out, err = here("metrics", str(flown[0]))
    assert (code, err) == (0, "")
    assert "Wasserstein distance W2" in out
    assert "six_drones, seed 3, complete" in out


def test_the_scenario_as_run_flies_the_same_mission_again(flown):
    folder, run = flown
    again = simulate(load_scenario(folder / "scenario.toml"))
    assert again.digest() == json.loads(run.stdout)["record_digest"]


def test_a_record_is_not_replaced_unless_asked(d2oc, flown):
    folder, _ = flown
    before = (folder / "run.json").read_bytes()
    again = ("run", "six_drones", *SHORT, "--seed", 3, "--out", "mine", "--quiet")
    refused = d2oc(*again, cwd=folder.parent)
    assert refused.returncode == 2
    assert refused.stderr == "error: mine: holds a record already; choose another folder, or add --overwrite\n"
    (folder / "notes.txt").write_text("of the user")
    replaced = d2oc(*again, "--overwrite", cwd=folder.parent)
    assert (replaced.returncode, replaced.stdout, replaced.stderr) == (0, "", "")
    assert (folder / "run.json").read_bytes() == before
    assert (folder / "notes.txt").read_text() == "of the user"
    (folder / "notes.txt").unlink()


def test_a_record_is_not_removed_for_a_mission_that_cannot_be_flown(here, flown):
    folder, _ = flown
    before = load_record(folder).digest()
    unstable = ("control.terminal_cost=none", "control.horizon_steps=1")
    changes = [word for change in unstable for word in ("--set", change)]
    code, _, err = here("run", "published_six_drones", *changes, "--out", str(folder), "--overwrite")
    assert code == 2
    assert "makes the closed loop unstable" in err
    assert load_record(folder).digest() == before


def test_run_prints_a_table_and_numbers_its_folders(d2oc, tmp_path):
    (tmp_path / "runs" / "six_drones-seed1").mkdir(parents=True)
    result = d2oc("run", "six_drones", "--set", "mission.duration_s=1", cwd=tmp_path)
    assert result.returncode == 0
    assert "record   runs/six_drones-seed1-2\npicture  runs/six_drones-seed1-2/coverage.png" in result.stdout
    assert result.stderr in ("", "first run on this machine: compiling takes about half a minute\n")


def test_scenarios_are_listed_and_shown(d2oc, tmp_path):
    names = [info.name for info in shipped_scenarios()]
    listed = json.loads(d2oc("scenarios", "--json", cwd=tmp_path).stdout)
    assert [entry["name"] for entry in listed] == names
    assert {"name", "description", "n_agents", "duration_s"} == set(listed[0])
    plain = d2oc("scenarios", cwd=tmp_path)
    assert [line.split()[0] for line in plain.stdout.splitlines()] == names
    shown = d2oc("scenarios", "show", "six_drones", cwd=tmp_path)
    assert shown.stdout == next(i.path for i in shipped_scenarios() if i.name == "six_drones").read_text()


def test_the_schema_accepts_what_is_shipped_and_refuses_what_the_program_refuses(d2oc, tmp_path):
    schema = json.loads(d2oc("schema", cwd=tmp_path).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for info in shipped_scenarios():
        data = tomllib.loads(info.path.read_text())
        validator.validate(data)
        for key, value in {"raido": {}, "seed": -1, "team": {"n_agents": "six"}, "density": {"kind": "cloud"}}.items():
            assert not validator.is_valid({**data, key: value}), key
        without_name = {key: value for key, value in data.items() if key != "name"}
        assert not validator.is_valid(without_name)


def test_verify_agrees_or_returns_one(d2oc, tmp_path):
    good = d2oc("verify", GOLDEN, "--json", cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    content = json.loads(good.stdout)
    assert content["agrees"] is True
    assert 0 <= content["max_deviation_m"] <= 1e-9
    with np.load(GOLDEN) as archive:
        case = dict(archive)
    case["states"][7, 0, 0] += 0.5
    np.savez(tmp_path / "off.npz", **case)
    bad = d2oc("verify", "off.npz", cwd=tmp_path)
    assert bad.returncode == 1
    assert bad.stdout.splitlines()[-1] == (
        "largest deviation of any state 0.5 (allowed 1e-09): DEVIATES, most at step 7"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "six_dornes"), "six_dornes: no scenario of this name; did you mean six_drones?"),
        (("run", "none.toml"), "none.toml: no such file; `d2oc scenarios` lists those that come with the program"),
        (("run", "six_drones", "--set", "seed"), "--set seed: give key=value, such as control.horizon_steps=20"),
        (
            ("run", "six_drones", "--set", "mission.duration_s=-1"),
            "six_drones: --set mission.duration_s = -1 must be positive [s]",
        ),
        (
            ("run", "six_drones", "--out", "/proc/no/such"),
            "/proc/no/such: cannot be written (No such file or directory)",
        ),
        (("metrics", "nowhere"), "nowhere: no such run folder"),
        (("metrics", "."), "run.json: no such file; is this a run folder?"),
        (("verify", "none.npz"), "none.npz: no such file; a reference case is a .npz file"),
        (("scenarios", "show", "six"), "six: no scenario of this name; did you mean six_drones?"),
    ],
)
def test_bad_input_is_one_line_on_standard_error_and_exit_code_2(here, tmp_path, arguments, sentence):
    assert here(*arguments) == (2, "", f"error: {sentence}\n")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_from_outside(d2oc, tmp_path):
    result = d2oc("run", "six_dornes", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: six_dornes: no scenario of this name; did you mean six_drones?\n"


@pytest.mark.parametrize(
    "arguments",
    [("run",), ("runn",), ("run", "six_drones", "--seed", "x"), ("run", "six_drones", "--nope"), ("scenarios", "nope")],
)
def test_wrong_usage_is_one_line_and_exit_code_2(here, arguments):
    code, out, err = here(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.endswith("--help`\n")
    assert err.count("\n") == 1


def test_no_arguments_print_help(d2oc, tmp_path):
    result = d2oc(cwd=tmp_path)
    assert (result.returncode, result.stderr) == (2, "")
    assert result.stdout.count("Exit codes:") == 1
    asked = d2oc("--help", cwd=tmp_path)
    assert asked.returncode == 0
    assert "Exit codes:" in asked.stdout


def test_a_fault_of_the_program_is_one_line_with_the_traceback_in_a_file(tmp_path):
    program = "import d2oc.scenario as s, d2oc.cli as c; s.load_scenario = lambda *a, **k: 1 / 0; c.main()"
    result = subprocess.run(
        [sys.executable, "-c", program, "run", "six_drones"],
        env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 70
    assert result.stderr.startswith("error: a fault of this program, not of your input: ZeroDivisionError(")
    assert result.stderr.count("\n") == 1
    details = Path(result.stderr.rstrip().split(" details are in ")[1])
    assert details.parent == tmp_path
    assert "Traceback" in details.read_text()


@pytest.mark.parametrize("arguments", [("schema",), ("scenarios",)])
def test_a_reader_that_goes_away_is_no_fault(tmp_path, arguments):
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "d2oc", *arguments], cwd=tmp_path, stdout=write_end, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(write_end)
        os.close(read_end)
        _, said = process.communicate(timeout=120)
    assert said == ""
    assert process.returncode == 0


def imported_by(statement):
    program = f"import sys; {statement}; print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    return {name.partition(".")[0] for name in out.split()}


def test_importing_the_package_imports_nothing_heavy():
    heavy = {"numpy", "scipy", "numba", "matplotlib", "rich", "typer", "pydantic", "ot", "arro3"}
    assert not imported_by("import d2oc") & heavy
    assert not imported_by("import d2oc.cli") & (heavy - {"typer", "rich"})
    assert not imported_by("from d2oc.scenario import shipped_scenarios; shipped_scenarios()") & {
        "scipy",
        "numba",
        "ot",
    }
