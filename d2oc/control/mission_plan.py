r"""Whole-mission transport plan: where every agent will be at every future step, and which samples each step serves.

The published law looks a few steps ahead and gives all of them one goal, so late in the mission agents fly straight
through to far leftovers. Here the joint objective of the rest of the mission,

.. math:: J(x, u, \pi) = \sum_{k, j} \pi_{kj} |C x_k - q_j|^2 + \sum_k x_k^T Q x_k + \sum_k u_k^T R_k u_k,

over flyable trajectories and transport plans :math:`\pi` whose rows serve one step's mass each, is lowered by turns in
one block of variables with the other held fixed:

1. `match`: the best plan for the trajectories is an exact optimal transport problem (`d2oc.transport.plan`); it gives
   every future step its own goal, the barycentre of what it serves.
2. `follow`: the best trajectories for the goals are a tracking problem with limits
   (`d2oc.control.limited_tracking`), each agent for itself.

A turn that would raise J is not taken, so J never rises. Because turns never reorder a route, the descent starts from
several tours (`d2oc.control.routes`) and keeps the best. Because a team rarely finds out of the parts it began with,
a second way of dividing the demand is tried in outline (`d2oc.control.team_plan`). At last routes are cut and joined
anew where that lowers J (`d2oc.control.route_search`).

Where the density moves, samples are matched where they were at the start of the mission, with the places of the future
carried back to there with the density; the goals that come out are carried to their own moments. Where distances are
kept (a drift, a rotation) this is the same objective; else it is the one by which the mission is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from d2oc.arrays import Floats, Ints, Longs
from d2oc.control.closed_form import Blocks, TrackingProblem, blocks_of
from d2oc.control.limited_tracking import Bounds, Gains, Track, bounds_of, gains_within_limits, track_within_limits
from d2oc.control.routes import SHARE_OF_SPEED, timed_tour
from d2oc.control.ways import Ways, goals_around
from d2oc.density.moving import Moves
from d2oc.transport.plan import TransportPlan, transport_plan
from d2oc.transport.wasserstein import gather
from d2oc.vehicles.linear import LinearModel, top_speed_of
from d2oc.vehicles.motion import Motion, motion_arrays


@dataclass(frozen=True)
class Effort:
    """How much work goes into a plan; the same effort gives the same plan on every machine."""

    routes: int = 6
    """Tours tried at the start."""
    kept: int = 2
    """Tours improved to the end."""
    first_rounds: int = 2
    """Turns before the best tours are chosen."""
    rounds: int = 6
    """Turns of the tours kept, and of the whole team together."""
    sweeps: int = 60
    """Sweeps of each tracking problem."""
    points: int = 512
    """Steps of one agent that are matched one by one; longer missions are matched in runs of steps."""
    cells: int = 1024
    """Samples that are matched one by one for one agent; more are gathered into this many cells (a power of two)."""
    team_points: int = 2048
    """As `points`, for the team as a whole."""
    team_cells: int = 2048
    """As `cells`, for the team as a whole."""
    early_share: float = 0.0
    """Share of the time given to a first pass over the whole map, so that the coverage is fair early on."""
    divisions: int = 2
    """Ways of dividing the demand among a team that are tried, all but the first in outline."""

    changes: int = 60
    """Changes of the routes of a team that are tried (`d2oc.control.route_search`), in missions of up to `team_points`
    steps; fewer in longer ones, in proportion."""
    search_points: int = 600
    """As `team_points`, while changes are tried."""
    search_cells: int = 512
    """As `team_cells`, while changes are tried."""
    search_sweeps: int = 15
    """As `sweeps`, while changes are tried."""

    @property
    def outline(self) -> Effort:
        """The same work at half the points and a quarter of the cells: matching is then much faster."""
        return replace(
            self, points=self.points // 2, team_points=self.team_points // 2, team_cells=self.team_cells // 4
        )

    @property
    def search_outline(self) -> Effort:
        """The same work for trying changes of routes."""
        return replace(self, team_points=self.search_points, team_cells=self.search_cells, sweeps=self.search_sweeps)

    def changes_for(self, n_steps: int) -> int:
        """Changes tried for a mission of so many steps of all agents together."""
        return self.changes * self.team_points // max(n_steps, self.team_points)


GAINS_KEPT = 4
"""Kinds of agents whose gains are kept from turn to turn."""

CLEARING_ROUNDS = 3
"""A track led around zones may cut their corners; it is led around again this often at most."""

SMALLEST_GAIN = 1e-3
"""Turns end when one lowers the objective by less than this share."""

FEWEST_WAYPOINTS = 4
MORE_WAYPOINTS = 1.65
"""Each further tour has this many times the waypoints of the one before."""


@dataclass(frozen=True, eq=False)
class Flyer:
    """One agent as its planner sees it."""

    problem: TrackingProblem
    blocks: Blocks
    bounds: Bounds
    motion: Motion
    """Arrays of this one model."""
    position_states: tuple[int, int]
    alpha: float
    """Mass of one step."""
    reach: float
    """Longest way of one step. [m]"""
    ways: Ways | None = None
    """Ways around zones; None: it flies straight through."""
    moves: Moves | None = None
    """How the density moves, as far as that is foreseen; None: not at all."""
    columns: tuple[int, ...] = ()
    """States of the vehicle that are those of the planner's model, in its order; empty: all."""

    def own_state(self, state: Floats) -> Floats:
        """State of the planner's model from a row of the team's."""
        return np.ascontiguousarray(state[list(self.columns)] if self.columns else state[: len(self.problem.Q)])

    def at_start(self, places: Floats, ticks: Ints | int) -> Floats:
        """Where what is at places, shape (n, 2), at ticks was at the start of the mission, shape (n, 2). [m]"""
        return places if self.moves is None else self.moves.between(places, ticks, 0)

    def at_ticks(self, places: Floats, ticks: Ints | int) -> Floats:
        """Where what was at places, shape (n, 2), at the start of the mission is at ticks, shape (n, 2). [m]"""
        return places if self.moves is None else self.moves.between(places, 0, ticks)


