"""The world moves vehicles; a controller cannot tell which world it is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

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

    def guide(self, period: float, state: Floats, velocity: Floats, height: Floats, standing: Flags) -> None:
        """Move every vehicle by setpoints of its autopilot, outside the mission; nothing is sprayed.

        Parameters
        ----------
        period : float
            Control period. [s]
        state : ndarray, shape (L, n)
            States as the vehicles measure them; overwritten with the next ones.
        velocity : ndarray, shape (L, 2)
            [m/s]
        height : ndarray, shape (L,)
            Above ground. [m]
        standing : ndarray of bool, shape (L,)
            Whose motors are off.
        """

    def true_state(self, measured: Floats) -> Floats:
        """States as they are, shape (L, n); `measured` where the world keeps no other."""

    @property
    def lost(self) -> Flags:
        """Who can fly no more, shape (L,)."""

    def telemetry(self) -> Mapping[str, Floats]:
        """What else the record keeps of this moment: columns by name, each of shape (L,)."""


@runtime_checkable
class Remembering(Protocol):
    """A world whose flight can go on from plain data."""

    def remembered(self) -> Any:
        """All that it remembers beside the measured states, as plain data (see `d2oc.memory`); None: it cannot tell."""

    def remember(self, kept: Any) -> None:
        """Go on from what `remembered` gave; only for a world that has not moved anything yet."""


def remembered_by(world: World) -> Any:
    """All that a world remembers, None if it cannot tell."""
    return world.remembered() if isinstance(world, Remembering) else None
