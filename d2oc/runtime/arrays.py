"""The runtime `arrays`: all agents of a team on shared arrays in this process, stepped together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.bus import Bus
from d2oc.control.controller import ClosedFormLaw, Controller, Crew
from d2oc.control.d2oc import Law, Team, deliver, locate, sequential_step
from d2oc.control.law import Gains
from d2oc.control.weight_sharing import Mail, empty_mail
from d2oc.density.moving import Moves
from d2oc.ledger import (
    Belief,
    Logs,
    Rule,
    new_belief,
    new_logs,
    quantised,
    quantum_of,
    with_capacity,
)
from d2oc.transport.moving_tree import MovingTree
from d2oc.transport.nearest_mass import SampleTree, SearchSpace, by_sample, sample_tree, search_space
from d2oc.vehicles.linear import LinearModel
from d2oc.vehicles.motion import Motion, motion_arrays
from d2oc.world import World
from d2oc.world.ideal import IdealWorld

NEGLIGIBLE_WEIGHT = 1e-12
"""A belief whose remaining weight is below this share of the whole counts as empty."""


@dataclass(frozen=True, eq=False)
class TeamSetup:
    """All that a team needs to start."""

    points: Floats
    """Samples, shape (N, 2), local ENU. [m]"""
    weights: Floats
    """Their weights, shape (N,), sum 1."""
    models: Sequence[LinearModel]
    """One model for each kind of agent."""
    gains: Sequence[Gains]
    """The law of each kind."""
    kind: Ints
    """Kind of each agent, shape (L,)."""
    n_steps: Ints
    """Steps of operation of each agent, shape (L,)."""
    alpha: Floats
    """Mass of one step of each agent, shape (L,)."""
    initial_states: Sequence[Floats]
    """State of each agent at the start."""
    comm_range: float
    """Radio range, used by the sequential order. [m]"""
    rule: Rule = "sum"
    """How ledgers are merged."""
    order: Literal["parallel", "sequential"] = "parallel"
    """In which order agents act."""
    controller: Controller | None = None
    """What steers the team in parallel order; None: the published law with `gains`, nobody giving way."""
    moves: Moves | None = None
    """How the samples move, in parallel order; None: they stand still."""


class ArraysRuntime:
    """Steps a whole team in this process.

    The arrays of `team` hold the outcome of the last step; `mail` its messages; `consumption` what was consumed.
    """

    def __init__(self, setup: TeamSetup, bus: Bus, world: World | None = None) -> None:
        n_agents = len(setup.kind)
        self.motion: Motion = motion_arrays(setup.models)
        self.law: Law = law_arrays(setup.gains)
        self.team: Team = team_arrays(setup, self.motion)
        self.quantum = quantum_of(setup.weights, n_agents)
        self.tree: SampleTree = sample_tree(setup.points, setup.weights)
        self._moving = MovingTree(self.tree, setup.moves)
        weights = quantised(setup.weights, self.quantum)[self.tree.sample]
        self.belief: Belief = new_belief(self.tree, weights, self.quantum, n_agents)
        n = len(weights)
        self.logs: Logs = new_logs(n_agents, int(setup.n_steps.max()), 2 * n + 64 * n_agents, setup.rule)
        self.space: SearchSpace = search_space(self.tree)
        sequential = setup.order == "sequential"
        self.mail: Mail = empty_mail(2 * n_agents * (n_agents - 1) if sequential else 0)
        self._operation: Ints = setup.n_steps.copy()
        self._negligible = int(NEGLIGIBLE_WEIGHT / self.quantum)
        self._controller: Controller = setup.controller or ClosedFormLaw(n_agents, n, give_way=False)
        self._bus = bus
        self.world: World = world or IdealWorld(self.motion, self.team.kind)
        self._comm_range = setup.comm_range
        self._step = self._sequential if sequential else self._parallel
        for r in range(n_agents):
            locate(r, self.team, self.motion)

    def step(self, k: int) -> None:
        """Fly step k of the mission."""
        self._step(k)

    def snapshot(self) -> None:
        """None: a flight on shared arrays is fast enough to begin anew."""

    def close(self) -> None:
        """Nothing runs that would have to be stopped."""

    def lose(self, r: int) -> None:
        """Agent r falls out: from now on it neither moves nor consumes nor is heard."""
        self.team.n_steps[r] = 0

    def bring_back(self, r: int) -> None:
        """Agent r is there again, where it fell out, for the rest of its operation time."""
        self.team.n_steps[r] = self._operation[r]

    @property
    def finished(self) -> bool:
        """Whether nobody has anything left to treat, as far as each knows, and the law ends then; or all are lost."""
        done = (self.belief.total <= self._negligible) & (not self._controller.flies_to_the_end)
        return bool((done | self.world.lost).all())

    @property
    def believed_remaining(self) -> Floats:
        """Remaining weight each agent believes in, shape (L,)."""
        return np.asarray(self.belief.total * self.quantum)

    @property
    def memory_bytes(self) -> int:
        """Memory of beliefs, logs, tree and law. [byte]"""
        arrays = [*self.belief, *self.logs, *self.space, *self.tree[:-1]]
        return self._controller.memory_bytes + sum(np.asarray(array).nbytes for array in arrays)

    def remaining_weight(self) -> Floats:
        """Belief of every agent in the order of the samples, shape (L, N)."""
        return by_sample(self.tree, np.maximum(self.belief.weight, 0.0))

    def consumption(self, k: int) -> tuple[Ints, Ints, Floats]:
        """Entries of step k: agent, sample and amount, ordered by agent."""
        acted = np.flatnonzero(self.team.active)
        count = self.logs.length[acted, k]
        agent = np.repeat(acted, count).astype(np.int32)
        first = np.repeat(self.logs.first[acted, k], count)
        offset = np.arange(len(agent)) - np.repeat(np.cumsum(count) - count, count)
        entry = first + offset
        return agent, self.tree.sample[self.logs.slot[entry]], self.logs.amount[entry]

    @property
    def events(self) -> tuple[Ints, Ints]:
        """Agent and code of what happened in the last step, see `d2oc.record.EVENT_CODES`."""
        events = np.array(getattr(self._controller, "events", []), np.int32).reshape(-1, 2)
        return events[:, 0], events[:, 1]

    def _sequential(self, k: int) -> None:
        self.mail.n[0] = 0
        agent = 0
        while True:
            agent = sequential_step(
                k, agent, self._comm_range, self.quantum, self._negligible, self.team, self.law, self.motion,
                self.tree, self.belief, self.logs, self.mail, self.space,
            )  # fmt: skip
            if agent == len(self.team.kind):
                return
            self._grow()

    def _parallel(self, k: int) -> None:
        team = self.team
        before = team.position.copy()
        self.tree = self._moving.at(k)
        self._controller.decide(k, self.crew)
        self.world.advance(k, team.state, team.input, team.active)
        self._retire(k)
        locate_all(team, self.motion)
        self.tree = self._moving.at(k + 1)
        agent = self._controller.account(k, 0, self.crew)
        while agent < len(team.kind):
            self._grow()
            agent = self._controller.account(k, agent, self.crew)
        sender, receiver = self._bus.links(team.position, k < team.n_steps)
        self.mail = empty_mail(len(sender))
        posted = self.belief.version.copy()
        deliver(sender, receiver, posted, self.quantum, self.tree, self.belief, self.logs, self.mail)
        self._controller.hear(k, sender, receiver, before, self.crew)

    @property
    def crew(self) -> Crew:
        """The arrays that a controller works on."""
        return Crew(
            self.team, self.law, self.tree, self.belief, self.logs, self.space, self.quantum,
            self._negligible,
        )  # fmt: skip

    def _retire(self, k: int) -> None:
        """Whom the world has lost in step k acts no more, and no radio reaches it."""
        lost = self.world.lost
        self.team.active[lost] = False
        self.team.n_steps[lost] = np.minimum(self.team.n_steps[lost], k)

    def _grow(self) -> None:
        self.logs = with_capacity(self.logs, 2 * len(self.logs.slot))


def locate_all(team: Team, motion: Motion) -> None:
    """Read all positions off the states."""
    team.position[:] = positions(team.state, team.kind, motion)


def positions(state: Floats, kind: Ints, motion: Motion) -> Floats:
    """Positions in the states of all agents, shape (L, 2). [m]"""
    return np.take_along_axis(state, motion.position_states[kind], axis=1)


def law_arrays(gains: Sequence[Gains]) -> Law:
    """Pad the gains of all kinds into common arrays."""
    steps = max(len(g.state) for g in gains)
    m = max(g.state.shape[1] for g in gains)
    n = max(g.state.shape[2] for g in gains)
    state_gain = np.zeros((len(gains), steps, m, n))
    goal_gain = np.zeros((len(gains), steps, m, 2))
    for kind, g in enumerate(gains):
        k, m, n = g.state.shape
        state_gain[kind, :k, :m, :n] = g.state
        goal_gain[kind, :k, :m] = g.goal
    return Law(state_gain, goal_gain, np.array([len(g.state) for g in gains], np.int32))


def team_arrays(setup: TeamSetup, motion: Motion) -> Team:
    """The team at the start, before anything is located."""
    n_agents = len(setup.kind)
    state = np.zeros((n_agents, motion.A.shape[2]))
    for r, initial in enumerate(setup.initial_states):
        state[r, : len(initial)] = initial
    return Team(
        kind=setup.kind.astype(np.int32),
        n_steps=setup.n_steps.astype(np.int32),
        alpha=setup.alpha.astype(np.float64),
        state=state,
        input=np.zeros((n_agents, motion.B.shape[3])),
        position=np.zeros((n_agents, 2)),
        goal=np.full((n_agents, 2), math.nan),
        consumed=np.zeros(n_agents),
        active=np.zeros(n_agents, np.bool_),
        reach=np.zeros(n_agents),
    )
