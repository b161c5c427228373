"""The law `mission-plan`: fly the whole-mission plan, consume what it assigns, plan anew on news.

What every agent knows before take-off (the density, who flies, from where and for how long) is the same, so all find
the same plan for the team without a word, and each flies its part. In flight an agent plans anew, for itself and from
what it knows, when

- it is *astray*, far from its plan for a while: the same samples, from where it is now;
- samples it was to serve are *gone*, as others have served them, or *the team has changed*, as an agent is lost or
  back: it divides what it believes to remain among the agents it knows to fly, by their capacity and from where it last
  heard them, and plans for its own part. Agents that know the same find the same parts.

An agent is held for *lost* when, for a while, it should have been heard where the common plan has it, and was not; the
news travels with the messages. It is back as soon as it is heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Counts, Flags, Floats, Ints, Longs
from d2oc.compiled import compiled
from d2oc.control.controller import Crew
from d2oc.control.d2oc import Team
from d2oc.control.mission_plan import (
    Demand,
    Effort,
    Flyer,
    Plan,
    clear_track,
    demand_of,
    fly_and_match,
    improve,
    match,
    plan_alone,
    position_of,
)
from d2oc.control.pilot import Brief
from d2oc.control.team_knowledge import TeamKnowledge
from d2oc.control.team_plan import divide, plan_team
from d2oc.ledger import Belief, Logs, lower_weight, open_batch, write_entry
from d2oc.transport.nearest_mass import SampleTree, SearchSpace, nearest_mass

DRIFT_M = 2.0
"""An agent farther than this from where its plan has it is astray. [m]"""

ASTRAY_STEPS = 10
"""By default an agent astray for this many steps running plans anew: the plan's feedback has not brought it back, and
it is no noise of its sensors."""

NEWS_INTERVAL_STEPS = 5
"""News is looked at this often."""

GONE_STEPS = 3.0
"""What is gone matters once it is worth this many steps of one agent."""

SURE_RANGE = 0.8
"""Within this share of the radio range an agent should be heard where the common plan has it."""

TOP_UP_SHARE = 1e-6
"""What the plan leaves of a step's mass above this share is consumed nearest first."""


class Dues(NamedTuple):
    """What an agent is to serve: entries of run i of its plan are first[i] to first[i + 1]."""

    first: Longs
    """Shape (runs + 1,)."""
    slot: Ints
    amount: Floats
    """Mass a step."""


@dataclass(frozen=True, eq=False)
class Standing:
    """The plan an agent flies, and where it was when it made it."""

    plan: Plan
    dues: Dues
    start: Floats
    """State at the first step of the plan."""

    def expected(self, k: int) -> Floats:
        """State that the plan has at the beginning of step k."""
        h = k - self.plan.first
        return self.start if h <= 0 else np.asarray(self.plan.track.state[h - 1])


