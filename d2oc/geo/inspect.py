"""What a map file holds, and whether it can be used: the report behind `d2oc field check`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from d2oc.arrays import Floats
from d2oc.errors import D2ocError, MissingExtraError
from d2oc.geo.boundary import read_boundary, repaired_shapes, simple_polygons
from d2oc.geo.files import RASTER_ENDINGS
from d2oc.geo.frame import LocalFrame, transform
from d2oc.geo.points import frame_of_places
from d2oc.geo.raster import frame_of_raster, outline_of_raster, raster_info, read_map
from d2oc.geo.vector import Layer, read_layer, to_lon_lat

__all__ = ["FileReport", "inspect_file"]

CELLS_READ = 200
"""Cells along the longer side of a raster, for its range of values and its picture."""


@dataclass(frozen=True, eq=False)
class FileReport:
    """What a file holds.

    Attributes
    ----------
    file : Path
    kind : {"polygons", "lines", "points", "mixed", "raster", "unusable"}
    crs : str
        Coordinate system as `EPSG:n` or WKT.
    frame : LocalFrame or None
        UTM zone and south-west corner.
    area_ha : float or None
        Of the polygons, in UTM; of the observed part of a raster.
    extent_m : tuple of float
        Width and height in UTM. [m]
    lon_lat : tuple of float
        West, south, east, north. [deg]
    details : dict
        Counts and values of this kind of file.
    notes : tuple of str
        Sentences on what was repaired or left out.
    problem : str or None
        Why it cannot be used; then all else is empty.
    rings : tuple of ndarray
        Rings, lines and points as longitudes and latitudes, for pictures.
    """

    file: Path
    kind: str
    crs: str = ""
    frame: LocalFrame | None = None
    area_ha: float | None = None
    extent_m: tuple[float, float] = (0.0, 0.0)
    lon_lat: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str | None = None
    rings: tuple[Floats, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a scenario can name it."""
        return self.problem is None

    def as_mapping(self) -> dict[str, Any]:
        """Plain data for machines."""
        if self.problem is not None:
            return {"file": str(self.file), "usable": False, "problem": self.problem}
        return {
            "file": str(self.file), "usable": True, "kind": self.kind, "crs": self.crs,
            "utm": None if self.frame is None else self.frame.crs,
            "area_ha": self.area_ha, "extent_m": list(self.extent_m), "lon_lat_deg": list(self.lon_lat),
            **self.details, "notes": list(self.notes), "problem": None,
        }  # fmt: skip


def inspect_file(file: Path) -> FileReport:
    """Read a map file as a scenario would, and tell what is in it.

    Raises
    ------
    MissingExtraError
        If the extra `geo` is not installed; all else becomes the report's problem.
    """
    try:
        return _raster(file) if file.suffix.lower() in RASTER_ENDINGS else _vector(file)
    except MissingExtraError:
        raise
    except D2ocError as error:
        return FileReport(file, "unusable", problem=str(error))


def _raster(file: Path) -> FileReport:
    info = raster_info(file)
    frame = frame_of_raster(info)
    outline = outline_of_raster(info, frame)
    (x_min, y_min), (x_max, y_max) = outline.min(axis=0), outline.max(axis=0)
    cell = max(info.pixel_m, float(max(x_max - x_min, y_max - y_min)) / CELLS_READ)
    values = read_map(file, frame, (x_min, y_min, x_max, y_max), cell_size_m=cell).values
    known = ~np.isnan(values)
    return FileReport(
        file,
        "raster",
        info.crs,
        frame,
        area_ha=float(known.sum()) * cell**2 / 1e4,
        extent_m=(float(x_max - x_min), float(y_max - y_min)),
        lon_lat=_lon_lat(file, info.outline, info.crs),
        details={
            "format": "GeoTIFF", "n_rows": info.n_rows, "n_columns": info.n_columns, "pixel_m": info.pixel_m,
            "n_bands": info.n_bands, "type": info.dtype, "nodata": info.nodata, "n_overviews": info.n_overviews,
            "lowest_mean": float(values[known].min()), "highest_mean": float(values[known].max()),
        },
        rings=(to_lon_lat(file, info.outline, info.crs),),
    )  # fmt: skip


def _vector(file: Path) -> FileReport:
    layer = read_layer(file)
    kinds = layer.kinds()
    kind = kinds.pop() if len(kinds) == 1 else "mixed"
    return _polygons(layer) if kind == "polygons" else _others(layer, kind)


def _polygons(layer: Layer) -> FileReport:
    """Read as zones first; what a boundary would say besides is a note."""
    import shapely

    shapes, notes = repaired_shapes(layer)
    places = shapely.get_coordinates(shapes)
    frame = frame_of_places(layer.file, places, layer.crs)
    parts = simple_polygons(layer, shapes, frame)
    try:
        notes = read_boundary(layer.file).notes
    except D2ocError as error:
        notes = (*layer.notes, *notes, f"as zones it can be used; as a boundary not: {error}")
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors)]
    local = shapely.union_all(parts)
    x_min, y_min, x_max, y_max = local.bounds
    n_vertices = int(shapely.get_num_coordinates(layer.shapes).sum())
    return FileReport(
        layer.file,
        "polygons",
        layer.crs,
        frame,
        area_ha=float(local.area) / 1e4,
        extent_m=(x_max - x_min, y_max - y_min),
        lon_lat=_lon_lat(layer.file, places, layer.crs),
        details={
            "format": layer.format, "n_polygons": len(parts), "n_vertices": n_vertices,
            "n_holes": sum(len(part.interiors) for part in parts), "names": layer.names[:20],
            "columns": list(layer.columns)[:50],
        },
        notes=notes,
        rings=tuple(frame.to_lon_lat(shapely.get_coordinates(ring)) for ring in rings),
    )  # fmt: skip


def _others(layer: Layer, kind: str) -> FileReport:
    import shapely

    places = shapely.get_coordinates(layer.shapes)
    frame = frame_of_places(layer.file, places, layer.crs)
    local = frame.to_local(places, layer.crs)
    notes = () if kind == "points" else ("lines and points are zones only with a buffer around them",)
    return FileReport(
        layer.file,
        kind,
        layer.crs,
        frame,
        extent_m=(float(np.ptp(local[:, 0])), float(np.ptp(local[:, 1]))),
        lon_lat=_lon_lat(layer.file, places, layer.crs),
        details={
            "format": layer.format, "n_features": len(layer.shapes), "n_vertices": len(places),
            "columns": list(layer.columns)[:50],
        },
        notes=(*layer.notes, *notes),
        rings=tuple(transform(shapely.get_coordinates(s), layer.crs, "EPSG:4326") for s in layer.shapes[:2000]),
    )  # fmt: skip


def _lon_lat(file: Path, places: Floats, crs: str) -> tuple[float, float, float, float]:
    where = to_lon_lat(file, places, crs)
    (west, south), (east, north) = where.min(axis=0), where.max(axis=0)
    return float(west), float(south), float(east), float(north)
