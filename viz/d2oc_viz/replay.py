"""A record as a replay: few numbers, packed small, that a page unpacks and plays.

A replay is a head (plain data) and streams of whole numbers. A stream is coded as differences, folded to numbers that
are not negative (0, -1, 1, -2, ... become 0, 1, 2, 3, ...), their bytes sorted by place, then deflated: positions that
change little take about a byte. ``player.js`` holds the other half.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.density.moving import Moves, motion_from_mapping
from d2oc.faults import SENTENCE, Fault
from d2oc.metrics import sample_places
from d2oc.record import EVENT_CODES, Record, RecordHeader
from d2oc_viz import course
from d2oc_viz.cells import divides, division_at
from d2oc_viz.doses import has_doses, laid
from d2oc_viz.drawing import round_length

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_ROWS = 2_000_000
"""Rows (agents times frames) that a replay shows at the most; of longer missions it leaves ticks out."""
MOST_BYTES = 50_000_000
"""Size of the packed streams at the most; beyond, every second frame is left out until it fits. [byte]"""
MOST_LINKS = 2_000_000
"""Radio contacts (pairs that began to hear each other) at the most; beyond, none are shown."""
MOST_EVENTS = 5_000
"""Events listed at the most."""
FINENESS = 20_000
"""Steps into which the range of a column is divided at least; lengths on the ground into 10 times as many."""
DOSE_STEPS = 1_000
"""Steps into which the range of doses is divided."""
CELL_MOMENTS = 24
"""Moments at which the cells of an assignment are shown."""
MOST_CELL_AGENTS = 150
"""Larger teams are shown without cells, which take seconds a moment."""
WAY_MOMENTS = 65
"""Moments at which the places of samples that move are known at the most; in between they move straight."""
WAY_ERROR = 1e-3
"""Fewer moments will do if samples are never farther from where they are than this share of the field's longer side."""


@dataclass(frozen=True)
class Quantity:
    """What a page shows of a drone."""

    name: str
    label: str
    unit: str
    of: Callable[[Record], Floats | None]
    """Values of shape (ticks, agents), None where the record has none."""
    factor: float = 1.0


@dataclass(frozen=True)
class Replay:
    """What a page plays."""

    head: Mapping[str, Any]
    """Plain data: field, team, time, columns and what was left out."""
    streams: Mapping[str, bytes]
    """Packed numbers by name."""

    @property
    def n_bytes(self) -> int:
        """Size of the streams. [byte]"""
        return sum(map(len, self.streams.values()))


def _taken(*names: str) -> Callable[[Record], Floats | None]:
    """The first of these columns that the record has."""

    def of(record: Record) -> Floats | None:
        found = [name for name in names if name in record.trajectory]
        return course.column(record, found[0]) if found else None

    return of


def _treated(record: Record) -> Floats:
    return np.cumsum(course.column(record, "consumed"), axis=0)


QUANTITIES = (
    Quantity("x_m", "x, east", "m", _taken("x_m")),
    Quantity("y_m", "y, north", "m", _taken("y_m")),
    Quantity("goal_x_m", "goal x", "m", _taken("goal_x_m")),
    Quantity("goal_y_m", "goal y", "m", _taken("goal_y_m")),
    Quantity("height_m", "height", "m", _taken("height_m")),
    Quantity("speed_m_s", "speed", "m/s", course.speed),
    Quantity("tilt_deg", "tilt", "°", course.tilt),
    Quantity("treated", "treated of all", "%", _treated, 100.0),
    Quantity("believed", "believes to remain", "%", _taken("believed_remaining"), 100.0),
    Quantity("battery_percent", "battery", "%", _taken("battery_percent")),
    Quantity("charge", "battery", "%", _taken("charge"), 100.0),
    Quantity("tank_l", "tank", "L", _taken("tank_l", "liquid_l")),
    Quantity("spray_l_min", "spraying", "L/min", _taken("spray_l_min")),
    Quantity("phase", "phase", "", _taken("phase")),
    Quantity("fault", "fault", "", _taken("fault")),
    Quantity("active", "acting", "", _taken("active")),
)
"""In the order in which a page lists them."""
ON_THE_GROUND = {"x_m", "y_m", "goal_x_m", "goal_y_m"}
CODED = {"phase", "fault", "active"}
"""Numbers that stand for words."""
PHASES = ("on the ground", "taking off", "in transit", "on the mission", "returning", "landing", "being served", "lost")