@dataclass(frozen=True, eq=False)
class Demand:
    """What is to be served: samples, gathered into cells where they are many."""

    point: Floats
    """Barycentre of each cell, shape (cells, 2). [m]"""
    weight: Floats
    """Weight of each cell, shape (cells,)."""
    spread: float
    """What gathering adds to any transport cost: the sum of weight times squared distance to the own cell. [m^2]"""
    cell: Ints
    """Cell of each sample, shape (N,)."""
    share: Floats
    """Share of each sample in its cell, shape (N,)."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What one agent will do from step `first` on."""

    first: int
    track: Track
    goals: Floats
    """Goal of every step, shape (H, 2). [m]"""
    point: Longs
    """Step of each entry of the transport plan (0 is `first`), in runs of `run` steps, ascending."""
    cell: Longs
    """Cell of the demand each entry serves."""
    amount: Floats
    """Mass of each entry."""
    run: int
    """Steps that are matched as one."""
    objective: float
    """J of this agent's part. [m^2]"""

    @property
    def n_steps(self) -> int:
        """Steps planned."""
        return len(self.goals)


def flyer_of(
    model: LinearModel,
    problem: TrackingProblem,
    time_step_s: float,
    ways: Ways | None = None,
    moves: Moves | None = None,
) -> Flyer:
    """An agent with this model and these weights."""
    return Flyer(
        problem=problem,
        blocks=blocks_of(problem),
        bounds=bounds_of(model, problem.alpha),
        motion=motion_arrays([model]),
        position_states=model.position_states,
        alpha=problem.alpha,
        reach=top_speed_of(model) * time_step_s,
        ways=ways,
        moves=moves,
    )


def demand_of(samples: Floats, weights: Floats, most_cells: int) -> Demand:
    """Gather samples into at most `most_cells` cells (a power of two) of equal count.

    Parameters
    ----------
    samples : ndarray, shape (N, 2)
        Samples, local ENU. [m]
    weights : ndarray, shape (N,)
        Their weights, positive.
    most_cells : int
        A power of two.

    Returns
    -------
    demand : Demand
    """
    n = len(samples)
    if n <= most_cells:
        return Demand(samples, weights, 0.0, np.arange(n, dtype=np.int32), np.ones(n))
    cells = gather(samples, weights, most_cells)
    cell = np.empty(n, np.int32)
    cell[cells.order] = np.repeat(np.arange(len(cells.total), dtype=np.int32), np.diff(cells.start))
    return Demand(cells.centre, cells.total, cells.variance, cell, weights / cells.total[cell])


