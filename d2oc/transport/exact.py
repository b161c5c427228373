"""Exact discrete optimal transport: the network simplex of POT, in the one place that names it.

References
----------
.. [1] N. Bonneel et al., Displacement interpolation using Lagrangian mass transport, ACM Trans. Graphics 30(6), 2011.
.. [2] R. Flamary et al., POT: Python Optimal Transport, JMLR 22(78), 2021.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats

MOST_PIVOTS = 10_000_000
"""Iterations allowed to the network simplex."""


class Coupling(NamedTuple):
    """An optimal plan and the potentials that prove it optimal."""

    matrix: Floats
    """Mass from each row to each column, shape (n, m)."""
    cost: float
    """Sum of mass times cost."""
    row_potential: Floats
    column_potential: Floats


def exact_transport(masses: Floats, weights: Floats, cost: Floats) -> Coupling:
    """Optimal transport between two measures of mass one.

    Parameters
    ----------
    masses, weights : ndarray, shape (n,) and (m,)
        Row and column sums, each summing to one.
    cost : ndarray, shape (n, m)
        Cost of a unit of mass.

    Returns
    -------
    coupling : Coupling
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of POT's optional back-ends and of masses that sum to 1 - 1e-16
        import ot

        matrix, log = ot.emd(masses, weights, np.ascontiguousarray(cost), numItermax=MOST_PIVOTS, log=True)
    if log["warning"] is not None:
        raise ArithmeticError(f"the network simplex did not finish: {log['warning']}")
    return Coupling(np.asarray(matrix), float(log["cost"]), np.asarray(log["u"]), np.asarray(log["v"]))


def squared_distances(x: Floats, y: Floats) -> Floats:
    """Squared distance of every pair of two point sets, shape (n, m). [m^2]"""
    cost = np.subtract.outer(x[:, 0], y[:, 0])
    cost *= cost
    other = np.subtract.outer(x[:, 1], y[:, 1])
    other *= other
    cost += other
    return np.asarray(cost)
