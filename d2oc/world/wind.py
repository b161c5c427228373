r"""Wind: a steady part, and gusts of the Dryden spectra at low altitude.

Scales and intensities are those of MIL-F-8785C [1]_, section 3.7.3.4, for heights h from 10 to 1000 ft: :math:`L_u =
L_v = h / (0.177 + 0.000823 h)^{1.2}`, :math:`L_w = h`, :math:`\sigma_w = 0.1 W_{20}`, :math:`\sigma_u = \sigma_v =
\sigma_w / (0.177 + 0.000823 h)^{0.4}`, all in feet, :math:`W_{20}` the wind at 20 ft. The axis u is along the mean
wind. The forming filters of the spectra (section 3.7.1.2) are

.. math:: H_u = \frac{\sigma_u \sqrt{2 \tau}}{1 + \tau s}, \qquad
          H_v = \sigma_v \sqrt{\tau} \frac{1 + \sqrt 3 \tau s}{(1 + \tau s)^2}, \qquad \tau = L / V

for white noise of unit intensity, V the airspeed. Both are run as exact discretisations of stationary processes, so
the variance is :math:`\sigma^2` at any step and any airspeed. With :math:`x_1` a first-order process of unit variance
and :math:`x_2` its own low-pass, the second one is :math:`\sigma_v (\sqrt 3 x_1 + (1 - \sqrt 3) x_2) / \sqrt 2`.

References
----------
.. [1] MIL-F-8785C, Military Specification: Flying Qualities of Piloted Airplanes, 1980.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.world.noise import NormalStreams

FOOT = 0.3048
"""[m]"""

SLOWEST_AIRSPEED = 0.5
"""Gusts pass at least this fast. [m/s]"""

NUMBERS_A_STEP = 5
"""Normal numbers an agent's gust takes: one for u, two each for v and w."""


class Gusts(NamedTuple):
    """Scale and intensity of the turbulence at one height."""

    length: Floats
    """L_u, L_v, L_w, shape (3,). [m]"""
    sigma: Floats
    """sigma_u, sigma_v, sigma_w, shape (3,). [m/s]"""


def low_altitude_gusts(height: float, wind_speed: float) -> Gusts:
    """Dryden turbulence at a height; below 10 ft as at 10 ft, where the formulas begin.

    Parameters
    ----------
    height : float
        Above ground. [m]
    wind_speed : float
        Mean wind at 20 ft (6.1 m). [m/s]
    """
    h = min(max(height / FOOT, 10.0), 1000.0)
    base = 0.177 + 0.000823 * h
    horizontal = h / base**1.2 * FOOT
    sigma_w = 0.1 * wind_speed
    sigma_u = sigma_w / base**0.4
    return Gusts(np.array([horizontal, horizontal, h * FOOT]), np.array([sigma_u, sigma_u, sigma_w]))


class Wind:
    """Steady wind and gusts at every agent.

    Parameters
    ----------
    speed : float
        Mean wind. [m/s]
    toward : float
        Where it blows to, anticlockwise from east. [rad]
    gusts : Gusts or None
        None: steady.
    streams : sequence of Generator, length L
        One an agent; gusts at different agents are independent.
    """

    def __init__(
        self, speed: float, toward: float, gusts: Gusts | None, streams: Sequence[np.random.Generator]
    ) -> None:
        self._along = np.array([math.cos(toward), math.sin(toward)])
        self._steady = np.array([speed * self._along[0], speed * self._along[1], 0.0])
        self._gusts = gusts if gusts is not None and gusts.sigma.any() else None
        self._numbers = NormalStreams(streams, NUMBERS_A_STEP)
        self._state = np.zeros((len(streams), NUMBERS_A_STEP))
        self.velocity: Floats = np.tile(self._steady, (len(streams), 1))
        if self._gusts is not None:
            _stationary(self._numbers.draw(), self._state)

    def blow(self, dt: float, velocity: Floats) -> Floats:
        """Wind of the next step.

        Parameters
        ----------
        dt : float
            [s]
        velocity : ndarray, shape (L, 3)
            Of the agents over ground; with the wind it says how fast gusts pass. [m/s]

        Returns
        -------
        wind : ndarray, shape (L, 3)
            [m/s]
        """
        if self._gusts is not None:
            _blow(
                dt, self._gusts, self._steady, self._along, velocity, self._numbers.draw(), self._state, self.velocity
            )
        return self.velocity

    def remembered(self) -> Any:
        """Gusts and what comes next, as plain data."""
        return [self._state, self.velocity, self._numbers.remembered()]

    def remember(self, kept: Any) -> None:
        """Go on from what `remembered` gave."""
        state, velocity, numbers = kept
        self._state, self.velocity = state.copy(), velocity.copy()
        self._numbers.remember(numbers)


@compiled
def _stationary(number: Floats, state: Floats) -> None:
    """Start from the stationary distribution: covariance [[1, 1/2], [1/2, 1/2]] of (x1, x2)."""
    for r in range(len(state)):
        state[r, 0] = number[r, 0]
        for first in (1, 3):
            state[r, first] = number[r, first]
            state[r, first + 1] = 0.5 * number[r, first] + 0.5 * number[r, first + 1]


@compiled
def _blow(
    dt: float,
    gusts: Gusts,
    steady: Floats,
    along: Floats,
    velocity: Floats,
    number: Floats,
    state: Floats,
    wind: Floats,
) -> None:
    root = math.sqrt(3.0)
    for r in range(len(state)):
        x, y = velocity[r, 0] - wind[r, 0], velocity[r, 1] - wind[r, 1]
        airspeed = max(np.sqrt(x * x + y * y), SLOWEST_AIRSPEED)
        left = math.exp(-dt * airspeed / gusts.length[0])
        state[r, 0] = left * state[r, 0] + np.sqrt(1.0 - left * left) * number[r, 0]
        u = gusts.sigma[0] * state[r, 0]
        _second_order(dt * airspeed / gusts.length[1], number[r, 1:3], state[r, 1:3])
        _second_order(dt * airspeed / gusts.length[2], number[r, 3:5], state[r, 3:5])
        v = gusts.sigma[1] / math.sqrt(2.0) * (root * state[r, 1] + (1.0 - root) * state[r, 2])
        w = gusts.sigma[2] / math.sqrt(2.0) * (root * state[r, 3] + (1.0 - root) * state[r, 4])
        wind[r, 0] = steady[0] + along[0] * u - along[1] * v
        wind[r, 1] = steady[1] + along[1] * u + along[0] * v
        wind[r, 2] = steady[2] + w


@compiled
def _second_order(step: float, number: Floats, x: Floats) -> None:
    """One exact step of x1' = -x1 + noise, x2' = x1 - x2, in units of the time constant.

    The noise covariance is what keeps the stationary one, [[1, 1/2], [1/2, 1/2]], unchanged.
    """
    a = math.exp(-step)
    b = step * a
    first = 1.0 - a * a
    both = 0.5 - a * (b + 0.5 * a)
    second = 0.5 - (b * b + a * b + 0.5 * a * a)
    root = np.sqrt(first)
    x[1] = a * x[1] + b * x[0] + both / root * number[0] + np.sqrt(max(second - both * both / first, 0.0)) * number[1]
    x[0] = a * x[0] + root * number[0]
