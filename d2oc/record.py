"""The record of a mission: written as it goes, readable at any moment, the source of all metrics and pictures.

A run folder holds ``run.json`` (what was flown), ``scenario.toml`` (the scenario as run), the tables ``samples``,
``trajectory``, ``consumption``, ``messages`` and ``events`` as Parquet, ``provenance.json`` (versions, machine, times)
and ``summary.json`` (metrics). While the mission runs, and after it was killed, the tables stand in ``parts/``.
See docs/record.md for every column and its unit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Flags, Floats, Ints
from d2oc.columns import Columns, read_columns, write_columns
from d2oc.errors import RecordError
from d2oc.scenario.data_files import FOLDER, DataFile

FORMAT_VERSION = 1
FLUSH_INTERVAL_S = 0.5
"""A killed run loses at most what happened since the last flush. [s]"""

MARK = "flight.msgpack"
"""What a flight remembered when its run was last marked."""

TABLES = ("consumption", "messages", "events", "trajectory")
"""Tables that grow; `trajectory` is written last, so a part that has it is whole."""

NEEDED_COLUMNS = {
    "samples": ("x_m", "y_m", "weight"),
    "trajectory": ("tick", "agent", "time_s", "x_m", "y_m", "consumed", "believed_remaining", "active"),
    "consumption": ("tick", "agent", "sample", "amount"),
    "messages": ("tick", "sender", "receiver", "entries", "bytes"),
    "events": ("tick", "agent", "code"),
    "cells": ("x_m", "y_m", "target_l_ha", "maximum_l_ha", "deposit_l_ha"),
}
"""Columns that every table has; the trajectory has states, inputs and goals besides."""

NO_PLAN, UNPROVEN, DRIFTED, UNHEARD = 1, 2, 3, 4
EVENT_CODES = {
    NO_PLAN: "no plan: the optimisation found no command within the limits",
    UNPROVEN: "unproven: no part of the plan, followed by braking, kept all distances",
    DRIFTED: "drifted: the agent was not where it should have been, so it braked from where it was",
    UNHEARD: "unheard: a message of another agent was lost, so it flew on along the way proven before",
}
"""What may happen to an agent in a step; but for the third it flew on along the way proven before, to rest."""

Status = Literal["running", "complete", "interrupted"]


@dataclass(frozen=True)
class AgentHeader:
    """What one agent is."""

    model: str
    state_names: tuple[str, ...]
    input_names: tuple[str, ...]
    n_steps: int
    """Steps of operation."""
    alpha: float
    """Mass of one step."""


@dataclass(frozen=True)
class RecordHeader:
    """What was flown; everything in it follows from the scenario, so equal runs have equal headers."""

    name: str
    seed: int
    n_steps: int
    """Steps planned: the longest operation time in the team."""
    time_step_s: float
    n_samples: int
    agents: tuple[AgentHeader, ...]
    boundary_m: tuple[tuple[float, float], ...]
    """Corners of the field, local ENU. [m]"""
    no_fly_zones_m: tuple[tuple[tuple[float, float], ...], ...]
    """Corners of the zones, local ENU. [m]"""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """What was drawn, removed and noticed when the density was sampled."""
    no_spray_zones_m: tuple[tuple[tuple[float, float], ...], ...] = ()
    """Corners of the zones that are flown over but not treated, local ENU. [m]"""
    georeference: Mapping[str, Any] | None = None
    """Where the local frame is: `crs`, `origin_easting_m`, `origin_northing_m`; None for a field without a place."""
    raster: Mapping[str, Any] | None = None
    """Grid of the table `cells` of a spraying mission: `n_rows`, `n_columns`, `cell_m`, `origin_x_m`, `origin_y_m`
    (lower left corner; row 0 is the south); None for a mission that sprays nothing."""
    motion: Mapping[str, Any] | None = None
    """How the samples move, see `d2oc.density.moving.motion_from_mapping`; None: they stand still."""
    format_version: int = FORMAT_VERSION

    @property
    def n_agents(self) -> int:
        """Size of the team."""
        return len(self.agents)


@dataclass(frozen=True, eq=False)
class Tick:
    """All that happened in one step; tick 0 is the start. L agents, n states, m inputs."""

    tick: int
    position: Floats
    """Shape (L, 2), local ENU. [m]"""
    state: Floats
    """Shape (L, n); NaN where a model has fewer states."""
    input: Floats
    """Input that led here, shape (L, m); NaN at the start."""
    goal: Floats
    """Goal of that input, shape (L, 2); NaN at the start and for inactive agents. [m]"""
    consumed: Floats
    """Mass consumed, shape (L,)."""
    believed_remaining: Floats
    """Weight each agent believes to remain, shape (L,)."""
    active: Flags
    """Who acted, shape (L,)."""
    consumption: tuple[Ints, Ints, Floats]
    """Agent, sample and amount of every consumption."""
    messages: tuple[Ints, Ints, Ints, Ints]
    """Sender, receiver, new ledger entries and bytes of every message."""
    events: tuple[Ints, Ints] = field(default_factory=lambda: (np.empty(0, np.int32), np.empty(0, np.int32)))
    """Agent and code of every event, see `EVENT_CODES`."""
    telemetry: Mapping[str, Floats] = field(default_factory=dict)
    """What else the world keeps: columns of the trajectory by name, each of shape (L,)."""


class Record:
    """A mission flown, whole or not; tables are read when they are asked for.

    Attributes
    ----------
    header : RecordHeader
    status : {"complete", "interrupted", "running"}
        "running" in a record that is read means: it still runs, or it was killed.
    path : Path or None
        The run folder, None for a record in memory.
    scenario_toml : str
        The scenario as run.
    provenance : mapping
        Versions, machine and times; not part of the digest.
    problems : list of str
        Sentences on parts that could not be read.
    """

    def __init__(
        self,
        header: RecordHeader,
        status: Status,
        scenario_toml: str,
        tables: Mapping[str, Columns | Callable[[], Columns]],
        provenance: Mapping[str, Any],
        path: Path | None = None,
    ) -> None:
        self.header = header
        self.status = status
        self.scenario_toml = scenario_toml
        self.provenance = provenance
        self.path = path
        self.problems: list[str] = []
        self._tables = dict(tables)

    @property
    def complete(self) -> bool:
        """Whether the mission came to its end."""
        return self.status == "complete"

    @property
    def samples(self) -> Columns:
        """Samples of the reference density: x_m, y_m, weight."""
        return self._table("samples")

    @property
    def trajectory(self) -> Columns:
        """One row per agent and tick, agent by agent; tick 0 is the start."""
        return self._table("trajectory")

    @property
    def consumption(self) -> Columns:
        """One row per sample an agent consumed from, agent by agent."""
        return self._table("consumption")

    @property
    def messages(self) -> Columns:
        """One row per message, tick by tick."""
        return self._table("messages")

    @property
    def events(self) -> Columns:
        """One row per event, agent by agent: a step whose optimal command was not flown, and why."""
        return self._table("events")

    @property
    def cells(self) -> Columns:
        """One row a raster cell of a spraying mission, row by row from the south; without columns for any other."""
        return self._table("cells") if "cells" in self._tables else {}

    @property
    def n_ticks(self) -> int:
        """Ticks recorded, the start included."""
        tick = self.trajectory["tick"]
        return int(tick.max()) + 1 if len(tick) else 0

    def by_tick(self, *names: str) -> NDArray[Any]:
        """Trajectory columns as an array of shape (ticks, agents, columns)."""
        shape = (self.header.n_agents, self.n_ticks)
        stacked = np.stack([self.trajectory[name].reshape(shape).T for name in names], axis=-1)
        return np.ascontiguousarray(stacked)

    def digest(self) -> str:
        """SHA-256 of the content: header, scenario and tables, however they are stored."""
        content = hashlib.sha256()
        content.update(header_json(self.header).encode())
        content.update(self.scenario_toml.encode())
        for name in ("samples", *TABLES, *(["cells"] if self.cells else [])):
            if name == "events" and not len(self.events["tick"]):
                continue  # records from before there were events keep their digest
            for column, values in sorted(self._table(name).items()):
                little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
                content.update(f"{name}.{column} {little.dtype.str} {len(little)}\n".encode())
                content.update(little.tobytes())
        return content.hexdigest()

    def summary(self) -> dict[str, Any]:
        """Metrics of this record; see `d2oc.metrics.summarise`."""
        from d2oc.metrics import summarise

        return summarise(self)

    def _table(self, name: str) -> Columns:
        table = self._tables[name]
        if callable(table):
            table = self._tables[name] = table()
        return table


class RecordWriter:
    """Takes a mission tick by tick and keeps it in memory or in a run folder.

    Parameters
    ----------
    out : Path or None
        Run folder, created here; None keeps everything in memory.
    header : RecordHeader
        What is flown.
    scenario_toml : str
        The scenario as run.
    points, weights : ndarray, shape (N, 2) and (N,)
        Samples of the reference density. [m]
    clock : callable
        Seconds since some moment, for the flush interval.
    runtime : str
        What flies the team.
    parts_kept : int, optional
        Go on with the run that stands in the folder after so many of its parts; younger ones are deleted.
    part : (int, int), optional
        This record holds the rows of one agent only: its number, and the size of its team.
    data : sequence of DataFile
        What the scenario needs besides, see `d2oc.scenario.data_files.portable`.

    Raises
    ------
    RecordError
        If the folder cannot be written or holds a record already.
    """

    def __init__(
        self,
        out: Path | None,
        header: RecordHeader,
        scenario_toml: str,
        points: Floats,
        weights: Floats,
        clock: Callable[[], float] = time.monotonic,
        runtime: str = "arrays",
        parts_kept: int | None = None,
        part: tuple[int, int] | None = None,
        data: Sequence[DataFile] = (),
    ) -> None:
        self._out = out
        self._header = header
        self._scenario_toml = scenario_toml
        self._samples: Columns = {"x_m": points[:, 0], "y_m": points[:, 1], "weight": weights}
        self._clock = clock
        self._pending: list[Tick] = []
        self._parts: list[dict[str, Columns]] = []
        self._n_parts = 0
        self._flushed = -np.inf
        self._provenance = {**_provenance(), "runtime": runtime} | ({} if part is None else {"part": part})
        if data and out is not None:
            self._provenance["data_sha256"] = {file.name: sha256_of(file.source) for file in data}
        if out is not None and parts_kept is not None:
            self._n_parts = parts_kept
            _forget_parts(out, parts_kept)
        elif out is not None:
            _open(out, header, scenario_toml, self._provenance, self._samples, data)

    def know(self, **more: Any) -> None:
        """Add to the provenance, as plain data."""
        self._provenance |= more
        if self._out is not None:
            _write_text(self._out / "provenance.json", _json(self._provenance))

    def append(self, tick: Tick) -> None:
        """Add one tick; on disk at the latest half a second later."""
        self._pending.append(tick)
        if self._clock() - self._flushed >= FLUSH_INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as one part."""
        self._flushed = self._clock()
        if not self._pending:
            return
        part = _tables_of(self._pending, self._header.time_step_s)
        if self._out is None:
            self._parts.append(part)
        else:
            for name in TABLES:
                write_columns(self._out / "parts" / _part_name(name, self._n_parts), part[name])
        self._pending, self._n_parts = [], self._n_parts + 1  # last, so that Ctrl-C amid the writing loses nothing

    def mark(self, n_steps: int, memory: bytes) -> None:
        """Keep what a flight remembers after so many steps, beside what was written of it."""
        if self._out is None:
            return
        self.flush()
        head = n_steps.to_bytes(8, "little") + self._n_parts.to_bytes(8, "little")
        _write(self._out / "parts" / MARK, head + memory)

    def finish(self, status: Status, timing: Mapping[str, float], cells: Columns | None = None) -> Record:
        """Merge the parts into the final tables.

        Parameters
        ----------
        status : {"complete", "interrupted"}
            How the mission ended.
        timing : mapping
            Wall and compute times, kept apart from what is deterministic.
        cells : dict of ndarray, optional
            Raster of a spraying mission.

        Returns
        -------
        record : Record

        Raises
        ------
        RecordError
            If nothing was flown.
        """
        self.flush()
        if self._n_parts == 0:
            raise RecordError(f"{self._out or 'mission'}: it ended before its first step, so there is no record")
        self._provenance["timing"] = dict(timing)
        if self._out is None:
            tables = {name: _merge([part[name] for part in self._parts], name) for name in TABLES}
            tables["samples"] = self._samples
            if cells is not None:
                tables["cells"] = cells
            return Record(self._header, status, self._scenario_toml, tables, self._provenance)
        for name in TABLES:
            write_columns(self._out / f"{name}.parquet", _read_parts(self._out, name, self._n_parts))
        if cells is not None:
            write_columns(self._out / "cells.parquet", cells)
        _write_text(self._out / "provenance.json", _json(self._provenance))
        _write_text(self._out / "run.json", header_json(self._header, status))
        shutil.rmtree(self._out / "parts")
        return load_record(self._out)


