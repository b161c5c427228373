"""What comes over the air, also with a sound checksum, is a message or is dropped; an agent's books stay in order."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
import pytest

from d2oc.agent import Agent, Observation
from d2oc.bus.messages import Message, Refused, decode
from d2oc.density import build_density, sample_density
from d2oc.mission import team_setup
from d2oc.runtime.agents import agent_setups, ground_of_team
from d2oc.scenario import load_scenario
from d2oc.team import SAMPLING_STREAM, random_stream, team_kinds

N_TICKS, PER_TICK = 100, 100
LAWS = ("closed-form", "mission-plan")


def team(law):
    """Agents of a small team, and what they are to treat."""
    changes = {
        "control.law": law, "team.n_agents": 3, "sampling.n_samples": 80, "mission.duration_s": 0.2 * N_TICKS,
        "team.start": "random",
    }  # fmt: skip
    scenario = load_scenario("six_drones", overrides=changes)
    density, field = build_density(scenario.density, scenario.field)
    samples = sample_density(density, field, scenario.sampling, random_stream(scenario, SAMPLING_STREAM))
    setup = team_setup(scenario, field, samples, team_kinds(scenario))
    ground = ground_of_team(setup)
    agents = [Agent(own, ground) for own in agent_setups(setup, ground, 0.2, 1400, give_way=True)]
    return agents, ground, np.array(setup.initial_states)


def said_by(agents, states, n_ticks):
    """Real messages of a flight, to make false ones from."""
    spoken, heard = [], [[] for _ in agents]
    for tick in range(n_ticks):
        outboxes = [
            a.step(Observation(tick, x + 0.1 * tick), inbox).outbox
            for a, x, inbox in zip(agents, states, heard, strict=True)
        ]
        everything = [data for outbox in outboxes for data in outbox]
        heard = [everything] * len(agents)
        spoken += everything
    return spoken


def checksummed(content):
    return content + zlib.crc32(content).to_bytes(4, "little")


NUMBERS = [0, -1, 1, 2**20, 2**31, 2**52, 2**63, -(2**63), 1.5, 1e300, float("nan"), float("inf")]
OTHERS = [None, True, "x", b"", b"\xff" * 16, np.float64(1e300).tobytes() * 4, [], [[]], {}, {1: 1}, {-1: 2**60}]


def mangled(content, rng):
    """A false message made of a true one: bytes changed, cut, put in, or a part of it replaced."""
    way = rng.integers(4)
    if way == 0:
        changed = bytearray(content)
        for _ in range(rng.integers(1, 6)):
            changed[rng.integers(len(changed))] = rng.integers(256)
        return bytes(changed)
    if way == 1:
        at, until = sorted(rng.integers(len(content), size=2))
        return content[:at] + rng.bytes(rng.integers(0, 40)) + content[until:]
    fields = msgspec.msgpack.decode(content, strict=False)
    replace_part(fields, rng)
    return msgspec.msgpack.encode(fields)


def replace_part(parts, rng):
    """Replace a part by another of its kind more often than by anything else."""
    places = list(parts) if isinstance(parts, dict) else list(range(len(parts)))
    if not places:
        return
    place = places[rng.integers(len(places))]
    part = parts[place]
    if isinstance(part, list | dict) and len(part) and rng.random() < 0.8:
        replace_part(part, rng)
    elif isinstance(part, bytes) and rng.random() < 0.8:
        parts[place] = rng.bytes(8 * rng.integers(0, 40))
    elif isinstance(part, float) and rng.random() < 0.8:
        parts[place] = float(rng.normal(scale=10.0 ** rng.integers(-3, 300)))
    else:
        odd = NUMBERS if isinstance(part, int | float) and rng.random() < 0.8 else OTHERS
        parts[place] = odd[rng.integers(len(odd))]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.filterwarnings("default::RuntimeWarning")  # lies about places far outside the world overflow
def test_ten_thousand_false_messages_leave_the_books_in_order(law):
    """Garbage with a sound checksum may lie, but it cannot crash an agent or break what its belief follows from."""
    rng = np.random.default_rng(17)
    agents, _, states = team(law)
    true = [data[:-4] for data in said_by(agents, states, 40)]
    (*_, one), ground, states = team(law)
    n_read = 0
    for tick in range(N_TICKS):
        false = [checksummed(mangled(true[rng.integers(len(true))], rng)) for _ in range(PER_TICK)]
        results = [decode(data) for data in false]
        assert all(isinstance(result, Message | Refused) for result in results)
        n_read += sum(isinstance(result, Message) for result in results)
        command = one.step(Observation(tick, states[2]), false).command
        assert np.isfinite(command).all()
    belief = ground.weights[ground.slot].copy()
    for entries in one.ledger.values():
        for _, sample, amount in entries:
            belief[sample] -= amount
    assert np.array_equal(one.belief, belief)
    assert n_read > 1000
    assert sum(one.refused.values()) > 4000


def test_random_bytes_are_no_messages():
    rng = np.random.default_rng(23)
    for _ in range(20_000):
        data = rng.bytes(rng.integers(0, 200))
        assert isinstance(decode(data), Refused)
        assert isinstance(decode(checksummed(data)), Refused)
