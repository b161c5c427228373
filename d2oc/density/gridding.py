"""From counts at scouted places to a map: three documented interpolations."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, cast

import numpy as np

from d2oc.density.counts_csv import Counts
from d2oc.density.grid import GridDensity, cell_centres, grid_shape
from d2oc.density.protocol import Bools, Floats
from d2oc.errors import DensityError, FieldError
from d2oc.field import Field
from d2oc.geo import LocalFrame

if TYPE_CHECKING:
    from d2oc.scenario.schema import PointsDensity, VectorPointsDensity

__all__ = ["field_around", "grid_counts", "interpolate", "median_spacing"]

MAX_GRIDDED_CELLS = 4_000_000
NEIGHBOURS = 8
BLOCK = 1 << 18
DIRECTIONS = 16


def grid_counts(table: PointsDensity | VectorPointsDensity, counts: Counts, field: Field) -> GridDensity:
    """Map of counts over a field.

    Parameters
    ----------
    table : PointsDensity or VectorPointsDensity
        Interpolation, cell size and reach.
    counts : Counts
        What was scouted.
    field : Field
        Cells start at the lower left corner of its bounds.

    Returns
    -------
    map : GridDensity
        The interpolated count at the centre of each cell of the field; nodata farther than the reach from every
        count, for `linear` also outside the triangles, and in cells that lie outside the field.

    Raises
    ------
    DensityError
        If there are too few counts for the interpolation or too many cells.
    """
    bounds = field.bounds
    rows, columns = grid_shape(bounds, table.cell_size_m)
    if rows * columns > MAX_GRIDDED_CELLS:
        raise DensityError(
            f"density.cell_size_m = {table.cell_size_m:g} m makes {rows * columns:,} cells; at most "
            f"{MAX_GRIDDED_CELLS:,} are gridded, so choose a larger cell"
        )
    reach = _reach(table, counts)
    in_field = _cells_in(field, table.cell_size_m)
    values = np.full(rows * columns, np.nan)
    centres = cell_centres(bounds, table.cell_size_m)[in_field]
    values[in_field] = interpolate(counts, centres, table.interpolation, reach)
    if not np.nanmax(values, initial=0.0) > 0:
        raise DensityError(
            f"{table.file}: no cell of the map has a count above zero within reach_m = {reach:g} m; "
            "check that field and counts use the same coordinates, or use smaller cells"
        )
    note = (
        f"{len(counts.values)} counts gridded by {table.interpolation}: {len(centres)} cells of "
        f"{table.cell_size_m:g} m in the field, {int(np.isnan(values[in_field]).sum())} of them nodata "
        f"(reach {reach:.4g} m)"
    )
    return GridDensity(values.reshape(rows, columns), bounds[:2], table.cell_size_m, (*counts.notes(), note))


def interpolate(counts: Counts, points: Floats, method: str, reach: float = np.inf) -> Floats:
    r"""Value of counts at other places.

    - `idw`: Shepard's inverse distance weighting [1]_ with the squared distance and the 8 nearest counts,
      :math:`f(x) = \sum_i c_i d_i^{-2} / \sum_i d_i^{-2}`; at a count the count itself.
    - `linear`: linear on the Delaunay triangles of the counts; NaN outside them.
    - `nearest`: the nearest count.

    Parameters
    ----------
    counts : Counts
        Counts :math:`c_i` at distinct places.
    points : ndarray, shape (n, 2)
        Where to interpolate, local ENU. [m]
    method : {'idw', 'linear', 'nearest'}
    reach : float
        Farther than this from every count the value is NaN. [m]

    Returns
    -------
    values : ndarray, shape (n,)
        In the unit of the counts; never above the largest nor below the smallest.

    References
    ----------
    .. [1] D. Shepard, Proc. 23rd ACM National Conference, 1968. :doi:`10.1145/800186.810616`
    """
    from scipy.spatial import KDTree

    surface = _triangles(counts) if method == "linear" else None
    tree = KDTree(counts.places)
    n_near = min(NEIGHBOURS, len(counts.values)) if method == "idw" else 1
    values = np.empty(len(points))
    for first in range(0, len(points), BLOCK):
        block = points[first : first + BLOCK]
        distance, nearest = tree.query(block, k=range(1, n_near + 1))
        value = surface(block) if surface is not None else _shepard(distance, counts.values[nearest])
        values[first : first + BLOCK] = np.where(distance[:, 0] <= reach, value, np.nan)
    return np.clip(values, counts.values.min(), counts.values.max())  # rounding


def _shepard(distance: Floats, near: Floats) -> Floats:
    """Weighted mean of the near counts, shape (n, k) both, the first column the nearest."""
    closest = distance[:, :1]
    at_count = closest[:, 0] == 0
    ratio = np.divide(closest, distance, out=np.zeros_like(distance), where=distance > 0)
    ratio[at_count, 0] = 1.0
    weights = ratio**2  # d_i^-2 up to the common factor d_0^2, which cannot overflow
    values: Floats = (weights * near).sum(axis=1) / weights.sum(axis=1)
    return values


def _triangles(counts: Counts):  # type: ignore[no-untyped-def]  # scipy has no types
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    if len(counts.values) < 3:
        raise DensityError(
            f"density.interpolation = 'linear' needs at least 3 places, there are {len(counts.values)}; use 'idw'"
        )
    try:
        return LinearNDInterpolator(counts.places, counts.values)
    except QhullError:
        raise DensityError(
            "density.interpolation = 'linear' needs places that span an area, but all lie on one line; use 'idw'"
        ) from None


def _cells_in(field: Field, cell_size: float) -> Bools:
    """Cells that the field touches: at a corner, middle of a side or centre of the cell, or with its own corner."""
    bounds = field.bounds
    rows, columns = grid_shape(bounds, cell_size)
    touched = np.zeros((rows, columns), dtype=np.bool_)
    column, row = ((field.boundary - bounds[:2]) / cell_size).astype(np.intp).T
    touched[np.minimum(row, rows - 1), np.minimum(column, columns - 1)] = True
    centres = cell_centres(bounds, cell_size)
    cells = touched.ravel()
    for offset in itertools.product((-cell_size / 2, 0.0, cell_size / 2), repeat=2):
        cells |= field.in_boundary(centres + np.array(offset))
    return cells


def median_spacing(counts: Counts) -> float | None:
    """Median distance from a count to the nearest other one; None for a single count. [m]"""
    from scipy.spatial import KDTree

    if len(counts.values) < 2:
        return None
    distance, _ = KDTree(counts.places).query(counts.places, k=[2])
    return float(np.median(distance))


def _reach(table: PointsDensity | VectorPointsDensity, counts: Counts) -> float:
    if table.reach_m is not None:
        return table.reach_m
    spacing = median_spacing(counts)
    if spacing is None:
        raise DensityError(f"{table.file}: has a single place and so no spacing; give density.reach_m in metres")
    return 2 * spacing


def field_around(counts: Counts, frame: LocalFrame | None = None) -> Field:
    """Convex hull of the scouted places, widened by half their median spacing with rounded corners."""
    from scipy.spatial import ConvexHull

    spacing = median_spacing(counts)
    if spacing is None:
        raise FieldError("a single scouted place makes no field; give [field] with width_m and height_m or boundary_m")
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    around = spacing / 2 * np.column_stack([np.cos(angles), np.sin(angles)])
    widened = (counts.places[:, None, :] + around).reshape(-1, 2)
    return Field(cast(Floats, widened[ConvexHull(widened).vertices]), frame=frame)
