"""Search among the routes of a whole team: changes that turns between matching and following never make.

Turns move every step a little and keep the order in which places are visited, and by whom. Here routes are cut and
joined anew: two agents exchange what they do later on, a stretch of one route is flown by another agent or at another
time, or the other way round, or not at all. A route joined from parts is given the time it takes to fly from part to
part and then brought to the steps there are, so that it stays all but flyable; following it makes it so. A few turns
in outline show whether the change is worth it, and what lowers the objective is kept.

Which changes are tried is drawn from a sequence of random numbers that is always the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.mission_plan import SMALLEST_GAIN, Plan, demand_of, follow, site_of, ticks_of
from d2oc.control.routes import SHARE_OF_SPEED
from d2oc.control.together import Joint, Task, improve_together, match_together, turn

SEED = 2025

DRAWN = 4
"""Changes of a kind drawn for each that is tried: that with the shortest ways from part to part."""

NEAREST = 4
"""Places where parts are joined are drawn from this many nearest ones."""

STOPS = 60
"""Places on a route, evenly in time, at which it may be cut to take in a part of another one."""

SHARES = (1 / 15, 1 / 10, 1 / 6, 4 / 15, 2 / 5)
"""Lengths of the stretches that are moved, as shares of a route."""

AT_THE_END = 0.3
"""How often a stretch is the last one of its route."""

STEPS_APART = 0.05
"""Tails of unlike length are exchanged only if that saves way: a step of difference counts as this much. [m]"""

HOPELESS = 1.2
"""A change that raises the objective by this factor at first is not improved any further."""

TRIAL_TURNS = 4
"""Turns that a change has to show what it is worth."""

LAST_ROUNDS = 3
"""The best that is found is improved in full by this many times `Effort.rounds`."""

SMALLEST_STEP = 1e-4
"""A change must lower the objective by this share to be kept."""


@dataclass(frozen=True, eq=False)
class Change:
    """Routes joined anew."""

    parts: dict[int, list[Floats]]
    """Parts of the new route of each agent that gets one, in order, each of shape (steps, 2). [m]"""
    extra: float
    """Steps that the new routes take beyond those there are, before they are brought to them."""


def search_routes(task: Task, joint: Joint) -> Joint:
    """Try changes of the routes in outline, improve the best found in full, and take it if it is better.

    Parameters
    ----------
    task : Task
        The task; `Effort.changes` says how many changes are tried.
    joint : Joint
        Plans to begin from.

    Returns
    -------
    joint : Joint
        Of no higher objective.
    """
    n_changes = task.effort.changes_for(sum(plan.n_steps for plan in joint.plans))
    if n_changes == 0:
        return joint
    outline = _in_outline(task)
    rough = match_together(outline, [plan.track for plan in joint.plans])
    rough = improve_together(outline, rough)
    rng = np.random.default_rng(SEED)
    for _ in range(n_changes):
        rough = _try_one(outline, rough, rng)
    longer = replace(task, effort=replace(task.effort, rounds=LAST_ROUNDS * task.effort.rounds))
    better = improve_together(longer, match_together(task, [plan.track for plan in rough.plans], joint.basis))
    return min(joint, better, key=lambda each: each.objective)


def _in_outline(task: Task) -> Task:
    """The same task with fewer points and cells, and less care in following."""
    effort, wanted = task.effort.search_outline, task.demand.weight > 0
    rough = demand_of(task.demand.point[wanted], task.demand.weight[wanted], effort.team_cells)
    return replace(task, demand=rough, effort=effort)


def _try_one(task: Task, joint: Joint, rng: np.random.Generator) -> Joint:
    """Draw a change, give it a few turns, keep it if it lowers the objective."""
    routes = [_route(task, r, plan) for r, plan in enumerate(joint.plans)]
    paces = [_pace(task, r, route) for r, route in enumerate(routes)]
    kinds = KINDS if len(routes) > 1 else ALONE
    kind = kinds[int(rng.integers(len(kinds)))]
    change = min((kind(rng, routes, paces) for _ in range(DRAWN)), key=lambda each: each.extra)
    tracks = [plan.track for plan in joint.plans]
    for r, parts in change.parts.items():
        goals = _goals(task, r, joint.plans[r], join(parts, paces[r]))
        tracks[r] = follow(
            task.flyers[r],
            int(task.begin[r]),
            task.states[r],
            goals,
            np.zeros_like(tracks[r].input),
            task.effort.sweeps,
        )
    bar = (1.0 - SMALLEST_STEP) * joint.objective
    trial = match_together(task, tracks, joint.basis)
    for n in range(TRIAL_TURNS if trial.objective < HOPELESS * joint.objective else 0):
        better = turn(task, trial)
        gain = 1.0 - better.objective / trial.objective
        if gain <= 0.0:
            break
        trial = better
        if gain < SMALLEST_GAIN or (n > 0 and (1.0 - 2.0 * gain) * trial.objective > bar):
            break
    return trial if trial.objective < bar else joint


def _route(task: Task, r: int, plan: Plan) -> Floats:
    """Where an agent begins and where its steps end, as of the start of the mission, shape (H + 1, 2). [m]"""
    flyer, k = task.flyers[r], int(task.begin[r])
    places = plan.track.state[:, list(flyer.position_states)]
    return np.vstack([site_of(flyer, k, task.states[r]), flyer.at_start(places, ticks_of(k, len(places)))])


def _pace(task: Task, r: int, route: Floats) -> float:
    """Way of one step from part to part: most of the top speed, or the longest step there is now. [m]"""
    reach = task.flyers[r].reach
    if np.isinf(reach):
        reach = float(np.sqrt((np.diff(route, axis=0) ** 2).sum(axis=1)).max())
    return max(SHARE_OF_SPEED * reach, 1e-9)


def _goals(task: Task, r: int, plan: Plan, route: Floats) -> Floats:
    """A route brought to the steps there are, each goal where it is at its moment, shape (H, 2). [m]"""
    goals = in_steps(route, plan.n_steps + 1)[1:]
    return np.ascontiguousarray(task.flyers[r].at_ticks(goals, ticks_of(int(task.begin[r]), plan.n_steps)))


def join(parts: Sequence[Floats], pace: float) -> Floats:
    """Parts one after the other, with the time it takes to fly straight from each to the next at a pace."""
    joined = [parts[0]]
    for part in parts[1:]:
        if len(part):
            gap = part[0] - joined[-1][-1]
            n = int(np.sqrt(gap @ gap) / pace)
            joined += [joined[-1][-1] + gap * (np.arange(1, n) / max(n, 1))[:, None], part] if n > 1 else [part]
    return np.vstack(joined)


def in_steps(route: Floats, n: int) -> Floats:
    """A route brought to n places, evenly in time, shape (n, 2)."""
    at = np.linspace(0.0, len(route) - 1.0, n)
    return np.column_stack([np.interp(at, np.arange(len(route)), route[:, axis]) for axis in range(2)])


def exchange_tails(rng: np.random.Generator, routes: Sequence[Floats], paces: Sequence[float]) -> Change:
    """Two agents do from a moment on what the other one did, near where their routes meet."""
    a, b = _two(rng, len(routes))
    one, other = routes[a], routes[b]
    i = int(rng.integers(len(one) - 1))
    stops = _stops(other)[:-1]
    away = np.sqrt(((other[stops] - one[i]) ** 2).sum(axis=1)) + STEPS_APART * np.abs(
        (len(other) - stops) - (len(one) - i)
    )
    j = int(stops[_one_of_least(rng, away)])
    parts = {a: [one[: i + 1], other[j + 1 :]], b: [other[: j + 1], one[i + 1 :]]}
    return Change(parts, _between(one[i], other[j + 1]) / paces[a] + _between(other[j], one[i + 1]) / paces[b])


def give_stretch(rng: np.random.Generator, routes: Sequence[Floats], paces: Sequence[float]) -> Change:
    """Another agent flies a stretch of a route."""
    a, b = _two(rng, len(routes))
    i, j = _stretch(rng, len(routes[a]))
    rest, taken = [routes[a][:i], routes[a][j:]], _taken_in(rng, routes[b], routes[a][i:j])
    return Change({a: rest, b: taken}, _extra(rest, routes[a], paces[a]) + _extra(taken, routes[b], paces[b]))


def shift_stretch(rng: np.random.Generator, routes: Sequence[Floats], paces: Sequence[float]) -> Change:
    """A stretch is flown at another time."""
    a = int(rng.integers(len(routes)))
    i, j = _stretch(rng, len(routes[a]))
    rest = join([routes[a][:i], routes[a][j:]], paces[a])
    parts = _taken_in(rng, rest, routes[a][i:j])
    return Change({a: parts}, _extra(parts, routes[a], paces[a]))


def reverse_stretch(rng: np.random.Generator, routes: Sequence[Floats], paces: Sequence[float]) -> Change:
    """A stretch is flown the other way round."""
    a = int(rng.integers(len(routes)))
    i, j = _stretch(rng, len(routes[a]))
    parts = [routes[a][:i], routes[a][i:j][::-1], routes[a][j:]]
    return Change({a: parts}, _extra(parts, routes[a], paces[a]))


def drop_stretch(rng: np.random.Generator, routes: Sequence[Floats], paces: Sequence[float]) -> Change:
    """A stretch is not flown: its time goes to all of the rest, and what it served to who is near."""
    a = int(rng.integers(len(routes)))
    i, j = _stretch(rng, len(routes[a]))
    parts = [routes[a][:i], routes[a][j:]]
    return Change({a: parts}, _extra(parts, routes[a], paces[a]))


Kind = Callable[[np.random.Generator, Sequence[Floats], Sequence[float]], Change]

ALONE: tuple[Kind, ...] = (shift_stretch, shift_stretch, shift_stretch, reverse_stretch, drop_stretch)
KINDS: tuple[Kind, ...] = (*ALONE, exchange_tails, give_stretch)
"""Kinds of changes, as often as they are drawn."""


def _two(rng: np.random.Generator, n_agents: int) -> tuple[int, int]:
    """Two different agents."""
    a, b = int(rng.integers(n_agents)), int(rng.integers(n_agents - 1))
    return a, b + (b >= a)


def _stretch(rng: np.random.Generator, n: int) -> tuple[int, int]:
    """First place of a stretch of a route of n places and the one after its last; the start stays where it is."""
    length = max(1, min(round(SHARES[int(rng.integers(len(SHARES)))] * n), n - 1))
    low = n - length if rng.random() < AT_THE_END else int(rng.integers(1, n - length + 1))
    return low, low + length


def _stops(route: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(0, len(route), max(1, len(route) // STOPS))


def _taken_in(rng: np.random.Generator, route: Floats, stretch: Floats) -> list[Floats]:
    """Parts of a route that takes in a stretch where it is near, the way round that is shorter."""
    stops = _stops(route)
    then = np.minimum(stops + 1, len(route) - 1)
    goes_on = stops + 1 < len(route)

    def detour(first: Floats, last: Floats) -> Floats:
        there = np.sqrt(((route[stops] - first) ** 2).sum(axis=1))
        return np.asarray(there + np.sqrt(((route[then] - last) ** 2).sum(axis=1)) * goes_on)

    along, back = detour(stretch[0], stretch[-1]), detour(stretch[-1], stretch[0])
    at = _one_of_least(rng, np.minimum(along, back))
    cut = int(stops[at]) + 1
    return [route[:cut], stretch if along[at] <= back[at] else stretch[::-1], route[cut:]]


def _one_of_least(rng: np.random.Generator, values: Floats) -> int:
    """Index of one of the few lowest values."""
    least = np.argsort(values, kind="stable")[:NEAREST]
    return int(least[int(rng.integers(len(least)))])


def _between(one: Floats, other: Floats) -> float:
    return float(np.sqrt(((one - other) ** 2).sum()))


def _extra(parts: Sequence[Floats], before: Floats, pace: float) -> float:
    """Steps that a route joined from parts has more than before."""
    present = [part for part in parts if len(part)]
    gaps = sum(_between(one[-1], other[0]) for one, other in itertools.pairwise(present))
    return sum(len(part) for part in present) - len(before) + gaps / pace
