"""The published law inside an assignment: every agent treats its own cell of the map.

The map is divided among the agents by semi-discrete optimal transport (`d2oc.transport.sample_partition`): cells of a
power diagram whose masses agree with what each agent has capacity for. Each agent divides what *it* believes to remain
among the agents *it* knows to fly, from where it last heard them; agents that know the same find the same cells. It
divides anew at intervals and as soon as it learns that an agent is lost or back.

Selection and weight update then see the samples of the own cell only; an agent whose cell is done helps wherever
something remains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2oc.arrays import Counts, Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.control.controller import Crew, goal_ahead
from d2oc.control.d2oc import Team, has_room, settle, steer
from d2oc.control.feed_forward import FeedForward
from d2oc.control.pilot import Brief
from d2oc.control.team_knowledge import TeamKnowledge
from d2oc.transport.nearest_mass import SampleTree, count_alive
from d2oc.transport.sample_partition import divide_samples


class AssignedLaw:
    """Steers every agent in its own cell; see `d2oc.control.controller.Controller`.

    Parameters
    ----------
    starts : ndarray, shape (L, 2)
        Where everyone starts, known to all. [m]
    n_steps : ndarray of int32, shape (L,)
        Operation time of each, known to all.
    alpha : ndarray, shape (L,)
        Mass of one step of each, known to all.
    comm_range : float
        Radio range. [m]
    reach : ndarray, shape (L,)
        Longest way of one step of each. [m]
    refresh_steps : int
        Cells are computed anew this often.
    ahead : FeedForward, optional
        How goals move, if that is foreseen.
    """

    flies_to_the_end = False

    def __init__(
        self,
        starts: Floats,
        n_steps: Ints,
        alpha: Floats,
        comm_range: float,
        reach: Floats,
        refresh_steps: int,
        ahead: FeedForward | None = None,
    ) -> None:
        n_agents = len(starts)
        self._numbers: Sequence[int] = range(n_agents)
        """Number of the agent in each row of the crew."""
        self._starts = starts
        self._n_steps = n_steps.astype(np.int64)
        self._alpha = alpha
        self._comm_range = comm_range
        self._reach = reach
        self._refresh_steps = refresh_steps
        self._ahead = ahead
        self._knowledge = TeamKnowledge(n_agents)
        self._renew: Flags = np.ones(n_agents, np.bool_)
        self.mine: list[Flags] = [np.empty(0, np.bool_)] * n_agents
        """Cell of each agent: which slots are its own, shape (N,)."""

    def decide(self, k: int, crew: Crew) -> None:
        """Stage A in the own cell."""
        if k % self._refresh_steps == 0:
            self._renew[:] = True
        for r in range(len(self._numbers)):
            if self._renew[r] and k < crew.team.n_steps[r] and crew.belief.total[r] > crew.negligible:
                self._renew[r] = False
                self.mine[r] = self._cell(r, k, crew)
            hidden = _hide(crew.tree, crew.belief.weight[r], crew.belief.alive[r], self.mine[r])
            steer(r, k, crew.negligible, crew.team, crew.law, crew.tree, crew.belief, crew.space)
            _reveal(crew.tree, crew.belief.weight[r], crew.belief.alive[r], hidden)
        if self._ahead is not None:
            self._ahead.add(k, crew.team)

    def account(self, k: int, first: int, crew: Crew) -> int:
        """Stage B in the own cell."""
        for r in range(first, len(self._numbers)):
            if not has_room(crew.logs, crew.tree):
                return r
            if crew.team.active[r]:
                hidden = _hide(crew.tree, crew.belief.weight[r], crew.belief.alive[r], self.mine[r])
                settle(r, k, crew.quantum, crew.team, crew.tree, crew.belief, crew.logs, crew.space)
                _reveal(crew.tree, crew.belief.weight[r], crew.belief.alive[r], hidden)
        return len(self._numbers)

    def briefs(self, tree: SampleTree, weight: Floats, team: Team) -> list[Brief]:
        """What each agent knows before take-off; see `d2oc.control.controller.Controller`."""
        from d2oc.control.cells_pilot import CellsBrief

        shared = (self._starts, self._n_steps, self._alpha, self._comm_range, self._reach, self._refresh_steps)
        return [CellsBrief(number, *shared, self._ahead) for number in self._numbers]

    def hear(self, k: int, sender: Ints, receiver: Ints, before: Floats, crew: Crew) -> None:
        """Note who was heard, and who must be near and is silent."""
        self._renew |= self._knowledge.hear(k, sender, receiver, crew.team.position)
        self._renew |= self._knowledge.miss(self._surely_in_range(k, crew.team.position))

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """The goal, held over the horizon or moving; see `d2oc.control.controller.Controller`."""
        return goal_ahead(r, k, horizon, crew, self._ahead)

    @property
    def memory_bytes(self) -> int:
        """Memory of the cells; see `Controller`."""
        return self._knowledge.memory_bytes + sum(cell.nbytes for cell in self.mine)

    def _cell(self, r: int, k: int, crew: Crew) -> Flags:
        flying = self._knowledge.flying(r) & (self._n_steps > k)
        number = self._numbers[r]
        flying[number] = True
        members = np.flatnonzero(flying)
        sites = self._knowledge.positions(r, self._starts)
        sites[number] = crew.team.position[r]
        capacities = self._alpha[members] * (self._n_steps - k)[members].astype(np.float64)
        remaining = np.maximum(crew.belief.weight[r], 0.0)
        # Proportional: a team too small or too large for what remains still divides all of it.
        capacities *= remaining.sum() / capacities.sum()
        places = np.column_stack([crew.tree.x, crew.tree.y])
        owner = divide_samples(places, remaining, sites[members], capacities).owner(len(remaining))
        return np.asarray(owner == int(np.searchsorted(members, number)))

    def _surely_in_range(self, k: int, position: Floats) -> Flags:
        """Whom each must hear wherever the other has flown since it was last heard, shape (rows, L)."""
        silent = self._knowledge.steps_since_heard(k).astype(np.float64)
        on_air = k < self._n_steps
        rows, numbers = np.arange(len(self._numbers)), np.array(self._numbers)
        if np.isinf(self._comm_range):
            near = np.ones_like(silent, np.bool_)
        else:
            last = np.array([self._knowledge.positions(int(r), self._starts) for r in rows])
            away = np.linalg.norm(last - position[:, None], axis=2)
            near = away + silent * self._reach[None] < self._comm_range
        near &= on_air[numbers][:, None] & on_air[None]
        near[rows, numbers] = False
        return np.asarray(near)


@compiled
def _hide(tree: SampleTree, weight: Floats, alive: Counts, mine: Flags) -> Floats:
    """Take all but the own cell out of a belief; returns what was taken, empty if the own cell is done."""
    hidden = np.zeros(len(weight))
    left = False
    for slot in range(len(mine)):
        if not mine[slot]:
            hidden[slot] = weight[slot]
        elif weight[slot] > 0.0:
            left = True
    if not left:
        return np.empty(0)
    for slot in range(len(mine)):
        if not mine[slot]:
            weight[slot] = 0.0
    count_alive(tree, weight, alive)
    return hidden


@compiled
def _reveal(tree: SampleTree, weight: Floats, alive: Counts, hidden: Floats) -> None:
    """Undo `_hide`; exact, as nothing was consumed from what was hidden."""
    if len(hidden) > 0:
        for slot in range(len(weight)):
            if hidden[slot] != 0.0:
                weight[slot] = hidden[slot]
        count_alive(tree, weight, alive)
