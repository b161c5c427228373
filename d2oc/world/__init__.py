"""The world moves vehicles; a controller cannot tell which world it is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from d2oc.arrays import Flags, Floats


class World(Protocol):
    """What moves a fleet by one control period."""

    def advance(self, k: int, state: Floats, command: Floats, active: Flags) -> None:
        """Move every active vehicle in place.

        Parameters
        ----------
        k : int
            Step of the mission.
        state : ndarray, shape (L, n)
            States as the vehicles measure them; overwritten with the next ones.
        command : ndarray, shape (L, m)
            Inputs asked for; overwritten with those that were applied.
        active : ndarray of bool, shape (L,)
            Who moves; the others stay as they are.
        """

    def true_state(self, measured: Floats) -> Floats:
        """States as they are, shape (L, n); `measured` where the world keeps no other."""

    @property
    def lost(self) -> Flags:
        """Who can fly no more, shape (L,)."""

    def telemetry(self) -> Mapping[str, Floats]:
        """What else the record keeps of this moment: columns by name, each of shape (L,)."""
