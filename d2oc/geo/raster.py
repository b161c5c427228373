"""Reading rasters (GeoTIFF, COG): thinned on the way, turned to the local frame, nodata kept apart from zero."""

from __future__ import annotations

import logging
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
from d2oc.geo.files import RASTER_ENDINGS, checked_file
from d2oc.geo.frame import LocalFrame, transform
from d2oc.geo.vector import OFFLINE, checked_crs, to_lon_lat

__all__ = ["MapGrid", "RasterInfo", "frame_of_raster", "outline_of_raster", "raster_info", "read_map"]

MOST_PIXELS = 600_000_000
LARGEST_BLOCK = 512_000_000
"""What is unpacked at once, whatever is asked for. [byte]"""
CACHE_MB = 600
"""Unpacked blocks that are kept, one of the largest size at least, since stripes are not cut at the edges of blocks."""
STRIPE = 16_000_000
"""Pixels read at once."""
MOST_CELLS = 25_000_000
CELLS_BY_DEFAULT = 1_000_000
"""Without a declared side of a cell, the map has at most so many."""
LARGEST_EXTENT_M = 100_000.0
EDGE_POINTS = 9
"""Points on every edge of a raster whose places say where it is: straight there, it is curved in another system."""
FINER = 2
"""Pixels are averaged in blocks before they are turned to the grid, which keep at least so many of them in a cell."""


@dataclass(frozen=True)
class RasterInfo:
    """What a raster says of itself, and what its values are."""

    file: Path
    crs: str
    n_rows: int
    n_columns: int
    n_bands: int
    dtype: str
    nodata: float | None
    pixel_m: float
    """Mean side of a pixel on the ground. [m]"""
    n_overviews: int
    outline: Floats
    """Places on its edge in its own system, shape (n, 2)."""
    band_names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class MapGrid:
    """A raster on a square grid of the local frame.

    Attributes
    ----------
    values : ndarray, shape (rows, columns)
        Mean of the pixels in each cell, row 0 to the south; NaN is nodata.
    origin : tuple of float
        Lower left corner, local. [m]
    cell_size_m : float
    notes : tuple of str
    """

    values: Floats
    origin: tuple[float, float]
    cell_size_m: float
    notes: tuple[str, ...]


def raster_info(file: Path) -> RasterInfo:
    """What a raster says of itself; no pixel is read.

    Raises
    ------
    MapFileError
        If it is none that can be used, in one sentence.
    MissingExtraError
        If the extra `geo` is not installed.
    """
    with _opened(file) as raster:
        return _info(file, raster)


def frame_of_raster(info: RasterInfo) -> LocalFrame:
    """Local frame of a raster: the UTM zone of its middle, from its south-west corner in whole metres."""
    places = to_lon_lat(info.file, info.outline, info.crs)
    if np.ptp(places[:, 0]) > 180:
        raise MapFileError(f"{info.file}: lies across the 180th meridian, which cannot be read; split it there")
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    crs = LocalFrame.at(float(middle[0]), float(middle[1])).crs
    edge = transform(info.outline, info.crs, crs)
    if not np.isfinite(edge).all() or np.ptp(edge, axis=0).max() > LARGEST_EXTENT_M:
        raise MapFileError(
            f"{info.file}: is wider than {LARGEST_EXTENT_M / 1000:.0f} km, which is no field; give the field's boundary"
        )
    corner = np.floor(edge.min(axis=0))
    return LocalFrame(crs, float(corner[0]), float(corner[1]))


def outline_of_raster(info: RasterInfo, frame: LocalFrame) -> Floats:
    """Edge of a raster in local coordinates, shape (v, 2). [m]"""
    return frame.to_local(info.outline, info.crs)


