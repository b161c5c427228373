r"""What agents say to each other: one message an agent and tick or a few, to whoever hears them.

A message is a MessagePack array behind which stands the CRC-32 of its bytes (4 bytes, little-endian); docs/swarm.md
describes every field. Consumption travels as *runs*: batches of one log, one a step, without a gap. A log belongs to
one life of one agent: an agent that restarts without its memory counts its boot *epoch* up and begins a new log, so
that what it consumed before is neither lost nor counted twice.

Nothing that comes over the air is trusted: `decode` never raises, it says why it refuses.
"""

from __future__ import annotations

import math
import struct
import zlib
from enum import Enum
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from d2oc.arrays import Floats, Ints, Longs

VERSION = 3
LONGEST_MESSAGE_BYTES = 65_507
"""The longest UDP datagram; longer ones are refused unread."""
CHECKSUM_BYTES = 4
AGENT_BITS = 20
"""Bits of a log's name that hold the number of the agent; the epoch stands above them."""
END_OF_LOGS = 1 << 52
MOST_BATCHES = 1_000_000
"""Steps of the longest mission."""
ENTRY_BYTES = 12
"""Sample (4) and amount (8) of each entry."""
COUNT_BYTES = 2
"""Entries of one batch."""
RUN_BYTES = 28
"""At most, for log, first batch and lengths of a run."""

Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << AGENT_BITS)]
Log = Annotated[int, msgspec.Meta(ge=0, le=END_OF_LOGS)]
Batches = Annotated[int, msgspec.Meta(ge=0, le=MOST_BATCHES)]
Steps = Annotated[int, msgspec.Meta(ge=-1, le=MOST_BATCHES)]
Part = Annotated[int, msgspec.Meta(ge=0, lt=256)]
Mass = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Sighting(NamedTuple):
    """What the sender knows of another agent, at first or second hand."""

    agent: Number
    heard: Steps
    """Last step of which it was heard, -1 before the first."""
    times_lost: Batches
    """Odd while it is held for lost."""
    position_m: tuple[float, float]
    """Where it was then, local ENU. [m]"""


