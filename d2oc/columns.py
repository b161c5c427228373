"""Tables as columns of NumPy arrays, in Parquet files that other tools read. The one place that names arro3."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.errors import RecordError

Columns = dict[str, NDArray[Any]]

COMPRESSION = "zstd(3)"
MARK = b"PAR1"
SMALLEST = 12
"""Both marks and the length of the footer. [byte]"""


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write a table so that the file is either whole or absent.

    Parameters
    ----------
    path : Path
        File to write; first under a temporary name, then renamed.
    columns : mapping of str to ndarray
        Columns of equal length: integers, floats or booleans.

    Raises
    ------
    RecordError
        If the disk refuses.
    """
    from arro3.core import Array, Table
    from arro3.io import write_parquet

    table = Table.from_pydict({name: _arrow(Array, values) for name, values in columns.items()})
    encoding: Any = {name: _encoding(values) for name, values in columns.items() if values.dtype != np.bool_}
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with _silent_panics():
            write_parquet(
                table, str(unfinished), compression=COMPRESSION, column_encoding=encoding, dictionary_enabled=False
            )
        os.replace(unfinished, path)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a full disk makes the Rust library panic, which is no Exception
        _remove(unfinished)
        raise RecordError(f"{path}: cannot be written ({_reason(error)})") from None


def _reason(error: BaseException) -> str:
    """The system's word for what went wrong, out of what the Rust library makes of it."""
    text = str(error).partition("\n")[0]
    quoted = re.search(r'message: "([^"]+)"', text)
    return quoted[1] if quoted else text


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def read_columns(path: Path) -> Columns:
    """Read a table that `write_columns` wrote.

    Raises
    ------
    RecordError
        If the file is missing, cut short or no Parquet file.
    """
    from arro3.core import Table
    from arro3.io import read_parquet

    _require_parquet(path)
    try:
        with _silent_panics():
            table = Table.from_arrow(read_parquet(str(path)))
        return {name: _numpy(table, name) for name in table.column_names}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a damaged file makes the Rust library panic, which is no Exception
        raise RecordError(f"{path}: not a readable Parquet file ({error})") from None


@contextmanager
def _silent_panics() -> Iterator[None]:
    """Keep the Rust library from printing its own traceback of a damaged file to file descriptor 2."""
    try:
        stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no standard error
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _require_parquet(path: Path) -> None:
    """Look for the mark at both ends: a file that was cut short lacks the last one."""
    try:
        with path.open("rb") as file:
            first = file.read(4)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4))
            last = file.read()
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; the record is not whole") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from None
    if first != MARK or last != MARK or size < SMALLEST:
        raise RecordError(f"{path}: not a Parquet file, or cut short")


def _numpy(table: Any, name: str) -> NDArray[Any]:
    if table.num_rows == 0:  # an empty table has no chunk to read the type from
        kind = str(table.schema.field(name).type)
        return np.empty(0, next((dtype for text, dtype in _EMPTY.items() if text in kind), np.float64))
    return np.asarray(table.column(name).combine_chunks().to_numpy())


_EMPTY: dict[str, type] = {"Int32": np.int32, "Int64": np.int64, "Bool": np.bool_}


def _arrow(array_type: Any, values: NDArray[Any]) -> Any:
    return array_type.from_numpy(np.ascontiguousarray(values))


def _encoding(values: NDArray[Any]) -> str:
    """Which Parquet encoding packs a column best: bytes of floats apart, differences of integers."""
    return "BYTE_STREAM_SPLIT" if values.dtype.kind == "f" else "DELTA_BINARY_PACKED"
