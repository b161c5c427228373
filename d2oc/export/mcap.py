"""A record as an MCAP file for robotics tools: messages over time, in the schemas that Foxglove draws by itself.

Only one file imports the library, this one. Messages are JSON; the names of schemas and fields are those of
https://docs.foxglove.dev/docs/sdk/schemas, the container is that of https://mcap.dev/spec.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from d2oc.arrays import Floats
from d2oc.errors import ExportError, MissingExtraError
from d2oc.export.grids import Grid, grid_for, grid_of, of_cells, sum_in_cells
from d2oc.export.options import ExportOptions
from d2oc.metrics import sample_places, weight_left
from d2oc.phases import Phase
from d2oc.record import Record

__all__ = ["write_mcap"]

FRAME = "field"
"""Frame of the local metres, x east, y north, z up."""
MOST_ROWS = 500_000
"""Drones times ticks at the most; of longer missions every k-th tick is written, and the last."""
GRID_MOMENTS = 200
"""Moments at which the map of what is left is written at the most."""
GRID_INTERVAL_S = 1.0
"""They are no closer than this. [s]"""
DIGITS = 4
"""Places and states are rounded to so many behind the point."""
FLOAT32 = 7
"""Number of the type in a Grid."""
COLOURS = {"boundary": (0.5, 0.5, 0.5), "no-fly": (0.84, 0.37, 0.0), "no-spray": (0.8, 0.47, 0.65)}
"""Red, green and blue of lines on the ground; after Okabe and Ito."""


class Told(NamedTuple):
    """A message."""

    topic: str
    tick: int
    content: Mapping[str, Any]


def write_mcap(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """Write poses, states, places on the globe, maps of what is left and of doses, boundary and zones over time.

    Parameters
    ----------
    record : Record
        Complete or not.
    out : Path
        File to write.
    options : ExportOptions
        Not used.

    Returns
    -------
    paths : list of Path

    Raises
    ------
    MissingExtraError
        If the extra `mcap`, or for a field on the globe `geo`, is not installed.
    """
    try:
        from mcap.writer import Writer
    except ImportError:
        raise MissingExtraError("an MCAP file", "mcap") from None
    clock = _Clock(record)
    try:
        stream = out.open("wb")
    except OSError as error:
        raise ExportError(f"{out}: cannot be written ({error.strerror})") from None
    with stream:
        writer: Any = Writer(stream)
        writer.start(library="d2oc")
        channels = _channels(writer, record)
        for sequence, told in enumerate(_messages(record, clock)):
            writer.add_message(
                channel_id=channels[told.topic],
                log_time=clock.nanoseconds(told.tick),
                publish_time=clock.nanoseconds(told.tick),
                data=json.dumps(told.content, allow_nan=False, separators=(",", ":")).encode(),
                sequence=sequence,
            )
        began = clock.nanoseconds(0)
        writer.add_attachment(began, began, "scenario.toml", "application/toml", record.scenario_toml.encode())
        known = {"name": record.header.name, "seed": str(record.header.seed), "record_digest": record.digest()}
        writer.add_metadata("d2oc", {**known, "d2oc": str(record.provenance.get("versions", {}).get("d2oc", ""))})
        writer.finish()
    return [out]


def _channels(writer: Any, record: Record) -> dict[str, int]:
    """Number of the channel of each topic that a record has something to tell on."""
    lacks = {"/locations": record.header.georeference is None, "/dose/wanted": not record.cells}
    lacks["/dose/laid"] = lacks["/dose/wanted"]
    topics = {topic: told for topic, told in TOPICS.items() if not lacks.get(topic)}
    schemas = {
        name: writer.register_schema(
            name=name, encoding="jsonschema", data=json.dumps({"title": name, **schema}).encode()
        )
        for name, schema in topics.values()
    }
    return {
        topic: writer.register_channel(topic=topic, message_encoding="json", schema_id=schemas[name])
        for topic, (name, _) in topics.items()
    }


class _Clock:
    """Ticks as moments: the mission began when its record was begun."""

    def __init__(self, record: Record) -> None:
        self._step = record.header.time_step_s
        try:
            self._start = round(datetime.fromisoformat(str(record.provenance.get("started"))).timestamp() * 1e9)
        except ValueError:
            self._start = 0

    def nanoseconds(self, tick: int) -> int:
        """Since 1970."""
        return self._start + round(tick * self._step * 1e9)

    def time(self, tick: int) -> dict[str, int]:
        """As a message has it."""
        sec, nsec = divmod(self.nanoseconds(tick), 10**9)
        return {"sec": sec, "nsec": nsec}


def _messages(record: Record, clock: _Clock) -> Iterator[Told]:
    """All messages in the order of time."""
    ticks = set(_ticks(record, max(1, -(-record.n_ticks * record.header.n_agents // MOST_ROWS))))
    every = max(1, math.ceil(record.n_ticks / GRID_MOMENTS), math.ceil(GRID_INTERVAL_S / record.header.time_step_s))
    maps = set(_ticks(record, every))
    drones = _Drones(record, clock)
    yield Told("/scene", 0, _scene(record, clock))
    if record.cells:
        yield Told("/dose/wanted", 0, _dose(record, clock, "target_l_ha", 0))
    for tick in sorted(ticks | maps):
        if tick in maps:
            yield Told("/untreated", tick, _untreated(record, clock, tick))
        if tick in ticks:
            yield from drones.at(tick)
    if record.cells:
        yield Told("/dose/laid", record.n_ticks - 1, _dose(record, clock, "deposit_l_ha", record.n_ticks - 1))


def _ticks(record: Record, stride: int) -> list[int]:
    return sorted({*range(0, record.n_ticks, stride), record.n_ticks - 1})


class _Drones:
    """Poses, states and places on the globe of the team."""

    COLUMNS = ("height_m", "consumed", "believed_remaining", "battery_percent", "charge", "tank_l", "liquid_l",
               "spray_l_min", "fault", "active")  # fmt: skip

    def __init__(self, record: Record, clock: _Clock) -> None:
        self._clock = clock
        self._place = record.by_tick("x_m", "y_m")
        columns = [name for name in self.COLUMNS if name in record.trajectory]
        self._columns = {name: record.by_tick(name)[:, :, 0] for name in columns}
        self._phase = record.by_tick("phase")[:, :, 0] if "phase" in record.trajectory else None
        self._height = self._columns.get("height_m", np.zeros(self._place.shape[:2]))
        self._speed, self._yaw = _motion(self._place, record.header.time_step_s)
        self._globe = _on_the_globe(record)

    def at(self, tick: int) -> Iterator[Told]:
        """All that is told of the drones at a tick."""
        time = self._clock.time(tick)
        agents = range(self._place.shape[1])
        x, y = self._place[tick].T
        poses = [_pose(x[r], y[r], self._height[tick, r], self._yaw[tick, r]) for r in agents]
        yield Told("/drones", tick, {"timestamp": time, "frame_id": FRAME, "poses": poses})
        yield Told("/states", tick, {"timestamp": time, "drones": [self._state(tick, r) for r in agents]})
        if self._globe is not None:
            longitude, latitude = self._globe[tick].T
            fixes = [_fix(time, r, longitude[r], latitude[r], self._height[tick, r]) for r in agents]
            yield Told("/locations", tick, {"fixes": fixes})

    def _state(self, tick: int, r: int) -> dict[str, Any]:
        x, y = self._place[tick, r]
        values = {"x_m": x, "y_m": y, "speed_m_s": self._speed[tick, r]}
        values |= {name: column[tick, r] for name, column in self._columns.items()}
        phase = {} if self._phase is None else {"phase": _phase_name(self._phase[tick, r])}
        return {"number": r, **phase, **{k: _short(v) for k, v in values.items() if math.isfinite(v)}}


def _phase_name(phase: float) -> str:
    return Phase(int(phase)).name.lower().replace("_", " ") if math.isfinite(phase) else "unknown"


def _motion(place: Floats, step: float) -> tuple[Floats, Floats]:
    """Speed [m/s] and direction [rad, anticlockwise from east] of every agent; who stands still keeps looking."""
    way = np.diff(place, axis=0, prepend=place[:1])
    moved = np.linalg.norm(way, axis=2)
    last = np.maximum.accumulate(np.where(moved > 1e-6, np.arange(len(place))[:, None], 0), axis=0)
    there = np.take_along_axis(way, last[:, :, None], axis=0)
    return moved / step, np.arctan2(there[:, :, 1], there[:, :, 0])


def _on_the_globe(record: Record) -> Floats | None:
    """Longitude and latitude, shape (ticks, agents, 2) [deg]; None for a field without a place."""
    if record.header.georeference is None:
        return None
    from d2oc.geo import LocalFrame

    frame = LocalFrame.of_record(record.header.georeference)
    assert frame is not None
    place = record.by_tick("x_m", "y_m")
    return np.asarray(frame.to_lon_lat(place.reshape(-1, 2))).reshape(place.shape)


def _short(value: float) -> float:
    return round(float(value), DIGITS)


def _pose(x: float, y: float, z: float, yaw: float) -> dict[str, Any]:
    return {
        "position": {"x": _short(x), "y": _short(y), "z": _short(z) if math.isfinite(z) else 0.0},
        "orientation": {"x": 0.0, "y": 0.0, "z": _short(math.sin(yaw / 2)), "w": _short(math.cos(yaw / 2))},
    }


def _fix(time: Mapping[str, int], r: int, longitude: float, latitude: float, height: float) -> dict[str, Any]:
    """A drone on the globe; nothing is known of the ground's height, so the altitude is that above the ground."""
    return {
        "timestamp": time, "frame_id": f"drone-{r}", "latitude": round(float(latitude), 8),
        "longitude": round(float(longitude), 8), "altitude": _short(height) if math.isfinite(height) else 0.0,
        "position_covariance": [0.0] * 9, "position_covariance_type": 0,
    }  # fmt: skip


