"""From the scenario's tables to a density and the field it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from d2oc.density.gridding import field_around, grid_counts
from d2oc.density.mixture import Mixture, Patch
from d2oc.density.placed import density_from_geotiff, placed_counts
from d2oc.density.points import ScoutedPoints
from d2oc.density.protocol import Density
from d2oc.density.raster import density_from_array, density_from_image
from d2oc.density.uniform import Uniform
from d2oc.errors import FieldError
from d2oc.field import Field

if TYPE_CHECKING:
    from d2oc.scenario.schema import (
        ArrayDensity,
        DensityTable,
        FieldTable,
        ImageDensity,
        MixtureComponent,
        MixtureDensity,
        PointsDensity,
        UniformDensity,
        VectorPointsDensity,
    )

__all__ = ["build_density"]


def build_density(table: DensityTable, field_table: FieldTable | None) -> tuple[Density, Field]:
    """Density of a scenario, and its field.

    Parameters
    ----------
    table : DensityTable
        The `[density]` table; its file paths are absolute or relative to the working directory.
    field_table : FieldTable or None
        The `[field]` table. None takes the field from the data: the rectangle of a picture or an array, the convex
        hull of scouted places widened by half their median spacing.

    Returns
    -------
    density : Density
    field : Field

    Raises
    ------
    DensityError
        If the data cannot be used.
    FieldError
        If there is neither a `[field]` table nor data to take the field from.
    """
    field = Field.from_table(field_table) if field_table is not None else None
    if table.kind == "points" or table.kind == "vector-points":
        return _from_points(table, field)
    if table.kind == "image" or table.kind == "array":
        return _from_raster(table, field)
    if table.kind == "geotiff":
        return density_from_geotiff(table, field)
    if field is None:
        raise FieldError(
            f"density.kind = '{table.kind}' covers no ground of its own; add [field] with width_m and height_m, "
            "or boundary_m"
        )
    return _from_formula(table, field)


def _from_formula(table: UniformDensity | MixtureDensity, field: Field) -> tuple[Density, Field]:
    if table.kind == "uniform":
        return Uniform(field), field
    patches = tuple(_patch(component) for component in table.components)
    return Mixture(patches, field, table.background), field


def _from_points(table: PointsDensity | VectorPointsDensity, field: Field | None) -> tuple[Density, Field]:
    counts, frame = placed_counts(table, field)
    field = field if field is not None else field_around(counts, frame)
    if table.interpolation == "none":
        return ScoutedPoints(counts), field
    return grid_counts(table, counts, field), field


def _from_raster(table: ImageDensity | ArrayDensity, field: Field | None) -> tuple[Density, Field]:
    density = density_from_image(table) if table.kind == "image" else density_from_array(table)
    return density, field if field is not None else Field.rectangle(*density.bounds)


def _patch(component: MixtureComponent) -> Patch:
    sigma = component.sigma_m if isinstance(component.sigma_m, tuple) else (component.sigma_m,) * 2
    return Patch(
        mean=np.array(component.mean_m, dtype=np.float64),
        sigma=np.array(sigma, dtype=np.float64),
        angle=float(np.deg2rad(component.angle_deg)),
        weight=component.weight,
    )
