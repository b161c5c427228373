"""Any baseline over a density that moves: it flies over the ground as it was at the start, where the density rests.

Places are carried back with the density before the baseline sees them, and where it wants to be after the step is
carried forward. So a baseline that knows nothing of motion covers the density that moves; what it may not know is that
zones and the field's edge do not move along. `Steering` keeps them.
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.baselines.guidance import Guidance
from d2oc.density.moving import Moves


class Carried:
    """A guidance carried along; see `d2oc.control.baselines.guidance.Guidance`.

    Parameters
    ----------
    guidance : Guidance
        Covers the density of the start.
    moves : Moves
        How the density moves.
    foresees : bool
        Whether wishes are carried to the end of the step; if not, to its beginning, so the density runs ahead.
    """

    def __init__(self, guidance: Guidance, moves: Moves, *, foresees: bool) -> None:
        self.inner = guidance
        self._moves = moves
        self._foresees = foresees

    def velocities(self, k: int, position: Floats, velocity: Floats) -> Floats:
        """See `Guidance`."""
        moves, step = self._moves, self._moves.time_step
        there = moves.between(position, k, 0)
        relative = (moves.between(position + step * velocity, k + 1, 0) - there) / step
        wanted = there + step * self.inner.velocities(k, there, relative)
        return np.asarray((moves.between(wanted, 0, k + 1 if self._foresees else k) - position) / step)
