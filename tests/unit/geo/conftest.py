"""Map files made on the spot: the same field, an L that no exchange of axes leaves as it is, in every format."""

from __future__ import annotations

import json

import numpy as np
import pytest

shapely = pytest.importorskip("shapely", reason="the extra geo is not installed")
pyogrio = pytest.importorskip("pyogrio", reason="the extra geo is not installed")
rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")

UTM = "EPSG:32633"
CORNER = np.array([353_000.0, 6_453_600.0])
"""South-west corner of the field, UTM. [m]"""
L = np.array([[0.0, 0.0], [360.0, 0.0], [360.0, 120.0], [130.0, 120.0], [130.0, 450.0], [0.0, 450.0]])
"""Long to the north, short to the east; its inner corner is at (130, 120). [m]"""
POND = np.array([[30.0, 300.0], [60.0, 300.0], [60.0, 340.0], [30.0, 340.0]])


def to_crs(places, crs, source=UTM):
    """Places in another system, by pyproj alone."""
    from pyproj import Transformer

    return np.column_stack(Transformer.from_crs(source, crs, always_xy=True).transform(*np.asarray(places).T))


@pytest.fixture
def write_shapes(tmp_path):
    """Write shapes, given in UTM, to a file: `write(name, shapes, crs=..., **columns)` gives its path."""

    def write(file, shapes, crs="EPSG:4326", source=UTM, /, **columns):
        path = tmp_path / file
        moved = shapely.transform(np.array(shapes, dtype=object), lambda places: to_crs(places, crs, source))
        kinds = {shape.geom_type for shape in moved}
        pyogrio.raw.write(
            path,
            shapely.to_wkb(moved),
            [np.asarray(values) for values in columns.values()],
            list(columns),
            geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
            crs=crs,
            **({"driver": "LIBKML"} if file.endswith(".kml") else {}),
        )
        return path

    return write


@pytest.fixture
def write_raster(tmp_path):
    """Write an array, row 0 to the north, as GeoTIFF: `write(name, values, west, north, pixel, crs=...)`."""

    def write(name, values, west, north, pixel, crs=UTM, **keys):
        path = tmp_path / name
        values = np.asarray(values)
        bands = values if values.ndim == 3 else values[None]
        profile = {
            "driver": "GTiff", "width": bands.shape[2], "height": bands.shape[1], "count": len(bands),
            "dtype": bands.dtype, "crs": crs, "transform": rasterio.Affine(pixel, 0.0, west, 0.0, -pixel, north),
        }  # fmt: skip
        with rasterio.open(path, "w", **profile | keys) as raster:
            raster.write(bands)
        return path

    return write


@pytest.fixture
def field_shape():
    """The L with a pond in it, in UTM."""
    return shapely.Polygon(L + CORNER, [POND + CORNER])


@pytest.fixture
def write_json(tmp_path):
    """Write a GeoJSON file of geometries as they are."""

    def write(file, /, *geometries, crs=None, **properties):
        features = [{"type": "Feature", "properties": properties, "geometry": geometry} for geometry in geometries]
        content = {"type": "FeatureCollection", "features": features}
        if crs:
            content["crs"] = {"type": "name", "properties": {"name": crs}}
        path = tmp_path / file
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write
