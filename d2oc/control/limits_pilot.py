"""A law with limits inside in the hands of one agent: it knows the ways that others have told it.

A message says the way its sender has just proven; what is heard in a tick was posted in the tick before, so both of two
agents that hear each other plan with the same two ways, and the proof of `d2oc.control.limits_inside` holds. Two things
differ. Whom an agent does not hear was out of range one step earlier, so ways end that much sooner. And where a radio
loses messages, silence proves nothing: an agent that should hear another and does not flies on along its proven way,
which the other one, if it heard it, keeps away from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from d2oc.arrays import Floats
from d2oc.bus.messages import Message, Sighting, way_bytes, way_of
from d2oc.control.controller import Controller, Crew
from d2oc.control.giving_way import SetAside
from d2oc.control.limits_inside import MEMORY_STEPS, Braking, LimitsInside, ProvenWay, Rules
from d2oc.control.pilot import Brief, Pilot
from d2oc.record import UNHEARD


@dataclass(frozen=True, eq=False)
class LimitsBrief:
    """What an agent knows of limits and distances before take-off; see `d2oc.control.pilot.Brief`."""

    number: int
    inner: Brief
    """Of the law that says where to go."""
    kind: Braking
    starts: Floats
    """Where everyone starts, at rest, shape (L, 2). [m]"""
    rules: Rules

    def pilot(self, aside: SetAside, time_step: float) -> LimitsPilot:
        """See `d2oc.control.pilot.Brief`."""
        return LimitsPilot(self, self.inner.pilot(aside, time_step))


class LimitsPilot(LimitsInside):
    """Steers one agent within its limits, away from zones and others; see `d2oc.control.pilot.Pilot`."""

    def __init__(self, brief: LimitsBrief, inner: Pilot) -> None:
        super().__init__(cast(Controller, inner), [brief.kind], brief.starts[[brief.number]], brief.rules)
        self._pilot = inner
        self._tick = 0
        self._told: dict[int, tuple[int, Floats]] = {
            q: (-1, place[None]) for q, place in enumerate(brief.starts) if q != brief.number
        }
        """Of each other agent: tick and way of its last word; at first, that it rests where it starts."""
        self.beacon = brief.rules.distance > 0.0

    def listen(self, tick: int, messages: Sequence[Message], before: Floats | None, crew: Crew) -> None:
        """Note which ways others have proven; the own way is one step shorter."""
        self._pilot.listen(tick, messages, before, crew)
        self._tick = tick
        if before is not None:
            self._way = [self._way[0].one_step_on()]
        for message in messages:
            if message.way and message.tick < tick and message.tick > self._told.get(message.sender, (-2,))[0]:
                self._told[message.sender] = (message.tick, way_of(message))

    def book(self, k: int, crew: Crew) -> None:
        """Stage B of the inner law; who only comes to rest consumes nothing."""
        crew.team.active[:] &= self._acts
        if crew.team.active[0]:
            self._pilot.book(k, crew)

    def say(self, tick: int) -> tuple[list[Sighting], bytes]:
        """The way just proven, up to rest."""
        way = self._way[0]
        return self._pilot.say(tick)[0], way_bytes(way.positions[: max(1, way.left)]) if self.beacon else b""

    @property
    def happened(self) -> list[int]:
        """What happened in the last `decide`."""
        return [code for _, code in self.events]

    def remembered(self) -> Any:
        """Ways, the own one and those told."""
        way = self._way[0]
        own = [way.inputs, way.positions, way.left]
        told = [[q, tick, places] for q, (tick, places) in self._told.items()]
        return [self._pilot.remembered(), own, told, self._expected, self._acts]

    def remember(self, kept: Any) -> None:
        """See `d2oc.control.pilot.Pilot`."""
        inner, own, told, expected, acts = kept
        self._pilot.remember(inner)
        self._way = [ProvenWay(own[0].copy(), own[1].copy(), own[2])]
        self._told = {q: (tick, places) for q, tick, places in told}
        self._expected, self._acts = expected.copy(), acts.copy()

    def _plan(self, r: int, k: int, crew: Crew) -> ProvenWay:
        """As everybody plans, but not without knowing where others go."""
        here = crew.team.position[r]
        if not self._rules.certain and self._someone_is_missing(here):
            self.events.append((r, UNHEARD))
            return self._fly_on(self._kinds[r], k, crew.team.state[r, : self._kinds[r].model.n_states], self._way[r])
        return super()._plan(r, k, crew)

    def _silence(self, tick: int) -> int:
        """Rounds of messages without a word from somebody whose last one was posted at a tick."""
        return self._tick - 1 - tick if self._tick else 0

    def _someone_is_missing(self, here: Floats) -> bool:
        """Whether somebody who should be heard was not."""
        for tick, places in self._told.values():
            silent = self._silence(tick)
            if 0 < silent < MEMORY_STEPS:
                away = float(np.linalg.norm(places[0] - here))
                if away < self._rules.comm_range + (silent + 1) * self._rules.longest_step:
                    return True
        return False

    def _expected_ways(self, r: int, here: Floats) -> Floats:
        """Ways of those heard of late that the agent could meet, shape (others, P, 2)."""
        length = self._rules.length
        ways = []
        for tick, places in self._told.values():
            if self._silence(tick) < MEMORY_STEPS:
                way = places[np.minimum(np.arange(length) + self._tick - tick, len(places) - 1)]
                if np.linalg.norm(way[0] - here) < self._rules.could_meet:
                    ways.append(way)
        return np.stack(ways) if ways else np.zeros((0, length, 2))
