"""Writing rasters (cloud-optimised GeoTIFF) and vector files, and polygons of equal value."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from d2oc.arrays import Floats
from d2oc.errors import MapFileError, MissingExtraError
from d2oc.geo.frame import LocalFrame

__all__ = [
    "Grid",
    "areas",
    "equal_value_polygons",
    "moved",
    "points",
    "simplified",
    "squares",
    "widened",
    "write_cog",
    "write_features",
]

NODATA = -9999.0


@dataclass(frozen=True)
class Grid:
    """Square cells of a map in local coordinates.

    Attributes
    ----------
    origin : tuple of float
        Lower left corner. [m]
    cell_m : float
        Side of a cell. [m]
    """

    origin: tuple[float, float]
    cell_m: float


def write_cog(path: Path, bands: Mapping[str, Floats], grid: Grid, frame: LocalFrame, unit: str) -> None:
    """Write maps as bands of a cloud-optimised GeoTIFF in the UTM zone of the frame.

    Parameters
    ----------
    path : Path
    bands : mapping of str to ndarray, shape (rows, columns)
        Row 0 to the south; NaN becomes nodata, which is declared as -9999.
    grid : Grid
    frame : LocalFrame
    unit : str
        Unit of the values, written into the file.
    """
    rasterio = _library("rasterio", path)
    n_rows, n_columns = next(iter(bands.values())).shape
    west, south = frame.to_utm([grid.origin])[0]
    profile = {
        "driver": "COG", "width": n_columns, "height": n_rows, "count": len(bands), "dtype": "float32",
        "crs": frame.crs, "nodata": NODATA, "compress": "DEFLATE",
        "transform": rasterio.Affine(grid.cell_m, 0.0, west, 0.0, -grid.cell_m, south + n_rows * grid.cell_m),
    }  # fmt: skip
    try:
        with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED="NO"):
            warnings.simplefilter("ignore")
            with rasterio.open(path, "w", **profile) as raster:
                for i, (name, values) in enumerate(bands.items()):
                    filled = np.where(np.isnan(values), NODATA, values)[::-1].astype(np.float32)
                    raster.write(filled, i + 1)
                    raster.set_band_description(i + 1, name)
                raster.units = (unit,) * len(bands)
    except rasterio.errors.RasterioError as error:
        raise MapFileError(f"{path}: cannot be written ({error})") from None


def write_features(
    path: Path, shapes: Sequence[Any], columns: Mapping[str, ArrayLike], crs: str, layer: str | None = None
) -> None:
    """Write shapes with their attributes; the ending of the name chooses the format.

    Parameters
    ----------
    path : Path
        `.shp` (with `.prj`), `.gpkg` or `.geojson`; GeoJSON is always in longitude and latitude, and `crs` must be so.
    shapes : sequence of shapely geometries
        In `crs`, east before north.
    columns : mapping of str to array_like, shape (n,)
        Names of at most 10 characters in a Shapefile.
    crs : str
    layer : str, optional
        Of a GeoPackage.
    """
    pyogrio = _library("pyogrio", path)
    shapely = _library("shapely", path)
    kinds = {shape.geom_type for shape in shapes}
    many = kinds == {"Polygon", "MultiPolygon"}
    options = {"RFC7946": "YES", "COORDINATE_PRECISION": "9"} if path.suffix == ".geojson" else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pyogrio.raw.write(
                path,
                shapely.to_wkb(np.array(list(shapes), dtype=object)),
                [np.asarray(values) for values in columns.values()],
                list(columns),
                geometry_type="MultiPolygon" if many else kinds.pop(),
                promote_to_multi=many,
                crs=crs,
                layer=layer or path.stem,
                layer_options=options,
            )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, OSError) as error:
        raise MapFileError(f"{path}: cannot be written ({error})") from None


def equal_value_polygons(classes: NDArray[Any], grid: Grid) -> list[tuple[int, Any]]:
    """Polygons of connected cells of the same class, shape (rows, columns), row 0 to the south; class 0 is left out.

    Returns
    -------
    polygons : list of (int, shapely geometry)
        Class and polygon, local; cells that touch only at a corner are apart. [m]
    """
    _library("rasterio", "zones")
    from rasterio import Affine, features
    from shapely.geometry import shape

    affine = Affine(grid.cell_m, 0.0, grid.origin[0], 0.0, grid.cell_m, grid.origin[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = features.shapes(classes.astype(np.int32), mask=classes > 0, connectivity=4, transform=affine)
        return [(int(value), shape(outline)) for outline, value in found]


def squares(low: Floats, side: float) -> Any:
    """Squares by their lower left corners, shape (n, 2)."""
    shapely = _library("shapely", "cells")
    return shapely.box(low[:, 0], low[:, 1], low[:, 0] + side, low[:, 1] + side)


def points(places: Floats) -> Any:
    """Points of places, shape (n, 2)."""
    return _library("shapely", "points").points(places)


def moved(shapes: Sequence[Any], carry: Callable[[Floats], Floats]) -> Any:
    """Shapes with every corner carried elsewhere."""
    return _library("shapely", "zones").transform(np.array(list(shapes), dtype=object), carry)


def areas(shapes: Sequence[Any]) -> Floats:
    """Areas of shapes, shape (n,)."""
    return np.array([shape.area for shape in shapes])


def simplified(line: Floats, tolerance_m: float) -> Floats:
    """Line with fewer points, by Douglas and Peucker: no point left out is farther than the tolerance from it.

    References
    ----------
    .. [1] D. Douglas and T. Peucker, Cartographica 10(2), 1973. :doi:`10.3138/FM57-6770-U75U-7727`
    """
    if len(line) < 3:
        return line
    shapely = _library("shapely", "a route")
    points: Floats = shapely.get_coordinates(
        shapely.simplify(shapely.LineString(line), tolerance_m, preserve_topology=False)
    )
    return points if len(points) >= 2 else line[[0, -1]]


def widened(ring: Floats, margin_m: float, through: Floats) -> Floats:
    """Ring around another, wider by a margin, and by a margin around a way through it, shape (v, 2). [m]"""
    shapely = _library("shapely", "a fence")
    shape = shapely.Polygon(ring).buffer(margin_m, join_style="mitre")
    way = shapely.LineString(through) if len(through) > 1 else shapely.Point(through[0])
    if not shape.contains(way):
        shape = shape.union(way.buffer(margin_m, quad_segs=2))
    corners: Floats = shapely.get_coordinates(shapely.simplify(shape.exterior, margin_m / 10))[:-1]
    return corners


def _library(name: str, what: Path | str) -> Any:
    """Library of the extra; one sentence where it is missing."""
    import importlib

    try:
        module = importlib.import_module(name)
        for inner in {"rasterio": ("features", "errors"), "pyogrio": ("raw", "errors"), "shapely": ("geometry",)}[name]:
            importlib.import_module(f"{name}.{inner}")
    except ImportError:
        raise MissingExtraError(f"writing {what}", "geo") from None
    return module
