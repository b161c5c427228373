r"""A simulated radio: who hears which message, and when.

A message posted in one tick is heard in the next one at the earliest. Whether a link loses it, and how long it takes,
is decided by a hash of (seed, tick, sender, receiver, purpose), never by a running generator: the outcome is the same
whatever the order, the number of processes or the way agents are packed in them. An agent hears messages in the order
(tick posted, sender).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Flags, Floats, Ints
from d2oc.bus.perfect import PerfectBus

LOSS, JITTER = 0, 1
"""Purposes of a draw."""


@dataclass(frozen=True)
class Span:
    """A time during which something holds, from its begin to before its end. [s]"""

    begin: float = 0.0
    end: float = math.inf

    def holds(self, time: float) -> bool:
        """Whether it holds at a time."""
        return self.begin <= time < self.end


@dataclass(frozen=True)
class JammingZone:
    """A circle in which nobody hears anything."""

    centre: tuple[float, float]
    radius: float
    span: Span


@dataclass(frozen=True)
class Outage:
    """Agents whose radios neither send nor hear."""

    agents: tuple[int, ...]
    span: Span


@dataclass(frozen=True)
class Partition:
    """Agents in different groups do not hear each other; agents in no group form one more."""

    groups: tuple[tuple[int, ...], ...]
    span: Span


@dataclass(frozen=True)
class RadioModel:
    """Properties of all links."""

    comm_range: float
    """Agents at this distance and beyond do not hear each other. [m]"""
    time_step: float
    """Control period. [s]"""
    loss: float = 0.0
    """Share of messages lost side by side."""
    loss_at_range: float = 0.0
    """Share lost at the edge of the range, if more; between them it grows with the square of the distance."""
    delay: float = 0.0
    """Time on the way, beyond the tick it always takes. [s]"""
    jitter: float = 0.0
    """Up to this much longer, evenly distributed. [s]"""
    bandwidth: float = math.inf
    """What one agent can send; messages beyond are lost. [byte/s]"""
    message_limit: int = 1400
    """What a message should not exceed; a sender may save up bandwidth for one of this size. [byte]"""
    jamming: tuple[JammingZone, ...] = ()
    outages: tuple[Outage, ...] = ()
    partitions: tuple[Partition, ...] = ()

    @property
    def perfect(self) -> bool:
        """Whether every message in range arrives in the next tick."""
        faults = (self.loss, self.loss_at_range, self.delay, self.jitter, self.jamming, self.outages, self.partitions)
        return not any(faults) and math.isinf(self.bandwidth)


class Delivery(NamedTuple):
    """A message on its way."""

    due: int
    receiver: int
    posted: int
    sender: int
    number: int
    """Which of the sender's messages of that tick."""
    data: bytes


class RadioMemory(NamedTuple):
    """All that a radio remembers."""

    on_the_way: list[Delivery]
    budget: list[float]
    bytes_on_air: int
    n_sent: int


