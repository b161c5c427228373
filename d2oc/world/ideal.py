"""The ideal world: vehicles move exactly as their linear models say, within their limits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.vehicles.motion import Motion, move


class IdealWorld:
    """Moves a fleet by its own model equations."""

    def __init__(self, motion: Motion, kind: Ints) -> None:
        self._motion = motion
        self._kind = kind

    def advance(self, k: int, state: Floats, command: Floats, active: Flags) -> None:
        """Move every active vehicle in place; see `d2oc.world.World`."""
        _advance(self._motion, self._kind, k, state, command, active)

    def guide(self, period: float, state: Floats, velocity: Floats, height: Floats, standing: Flags) -> None:
        """Fly velocities exactly; see `d2oc.world.World`."""
        at, along = self._motion.position_states[self._kind], self._motion.velocity_states[self._kind]
        place = np.take_along_axis(state, at, axis=1) + period * velocity
        state[:] = 0.0
        np.put_along_axis(state, at, place, axis=1)
        for r in np.flatnonzero(along[:, 0] >= 0):
            state[r, along[r]] = velocity[r]

    def true_state(self, measured: Floats) -> Floats:
        """What is measured is true here."""
        return measured.copy()

    @property
    def lost(self) -> Flags:
        """Nobody is lost here."""
        return np.zeros(len(self._kind), np.bool_)

    def telemetry(self) -> Mapping[str, Floats]:
        """Nothing more to record."""
        return {}

    def remembered(self) -> list[object]:
        """Nothing but the states; see `d2oc.world.Remembering`."""
        return []

    def remember(self, kept: object) -> None:
        """Nothing to do."""


@compiled
def _advance(motion: Motion, kind: Ints, k: int, state: Floats, command: Floats, active: Flags) -> None:
    after = np.empty(state.shape[1])
    for r in range(len(kind)):
        if active[r]:
            after[:] = state[r]
            move(motion, kind[r], k, state[r], command[r], after)
            state[r] = after
