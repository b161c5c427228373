"""Turns of a whole team: every agent follows its goals, then the points of all are matched with the demand at once.

See `d2oc.control.mission_plan`. Parts of the demand change hands as the turns go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.control.limited_tracking import Track
from d2oc.control.mission_plan import SMALLEST_GAIN, Demand, Effort, Flyer, Plan, follow, plan_of, run_length, runs_of
from d2oc.transport.plan import TransportPlan, renewed_plan
from d2oc.transport.renewed import Basis


@dataclass(frozen=True, eq=False)
class Task:
    """Who has to serve what, from where."""

    flyers: Sequence[Flyer]
    begin: Longs
    """Step of the mission at which each begins, shape (L,)."""
    states: Sequence[Floats]
    """State of each then."""
    demand: Demand
    effort: Effort


class Joint(NamedTuple):
    """Plans matched together."""

    plans: list[Plan]
    basis: Basis
    """Tree of the transport plan; the next one starts from it."""

    @property
    def objective(self) -> float:
        """J of the team. [m^2]"""
        return objective_of(self.plans)


def objective_of(plans: Sequence[Plan]) -> float:
    """J of a team. [m^2]"""
    return sum(plan.objective for plan in plans)


def match_together(task: Task, tracks: Sequence[Track], last: Basis | None = None) -> Joint:
    """Match the points of all agents with the whole demand at once; the parts follow from it.

    Parameters
    ----------
    task : Task
        Who and what.
    tracks : sequence of Track
        One an agent.
    last : Basis, optional
        From an earlier match of the same task; it saves most of the work.

    Returns
    -------
    joint : Joint
    """
    demand = task.demand
    run = run_length(sum(len(track.state) for track in tracks), task.effort.team_points)
    runs = [runs_of(flyer, int(k), track, run) for flyer, k, track in zip(task.flyers, task.begin, tracks, strict=True)]
    first = np.cumsum([0, *(len(points) for points, _, _ in runs)])
    points, masses = (np.concatenate([each[i] for each in runs]) for i in range(2))
    whole, basis = renewed_plan(points, masses, demand.point, demand.weight, last)
    cost = ((points[whole.point] - demand.point[whole.sample]) ** 2).sum(axis=1) * whole.amount
    plans = []
    for r, (flyer, track) in enumerate(zip(task.flyers, tracks, strict=True)):
        low, high = np.searchsorted(whole.point, first[r : r + 2])
        own = slice(low, high)
        part = TransportPlan(
            whole.point[own] - first[r], whole.sample[own], whole.amount[own], whole.goals[first[r] : first[r + 1]],
            whole.served[first[r] : first[r + 1]], float(cost[own].sum()),
        )  # fmt: skip
        plans.append(plan_of(flyer, int(task.begin[r]), track, part, run, part.cost + runs[r][2]))
    return Joint(plans, basis)


def turn(task: Task, joint: Joint) -> Joint:
    """One turn: every agent follows its goals, all are matched anew."""
    tracks = [
        follow(flyer, int(k), state, plan.goals, plan.track.input, task.effort.sweeps)
        for flyer, k, state, plan in zip(task.flyers, task.begin, task.states, joint.plans, strict=True)
    ]
    return match_together(task, tracks, joint.basis)


def improve_together(task: Task, joint: Joint) -> Joint:
    """Take turns while they lower the objective, `Effort.rounds` of them at most."""
    for _ in range(task.effort.rounds):
        better = turn(task, joint)
        if better.objective >= joint.objective:
            return joint
        gain = 1.0 - better.objective / joint.objective
        joint = better
        if gain < SMALLEST_GAIN:
            break
    return joint
