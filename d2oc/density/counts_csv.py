"""Reading scouting counts from a CSV file; every mistake in the file is named by line and column."""

from __future__ import annotations

import csv
import difflib
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from d2oc.density.protocol import Floats
from d2oc.errors import DensityError

if TYPE_CHECKING:
    from d2oc.scenario.schema import PointsDensity

__all__ = ["Counts", "read_counts"]

NOT_AVAILABLE = ("na", "n/a", "null", "none", "-", ".", "?")
LEAVE_EMPTY = "leave the cell empty where nothing was observed"
DELIMITERS = (",", ";", "\t")
FARTHEST = 2e7
"""Half the circumference of the Earth; no local coordinate is larger. [m]"""


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts at distinct scouted places.

    Attributes
    ----------
    places : ndarray, shape (n, 2)
        Local ENU. [m]
    values : ndarray, shape (n,)
        Count or severity, at least 0, some above; in the file's own unit.
    n_nodata : int
        Places in the file without an observation, left out here.
    n_merged : int
        Rows merged into another row with the same coordinates.
    """

    places: Floats
    values: Floats
    n_nodata: int = 0
    n_merged: int = 0

    def notes(self) -> tuple[str, ...]:
        """Sentences on what was done to the rows."""
        sentences = []
        if self.n_nodata:
            sentences.append(f"places left out because nothing was observed there (nodata): {self.n_nodata}")
        if self.n_merged:
            sentences.append(f"rows averaged with another at the same coordinates: {self.n_merged}")
        return tuple(sentences)


def read_counts(table: PointsDensity) -> Counts:
    """Read the counts that a `kind = "points"` table declares.

    The file is UTF-8 with or without byte order mark; cells are separated by comma, semicolon or tab (whichever
    splits the header into most cells); the first line names the columns; decimals have a point. An empty cell in
    the value column, or the declared nodata value, is nodata; a zero is a count of zero.

    Parameters
    ----------
    table : PointsDensity
        File and columns.

    Returns
    -------
    counts : Counts

    Raises
    ------
    DensityError
        Naming file, line, column and value.
    """
    header, rows = _split(table.file, _text(table.file))
    columns = [_column(table.file, header, name) for name in (table.x_column, table.y_column, table.value_column)]
    cells = np.array([_numbers(table, line, row, header, columns) for line, row in rows], dtype=np.float64)
    if table.coordinates == "local-m":
        _require_metres(table.file, cells[:, :2])
    return counts_of(table.file, table.value_column, cells)


def counts_of(file: Path, value_column: str, cells: Floats) -> Counts:
    """Counts from rows of x, y and value, shape (n, 3); a value of NaN is nodata.

    Raises
    ------
    DensityError
        If there is nothing to cover.
    """
    observed = ~np.isnan(cells[:, 2])
    if not observed.any():
        raise DensityError(f"{file}: every cell of column '{value_column}' is nodata, so there is no count")
    if not (cells[observed, 2] > 0).any():
        raise DensityError(f"{file}: every count in column '{value_column}' is zero: nothing to cover")
    merged = _merge(cells[observed])
    return replace(merged, n_nodata=int((~observed).sum()))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DensityError(
            f"{file}: byte {error.object[error.start]:#04x} at position {error.start} is not UTF-8 text; "
            "save the file as CSV UTF-8"
        ) from None
    except OSError as error:
        raise DensityError(f"{file}: cannot be read ({error.strerror})") from None


def _split(file: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and the rows below it, each with its line number; blank lines are skipped."""
    rows = _rows(file, text, _delimiter(text)) if text.strip() else []
    if not rows:
        raise DensityError(f"{file}: is empty; expected a header line and one line a count")
    header = [name.strip() for name in rows[0][1]]
    if len(rows) == 1:
        raise DensityError(f"{file}: has a header line and no counts below it")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise DensityError(f"{file}: line {line} has {len(row)} cells, the header names {len(header)} columns")
    return header, rows[1:]


