"""The one place that names numba: a decorator for compiled functions, whose machine code is kept on disk.

numba looks only at the file of a cached function, not at the files of the functions it calls, so an edit or an upgrade
could leave stale machine code in use. Here the cache folder is named after the contents of all files that hold compiled
functions: any change to one of them starts a fresh one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

numba_config: Any = numba.config

F = TypeVar("F", bound=Callable[..., object])

CACHES_KEPT = 4
"""Older cache folders are deleted."""


def compiled(function: F) -> F:
    """Compile `function` to machine code at its first call and keep the result on disk.

    It lets go of the interpreter's lock: in flight an agent plans in a thread, while another one flies.
    """
    before = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = _CACHE
    try:
        return cast(F, numba.njit(cache=bool(_CACHE), error_model="numpy", nogil=True)(function))
    finally:
        numba_config.CACHE_DIR = before


def inlined(function: F) -> F:
    """Like `compiled`, for small functions whose body is copied into their compiled callers."""
    return cast(F, numba.njit(error_model="numpy", inline="always")(function))


def _cache_folder() -> str:
    """Folder for this state of the sources; empty where nothing can be written."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "d2oc" / "machine-code"
    folder = root / _state_of_sources()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        _forget_old(root)
    except OSError:
        return ""
    return str(folder) if os.access(folder, os.W_OK) else ""


def _state_of_sources() -> str:
    package = Path(__file__).parent
    digest = hashlib.sha256(str(package).encode())
    for path in sorted(package.rglob("*.py")):
        source = path.read_bytes()
        if b"@compiled" in source:
            digest.update(str(path.relative_to(package)).encode() + source)
    return digest.hexdigest()[:16]


def _forget_old(root: Path) -> None:
    folders = sorted(root.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[CACHES_KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


_CACHE = _cache_folder()


def nothing_compiled_yet() -> bool:
    """Whether the first call of each function will have to compile it."""
    return not _CACHE or not any(Path(_CACHE).iterdir())
