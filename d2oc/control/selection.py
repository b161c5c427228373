"""Stage A, selection: near and heavy samples that fill the mass of one step, and their barycentre."""

from __future__ import annotations

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
) -> bool:
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
    found : bool
        False when nothing remains to be treated.

    References
    ----------
    .. [1] S. Seo and K. Lee, IEEE Trans. SMC: Systems, 2025. :doi:`10.1109/TSMC.2025.3622075`
    """
    n, left = nearest_mass(tree, weight, alive, position[0], position[1], alpha, True, space)
    if n == 0:
        return False
    space.amount[n - 1] += left
    goal[0] = 0.0
    goal[1] = 0.0
    for i in range(n):
        goal[0] += space.amount[i] * tree.x[space.found[i]]
        goal[1] += space.amount[i] * tree.y[space.found[i]]
    goal[0] /= alpha
    goal[1] /= alpha
    return True