class Radio:
    """Carries the messages of a team.

    Parameters
    ----------
    model : RadioModel
        Properties of the links.
    n_agents : int
        Size of the team.
    seed : int
        Seed of losses and delays.
    """

    def __init__(self, model: RadioModel, n_agents: int, seed: int) -> None:
        self._model = model
        self._n_agents = n_agents
        self._seed = seed
        self._bus = PerfectBus(model.comm_range)
        self._on_the_way: list[Delivery] = []
        self._budget: Floats = np.zeros(n_agents)
        self.bytes_on_air = 0
        """Bytes sent so far, each message once however many hear it."""
        self.n_sent = 0
        """Messages sent so far."""

    def post(self, tick: int, position: Floats, outboxes: Sequence[Sequence[bytes]]) -> None:
        """Take what agents say at `tick`.

        Parameters
        ----------
        tick : int
            Now.
        position : ndarray, shape (L, 2)
            Where everyone is, local ENU. [m]
        outboxes : sequence of sequences of bytes
            Messages of each agent.
        """
        sent = [self._within_bandwidth(r, outbox) for r, outbox in enumerate(outboxes)]
        self.n_sent += sum(map(len, sent))
        self.bytes_on_air += sum(len(data) for outbox in sent for data in outbox)
        on_air = np.array([len(outbox) > 0 for outbox in sent])
        sender, receiver = self._links(tick, position, on_air)
        due = tick + 1 + self._delays(tick, sender, receiver)
        for s, r, d in zip(sender.tolist(), receiver.tolist(), due.tolist(), strict=True):
            self._on_the_way += [Delivery(d, r, tick, s, i, data) for i, data in enumerate(sent[s])]

    def deliver(self, tick: int) -> list[list[bytes]]:
        """What each agent hears at `tick`."""
        arrived = [delivery for delivery in self._on_the_way if delivery.due <= tick]
        self._on_the_way = [delivery for delivery in self._on_the_way if delivery.due > tick]
        inboxes: list[list[bytes]] = [[] for _ in range(self._n_agents)]
        for delivery in sorted(arrived, key=lambda d: (d.posted, d.sender, d.number)):
            inboxes[delivery.receiver].append(delivery.data)
        return inboxes

    def snapshot(self) -> RadioMemory:
        """All that it remembers."""
        return RadioMemory(self._on_the_way, self._budget.tolist(), self.bytes_on_air, self.n_sent)

    def restore(self, memory: RadioMemory) -> None:
        """Remember what `snapshot` gave and nothing else."""
        self._on_the_way = list(memory.on_the_way)
        self._budget = np.array(memory.budget)
        self.bytes_on_air, self.n_sent = memory.bytes_on_air, memory.n_sent

    def _within_bandwidth(self, r: int, outbox: Sequence[bytes]) -> list[bytes]:
        if math.isinf(self._model.bandwidth):
            return list(outbox)
        share = self._model.bandwidth * self._model.time_step
        self._budget[r] = min(self._budget[r] + share, max(share, self._model.message_limit))
        sent = []
        for data in outbox:
            if len(data) <= self._budget[r]:
                self._budget[r] -= len(data)
                sent.append(data)
        return sent

    def _links(self, tick: int, position: Floats, on_air: Flags) -> tuple[Ints, Ints]:
        """Links that carry a message posted now."""
        # Everyone may listen: whether an agent still does is its own affair.
        sender, receiver = self._bus.links(position, np.ones(self._n_agents, np.bool_))
        time = tick * self._model.time_step
        open_links = on_air[sender] & ~self._jammed(time, position)[receiver]
        dead = self._dead(time)
        open_links &= ~dead[sender] & ~dead[receiver]
        for partition in self._model.partitions:
            if partition.span.holds(time):
                group = _groups(partition, self._n_agents)
                open_links &= group[sender] == group[receiver]
        open_links &= ~self._lost(tick, sender, receiver, position)
        return sender[open_links], receiver[open_links]

    def _jammed(self, time: float, position: Floats) -> Flags:
        jammed = np.zeros(self._n_agents, np.bool_)
        for zone in self._model.jamming:
            if zone.span.holds(time):
                jammed |= ((position - zone.centre) ** 2).sum(axis=1) < zone.radius**2
        return jammed

    def _dead(self, time: float) -> Flags:
        dead = np.zeros(self._n_agents, np.bool_)
        for outage in self._model.outages:
            if outage.span.holds(time):
                dead[list(outage.agents)] = True
        return dead

    def _lost(self, tick: int, sender: Ints, receiver: Ints, position: Floats) -> Flags:
        model = self._model
        if not model.loss and not model.loss_at_range:
            return np.zeros(len(sender), np.bool_)
        away = ((position[sender] - position[receiver]) ** 2).sum(axis=1) / model.comm_range**2
        chance = model.loss + max(0.0, model.loss_at_range - model.loss) * away
        return np.asarray(draws(self._seed, tick, sender, receiver, LOSS) < chance)

    def _delays(self, tick: int, sender: Ints, receiver: Ints) -> NDArray[np.int64]:
        """Ticks on the way beyond the first."""
        model = self._model
        late = model.delay + model.jitter * draws(self._seed, tick, sender, receiver, JITTER)
        return np.ceil(late / model.time_step - 1e-9).astype(np.int64)


def _groups(partition: Partition, n_agents: int) -> Ints:
    group = np.zeros(n_agents, np.int32)
    for i, members in enumerate(partition.groups):
        group[list(members)] = i + 1
    return group


def draws(seed: int, tick: int, sender: Ints, receiver: Ints, purpose: int) -> Floats:
    """Even draws from [0, 1), one a link, that depend on these numbers and nothing else.

    The finaliser of SplitMix64 [1]_ is applied after each number is added.

    References
    ----------
    .. [1] G. L. Steele, D. Lea, C. H. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
       :doi:`10.1145/2660193.2660195`
    """
    word: NDArray[np.uint64] = np.full(len(sender), seed, np.uint64)
    for number in (np.full(len(sender), tick), sender, receiver, np.full(len(sender), purpose)):
        word = _mixed(word + number.astype(np.uint64) + np.uint64(1))
    return np.asarray((word >> np.uint64(11)) * 2.0**-53)


def _mixed(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    word = word * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
