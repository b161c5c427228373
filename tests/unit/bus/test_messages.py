"""Messages survive the way there and back; whatever else comes over the air is refused and never crashes."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
import pytest

from d2oc.bus import messages
from d2oc.bus.messages import (
    END_OF_LOGS,
    VERSION,
    Message,
    Refused,
    Sighting,
    columns_of,
    decode,
    encode,
    log_of,
    run_of,
    way_bytes,
    way_of,
)


def message(**changes):
    counts, samples, quanta = np.array([2, 0, 1]), np.array([7, 3, 70_000]), np.array([1, 2**52, 5])
    content = {
        "version": VERSION,
        "sender": 3,
        "epoch": 1,
        "tick": 77,
        "part": 0,
        "n_parts": 2,
        "position_m": (1.5, -2.25),
        "velocity_m_s": (0.1, 8.0),
        "alpha": 1 / 3600,
        "steps_left": 523,
        "active": True,
        "sightings": [Sighting(5, 76, 1, (3.5, 4.25)), Sighting(0, -1, 3, (0.0, 0.0))],
        "way": way_bytes(np.array([[1.5, -2.0], [1.6, -1.9]])),
        "known_from": 0,
        "known_until": END_OF_LOGS,
        "known": {log_of(3, 1): 77, 5: 12},
        "runs": [run_of(log_of(3, 1), 74, counts, samples, quanta)],
    }
    return Message(**{**content, **changes})


def framed(content):
    return content + zlib.crc32(content).to_bytes(4, "little")


def test_a_message_comes_back_as_it_was():
    there = message()
    back = decode(encode(there))
    assert back == there
    counts, samples, quanta = columns_of(back.runs[0])
    assert counts.tolist() == [2, 0, 1]
    assert samples.tolist() == [7, 3, 70_000]
    assert quanta.tolist() == [1, 2**52, 5]
    assert way_of(back).tolist() == [[1.5, -2.0], [1.6, -1.9]]


def test_the_head_is_as_small_as_the_agent_counts_on():
    from d2oc.agent import HEAD_BYTES

    largest = message(
        sender=2**20 - 1,
        epoch=2**20 - 1,
        tick=10**6,
        steps_left=10**6,
        known={},
        known_from=2**51,
        runs=[],
        sightings=[],
        way=b"",
    )
    assert len(encode(largest)) <= HEAD_BYTES
    run = run_of(2**51, 10**5, *(np.ones(300, np.int64),) * 3)
    assert len(msgspec.msgpack.encode(run)) <= messages.size_of_run(300, 300)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Refused.DAMAGED),
        (b"\x00" * 3, Refused.DAMAGED),
        (b"\x00" * 70_000, Refused.TOO_LONG),
        (encode(message())[:-1], Refused.DAMAGED),
        (framed(b""), Refused.MALFORMED),
        (framed(b"\xc1"), Refused.MALFORMED),
        (framed(b"\x91" * 5000), Refused.MALFORMED),
        (encode(message(version=1)), Refused.UNKNOWN_VERSION),
        (framed(msgspec.msgpack.encode([1, "of another shape"])), Refused.UNKNOWN_VERSION),
        (framed(msgspec.msgpack.encode([VERSION, "of another shape"])), Refused.MALFORMED),
        (encode(message(position_m=(float("nan"), 0.0))), Refused.MALFORMED),
        (encode(message(velocity_m_s=(0.0, float("inf")))), Refused.MALFORMED),
        (encode(message(alpha=-1e-9)), Refused.MALFORMED),
        (encode(message(sender=2**20)), Refused.MALFORMED),
        (encode(message(tick=-1)), Refused.MALFORMED),
        (encode(message(sightings=[Sighting(5, 77, 0, (0.0, 0.0))])), Refused.MALFORMED),  # of the future
        (encode(message(sightings=[Sighting(5, 7, 0, (0.0, float("nan")))])), Refused.MALFORMED),
        (encode(message(sightings=[Sighting(2**20, 7, 0, (0.0, 0.0))])), Refused.MALFORMED),
        (encode(message(way=b"\0" * 15)), Refused.MALFORMED),
        (encode(message(way=way_bytes(np.array([[0.0, np.inf]])))), Refused.MALFORMED),
        (encode(message(runs=[messages.Run(0, 0, b"\1", b"", b"")])), Refused.MALFORMED),
        (encode(message(runs=[messages.Run(0, 0, b"\1\0", b"", b"")])), Refused.MALFORMED),
        (encode(message(runs=[messages.Run(0, 0, b"\1\0", b"\0" * 4, b"\0" * 7)])), Refused.MALFORMED),
        (encode(message(runs=[messages.Run(0, 10**6, b"\0\0", b"", b"")])), Refused.MALFORMED),
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(data, reason):
    assert decode(data) is reason


def mutated(rng, data):
    """The same bytes with some changed, cut, repeated or swapped for others."""
    data = bytearray(data)
    match rng.integers(5):
        case 0:
            for _ in range(rng.integers(1, 8)):
                data[rng.integers(len(data))] = rng.integers(256)
        case 1:
            del data[rng.integers(len(data)) :]
        case 2:
            at, length = rng.integers(len(data)), rng.integers(1, 40)
            data[at:at] = data[at : at + length]
        case 3:
            at = rng.integers(len(data))
            del data[at : at + rng.integers(1, 20)]
        case 4:
            data = bytearray(rng.bytes(rng.integers(0, 200)))
    return bytes(data)


def test_ten_thousand_damaged_messages_are_refused():
    rng = np.random.default_rng(1)
    whole = encode(message())
    for _ in range(10_000):
        data = mutated(rng, whole)
        assert data == whole or isinstance(decode(data), Refused)


def test_ten_thousand_damaged_messages_with_a_right_checksum_do_not_crash():
    rng = np.random.default_rng(2)
    content = encode(message())[:-4]
    outcomes = [decode(framed(mutated(rng, content))) for _ in range(10_000)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert {Refused.MALFORMED, Refused.UNKNOWN_VERSION} <= set(refused)
    for outcome in outcomes:
        if isinstance(outcome, Message):
            for run in outcome.runs:
                counts, samples, quanta = columns_of(run)
                assert counts.sum() == len(samples) == len(quanta)
