"""The files that a scenario names, taken along: a run folder that holds them can be moved and flown again elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2oc.scenario.load import FILE_KEYS, scenario_toml
from d2oc.scenario.schema import Scenario

FOLDER = "data"
"""Of a run folder, where its data stand."""
LARGEST_TAKEN = 50_000_000
"""A larger file, with those beside it, stays where it is. [byte]"""

PARTS = (".shx", ".dbf", ".prj", ".cpg", ".tfw", ".tifw", ".wld", ".ovr", ".msk", ".xml")
"""Endings of what belongs to a Shapefile or an image."""


@dataclass(frozen=True)
class DataFile:
    """One file that a scenario needs."""

    source: Path
    """Where it stands."""
    name: str
    """What the scenario of the run folder calls it: a path in that folder, or the source where it is too large."""

    @property
    def taken(self) -> bool:
        """Whether the run folder gets a copy."""
        return not Path(self.name).is_absolute()


def portable(scenario: Scenario) -> tuple[str, tuple[DataFile, ...]]:
    """Text of a scenario for a run folder, and the files that belong to it.

    Parameters
    ----------
    scenario : Scenario
        With absolute paths, as `load_scenario` gives it.

    Returns
    -------
    text : str
        Its TOML; the files that are taken along have paths that start at the run folder.
    files : tuple of DataFile
        Also those that have no key of their own, such as the parts of a Shapefile.
    """
    content = scenario.model_dump(mode="python")
    files: dict[Path, DataFile] = {}
    changed = scenario
    for table, key in FILE_KEYS:
        named = _named(content, table, key)
        if named is None:
            continue
        group = _with_those_beside(named)
        if named not in files:
            small = sum(path.stat().st_size for path in group) <= LARGEST_TAKEN
            prefix = _free_prefix(group, files)
            for path in group:
                files[path] = DataFile(path, f"{FOLDER}/{prefix}{path.name}" if small else str(path))
        changed = _renamed(changed, f"{table}.{key}".split("."), Path(files[named].name))
    return scenario_toml(changed), tuple(files.values())


def _named(content: dict[str, Any], table: str, key: str) -> Path | None:
    """The file of one key; None where there is no such key, value or file."""
    here: Any = content
    for name in [*table.split("."), key]:
        here = here.get(name) if isinstance(here, dict) else None
    return here if isinstance(here, Path) and here.is_file() else None


def _with_those_beside(file: Path) -> list[Path]:
    """A file; a Shapefile or an image with its parts, which have the same name before the ending."""
    if file.suffix.lower() not in (".shp", ".tif", ".tiff"):
        return [file]
    beside = sorted(path for path in file.parent.glob("*") if path.is_file() and path.name.startswith(f"{file.stem}."))
    return [file, *(path for path in beside if path != file and path.suffix.lower() in PARTS)]


def _free_prefix(group: list[Path], files: dict[Path, DataFile]) -> str:
    """Nothing, or a number that keeps files of the same name apart."""
    used = {file.name for file in files.values()}
    prefix, number = "", 2
    while any(f"{FOLDER}/{prefix}{path.name}" in used for path in group):
        prefix, number = f"{number}-", number + 1
    return prefix


def _renamed(model: Any, way: list[str], value: Path) -> Any:
    """The scenario with one value changed."""
    name, *rest = way
    return model.model_copy(update={name: value if not rest else _renamed(getattr(model, name), rest, value)})