def write_record(path: Path, record: Record, data: Sequence[DataFile] = ()) -> Record:
    """Write a whole record into a run folder, with the files that its scenario names, and read it from there.

    Raises
    ------
    RecordError
        If the folder cannot be written or holds a record already.
    """
    _open(path, record.header, record.scenario_toml, record.provenance, record.samples, data)
    for name in TABLES:
        write_columns(path / f"{name}.parquet", getattr(record, name))
    _write_text(path / "run.json", header_json(record.header, record.status))
    shutil.rmtree(path / "parts")
    return load_record(path)


def _open(
    out: Path,
    header: RecordHeader,
    scenario_toml: str,
    provenance: Mapping[str, Any],
    samples: Columns,
    data: Sequence[DataFile] = (),
) -> None:
    """Begin a run folder."""
    if (out / "run.json").exists():
        raise RecordError(f"{out}: holds a record already; choose another folder, or add --overwrite")
    try:
        (out / "parts").mkdir(parents=True, exist_ok=True)
        _take_along(out, data)
        _write_text(out / "scenario.toml", scenario_toml)
        _write_text(out / "provenance.json", _json(provenance))
        write_columns(out / "samples.parquet", samples)
        _write_text(out / "run.json", header_json(header, "running"))
    except OSError as error:
        raise RecordError(f"{out}: cannot be written ({error.strerror})") from None


