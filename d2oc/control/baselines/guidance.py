"""What every baseline is: from where the team is to the velocities it wishes.

A baseline decides velocities only. `Steering` turns them into the inputs of the vehicle within the same limits that
hold for every other law, and stages B and C (consume, share) go on as they do for every law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.field import Field


class Guidance(Protocol):
    """A coverage method that commands velocities."""

    def velocities(self, k: int, position: Floats, velocity: Floats) -> Floats:
        """Velocities wished in step k.

        Parameters
        ----------
        k : int
            Step of the mission; called once for every step, in order.
        position : ndarray, shape (L, 2)
            Where the agents are, local ENU. [m]
        velocity : ndarray, shape (L, 2)
            How fast they fly; zero for vehicles without inertia. [m/s]

        Returns
        -------
        wanted : ndarray, shape (L, 2)
            Faster than the vehicle's limit is cut to it. [m/s]
        """


@dataclass(frozen=True, eq=False)
class CoverageTask:
    """All that a baseline may know when it is built; L agents, N samples."""

    points: Floats
    """Samples of the reference density, shape (N, 2), local ENU. [m]"""
    weights: Floats
    """Their weights, shape (N,), sum 1."""
    field: Field
    """The ground, with its no-fly zones."""
    start: Floats
    """Where the agents start, shape (L, 2). [m]"""
    n_steps: Ints
    """Steps of operation, shape (L,)."""
    alpha: Floats
    """Mass of one step, shape (L,)."""
    time_step: float
    """Control period. [s]"""
    speed: Floats
    """Cruise speed, shape (L,). [m/s]"""
    response: Floats
    """Time a vehicle needs to take up a velocity, at least one step, shape (L,). [s]"""
    rngs: tuple[np.random.Generator, ...]
    """One random generator an agent, so that adding an agent changes no other draw."""

    @property
    def n_agents(self) -> int:
        """Size of the team."""
        return len(self.n_steps)


class Headings:
    """Unit vectors along a field of directions; where it vanishes, the last heading is kept."""

    def __init__(self, rngs: tuple[np.random.Generator, ...]) -> None:
        angle = np.array([rng.uniform(0.0, 2 * np.pi) for rng in rngs])
        self._last = np.column_stack([np.cos(angle), np.sin(angle)])

    def along(self, direction: Floats) -> Floats:
        """Unit vectors, shape (L, 2)."""
        length = np.linalg.norm(direction, axis=1)
        known = length > np.finfo(np.float64).tiny * 1e10
        self._last[known] = direction[known] / length[known, None]
        return self._last.copy()
