"""Reading vector files: shapes with their names and values, in the file's own coordinate system, east before north."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d2oc.arrays import Floats
from d2oc.errors import MapFileError, MissingExtraError
from d2oc.geo.files import VECTOR_ENDINGS, checked_file

__all__ = ["Layer", "checked_crs", "read_layer"]

MOST_FEATURES = 100_000
MOST_VERTICES = 1_000_000
NAME_COLUMNS = ("name", "label", "title", "id")
"""Columns that may name a feature, in this order, whatever their case."""

POLYGONS, LINES, POINTS = (3, 6), (1, 2, 5), (0, 4)
"""Types of shapes, as shapely numbers them."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a file.

    Attributes
    ----------
    file : Path
    format : str
        Name of the format.
    crs : str
        Coordinate system as `EPSG:n`, or as WKT where it has no number.
    shapes : ndarray of shapely geometries, shape (n,)
        Two-dimensional, x east and y north whatever the system declares; none is empty.
    names : list of str
    columns : dict of str to ndarray
        Attributes of the shapes.
    notes : tuple of str
        Sentences on what was left out.
    """

    file: Path
    format: str
    crs: str
    shapes: Any
    names: list[str]
    columns: dict[str, Any]
    notes: tuple[str, ...]

    def kinds(self) -> set[str]:
        """Which of `polygons`, `lines` and `points` there are."""
        import shapely

        types = set(shapely.get_type_id(self.shapes).tolist())
        kinds = {"polygons": POLYGONS, "lines": LINES, "points": POINTS}
        return {kind for kind, own in kinds.items() if types & set(own)}


def read_layer(file: Path) -> Layer:
    """Read the only layer of a vector file that has shapes.

    Parameters
    ----------
    file : Path
        Shapefile, GeoPackage, GeoJSON or KML.

    Returns
    -------
    layer : Layer

    Raises
    ------
    MapFileError
        In one sentence, whatever is wrong with the file.
    MissingExtraError
        If the extra `geo` is not installed.
    """
    try:
        import pyogrio
        import shapely
        from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError
    except ImportError:
        raise MissingExtraError(f"{file}: a map file", "geo") from None
    ending = checked_file(file, VECTOR_ENDINGS)
    try:
        with warnings.catch_warnings(), _offline(pyogrio):
            warnings.simplefilter("ignore")  # what matters is checked below, in sentences
            layer, info = _only_layer(pyogrio, file)
            meta, _, wkb, values = pyogrio.raw.read(
                file, layer=layer, force_2d=True, max_features=MOST_FEATURES + 1, datetime_as_string=True
            )
            shapes = shapely.from_wkb(wkb, on_invalid="fix")  # closes rings that are open
    except (DataSourceError, DataLayerError, FeatureError, GeometryError) as error:
        raise MapFileError(f"{file}: cannot be read: {_first_sentence(error)}") from None
    except (shapely.errors.GEOSException, ValueError, RuntimeError, OverflowError, UnicodeError, TypeError) as error:
        raise MapFileError(f"{file}: cannot be read: {_first_sentence(error)}") from None
    except MemoryError:
        raise MapFileError(f"{file}: cannot be read: it needs more memory than there is") from None
    if len(shapes) > MOST_FEATURES:
        raise MapFileError(f"{file}: has more than {MOST_FEATURES:,} features; save only those of the field")
    columns = dict(zip(meta["fields"], values, strict=True))
    shapes, columns, notes = _without_empty(file, shapes, columns)
    if ending in (".geojson", ".json"):
        _require_known_crs(file, str(meta["crs"]))
    crs = checked_crs(file, "EPSG:4326" if ending == ".kml" else meta["crs"], shapes)
    _require_finite(file, shapes)
    return Layer(file, str(info["driver"]), crs, shapes, _names(columns, len(shapes)), columns, notes)


OFFLINE = {
    "GDAL_HTTP_MAX_RETRY": "0",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{noext}",
    "GDAL_HTTP_PROXY": "127.0.0.1:9",
    "OGR_GEOJSON_MAX_OBJ_SIZE": "50",
    "SHAPE_RESTORE_SHX": "NO",
    "OGR_SQLITE_LOAD_EXTENSIONS": "NO",
}
"""Options of GDAL: no file is fetched and no program is loaded because a map says so."""


@contextmanager
def _offline(pyogrio: Any) -> Iterator[None]:
    """Set the options while a file is read, and then back to what they were: they hold for the whole process."""
    before = {name: pyogrio.get_gdal_config_option(name) for name in OFFLINE}
    pyogrio.set_gdal_config_options(OFFLINE)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def _only_layer(pyogrio: Any, file: Path) -> tuple[str, dict[str, Any]]:
    layers = [str(name) for name, kind in pyogrio.list_layers(file) if kind is not None]
    if not layers:
        raise MapFileError(f"{file}: has no layer with shapes")
    infos = [(name, pyogrio.read_info(file, layer=name, force_feature_count=True)) for name in layers[:100]]
    filled = [(name, info) for name, info in infos if info["features"]]
    if len(filled) > 1:
        names = ", ".join(f"'{name}'" for name, _ in filled[:8])
        raise MapFileError(f"{file}: has {len(filled)} layers ({names}); save the one that is meant in its own file")
    if not filled:
        raise MapFileError(f"{file}: has no features")
    return filled[0]


def _first_sentence(error: BaseException) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")
    text = text.split(". ")[0].split("; It might help")[0]
    return (text if len(text) <= 160 else text[:157] + "...") or type(error).__name__


def _without_empty(file: Path, shapes: Any, columns: dict[str, Any]) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    import shapely

    some = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    if not some.any():
        raise MapFileError(f"{file}: all its features are without a shape")
    notes = () if some.all() else (f"{file.name}: features without a shape, left out: {int((~some).sum())}",)
    n_vertices = int(shapely.get_num_coordinates(shapes[some]).sum())
    if n_vertices > MOST_VERTICES:
        raise MapFileError(f"{file}: has {n_vertices:,} vertices, more than {MOST_VERTICES:,}; simplify its shapes")
    return shapes[some], {name: values[some] for name, values in columns.items()}, notes


def _require_known_crs(file: Path, read: str) -> None:
    """Refuse a GeoJSON file whose declared system the library did not know, and passed over in silence."""
    with file.open("rb") as stream:
        head = stream.read(4096)
        stream.seek(max(0, file.stat().st_size - 4096))
        tail = stream.read()
    declared = re.search(rb'"crs"[^}]*?EPSG:+([0-9.]*:)?([0-9]+)', head + tail)
    if declared is not None and read.startswith("EPSG:") and read != f"EPSG:{declared[2].decode()}":
        raise MapFileError(f"{file}: declares EPSG:{declared[2].decode()[:12]}, which is no known coordinate system")


def _names(columns: dict[str, Any], n: int) -> list[str]:
    by_lower = {str(name).lower(): values for name, values in columns.items()}
    for name in NAME_COLUMNS:
        if name in by_lower:
            return [_name(value) or f"{i + 1}" for i, value in enumerate(by_lower[name])]
    return [f"{i + 1}" for i in range(n)]


def _name(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", str(value)).strip()[:60]


def _require_finite(file: Path, shapes: Any) -> None:
    import shapely

    if not np.isfinite(shapely.get_coordinates(shapes)).all():
        raise MapFileError(f"{file}: has a coordinate that is not a finite number")


def checked_crs(file: Path, declared: str | None, shapes: Any = None) -> str:
    """Name of a coordinate system in which places can be turned into longitude and latitude.

    Raises
    ------
    MapFileError
        If none is declared, it is none of places on Earth, or the coordinates are not possible in it.
    """
    try:
        from pyproj import CRS
        from pyproj.exceptions import CRSError, ProjError

        from d2oc.geo.frame import transform
    except ImportError:
        raise MissingExtraError(f"{file}: a map file", "geo") from None
    if not declared:
        missing = f"'{file.stem}.prj' is not there" if file.suffix.lower() == ".shp" else "none is written in it"
        raise MapFileError(
            f"{file}: its coordinate system is unknown, {missing}; save it with one (QGIS: Set Layer CRS, then Export)"
        )
    try:
        crs = CRS.from_user_input(declared)
    except CRSError:
        raise MapFileError(
            f"{file}: its coordinate system is not understood: {_first_sentence(_Text(declared))}"
        ) from None
    if crs.is_compound:
        crs = CRS.from_wkt(crs.sub_crs_list[0].to_wkt())
    if not (crs.is_projected or crs.is_geographic) or crs.is_geocentric:
        raise MapFileError(
            f"{file}: its coordinate system '{crs.name}' is none of places on Earth (it is {crs.type_name})"
        )
    if shapes is not None and crs.is_geographic:
        _require_degrees(file, crs.name, shapes)
    number = crs.to_epsg()
    name = f"EPSG:{number}" if number else str(crs.to_wkt())
    try:
        transform([[0.0, 0.0]], name, "EPSG:4326")
    except ProjError:
        raise MapFileError(f"{file}: from its coordinate system '{crs.name}' no way leads to places on Earth") from None
    return name


class _Text(Exception):
    """Text to be shortened like that of an error."""


def _require_degrees(file: Path, name: str, shapes: Any) -> None:
    import shapely

    x_min, y_min, x_max, y_max = (float(bound) for bound in shapely.total_bounds(shapes))
    if x_min < -180 or x_max > 180 or y_min < -90 or y_max > 90:
        raise MapFileError(
            f"{file}: declares longitude and latitude ({name}), but its coordinates go from ({x_min:g}, {y_min:g}) to "
            f"({x_max:g}, {y_max:g}); the coordinate system is wrong, or they are beyond -180 to 180 and -90 to 90"
        )


def to_lon_lat(file: Path, places: Floats, crs: str) -> Floats:
    """Longitude and latitude on WGS 84 of places in a system, shape (n, 2) both. [deg]"""
    from d2oc.geo.frame import transform

    turned = transform(places, crs, "EPSG:4326")
    if not np.isfinite(turned).all():
        raise MapFileError(f"{file}: its coordinates are no places on Earth in its coordinate system {crs[:60]}")
    return turned