def _take_along(out: Path, data: Sequence[DataFile]) -> None:
    """Copy data into a run folder; what stands there already, as when a run is flown again, stays."""
    for file in data:
        target = out / file.name
        if file.taken and not (target.exists() and target.samefile(file.source)):
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file.source, target)


def data_taken(path: Path) -> list[DataFile]:
    """The data that a run folder holds."""
    return [DataFile(file, f"{FOLDER}/{file.name}") for file in sorted((path / FOLDER).glob("*")) if file.is_file()]


def load_record(path: str | Path) -> Record:
    """Read a run folder: complete, interrupted, still running or killed.

    Parameters
    ----------
    path : str or Path
        The run folder.

    Returns
    -------
    record : Record

    Raises
    ------
    RecordError
        If it is no run folder or cannot be read.
    """
    folder = Path(path)
    header, status = _read_header(folder)
    tables: dict[str, Columns | Callable[[], Columns]] = {"samples": _reader(folder / "samples.parquet", "samples")}
    problems: list[str] = []
    if status == "running":
        tables |= _read_whole_parts(folder, problems)
    else:
        for name in TABLES:
            tables[name] = _reader(folder / f"{name}.parquet", name)
        if header.raster is not None:
            tables["cells"] = _reader(folder / "cells.parquet", "cells")
    scenario = _read_text(folder / "scenario.toml")
    record = Record(header, status, scenario, tables, _read_provenance(folder, problems), folder)
    record.problems = problems
    return record


