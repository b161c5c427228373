r"""Heat equation driven area coverage (HEDAC): what is not yet covered is a heat source; fly up its temperature.

With the reference density m, the coverage c so far (both of mass one and seen through a Gaussian footprint) and the
source :math:`s = \max(m - c, 0)^2`, scaled to mass one, the temperature solves the stationary heat equation

.. math:: \ell^2 \Delta u = u - s

with insulated walls, and :math:`v_r = v_{\max} \nabla u(x_r) / |\nabla u(x_r)|`, as in [1]_ with
:math:`\ell^2 = \alpha / \beta`. The local cooling of [1] at the agents, which keeps them apart, is left out
(:math:`\gamma = 0`).
On a rectangle the cosine transform solves the equation exactly, mode by mode. On other fields, and where there are
no-fly zones, five-point differences on the cells inside do, factorised once; no heat crosses a wall.

Knows: everything; one temperature for all, from the paths of all agents (full information, computed centrally).

References
----------
.. [1] S. Ivic, B. Crnkovic and I. Mezic, "Ergodicity-based cooperative multiagent area coverage via a potential field",
   IEEE Trans. Cybernetics 47(8), 2017. :doi:`10.1109/TCYB.2016.2634400`
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Flags, Floats
from d2oc.control.baselines.guidance import CoverageTask, Headings

LENGTH_SHARE = 60.0 / 1024.0
"""Default of the length ell, as a share of the longer side of the field (60 m on 1024 m)."""
FOOTPRINT_SHARE = 0.3
"""Default footprint, as a share of the way that a vehicle flies while it takes up a velocity."""


class HeatDrivenCoverage:
    """The first-order control of [1] on a grid of square cells."""

    def __init__(
        self, task: CoverageTask, n_cells: int, length: float | None = None, footprint: float | None = None
    ) -> None:
        x_min, y_min, x_max, y_max = task.field.bounds
        sides = np.array([x_max - x_min, y_max - y_min])
        self._task = task
        self._headings = Headings(task.rngs)
        self._low = np.array([x_min, y_min])
        self._shape = tuple(int(n) for n in np.maximum(2, np.round(n_cells * sides / sides.max())))
        self._cell = sides / self._shape
        self._length = length or LENGTH_SHARE * float(sides.max())
        self._blur = gaussian(self._shape, (footprint or self._default_footprint()) / self._cell)
        self._reference = self._histogram(task.points, task.weights)
        self._visited = np.zeros(self._shape)
        self._inside = self._cells_inside()
        self._masked = None if self._inside.all() else InsulatedHeat(self._inside, self._cell, self._length)

    def velocities(self, k: int, position: Floats, velocity: Floats) -> Floats:
        """See `Guidance`."""
        task = self._task
        self._visited += self._histogram(position, task.alpha * (k < task.n_steps))
        source = self._source()
        if self._masked is None:
            temperature = stationary_heat(source, self._cell, self._length)
        else:
            temperature = self._masked.temperature(source)
        return task.speed[:, None] * self._headings.along(self._gradient(temperature, position))

    def _default_footprint(self) -> float:
        """At least a cell, half the spacing of the samples, and a share of the way of one response. [m]"""
        task = self._task
        spacing = float(np.sqrt(task.field.area_m2 / len(task.points)))
        way = float((task.speed * task.response).max())
        return max(float(self._cell.max()), spacing / 2, FOOTPRINT_SHARE * way)

    def _cells_inside(self) -> Flags:
        """Which cells have their centre in the field, shape (nx, ny)."""
        x, y = (self._low[i] + (np.arange(n) + 0.5) * self._cell[i] for i, n in enumerate(self._shape))
        centres = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
        return self._task.field.contains(centres).reshape(self._shape)

    def _source(self) -> Floats:
        from scipy.fft import dctn, idctn

        missing = self._reference - self._visited / self._visited.sum()
        source = np.where(self._inside, np.maximum(idctn(dctn(missing) * self._blur), 0.0), 0.0) ** 2
        total = source.sum()
        return source / total if total > 0 else source

    def _histogram(self, points: Floats, masses: Floats) -> Floats:
        cell = np.clip(((points - self._low) / self._cell).astype(int), 0, np.array(self._shape) - 1)
        flat = np.ravel_multi_index((cell[:, 0], cell[:, 1]), self._shape)
        return np.bincount(flat, masses, self._shape[0] * self._shape[1]).reshape(self._shape).astype(np.float64)

    def _gradient(self, temperature: Floats, position: Floats) -> Floats:
        """Bilinear between the central differences at the cell centres, shape (L, 2)."""
        slope = np.stack([self._slope(temperature, axis) for axis in range(2)], axis=-1)
        at = np.clip((position - self._low) / self._cell - 0.5, 0.0, np.array(self._shape) - 1.0)
        i, j = np.minimum(at.astype(int), np.array(self._shape) - 2).T
        a, b = (at - np.column_stack([i, j])).T[:, :, None]
        lower = (1 - a) * slope[i, j] + a * slope[i + 1, j]
        upper = (1 - a) * slope[i, j + 1] + a * slope[i + 1, j + 1]
        return np.asarray((1 - b) * lower + b * upper)

    def _slope(self, temperature: Floats, axis: int) -> Floats:
        """Central differences; behind a wall the temperature is mirrored."""
        inside = np.moveaxis(self._inside, axis, 0)
        rise = np.where(inside[1:] & inside[:-1], np.diff(np.moveaxis(temperature, axis, 0), axis=0), 0.0)
        slope = np.zeros(inside.shape)
        slope[:-1] += rise
        slope[1:] += rise
        return np.moveaxis(slope, 0, axis) / (2 * self._cell[axis])


class InsulatedHeat:
    r"""Solver of :math:`\ell^2 \Delta u = u - s` on some cells of a grid, with insulated walls around them.

    Parameters
    ----------
    inside : ndarray of bool, shape (nx, ny)
        The cells.
    cell : ndarray, shape (2,)
        Sides of a cell. [m]
    length : float
        ell. [m]
    """

    def __init__(self, inside: Flags, cell: Floats, length: float) -> None:
        from scipy.sparse import coo_array, csgraph, eye_array
        from scipy.sparse.linalg import splu

        self._inside = inside
        number = np.full(inside.shape, -1)
        number[inside] = np.arange(inside.sum())
        links = [
            (number[:-1][inside[:-1] & inside[1:]], number[1:][inside[:-1] & inside[1:]]),
            (number[:, :-1][inside[:, :-1] & inside[:, 1:]], number[:, 1:][inside[:, :-1] & inside[:, 1:]]),
        ]
        first, second = (np.concatenate(ends) for ends in zip(*links, strict=True))
        weight = np.concatenate([np.full(len(ends[0]), 1.0 / side**2) for ends, side in zip(links, cell, strict=True)])
        n = int(inside.sum())
        neighbours = coo_array((np.tile(weight, 2), (np.r_[first, second], np.r_[second, first])), shape=(n, n))
        system = eye_array(n) + length**2 * csgraph.laplacian(neighbours.tocsr())
        self._solve = splu(system.tocsc()).solve

    def temperature(self, source: Floats) -> Floats:
        """Temperature of the cells, 0 outside, shape (nx, ny)."""
        temperature = np.zeros(self._inside.shape)
        temperature[self._inside] = self._solve(source[self._inside])
        return temperature


def stationary_heat(source: Floats, cell: Floats, length: float) -> Floats:
    r"""Solution of :math:`\ell^2 \Delta u = u - s` on a rectangle with insulated walls.

    Parameters
    ----------
    source : ndarray, shape (nx, ny)
        Values of s at the cell centres.
    cell : ndarray, shape (2,)
        Sides of a cell. [m]
    length : float
        ell. [m]

    Returns
    -------
    temperature : ndarray, shape (nx, ny)
        Values of u at the cell centres; a cosine mode is divided by :math:`1 + \ell^2 |k|^2`.
    """
    from scipy.fft import dctn, idctn

    kx, ky = (np.pi * np.arange(n) / (n * side) for n, side in zip(source.shape, cell, strict=True))
    return np.asarray(idctn(dctn(source) / (1.0 + length**2 * (kx[:, None] ** 2 + ky[None, :] ** 2))))


def gaussian(shape: tuple[int, ...], sigma: Floats) -> Floats:
    """Factor of each cosine mode under a Gaussian of standard deviation `sigma` cells per axis, shape (nx, ny)."""
    kx, ky = (np.pi * np.arange(n) / n * s for n, s in zip(shape, sigma, strict=True))
    return np.asarray(np.exp(-0.5 * (kx[:, None] ** 2 + ky[None, :] ** 2)))
