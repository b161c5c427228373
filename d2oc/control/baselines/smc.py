r"""Spectral multiscale coverage (SMC): fly down the gradient of a spectral distance of time and space averages.

With the cosine modes :math:`f_k(x) = \cos(k_1 \pi x_1 / L_1) \cos(k_2 \pi x_2 / L_2) / h_k` on the bounding box of the
field, :math:`S_k = \int_0^t \sum_r f_k(x_r) - N t \mu_k` and :math:`\Lambda_k = (1 + |k|^2)^{-3/2}`,

.. math:: B_r = \sum_k \Lambda_k S_k \nabla f_k(x_r), \qquad v_r = -v_{\max} B_r / |B_r|,

the control law of [1]_ for first-order dynamics. A velocity that leads across a wall is mirrored: the modes
have no gradient across the walls of the box, so an agent whose velocity is merely clipped there gets stuck. For the
same reason the gradient is taken at least one step's flight inside the box.

Knows: everything; the time averages are sums over the paths of all agents (full information, computed centrally).

References
----------
.. [1] G. Mathew and I. Mezic, "Metrics for ergodicity and design of ergodic dynamics for multi-agent systems", Physica
   D 240, 2011. :doi:`10.1016/j.physd.2010.10.010`
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.baselines.guidance import CoverageTask, Headings
from d2oc.control.baselines.walls import reflected, walls_of


class SpectralMultiscaleCoverage:
    """The first-order control of [1] with K x K modes."""

    def __init__(self, task: CoverageTask, n_modes: int) -> None:
        x_min, y_min, x_max, y_max = task.field.bounds
        self._task = task
        self._walls = walls_of(task.field)
        self._headings = Headings(task.rngs)
        self._low = np.array([x_min, y_min])
        k = np.arange(n_modes)
        self._high = np.array([x_max, y_max])
        self._wave = np.pi * k[None, :] / np.array([[x_max - x_min], [y_max - y_min]])
        norm = np.where(k == 0, 1.0, np.sqrt(0.5))
        self._norm = norm[:, None] * norm[None, :]
        self._importance = (1.0 + k[:, None] ** 2 + k[None, :] ** 2) ** -1.5
        self._reference = self._averages(task.points, task.weights)
        self._visited = np.zeros((n_modes, n_modes))
        self._mass = 0.0

    @property
    def metric(self) -> float:
        r"""Squared distance :math:`\phi^2 = \sum_k \Lambda_k (c_k - \mu_k)^2` so far [1]."""
        difference = self._visited / self._mass - self._reference
        return float((self._importance * difference**2).sum())

    def velocities(self, k: int, position: Floats, velocity: Floats) -> Floats:
        """See `Guidance`."""
        task = self._task
        mass = task.alpha * (k < task.n_steps)
        self._visited += self._averages(position, mass)
        self._mass += float(mass.sum())
        step = np.minimum((task.speed * task.time_step)[:, None], (self._high - self._low) / 4)
        looked_at = np.clip(position, self._low + step, self._high - step)
        wanted = -task.speed[:, None] * self._headings.along(self._gradient(looked_at))
        return reflected(self._walls, position, wanted, task.time_step)

    def _averages(self, points: Floats, masses: Floats) -> Floats:
        """Sum of the modes over weighted points, shape (K, K)."""
        along_x, along_y = (np.cos((points[:, i] - self._low[i])[:, None] * self._wave[i]) for i in range(2))
        sums: Floats = (along_x * masses[:, None]).T @ along_y / self._norm
        return sums

    def _gradient(self, position: Floats) -> Floats:
        """B of each agent, shape (L, 2)."""
        phase = [(position[:, i] - self._low[i])[:, None] * self._wave[i] for i in range(2)]
        weight = self._importance * (self._visited - self._mass * self._reference) / self._norm
        slope = [-self._wave[i] * np.sin(phase[i]) for i in range(2)]
        return np.column_stack(
            [
                ((slope[0] @ weight) * np.cos(phase[1])).sum(axis=1),
                ((np.cos(phase[0]) @ weight) * slope[1]).sum(axis=1),
            ]
        )
