"""The published law in the hands of one agent; it leaves to lower-numbered neighbours what they are about to treat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2oc.arrays import Floats
from d2oc.bus.messages import Message, Sighting
from d2oc.control.alone import Ahead, account_alone, decide_alone
from d2oc.control.controller import Crew, goal_ahead
from d2oc.control.feed_forward import FeedForward
from d2oc.control.giving_way import SetAside

NEIGHBOUR_TICKS = 5
"""Who was not heard for longer is no neighbour any more."""


@dataclass(frozen=True)
class PublishedBrief:
    """All there is to know of the published law; see `d2oc.control.pilot.Brief`."""

    number: int
    """The agent."""
    give_way: bool
    """Leave to lower-numbered neighbours what they are about to treat."""
    ahead: FeedForward | None = None
    """How goals move, if that is foreseen."""

    def pilot(self, aside: SetAside, time_step: float) -> PublishedPilot:
        """See `d2oc.control.pilot.Brief`."""
        return PublishedPilot(self, aside, time_step)


class PublishedPilot:
    """The published law: select, solve in closed form, consume what is nearest; see `d2oc.control.pilot.Pilot`."""

    beacon = False

    def __init__(self, brief: PublishedBrief, aside: SetAside, time_step: float) -> None:
        self._brief = brief
        self._time_step = time_step
        self._aside = aside
        self._tick = 0
        self._heard: dict[int, tuple[int, Floats, Floats, float, bool]] = {}
        """Of each lower-numbered neighbour: tick, position, velocity, mass of a step, whether it treats."""

    def listen(self, tick: int, messages: Sequence[Message], before: Floats | None, crew: Crew) -> None:
        """Note where neighbours are and where they go."""
        self._tick = tick
        for m in messages:
            if m.sender < self._brief.number and self._brief.give_way:
                self._heard[m.sender] = (
                    m.tick, np.array(m.position_m), np.array(m.velocity_m_s), m.alpha, m.active,
                )  # fmt: skip

    def book(self, k: int, crew: Crew) -> None:
        """Stage B; what neighbours ahead consumed in it is left to them."""
        account_alone(
            k, crew.quantum, crew.team, self._ahead(), crew.tree, crew.belief, crew.logs, crew.space, self._aside
        )

    def decide(self, k: int, crew: Crew) -> None:
        """Stage A; who competes with a neighbour ahead gives way."""
        decide_alone(
            k, crew.quantum, crew.negligible, crew.team, crew.law, self._ahead(), crew.tree, crew.belief, crew.space,
            self._aside,
        )  # fmt: skip
        if self._brief.ahead is not None:
            self._brief.ahead.add(k, crew.team)

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """The goal, held over the horizon or moving."""
        return goal_ahead(r, k, horizon, crew, self._brief.ahead)

    def say(self, tick: int) -> tuple[list[Sighting], bytes]:
        """Nothing more than every message says."""
        return [], b""

    @property
    def happened(self) -> list[int]:
        """Nothing."""
        return []

    def remembered(self) -> Any:
        """What neighbours said of themselves."""
        return [self._tick, list(self._heard.items())]

    def remember(self, kept: Any) -> None:
        """See `d2oc.control.pilot.Pilot`."""
        self._tick = kept[0]
        self._heard = {sender: tuple(words) for sender, words in kept[1]}

    def _ahead(self) -> Ahead:
        """Neighbours that go first, where they should be now and one tick later."""
        near = [
            self._heard[sender]
            for sender in sorted(self._heard)
            if self._tick - self._heard[sender][0] <= NEIGHBOUR_TICKS
        ]
        position = np.array([n[1] for n in near]).reshape(-1, 2)
        velocity = np.array([n[2] for n in near]).reshape(-1, 2)
        age = np.array([self._tick - n[0] for n in near], np.float64)[:, None]
        return Ahead(
            np.array([n[3] for n in near]),
            np.array([n[4] for n in near], np.bool_),
            position + age * self._time_step * velocity,
            position + (age + 1) * self._time_step * velocity,
        )
