"""The raster of a spraying mission: what each cell wants, what it may get, and where a drone may spray and fly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats
from d2oc.density.grid import GridDensity, cell_centres, grid_shape
from d2oc.density.protocol import Density
from d2oc.errors import ScenarioError
from d2oc.field import Bounds, Field
from d2oc.scenario.schema import DoseTable
from d2oc.spray.dose import cleaned, wanted_dose

COARSE = 4
"""Densities that are no grid are computed on cells so many times larger, and are linear in between."""
L_PER_HA = 1e-4
"""Litres on a square metre where the dose is 1 L/ha."""


class Grid(NamedTuple):
    """Square cells, row 0 in the south."""

    x: float
    """West edge. [m]"""
    y: float
    """South edge. [m]"""
    cell: float
    """Side. [m]"""
    rows: int
    columns: int

    @property
    def centres(self) -> Floats:
        """Centres row by row from the south, shape (rows * columns, 2). [m]"""
        width, height = self.columns * self.cell, self.rows * self.cell
        return cell_centres((self.x, self.y, self.x + width, self.y + height), self.cell)

    @property
    def litres(self) -> float:
        """Litres on one cell where the dose is 1 L/ha."""
        return self.cell**2 * L_PER_HA


@dataclass(frozen=True, eq=False)
class DoseMap:
    """What is wanted and allowed; all arrays have shape (rows, columns)."""

    grid: Grid
    severity: Floats
    """What the map says, 0 where it says nothing or outside the field."""
    needed: Floats
    """Dose that the severity itself needs, before patches are widened. [L/ha]"""
    target: Floats
    """Dose wanted, in treatable cells only. [L/ha]"""
    maximum: Floats
    """Most that may lie there: the label maximum, 0 in no-spray zones and their buffers. [L/ha]"""
    inside: Flags
    """Cells in the field and outside every zone and buffer."""
    flyable: Flags
    """Cells outside every no-fly zone."""

    @property
    def owed(self) -> float:
        """Litres wanted on the whole map."""
        return float(self.target.sum()) * self.grid.litres


def dose_map(density: Density, field: Field, table: DoseTable, cell: float, margin: float, buffer: float) -> DoseMap:
    """Dose map of a field.

    Parameters
    ----------
    density : Density
        Severity; values of a gridded map count as they are, of others as a share of their peak.
    field : Field
        The ground and its zones.
    table : DoseTable
        How much a severity needs.
    cell : float
        Side of a raster cell. [m]
    margin : float
        How far the raster reaches beyond the field, for what drifts. [m]
    buffer : float
        No-spray zones are widened by this. [m]

    Raises
    ------
    ScenarioError
        If nothing needs treatment.
    """
    x_min, y_min, x_max, y_max = field.bounds
    bounds = (x_min - margin, y_min - margin, x_max + margin, y_max + margin)
    rows, columns = grid_shape(bounds, cell)
    grid = Grid(bounds[0], bounds[1], cell, rows, columns)
    severity = severity_of(density, bounds, cell)
    shape = (rows, columns)
    centres = grid.centres
    kept_off = _near(field.in_no_spray_zones(centres).reshape(shape), buffer / cell)
    flyable = ~field.in_no_fly_zones(centres).reshape(shape)
    inside = field.in_boundary(centres).reshape(shape) & flyable & ~kept_off
    severity = np.where(inside, np.nan_to_num(severity, nan=0.0), 0.0)
    needed = wanted_dose(severity, table)
    target = np.where(inside, cleaned(needed, cell, table.minimum_patch_m2, table.dilation_m), 0.0)
    if not target.any():
        raise ScenarioError(
            f"no cell of the map needs treatment: the largest severity is {severity.max():.4g}, "
            f"dose.threshold = {table.threshold:g}, dose.minimum_patch_m2 = {table.minimum_patch_m2:g}"
        )
    maximum = np.where(kept_off, 0.0, table.maximum_l_ha)
    return DoseMap(grid, severity, needed, target, maximum, inside, flyable)


def severity_of(density: Density, bounds: Bounds, cell: float) -> Floats:
    """Severity of every cell: the values of a gridded map, of any other density the share of its peak."""
    if isinstance(density, GridDensity):
        return np.asarray(density.rasterise(bounds, cell).values * (density.cell_size / cell) ** 2)
    return _smooth(density, bounds, cell)


def _smooth(density: Density, bounds: Bounds, cell: float) -> Floats:
    """A density without cells of its own, linear between the cells of a coarser grid."""
    from scipy.ndimage import map_coordinates

    rows, columns = grid_shape(bounds, cell)
    coarse = np.nan_to_num(density.rasterise(bounds, COARSE * cell).values, nan=0.0)
    at = [(np.arange(n) + 0.5) / COARSE - 0.5 for n in (rows, columns)]
    fine = map_coordinates(coarse, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")
    return np.asarray(fine / coarse.max())


def _near(cells: Flags, radius: float) -> Flags:
    """Cells within a radius [cells] of marked ones, those included; errs on the wide side by half a cell."""
    from scipy import ndimage

    if not cells.any():
        return cells
    return np.asarray(ndimage.distance_transform_edt(~cells) <= radius + 0.71)


def widened(cells: Flags, distance: float, cell: float) -> Flags:
    """Cells within a distance [m] of marked ones."""
    return _near(cells, distance / cell)
