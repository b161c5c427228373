"""The law `mission-plan` in the hands of one agent: it has its part of the common plan, and plans anew for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.bus.messages import Message, Sighting
from d2oc.control.controller import Crew
from d2oc.control.giving_way import SetAside
from d2oc.control.limited_tracking import Track
from d2oc.control.mission_law import NEWS_INTERVAL_STEPS, Dues, MissionPlanLaw, Standing
from d2oc.control.mission_plan import Effort, Flyer, Plan
from d2oc.control.team_knowledge import OwnKnowledge
from d2oc.memory import copies


@dataclass(frozen=True, eq=False)
class MissionBrief:
    """What an agent knows of the common plan; see `d2oc.control.pilot.Brief`."""

    number: int
    standing: Standing
    """Its own part."""
    flyers: Sequence[Flyer]
    """Of everyone: who flies what is known to all."""
    n_steps: Longs
    comm_range: float
    effort: Effort
    patience_steps: int
    common: Floats
    """Where the plan has everyone at every step, NaN after its end, shape (H + 1, L, 2). [m]"""

    def pilot(self, aside: SetAside, time_step: float) -> MissionPilot:
        """See `d2oc.control.pilot.Brief`."""
        return MissionPilot(self)


class MissionPilot(MissionPlanLaw):
    """Steers one agent along its plan; see `d2oc.control.pilot.Pilot`."""

    beacon = False

    def __init__(self, brief: MissionBrief) -> None:
        super().__init__(
            brief.flyers,
            brief.n_steps.astype(np.int32),
            brief.comm_range,
            brief.effort,
            patience_steps=brief.patience_steps,
        )
        self._brief = brief
        self._numbers = [brief.number]
        self._standing = [brief.standing]
        self._common = brief.common
        self._knowledge: OwnKnowledge = OwnKnowledge(brief.number, self._n_steps)
        self._renew = np.zeros(1, np.bool_)
        self._astray = np.zeros(1, np.int32)

    def listen(self, tick: int, messages: Sequence[Message], before: Floats | None, crew: Crew) -> None:
        """Note who was heard where, and who should have been."""
        if before is not None:  # messages of tick 1 are the first ones
            self._renew |= self._knowledge.listen(messages)
            self._renew |= self._knowledge.miss(self._expected_in_range(tick - 2, before[None]))

    def book(self, k: int, crew: Crew) -> None:
        """Consume what the plan assigns to step k."""
        self.account(k, 0, crew)
        if k % NEWS_INTERVAL_STEPS == 0 and not self._renew[0]:
            self._renew[0] = self._much_is_gone(0, k + 1, crew)

    def say(self, tick: int) -> tuple[list[Sighting], bytes]:
        """Who was seen where, and who is lost."""
        return self._knowledge.sightings(tick), b""

    @property
    def happened(self) -> list[int]:
        """Nothing."""
        return []

    def remembered(self) -> Any:
        """The plan if it is a new one, and what is known of others."""
        standing = self._standing[0]
        own = None if standing is self._brief.standing else _plain(standing)
        return [own, self._knowledge.remembered(), self._renew, self._astray, self.n_plans]

    def remember(self, kept: Any) -> None:
        """See `d2oc.control.pilot.Pilot`."""
        own, known, renew, astray, self.n_plans = kept
        if own is not None:
            self._standing = [_standing(own)]
        self._knowledge.remember(known)
        self._renew, self._astray = renew.copy(), astray.copy()


def _plain(standing: Standing) -> list[object]:
    plan = standing.plan
    return [
        [plan.first, plan.track, plan.goals, plan.point, plan.cell, plan.amount, plan.run, plan.objective],
        standing.dues,
        standing.start,
    ]


def _standing(kept: Any) -> Standing:
    plan, dues, start = kept
    first, track, goals, point, cell, amount, run, objective = plan
    goals, point, cell, amount = copies([goals, point, cell, amount])
    plan = Plan(first, Track(*copies(track)), goals, point, cell, amount, run, objective)
    return Standing(plan, Dues(*copies(dues)), start.copy())