def _read_provenance(folder: Path, problems: list[str]) -> dict[str, Any]:
    """What is known of the machine and the times; no metric of the mission depends on it."""
    try:
        provenance = json.loads(_read_text(folder / "provenance.json"))
        if isinstance(provenance, dict):
            return provenance
        problems.append(f"{folder / 'provenance.json'}: holds no table; versions and times are unknown")
    except RecordError as error:
        problems.append(str(error))
    except json.JSONDecodeError as error:
        problems.append(f"{folder / 'provenance.json'}: is not JSON ({error}); versions and times are unknown")
    return {}


def ended_record(path: Path) -> Record | None:
    """The record in a run folder if its mission ended; None if it did not."""
    return None if _read_header(path)[1] == "running" else load_record(path)


def runtime_of(path: Path) -> str:
    """What flew, or flies, the mission of a run folder."""
    try:
        return str(json.loads(_read_text(path / "provenance.json")).get("runtime", "arrays"))
    except (json.JSONDecodeError, AttributeError) as error:
        raise RecordError(f"{path / 'provenance.json'}: cannot be read ({error})") from None


def read_mark(path: Path) -> tuple[int, int, bytes] | None:
    """Steps flown, parts written and memory of the last mark of a run that did not end; None if there is none."""
    try:
        content = (path / "parts" / MARK).read_bytes()
    except OSError:
        return None
    return int.from_bytes(content[:8], "little"), int.from_bytes(content[8:16], "little"), content[16:]


