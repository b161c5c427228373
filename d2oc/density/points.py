"""Scouted places themselves as samples, with no map in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2oc.density.counts_csv import Counts
from d2oc.density.grid import GridDensity, grid_shape
from d2oc.density.protocol import Bools, Floats, UnitPoints
from d2oc.errors import DensityError
from d2oc.field import Bounds

__all__ = ["ScoutedPoints"]


@dataclass(frozen=True, eq=False)
class ScoutedPoints:
    """Point masses: each scouted place with a weight proportional to its count."""

    counts: Counts

    def draw(self, n: int, unit: UnitPoints) -> tuple[Floats, Floats]:
        """Return every place with a count above zero, whatever `n` is; see `Density.draw`."""
        shares = self.counts.values / self.counts.values.max()
        some = shares > 0
        return self.counts.places[some], shares[some] / shares[some].sum()

    def rasterise(self, bounds: Bounds, cell_size_m: float) -> GridDensity:
        """Sum of the counts in each cell, nodata where none was made; see `Density.rasterise`."""
        shape = grid_shape(bounds, cell_size_m)
        column, row = np.floor((self.counts.places - bounds[:2]) / cell_size_m).astype(np.intp).T
        inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        if not inside.any():
            raise DensityError("no scouted place lies in the rectangle to rasterise")
        cell = row[inside] * shape[1] + column[inside]
        made = np.bincount(cell, minlength=shape[0] * shape[1])
        mass = np.bincount(cell, weights=self.counts.values[inside], minlength=shape[0] * shape[1])
        return GridDensity(np.where(made > 0, mass, np.nan).reshape(shape), bounds[:2], cell_size_m, self.notes())

    def observed(self, points: Floats) -> Bools:
        """Everywhere: the ground between the places is taken to hold nothing; see `Density.observed`."""
        return np.ones(len(points), dtype=np.bool_)

    def notes(self) -> tuple[str, ...]:
        """Sentences on the data; see `Density.notes`."""
        n_zero = int((self.counts.values == 0).sum())
        zeros = (f"places with a count of zero, which are no samples: {n_zero}",) if n_zero else ()
        return (*self.counts.notes(), *zeros, "the scouted places are the samples; sampling.n_samples is not used")
