"""The plan of a whole team before take-off: how the demand is divided, and which of several plans is flown.

See `d2oc.control.mission_plan`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.control.limited_tracking import Track
from d2oc.control.mission_plan import (
    Demand,
    Effort,
    Flyer,
    Plan,
    clear_track,
    demand_of,
    plan_alone,
    site_of,
)
from d2oc.control.route_search import search_routes
from d2oc.control.together import Joint, Task, improve_together, match_together
from d2oc.transport.exact import exact_transport, squared_distances

ROUNDS_BETWEEN_DIVISIONS = 2
"""Sites move this often to the middles of their parts from one division tried to the next."""


def plan_team(
    flyers: Sequence[Flyer],
    k: int,
    states: Sequence[Floats],
    n_steps: Sequence[int],
    samples: Floats,
    weights: Floats,
    effort: Effort,
) -> tuple[list[Plan], Demand]:
    """Plan the missions of a whole team together, from what is known to all.

    The demand is first divided: each agent gets the part that optimal transport from where it is sends to it, by
    capacity. Each plans in its part, then all improve together, where parts may change hands. Other divisions are tried
    in outline, and take its place if that lowers the objective.

    Parameters
    ----------
    flyers : sequence of Flyer
        The agents.
    k : int
        Step of the mission.
    states : sequence of ndarray
        State of each.
    n_steps : sequence of int
        Steps each has left, at least one.
    samples : ndarray, shape (N, 2)
        Samples, local ENU; where the density moves, at the start of the mission. [m]
    weights : ndarray, shape (N,)
        What remains of each, positive.
    effort : Effort
        How hard to try.

    Returns
    -------
    plans : list of Plan
        One an agent; entries refer to `demand`.
    demand : Demand
    """
    demand = demand_of(samples, weights, effort.team_cells)
    steps = np.asarray(n_steps, np.int64)
    early = np.clip(np.rint(effort.early_share * steps).astype(np.int64), 0, steps - 1)
    begin = np.full(len(flyers), k)
    if early.all():
        plans = _plan_in_two_passes(flyers, begin, states, steps, early, demand, effort)
    else:
        plans = _plan_pass(flyers, begin, states, steps, demand, effort)
    tracks = [clear_track(*each, effort) for each in zip(flyers, [k] * len(flyers), states, plans, strict=True)]
    if any(track is not plan.track for track, plan in zip(tracks, plans, strict=True)):
        plans = match_together(Task(flyers, begin, states, demand, effort), tracks).plans
    return plans, demand


def _plan_pass(
    flyers: Sequence[Flyer], begin: Longs, states: Sequence[Floats], n_steps: Longs, demand: Demand, effort: Effort
) -> list[Plan]:
    """Plan for the first division; what is better takes its place: another division, other routes."""
    capacity = np.array([flyer.alpha * int(steps) for flyer, steps in zip(flyers, n_steps, strict=True)])
    sites = np.array([site_of(*each) for each in zip(flyers, begin, states, strict=True)])
    task = Task(flyers, begin, states, demand, effort)
    joint = _plan_parts(task, n_steps, divide(sites, capacity, demand))
    if len(flyers) > 1 and effort.divisions > 1:
        outline, wanted = effort.outline, demand.weight > 0
        rough = demand_of(demand.point[wanted], demand.weight[wanted], outline.team_cells)
        others = itertools.islice(divisions(sites, capacity, rough), 1, effort.divisions)
        drafts = [_plan_parts(replace(task, demand=rough, effort=outline), n_steps, part) for part in others]
        draft = min(drafts, key=lambda each: each.objective)
        if draft.objective < joint.objective:
            better = improve_together(task, match_together(task, [plan.track for plan in draft.plans]))
            joint = min(joint, better, key=lambda each: each.objective)
    return search_routes(task, joint).plans


def _plan_parts(task: Task, n_steps: Longs, part: Floats) -> Joint:
    """Each agent plans for its part of the demand, then all improve together."""
    plans = [
        plan_alone(flyer, int(k), state, int(steps), task.demand, weight, task.effort)
        for flyer, k, state, steps, weight in zip(task.flyers, task.begin, task.states, n_steps, part, strict=True)
    ]
    joint = match_together(task, [plan.track for plan in plans])
    return improve_together(task, joint) if len(plans) > 1 else joint


def _plan_in_two_passes(
    flyers: Sequence[Flyer],
    begin: Longs,
    states: Sequence[Floats],
    n_steps: Longs,
    early: Longs,
    demand: Demand,
    effort: Effort,
) -> list[Plan]:
    """A quick pass over all of the demand in `early` steps, and a second one over what it leaves.

    A plan that serves the end of the mission only has been nowhere in much of the map for most of the time.
    """
    alpha = np.array([flyer.alpha for flyer in flyers])
    share = float((alpha @ early) / (alpha @ n_steps))
    quick = _plan_pass(flyers, begin, states, early, replace(demand, weight=share * demand.weight), effort)
    left = replace(demand, weight=np.maximum(demand.weight - _served(quick, demand), 0.0))
    then = [plan.track.state[-1] for plan in quick]
    slow = _plan_pass(flyers, begin + early, then, n_steps - early, left, effort)
    tracks = [
        Track(*(np.concatenate(part) for part in zip(one.track, other.track, strict=True)))
        for one, other in zip(quick, slow, strict=True)
    ]
    return match_together(Task(flyers, begin, states, demand, effort), tracks).plans


def _served(plans: Sequence[Plan], demand: Demand) -> Floats:
    """Mass that plans serve in each cell, shape (cells,)."""
    cell = np.concatenate([plan.cell for plan in plans])
    amount = np.concatenate([plan.amount for plan in plans])
    return np.asarray(np.bincount(cell, amount, len(demand.weight)), np.float64)


def divide(sites: Floats, capacity: Floats, demand: Demand) -> Floats:
    """Part of every agent in the demand, by optimal transport from the sites, in proportion to capacity.

    Returns
    -------
    part : ndarray, shape (L, cells)
        Weight of each cell that is each agent's; columns sum to the weights.
    """
    total = demand.weight.sum()
    cost = squared_distances(sites, demand.point)
    part: Floats = total * exact_transport(capacity / capacity.sum(), demand.weight / total, cost).matrix
    return part


def divisions(sites: Floats, capacity: Floats, demand: Demand) -> Iterator[Floats]:
    """Ways of dividing the demand without end: from the sites, then from the middles of parts (Lloyd's algorithm).

    The first keeps the ways to the parts short, the later ones are rounder.

    Yields
    ------
    part : ndarray, shape (L, cells)
        As of `divide`.
    """
    while True:
        part = divide(sites, capacity, demand)
        yield part
        for _ in range(ROUNDS_BETWEEN_DIVISIONS):
            sites = part @ demand.point / part.sum(axis=1)[:, None]
            part = divide(sites, capacity, demand)
