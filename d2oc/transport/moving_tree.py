"""The search tree over samples that move: its shape stays, its boxes follow the samples.

Any tree whose boxes hold their samples finds exactly what a full sort finds; only its time depends on how tight
they are. So slots, and all that is known of them, keep their meaning while the samples move.
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.density.moving import Moves
from d2oc.transport.nearest_mass import LEAF_BITS, SampleTree


class MovingTree:
    """Gives the tree at any tick; asked for tick after tick it carries its samples one step at a time.

    Parameters
    ----------
    tree : SampleTree
        The samples at tick 0.
    moves : Moves or None
        How they move; None: they stand still.
    """

    def __init__(self, tree: SampleTree, moves: Moves | None) -> None:
        self._first = tree
        self._moves = moves
        self._tick, self._now = 0, tree

    def at(self, tick: int) -> SampleTree:
        """The samples at a tick."""
        if self._moves is None or tick == self._tick:
            return self._now
        if tick < self._tick:
            self._tick, self._now = 0, self._first
        points = np.column_stack([self._now.x, self._now.y])
        for k in range(self._tick, tick):
            points = self._moves.between(points, k, k + 1)
        self._tick, self._now = tick, moved_tree(self._first, points)
        return self._now


def moved_tree(tree: SampleTree, points: Floats) -> SampleTree:
    """The same tree with its samples elsewhere.

    Parameters
    ----------
    tree : SampleTree
        Before.
    points : ndarray, shape (N, 2)
        Where the sample of each slot is now. [m]
    """
    x, y = (np.ascontiguousarray(points[:, axis]) for axis in (0, 1))
    box = np.empty_like(tree.box)
    _fit(x, y, tree.leaves, box)
    for array in (x, y, box):
        array.flags.writeable = False  # as those of `sample_tree`
    return tree._replace(x=x, y=y, box=box)


@compiled
def _fit(x: Floats, y: Floats, leaves: int, box: Floats) -> None:
    """Boxes of leaves from their samples, of inner nodes from their children; an empty box is turned inside out."""
    n = len(x)
    for leaf in range(leaves):
        here = box[leaves + leaf]
        here[0] = here[1] = np.inf
        here[2] = here[3] = -np.inf
        for slot in range(leaf << LEAF_BITS, min((leaf + 1) << LEAF_BITS, n)):
            here[0], here[1] = min(here[0], x[slot]), min(here[1], y[slot])
            here[2], here[3] = max(here[2], x[slot]), max(here[3], y[slot])
    for node in range(leaves - 1, 0, -1):
        for side in range(2):
            box[node, side] = min(box[2 * node, side], box[2 * node + 1, side])
            box[node, side + 2] = max(box[2 * node, side + 2], box[2 * node + 1, side + 2])
    box[0] = box[1]
