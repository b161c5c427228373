"""How people watch a fleet: on a screen, no faster than an eye can follow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from d2oc.arrays import Floats


class Screen(Protocol):
    """What shows a fleet."""

    def show(self, body: Floats) -> None:
        """Show bodies, shape (L, 13)."""


class Watcher:
    """Is told of every control period, shows it, and lets the next one wait.

    Parameters
    ----------
    screen : Screen
        Where the fleet is seen.
    period : float
        Least time between two control periods. [s]
    clock, sleep : callable
        Time now, and waiting. [s]
    """

    def __init__(
        self,
        screen: Screen,
        period: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._screen = screen
        self._period = period
        self._clock = clock
        self._sleep = sleep
        self._due = clock() + period

    def __call__(self, body: Floats) -> None:
        """Show the bodies after a control period, shape (L, 13), no earlier than it is due."""
        self._screen.show(body)
        now = self._clock()
        if now < self._due:
            self._sleep(self._due - now)
        self._due = max(self._due, now) + self._period
