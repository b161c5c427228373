"""A world that people watch: no faster than an eye can follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from d2oc.arrays import Flags, Floats
from d2oc.world.bullet import BulletWorld


class Screen(Protocol):
    """What shows a fleet."""

    def show(self, body: Floats) -> None:
        """Show bodies, shape (L, 13)."""


class WatchedWorld:
    """The bullet world on a screen; see `d2oc.world.World`.

    Parameters
    ----------
    world : BulletWorld
        What is seen.
    screen : Screen
        Where it is seen.
    period : float
        Least time between two control periods. [s]
    clock, sleep : callable
        Time now, and waiting. [s]
    """

    def __init__(
        self,
        world: BulletWorld,
        screen: Screen,
        period: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._world = world
        self._screen = screen
        self._period = period
        self._clock = clock
        self._sleep = sleep
        self._due = -float("inf")

    def advance(self, k: int, state: Floats, command: Floats, active: Flags) -> None:
        """Fly one control period, no earlier than it is due."""
        now = self._clock()
        if now < self._due:
            self._sleep(self._due - now)
        self._due = max(self._due, now) + self._period
        self._world.advance(k, state, command, active)
        self._screen.show(self._world.body)

    def true_state(self, measured: Floats) -> Floats:
        """See `BulletWorld.true_state`."""
        return self._world.true_state(measured)

    @property
    def lost(self) -> Flags:
        """See `BulletWorld.lost`."""
        return self._world.lost

    def telemetry(self) -> Mapping[str, Floats]:
        """See `BulletWorld.telemetry`."""
        return self._world.telemetry()
