"""A shard: agents that share a process and nothing else; all that a process of agents has to import."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2oc.agent import Agent, AgentSetup, Ground, Observation, Report, scratch_for
from d2oc.arrays import Flags, Floats, Ints, Longs
from d2oc.memory import packed, unpacked

Inboxes = Sequence[Sequence[bytes] | None]
"""Messages heard by each agent; None for one that is lost."""


class Outcomes(NamedTuple):
    """What K agents gave in one step, as plain arrays; ragged ones are ordered by agent."""

    command: Floats
    """Inputs for the step that begins, shape (K, m)."""
    outboxes: list[list[bytes]]
    goal: Floats
    """Shape (K, 2). [m]"""
    acted: Flags
    """Who treated in the step that ends."""
    active: Flags
    """Who acts in the step that begins."""
    events: tuple[Ints, Ints]
    """Agent and code of what happened in choosing the commands."""
    consumed: Floats
    """Mass consumed in the step that ends."""
    remaining: Longs
    """Weight each believes to remain. [quanta]"""
    consumption: tuple[Ints, Ints, Floats]
    """Agent, sample and amount."""
    heard: tuple[Ints, Ints, Ints, Ints]
    """Sender, receiver, entries that were news, and bytes of every message taken in."""
    memory: Longs
    """Of belief and logs of each. [byte]"""


RAGGED = ("events", "consumption", "heard")
"""Outcomes that are tuples of columns."""


class Shard:
    """Agents that share a process, and nothing else."""

    def __init__(self, setups: Sequence[AgentSetup], ground: Ground) -> None:
        scratch = scratch_for(ground)
        self.agents = [Agent(setup, ground, scratch) for setup in setups]

    def step(self, tick: int, state: Floats, fix: Flags, inboxes: Inboxes) -> Outcomes:
        """Step all agents once; see `Agent.step`.

        Parameters
        ----------
        tick : int
            Steps flown so far.
        state : ndarray, shape (K, n)
            Where their vehicles are.
        fix : ndarray of bool, shape (K,)
            Who knows where it is.
        inboxes : sequence of sequences of bytes
            What each has heard; None for an agent that is lost and acts no more.
        """
        steps = [
            agent.stopped() if inbox is None else agent.step(Observation(tick, x, knows), inbox)
            for agent, x, knows, inbox in zip(self.agents, state, fix.tolist(), inboxes, strict=True)
        ]
        reports = [step.report for step in steps]
        return Outcomes(
            command=np.array([step.command for step in steps]),
            outboxes=[step.outbox for step in steps],
            goal=np.array([report.goal for report in reports]),
            acted=np.array([report.acted for report in reports]),
            active=np.array([report.active for report in reports]),
            events=(
                self._repeated([len(report.happened) for report in reports]),
                np.array([code for report in reports for code in report.happened], np.int32),
            ),
            consumed=np.array([report.consumed for report in reports]),
            remaining=np.array([report.remaining for report in reports], np.int64),
            consumption=self._consumption(reports),
            heard=self._heard(reports),
            memory=np.array([report.memory for report in reports], np.int64),
        )

    def snapshot(self) -> list[bytes]:
        """Memory of every agent; see `Agent.snapshot`."""
        return [agent.snapshot() for agent in self.agents]

    def restore(self, memories: Sequence[bytes]) -> None:
        """Give every agent the memory of a snapshot."""
        for agent, memory in zip(self.agents, memories, strict=True):
            agent.restore(memory)

    def _consumption(self, reports: Sequence[Report]) -> tuple[Ints, Ints, Floats]:
        return (
            self._repeated([len(report.samples) for report in reports]),
            np.concatenate([report.samples for report in reports]),
            np.concatenate([report.amounts for report in reports]),
        )

    def _heard(self, reports: Sequence[Report]) -> tuple[Ints, Ints, Ints, Ints]:
        sender, entries, size = (np.concatenate([report.heard[i] for report in reports]) for i in range(3))
        return sender, self._repeated([len(report.heard.sender) for report in reports]), entries, size

    def _repeated(self, counts: Sequence[int]) -> Ints:
        return np.repeat(np.array([agent.number for agent in self.agents], np.int32), counts)


class DistantShard:
    """A shard in another process: what goes in and out is bytes, in one piece, as that is what calls are cheap with.

    Parameters
    ----------
    setups : bytes
        The agents, pickled: so they come with arrays of their own.
    ground : Ground
        What is to be treated.
    """

    def __init__(self, setups: bytes, ground: Ground) -> None:
        self._shard = Shard(pickle.loads(setups), ground)

    def step(self, given: bytes) -> bytes:
        """Step all agents once; see `Shard.step`."""
        return packed(self._shard.step(*unpacked(given)))

    def pid(self) -> int:
        """Process it stands in."""
        return os.getpid()

    def node(self) -> str:
        """Process that looks after it: one a node of a cluster."""
        return str(os.getppid())

    def snapshot(self) -> list[bytes]:
        """Memory of every agent; see `Agent.snapshot`."""
        return self._shard.snapshot()

    def restore(self, memories: Sequence[bytes]) -> None:
        """Give every agent the memory of a snapshot."""
        self._shard.restore(memories)


def outcomes_of(answer: bytes) -> Outcomes:
    """What `DistantShard.step` gave."""
    return outcomes_from(unpacked(answer))


def outcomes_from(fields: Sequence[Any]) -> Outcomes:
    """Outcomes from their fields read back."""
    named: Any = {
        name: tuple(field) if name in RAGGED else field for name, field in zip(Outcomes._fields, fields, strict=True)
    }
    return Outcomes(**named)


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Outcomes of shards that hold the agents in order."""
    if len(parts) == 1:
        return parts[0]

    def stacked(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    def column(name: str, i: int) -> NDArray[Any]:
        return np.concatenate([getattr(part, name)[i] for part in parts])

    return Outcomes(
        command=stacked("command"),
        outboxes=[outbox for part in parts for outbox in part.outboxes],
        goal=stacked("goal"),
        acted=stacked("acted"),
        active=stacked("active"),
        events=(column("events", 0), column("events", 1)),
        consumed=stacked("consumed"),
        remaining=stacked("remaining"),
        consumption=(column("consumption", 0), column("consumption", 1), column("consumption", 2)),
        heard=(column("heard", 0), column("heard", 1), column("heard", 2), column("heard", 3)),
        memory=stacked("memory"),
    )
