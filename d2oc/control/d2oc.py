r"""Density-driven optimal control, top to bottom: what a team does in one step.

Each agent selects nearby samples that still need treatment and steers towards their barycentre (stage A),
moves, consumes the weight under it (stage B), and tells its neighbours (stage C). Two orders exist:

- `sequential_step`: one agent after the other, as published; a later agent already knows an earlier one's news.
- `decide` for all, the world moves all, `account` for all, `deliver` to all: everyone acts on the last step's messages,
  as independent processes must.

References
----------
.. [1] S. Seo and K. Lee, "Density-Driven Optimal Control for Non-Uniform Area Coverage", IEEE Trans. SMC:
   Systems, 2025. :doi:`10.1109/TSMC.2025.3622075`
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.control.giving_way import Neighbours, SetAside, put_back, set_aside
from d2oc.control.selection import select_goal
from d2oc.control.weight_sharing import Mail, tell
from d2oc.control.weight_update import consume
from d2oc.ledger import Belief, Logs
from d2oc.transport.nearest_mass import SampleTree, SearchSpace
from d2oc.vehicles.motion import Motion, move


class Law(NamedTuple):
    """Gains of every kind of agent; a kind without time variation has one pair."""

    state_gain: Floats
    """K^x, shape (kinds, K, m, n)."""
    goal_gain: Floats
    """K^g, shape (kinds, K, m, 2)."""
    length: Ints
    """Number of different steps of each kind, shape (kinds,)."""


class Team(NamedTuple):
    """What changes as the team flies, by agent; and who is of which kind."""

    kind: Ints
    """Kind of vehicle and law, shape (L,)."""
    n_steps: Ints
    """Steps of operation, shape (L,)."""
    alpha: Floats
    """Mass of one step, shape (L,)."""
    state: Floats
    """Shape (L, n)."""
    input: Floats
    """Input applied in this step, shape (L, m)."""
    position: Floats
    """Local ENU, shape (L, 2). [m]"""
    goal: Floats
    """Goal of this step, shape (L, 2). [m]"""
    consumed: Floats
    """Mass consumed in this step, shape (L,)."""
    active: Flags
    """Whether the agent acted in this step, shape (L,)."""
    reach: Floats
    """Distance to the farthest sample selected, shape (L,). [m]"""


@compiled
def sequential_step(
    k: int,
    first: int,
    comm_range: float,
    quantum: float,
    negligible: int,
    team: Team,
    law: Law,
    motion: Motion,
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    mail: Mail,
    space: SearchSpace,
) -> int:
    """One step of the team, agents in sequence from `first` on, as published.

    Returns
    -------
    agent : int
        The agent whose turn is next: L when all have acted, less when the logs have no room for it.
    """
    after = np.empty(team.state.shape[1])
    for r in range(first, len(team.kind)):
        if not has_room(logs, tree):
            return r
        steer(r, k, negligible, team, law, tree, belief, space)  # stage A
        if team.active[r]:
            kind = team.kind[r]
            move(motion, kind, k, team.state[r], team.input[r], after)
            team.state[r] = after
            locate(r, team, motion)
            settle(r, k, quantum, team, tree, belief, logs, space)  # stage B
        if k < team.n_steps[r]:
            meet(r, k, comm_range, quantum, team, tree, belief, logs, mail)  # stage C
    return len(team.kind)


@compiled
def steer(
    r: int,
    k: int,
    negligible: int,
    team: Team,
    law: Law,
    tree: SampleTree,
    belief: Belief,
    space: SearchSpace,
) -> None:
    """Stage A of agent r: its goal and its input; inactive when its time or its work is over."""
    team.reach[r] = -1.0
    if k < team.n_steps[r] and belief.total[r] > negligible:
        team.reach[r] = select_goal(
            tree, belief.weight[r], belief.alive[r], team.position[r], team.alpha[r], space, team.goal[r]
        )
    team.active[r] = team.reach[r] >= 0.0
    team.consumed[r] = 0.0
    if not team.active[r]:
        team.goal[r] = np.nan
        team.input[r] = 0.0
        return
    kind = team.kind[r]
    step = min(k, law.length[kind] - 1)
    for i in range(team.input.shape[1]):
        total = 0.0
        for j in range(team.state.shape[1]):
            total += law.state_gain[kind, step, i, j] * team.state[r, j]
        for j in range(2):
            total += law.goal_gain[kind, step, i, j] * team.goal[r, j]
        team.input[r, i] = total


@compiled
def settle(
    r: int,
    k: int,
    quantum: float,
    team: Team,
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    space: SearchSpace,
) -> None:
    """Stage B of agent r, from its new position."""
    team.consumed[r] = consume(tree, belief, logs, r, k, team.position[r], team.alpha[r], quantum, space)


@compiled
def meet(
    r: int,
    k: int,
    comm_range: float,
    quantum: float,
    team: Team,
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    mail: Mail,
) -> None:
    """Stage C of agent r in sequence: an exchange, both ways, with every agent in range."""
    for q in range(len(team.kind)):
        if q != r and k < team.n_steps[q]:
            dx = team.position[r, 0] - team.position[q, 0]
            dy = team.position[r, 1] - team.position[q, 1]
            if np.sqrt(dx * dx + dy * dy) < comm_range:
                tell(tree, belief, logs, q, r, belief.version[q], quantum, mail)
                tell(tree, belief, logs, r, q, belief.version[r], quantum, mail)


@compiled
def decide(
    k: int,
    quantum: float,
    negligible: int,
    team: Team,
    law: Law,
    near: Neighbours,
    tree: SampleTree,
    belief: Belief,
    space: SearchSpace,
    aside: SetAside,
) -> None:
    """Stage A of everyone; who competes with a lower-numbered neighbour gives way."""
    acted = team.active.copy()
    for r in range(len(team.kind)):
        steer(r, k, negligible, team, law, tree, belief, space)
        if not team.active[r] or near.first[r] == near.first[r + 1]:
            continue
        weight, alive = belief.weight[r], belief.alive[r]
        n_aside = set_aside(
            r, near, team.reach[r], team.position[r], team.alpha, acted, tree, weight, alive, quantum, space, aside
        )
        if n_aside > 0 and alive[1] > 0:
            steer(r, k, negligible, team, law, tree, belief, space)
        put_back(weight, alive, aside, n_aside)


@compiled
def account(
    k: int,
    first: int,
    quantum: float,
    team: Team,
    near: Neighbours,
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    space: SearchSpace,
    aside: SetAside,
) -> int:
    """Stage B of everyone from agent `first` on; returns the next agent as `sequential_step` does."""
    for r in range(first, len(team.kind)):
        if not has_room(logs, tree):
            return r
        if not team.active[r]:
            continue
        weight, alive = belief.weight[r], belief.alive[r]
        n_aside = set_aside(
            r, near, team.reach[r], team.position[r], team.alpha, team.active, tree, weight, alive, quantum, space,
            aside,
        )  # fmt: skip
        if alive[1] == 0:  # all that remains is the neighbours': nothing is gained by leaving it
            put_back(weight, alive, aside, n_aside)
            n_aside = 0
        settle(r, k, quantum, team, tree, belief, logs, space)
        put_back(weight, alive, aside, n_aside)
    return len(team.kind)


@compiled
def deliver(
    sender: Ints,
    receiver: Ints,
    posted: Ints,
    quantum: float,
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    mail: Mail,
) -> None:
    """Stage C of everyone: each link carries what its sender knew when it posted, shape (L, writers)."""
    for i in range(len(sender)):
        tell(tree, belief, logs, sender[i], receiver[i], posted[sender[i]], quantum, mail)


@compiled
def locate(r: int, team: Team, motion: Motion) -> None:
    """Read the position of agent r off its state."""
    for axis in range(2):
        team.position[r, axis] = team.state[r, motion.position_states[team.kind[r], axis]]


@compiled
def has_room(logs: Logs, tree: SampleTree) -> bool:
    """Whether one more agent can consume: in a step it takes at most every sample once."""
    return logs.used[0] + len(tree.x) <= len(logs.slot)