def read_map(
    file: Path,
    frame: LocalFrame,
    bounds: tuple[float, float, float, float],
    *,
    cell_size_m: float | None = None,
    band: int = 1,
    nodata_value: float | None = None,
) -> MapGrid:
    """Read the part of a raster that a field needs, as a grid of its local frame.

    Pixels are averaged, those without data left out: first in whole blocks while reading, stripe by stripe, so that
    memory does not grow with the file; then, weighted by area, in the cells.

    Parameters
    ----------
    file : Path
        GeoTIFF in any coordinate system.
    frame : LocalFrame
        Local coordinates.
    bounds : tuple of float
        x min, y min, x max, y max of the field; the grid begins at its lower left corner. [m]
    cell_size_m : float, optional
        Side of a cell; default: a pixel, or more where the map would have more than a million cells. [m]
    band : int
        Which band, counted from 1.
    nodata_value : float, optional
        Means "not observed", besides what the file itself declares.

    Returns
    -------
    grid : MapGrid

    Raises
    ------
    MapFileError
        If the file cannot be used, or says nothing about the field.
    """
    with _opened(file) as raster:
        info = _info(file, raster)
        if band > info.n_bands:
            raise MapFileError(f"{file}: has {info.n_bands} band{'s'[: info.n_bands > 1]}, so band = {band} is none")
        cell = cell_size_m or _default_cell(info, bounds)
        n_rows, n_columns = _shape(file, bounds, cell)
        window = _window(info, raster, frame, bounds)
        factor = max(1, math.floor(cell / info.pixel_m / FINER))
        pixels, coarse = _thinned(file, raster, band, window, factor, nodata_value)
        values = _turned(raster.crs, pixels, coarse, frame, bounds, cell, (n_rows, n_columns))
    if np.isnan(values).all():
        raise MapFileError(f"{file}: says nothing about the field: every cell there is nodata or beyond its edge")
    size = f"{info.n_columns:,} x {info.n_rows:,} pixels of {info.pixel_m:.3g} m"
    note = f"{file.name}: {size} averaged to cells of {cell:.3g} m"
    return MapGrid(values, bounds[:2], cell, (note,))


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """An open raster; whatever the library throws while it is open becomes one sentence."""
    try:
        import rasterio
        from rasterio.errors import CRSError, RasterioError, RasterioIOError, WindowError
    except ImportError:
        raise MissingExtraError(f"{file}: a raster", "geo") from None
    checked_file(file, RASTER_ENDINGS)
    options = {
        **OFFLINE,
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_CACHEMAX": CACHE_MB,
        "GTIFF_POINT_GEO_IGNORE": False,
    }
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # the sentence below says it
    try:
        with warnings.catch_warnings(), rasterio.Env(**options):
            warnings.simplefilter("ignore")
            with rasterio.open(file, driver="GTiff") as raster:
                yield raster
    except (RasterioIOError, RasterioError, CRSError, WindowError) as error:
        cause = error.__cause__ or error
        raise MapFileError(f"{file}: cannot be read as GeoTIFF: {_short(cause)}") from None
    except (ValueError, OverflowError, RuntimeError, TypeError) as error:
        raise MapFileError(f"{file}: cannot be read as GeoTIFF: {_short(error)}") from None
    except MemoryError:
        raise MapFileError(f"{file}: needs more memory than there is; make it coarser") from None


def _short(error: BaseException) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")
    return (text if len(text) <= 160 else text[:157] + "...") or type(error).__name__


def _info(file: Path, raster: Any) -> RasterInfo:
    _require_bounded(file, raster)
    if raster.crs is None:
        raise MapFileError(
            f"{file}: has no coordinate system, so it is a picture without a place; save it as GeoTIFF with one"
        )
    affine = raster.transform
    numbers = np.array([affine.a, affine.b, affine.c, affine.d, affine.e, affine.f])
    if affine.is_identity or not np.isfinite(numbers).all() or abs(affine.determinant) < 1e-30:
        raise MapFileError(f"{file}: does not say where its pixels are (no usable geotransform)")
    crs = checked_crs(file, raster.crs.to_wkt())
    outline = _edge(raster)
    return RasterInfo(
        file=file,
        crs=crs,
        n_rows=raster.height,
        n_columns=raster.width,
        n_bands=raster.count,
        dtype=str(raster.dtypes[0]),
        nodata=None if raster.nodata is None else float(raster.nodata),
        pixel_m=_pixel_m(file, raster, crs, outline),
        n_overviews=len(raster.overviews(1)),
        outline=outline,
        band_names=tuple(name or "" for name in raster.descriptions[:20]),
    )


def _require_bounded(file: Path, raster: Any) -> None:
    """Refuse what would not fit into memory or time, by what the file declares and before a pixel is read."""
    if raster.count < 1:
        raise MapFileError(f"{file}: has no bands")
    if raster.width * raster.height > MOST_PIXELS:
        raise MapFileError(
            f"{file}: declares {raster.width:,} x {raster.height:,} pixels, more than {MOST_PIXELS:,}; cut it to the "
            "field or make it coarser"
        )
    kind = np.dtype(raster.dtypes[0]) if raster.dtypes[0] in np.sctypeDict else None
    if kind is None or kind.kind not in "iuf":
        raise MapFileError(f"{file}: holds {raster.dtypes[0]} values; expected are real numbers (integer or float)")
    rows, columns = raster.block_shapes[0]
    together = raster.count if raster.interleaving is not None and "pixel" in str(raster.interleaving).lower() else 1
    if rows * columns * kind.itemsize * together > LARGEST_BLOCK:
        raise MapFileError(
            f"{file}: is stored in blocks of {columns:,} x {rows:,} pixels and {together} bands, too large to unpack; "
            "save it tiled (gdal_translate -co TILED=YES)"
        )
    if together > 64:
        raise MapFileError(f"{file}: has {raster.count:,} bands; save the one that is meant")


