"""Stages A, B and C of one agent that knows only itself and what it was told.

The arrays are those of a team of one: row 0 of `Team` and `Belief` is the agent, log 0 is its own, the other logs are
those it has heard of. The laws are the ones of `d2oc.control.d2oc`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints, Longs
from d2oc.compiled import compiled
from d2oc.control.d2oc import Law, Team, settle, steer
from d2oc.control.giving_way import Neighbours, SetAside, put_back, set_aside
from d2oc.ledger import Belief, Logs
from d2oc.transport.nearest_mass import SampleTree, SearchSpace


class Ahead(NamedTuple):
    """Neighbours that go first, in the order of their numbers."""

    alpha: Floats
    """Mass of one step of each, shape (n,)."""
    active: Flags
    """Who is treating, shape (n,)."""
    now: Floats
    """Where each should be at this tick, shape (n, 2). [m]"""
    next: Floats
    """Where each should be one tick later, shape (n, 2). [m]"""


@compiled
def account_alone(
    k: int,
    quantum: float,
    team: Team,
    ahead: Ahead,
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    space: SearchSpace,
    aside: SetAside,
) -> None:
    """Stage B of step k, from the new position; what neighbours ahead consumed in it is left to them."""
    n = len(ahead.alpha)
    weight, alive = belief.weight[0], belief.alive[0]
    n_aside = set_aside(
        n, _neighbours(ahead.now), team.reach[0], team.position[0], ahead.alpha, ahead.active, tree, weight, alive,
        quantum, space, aside,
    )  # fmt: skip
    if alive[1] == 0:  # all that remains is the neighbours': nothing is gained by leaving it
        put_back(weight, alive, aside, n_aside)
        n_aside = 0
    settle(0, k, quantum, team, tree, belief, logs, space)
    put_back(weight, alive, aside, n_aside)


@compiled
def decide_alone(
    k: int,
    quantum: float,
    negligible: int,
    team: Team,
    law: Law,
    ahead: Ahead,
    tree: SampleTree,
    belief: Belief,
    space: SearchSpace,
    aside: SetAside,
) -> None:
    """Stage A of step k; an agent that competes with a neighbour ahead gives way."""
    steer(0, k, negligible, team, law, tree, belief, space)
    n = len(ahead.alpha)
    if not team.active[0] or n == 0:
        return
    weight, alive = belief.weight[0], belief.alive[0]
    n_aside = set_aside(
        n, _neighbours(ahead.next), team.reach[0], team.position[0], ahead.alpha, ahead.active, tree, weight, alive,
        quantum, space, aside,
    )  # fmt: skip
    if n_aside > 0 and alive[1] > 0:
        steer(0, k, negligible, team, law, tree, belief, space)
    put_back(weight, alive, aside, n_aside)


@compiled
def _neighbours(expected: Floats) -> Neighbours:
    """All of them neighbours of agent n, who comes after them."""
    n = len(expected)
    first = np.zeros(n + 2, np.int64)
    first[n + 1] = n
    return Neighbours(first, np.arange(n).astype(np.int32), expected)


@compiled
def write_down(
    logs: Logs, log: int, first: int, news: Flags, counts: Ints, slots: Ints, quanta: Longs, quantum: float
) -> None:
    """Write those batches of a run down in a log that are news, shape (batches,)."""
    entry = 0
    used = logs.used[0]
    for i in range(len(counts)):
        if news[i]:
            logs.first[log, first + i] = used
            logs.length[log, first + i] = counts[i]
        for _ in range(counts[i]):
            if news[i]:
                logs.slot[used] = slots[entry]
                logs.amount[used] = quanta[entry] * quantum
                used += 1
            entry += 1
    logs.used[0] = used
