"""A team over a network: one agent in this process, the others wherever they are, all in step.

`NetworkRadio` stands where the simulated radio stands in other runtimes. What the agent says in a tick goes out on a
bus; a tick ends when what the others said in it has come, or when waiting longer makes no sense. What has come then
passes the simulated radio of the scenario, so range, loss and delay are those of a simulated team, message by message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from d2oc.arrays import Floats
from d2oc.bus.messages import Message, Refused, decode
from d2oc.bus.radio import Radio, RadioMemory
from d2oc.errors import BusError

STALE_TICKS = 64
"""What is older than this is dropped unread: it was heard long ago, or nobody needs it any more."""
MOST_PENDING = 256
"""Messages kept of one agent that is ahead."""
ANOTHER_NAME = "under another name"
"""The sender is not the one under whose name the message came."""
REPEATED = "repeated"
"""Heard before, or too old."""
REPEATED_TICKS = 2
"""An agent that waits says its messages of so many ticks again, for those who missed them: others are a tick behind."""


class MessageBus(Protocol):
    """What carries bytes between the processes of a team; see `d2oc.bus.zenoh.ZenohBus`."""

    def publish(self, data: bytes) -> None:
        """Say something to all who listen."""

    def take(self) -> list[tuple[int, bytes]]:
        """What was heard since the last time: under whose name, and what."""

    def wait(self, timeout_s: float) -> None:
        """Wait for something to take, or for somebody to come or go."""

    @property
    def alive(self) -> frozenset[int]:
        """Other agents that are there."""

    def close(self) -> None:
        """Leave the team."""


@dataclass(frozen=True)
class Patience:
    """How long an agent waits for others."""

    gather_s: float = 60.0
    """For the team to come together. [s]"""
    tick_s: float = 10.0
    """For what an agent that is there says in a tick. [s]"""
    repeat_s: float = 0.25
    """Before it says its newest messages again. [s]"""


class NetworkRadio:
    """Carries the messages of one agent and keeps it in step with its team.

    Parameters
    ----------
    bus : MessageBus
        The agent's link to the others.
    radio : Radio
        The simulated radio that the messages pass.
    number : int
        Which agent this is.
    n_steps : sequence of int
        Steps of operation of each agent of the team; it speaks in ticks 0 to that.
    patience : Patience
        How long it waits.
    clock : callable
        Seconds since some moment.
    """

    def __init__(
        self,
        bus: MessageBus,
        radio: Radio,
        number: int,
        n_steps: Sequence[int],
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._radio = radio
        self._number = number
        self._n_steps = list(n_steps)
        self._others = frozenset(range(len(n_steps))) - {number}
        self._patience = patience or Patience()
        self._clock = clock
        self._said: list[tuple[int, bytes]] = []
        self._place: Floats = np.zeros(2)
        self._pending: dict[int, dict[tuple[int, int], tuple[Message, bytes]]] = {r: {} for r in self._others}
        """By tick and part."""
        self._missing: dict[int, dict[int, set[int]]] = {r: {} for r in self._others}
        """Parts still to come of what was heard of each tick."""
        self._newest: dict[int, int] = dict.fromkeys(self._others, -1)
        self._slow: set[int] = set()
        self._tick = 0
        self.dropped = {**{reason.value: 0 for reason in Refused}, ANOTHER_NAME: 0, REPEATED: 0}
        """Messages that the agent is not given, by reason."""
        self.missed = 0
        """Messages not waited for any longer."""

    def gather(self) -> None:
        """Wait until the whole team is there.

        Raises
        ------
        BusError
            If somebody does not come.
        """
        deadline = self._clock() + self._patience.gather_s
        while missing := self._others - self._bus.alive:
            left = deadline - self._clock()
            if left <= 0:
                raise BusError(_who_did_not_come(self._number, missing, self._patience.gather_s))
            self._take()
            self._bus.wait(min(left, self._patience.repeat_s))

    def post(self, tick: int, position: Floats, outboxes: Sequence[Sequence[bytes]]) -> None:
        """Say what the agent says at `tick`; see `Radio.post`, with a team of one."""
        self._place = position[0].copy()
        for data in outboxes[0]:
            self._said = [*((t, d) for t, d in self._said if t > tick - REPEATED_TICKS), (tick, data)]
            self._bus.publish(data)

    def deliver(self, tick: int) -> list[list[bytes]]:
        """What the agent hears at `tick`, after all that was said in the tick before it has come."""
        if tick == 0 or tick > self._n_steps[self._number]:  # nothing was said yet, or the agent is deaf by now
            return [[]]
        before = tick - 1
        self._collect(before)
        position = np.zeros((len(self._n_steps), 2))
        outboxes: list[list[bytes]] = [[] for _ in self._n_steps]
        position[self._number] = self._place
        outboxes[self._number] = [data for said, data in self._said if said == before]
        for other, pending in self._pending.items():
            for said in sorted(when for when in pending if when[0] <= before):
                message, data = pending.pop(said)
                position[other] = message.position_m
                outboxes[other].append(data)
        self._radio.post(before, position, outboxes)
        return [self._radio.deliver(tick)[self._number]]

    def farewell(self) -> None:
        """Stay until the others have what they need from this agent."""
        last = self._n_steps[self._number]
        for tick in (last, last + 1):  # who has said this has heard what was said a tick before
            self._collect(tick)

    def snapshot(self) -> RadioMemory:
        """What the simulated radio remembers; what is on the network is not part of it."""
        return self._radio.snapshot()

    def restore(self, memory: RadioMemory) -> None:
        """Remember what `snapshot` gave."""
        self._radio.restore(memory)

    def _collect(self, tick: int) -> None:
        """Wait for what the others say in a tick."""
        self._tick = tick
        speaking = {r for r in self._others if tick <= self._n_steps[r]}
        now = self._clock()
        deadline, repeat_at = now + self._patience.tick_s, now + self._patience.repeat_s
        while True:
            alive = self._bus.alive  # before taking: who is gone by now has said all that it will ever say
            self._take()
            late = {r for r in speaking & alive - self._slow if not self._has(r, tick)}
            if not late:
                return
            now = self._clock()
            if now >= deadline:
                self._slow |= late
                self.missed += len(late)
                return
            if now >= repeat_at:
                repeat_at = now + self._patience.repeat_s
                for _, data in self._said:
                    self._bus.publish(data)
            self._bus.wait(min(deadline - now, self._patience.repeat_s))

    def _has(self, other: int, tick: int) -> bool:
        """Whether all messages of an agent of a tick have come, or will not come any more."""
        return self._missing[other].get(tick) == set() or self._newest[other] >= tick + REPEATED_TICKS

    def _take(self) -> None:
        """Sort what has come."""
        for sender, data in self._bus.take():
            message = decode(data)
            if isinstance(message, Refused):
                self.dropped[message.value] += 1
            elif message.sender != sender:
                self.dropped[ANOTHER_NAME] += 1
            else:
                self._sort_in(message, data)

    def _sort_in(self, message: Message, data: bytes) -> None:
        sender, missing, pending = message.sender, self._missing[message.sender], self._pending[message.sender]
        parts = missing.get(message.tick, set(range(message.n_parts)))
        if message.part not in parts or message.tick < self._tick - STALE_TICKS or len(pending) >= MOST_PENDING:
            self.dropped[REPEATED] += 1
            return
        missing[message.tick] = parts - {message.part}
        if len(missing) > 2 * (STALE_TICKS + MOST_PENDING):
            for tick in [tick for tick in missing if tick < self._tick - STALE_TICKS]:
                del missing[tick]
        pending[message.tick, message.part] = message, data
        self._newest[sender] = max(self._newest[sender], message.tick)
        if message.tick >= self._tick:
            self._slow.discard(sender)


def _who_did_not_come(number: int, missing: frozenset[int], waited_s: float) -> str:
    names = ", ".join(map(str, sorted(missing)))
    return (
        f"agent {number} waited {waited_s:g} s and does not hear agent{'s' if len(missing) > 1 else ''} {names}: "
        "see that they run, that of two agents one calls the other's address, that all fly the very same scenario and "
        "seed, and that their certificates are of one authority and for their own numbers"
    )
