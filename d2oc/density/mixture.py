"""A sum of Gaussian patches over an even background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2oc.density.grid import GridDensity, cell_centres, grid_shape
from d2oc.density.protocol import Bools, Floats, UnitPoints, equal_weights
from d2oc.density.uniform import covered_share
from d2oc.field import Bounds, Field

__all__ = ["Mixture", "Patch"]

PROBES = 4
"""Gauss-Legendre nodes an axis with which the mass of a cell is integrated."""


@dataclass(frozen=True, eq=False)
class Patch:
    """One Gaussian.

    Attributes
    ----------
    mean : ndarray, shape (2,)
        Centre, local ENU. [m]
    sigma : ndarray, shape (2,)
        Standard deviations along the patch's own axes. [m]
    angle : float
        Direction of its first axis, anticlockwise from east. [rad]
    weight : float
        Mass relative to the other patches.
    """

    mean: Floats
    sigma: Floats
    angle: float = 0.0
    weight: float = 1.0

    @property
    def axes(self) -> Floats:
        """Rows are the patch's axes as unit vectors, shape (2, 2)."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, s], [-s, c]])

    @property
    def covariance(self) -> Floats:
        """Covariance of the points of this patch, shape (2, 2). [m^2]"""
        spread: Floats = (self.axes.T * self.sigma**2) @ self.axes
        return spread

    def place(self, unit: Floats) -> Floats:
        """Carry the unit square onto the patch, mass for mass, by the normal quantiles along its axes. [m]"""
        from scipy.special import ndtri

        inner = np.clip(unit, 2.0**-60, 1.0 - 2.0**-53)
        points: Floats = self.mean + (ndtri(inner) * self.sigma) @ self.axes
        return points

    def density(self, points: Floats) -> Floats:
        """Normal density at points, mass 1, shape (n,). [1/m^2]"""
        along = ((points - self.mean) @ self.axes.T) / self.sigma
        values: Floats = np.exp(-0.5 * (along**2).sum(axis=1)) / (2 * np.pi * self.sigma.prod())
        return values


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussian patches, and a background spread evenly inside the boundary of a field.

    Attributes
    ----------
    patches : tuple of Patch
        At least one.
    field : Field
        Where the background is; patches reach beyond it.
    background : float
        Mass of the background relative to the sum of the weights of the patches.
    """

    patches: tuple[Patch, ...]
    field: Field
    background: float = 0.0

    @property
    def shares(self) -> Floats:
        """Share of the mass of each patch and, if there is any, last of the background; sum 1."""
        weights = np.array([patch.weight for patch in self.patches])
        weights = weights / weights.max()
        shares = np.append(weights, [self.background * weights.sum()] if self.background else [])
        return np.asarray(shares / shares.sum())

    def draw(self, n: int, unit: UnitPoints) -> tuple[Floats, Floats]:
        """Draw points of equal weight from the mixture itself, no grid in between; see `Density.draw`."""
        return equal_weights(n, unit, self.place)

    def place(self, unit: Floats) -> Floats:
        """Carry the unit square onto the mixture, mass for mass.

        The square is cut into one upright strip a part, as wide as the part's share; each strip is stretched to a
        whole square and carried onto its part. With random points this is a draw of the part and then a draw from
        it; evenly spread points stay even in every strip.

        Parameters
        ----------
        unit : ndarray, shape (n, 2)
            Points in [0, 1)^2.

        Returns
        -------
        points : ndarray, shape (n, 2)
            Local ENU. [m]
        """
        shares = self.shares
        ends = np.cumsum(shares)
        ends[-1] = max(1.0, ends[-1])
        part = np.searchsorted(ends, unit[:, 0], side="right")
        points = np.empty_like(unit)
        for i in range(len(shares)):
            place = self.patches[i].place if i < len(self.patches) else self.field.place
            here = np.flatnonzero(part == i)
            if len(here):
                along = (unit[here, 0] - (ends[i - 1] if i else 0.0)) / shares[i]
                points[here] = place(np.column_stack([np.clip(along, 0.0, 1.0), unit[here, 1]]))
        return points

    def rasterise(self, bounds: Bounds, cell_size_m: float) -> GridDensity:
        """Mass of each cell by 4 x 4 Gauss-Legendre nodes, good for cells below 2 sigma; see `Density.rasterise`."""
        shape = grid_shape(bounds, cell_size_m)
        centres = cell_centres(bounds, cell_size_m)
        nodes, weights = np.polynomial.legendre.leggauss(PROBES)
        mass = np.zeros(len(centres))
        for dx, wx in zip(nodes * cell_size_m / 2, weights / 2, strict=True):
            for dy, wy in zip(nodes * cell_size_m / 2, weights / 2, strict=True):
                for share, patch in zip(self.shares, self.patches, strict=False):
                    mass += wx * wy * share * cell_size_m**2 * patch.density(centres + np.array([dx, dy]))
        values = mass.reshape(shape)
        if self.background:
            covered = covered_share(self.field, bounds, cell_size_m)
            values = values + self.shares[-1] * covered / covered.sum()
        return GridDensity(values, bounds[:2], cell_size_m)

    def observed(self, points: Floats) -> Bools:
        """Everywhere; see `Density.observed`."""
        return np.ones(len(points), dtype=np.bool_)

    def notes(self) -> tuple[str, ...]:
        """Nothing was done to any data."""
        return ()
