"""What every reference density can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from d2oc.field import Bounds

if TYPE_CHECKING:
    from d2oc.density.grid import GridDensity

__all__ = ["Bools", "Density", "Floats", "UnitPoints", "equal_weights"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
UnitPoints = Callable[[int], Floats]
"""Source of points in the unit square [0, 1)^2: the next n of them, shape (n, 2)."""

BLOCK = 1 << 18
"""Points carried at once, which bounds the working memory."""


class Density(Protocol):
    """A reference density: where mass is, up to a constant factor."""

    def draw(self, n: int, unit: UnitPoints) -> tuple[Floats, Floats]:
        """Draw sample points and their weights.

        Parameters
        ----------
        n : int
            Samples wanted; only densities that are points themselves return another number.
        unit : callable
            Source of points of the unit square, random or evenly spread.

        Returns
        -------
        points : ndarray, shape (n, 2)
            Local ENU; they may lie outside the field. [m]
        weights : ndarray, shape (n,)
            Positive, sum 1.
        """
        ...

    def rasterise(self, bounds: Bounds, cell_size_m: float) -> GridDensity:
        """Return the mass of every cell of a grid from the lower left corner of `bounds` on, over all of it."""
        ...

    def observed(self, points: Floats) -> Bools:
        """Whether something is known at points, shape (n, 2) [m]; False is nodata, which is not zero."""
        ...

    def notes(self) -> tuple[str, ...]:
        """Sentences on what was done to the data, for people."""
        ...


def equal_weights(n: int, unit: UnitPoints, place: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
    """Carry n points of the unit square onto the ground, each with the weight 1 / n, block by block."""
    points = np.empty((n, 2))
    for first in range(0, n, BLOCK):
        points[first : first + BLOCK] = place(unit(min(BLOCK, n - first)))
    return points, np.full(n, 1.0 / n)
