r"""Giving way: in parallel order, an agent leaves to lower-numbered neighbours what they are about to treat.

When all agents act on the last step's messages, two that meet hold the same belief, choose the same goal and fly on as
one: the second does nothing useful. The published order, one agent after the other, does not have this trap, because
a later agent sees what an earlier one has just consumed. Here it foresees it: for each lower-numbered neighbour it
has heard and that is close enough to compete, it sets aside the mass of one step around the place where
that neighbour will be next, chooses and consumes without it, and puts it back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Counts, Flags, Floats, Ints, Longs
from d2oc.compiled import compiled
from d2oc.ledger import lower_weight
from d2oc.transport.nearest_mass import SampleTree, SearchSpace, nearest_mass, revive_slot


class Neighbours(NamedTuple):
    """Whom each agent heard last, and where it expects them next."""

    first: Longs
    """Neighbours of agent r are entries first[r] to first[r + 1], shape (L + 1,)."""
    sender: Ints
    """By receiver, then by number, shape (links,)."""
    expected: Floats
    """Where each agent will be if it keeps its velocity, shape (L, 2). [m]"""


class SetAside(NamedTuple):
    """Weight taken out of a belief for a moment."""

    slot: Ints
    amount: Floats


def nobody(n_agents: int) -> Neighbours:
    """Before the first message."""
    return Neighbours(np.zeros(n_agents + 1, np.int64), np.empty(0, np.int32), np.zeros((n_agents, 2)))


def neighbours(sender: Ints, receiver: Ints, position: Floats, before: Floats) -> Neighbours:
    """Neighbours after a round of messages.

    Parameters
    ----------
    sender, receiver : ndarray of int32, shape (links,)
        Ordered by receiver, then by sender.
    position, before : ndarray, shape (L, 2)
        Where everyone is and was one step ago. [m]

    Returns
    -------
    neighbours : Neighbours
    """
    first = np.searchsorted(receiver, np.arange(len(position) + 1)).astype(np.int64)
    return Neighbours(first, sender, 2 * position - before)


def no_weight_aside(n_samples: int) -> SetAside:
    """Room for weight set aside."""
    return SetAside(np.empty(n_samples, np.int32), np.empty(n_samples))


@compiled
def set_aside(
    r: int,
    near: Neighbours,
    reach: float,
    position: Floats,
    alpha: Floats,
    active: Flags,
    tree: SampleTree,
    weight: Floats,
    alive: Counts,
    quantum: float,
    space: SearchSpace,
    aside: SetAside,
) -> int:
    """Take out of the belief of agent r what lower-numbered neighbours will consume next.

    Parameters
    ----------
    r : int
        The agent.
    near : Neighbours
        Whom it heard.
    reach : float
        Distance to the farthest sample it selected; neighbours farther than twice this do not compete. [m]
    position : ndarray, shape (2,)
        Where the agent is. [m]
    alpha : ndarray, shape (L,)
        Mass of one step of everyone.
    active : ndarray of bool, shape (L,)
        Who acted in the last step.
    tree, weight, alive, quantum, space
        The agent's belief, and what is needed to search it.
    aside : SetAside
        Receives what was taken out.

    Returns
    -------
    n : int
        Entries set aside.
    """
    n_aside = 0
    for i in range(near.first[r], near.first[r + 1]):
        q = near.sender[i]
        if q > r:
            break
        dx = near.expected[q, 0] - position[0]
        dy = near.expected[q, 1] - position[1]
        if not active[q] or dx * dx + dy * dy > 4.0 * reach * reach:
            continue
        n, _ = nearest_mass(tree, weight, alive, near.expected[q, 0], near.expected[q, 1], alpha[q], False, space)
        for j in range(n):
            slot = space.found[j]
            amount = np.floor(space.amount[j] / quantum) * quantum
            if amount > 0.0 and n_aside < len(aside.slot):
                lower_weight(weight, alive, slot, weight[slot] - amount)
                aside.slot[n_aside] = slot
                aside.amount[n_aside] = amount
                n_aside += 1
    return n_aside


@compiled
def put_back(weight: Floats, alive: Counts, aside: SetAside, n_aside: int) -> None:
    """Undo `set_aside`; exact, as all weights are multiples of the quantum."""
    for i in range(n_aside):
        slot = aside.slot[i]
        if weight[slot] <= 0.0 and weight[slot] + aside.amount[i] > 0.0:
            revive_slot(alive, len(alive) // 2, slot)
        weight[slot] += aside.amount[i]