def _delimiter(text: str) -> str:
    """Whichever splits the first line with text into most cells."""
    first = re.sub('"[^"]*"', "", text.lstrip("\r\n ").splitlines()[0])
    return max(DELIMITERS, key=first.count)


def _rows(file: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DensityError(f"{file}: line {reader.line_num} is not CSV ({error})") from None


def _column(file: Path, header: list[str], name: str) -> int:
    if header.count(name) == 1:
        return header.index(name)
    if name in header:
        raise DensityError(f"{file}: line 1 names the column '{name}' {header.count(name)} times")
    close = difflib.get_close_matches(name, header, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise DensityError(f"{file}: has no column '{name}'; {hint}columns: {', '.join(header)}")


def _numbers(
    table: PointsDensity, line: int, row: list[str], header: list[str], columns: list[int]
) -> tuple[float, float, float]:
    """Numbers x, y, value of a row; a value of NaN is nodata."""
    where = [f"{table.file}: line {line}, column '{header[column]}'" for column in columns]
    x, y = (
        _coordinate(row[column], at, farthest)
        for column, at, farthest in zip(columns[:2], where[:2], _farthest(table), strict=True)
    )
    cell = row[columns[2]].strip()
    value = _number(cell, where[2], LEAVE_EMPTY) if cell else np.nan
    if value == table.nodata_value:
        value = np.nan
    if value < 0:
        raise DensityError(f"{where[2]}: {cell} is negative; a count is 0 or more (nodata_value names a marker)")
    return x, y, value


def _farthest(table: PointsDensity) -> tuple[tuple[float, str], tuple[float, str]]:
    """Largest coordinate of either axis and its unit."""
    if table.coordinates == "lon-lat":
        return (180.0, "degrees of longitude"), (90.0, "degrees of latitude")
    return (FARTHEST, "m"), (FARTHEST, "m")


def _coordinate(cell: str, where: str, farthest: tuple[float, str]) -> float:
    limit, unit = farthest
    if not cell.strip():
        raise DensityError(f"{where}: is empty; every place needs a coordinate in {'metres' if unit == 'm' else unit}")
    value = _number(cell, where, "a place needs a number")
    if abs(value) > limit:
        reason = "too far away" if unit == "m" else "no place on Earth"
        raise DensityError(f"{where}: {cell.strip()} {unit} is {reason}; coordinates are at most {limit:g} {unit}")
    return value


def _number(cell: str, where: str, instead: str) -> float:
    try:
        value = float(cell.replace("_", "x"))  # Python alone reads 1_000 as a number
    except ValueError:
        hint = "; decimals have a point and thousands no separator" if "," in cell else ""
        hint = hint or (f"; {instead}" if cell.strip().lower() in NOT_AVAILABLE else "")
        raise DensityError(f"{where}: '{cell.strip()}' is not a number{hint}") from None
    if not np.isfinite(value):
        raise DensityError(f"{where}: '{cell.strip()}' is not finite; {instead}")
    return value


def _require_metres(file: Path, places: Floats) -> None:
    """Refuse coordinates that look like degrees: small numbers that differ by less than one."""
    extent = np.ptp(places, axis=0)
    largest = abs(places).max(axis=0)
    if (largest <= (180, 90)).all() and largest.max() > 1 and 0 < extent.max() < 1:
        raise DensityError(
            f"{file}: the places span only {extent[0]:g} x {extent[1]:g} m and look like longitude and latitude in "
            'degrees; local metres are expected (declare coordinates = "lon-lat", or project them)'
        )


def _merge(cells: Floats) -> Counts:
    places, which, repeats = np.unique(cells[:, :2] + 0.0, axis=0, return_inverse=True, return_counts=True)
    values = np.bincount(which.ravel(), weights=cells[:, 2]) / repeats
    return Counts(places, values, n_merged=len(cells) - len(places))
