"""The published law inside an assignment, in the hands of one agent: it finds its own cell from what it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.bus.messages import Message, Sighting
from d2oc.control.assigned_law import AssignedLaw
from d2oc.control.controller import Crew
from d2oc.control.feed_forward import FeedForward
from d2oc.control.giving_way import SetAside
from d2oc.control.team_knowledge import OwnKnowledge


@dataclass(frozen=True, eq=False)
class CellsBrief:
    """What an agent knows of its team before take-off; see `d2oc.control.pilot.Brief` and `AssignedLaw`."""

    number: int
    starts: Floats
    n_steps: Longs
    alpha: Floats
    comm_range: float
    reach: Floats
    refresh_steps: int
    ahead: FeedForward | None = None

    def pilot(self, aside: SetAside, time_step: float) -> CellsPilot:
        """See `d2oc.control.pilot.Brief`."""
        return CellsPilot(self)


class CellsPilot(AssignedLaw):
    """Steers one agent in its own cell; see `d2oc.control.pilot.Pilot`."""

    beacon = False

    def __init__(self, brief: CellsBrief) -> None:
        super().__init__(
            brief.starts, brief.n_steps.astype(np.int32), brief.alpha, brief.comm_range, brief.reach,
            brief.refresh_steps, brief.ahead,
        )  # fmt: skip
        self._numbers = [brief.number]
        self._knowledge: OwnKnowledge = OwnKnowledge(brief.number, self._n_steps)
        self._renew = np.ones(1, np.bool_)
        self.mine = [np.empty(0, np.bool_)]

    def listen(self, tick: int, messages: Sequence[Message], before: Floats | None, crew: Crew) -> None:
        """Note who was heard where, and who must be near and is silent."""
        if before is not None:
            self._renew |= self._knowledge.listen(messages)
            self._renew |= self._knowledge.miss(self._surely_in_range(tick - 2, before[None]))

    def book(self, k: int, crew: Crew) -> None:
        """Stage B in the own cell."""
        self.account(k, 0, crew)

    def say(self, tick: int) -> tuple[list[Sighting], bytes]:
        """Who was seen where, and who is lost."""
        return self._knowledge.sightings(tick), b""

    @property
    def happened(self) -> list[int]:
        """Nothing."""
        return []

    def remembered(self) -> Any:
        """The cell, and what is known of others."""
        return [self.mine[0], self._knowledge.remembered(), self._renew]

    def remember(self, kept: Any) -> None:
        """See `d2oc.control.pilot.Pilot`."""
        mine, known, renew = kept
        self.mine = [mine.copy()]
        self._knowledge.remember(known)
        self._renew = renew.copy()