def _edge(raster: Any) -> Floats:
    share = np.linspace(0, 1, EDGE_POINTS)[:-1]
    zeros, ones = np.zeros_like(share), np.ones_like(share)
    unit = np.concatenate(
        [
            np.column_stack([share, zeros]),
            np.column_stack([ones, share]),
            np.column_stack([1 - share, ones]),
            np.column_stack([zeros, 1 - share]),
        ]
    )
    return _places(raster.transform, unit * (raster.width, raster.height))


def _places(affine: Any, pixels: Floats) -> Floats:
    """Places of (column, row), counted from the outer corner of the first pixel, shape (n, 2) both."""
    return pixels @ _matrix(affine).T + (affine.c, affine.f)


def _pixels(affine: Any, places: Floats) -> Floats:
    """The inverse of `_places`."""
    return np.linalg.solve(_matrix(affine), (places - (affine.c, affine.f)).T).T


def _matrix(affine: Any) -> Floats:
    return np.array([[affine.a, affine.b], [affine.d, affine.e]])


def _pixel_m(file: Path, raster: Any, crs: str, outline: Floats) -> float:
    """Mean side of a pixel: root of the area of the one in the middle."""
    places = to_lon_lat(file, outline, crs)
    if abs(places[:, 0]).max() > 180.0001 or abs(places[:, 1]).max() > 90.0001:
        raise MapFileError(
            f"{file}: its edge goes to longitude {places[:, 0].max():g}, latitude {places[:, 1].max():g}; the "
            "coordinate system is wrong"
        )
    column, row = raster.width / 2, raster.height / 2
    corners = _places(raster.transform, np.array([[column, row], [column + 1, row], [column, row + 1]]))
    middle = to_lon_lat(file, corners[:1], crs)[0]
    at, right, down = transform(corners, crs, LocalFrame.at(float(middle[0]), float(middle[1])).crs)
    area = abs(float(np.linalg.det(np.array([right - at, down - at]))))
    if not math.isfinite(area) or area <= 0:
        raise MapFileError(f"{file}: its pixels have no size on the ground; the coordinate system is wrong")
    return math.sqrt(area)


def _default_cell(info: RasterInfo, bounds: tuple[float, float, float, float]) -> float:
    area = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
    return max(info.pixel_m, math.sqrt(area / CELLS_BY_DEFAULT))


def _shape(file: Path, bounds: tuple[float, float, float, float], cell: float) -> tuple[int, int]:
    n_rows, n_columns = (max(1, math.ceil((bounds[i + 2] - bounds[i]) / cell - 1e-9)) for i in (1, 0))
    if n_rows * n_columns > MOST_CELLS:
        raise MapFileError(
            f"{file}: cells of {cell:g} m make {n_rows * n_columns:,} in the field, more than {MOST_CELLS:,}; choose a "
            "larger cell_size_m"
        )
    return n_rows, n_columns


def _window(info: RasterInfo, raster: Any, frame: LocalFrame, bounds: tuple[float, float, float, float]) -> Any:
    """Pixels that the field needs: (first row, end row, first column, end column)."""
    share = np.linspace(0, 1, EDGE_POINTS)
    x, y = np.meshgrid(bounds[0] + share * (bounds[2] - bounds[0]), bounds[1] + share * (bounds[3] - bounds[1]))
    places = transform(frame.to_utm(np.column_stack([x.ravel(), y.ravel()])), frame.crs, info.crs)
    column, row = _pixels(raster.transform, places[np.isfinite(places).all(axis=1)]).T
    if len(column):
        first_row, end_row = max(0, math.floor(row.min()) - 2), min(info.n_rows, math.ceil(row.max()) + 2)
        first_column, end_column = (
            max(0, math.floor(column.min()) - 2),
            min(info.n_columns, math.ceil(column.max()) + 2),
        )
        if first_row < end_row and first_column < end_column:
            return first_row, end_row, first_column, end_column
    raise MapFileError(f"{info.file}: {_elsewhere(info, frame, bounds)}")