def position_of(flyer: Flyer, state: Floats) -> Floats:
    """Position in a state. [m]"""
    return np.asarray(state[list(flyer.position_states)])


def site_of(flyer: Flyer, k: int, state: Floats) -> Floats:
    """Position in a state of step k, carried back to the start of the mission. [m]"""
    return np.asarray(flyer.at_start(position_of(flyer, state)[None], int(k))[0])


def plan_alone(
    flyer: Flyer, k: int, state: Floats, n_steps: int, demand: Demand, weight: Floats, effort: Effort
) -> Plan:
    """Plan of one agent for its part of the demand: the best of several tours, improved.

    Parameters
    ----------
    flyer : Flyer
        The agent.
    k : int
        Step of the mission.
    state : ndarray, shape (n,)
        State now.
    n_steps : int
        Steps left.
    demand : Demand
        All that is to be served.
    weight : ndarray, shape (cells,)
        This agent's part.
    effort : Effort
        How hard to try.

    Returns
    -------
    plan : Plan
    """
    guess = np.zeros((n_steps, flyer.problem.B.shape[2]))
    starts = [
        fly_and_match(flyer, k, state, route, guess, demand, weight, effort)
        for route in _routes(flyer, k, state, n_steps, demand, weight, effort)
    ]
    plans = [improve(flyer, k, state, plan, demand, weight, effort.first_rounds, effort) for plan in starts]
    plans.sort(key=lambda plan: plan.objective)
    best = [improve(flyer, k, state, plan, demand, weight, effort.rounds, effort) for plan in plans[: effort.kept]]
    return min(best, key=lambda plan: plan.objective)


def _routes(
    flyer: Flyer, k: int, state: Floats, n_steps: int, demand: Demand, weight: Floats, effort: Effort
) -> list[Floats]:
    """Straight to the middle, and tours with more and more waypoints as far as there is time."""
    mine = weight > 0
    samples, weights = demand.point[mine], weight[mine]
    start = site_of(flyer, k, state)
    if not mine.any():
        return [np.repeat(position_of(flyer, state)[None], n_steps, axis=0)]
    middle = weights @ samples / weights.sum()
    routes = [np.repeat(middle[None], n_steps, axis=0)]
    ways = flyer.ways if flyer.moves is None else None  # zones stay where they are, and the density does not
    for i in range(effort.routes):
        n_waypoints = min(round(FEWEST_WAYPOINTS * MORE_WAYPOINTS**i), len(samples))
        route = timed_tour(start, samples, weights, n_waypoints, n_steps, flyer.reach, ways)
        if route is not None:
            routes.append(route)
        if n_waypoints == len(samples):
            break
    return [flyer.at_ticks(route, ticks_of(k, n_steps)) for route in routes]


def ticks_of(k: int, n_steps: int) -> Ints:
    """Ticks at which the steps from k on end, shape (n_steps,)."""
    return np.arange(k + 1, k + 1 + n_steps, dtype=np.int32)


def fly_and_match(
    flyer: Flyer,
    k: int,
    state: Floats,
    goals: Floats,
    guess: Floats,
    demand: Demand,
    weight: Floats,
    effort: Effort,
) -> Plan:
    """One turn: follow goals, shape (H, 2), from a guess of the inputs, shape (H, m), and match where that leads."""
    track = follow(flyer, k, state, goals, guess, effort.sweeps)
    return match(flyer, k, track, demand, weight, effort)


def improve(
    flyer: Flyer, k: int, state: Floats, plan: Plan, demand: Demand, weight: Floats, rounds: int, effort: Effort
) -> Plan:
    """Take turns between `follow` and `match` while they lower the objective."""
    for _ in range(rounds):
        better = fly_and_match(flyer, k, state, plan.goals, plan.track.input, demand, weight, effort)
        if better.objective >= plan.objective:
            return plan
        gain = 1.0 - better.objective / plan.objective
        plan = better
        if gain < SMALLEST_GAIN:
            return plan
    return plan


