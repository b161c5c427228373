"""The world moves vehicles; a controller cannot tell which world it is in."""

from __future__ import annotations

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
            States now; overwritten with the next ones.
        command : ndarray, shape (L, m)
            Inputs asked for; overwritten with those that were applied.
        active : ndarray of bool, shape (L,)
            Who moves; the others stay as they are.
        """
