r"""Lloyd's descent: every agent flies to the centroid of its Voronoi cell and stays there.

Each sample belongs to the nearest agent; an agent flies towards the weighted mean of its samples,
:math:`v = (C_r - p_r) / \tau` cut to the cruise speed [1]_. The team converges to a centroidal Voronoi
configuration, a *deployment*: it is no tour, and much of the density is never visited.

Knows: its own cell and the density in it, so the positions of its Voronoi neighbours (local information, although
Voronoi neighbours may be out of radio range; that is not charged here).

References
----------
.. [1] J. Cortes, S. Martinez, T. Karatas and F. Bullo, "Coverage control for mobile sensing networks", IEEE Trans.
   Robotics and Automation 20(2), 2004. :doi:`10.1109/TRA.2004.824698`
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.baselines.guidance import CoverageTask


class Lloyd:
    """The continuous-time Lloyd descent of [1]."""

    def __init__(self, task: CoverageTask) -> None:
        self._task = task

    def velocities(self, k: int, position: Floats, velocity: Floats) -> Floats:
        """See `Guidance`."""
        wanted: Floats = (self.centroids(position) - position) / self._task.response[:, None]
        return wanted

    def centroids(self, position: Floats) -> Floats:
        """Weighted mean of the samples of each Voronoi cell; the own position where a cell is empty, shape (L, 2)."""
        from scipy.spatial import cKDTree

        _, owner = cKDTree(position).query(self._task.points)
        n_agents = len(position)
        mass = np.bincount(owner, self._task.weights, n_agents)
        weighted = self._task.points * self._task.weights[:, None]
        sums = np.column_stack([np.bincount(owner, weighted[:, axis], n_agents) for axis in range(2)])
        return np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-300)[:, None], position)