def _scene(record: Record, clock: _Clock) -> dict[str, Any]:
    """Boundary and zones as lines."""
    header = record.header
    rings = [("boundary", header.boundary_m)]
    rings += [("no-fly", zone) for zone in header.no_fly_zones_m]
    rings += [("no-spray", zone) for zone in header.no_spray_zones_m]
    entities = [_ring(clock, f"{kind}-{i}", ring, COLOURS[kind]) for i, (kind, ring) in enumerate(rings)]
    return {"deletions": [], "entities": entities}


def _ring(
    clock: _Clock, name: str, ring: Sequence[Sequence[float]], colour: tuple[float, float, float]
) -> dict[str, Any]:
    line = {
        "type": 1,  # a loop
        "pose": _pose(0.0, 0.0, 0.0, 0.0), "thickness": 2.0, "scale_invariant": True,
        "points": [{"x": _short(x), "y": _short(y), "z": 0.0} for x, y in ring],
        "color": dict(zip("rgba", (*colour, 1.0), strict=True)), "colors": [], "indices": [],
    }  # fmt: skip
    nothing: dict[str, list[Any]] = {
        kind: [] for kind in ("metadata", "arrows", "cubes", "spheres", "cylinders", "triangles", "texts", "models")
    }
    return {
        "timestamp": clock.time(0), "frame_id": FRAME, "id": name, "lifetime": {"sec": 0, "nsec": 0},
        "frame_locked": False, "lines": [line], **nothing,
    }  # fmt: skip


