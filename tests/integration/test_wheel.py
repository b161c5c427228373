"""What is built and installed: the source archive, the wheel made from it, and the editable install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from d2oc.scenario.catalogue import scenario_folder

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "d2oc": ROOT / "d2oc",
    "d2oc_viz": ROOT / "viz" / "d2oc_viz",
    "d2oc_hardware": ROOT / "hardware" / "d2oc_hardware",
}
SCENARIOS = sorted(path.name for path in (ROOT / "scenarios").iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Source archive and wheel; the wheel is built from the unpacked archive."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def files_of(package):
    return {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.suffix in (".py", ".typed", ".mplstyle", ".toml", ".js", ".css", ".html")
    }


def test_the_wheel_holds_all_packages_and_scenarios_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
    expected = {f"{name}/{file}" for name, package in PACKAGES.items() for file in files_of(package)}
    expected |= {f"d2oc/_scenarios/{name}" for name in SCENARIOS}
    meta = {name for name in names if ".dist-info/" in name}
    assert names - meta == expected
    assert {"METADATA", "RECORD", "entry_points.txt", "LICENSE"} <= {Path(name).name for name in meta}


def test_the_source_archive_holds_what_belongs_to_the_project_and_nothing_else(built):
    with tarfile.open(built[0]) as archive:
        names = [Path(*Path(name).parts[1:]) for name in archive.getnames()]
    allowed = {"d2oc", "viz", "hardware", "scenarios", "tests", "docs"}
    single = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "CITATION.cff",
        "PKG-INFO",
        ".gitignore",
    }
    assert {name.parts[0] for name in names} <= allowed | single
    assert {"d2oc", "viz", "hardware", "scenarios", "tests", "pyproject.toml", "LICENSE"} <= {n.parts[0] for n in names}
    assert not [name for name in names if name.suffix in (".pyc", ".nbc", ".nbi", ".parquet")]
    assert not [name for name in names if "__pycache__" in name.parts]


def bare_environment(folder):
    """A new environment that sees the libraries of this one, but not its d2oc; returns its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    place = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([programs / "python", "-c", place], capture_output=True, text=True, check=True).stdout.strip()
    libraries = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    Path(site, "libraries.pth").write_text("".join(f"{path}\n" for path in libraries))
    return programs


def install(programs, *what):
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--force-reinstall"]
    done = subprocess.run([*pip, *offline, *what], env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def clean(**more):
    """Environment variables without anything that leads back to the checkout; uncompiled, as that starts at once."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    return {**kept, "NUMBA_DISABLE_JIT": "1", **more}


def call(programs, *arguments, cwd):
    return subprocess.run(
        [programs / "d2oc", *arguments],
        cwd=cwd,
        env=clean(XDG_CACHE_HOME=str(cwd)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installed_wheel_lists_and_flies_its_scenarios(built, tmp_path):
    programs = bare_environment(tmp_path / "bare")
    install(programs, str(built[1]))
    listed = call(programs, "scenarios", "--json", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert [f"{entry['name']}.toml" for entry in json.loads(listed.stdout)] == [s for s in SCENARIOS if s.endswith("l")]
    shown = call(programs, "scenarios", "show", "scouting_counts", cwd=tmp_path).stdout
    assert f'file = "{tmp_path / "bare"}' in shown
    short = ("--set", "mission.duration_s=2", "--set", "sampling.n_samples=60")
    flown = call(programs, "run", "six_drones", *short, "--json", cwd=tmp_path)
    assert flown.returncode == 0, flown.stderr
    assert json.loads(flown.stdout)["n_steps"] == 10
    assert (tmp_path / "runs" / "six_drones-seed1" / "coverage.png").exists()


def test_the_editable_install_finds_the_scenarios_of_the_checkout(tmp_path):
    programs = bare_environment(tmp_path / "editable")
    install(programs, "--editable", str(ROOT))
    place = "import d2oc_viz, d2oc_hardware; from d2oc.scenario.catalogue import scenario_folder as f; print(f())"
    found = subprocess.run(
        [programs / "python", "-c", place], cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()) == ROOT / "scenarios"
    listed = call(programs, "scenarios", cwd=tmp_path)
    assert len(listed.stdout.splitlines()) == sum(name.endswith(".toml") for name in SCENARIOS)


def test_this_run_of_the_tests_uses_the_checkout():
    assert scenario_folder() == ROOT / "scenarios"
