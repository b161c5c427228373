"""The one place that names numba: a typed decorator for compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` to machine code at its first call and keep the result on disk."""
    jitted: F = numba.njit(cache=True, error_model="numpy")(function)
    return jitted

