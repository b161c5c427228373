"""Reads a scenario file: TOML, overrides, validation; every mistake ends in one sentence."""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from d2oc.errors import ScenarioError
from d2oc.scenario.catalogue import shipped_path
from d2oc.scenario.checks import impossibilities
from d2oc.scenario.schema import Scenario
from d2oc.scenario.sentences import sentences

LARGEST_FILE = 1_000_000
"""A scenario is text that a person reads. [byte]"""

FILE_KEYS = (
    ("density", "file"),
    ("density.motion", "file"),
    ("field", "boundary_file"),
    ("field", "no_fly_file"),
    ("field", "no_spray_file"),
)
"""Keys that name files."""

Overrides = Mapping[str, object] | Sequence[str]


def load_scenario(name_or_path: str | Path, *, overrides: Overrides = (), seed: int | None = None) -> Scenario:
    """Load a shipped scenario by name, or one's own by path.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped scenario (``d2oc scenarios`` lists them) or path of a TOML file.
    overrides : mapping or sequence of str
        Keys to change: ``{"control.horizon_steps": 20}`` or ``["control.horizon_steps=20"]``. Values in text are
        read as TOML, or taken as plain text where that fails.
    seed : int, optional
        Replaces the scenario's seed.

    Returns
    -------
    scenario : Scenario
        Frozen; file paths are absolute: relative ones in the file start at the file, those of overrides at
        the working directory.

    Raises
    ------
    ScenarioError
        One sentence for every mistake, naming file, key, value and what is allowed.
    """
    path = _find(name_or_path)
    data = _parse(path)
    changed = set()
    for key, value in _read_overrides(overrides):
        _override(data, key, value)
        changed.add(re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", key))
    if seed is not None:
        data["seed"] = seed
    _resolve_files(data, path.parent, changed)
    return validate(data, str(name_or_path), changed)


def validate(data: dict[str, Any], source: str, changed: set[str] | frozenset[str] = frozenset()) -> Scenario:
    """Check a scenario given as plain data.

    Parameters
    ----------
    data : dict
        What the TOML file holds.
    source : str
        Name of the file in messages.
    changed : set of str
        Keys that came from overrides, named so in messages.

    Returns
    -------
    scenario : Scenario

    Raises
    ------
    ScenarioError
        One sentence for every mistake.
    """
    try:
        # JSON is pydantic's mode for data from files: lists become tuples, text becomes paths, nothing else bends.
        scenario = Scenario.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise _mistakes(source, sentences(error, data), changed) from None
    found = list(impossibilities(scenario))
    if found:
        raise _mistakes(source, found, changed)
    return scenario


def _mistakes(source: str, found: Sequence[str], changed: set[str] | frozenset[str]) -> ScenarioError:
    lines = []
    for sentence in found:
        by_override = any(sentence == key or sentence.startswith((key + " ", key + ".")) for key in changed)
        lines.append(f"{source}: {'--set ' if by_override else ''}{sentence}")
    if len(lines) == 1:
        return ScenarioError(lines[0])
    return ScenarioError("\n".join([f"{source}: {len(lines)} mistakes", *lines]))


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    path = Path(text)
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:
        raise ScenarioError(f"{text[:60]}: cannot be a file ({error.strerror})") from None
    looks_like_a_path = text.endswith(".toml") or "/" in text or "\\" in text
    if not is_file and not looks_like_a_path:
        return shipped_path(text)
    if not is_file and not is_folder:
        raise ScenarioError(f"{text}: no such file; `d2oc scenarios` lists those that come with the program")
    if is_folder:
        raise ScenarioError(f"{text}: is a folder, not a scenario file")
    return path


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ScenarioError(
                f"{path}: has {path.stat().st_size:,} bytes, a scenario has at most {LARGEST_FILE:,}; "
                "put large data in a file that density.file names"
            )
        data = _toml(path, path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ScenarioError(
            f"{path}: byte {error.object[error.start]:#04x} at position {error.start} is not UTF-8 text; "
            "a scenario is a TOML file in UTF-8"
        ) from None
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise ScenarioError(f"{path}: is empty; `d2oc scenarios show six_drones` prints one to start from")
    return data


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: is not valid TOML: {error}{_quoted_line(text, str(error))}") from None
    except (RecursionError, ValueError):
        raise ScenarioError(f"{path}: is not valid TOML: nested too deeply, or a number with too many digits") from None


def _quoted_line(text: str, message: str) -> str:
    """The line that a message of the TOML parser points at."""
    place = re.search(r"\(at line (\d+), column \d+\)", message)
    if place is None:
        return ""
    lines = text.splitlines()
    line = lines[int(place[1]) - 1].strip() if int(place[1]) <= len(lines) else ""
    return f": {line[:60]}" if line else ""


def _read_overrides(overrides: Overrides) -> Iterator[tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        yield from overrides.items()
        return
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ScenarioError(f"--set {text}: give key=value, such as control.horizon_steps=20")
        yield key.strip(), _toml_value(value.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _override(data: dict[str, Any], key: str, value: Any) -> None:
    """Set one dotted key, through tables and, by number (`components.0` or `components[0]`), arrays."""
    *way, last = re.sub(r"\[(\d+)\]", r".\1", key).split(".")
    here: Any = data
    for name in way:
        if isinstance(here, list):
            here = here[_index(here, name, key)]
        elif isinstance(here, dict):
            here = here.setdefault(name, {})
        if not isinstance(here, dict | list):
            raise ScenarioError(f"--set {key}: {name} is a single value and has no keys of its own")
    if isinstance(here, list):
        here[_index(here, last, key)] = value
    else:
        here[last] = value


def _index(array: Sequence[object], text: str, key: str) -> int:
    if not text.isdecimal() or int(text) >= len(array):
        raise ScenarioError(f"--set {key}: {text} must be a number from 0 to {len(array) - 1}")
    return int(text)


def _resolve_files(data: dict[str, Any], folder: Path, changed: set[str]) -> None:
    """Make paths absolute: those of the file start at its folder, those of overrides at the working directory."""
    for table, key in FILE_KEYS:
        content: Any = data
        for name in table.split("."):
            content = content.get(name) if isinstance(content, dict) else None
        if isinstance(content, dict) and isinstance(content.get(key), str):
            base = Path.cwd() if f"{table}.{key}" in changed else folder
            content[key] = os.path.abspath(base / content[key])


def scenario_toml(scenario: Scenario) -> str:
    """Text of a scenario as run: all defaults written out, loadable again.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    text : str
        TOML; the same scenario always gives the same text.
    """
    import tomli_w

    return tomli_w.dumps(_without_none(scenario.model_dump(mode="python")))


def _without_none(value: Any) -> Any:
    """TOML has no null: what is None is left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None and item != ()}
    if isinstance(value, tuple | list):
        return [_without_none(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return value