def _untreated(record: Record, clock: _Clock, tick: int) -> dict[str, Any]:
    """What is left, where it is. [% of the whole per ha]"""
    grid, shape = grid_for(record)
    left = sum_in_cells(sample_places(record, tick), weight_left(record, tick), grid, shape)
    return _grid(clock.time(tick), grid, 100 * left / (grid.cell_m**2 / 1e4), "percent_per_ha")


def _dose(record: Record, clock: _Clock, name: str, tick: int) -> dict[str, Any]:
    """A column of the table `cells`. [L/ha]"""
    return _grid(clock.time(tick), grid_of(record), of_cells(record, name), name)


def _grid(time: Mapping[str, int], grid: Grid, values: Floats, name: str) -> dict[str, Any]:
    return {
        "timestamp": time, "frame_id": FRAME, "pose": _pose(grid.origin[0], grid.origin[1], 0.0, 0.0),
        "column_count": values.shape[1], "cell_size": {"x": grid.cell_m, "y": grid.cell_m},
        "row_stride": 4 * values.shape[1], "cell_stride": 4,
        "fields": [{"name": name, "offset": 0, "type": FLOAT32}],
        "data": base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode(),
    }  # fmt: skip


# Schemas: the part of each that is written here.


def _object(**fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(fields)}


