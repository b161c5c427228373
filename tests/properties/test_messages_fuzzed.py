"""What comes over the air, also with a sound checksum, is a message or is dropped; an agent's books stay in order."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np

from d2oc.agent import Agent, AgentSetup, Observation, ground_of
from d2oc.bus.messages import Message, Refused, decode
from d2oc.control.d2oc import Law

N_AGENTS, N_SAMPLES, N_STEPS = 3, 80, 200
PER_TICK = 100


def checksummed(content):
    return content + zlib.crc32(content).to_bytes(4, "little")


def ground():
    points = np.random.default_rng(3).uniform(0, 50, (N_SAMPLES, 2))
    return ground_of(points, np.full(N_SAMPLES, 1 / N_SAMPLES), N_AGENTS)


def agent(number):
    identity = np.eye(2)[None, None]
    law = Law(-0.4 * identity, 0.4 * identity, np.ones(1, np.int32))
    setup = AgentSetup(number, N_STEPS, 1 / (N_AGENTS * N_STEPS), law, (0, 1), 0.5, 0)
    return Agent(setup, ground())


def said(n_ticks):
    """Real messages of a flight, to make false ones from."""
    team, spoken, heard = [agent(r) for r in range(2)], [], [[], []]
    for tick in range(n_ticks):
        outboxes = [
            a.step(Observation(tick, np.array([20.0 + tick * (r + 1), 25.0])), heard[r]).outbox
            for r, a in enumerate(team)
        ]
        heard = outboxes[::-1]
        spoken += outboxes[0] + outboxes[1]
    return spoken


ODD_VALUES = [
    0,
    -1,
    1,
    2**20,
    2**31,
    2**52,
    2**63,
    -(2**63),
    1.5,
    float("nan"),
    float("inf"),
    None,
    True,
    "x",
    b"",
    [],
    {},
]


def mangled(content, rng):
    """A false message made of a true one: bytes changed, cut, doubled, or a field replaced."""
    way = rng.integers(5)
    if way == 0:
        changed = bytearray(content)
        for _ in range(rng.integers(1, 6)):
            changed[rng.integers(len(changed))] = rng.integers(256)
        return bytes(changed)
    if way == 1:
        return content[: rng.integers(len(content))]
    if way == 2:
        at = rng.integers(len(content))
        return content[:at] + rng.bytes(rng.integers(1, 40)) + content[at:]
    fields = msgspec.msgpack.decode(content, strict=False)
    if way == 3:
        fields[rng.integers(len(fields))] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
    elif fields[-1]:
        run = fields[-1][rng.integers(len(fields[-1]))]
        field = rng.integers(len(run))
        run[field] = ODD_VALUES[rng.integers(len(ODD_VALUES))] if field < 2 else rng.bytes(8 * rng.integers(0, 40))
    return msgspec.msgpack.encode(fields)


def test_twenty_thousand_false_messages_leave_the_books_in_order():
    """Garbage with a sound checksum may lie, but it cannot crash an agent or break what its belief follows from."""
    rng = np.random.default_rng(17)
    true = [data[:-4] for data in said(40)]
    one, flat = agent(2), ground()
    n_read = 0
    for tick in range(N_STEPS):
        false = [checksummed(mangled(true[rng.integers(len(true))], rng)) for _ in range(PER_TICK)]
        results = [decode(data) for data in false]
        assert all(isinstance(result, Message | Refused) for result in results)
        n_read += sum(isinstance(result, Message) for result in results)
        command = one.step(Observation(tick, np.array([30.0, 20.0])), false).command
        assert np.isfinite(command).all()
    belief = flat.weights[flat.slot].copy()
    for entries in one.ledger.values():
        for _, sample, amount in entries:
            belief[sample] -= amount
    assert np.array_equal(one.belief, belief)
    assert n_read > 1000
    assert sum(one.refused.values()) > 10_000


def test_random_bytes_are_no_messages():
    rng = np.random.default_rng(23)
    for _ in range(20_000):
        data = rng.bytes(rng.integers(0, 200))
        assert isinstance(decode(data), Refused)
        assert isinstance(decode(checksummed(data)), Refused)
