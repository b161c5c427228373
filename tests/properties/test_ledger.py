"""The ledger is a CRDT: news may be lost, repeated, reordered or relayed, and is never counted twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2oc.control.weight_update import consume
from d2oc.ledger import learn, new_belief, new_logs, quantised, quantum_of, with_capacity
from d2oc.transport.nearest_mass import count_alive, sample_tree, search_space

N, L, STEPS = 60, 4, 12


class Team:
    """A small team whose members consume at random places and merge when told to."""

    def __init__(self, seed: int, rule: str = "sum") -> None:
        rng = np.random.default_rng(seed)
        raw = rng.random(N)
        self.beta = raw / raw.sum()
        self.quantum = quantum_of(self.beta, L)
        self.tree = sample_tree(rng.random((N, 2)), self.beta)
        self.initial = quantised(self.beta, self.quantum)[self.tree.sample]
        self.belief = new_belief(self.tree, self.initial, self.quantum, L)
        self.logs = with_capacity(new_logs(L, STEPS, 8, rule), 10_000)
        self.space = search_space(self.tree)
        self.rng = rng
        self.clock = np.zeros(L, int)

    def consume(self, agent: int) -> float:
        step = self.clock[agent]
        self.clock[agent] += 1
        return consume(
            self.tree, self.belief, self.logs, agent, step, self.rng.random(2), 0.04, self.quantum, self.space
        )

    def known(self, agent: int):
        return self.belief.version[agent].copy()

    def learn(self, agent: int, known) -> int:
        return learn(self.tree, self.belief, self.logs, agent, known, self.quantum)[2]

    def state(self, agent: int):
        belief = self.belief
        return (
            np.maximum(belief.weight[agent], 0).tobytes(), belief.alive[agent].tobytes(), int(belief.total[agent]),
            belief.version[agent].tobytes(),
        )  # fmt: skip

    def expected_weight(self, agent: int):
        """max(0, beta - sum of what is known), straight from the definition."""
        consumed = np.zeros(N)
        for writer in range(L):
            for step in range(self.belief.version[agent, writer]):
                first = self.logs.first[writer, step]
                for entry in range(first, first + self.logs.length[writer, step]):
                    consumed[self.logs.slot[entry]] += self.logs.amount[entry]
        return np.maximum(0.0, self.initial - consumed)


def run(team: Team, events) -> list:
    """Consume and post; messages may be delivered never, late, twice, out of order, by way of others."""
    posted = []
    for kind, a, b in events:
        if kind == "consume" and team.clock[a % L] < STEPS:
            team.consume(a % L)
        elif kind == "post":
            posted.append(team.known(a % L))
        elif kind == "deliver" and posted:
            team.learn(b % L, posted[a % len(posted)])
    return posted


EVENTS = st.lists(
    st.tuples(st.sampled_from(["consume", "consume", "post", "deliver"]), st.integers(0, 99), st.integers(0, 99)),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), EVENTS)
def test_belief_is_always_beta_minus_all_that_is_known(seed, events):
    team = Team(seed)
    run(team, events)
    for agent in range(L):
        expected = team.expected_weight(agent)
        assert np.array_equal(np.maximum(team.belief.weight[agent], 0), expected)
        assert team.belief.total[agent] == int((expected / team.quantum).astype(np.int64).sum())
        recount = np.zeros_like(team.belief.alive[agent])
        count_alive(team.tree, expected, recount)
        assert np.array_equal(team.belief.alive[agent], recount)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), EVENTS, st.permutations(range(L)), st.permutations(range(L)))
def test_merge_is_commutative_associative_and_idempotent(seed, events, order, other_order):
    beliefs = []
    for permutation in (order, other_order):
        team = Team(seed)
        run(team, events)
        versions = [team.known(agent) for agent in range(L)]
        for agent in [*permutation, *permutation]:
            team.learn(0, versions[agent])
        beliefs.append(team.state(0))
        assert team.learn(0, versions[permutation[0]]) == 0
        assert team.state(0) == beliefs[-1]
    assert beliefs[0] == beliefs[1]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), EVENTS)
def test_weights_never_rise_and_all_agree_once_all_have_talked(seed, events):
    team = Team(seed)
    before = team.belief.weight.copy()
    for event in events:
        run(team, [event])
        assert (team.belief.weight <= before).all()
        before = team.belief.weight.copy()
    for _ in range(2):  # two rounds of a ring reach everyone over several hops
        for agent in range(L):
            team.learn((agent + 1) % L, team.known(agent))
    assert len({team.state(agent) for agent in range(L)}) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), EVENTS)
def test_minimum_rule_is_the_pointwise_minimum_of_beliefs(seed, events):
    team = Team(seed, "minimum")
    dense = np.tile(team.initial, (L, 1))
    posted = []
    for kind, a, b in events:
        if kind == "consume" and team.clock[a % L] < STEPS:
            team.consume(a % L)
            dense[a % L] = np.minimum(dense[a % L], team.belief.weight[a % L])
        elif kind == "post":
            posted.append((team.known(a % L), dense[a % L].copy()))
        elif kind == "deliver" and posted:
            version, weights = posted[a % len(posted)]
            team.learn(b % L, version)
            dense[b % L] = np.minimum(dense[b % L], weights)
        assert np.array_equal(team.belief.weight, dense)


def test_minimum_rule_undercounts_where_the_sum_does_not():
    """Two agents consume the same sample unknown to each other: the sum keeps both amounts."""
    remaining = {}
    for rule in ("sum", "minimum"):
        team = Team(1, rule)
        for agent in (0, 1):
            team.rng = np.random.default_rng(9)  # both at the same place
            team.consume(agent)
        team.learn(0, team.known(1))
        remaining[rule] = team.belief.total[0] * team.quantum
    assert remaining["sum"] == pytest.approx(1 - 0.08, abs=0.04)
    assert remaining["minimum"] == pytest.approx(1 - 0.04, abs=1e-12)
    assert remaining["sum"] <= remaining["minimum"]


def test_sums_are_exact_whatever_the_weights():
    rng = np.random.default_rng(0)
    for n_agents in (1, 6, 1000):
        weights = rng.random(1000) ** 8
        weights /= weights.sum()
        quantum = quantum_of(weights, n_agents)
        rounded = quantised(weights, quantum)
        assert np.abs(rounded - weights).max() <= quantum / 2
        assert n_agents * rounded.max() / quantum <= 2**53
        assert quantum == 2.0 ** round(np.log2(quantum))