def _elsewhere(info: RasterInfo, frame: LocalFrame, bounds: tuple[float, float, float, float]) -> str:
    middle = to_lon_lat(info.file, info.outline, info.crs).mean(axis=0)
    field = frame.to_lon_lat([[(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2]])[0]
    swapped = np.abs(middle[::-1] - field).max() < 1
    return (
        f"does not cover the field: its middle is at longitude {middle[0]:.4f}, latitude {middle[1]:.4f}, the field's "
        f"at {field[0]:.4f}, {field[1]:.4f}" + ("; longitude and latitude look swapped" if swapped else "")
    )


def _thinned(
    file: Path, raster: Any, band: int, window: tuple[int, int, int, int], factor: int, nodata_value: float | None
) -> tuple[Any, Any]:
    """Means of blocks of factor x factor pixels and their geotransform; NaN where most of a block has no data."""
    from rasterio import Affine
    from rasterio.windows import Window

    first_row, end_row, first_column, end_column = window
    n_rows, n_columns = math.ceil((end_row - first_row) / factor), math.ceil((end_column - first_column) / factor)
    means = np.empty((n_rows, n_columns), dtype=np.float32)
    stripe = max(1, STRIPE // max(1, end_column - first_column) // factor)
    scale, offset = raster.scales[band - 1], raster.offsets[band - 1]
    for first in range(0, n_rows, stripe):
        top = first_row + first * factor
        bottom = min(end_row, top + stripe * factor)
        pixels = raster.read(
            band, window=Window(first_column, top, end_column - first_column, bottom - top), masked=True
        )
        values = _checked(file, pixels, nodata_value, top, first_column)
        if (scale, offset) != (1.0, 0.0):
            values = values * np.float32(scale) + np.float32(offset)
        means[first : first + stripe] = _block_means(values, factor)
    (corner,) = _places(raster.transform, np.array([[float(first_column), float(first_row)]]))
    a, b, d, e = factor * _matrix(raster.transform).ravel()
    return means, Affine(a, b, corner[0], d, e, corner[1])


def _checked(file: Path, pixels: Any, nodata_value: float | None, top: int, left: int) -> Any:
    """Pixels as float32 with NaN for nodata; negative and infinite ones are refused by their place."""
    values = np.ma.getdata(pixels).astype(np.float32)
    mask = np.ma.getmaskarray(pixels)
    if nodata_value is not None:
        mask = mask | (values == np.float32(nodata_value))
    values[mask] = np.nan
    for wrong, what in ((np.isinf(values), "is not finite"), (values < 0, "is negative")):
        if wrong.any():
            row, column = (int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
            raise MapFileError(
                f"{file}: the pixel at row {top + row}, column {left + column} {what} ({values[row, column]:g}); "
                "amounts are 0 or more; if it means that nothing was observed, declare it by density.nodata_value"
            )
    return values


def _block_means(values: Any, factor: int) -> Any:
    if factor == 1:
        return values
    rows, columns = values.shape
    padded = np.full((math.ceil(rows / factor) * factor, math.ceil(columns / factor) * factor), np.nan, np.float32)
    padded[:rows, :columns] = values
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    known = ~np.isnan(blocks)
    n_known = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0.0).sum(axis=(1, 3), dtype=np.float64)
    n_there = np.minimum(factor, rows - factor * np.arange(blocks.shape[0]))[:, None] * np.minimum(
        factor, columns - factor * np.arange(blocks.shape[2])
    )
    return np.where(2 * n_known >= n_there, total / np.maximum(n_known, 1), np.nan).astype(np.float32)


def _turned(
    crs: Any,
    pixels: Any,
    affine: Any,
    frame: LocalFrame,
    bounds: tuple[float, float, float, float],
    cell: float,
    shape: tuple[int, int],
) -> Floats:
    """Means over the cells of the local grid, row 0 to the south."""
    from rasterio import Affine
    from rasterio.warp import Resampling, reproject

    west, north = frame.to_utm([[bounds[0], bounds[1] + shape[0] * cell]])[0]
    turned = np.full(shape, np.nan, dtype=np.float32)
    reproject(
        pixels,
        turned,
        src_transform=affine,
        src_crs=crs,
        src_nodata=np.nan,
        dst_transform=Affine(cell, 0.0, west, 0.0, -cell, north),
        dst_crs=frame.crs,
        dst_nodata=np.nan,
        resampling=Resampling.average,
        warp_mem_limit=256,
    )
    return turned[::-1].astype(np.float64)