def _list(of: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(of)}


_NUMBER, _TEXT, _FLAG = {"type": "number"}, {"type": "string"}, {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_TIME = {"title": "time", **_object(sec=_COUNT, nsec=_COUNT)}
_DURATION = {"title": "duration", **_object(sec=_COUNT, nsec=_COUNT)}
_VECTOR = _object(x=_NUMBER, y=_NUMBER, z=_NUMBER)
_POSE = _object(position=_VECTOR, orientation=_object(x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER))
_COLOUR = _object(r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
_GRID = _object(
    timestamp=_TIME, frame_id=_TEXT, pose=_POSE, column_count=_COUNT, cell_size=_object(x=_NUMBER, y=_NUMBER),
    row_stride=_COUNT, cell_stride=_COUNT, fields=_list(_object(name=_TEXT, offset=_COUNT, type=_COUNT)),
    data={"type": "string", "contentEncoding": "base64"},
)  # fmt: skip
_LINE = _object(
    type=_COUNT, pose=_POSE, thickness=_NUMBER, scale_invariant=_FLAG, points=_list(_VECTOR), color=_COLOUR,
    colors=_list(_COLOUR), indices=_list(_COUNT),
)  # fmt: skip
_SCENE = _object(
    deletions=_list(_object()),
    entities=_list(
        _object(
            timestamp=_TIME, frame_id=_TEXT, id=_TEXT, lifetime=_DURATION, frame_locked=_FLAG, lines=_list(_LINE),
        )
    ),
)  # fmt: skip
_FIX = _object(
    timestamp=_TIME, frame_id=_TEXT, latitude=_NUMBER, longitude=_NUMBER, altitude=_NUMBER,
    position_covariance=_list(_NUMBER), position_covariance_type=_COUNT,
)  # fmt: skip
_STATE = _object(number=_COUNT, phase=_TEXT, **dict.fromkeys(("x_m", "y_m", "speed_m_s", *_Drones.COLUMNS), _NUMBER))

TOPICS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "/scene": ("foxglove.SceneUpdate", _SCENE),
    "/drones": ("foxglove.PosesInFrame", _object(timestamp=_TIME, frame_id=_TEXT, poses=_list(_POSE))),
    "/states": ("d2oc.States", _object(timestamp=_TIME, drones=_list(_STATE))),
    "/locations": ("foxglove.LocationFixes", _object(fixes=_list(_FIX))),
    "/untreated": ("foxglove.Grid", _GRID),
    "/dose/wanted": ("foxglove.Grid", _GRID),
    "/dose/laid": ("foxglove.Grid", _GRID),
}
"""Schema of each topic, by name and as JSON schema."""
