r"""From severity to dose: how much a place needs, and what survives what it gets.

The dose response is the four-parameter log-logistic curve of [1]_: the share that survives the dose x is

.. math:: S(x) = c + \frac{d - c}{1 + (x / ED_{50})^b},

so the dose that leaves the share S is :math:`x = ED_{50} ((d - c) / (S - c) - 1)^{1/b}`, and
:math:`ED_{90} = ED_{50}\, 9^{1/b}` where c = 0 and d = 1.

References
----------
.. [1] J. C. Streibig, M. Rudemo and J. E. Jensen, "Dose-response curves and statistical models", in Herbicide
   Bioassays, CRC Press, 1993; and C. Ritz, Weed Science 58, 2010. :doi:`10.1614/WS-08-145.1`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from d2oc.arrays import Flags, Floats
from d2oc.errors import ScenarioError
from d2oc.scenario.schema import DoseTable


@dataclass(frozen=True)
class DoseResponse:
    """A log-logistic curve from dose to the share that survives it."""

    ed50: float
    """Dose halfway between the two ends. [L/ha]"""
    slope: float
    """b, how steep it falls."""
    untreated: float = 1.0
    """d, survival without dose."""
    least: float = 0.0
    """c, survival at any dose."""

    def survival(self, dose: ArrayLike) -> Floats:
        """Share that survives, shape of `dose` [L/ha]."""
        x = np.maximum(np.asarray(dose, np.float64), 0.0)
        return self.least + (self.untreated - self.least) / (1.0 + (x / self.ed50) ** self.slope)

    def dose_for(self, survival: ArrayLike) -> Floats:
        """Dose that leaves a share alive: 0 where that lives untreated, inf where no dose does. [L/ha]"""
        s = np.asarray(survival, np.float64)
        left, range_ = s - self.least, self.untreated - self.least
        with np.errstate(divide="ignore", over="ignore"):
            odds = np.where(left > 0.0, range_ / np.where(left > 0.0, left, 1.0) - 1.0, np.inf)
            return np.asarray(self.ed50 * np.maximum(odds, 0.0) ** (1.0 / self.slope))


def response_of(table: DoseTable) -> DoseResponse | None:
    """Dose response of a scenario; None where it names no ED50."""
    if table.ed50_l_ha is None:
        return None
    return DoseResponse(table.ed50_l_ha, table.slope, table.untreated_survival, table.least_survival)


def wanted_dose(severity: Floats, table: DoseTable) -> Floats:
    """Dose that a severity needs, before patches are widened.

    Parameters
    ----------
    severity : ndarray, any shape
        In the unit of the map; NaN is nodata and gets nothing.
    table : DoseTable
        The `[dose]` of a scenario.

    Returns
    -------
    dose : ndarray, the same shape
        0, or from the label minimum to the label maximum. [L/ha]
    """
    known = np.nan_to_num(severity, nan=0.0)
    dose = np.where(known > table.threshold, _rate(known, table), 0.0)
    return np.where(dose > 0.0, np.clip(dose, table.minimum_l_ha, table.maximum_l_ha), 0.0)


def _rate(severity: Floats, table: DoseTable) -> Floats:
    if table.kind == "threshold":
        return np.full(severity.shape, table.rate_l_ha)
    if table.kind == "steps":
        levels, rates = np.array(sorted(table.steps)).T
        step = np.searchsorted(levels, severity, side="right")
        return np.concatenate([[0.0], rates])[step]
    response = response_of(table)
    if response is None or table.tolerated is None:
        raise ScenarioError('dose.kind = "response" needs dose.ed50_l_ha and dose.tolerated')
    return response.dose_for(table.tolerated / np.maximum(severity, 1e-300))


def cleaned(dose: Floats, cell: float, minimum_patch: float, dilation: float) -> Floats:
    """Dose map without the smallest patches, the others made wider.

    Parameters
    ----------
    dose : ndarray, shape (rows, columns)
        [L/ha]
    cell : float
        Side of a cell. [m]
    minimum_patch : float
        Patches (cells that touch, also at a corner) of less area are left out. [m2]
    dilation : float
        Every patch grows by this; a new cell gets the largest dose within that distance. [m]

    Returns
    -------
    dose : ndarray, shape (rows, columns)
    """
    from scipy import ndimage

    kept = dose
    if minimum_patch > 0.0:
        label, n = ndimage.label(dose > 0.0, structure=np.ones((3, 3)))
        area = np.bincount(label.ravel(), minlength=n + 1) * cell**2
        small = area < minimum_patch
        small[0] = False
        kept = np.where(small[label], 0.0, dose)
    if dilation <= 0.0:
        return kept
    return np.asarray(np.maximum(kept, ndimage.grey_dilation(kept, footprint=disc(dilation / cell))))


def disc(radius: float) -> Flags:
    """Cells whose centre is within a radius [cells] of the middle one, shape (2 n + 1, 2 n + 1)."""
    n = int(radius)
    y, x = np.mgrid[-n : n + 1, -n : n + 1]
    return np.asarray(x * x + y * y <= radius * radius)
