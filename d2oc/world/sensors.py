r"""What the vehicles know of themselves: satellite positioning with a drifting error.

Position and velocity errors are first-order Gauss-Markov processes, the usual model of what is left after a receiver's
filter:
:math:`e_{k+1} = a e_k + \sigma \sqrt{1 - a^2}\, n_k`, :math:`a = e^{-T / \tau}`. Tilt and rate are known exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from d2oc.arrays import Floats
from d2oc.world.noise import NormalStreams

POSITION_TIME_S = 30.0
"""Correlation time of the position error. [s]"""

VELOCITY_TIME_S = 1.0
"""Correlation time of the velocity error. [s]"""


class SatelliteReceiver:
    """Horizontal errors of every agent's position and velocity.

    Parameters
    ----------
    position_sigma, velocity_sigma : float
        Standard deviation per axis. [m], [m/s]
    streams : sequence of Generator, length L
        One an agent.
    """

    def __init__(self, position_sigma: float, velocity_sigma: float, streams: Sequence[np.random.Generator]) -> None:
        self._sigma = np.array([position_sigma, position_sigma, velocity_sigma, velocity_sigma])
        self._numbers = NormalStreams(streams, 4)
        self.error: Floats = np.zeros((len(streams), 4))
        """x, y [m], vx, vy [m/s] of the estimate minus the truth, shape (L, 4)."""
        if self._sigma.any():
            self.error = self._sigma * self._numbers.draw()

    @property
    def velocity_sigma(self) -> float:
        """Standard deviation of the velocity error per axis. [m/s]"""
        return float(self._sigma[2])

    def drift(self, time: float) -> None:
        """Let the errors drift for a while. [s]"""
        if self._sigma.any():
            left = np.exp(-time / np.array([POSITION_TIME_S, POSITION_TIME_S, VELOCITY_TIME_S, VELOCITY_TIME_S]))
            self.error = left * self.error + self._sigma * np.sqrt(1.0 - left**2) * self._numbers.draw()

    def remembered(self) -> Any:
        """Errors and what comes next, as plain data."""
        return [self.error, self._numbers.remembered()]

    def remember(self, kept: Any) -> None:
        """Go on from what `remembered` gave."""
        error, numbers = kept
        self.error = error.copy()
        self._numbers.remember(numbers)
