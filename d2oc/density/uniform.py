"""The same density everywhere in the field."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from d2oc.density.grid import GridDensity, cell_centres, grid_shape
from d2oc.density.protocol import Bools, Floats, UnitPoints, equal_weights
from d2oc.field import Bounds, Field

__all__ = ["Uniform", "covered_share"]

SUBCELLS = 4
"""A cell is probed at SUBCELLS x SUBCELLS places."""


@dataclass(frozen=True, eq=False)
class Uniform:
    """Mass spread evenly inside the boundary of a field, no-fly zones included."""

    field: Field

    def draw(self, n: int, unit: UnitPoints) -> tuple[Floats, Floats]:
        """Draw points of equal weight, exactly n inside the boundary; see `Density.draw`."""
        return equal_weights(n, unit, self.field.place)

    def rasterise(self, bounds: Bounds, cell_size_m: float) -> GridDensity:
        """Share of each cell inside the boundary, probed at 4 x 4 places; see `Density.rasterise`."""
        return GridDensity(covered_share(self.field, bounds, cell_size_m), bounds[:2], cell_size_m)

    def observed(self, points: Floats) -> Bools:
        """Everywhere; see `Density.observed`."""
        return np.ones(len(points), dtype=np.bool_)

    def notes(self) -> tuple[str, ...]:
        """Nothing was done to any data."""
        return ()


def covered_share(field: Field, bounds: Bounds, cell_size: float) -> Floats:
    """Share of each cell of a grid inside a field's boundary, shape (rows, columns)."""
    rows, columns = grid_shape(bounds, cell_size)
    centres = cell_centres(bounds, cell_size)
    steps = cell_size * ((np.arange(SUBCELLS) + 0.5) / SUBCELLS - 0.5)
    inside = np.zeros(len(centres))
    for offset in itertools.product(steps, steps):
        inside += field.in_boundary(centres + np.array(offset))
    return inside.reshape(rows, columns) / SUBCELLS**2
