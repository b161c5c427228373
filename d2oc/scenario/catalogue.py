"""The scenarios that come with the program."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from d2oc.errors import ScenarioError


@dataclass(frozen=True)
class ScenarioInfo:
    """What the list of scenarios shows."""

    name: str
    description: str
    n_agents: int
    duration_s: float
    path: Path


def scenario_folder() -> Path:
    """Where the shipped scenarios are: inside the installed package, or in the checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_scenarios"
    return installed if installed.is_dir() else package.parent / "scenarios"


def shipped_scenarios() -> list[ScenarioInfo]:
    """All shipped scenarios, by name."""
    return [_info(path) for path in sorted(scenario_folder().glob("*.toml"))]


def _info(path: Path) -> ScenarioInfo:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    team = data["team"]
    n_agents = team.get("n_agents") or sum(group["n_agents"] for group in team["groups"])
    return ScenarioInfo(data["name"], data.get("description", ""), n_agents, float(data["mission"]["duration_s"]), path)


def shipped_text(name: str) -> str:
    """TOML text of a shipped scenario that works wherever it is saved: its data file is named by its full path."""
    path = shipped_path(name)
    text = path.read_text(encoding="utf-8")
    return re.sub(
        r'^file = "([^"]+)"', lambda found: f'file = "{(path.parent / found[1]).as_posix()}"', text, flags=re.M
    )


def shipped_path(name: str) -> Path:
    """File of a shipped scenario.

    Raises
    ------
    ScenarioError
        Lists the known names, the nearest first.
    """
    path = scenario_folder() / f"{name}.toml"
    if path.is_file():
        return path
    names = [info.name for info in shipped_scenarios()]
    near = difflib.get_close_matches(name, names, 1) or sorted((known for known in names if name in known), key=len)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}; a file of your own ends in .toml"
    raise ScenarioError(f"{name}: no scenario of this name; {hint}")
