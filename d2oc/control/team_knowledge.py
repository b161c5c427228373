"""What each agent knows of the others: when and where it last heard them, at first or second hand, and who is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from d2oc.arrays import Flags, Floats, Ints, Longs
from d2oc.bus.messages import Message, Sighting
from d2oc.memory import copies

SILENT_STEPS = 20
"""An agent that should have been heard in this many steps running, and was not, is held for lost."""

TOLD_AGENTS = 16
"""Others of which one message tells; a larger team takes turns."""


class TeamKnowledge:
    """Row r of each array is what agent r knows; messages merge rows by their larger entries, so order is no matter."""

    def __init__(self, n_agents: int, *, n_rows: int | None = None) -> None:
        rows = n_agents if n_rows is None else n_rows
        self._heard: Ints = np.full((rows, n_agents), -1, np.int32)
        """Step of the last word of each agent, -1 before the first."""
        self._times_lost: Ints = np.zeros((rows, n_agents), np.int32)
        """Odd while lost."""
        self._silent: Ints = np.zeros((rows, n_agents), np.int32)
        """Steps running in which an agent was expected and not heard."""
        self._track: list[Floats] = []

    def hear(self, k: int, sender: Ints, receiver: Ints, position: Floats) -> Flags:
        """Take in the messages of step k.

        Parameters
        ----------
        k : int
            Step of the mission.
        sender, receiver : ndarray of int32, shape (links,)
            Messages that arrived.
        position : ndarray, shape (L, 2)
            Where the senders are; each is read only by those who heard of it. [m]

        Returns
        -------
        changed : ndarray of bool, shape (L,)
            Who learned that an agent is lost or back.
        """
        self._track.append(position.copy())
        before = self._times_lost & 1
        posted, lost = self._heard.copy(), self._times_lost.copy()
        np.maximum.at(self._heard, receiver, posted[sender])
        np.maximum.at(self._times_lost, receiver, lost[sender])
        self._heard[receiver, sender] = k
        self._silent += 1
        self._silent[receiver, sender] = 0
        back = self._times_lost[receiver, sender] & 1 == 1
        self._times_lost[receiver[back], sender[back]] += 1
        return np.asarray((before != self._times_lost & 1).any(axis=1))

    def miss(self, expected: Flags) -> Flags:
        """Hold for lost who was expected, shape (rows, L), and silent for too long; returns who came to know of one."""
        self._silent[~expected] = 0
        lost = (self._silent >= SILENT_STEPS) & (self._times_lost & 1 == 0)
        self._times_lost[lost] += 1
        return np.asarray(lost.any(axis=1))

    @property
    def memory_bytes(self) -> int:
        """Memory of all rows. [byte]"""
        return self._heard.nbytes + self._times_lost.nbytes + self._silent.nbytes

    def flying(self, r: int) -> Flags:
        """Whom agent r does not hold for lost, shape (L,)."""
        return np.asarray(self._times_lost[r] & 1 == 0)

    def steps_since_heard(self, k: int) -> Ints:
        """Steps since each agent was last heard of, as each knows; k + 1 if never, shape (rows, L)."""
        return np.asarray(k - self._heard, np.int32)

    def positions(self, r: int, before: Floats) -> Floats:
        """Where agent r last heard each other, and `before` for those it never heard, shape (L, 2). [m]"""
        heard = self._heard[r]
        known = before.copy()
        for q in np.flatnonzero(heard >= 0):
            known[q] = self._track[heard[q]][q]
        return known


class OwnKnowledge(TeamKnowledge):
    """The one row of an agent in its own process; news comes by messages, under the same rules.

    Parameters
    ----------
    number : int
        The agent.
    n_steps : ndarray of int64, shape (L,)
        Operation time of each, known to all.
    """

    def __init__(self, number: int, n_steps: Longs) -> None:
        super().__init__(len(n_steps), n_rows=1)
        self._number = number
        self._n_steps = n_steps
        self._place: Floats = np.zeros((len(n_steps), 2))

    def listen(self, messages: Sequence[Message]) -> bool:
        """Take in the messages of one step; returns whether somebody turned out to be lost or back."""
        heard, times_lost, n_agents = self._heard[0], self._times_lost[0], len(self._n_steps)
        before = times_lost & 1
        for message in messages:
            for q, step, times, place in message.sightings:
                if q < n_agents:
                    times_lost[q] = max(times_lost[q], times)
                    if step > heard[q]:
                        heard[q], self._place[q] = step, place
        self._silent += 1
        for message in messages:
            if message.sender < n_agents:
                self._meet(message)
        return bool((before != times_lost & 1).any())

    def _meet(self, message: Message) -> None:
        q = message.sender
        self._silent[0, q] = 0
        if message.tick - 1 >= self._heard[0, q]:
            self._heard[0, q], self._place[q] = message.tick - 1, message.position_m
        gave_up = message.steps_left == 0 and message.tick < self._n_steps[q]
        if gave_up != bool(self._times_lost[0, q] & 1):
            self._times_lost[0, q] += 1

    def positions(self, r: int, before: Floats) -> Floats:
        """Where the agent last heard each other, and `before` for those it never heard, shape (L, 2). [m]"""
        return np.where(self._heard[r][:, None] >= 0, self._place, before)

    def sightings(self, tick: int) -> list[Sighting]:
        """What to tell of others in the message of a tick: in turns where they are many."""
        heard, times_lost = self._heard[0], self._times_lost[0]
        known = np.flatnonzero((heard >= 0) | (times_lost > 0))
        turns = max(1, -(-len(known) // TOLD_AGENTS))
        first = (tick + self._number) % turns * TOLD_AGENTS
        return [
            Sighting(int(q), int(heard[q]), int(times_lost[q]), (float(self._place[q, 0]), float(self._place[q, 1])))
            for q in known[first : first + TOLD_AGENTS]
        ]

    def remembered(self) -> list[object]:
        """All of it, as plain data."""
        return [self._heard, self._times_lost, self._silent, self._place]

    def remember(self, kept: Sequence[Any]) -> None:
        """Know what `remembered` gave and nothing else."""
        self._heard, self._times_lost, self._silent, self._place = copies(kept)
