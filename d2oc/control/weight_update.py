"""Stage B, weight update: from its new position an agent consumes the mass of one step, nearest first."""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.ledger import Belief, Logs, lower_weight, open_batch, write_entry
from d2oc.transport.nearest_mass import SampleTree, SearchSpace, nearest_mass


@compiled
def consume(
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    agent: int,
    step: int,
    position: Floats,
    alpha: float,
    quantum: float,
    space: SearchSpace,
) -> float:
    r"""Consume alpha of the believed weight, in the order of plain :math:`|q_j - p|^2`, and log it.

    Parameters
    ----------
    tree : SampleTree
        The samples.
    belief : Belief
        What the agent believes; changed in place.
    logs : Logs
        Its own log gets one batch.
    agent, step : int
        Who, and at which step.
    position : ndarray, shape (2,)
        Where the agent is now, local ENU. [m]
    alpha : float
        Mass of one step.
    quantum : float
        Unit of weights; the last, partial amount is rounded down to it.
    space : SearchSpace
        Working memory.

    Returns
    -------
    consumed : float
        Mass consumed, at most alpha.
    """
    weight = belief.weight[agent]
    alive = belief.alive[agent]
    n, _ = nearest_mass(tree, weight, alive, position[0], position[1], alpha, False, space)
    open_batch(logs, agent, step)
    consumed = 0.0
    quanta = 0
    for i in range(n):
        slot = space.found[i]
        amount = np.floor(space.amount[i] / quantum) * quantum
        if amount > 0.0:
            after = weight[slot] - amount
            lower_weight(weight, alive, slot, after)
            write_entry(logs, agent, step, slot, amount, after)
            consumed += amount
            quanta += int(amount / quantum)
    belief.total[agent] -= quanta
    belief.version[agent, agent] = step + 1
    return consumed
