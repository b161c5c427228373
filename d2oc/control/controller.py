"""The seam between a team and the law that steers it, and the published law behind that seam."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.control.d2oc import Law, Team, account, decide
from d2oc.control.feed_forward import FeedForward
from d2oc.control.giving_way import Neighbours, SetAside, neighbours, no_weight_aside, nobody
from d2oc.control.pilot import Brief
from d2oc.ledger import Belief, Logs
from d2oc.transport.nearest_mass import SampleTree, SearchSpace


class Crew(NamedTuple):
    """The arrays of the agents in this process; row r is what agent r knows, and an agent reads its own row only."""

    team: Team
    law: Law
    tree: SampleTree
    belief: Belief
    logs: Logs
    space: SearchSpace
    quantum: float
    """Unit of weights."""
    negligible: int
    """A belief with no more quanta than this counts as empty."""


class Controller(Protocol):
    """What steers a team in parallel order: stages A and B, and what is made of messages."""

    @property
    def flies_to_the_end(self) -> bool:
        """Whether the mission goes on when nothing is left to treat."""

    @property
    def memory_bytes(self) -> int:
        """What the law keeps beside the arrays of the crew. [byte]"""

    def decide(self, k: int, crew: Crew) -> None:
        """Stage A of step k: write `goal`, `input` and `active` of every agent into ``crew.team``."""

    def account(self, k: int, first: int, crew: Crew) -> int:
        """Stage B of step k, from agent `first` on, at the new positions.

        Returns
        -------
        agent : int
            The agent whose turn is next: L when all are done, less when the logs have no room for it.
        """

    def hear(self, k: int, sender: Ints, receiver: Ints, before: Floats, crew: Crew) -> None:
        """Take note of the messages of step k that arrived; `before` are the positions one step ago, shape (L, 2)."""

    def briefs(self, tree: SampleTree, weight: Floats, team: Team) -> list[Brief] | None:
        """What each agent is told before take-off to fly by this law in a process of its own.

        Parameters
        ----------
        tree : SampleTree
            The samples.
        weight : ndarray, shape (N,)
            Their weights, by slot.
        team : Team
            Where everyone starts.

        Returns
        -------
        briefs : list of Brief, or None
            One an agent; None where the law needs all agents in one process.
        """

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """Where active agent r wants to be after the steps k to k + horizon - 1, shape (horizon, 2). [m]

        Asked after `decide` of step k.
        """


class ClosedFormLaw:
    """The published law: select, solve in closed form, consume what is nearest; give way and foresee if asked."""

    flies_to_the_end = False

    def __init__(self, n_agents: int, n_samples: int, *, give_way: bool, ahead: FeedForward | None = None) -> None:
        self._ahead = ahead
        self._give_way = give_way
        self._near: Neighbours = nobody(n_agents)
        self._aside: SetAside = no_weight_aside(n_samples if give_way else 0)

    def decide(self, k: int, crew: Crew) -> None:
        """Stage A; see `Controller`."""
        decide(
            k, crew.quantum, crew.negligible, crew.team, crew.law, self._near, crew.tree, crew.belief, crew.space,
            self._aside,
        )  # fmt: skip
        if self._ahead is not None:
            self._ahead.add(k, crew.team)

    def account(self, k: int, first: int, crew: Crew) -> int:
        """Stage B; see `Controller`."""
        return account(
            k, first, crew.quantum, crew.team, self._near, crew.tree, crew.belief, crew.logs, crew.space, self._aside
        )

    def hear(self, k: int, sender: Ints, receiver: Ints, before: Floats, crew: Crew) -> None:
        """Note where neighbours will be next; see `Controller`."""
        if self._give_way:
            self._near = neighbours(sender, receiver, crew.team.position, before)

    def briefs(self, tree: SampleTree, weight: Floats, team: Team) -> list[Brief]:
        """Whether to give way, and how goals move; see `Controller`."""
        from d2oc.control.published_pilot import PublishedBrief  # which needs this module

        return [PublishedBrief(number, self._give_way, self._ahead) for number in range(len(team.kind))]

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """The goal, held over the horizon or moving; see `Controller`."""
        return goal_ahead(r, k, horizon, crew, self._ahead)

    @property
    def memory_bytes(self) -> int:
        """Room for what is set aside; see `Controller`."""
        return sum(array.nbytes for array in (*self._near, *self._aside))


class Guide(Protocol):
    """What replaces stage A of the published law."""

    @property
    def memory_bytes(self) -> int:
        """What it keeps. [byte]"""

    def steer(self, k: int, team: Team) -> None:
        """Fill input, goal, active, consumed and reach of the whole team for step k."""


class GuidedLaw:
    """A guide decides where to go; consuming and sharing go on as in the published law."""

    flies_to_the_end = True

    def __init__(self, guide: Guide, published: ClosedFormLaw) -> None:
        self._guide = guide
        self._published = published

    def decide(self, k: int, crew: Crew) -> None:
        """Stage A by the guide; see `Controller`."""
        self._guide.steer(k, crew.team)

    def account(self, k: int, first: int, crew: Crew) -> int:
        """Stage B; see `Controller`."""
        return self._published.account(k, first, crew)

    def hear(self, k: int, sender: Ints, receiver: Ints, before: Floats, crew: Crew) -> None:
        """Note where neighbours will be next; see `Controller`."""
        self._published.hear(k, sender, receiver, before, crew)

    def briefs(self, tree: SampleTree, weight: Floats, team: Team) -> None:
        """None: a guide steers the whole team."""

    @property
    def memory_bytes(self) -> int:
        """Memory of guide and giving way; see `Controller`."""
        return self._guide.memory_bytes + self._published.memory_bytes

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """The goal, held over the horizon; see `Controller`."""
        return held_goal(r, horizon, crew)


def held_goal(r: int, horizon: int, crew: Crew) -> Floats:
    """The goal of agent r for every step of the horizon, shape (horizon, 2). [m]"""
    return np.repeat(crew.team.goal[r][None], horizon, axis=0)


def goal_ahead(r: int, k: int, horizon: int, crew: Crew, ahead: FeedForward | None) -> Floats:
    """The goal of agent r in every step of the horizon, moving if that is foreseen, shape (horizon, 2). [m]"""
    return held_goal(r, horizon, crew) if ahead is None else ahead.goals(crew.team.goal[r], k, horizon)
