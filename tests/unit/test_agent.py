"""An agent knows what it was told and nothing else; news is never lost for good and never counted twice."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.agent import MOST_MESSAGES, ROW_INTERVAL_TICKS, Agent, AgentSetup, Observation, ground_of
from d2oc.bus.messages import Message, Refused, decode, encode, log_of
from d2oc.bus.radio import Partition, Radio, RadioModel, Span
from d2oc.control.d2oc import Law
from d2oc.control.published_pilot import PublishedBrief
from d2oc.runtime.shard import Shard

TIME_STEP = 0.5
N_STEPS = 80
GAIN = 0.4


def law():
    """Towards the goal: the input is a velocity."""
    identity = np.eye(2)[None, None]
    return Law(-GAIN * identity, GAIN * identity, np.ones(1, np.int32))


def ground(n_samples=150, n_agents=5):
    points = np.random.default_rng(7).uniform(0, 100, (n_samples, 2))
    return ground_of(points, np.full(n_samples, 1 / n_samples), n_agents)


def setup_of(number, n_agents=5, **changes):
    content = {
        "number": number,
        "n_steps": N_STEPS,
        "alpha": 1 / (n_agents * N_STEPS),
        "law": law(),
        "position_states": (0, 1),
        "time_step": TIME_STEP,
        "negligible": 0,
        "brief": PublishedBrief(number, give_way=True),
    }
    return AgentSetup(**{**content, **changes})


class Flight:
    """Single integrators that a loop moves and a radio connects."""

    def __init__(self, radio=None, n_agents=5, n_samples=150, seed=11, **changes):
        self.ground = ground(n_samples, n_agents)
        self.shard = Shard([setup_of(r, n_agents, **changes) for r in range(n_agents)], self.ground)
        model = radio or RadioModel(np.inf, TIME_STEP)
        self.radio = Radio(model, n_agents, seed)
        self.state = np.random.default_rng(3).uniform(0, 100, (n_agents, 2))
        self.consumed = np.zeros((n_agents, n_samples))
        self.tick = 0
        self.fix = np.ones(n_agents, np.bool_)

    @property
    def agents(self):
        return self.shard.agents

    def fly(self, ticks):
        for _ in range(ticks):
            outcomes = self.shard.step(self.tick, self.state, self.fix, self.radio.deliver(self.tick))
            agent, sample, amount = outcomes.consumption
            np.add.at(self.consumed, (agent, sample), amount)
            self.radio.post(self.tick, self.state, outcomes.outboxes)
            self.state = self.state + TIME_STEP * outcomes.command
            self.tick += 1
        return self

    def expected_belief(self, agent):
        """Weights less what the agent's own ledger lists, each entry once."""
        belief = self.ground.weights[self.ground.slot].copy()
        for entries in agent.ledger.values():
            for _, sample, amount in entries:
                belief[sample] -= amount
        return belief