def make_replay(record: Record, *, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> Replay:
    """Pack a record for a page.

    Parameters
    ----------
    record : Record
        Complete or not; one tick suffices.
    most_rows : int
        Agents times frames at the most; the replay shows every k-th tick, k as small as that allows.
    most_bytes : int
        Size of the streams; where it is exceeded, k is doubled.

    Returns
    -------
    replay : Replay
    """
    stride = max(1, -(-record.n_ticks * record.header.n_agents // most_rows))
    replay = _with_stride(record, stride)
    while replay.n_bytes > most_bytes and len(_frames(record, stride)) > 2:
        stride *= 2
        replay = _with_stride(record, stride)
    return replay


def _frames(record: Record, stride: int) -> Ints:
    """Ticks shown: every `stride`-th, and the last."""
    last = record.n_ticks - 1
    return np.unique(np.append(np.arange(0, last + 1, stride), last))


def _with_stride(record: Record, stride: int) -> Replay:
    frames = _frames(record, stride)
    columns, streams = _columns(record, frames)
    links, link_streams = _links(record, frames, stride)
    streams |= link_streams | _samples(record) | _consumption(record, stride)
    ways, way_streams = sample_ways(record.header, sample_places(record, 0), record.n_ticks)
    doses, dose_streams = _doses(record, stride)
    cells, cell_streams = _cells(record)
    streams |= way_streams | dose_streams | cell_streams
    remaining = np.round(course.truly_remaining(record)[frames] * 1e9).astype(np.int64)
    streams["remaining"] = pack(remaining)
    head = head_of(record.header) | {
        "status": record.status,
        "stride": stride,
        "n_frames": len(frames),
        "n_ticks": record.n_ticks,
        "columns": columns,
        "links": links,
        "way_ticks": ways,
        "doses": doses,
        "cell_ticks": cells,
        "events": _events(record),
        "n_events": len(record.events["tick"]),
        "lost": _lost(record),
        "sample_quantum": sample_quantum(record.samples["weight"]),
        "ground_quantum_m": ground_quantum(record.header),
    }
    return Replay(head, streams)


def head_of(header: RecordHeader) -> dict[str, Any]:
    """What a page knows of a mission before the first tick."""
    corners = np.array(header.boundary_m)
    return {
        "name": header.name,
        "seed": header.seed,
        "n_agents": header.n_agents,
        "n_samples": header.n_samples,
        "n_steps": header.n_steps,
        "time_step_s": header.time_step_s,
        "models": [agent.model for agent in header.agents],
        "boundary_m": corners.tolist(),
        "no_fly_zones_m": [np.array(zone).tolist() for zone in header.no_fly_zones_m],
        "no_spray_zones_m": [np.array(zone).tolist() for zone in header.no_spray_zones_m],
        "event_codes": EVENT_CODES,
        "faults": {int(fault): sentence for fault, sentence in SENTENCE.items()},
        "phases": list(PHASES),
    }


def ground_quantum(header: RecordHeader) -> float:
    """Steps in which a page knows places: 1 cm on fields of 1 km. [m]"""
    corners = np.array(header.boundary_m)
    return round_length(float(np.ptp(corners, axis=0).max()) / (10 * FINENESS)) * 2


def _columns(record: Record, frames: Ints) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    columns, streams = [], {}
    for quantity in QUANTITIES:
        value = quantity.of(record)
        if value is None:
            continue
        column, numbers = _quantised(quantity, value[frames].T * quantity.factor, record.header)
        columns.append(column)
        streams[quantity.name] = pack(numbers)
    return columns, streams


def _quantised(quantity: Quantity, value: Floats, header: RecordHeader) -> tuple[dict[str, Any], Ints]:
    """A column as whole numbers, agent by agent: 0 for NaN, else 1 + (value - offset) / quantum."""
    known = value[np.isfinite(value)]
    offset, span = (float(known.min()), float(np.ptp(known))) if len(known) else (0.0, 0.0)
    if quantity.name in ON_THE_GROUND:
        quantum = ground_quantum(header)
    elif quantity.name in CODED:
        offset, quantum = 0.0, 1.0
    else:
        quantum = round_length(max(span, 1e-9) / FINENESS)
    numbers = np.where(np.isfinite(value), 1 + np.round((value - offset) / quantum), 0).astype(np.int64)
    column = {
        "name": quantity.name,
        "label": quantity.label,
        "unit": quantity.unit,
        "offset": offset,
        "quantum": quantum,
    }
    return column, numbers


def sample_quantum(weight: Floats) -> float:
    """Steps in which a page knows the weight of samples: a 1/1000 of the average."""
    return float(weight.sum() / max(len(weight), 1) / 1000)


def _samples(record: Record) -> dict[str, bytes]:
    samples, ground = record.samples, ground_quantum(record.header)
    return {
        "sample_x": pack(_rounded(samples["x_m"], ground)),
        "sample_y": pack(_rounded(samples["y_m"], ground)),
        "sample_weight": pack(_rounded(samples["weight"], sample_quantum(samples["weight"]))),
    }


def _rounded(value: Floats, quantum: float) -> Ints:
    return np.round(value / quantum).astype(np.int64)


def _consumption(record: Record, stride: int) -> dict[str, bytes]:
    """What was taken from which sample until which frame."""
    table = record.consumption
    frame, sample, amount = in_steps(
        -(-table["tick"].astype(np.int64) // stride),
        table["sample"].astype(np.int64),
        table["amount"],
        sample_quantum(record.samples["weight"]),
    )
    return {"taken_frame": pack(frame), "taken_sample": pack(sample), "taken_amount": pack(amount)}


def in_steps(frame: Ints, item: Ints, amount: Floats, quantum: float) -> tuple[Ints, Ints, Ints]:
    """Amounts as whole numbers of a quantum, in the order of time, rounded so that the sums of an item stay true."""
    order = np.lexsort((frame, item))
    item, frame, total = item[order], frame[order], np.cumsum(amount[order])
    first = np.flatnonzero(np.diff(item, prepend=-1))
    before = np.repeat(np.concatenate([[0.0], total])[first], np.diff(first, append=len(item)))
    whole = _rounded(total - before, quantum)
    last = np.flatnonzero((np.diff(item, append=-1) != 0) | (np.diff(frame, append=-1) != 0))
    item, frame, whole = item[last], frame[last], whole[last]
    change = np.diff(whole, prepend=0)
    first = np.flatnonzero(np.diff(item, prepend=-1))
    change[first] = whole[first]
    in_time = np.argsort(frame, kind="stable")
    kept = in_time[change[in_time] != 0]
    return frame[kept], item[kept], change[kept]


def sample_ways(header: RecordHeader, points: Floats, n_ticks: int) -> tuple[list[int], dict[str, bytes]]:
    """Ticks at which a page knows where samples that move are, and their places, sample by sample; none at rest."""
    if header.motion is None:
        return [], {}
    moves = Moves(motion_from_mapping(header.motion), header.time_step_s)
    n_moments = min(2, n_ticks)
    while True:
        ticks = np.unique(np.linspace(0, n_ticks - 1, n_moments).round().astype(np.int64))
        ways = np.stack([moves.between(points, 0, int(tick)) for tick in ticks], axis=1)
        if n_moments >= min(WAY_MOMENTS, n_ticks) or _is_straight(ways, ticks, moves, points, header):
            break
        n_moments = min(2 * n_moments - 1, n_ticks)
    ground = ground_quantum(header)
    return ticks.tolist(), {f"way_{axis}": pack(_rounded(ways[:, :, i], ground)) for i, axis in enumerate("xy")}


def _is_straight(ways: Floats, ticks: Ints, moves: Moves, points: Floats, header: RecordHeader) -> bool:
    """Whether samples are in the middle between two moments where a straight line has them."""
    allowed = WAY_ERROR * float(np.ptp(np.array(header.boundary_m), axis=0).max())
    for k in range(len(ticks) - 1):
        tick = int(ticks[k] + ticks[k + 1]) // 2
        part = (tick - ticks[k]) / (ticks[k + 1] - ticks[k])
        straight = ways[:, k] + part * (ways[:, k + 1] - ways[:, k])
        if np.abs(straight - moves.between(points, 0, tick)).max() > allowed:
            return False
    return True


def _doses(record: Record, stride: int) -> tuple[dict[str, Any] | None, dict[str, bytes]]:
    """Raster of a spraying mission: the dose wanted in each cell, and what came down until which frame."""
    if not has_doses(record):
        return None, {}
    wanted = record.cells["target_l_ha"]
    top = max(float(wanted.max()), float(np.quantile(record.cells["deposit_l_ha"], 0.995)), 1e-9)
    quantum = top / DOSE_STEPS
    tick, cell, dose = laid(record)
    frame, cell, amount = in_steps(-(-tick // stride), cell, dose, quantum)
    return {**(record.header.raster or {}), "top_l_ha": top, "quantum_l_ha": quantum}, {
        "wanted": pack(_rounded(wanted, quantum)),
        "laid_frame": pack(frame),
        "laid_cell": pack(cell),
        "laid_amount": pack(amount),
    }


def _cells(record: Record) -> tuple[list[int], dict[str, bytes]]:
    """Ticks at which the cells of an assignment are shown; for each and each agent the number of corners, and these."""
    if not divides(record) or record.header.n_agents > MOST_CELL_AGENTS:
        return [], {}
    every = np.unique(np.linspace(0, record.n_ticks - 1, CELL_MOMENTS + 1).astype(int)[:-1]).tolist()
    found = [division for tick in every if (division := division_at(record, tick)) is not None]
    corners = [cell for division in found for cell in division.cells]
    counts = np.zeros((len(found), record.header.n_agents), np.int64)
    for i, division in enumerate(found):
        counts[i, division.members] = [len(cell) for cell in division.cells]
    places = _rounded(np.concatenate([np.empty((0, 2)), *corners]), ground_quantum(record.header))
    return [division.tick for division in found], {
        "cell_corners": pack(counts),
        "cell_x": pack(places[:, 0]),
        "cell_y": pack(places[:, 1]),
    }


def _links(record: Record, frames: Ints, stride: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Spans of frames in which two agents heard of each other, in the order of their beginning."""
    messages, n, n_frames = record.messages, record.header.n_agents, len(frames)
    shown = (messages["tick"] % stride == 0) | (messages["tick"] == frames[-1])
    one, other = (messages[name][shown].astype(np.int64) for name in ("sender", "receiver"))
    frame = -(-messages["tick"][shown].astype(np.int64) // stride)
    code = np.unique((np.minimum(one, other) * n + np.maximum(one, other)) * (n_frames + 1) + frame)
    begins = np.flatnonzero(np.diff(code, prepend=-2) != 1)
    ends = np.append(begins[1:], len(code)) - 1 if len(code) else begins
    pair, first = np.divmod(code[begins], n_frames + 1)
    last = code[ends] % (n_frames + 1)
    if len(pair) > MOST_LINKS:
        return {"n": 0, "note": f"{len(pair):,} radio contacts are too many to be shown"}, {}
    order = np.lexsort((pair, first))
    return {"n": len(pair), "note": ""}, {
        "link_pair": pack(pair[order]),
        "link_first": pack(first[order]),
        "link_frames": pack((last - first)[order]),
    }


def _events(record: Record) -> list[list[int]]:
    """Tick, agent and code of the first events."""
    events = record.events
    order = np.argsort(events["tick"], kind="stable")[:MOST_EVENTS]
    return np.column_stack([events[name][order] for name in ("tick", "agent", "code")]).tolist()


def _lost(record: Record) -> list[dict[str, Any]]:
    """Who fell out, when and why."""
    if "fault" not in record.trajectory or record.n_ticks == 0:
        return []
    fault = course.column(record, "fault").astype(int)
    return [
        {"agent": int(r), "tick": int((fault[:, r] > 0).argmax()), "reason": SENTENCE[Fault(fault[-1, r])]}
        for r in np.flatnonzero(fault[-1])
    ]


def pack(numbers: NDArray[np.integer[Any]]) -> bytes:
    """Pack whole numbers nearer to zero than 2^30: differences, folded, bytes sorted by place, deflated."""
    flat = np.ascontiguousarray(numbers, np.int64).ravel()
    change = np.diff(flat, prepend=0).astype(np.int32)
    folded = ((change << 1) ^ (change >> 31)).view(np.uint32).astype("<u4")
    return zlib.compress(folded.view(np.uint8).reshape(-1, 4).T.tobytes(), 6)


def unpack(packed: bytes) -> Ints:
    """The numbers in a stream, flat."""
    planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(4, -1)
    folded = np.ascontiguousarray(planes.T).view("<u4").ravel()
    change = (folded >> 1).astype(np.int64) ^ -(folded & 1).astype(np.int64)
    return np.cumsum(change)


def as_text(streams: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Streams as base64, by name."""
    for name, packed in streams.items():
        yield name, base64.b64encode(packed).decode("ascii")