class MissionPlanLaw:
    """Steers every agent along its plan; see `d2oc.control.controller.Controller`.

    Parameters
    ----------
    flyers : sequence of Flyer
        One an agent.
    n_steps : ndarray of int32, shape (L,)
        Operation time of each, known to all.
    comm_range : float
        Radio range. [m]
    effort : Effort
        How hard to plan.
    patience_steps : int
        An agent astray for this many steps running plans anew. One where zones and teammates hold agents back: a plan
        that has run ahead leads them nowhere.
    """

    flies_to_the_end = False

    def __init__(
        self,
        flyers: Sequence[Flyer],
        n_steps: Ints,
        comm_range: float,
        effort: Effort,
        *,
        patience_steps: int = ASTRAY_STEPS,
    ) -> None:
        n_agents = len(flyers)
        self._numbers: Sequence[int] = range(n_agents)
        """Number of the agent in each row of the crew."""
        self._flyers = flyers
        self._n_steps = n_steps.astype(np.int64)
        self._alpha = np.array([flyer.alpha for flyer in flyers])
        self._comm_range = comm_range
        self._effort = effort
        self._patience = patience_steps
        self._standing: list[Standing] = []
        self._common: Floats = np.empty((0, n_agents, 2))
        self._knowledge = TeamKnowledge(n_agents)
        self._renew: Flags = np.zeros(n_agents, np.bool_)
        self._astray: Ints = np.zeros(n_agents, np.int32)
        self.n_plans = 0
        """Plans made after the first, by all agents together."""

    def decide(self, k: int, crew: Crew) -> None:
        """Stage A: the planned input, corrected by the plan's own feedback."""
        team = crew.team
        if not self._standing:
            self.plan_together(k, crew.tree, crew.belief.weight[0], team.state, team.position)
        for r, number in enumerate(self._numbers):
            flyer = self._flyers[number]
            team.active[r] = k < team.n_steps[r] and crew.belief.total[r] > crew.negligible
            team.consumed[r] = 0.0
            team.input[r] = 0.0
            team.goal[r] = np.nan
            if not team.active[r]:
                continue
            state = flyer.own_state(team.state[r])
            self._plan_anew(r, k, state, crew)
            standing = self._standing[r]
            plan, h = standing.plan, k - standing.plan.first
            command = plan.track.input[h] - plan.track.gain[h] @ (state - standing.expected(k))
            team.input[r, : len(command)] = command
            team.goal[r] = plan.goals[h]

    def account(self, k: int, first: int, crew: Crew) -> int:
        """Stage B: consume what the plan assigns to this step, and nearest first what it leaves."""
        team = crew.team
        for r in range(first, len(self._numbers)):
            if crew.logs.used[0] + 2 * len(crew.tree.x) > len(crew.logs.slot):  # a sample may be due and nearest
                return r
            if team.active[r]:
                standing = self._standing[r]
                run = (k - standing.plan.first) // standing.plan.run
                team.consumed[r] = consume_planned(
                    crew.tree, crew.belief, crew.logs, r, k, team.position[r], team.alpha[r], crew.quantum, crew.space,
                    standing.dues, run,
                )  # fmt: skip
        return len(self._numbers)

    def hear(self, k: int, sender: Ints, receiver: Ints, before: Floats, crew: Crew) -> None:
        """Note who was heard, pass on who is lost, and look for news."""
        knowledge = self._knowledge
        changed = knowledge.hear(k, sender, receiver, crew.team.position)
        changed |= knowledge.miss(self._expected_in_range(k, crew.team.position))
        self._renew |= changed
        if k % NEWS_INTERVAL_STEPS == 0:
            for r in np.flatnonzero(crew.team.active & ~self._renew):
                self._renew[r] = self._much_is_gone(int(r), k + 1, crew)

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """Where the plan has the agent after the next steps, at its end for the rest of the horizon."""
        plan = self._standing[r].plan
        ahead = np.minimum(k - plan.first + np.arange(horizon), plan.n_steps - 1)
        return np.ascontiguousarray(plan.track.state[ahead][:, list(self._flyers[self._numbers[r]].position_states)])

    @property
    def memory_bytes(self) -> int:
        """Memory of the plans; see `Controller`."""
        plans = (array.nbytes for s in self._standing for array in (*s.plan.track, *s.dues, s.plan.goals))
        return self._common.nbytes + self._knowledge.memory_bytes + sum(plans)

    def briefs(self, tree: SampleTree, weight: Floats, team: Team) -> list[Brief]:
        """The plan, and what each agent is told of it before take-off; see `d2oc.control.controller.Controller`."""
        from d2oc.control.mission_pilot import MissionBrief

        self.plan_together(0, tree, weight, team.state, team.position)
        shared = (self._flyers, self._n_steps, self._comm_range, self._effort, self._patience, self._common)
        return [MissionBrief(number, standing, *shared) for number, standing in enumerate(self._standing)]

    def plan_together(self, k: int, tree: SampleTree, weight: Floats, state: Floats, position: Floats) -> None:
        """The plan that all find before take-off.

        Parameters
        ----------
        k : int
            Step of the mission.
        tree : SampleTree
            The samples.
        weight : ndarray, shape (N,)
            What remains of each, by slot.
        state : ndarray, shape (L, n)
            States of all.
        position : ndarray, shape (L, 2)
            Where all are. [m]
        """
        slots = np.flatnonzero(weight > 0)
        states = [flyer.own_state(state[r]).copy() for r, flyer in enumerate(self._flyers)]
        steps = [int(n) - k for n in self._n_steps]
        places, weights = self._places(tree, slots, k), weight[slots]
        plans, demand = plan_team(self._flyers, k, states, steps, places, weights, self._effort)
        self._standing = [Standing(p, dues_of(p, demand, slots), x) for p, x in zip(plans, states, strict=True)]
        self._common = np.full((int(self._n_steps.max()) + 1, len(plans), 2), np.nan)
        self._common[0] = position
        for r, (flyer, plan) in enumerate(zip(self._flyers, plans, strict=True)):
            self._common[1 : plan.n_steps + 1, r] = plan.track.state[:, list(flyer.position_states)]

    def _plan_anew(self, r: int, k: int, state: Floats, crew: Crew) -> None:
        """Plan for the agent of row r itself if there is a reason."""
        flyer, standing = self._flyers[self._numbers[r]], self._standing[r]
        if self._renew[r]:
            self._renew[r] = False
            self._divide_anew(r, k, state, crew)
            return
        off = np.linalg.norm(position_of(flyer, state) - position_of(flyer, standing.expected(k)))
        self._astray[r] = self._astray[r] + 1 if off > DRIFT_M else 0
        if self._astray[r] >= self._patience:
            self._follow_anew(r, k, state, crew)

    def _follow_anew(self, r: int, k: int, state: Floats, crew: Crew) -> None:
        """The same samples from where the agent is now, if it can still reach them so."""
        flyer, plan = self._flyers[self._numbers[r]], self._standing[r].plan
        slots, owed = owed_from(self._standing[r].dues, plan, k - plan.first)
        weight = np.minimum(owed, np.maximum(crew.belief.weight[r, slots], 0.0))
        kept = weight > 0
        if not kept.any():
            self._divide_anew(r, k, state, crew)
            return
        demand = demand_of(self._places(crew.tree, slots[kept], k), weight[kept], self._effort.cells)
        done = k - plan.first
        goals, guess = plan.goals[done:], plan.track.input[done:]
        renewed = fly_and_match(flyer, k, state, goals, guess, demand, demand.weight, self._effort)
        renewed = improve(flyer, k, state, renewed, demand, demand.weight, 1, self._effort)
        self._stand(r, renewed, demand, demand.weight, slots[kept], state)

    def _divide_anew(self, r: int, k: int, state: Floats, crew: Crew) -> None:
        """Divide what the agent of row r believes to remain among those it knows to fly; plan for its own part."""
        number = self._numbers[r]
        flying = self._knowledge.flying(r) & (self._n_steps > k)
        flying[number] = True
        members = np.flatnonzero(flying)
        sites = self._knowledge.positions(r, self._common[min(k, len(self._common) - 1)])
        sites[number] = position_of(self._flyers[number], state)
        sites = self._flyers[number].at_start(sites, k)
        slots = np.flatnonzero(crew.belief.weight[r] > 0)
        demand = demand_of(self._places(crew.tree, slots, k), crew.belief.weight[r, slots], self._effort.cells)
        capacity = self._alpha[members] * (self._n_steps - k)[members].astype(np.float64)
        part = divide(sites[members], capacity, demand)[int(np.searchsorted(members, number))]
        # A team that has become too small serves everything in part, not the nearest in full: W2 is of the whole map.
        part = part * min(1.0, capacity.sum() / demand.weight.sum())
        steps = int(self._n_steps[number]) - k
        plan = plan_alone(self._flyers[number], k, state, steps, demand, part, self._effort)
        self._stand(r, plan, demand, part, slots, state)

    def _places(self, tree: SampleTree, slots: Longs, k: int) -> Floats:
        """Samples as plans want them: where they were at the start if they move, shape (slots, 2). [m]"""
        return self._flyers[0].at_start(np.column_stack([tree.x[slots], tree.y[slots]]), k)

    def _stand(self, r: int, plan: Plan, demand: Demand, part: Floats, slots: Longs, state: Floats) -> None:
        flyer = self._flyers[self._numbers[r]]
        track = clear_track(flyer, plan.first, state, plan, self._effort)
        if track is not plan.track:
            plan = match(flyer, plan.first, track, demand, part, self._effort)
        self._standing[r] = Standing(plan, dues_of(plan, demand, slots), state.copy())
        self._astray[r] = 0
        self.n_plans += 1

    def _much_is_gone(self, r: int, k: int, crew: Crew) -> bool:
        """Whether much of what the agent of row r was to serve from step k on is served, as it believes."""
        plan = self._standing[r].plan
        slots, owed = owed_from(self._standing[r].dues, plan, k - plan.first)
        gone = np.maximum(0.0, owed - np.maximum(crew.belief.weight[r, slots], 0.0)).sum()
        return bool(gone > GONE_STEPS * self._alpha[self._numbers[r]])

    def _expected_in_range(self, k: int, position: Floats) -> Flags:
        """Whom the agent of each row, now at a position, should have heard after step k, shape (rows, L)."""
        rows, n_agents = len(self._numbers), len(self._flyers)
        if k + 1 >= len(self._common):
            return np.zeros((rows, n_agents), np.bool_)
        away = position[:, None] - self._common[k + 1][None]
        near = (away**2).sum(axis=2) < (SURE_RANGE * self._comm_range) ** 2  # NaN: not expected anywhere
        on_air = k < self._n_steps
        numbers = np.array(self._numbers)
        near &= on_air[numbers][:, None] & on_air[None]
        near[np.arange(rows), numbers] = False
        return np.asarray(near)


