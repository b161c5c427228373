"""From a density to weighted sample points in the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from d2oc.density.protocol import Density, Floats, UnitPoints
from d2oc.errors import DensityError
from d2oc.field import Field

if TYPE_CHECKING:
    from d2oc.scenario.schema import SamplingTable

__all__ = ["SampleSet", "evenly_spread", "sample_density"]

PLASTIC_NUMBER = 1.324717957244746
"""Real root of x^3 = x + 1."""
STEPS = np.array([1 / PLASTIC_NUMBER, 1 / PLASTIC_NUMBER**2])

N_PROBES = 10_000
"""Even points with which the share of the field without data is estimated."""


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Weighted points that stand for the reference density.

    Attributes
    ----------
    points : ndarray, shape (N, 2)
        All inside the field and outside its zones, local ENU. [m]
    weights : ndarray, shape (N,)
        All positive, sum 1 to 1e-12.
    n_requested : int
        Points drawn.
    n_outside_field : int
        Of those, removed because they lay outside the boundary.
    n_in_no_fly_zones : int
        Of those, removed because they lay inside the boundary and in a no-fly zone.
    n_in_no_spray_zones : int
        Of those, removed because they lay inside the boundary, in no no-fly zone and in a no-spray zone.
    removed_share : float
        Share of the mass that was removed with them; the rest was scaled up to 1.
    nodata_share : float
        Share of the field's area about which the data say nothing.
    notes : tuple of str
        Sentences on what was done to the data.
    """

    points: Floats
    weights: Floats
    n_requested: int
    n_outside_field: int
    n_in_no_fly_zones: int
    removed_share: float
    nodata_share: float
    notes: tuple[str, ...] = ()
    n_in_no_spray_zones: int = 0

    def report(self) -> dict[str, int | float | list[str]]:
        """Counts and shares as plain data, for `run.json` and people."""
        return {
            "n_samples": len(self.points),
            "n_requested": self.n_requested,
            "n_outside_field": self.n_outside_field,
            "n_in_no_fly_zones": self.n_in_no_fly_zones,
            "n_in_no_spray_zones": self.n_in_no_spray_zones,
            "removed_share": self.removed_share,
            "nodata_share": self.nodata_share,
            "notes": list(self.notes),
        }


def sample_density(density: Density, field: Field, sampling: SamplingTable, rng: np.random.Generator) -> SampleSet:
    """Draw samples of a density and keep those that may be treated.

    Parameters
    ----------
    density : Density
        What to cover.
    field : Field
        Samples outside its boundary or in its zones are removed and counted.
    sampling : SamplingTable
        How many samples, and whether `random` or `low-discrepancy`.
    rng : numpy.random.Generator
        Source of the random method; the other leaves it untouched.

    Returns
    -------
    samples : SampleSet

    Raises
    ------
    DensityError
        If no sample remains.
    """
    unit = evenly_spread() if sampling.method == "low-discrepancy" else _random(rng)
    points, weights = density.draw(sampling.n_samples, unit)
    in_boundary = field.in_boundary(points)
    in_zones = in_boundary & field.in_no_fly_zones(points)
    unsprayed = in_boundary & ~in_zones & field.in_no_spray_zones(points)
    kept = in_boundary & ~in_zones & ~unsprayed
    n_outside, n_in_zones = int((~in_boundary).sum()), int(in_zones.sum())
    if not kept.any():
        raise DensityError(_nothing_remains(len(points), n_outside, n_in_zones, int(unsprayed.sum()), field))
    return SampleSet(
        points=np.ascontiguousarray(points[kept]),
        weights=np.asarray(weights[kept] / weights[kept].sum()),
        n_requested=len(points),
        n_outside_field=n_outside,
        n_in_no_fly_zones=n_in_zones,
        removed_share=round(float(weights[~kept].sum() / weights.sum()), 12),
        nodata_share=_nodata_share(density, field),
        notes=(*field.notes, *density.notes()),
        n_in_no_spray_zones=int(unsprayed.sum()),
    )


def evenly_spread() -> UnitPoints:
    r"""Source of low-discrepancy points of the unit square: the Kronecker sequence of the plastic number.

    Point i is :math:`(1/2 + i\,(1/\rho, 1/\rho^2)) \bmod 1`, :math:`\rho^3 = \rho + 1`, the choice of steps of [1]_.
    As 1, 1/rho, 1/rho^2 are algebraic and independent over the rationals, the discrepancy of the first N points
    is :math:`O(N^{-1+\varepsilon})` for every epsilon > 0 [2]_, against :math:`O(N^{-1/2})` for random points.
    The points depend on nothing but i, so that more samples only add points.

    References
    ----------
    .. [1] M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018, extremelearning.com.au.
    .. [2] H. Niederreiter, Random Number Generation and Quasi-Monte Carlo Methods, SIAM, 1992, chapter 3.
           :doi:`10.1137/1.9781611970081`
    """
    drawn = 0

    def following(n: int) -> Floats:
        nonlocal drawn
        index = np.arange(drawn + 1, drawn + n + 1, dtype=np.float64)
        drawn += n
        points: Floats = (0.5 + index[:, None] * STEPS) % 1.0
        return points

    return following


def _random(rng: np.random.Generator) -> UnitPoints:
    return lambda n: rng.random((n, 2))


def _nodata_share(density: Density, field: Field) -> float:
    """Share of the treatable area that is not observed, from 10,000 even points of the field."""
    probes = field.place(evenly_spread()(N_PROBES))
    probes = probes[field.treatable(probes)]
    return float(1.0 - density.observed(probes).mean()) if len(probes) else 0.0


def _nothing_remains(n: int, n_outside: int, n_in_zones: int, n_unsprayed: int, field: Field) -> str:
    no_spray = f" and {n_unsprayed} in its no-spray zones" if field.no_spray_zones else ""
    xmin, ymin, xmax, ymax = field.bounds
    return (
        f"none of the {n} samples of the density can be treated: {n_outside} are outside the field "
        f"(x {xmin:g} to {xmax:g} m, y {ymin:g} to {ymax:g} m) and {n_in_zones} in its no-fly zones{no_spray}; "
        "check that density and field use the same coordinates"
    )
