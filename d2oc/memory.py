"""What is remembered between two steps, as plain bytes: numbers, text, lists, maps and arrays, never code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

ARRAY = 1
"""Code of an array among MessagePack's extension types."""


def packed(content: object) -> bytes:
    """Content as bytes; named tuples become lists."""
    return _encoder.encode(content)


def unpacked(data: bytes) -> Any:
    """What `packed` was given; arrays are read only.

    Raises
    ------
    ValueError
        If these are no such bytes.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


def copies(arrays: Sequence[Any]) -> list[Any]:
    """The same arrays, to be written on."""
    return [array.copy() for array in arrays]


def _array_to_bytes(value: object) -> msgspec.msgpack.Ext:
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} is not plain data")
    shape = list(value.shape)
    return msgspec.msgpack.Ext(ARRAY, msgspec.msgpack.encode((value.dtype.str, shape, value.tobytes())))


def _array_from_bytes(code: int, data: memoryview) -> NDArray[Any]:
    dtype, shape, content = msgspec.msgpack.decode(data)
    return np.frombuffer(content, np.dtype(dtype)).reshape(shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_array_to_bytes)
_decoder = msgspec.msgpack.Decoder(ext_hook=_array_from_bytes)