def lossy(loss, **changes):
    return RadioModel(60.0, TIME_STEP, loss=loss, jitter=0.7, **changes)


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.6, 0.9])
def test_nothing_is_counted_twice_whatever_is_lost(loss):
    flight = Flight(lossy(loss))
    for _ in range(4):
        flight.fly(N_STEPS // 4)
        for agent in flight.agents:
            assert np.array_equal(agent.belief, flight.expected_belief(agent))
            told = np.zeros_like(flight.consumed)
            for name, entries in agent.ledger.items():
                for step, sample, amount in entries:
                    told[name, sample] += amount
                    assert step < agent.known[name]
            assert (told <= flight.consumed).all()  # whole multiples of the quantum: no rounding
            assert np.array_equal(told[agent.number], flight.consumed[agent.number])


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_two_rounds_after_a_partition_all_know_what_was_known_when_it_healed(loss):
    split = Partition(((0, 1),), Span(5.0, 25.0))
    flight = Flight(RadioModel(np.inf, TIME_STEP, loss=loss, partitions=(split,)), n_samples=600).fly(50)
    assert max(agent.known.get(log_of(4, 0), 0) for agent in flight.agents[:2]) <= 10  # heard before
    told = {agent.number: [e for e in agent.ledger[agent.number] if e[0] < 49] for agent in flight.agents}
    flight.fly(2 * ROW_INTERVAL_TICKS)
    for agent in flight.agents:
        for number, entries in told.items():
            assert agent.ledger[number][: len(entries)] == entries


@pytest.mark.parametrize(("loss", "seed"), [(0.0, 11), (0.3, 11), (0.6, 11), *((0.9, seed) for seed in range(5))])
def test_a_minute_apart_is_made_up_for_in_two_rounds(loss, seed):
    """A round is the time in which every log is said once: 5 agents, 25 ticks."""
    split = Partition(((0, 1),), Span(5.0, 65.0))
    radio = RadioModel(np.inf, TIME_STEP, loss=loss, partitions=(split,))
    flight = Flight(radio, seed=seed, n_samples=2500, n_steps=400, alpha=1 / 2000).fly(130)
    then = {agent.number: agent.known[agent.number] for agent in flight.agents}
    assert all(flight.agents[0].known.get(number, 0) < 20 for number in (2, 3, 4))
    flight.fly(2 * ROW_INTERVAL_TICKS * len(flight.agents))
    for agent in flight.agents:
        assert all(agent.known[number] >= n for number, n in then.items())
        assert np.array_equal(agent.belief, flight.expected_belief(agent))
    assert len({remaining(agent, then).tobytes() for agent in flight.agents}) == 1


def remaining(agent, then):
    """An agent's belief, without what was consumed later."""
    belief = agent.belief.copy()
    for name, entries in agent.ledger.items():
        for step, sample, amount in entries:
            belief[sample] += amount if step >= then[name] else 0.0
    return belief


@pytest.mark.parametrize(("loss", "fewest", "most"), [(0.0, 1, 1), (0.9, 3, MOST_MESSAGES)])
def test_an_agent_says_as_much_at_once_as_is_lost(loss, fewest, most):
    agent = Flight(RadioModel(np.inf, TIME_STEP, loss=loss), n_samples=600).fly(40).agents[0]
    lacking = agent._lacking(40, [])
    all_of_it = {row: (0, n) for row, n in enumerate(agent._belief.version[0].tolist()) if n}
    outbox = agent._messages(40, lacking._replace(spans=all_of_it))
    assert fewest <= len(outbox) <= most
    parts = [decode(data) for data in outbox]
    assert [(message.part, message.n_parts) for message in parts] == [(i, len(parts)) for i in range(len(parts))]


def test_what_comes_before_its_turn_waits_and_counts_once():
    speaker, listener = (Agent(setup_of(r), ground()) for r in range(2))
    said = [decode(speaker.step(Observation(tick, np.array([10.0 + tick, 20.0])), []).outbox[0]) for tick in range(12)]
    here = np.array([90.0, 90.0])
    for tick, (which, known) in enumerate([(11, 0), (7, 0), (11, 0), (4, 11)], 12):
        listener.step(Observation(tick, here), [encode(said[which])])
        assert listener.known[0] == known
        assert np.array_equal(listener.belief, expected(listener))
    assert listener.ledger[0] == speaker.ledger[0][: len(listener.ledger[0])]


def test_what_is_far_ahead_is_not_kept():
    speaker, listener = (Agent(setup_of(r), ground()) for r in range(2))
    outbox = [speaker.step(Observation(tick, np.array([50.0, 50.0])), []).outbox for tick in range(3)][-1]
    message = decode(outbox[0])
    run = message.runs[0]
    late = type(run)(run.log, 900_000, run.counts, run.samples, run.amounts)
    bad = Message(*(getattr(message, name) for name in message.__struct_fields__[:-1]), [late])
    before = listener.memory_bytes
    listener.step(Observation(0, np.array([50.0, 50.0])), [encode(bad)])
    assert listener.memory_bytes == before
    assert 0 not in listener.known


def test_after_the_mission_all_beliefs_are_equal():
    """The radios go on for one tick after the last step, so with loss the very last news may be missing."""
    flight = Flight(n_samples=60).fly(N_STEPS + 1)
    beliefs = [agent.belief for agent in flight.agents]
    versions = [agent.known for agent in flight.agents]
    for version in versions:
        assert {name: n for name, n in version.items() if n >= N_STEPS - 1} == version
    one_behind = 2 * 5 / (5 * N_STEPS)
    assert max(np.abs(belief - beliefs[0]).sum() for belief in beliefs) <= one_behind


def test_a_one_way_link_heals_without_being_asked():
    """Agent 1 hears agent 0, who never hears anything, through a radio that loses half of it."""
    speaker, listener = (Agent(setup_of(r), ground()) for r in range(2))
    keep = np.random.default_rng(5).random(400) < 0.5
    for tick in range(N_STEPS + 1):
        outcome = speaker.step(Observation(tick, np.array([10.0 + tick, 20.0])), [])
        listener.step(Observation(tick, np.array([90.0, 90.0])), outcome.outbox if keep[tick] else [])
    assert listener.known[0] > N_STEPS / 4


def test_own_news_comes_in_the_next_message():
    agent = Agent(setup_of(0), ground())
    agent.step(Observation(0, np.array([50.0, 50.0])), [])
    outcome = agent.step(Observation(1, np.array([51.0, 50.0])), [])
    message = decode(outcome.outbox[0])
    assert message.velocity_m_s == (2.0, 0.0)
    assert message.steps_left == N_STEPS - 1
    assert message.known == {0: 1}
    assert [(run.log, run.first, len(run.counts) // 2) for run in message.runs] == [(0, 0, 1)]
    assert outcome.report.consumed == pytest.approx(1 / (5 * N_STEPS))


def test_messages_keep_to_their_limit():
    flight = Flight(lossy(0.5), message_limit_bytes=300)
    largest = 0
    for _ in range(N_STEPS):
        flight.fly(1)
        largest = max(largest, *(len(d.data) for d in flight.radio._on_the_way), 0)
    assert 200 < largest <= 300


def test_a_lower_number_goes_first():
    """Two agents in one place with one sample each to take: the second leaves the first one's to it."""
    points = np.array([[50.0, 50.0], [60.0, 50.0]])
    flat = ground_of(points, np.array([0.5, 0.5]), 2)
    first, second = (Agent(setup_of(r, alpha=0.5), flat) for r in range(2))
    place = np.array([54.0, 50.0])
    spoken = first.step(Observation(0, place), []).outbox
    assert second.step(Observation(0, place), []).report.goal[0] == pytest.approx(50.0)
    assert first.step(Observation(1, place), []).report.samples.tolist() == [0]
    outcome = second.step(Observation(1, place), spoken)
    assert outcome.report.samples.tolist() == [1]


def test_an_exhausted_agent_is_silent_and_deaf():
    speaker, other = (Agent(setup_of(r), ground()) for r in range(2))
    outbox = speaker.step(Observation(0, np.array([10.0, 10.0])), []).outbox
    outcome = other.step(Observation(N_STEPS + 1, np.array([20.0, 20.0])), outbox)
    assert outcome.outbox == []
    assert not outcome.command.any()
    assert len(outcome.report.heard.sender) == 0


def test_a_boot_without_memory_begins_a_new_log():
    """What the agent consumed before comes back to it over the air, as that of somebody else."""
    here, there = np.array([30.0, 30.0]), np.array([70.0, 70.0])
    witness, before = Agent(setup_of(1), ground()), Agent(setup_of(0), ground())
    heard, spoken = [], []
    for tick in range(10):
        said = before.step(Observation(tick, here), spoken).outbox
        spoken = witness.step(Observation(tick, there), heard).outbox
        heard = said
    after = Agent(setup_of(0, epoch=1), ground())
    replayed = list(heard)
    for tick in range(10, 30):
        said = after.step(Observation(tick, here), spoken).outbox
        spoken = witness.step(Observation(tick, there), heard + replayed).outbox
        heard = said
    old, new = log_of(0, 0), log_of(0, 1)
    assert after.known[old] == witness.known[old] >= 8
    assert witness.known[new] >= 28
    assert len(after.ledger[old]) == len(witness.ledger[old]) > 0
    assert np.array_equal(witness.belief, expected(witness))
    assert np.array_equal(after.belief, expected(after))


def expected(agent):
    belief = ground().weights[ground().slot].copy()
    for entries in agent.ledger.values():
        for _, sample, amount in entries:
            belief[sample] -= amount
    return belief


def test_garbage_and_replays_do_no_harm():
    """10,000 damaged, repeated and late messages: the agent does exactly what it does without them."""
    rng = np.random.default_rng(9)
    plain, plagued, other = (Agent(setup_of(r), ground()) for r in (1, 1, 0))
    spoken, past = [], []
    for tick in range(50):
        place = np.array([40.0 + tick, 45.0])
        past += spoken
        garbage = [rng.bytes(rng.integers(0, 300)) for _ in range(130)]
        for data in past[-20:]:
            for _ in range(5):
                damaged = bytearray(data)
                damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
                garbage.append(bytes(damaged))
        replays = [past[i] for i in rng.integers(len(past), size=20)] if past else []
        one = plain.step(Observation(tick, place), spoken)
        two = plagued.step(Observation(tick, place), [*spoken, *garbage, *replays, *one.outbox])
        assert np.array_equal(one.command, two.command)
        assert one.outbox == two.outbox
        assert one.report.remaining == two.report.remaining
        spoken = other.step(Observation(tick, np.array([60.0, 60.0])), one.outbox).outbox
    assert plagued.refused[Refused.DAMAGED] > 10_000
    assert plagued.refused[Refused.OWN] == 50


def test_sound_messages_about_samples_that_do_not_exist_are_refused():
    agent = Agent(setup_of(1), ground())
    other = Agent(setup_of(0), ground(n_samples=400))
    for tick in range(3):
        outbox = other.step(Observation(tick, np.array([50.0, 50.0])), []).outbox
        message = decode(outbox[0])
        assert isinstance(message, Message)
        runs = [
            type(run)(run.log, run.first, run.counts, b"\xff" * len(run.samples), run.amounts) for run in message.runs
        ]
        bad = Message(*(getattr(message, name) for name in message.__struct_fields__[:-1]), runs)
        agent.step(Observation(tick, np.array([50.0, 50.0])), [encode(bad)])
    assert agent.refused[Refused.MALFORMED] == 2
    assert agent.known.get(0, 0) == 0


def test_a_restored_agent_does_what_the_lost_one_would_have_done():
    flight = Flight(lossy(0.4)).fly(30)
    other = Shard([setup_of(r) for r in range(5)], flight.ground)
    other.restore(flight.shard.snapshot())
    assert other.snapshot() == flight.shard.snapshot()
    for _ in range(40):
        inboxes = flight.radio.deliver(flight.tick)
        one = flight.shard.step(flight.tick, flight.state, flight.fix, inboxes)
        two = other.step(flight.tick, flight.state, flight.fix, inboxes)
        assert one.outboxes == two.outboxes
        assert np.array_equal(one.command, two.command)
        assert np.array_equal(one.remaining, two.remaining)
        flight.radio.post(flight.tick, flight.state, one.outboxes)
        flight.state = flight.state + TIME_STEP * one.command
        flight.tick += 1