def clear_track(flyer: Flyer, k: int, state: Floats, plan: Plan, effort: Effort) -> Track:
    """The track of a plan, led around zones where it crosses them.

    Turns between matching and following know no zones; this comes after them, and may raise the objective.
    """
    track = plan.track
    for _ in range(CLEARING_ROUNDS if flyer.ways is not None else 0):
        assert flyer.ways is not None
        positions = np.vstack([position_of(flyer, state), track.state[:, list(flyer.position_states)]])
        goals = goals_around(flyer.ways, positions, SHARE_OF_SPEED * flyer.reach)
        if goals is None:
            break
        track = follow(flyer, k, state, goals, track.input, effort.sweeps)
    return track


def follow(flyer: Flyer, k: int, state: Floats, goals: Floats, guess: Floats, sweeps: int) -> Track:
    """Trajectory from step k on that follows goals, shape (H, 2), from a guess of the inputs, shape (H, m)."""
    gains = _gains(flyer, k, len(goals))
    return track_within_limits(flyer.blocks, flyer.bounds, gains, flyer.motion, 0, k, state, goals, guess, sweeps)


@lru_cache(maxsize=GAINS_KEPT)
def _gains(flyer: Flyer, k: int, horizon: int) -> Gains:
    """Gains are the same turn after turn."""
    return gains_within_limits(flyer.blocks, flyer.bounds, k, horizon)


def match(flyer: Flyer, k: int, track: Track, demand: Demand, weight: Floats, effort: Effort) -> Plan:
    """Match the points of one agent with its part of the demand."""
    run = run_length(len(track.state), effort.points)
    mine = np.flatnonzero(weight > 0)
    points, masses, spread = runs_of(flyer, k, track, run)
    plan = transport_plan(points, masses, demand.point[mine], weight[mine])
    whole = TransportPlan(plan.point, mine[plan.sample], plan.amount, plan.goals, plan.served, plan.cost)
    return plan_of(flyer, k, track, whole, run, plan.cost + spread)


def run_length(n_steps: int, most: int) -> int:
    """Steps matched as one, where at most so many points are."""
    return -(-n_steps // most)


def runs_of(flyer: Flyer, k: int, track: Track, run: int) -> tuple[Floats, Floats, float]:
    """Middles and masses of runs of steps, and what taking each run as one point adds to the cost."""
    position = flyer.at_start(track.state[:, list(flyer.position_states)], ticks_of(k, len(track.state)))
    starts = np.arange(0, len(position), run)
    count = np.diff(np.append(starts, len(position)))
    middle = np.add.reduceat(position, starts) / count[:, None]
    spread = flyer.alpha * float(((position - np.repeat(middle, count, axis=0)) ** 2).sum())
    return middle, flyer.alpha * count, spread


def plan_of(flyer: Flyer, k: int, track: Track, part: TransportPlan, run: int, cost: float) -> Plan:
    """The plan of one agent from a track and its part of a transport plan, of that cost."""
    n_steps = len(track.state)
    goals = np.repeat(part.goals, run, axis=0)[:n_steps]
    idle = np.isnan(goals[:, 0])
    goals[~idle] = flyer.at_ticks(goals[~idle], ticks_of(k, n_steps)[~idle])
    goals[idle] = track.state[idle][:, list(flyer.position_states)]  # nothing to serve: stay as planned
    return Plan(k, track, goals, part.point, part.sample, part.amount, run, cost + _effort_of(flyer, k, track))


def _effort_of(flyer: Flyer, k: int, track: Track) -> float:
    """Sum of x'Qx + u'Ru."""
    problem = flyer.problem
    r = problem.R[np.minimum(k + np.arange(len(track.input)), len(problem.R) - 1)]
    states = np.einsum("hi,ij,hj->", track.state, problem.Q, track.state)
    return float(states + np.einsum("hi,hij,hj->", track.input, r, track.input))