class Run(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Batches of one log, one a step, without a gap."""

    log: Log
    """Whose: see `log_of`."""
    first: Batches
    """Step of the first batch."""
    counts: bytes
    """Entries of each batch, uint16."""
    samples: bytes
    """Sample of each entry, uint32."""
    amounts: bytes
    """Amount of each entry, uint64. [quanta]"""


class Message(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What an agent says in one tick, or a part of it."""

    version: int
    """Of this schema."""
    sender: Number
    epoch: Batches
    """Boots of the sender before this one."""
    tick: Batches
    part: Part
    """Which of the messages that the sender sends in this tick; only the first tells `sightings`, `way` and `known`."""
    n_parts: Part
    """How many there are."""
    position_m: tuple[float, float]
    """Local ENU. [m]"""
    velocity_m_s: tuple[float, float]
    """[m/s]"""
    alpha: Mass
    """Capacity: the mass of one step."""
    steps_left: Batches
    """Capacity: steps of operation left."""
    active: bool
    """Whether the sender is treating."""
    sightings: list[Sighting]
    """What the sender knows of others, some at a time."""
    way: bytes
    """Where the sender will be after this step and the next ones, and at rest from the last on: pairs of float64. [m]

    Empty where its law shares no plan.
    """
    known_from: Log
    """`known` is all that the sender knows of logs from this one on."""
    known_until: Log
    """And below this one."""
    known: dict[Log, Batches]
    """Batches known of each log; none of those left out. Whoever knows more answers with runs."""
    runs: list[Run]
    """Consumption: the sender's own newest, and what others lack."""


class _Head(msgspec.Struct, array_like=True):
    version: int


class Refused(Enum):
    """Why a message was dropped."""

    TOO_LONG = "too long"
    DAMAGED = "damaged"
    """The checksum is wrong."""
    UNKNOWN_VERSION = "unknown version"
    MALFORMED = "malformed"
    """Not a message of this schema."""
    OWN = "own"
    """Says that it comes from its receiver."""


class Batch(NamedTuple):
    """Columns of a run."""

    counts: Ints
    samples: Ints
    quanta: Longs


PLACE_BYTES = 16
"""One place of `Message.way`."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)
_head_decoder = msgspec.msgpack.Decoder(_Head)


def log_of(agent: int, epoch: int) -> int:
    """Name of the log that an agent writes in one life."""
    return epoch << AGENT_BITS | agent


def run_of(log: int, first: int, counts: Ints, samples: Ints, quanta: Longs) -> Run:
    """A run from its columns; the inverse of `columns_of`."""
    return Run(
        log, first, counts.astype("<u2").tobytes(), samples.astype("<u4").tobytes(), quanta.astype("<u8").tobytes()
    )


def columns_of(run: Run) -> Batch:
    """Columns of a run that `decode` let through."""
    return Batch(
        np.frombuffer(run.counts, "<u2").astype(np.int32),
        np.frombuffer(run.samples, "<u4").astype(np.int32),
        np.frombuffer(run.amounts, "<u8").astype(np.int64),
    )


def n_batches(run: Run) -> int:
    """Batches in a run."""
    return len(run.counts) // COUNT_BYTES


def further_part(first: Message, part: int, runs: list[Run]) -> Message:
    """A further message of the same tick, which brings consumption and nothing else."""
    return msgspec.structs.replace(
        first, part=part, sightings=[], way=b"", known_from=0, known_until=0, known={}, runs=runs
    )


def size_of_run(n_batches: Longs, n_entries: Longs) -> Longs:
    """Bytes of a run, at most."""
    return RUN_BYTES + COUNT_BYTES * n_batches + ENTRY_BYTES * n_entries


def size_of(field: object) -> int:
    """Bytes of one field of a message."""
    return len(_encoder.encode(field))


def way_of(message: Message) -> Floats:
    """Places of the sender's way, shape (P, 2). [m]"""
    return np.frombuffer(message.way, "<f8").astype(np.float64).reshape(-1, 2)


def way_bytes(places: Floats) -> bytes:
    """The inverse of `way_of`."""
    return places.astype("<f8").tobytes()


def encode(message: Message) -> bytes:
    """Bytes on air."""
    content = _encoder.encode(message)
    return content + zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little")


def decode(data: bytes) -> Message | Refused:
    """Read what came over the air; any bytes give a sound message or the reason to drop them."""
    if len(data) > LONGEST_MESSAGE_BYTES:
        return Refused.TOO_LONG
    content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little") != checksum:
        return Refused.DAMAGED
    try:
        message = _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Refused.UNKNOWN_VERSION if _is_of_another_version(content) else Refused.MALFORMED
    if message.version != VERSION:
        return Refused.UNKNOWN_VERSION
    return message if _is_sound(message) else Refused.MALFORMED


def _is_of_another_version(content: bytes) -> bool:
    try:
        return _head_decoder.decode(content).version != VERSION
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _is_sound(message: Message) -> bool:
    numbers = (*message.position_m, *message.velocity_m_s, message.alpha)
    places = (number for sighting in message.sightings for number in sighting.position_m)
    if not all(map(math.isfinite, (*numbers, *places))) or any(s.heard >= message.tick for s in message.sightings):
        return False
    if message.part >= message.n_parts:
        return False
    if len(message.way) % PLACE_BYTES or not np.isfinite(np.frombuffer(message.way, "<f8")).all():
        return False
    return all(map(_is_whole, message.runs))


def _is_whole(run: Run) -> bool:
    """Whether the columns of a run fit each other."""
    n_counts, odd = divmod(len(run.counts), COUNT_BYTES)
    if odd or run.first + n_counts > MOST_BATCHES or 2 * len(run.samples) != len(run.amounts):
        return False
    return 4 * sum(struct.unpack(f"<{n_counts}H", run.counts)) == len(run.samples)