def _forget_parts(path: Path, kept: int) -> None:
    for part in (path / "parts").glob("*.parquet"):
        if int(part.stem.rsplit("-", 1)[1]) >= kept:
            part.unlink()


def remove_record(path: Path, keep: Sequence[DataFile] = ()) -> None:
    """Delete the record in a run folder, and nothing else that stands there.

    Parameters
    ----------
    path : Path
        The run folder.
    keep : sequence of DataFile
        What the next mission needs; where it stands in this folder, it stays.
    """
    if not (path / "run.json").exists():
        return
    needed = {file.source.resolve() for file in keep}
    for name in _read_provenance(path, []).get("data_sha256", {}):
        if not Path(name).is_absolute() and (path / name).resolve() not in needed:
            (path / name).unlink(missing_ok=True)
    with suppress(OSError):  # whatever else stands in it
        (path / FOLDER).rmdir()
    for name in (
        "run.json",
        "scenario.toml",
        "provenance.json",
        "summary.json",
        "coverage.png",
        "report.html",
        "replay.html",
    ):
        (path / name).unlink(missing_ok=True)
    for name in ("samples", *TABLES, "cells"):
        (path / f"{name}.parquet").unlink(missing_ok=True)
    shutil.rmtree(path / "parts", ignore_errors=True)


def header_json(header: RecordHeader, status: Status | None = None) -> str:
    """Text of run.json."""
    content = asdict(header)
    for name in (
        "no_spray_zones_m",
        "georeference",
        "raster",
        "motion",
    ):  # records from before there were these keep their digest
        if not content[name]:
            del content[name]
    if status is not None:
        content["status"] = status
    return _json(content)


def _reader(path: Path, table: str) -> Callable[[], Columns]:
    return lambda: _read_table(path, table)


def _read_table(path: Path, table: str) -> Columns:
    if table == "events" and not path.exists():  # a record from before there were events
        return {name: np.empty(0, np.int32) for name in NEEDED_COLUMNS[table]}
    columns = read_columns(path)
    missing = [name for name in NEEDED_COLUMNS[table] if name not in columns]
    if missing:
        raise RecordError(f"{path}: has no column {missing[0]}, so it is not the table {table} of a record")
    return columns


def _read_header(folder: Path) -> tuple[RecordHeader, Status]:
    from pydantic import TypeAdapter, ValidationError

    if not folder.is_dir():
        raise RecordError(f"{folder}: no such run folder")
    text = _read_text(folder / "run.json")
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
        _require_known_version(folder, content["format_version"])
        status = TypeAdapter(Status).validate_python(content["status"])
        return TypeAdapter(RecordHeader).validate_json(text, strict=True), status
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'status'}: {first['msg']}"
    except KeyError as error:
        reason = f"key {error} is missing"
    except (ValueError, TypeError) as error:
        reason = str(error)
    raise RecordError(f"{folder / 'run.json'}: not the header of a record ({reason})")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of a record")


def _require_known_version(folder: Path, version: Any) -> None:
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise RecordError(
            f"{folder}: format_version = {version} is newer than this program reads ({FORMAT_VERSION}); upgrade d2oc"
        )


