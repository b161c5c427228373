"""What each agent knows of the others: when and where it last heard them, at first or second hand, and who is lost."""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Flags, Floats, Ints

SILENT_STEPS = 20
"""An agent that should have been heard in this many steps running, and was not, is held for lost."""


class TeamKnowledge:
    """Row r of each array is what agent r knows; messages merge rows by their larger entries, so order is no matter."""

    def __init__(self, n_agents: int) -> None:
        self._heard: Ints = np.full((n_agents, n_agents), -1, np.int32)
        """Step of the last word of each agent, -1 before the first."""
        self._times_lost: Ints = np.zeros((n_agents, n_agents), np.int32)
        """Odd while lost."""
        self._silent: Ints = np.zeros((n_agents, n_agents), np.int32)
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
        """Hold for lost who was expected, shape (L, L), and silent for too long; returns who came to know of one."""
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
        """Steps since each agent was last heard of, as each knows; k + 1 if never, shape (L, L)."""
        return np.asarray(k - self._heard, np.int32)

    def positions(self, r: int, before: Floats) -> Floats:
        """Where agent r last heard each other, and `before` for those it never heard, shape (L, 2). [m]"""
        heard = self._heard[r]
        known = before.copy()
        for q in np.flatnonzero(heard >= 0):
            known[q] = self._track[heard[q]][q]
        return known
