"""Stage A, selection: near and heavy samples that fill the mass of one step, and their barycentre."""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Counts, Floats
from d2oc.compiled import compiled
from d2oc.transport.nearest_mass import SampleTree, SearchSpace, nearest_mass


@compiled
def select_goal(
    tree: SampleTree,
    weight: Floats,
    alive: Counts,
    position: Floats,
    alpha: float,
    space: SearchSpace,
    goal: Floats,
) -> float:
    r"""Goal of one agent: the barycentre of the samples it takes on.

    Over the samples with :math:`w_j > 0`, in the order of :math:`|q_j - p|^2 / w_j^2`, whole weights are taken until
    alpha is filled, the last one in part; the very last sample takes all that is left, eq. (10) to (12) of [1]_.

    Parameters
    ----------
    tree : SampleTree
        The samples.
    weight : ndarray, shape (N,)
        Believed remaining weight by slot.
    alive : ndarray of uint8, shape (2 * leaves,)
        Samples left below each node.
    position : ndarray, shape (2,)
        Where the agent is, local ENU. [m]
    alpha : float
        Mass of one step.
    space : SearchSpace
        Working memory.
    goal : ndarray, shape (2,)
        Receives the goal; unchanged when nothing remains. [m]

    Returns
    -------
    reach : float
        Distance to the farthest sample taken, -1 when nothing remains to be treated. [m]

    References
    ----------
    .. [1] S. Seo and K. Lee, IEEE Trans. SMC: Systems, 2025. :doi:`10.1109/TSMC.2025.3622075`
    """
    n, left = nearest_mass(tree, weight, alive, position[0], position[1], alpha, True, space)
    if n == 0:
        return -1.0
    space.amount[n - 1] += left
    goal[0] = 0.0
    goal[1] = 0.0
    farthest = 0.0
    for i in range(n):
        x, y = tree.x[space.found[i]], tree.y[space.found[i]]
        goal[0] += space.amount[i] * x
        goal[1] += space.amount[i] * y
        farthest = max(farthest, (x - position[0]) ** 2 + (y - position[1]) ** 2)
    goal[0] /= alpha
    goal[1] /= alpha
    return np.sqrt(farthest)
