"""Densities from pictures and NumPy arrays."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2oc.density.grid import MAX_CELLS, GridDensity
from d2oc.density.protocol import Floats
from d2oc.errors import DensityError, MissingExtraError

if TYPE_CHECKING:
    from d2oc.scenario.schema import ArrayDensity, ImageDensity

__all__ = ["density_from_array", "density_from_image"]


def density_from_array(table: ArrayDensity) -> GridDensity:
    """Density of a `.npy` file, row 0 to the south; NaN and the declared nodata value are nodata.

    Raises
    ------
    DensityError
        If the file is not a plain two-dimensional array of numbers that are finite and at least 0.
    """
    values = _read_array(table.file)
    return _checked(table.file, values, table.nodata_value, table.origin_m, table.cell_size_m)


def density_from_image(table: ImageDensity) -> GridDensity:
    """Density of a PNG picture: its grey level, 0 (black) to 255 (white), the last row to the south.

    Colours are turned to grey by the luma of ITU-R BT.601; 16-bit levels are divided by 257. Wholly transparent pixels
    and the declared grey level are nodata. With `dark_is_dense` the value is 255 minus the grey level.

    Raises
    ------
    DensityError
        If the file is not a readable PNG picture, or nothing in it is dense.
    MissingExtraError
        If Pillow is not installed.
    """
    grey, transparent = _read_grey(table.file)
    nodata = transparent if table.nodata_value is None else transparent | (grey == table.nodata_value)
    values = np.where(nodata, np.nan, 255.0 - grey if table.dark_is_dense else grey)
    return _checked(table.file, values[::-1], None, table.origin_m, table.cell_size_m)


def _checked(
    file: Path, values: Floats, nodata_value: float | None, origin: tuple[float, float], cell_size: float
) -> GridDensity:
    values = np.where(values == nodata_value, np.nan, values) if nodata_value is not None else values
    for wrong, what in ((np.isinf(values), "not finite"), (values < 0, "negative")):
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            raise DensityError(
                f"{file}: the value {values[row, column]:g} at row {row}, column {column} is {what}; a density is 0 or "
                "more, NaN or nodata_value where nothing was observed"
            )
    if np.isnan(values).all():
        raise DensityError(f"{file}: every cell is nodata, so there is nothing to cover")
    if not np.nanmax(values) > 0:
        raise DensityError(f"{file}: every cell is zero or nodata, so there is nothing to cover")
    return GridDensity(values, origin, cell_size)


def _read_array(file: Path) -> Floats:
    try:
        with file.open("rb") as stream:
            shape, dtype = _array_header(stream)
            _require_plain(file, shape, dtype)
            stored = file.stat().st_size - stream.tell()
            needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
            if stored < needed:
                raise DensityError(f"{file}: is cut short: its header needs {needed:,} bytes, {stored:,} follow")
            stream.seek(0)
            return np.asarray(np.load(stream, allow_pickle=False), dtype=np.float64)
    except OSError as error:
        raise DensityError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, EOFError):
        raise DensityError(f"{file}: is not a NumPy .npy file; write it with numpy.save") from None


def _array_header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version}")
    read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _require_plain(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biuf":
        raise DensityError(f"{file}: holds {dtype.name} values; expected real numbers (float or integer)")
    if len(shape) != 2 or min(shape) < 1:
        raise DensityError(f"{file}: has shape {shape}; expected (rows, columns) with at least one of each")
    if shape[0] * shape[1] > MAX_CELLS:
        raise DensityError(f"{file}: has shape {shape}, more than {MAX_CELLS:,} cells; make it coarser")


def _read_grey(file: Path) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Grey level 0 to 255 and whether the pixel is wholly transparent, shape (rows, columns) both, north first."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("a density from a picture", "viz") from None
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=("PNG",)) as picture:
            if picture.width * picture.height > MAX_CELLS:
                raise DensityError(
                    f"{file}: has {picture.width} x {picture.height} pixels, more than {MAX_CELLS:,}; make it coarser"
                )
            if picture.mode.startswith("I"):
                grey = np.asarray(picture, dtype=np.float64) / 257.0
                return grey, np.zeros(grey.shape, dtype=np.bool_)
            coloured = picture.convert("RGBA")
            return np.asarray(coloured.convert("L"), dtype=np.float64), np.asarray(coloured)[:, :, 3] == 0
    except FileNotFoundError:
        raise DensityError(f"{file}: cannot be read (No such file or directory)") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DensityError(f"{file}: is not a PNG picture that can be read ({type(error).__name__})") from None
