"""Matplotlib with the one style of all pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from d2oc.errors import MissingExtraError

STYLE = Path(__file__).with_name("style.mplstyle")
N_COLOURS = 7
"""Of the style."""
MANY_AGENTS = 12
"""Beyond this many, agents share one colour and their curves become a band."""


@contextmanager
def styled(what: str = "the picture") -> Iterator[None]:
    """Draw and save within it.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed; `what` names what cannot be drawn.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError(what, "viz") from None
    with mpl.rc_context(fname=str(STYLE)):
        yield


def new_figure(width: float, height: float) -> Any:
    """Empty figure, laid out by itself. [inch]"""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, file: str | Path | BinaryIO, *, kind: str = "", transparent: bool = False) -> None:
    """Write a figure as svg, pdf or png; equal figures give equal files."""
    kind = kind or Path(str(file)).suffix.lower().removeprefix(".")
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    figure.savefig(file, format=kind, metadata=undated.get(kind), transparent=transparent)


def agent_colour(r: int, n_agents: int) -> str:
    """Colour of an agent; in large teams all have the same."""
    return f"C{r % N_COLOURS}" if n_agents <= MANY_AGENTS else "C0"


def round_length(longest: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... that is not longer."""
    decade = 10.0 ** math.floor(math.log10(longest))
    return float(max(step * decade for step in (1, 2, 5) if step * decade <= longest * (1 + 1e-9)))