def dues_of(plan: Plan, demand: Demand, slots: Longs) -> Dues:
    """Entries of a plan brought from cells to the samples in them.

    Parameters
    ----------
    plan : Plan
        The plan.
    demand : Demand
        The demand its cells belong to.
    slots : ndarray of int64, shape (N,)
        Slot of each sample of the demand.

    Returns
    -------
    dues : Dues
    """
    order = np.argsort(demand.cell, kind="stable")
    count = np.bincount(demand.cell, minlength=len(demand.weight))
    begin = np.cumsum(count) - count
    n = count[plan.cell]
    entry = np.repeat(np.arange(len(n)), n)
    within = np.arange(len(entry)) - np.repeat(np.cumsum(n) - n, n)
    sample = order[begin[plan.cell[entry]] + within]
    runs = -(-plan.n_steps // plan.run)
    length = np.minimum(plan.run, plan.n_steps - plan.run * np.arange(runs))
    point = plan.point[entry]
    first = np.searchsorted(point, np.arange(runs + 1)).astype(np.int64)
    amount = plan.amount[entry] * demand.share[sample] / length[point]
    return Dues(first, slots[sample].astype(np.int32), amount)


def owed_from(dues: Dues, plan: Plan, done: int) -> tuple[Longs, Floats]:
    """Slots and masses still to be served from step `done` of a plan on.

    The run begun counts in part; the last run of a plan may be shorter than the others.
    """
    begin = plan.run * np.arange(len(dues.first) - 1)
    steps = np.minimum(begin + plan.run, plan.n_steps) - np.maximum(begin, done)
    left = np.repeat(np.maximum(steps, 0), np.diff(dues.first))
    ahead = left > 0
    slots, place = np.unique(dues.slot[ahead], return_inverse=True)
    mass = np.bincount(place, dues.amount[ahead] * left[ahead], len(slots))
    return slots.astype(np.int64), np.asarray(mass, np.float64)


@compiled
def consume_planned(
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    agent: int,
    step: int,
    position: Floats,
    alpha: float,
    quantum: float,
    space: SearchSpace,
    dues: Dues,
    run: int,
) -> float:
    """Consume what a plan assigns to this step, as far as the agent believes it to remain; then the nearest.

    Parameters
    ----------
    tree, belief, logs, agent, step, position, alpha, quantum, space
        As for `d2oc.control.weight_update.consume`.
    dues : Dues
        What the agent is to serve.
    run : int
        Run of the plan that holds this step.

    Returns
    -------
    consumed : float
        Mass consumed, at most alpha.
    """
    weight, alive = belief.weight[agent], belief.alive[agent]
    open_batch(logs, agent, step)
    consumed = 0.0
    for i in range(dues.first[run], dues.first[run + 1]):
        consumed += _consume_from(
            weight, alive, logs, agent, step, dues.slot[i], min(dues.amount[i], alpha - consumed), quantum
        )
    if alpha - consumed > TOP_UP_SHARE * alpha:
        n, _ = nearest_mass(tree, weight, alive, position[0], position[1], alpha - consumed, False, space)
        for i in range(n):
            consumed += _consume_from(weight, alive, logs, agent, step, space.found[i], space.amount[i], quantum)
    belief.total[agent] -= int(consumed / quantum)
    belief.version[agent, agent] = step + 1
    return consumed


@compiled
def _consume_from(
    weight: Floats, alive: Counts, logs: Logs, agent: int, step: int, slot: int, wanted: float, quantum: float
) -> float:
    amount = np.floor(min(wanted, max(weight[slot], 0.0)) / quantum) * quantum
    if amount > 0.0:
        after = weight[slot] - amount
        lower_weight(weight, alive, slot, after)
        write_entry(logs, agent, step, slot, amount, after)
    return amount