def _read_whole_parts(folder: Path, problems: list[str]) -> dict[str, Columns]:
    """Tables of a run that did not end: all parts up to the first that is not whole."""
    parts: list[dict[str, Columns]] = []
    while (folder / "parts" / _part_name("trajectory", len(parts))).exists():
        try:
            number = len(parts)
            parts.append({name: _read_table(folder / "parts" / _part_name(name, number), name) for name in TABLES})
        except RecordError as error:
            problems.append(str(error))
            break
    if not parts and problems:
        raise RecordError(problems[0])
    if not parts:
        raise RecordError(f"{folder}: the run was killed before its first tick was written")
    return {name: _merge([part[name] for part in parts], name) for name in TABLES}


def _read_parts(folder: Path, name: str, n_parts: int) -> Columns:
    return _merge([read_columns(folder / "parts" / _part_name(name, i)) for i in range(n_parts)], name)


def _part_name(name: str, number: int) -> str:
    return f"{name}-{number:06d}.parquet"


def _merge(parts: Sequence[Columns], name: str) -> Columns:
    """One table from its parts: agent by agent, but messages tick by tick."""
    merged = {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
    if name == "messages":
        return merged
    order = np.argsort(merged["agent"], kind="stable")
    return {column: values[order] for column, values in merged.items()}


def _tables_of(ticks: Sequence[Tick], time_step_s: float) -> dict[str, Columns]:
    return {
        "trajectory": _trajectory(ticks, time_step_s),
        "consumption": _flat(ticks, "consumption", {"agent": np.int32, "sample": np.int32, "amount": np.float64}),
        "messages": _flat(ticks, "messages", dict.fromkeys(("sender", "receiver", "entries", "bytes"), np.int32)),
        "events": _flat(ticks, "events", dict.fromkeys(("agent", "code"), np.int32)),
    }


def _trajectory(ticks: Sequence[Tick], time_step_s: float) -> Columns:
    n_agents = len(ticks[0].active)
    number = np.array([tick.tick for tick in ticks], np.int32)
    columns: Columns = {
        "tick": np.repeat(number, n_agents),
        "agent": np.tile(np.arange(n_agents, dtype=np.int32), len(ticks)),
        "time_s": np.repeat(number * time_step_s, n_agents),
    }
    for column, values in (
        ("{}_m", [tick.position for tick in ticks]),
        ("state_{}", [tick.state for tick in ticks]),
        ("input_{}", [tick.input for tick in ticks]),
        ("goal_{}_m", [tick.goal for tick in ticks]),
    ):
        stacked = np.concatenate(values)
        labels = ("x", "y") if column.endswith("_m") else range(stacked.shape[1])
        columns |= {column.format(label): stacked[:, i] for i, label in enumerate(labels)}
    for name in ("consumed", "believed_remaining", "active"):
        columns[name] = np.concatenate([getattr(tick, name) for tick in ticks])
    for name in ticks[0].telemetry:
        columns[name] = np.concatenate([tick.telemetry[name] for tick in ticks])
    return columns


def _flat(ticks: Sequence[Tick], table: str, dtypes: Mapping[str, type]) -> Columns:
    rows = [getattr(tick, table) for tick in ticks]
    columns: Columns = {
        "tick": np.repeat(np.array([tick.tick for tick in ticks], np.int32), [len(row[0]) for row in rows])
    }
    for i, (name, dtype) in enumerate(dtypes.items()):
        columns[name] = np.concatenate([row[i] for row in rows]).astype(dtype, copy=False)
    return columns


def _provenance() -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "versions": {name: _version(name) for name in ("d2oc", "numpy", "scipy", "numba", "arro3-io", "POT")},
    }


def as_utc(seconds: float) -> str:
    """Seconds since 1970 as text."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def sha256_of(file: Path) -> str:
    """What a file holds, as hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _write_text(path: Path, text: str) -> None:
    _write(path, text.encode("utf-8"))


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or nothing of it."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise RecordError(f"{path}: cannot be written ({error.strerror})") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; is this a run folder?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from None
