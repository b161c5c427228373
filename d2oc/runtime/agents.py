"""The decentralised runtime: every agent holds what it knows and nothing else, and all it learns comes as bytes.

Agents stand in *shards*, groups that share a process; a shard is given states and messages and gives commands and
messages. Where the shards stand makes no difference to what the agents do: all in this process (`LocalHost`) or as Ray
actors (`d2oc.runtime.ray_actors`). This module moves the world and carries the messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from d2oc.agent import AgentSetup, Ground, ground_of
from d2oc.arrays import Flags, Floats, Ints, Longs
from d2oc.bus.from_scenario import NEVER
from d2oc.bus.radio import Delivery, RadioMemory
from d2oc.control.controller import ClosedFormLaw
from d2oc.control.d2oc import Law, Team
from d2oc.control.weight_sharing import Mail, empty_mail
from d2oc.errors import RecordError, RuntimeUnavailableError
from d2oc.memory import packed, unpacked
from d2oc.runtime.arrays import NEGLIGIBLE_WEIGHT, TeamSetup, law_arrays, locate_all, team_arrays
from d2oc.runtime.shard import Inboxes, Outcomes, Shard, outcomes_from
from d2oc.vehicles.motion import Motion, motion_arrays
from d2oc.world import Remembering, World, remembered_by
from d2oc.world.ideal import IdealWorld


class Host(Protocol):
    """Where the agents stand."""

    def step(self, tick: int, state: Floats, fix: Flags, inboxes: Inboxes) -> Outcomes:
        """Step every agent of the team once; see `Shard.step`."""

    def snapshot(self) -> list[bytes]:
        """Memory of every agent; see `d2oc.agent.Agent.snapshot`."""

    def restore(self, memories: Sequence[bytes]) -> None:
        """Give agents that have not flown yet the memories of a snapshot."""

    def close(self) -> None:
        """Leave nothing running."""


class Carrier(Protocol):
    """What carries messages: the simulated radio, or a network."""

    def post(self, tick: int, position: Floats, outboxes: Sequence[Sequence[bytes]]) -> None:
        """Take what agents say at `tick`; see `d2oc.bus.radio.Radio.post`."""

    def deliver(self, tick: int) -> list[list[bytes]]:
        """What each agent hears at `tick`."""

    def snapshot(self) -> RadioMemory:
        """All that it remembers."""

    def restore(self, memory: RadioMemory) -> None:
        """Remember what `snapshot` gave and nothing else."""


class LocalHost:
    """All agents in this process, one after the other."""

    def __init__(self, setups: Sequence[AgentSetup], ground: Ground) -> None:
        self.shard = Shard(setups, ground)

    def step(self, tick: int, state: Floats, fix: Flags, inboxes: Inboxes) -> Outcomes:
        """Step every agent; see `Host`."""
        return self.shard.step(tick, state, fix, inboxes)

    def snapshot(self) -> list[bytes]:
        """Memory of every agent; see `Host`."""
        return self.shard.snapshot()

    def restore(self, memories: Sequence[bytes]) -> None:
        """Give memories; see `Host`."""
        self.shard.restore(memories)

    def close(self) -> None:
        """Nothing to do; see `Host`."""


class AgentsRuntime:
    """Flies a team of agents: moves the world, carries messages, notes what agents report.

    The arrays of `team` hold the outcome of the last step, `mail` the messages heard at its end.

    Parameters
    ----------
    setup : TeamSetup
        The team.
    host : Host
        Where its agents stand.
    radio : Carrier
        What carries messages.
    quantum : float
        Unit of weights.
    world : World, optional
        What moves vehicles; default: their model equations.
    memory : bytes, optional
        What `snapshot` gave; the flight goes on from there instead of beginning.
    fix_ends : ndarray of int64, shape (L,), optional
        Tick from which on each agent knows no more where it is; default: never.
    """

    def __init__(
        self,
        setup: TeamSetup,
        host: Host,
        radio: Carrier,
        quantum: float,
        world: World | None = None,
        memory: bytes | None = None,
        fix_ends: Longs | None = None,
    ) -> None:
        self.motion: Motion = motion_arrays(setup.models)
        self.team: Team = team_arrays(setup, self.motion)
        locate_all(self.team, self.motion)
        self.mail = empty_mail(0)
        self._host = host
        self._radio = radio
        self._quantum = quantum
        self._fix_ends = np.full(len(setup.kind), NEVER, np.int64) if fix_ends is None else fix_ends
        self._negligible = int(NEGLIGIBLE_WEIGHT / quantum)
        self.world: World = world or IdealWorld(self.motion, self.team.kind)
        self._events: tuple[Ints, Ints] = (np.empty(0, np.int32), np.empty(0, np.int32))
        self._now = self._step_agents(0) if memory is None else self._restored(memory)

    def step(self, k: int) -> None:
        """Fly step k of the mission."""
        team, decided = self.team, self._now
        team.input[:], team.goal[:], team.active[:] = decided.command, decided.goal, decided.active
        self.world.advance(k, team.state, team.input, team.active)
        team.active[self.world.lost] = False
        locate_all(team, self.motion)
        self._now = self._step_agents(k + 1)
        team.consumed[:], team.active[:] = self._now.consumed, self._now.acted
        self._events = decided.events
        sender, receiver, entries, size = self._now.heard
        self.mail = Mail(sender, receiver, entries, size, np.array([len(sender)], np.int32))

    @property
    def finished(self) -> bool:
        """Whether nobody has anything left to treat, as far as each knows."""
        return bool(((self._now.remaining <= self._negligible) | self.world.lost).all())

    @property
    def believed_remaining(self) -> Floats:
        """Remaining weight each agent believes in, shape (L,)."""
        return np.asarray(self._now.remaining * self._quantum)

    @property
    def memory_bytes(self) -> int:
        """Memory of beliefs and logs of all agents; each has its own. [byte]"""
        return int(self._now.memory.sum())

    @property
    def events(self) -> tuple[Ints, Ints]:
        """Agent and code of what happened in the last step, see `d2oc.record.EVENT_CODES`."""
        return self._events

    def consumption(self, k: int) -> tuple[Ints, Ints, Floats]:
        """What was consumed in the last step, which must be k: agent, sample and amount, ordered by agent."""
        return self._now.consumption

    def close(self) -> None:
        """Leave nothing running."""
        self._host.close()

    def snapshot(self) -> bytes | None:
        """All that the flight remembers between two steps, as plain data; None where the world cannot tell its own."""
        world = remembered_by(self.world)
        if world is None:
            return None
        now = self._now._replace(outboxes=[])
        return packed([self._host.snapshot(), self._radio.snapshot(), self.team.state, now, world])

    def _restored(self, memory: bytes) -> Outcomes:
        """What the agents gave before the step that comes next."""
        try:
            agents, radio, state, now, world = unpacked(memory)
            on_the_way, *rest = radio
            self._radio.restore(RadioMemory([Delivery(*delivery) for delivery in on_the_way], *rest))
        except (ValueError, TypeError) as error:
            raise RecordError(f"what the flight remembered cannot be read ({error}); fly it anew") from None
        self.team.state[:] = state
        locate_all(self.team, self.motion)
        self._host.restore(agents)
        if isinstance(self.world, Remembering):
            self.world.remember(world)
        return outcomes_from(now)

    def _step_agents(self, tick: int) -> Outcomes:
        inboxes: list[list[bytes] | None] = list(self._radio.deliver(tick))
        for r in np.flatnonzero(self.world.lost):
            inboxes[r] = None
        outcomes = self._host.step(tick, self.team.state, self._fix(tick), inboxes)
        self._radio.post(tick, self.team.position, outcomes.outboxes)
        return outcomes

    def _fix(self, tick: int) -> Flags:
        """Who knows where it is."""
        return np.asarray(tick < self._fix_ends)


def ground_of_team(setup: TeamSetup) -> Ground:
    """What the team is to treat."""
    return ground_of(setup.points, setup.weights, len(setup.kind), setup.moves)


def agent_setups(
    setup: TeamSetup, ground: Ground, time_step: float, message_limit: int, *, give_way: bool
) -> list[AgentSetup]:
    """What each agent of a team knows of itself before take-off.

    Parameters
    ----------
    setup : TeamSetup
        The team.
    ground : Ground
        What it is to treat.
    time_step : float
        Control period. [s]
    message_limit : int
        What a message should not exceed. [byte]
    give_way : bool
        Leave to lower-numbered neighbours what they are about to treat; for a team without a law of its own.
    """
    law, motion = law_arrays(setup.gains), motion_arrays(setup.models)
    gains = [Law(law.state_gain[[i]], law.goal_gain[[i]], law.length[[i]]) for i in range(len(setup.gains))]
    team = team_arrays(setup, motion)
    locate_all(team, motion)
    controller = setup.controller or ClosedFormLaw(len(team.kind), len(ground.weights), give_way=give_way)
    briefs = controller.briefs(ground.tree, ground.weights, team)
    if briefs is None:
        raise RuntimeUnavailableError("this law steers the whole team from one process; use the runtime 'arrays'")
    return [
        AgentSetup(
            number=r,
            n_steps=int(setup.n_steps[r]),
            alpha=float(setup.alpha[r]),
            law=gains[kind],
            position_states=(int(motion.position_states[kind, 0]), int(motion.position_states[kind, 1])),
            time_step=time_step,
            negligible=int(NEGLIGIBLE_WEIGHT / ground.quantum),
            brief=briefs[r],
            message_limit_bytes=message_limit,
        )
        for r, kind in enumerate(setup.kind)
    ]
