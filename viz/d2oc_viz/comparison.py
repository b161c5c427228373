"""The comparison picture: methods side by side, every flight a dot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from d2oc_viz.drawing import N_COLOURS, new_figure, save, styled

MARKERS = "osD^vP"
SHARES = {
    25: "w2_at_25_percent_m",
    50: "w2_at_50_percent_m",
    75: "w2_at_75_percent_m",
    100: "w2_m",
}
"""Percent of the mission, and the key of the W2 there."""


def draw_comparison(comparison: Mapping[str, Any], path: str | Path) -> Path:
    """Draw W2 over the mission and, for every method, W2 at the end, weight treated twice and computing time.

    Parameters
    ----------
    comparison : mapping
        What `d2oc compare --json` prints.
    path : str or Path
        File to write; its ending names the format (png, pdf, svg).

    Returns
    -------
    path : Path

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    n_methods = len(comparison["methods"])
    with styled():
        figure = new_figure(12.5, max(3.2, 1.4 + 0.32 * n_methods))
        course, *dots = figure.subplots(1, 4, width_ratios=(1.5, 1.2, 1, 1))
        _draw_course(course, comparison)
        _draw_dots(dots[0], comparison, "w2_m", "W2 at the end", "[m]")
        _draw_dots(dots[1], comparison, "doubly_covered_weight", "treated twice", "[%]", factor=100.0)
        _draw_dots(
            dots[2], comparison, "compute_time_per_agent_step_us", "computing", "[µs per agent-step]", scale="log"
        )
        dots[1].set_yticklabels([])
        dots[2].set_yticklabels([])
        figure.suptitle(_headline(comparison), x=0.01, ha="left", fontsize=11, fontweight="bold")
        save(figure, path)
    return Path(path)


def _headline(comparison: Mapping[str, Any]) -> str:
    seeds = comparison["seeds"]
    return f"{comparison['scenario']}   |   {len(seeds)} seeds: dots are flights, bars their mean"


def _look(i: int) -> dict[str, Any]:
    """Colour and marker of method i; no two of 42 are alike."""
    return {"color": f"C{i % N_COLOURS}", "marker": MARKERS[i % len(MARKERS)]}


def _draw_course(axes: Any, comparison: Mapping[str, Any]) -> None:
    """Mean W2 over the mission, with a band of one standard deviation."""
    for i, row in enumerate(comparison["methods"]):
        points = [(share, row[key], row[f"{key}_std"] or 0.0) for share, key in SHARES.items() if row[key] is not None]
        if not points:
            continue
        share, mean, spread = zip(*points, strict=True)
        style = "-" if i < N_COLOURS else "--"
        axes.plot(share, mean, label=row["name"], ms=3.5, ls=style, **_look(i))
        low = [m - s for m, s in zip(mean, spread, strict=True)]
        high = [m + s for m, s in zip(mean, spread, strict=True)]
        axes.fill_between(share, low, high, color=f"C{i % N_COLOURS}", alpha=0.12, lw=0)
    axes.set(xlabel="share of the mission [%]", ylabel="W2 [m]", title="W2 as the mission goes", xticks=list(SHARES))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(ncols=2)


def _draw_dots(
    axes: Any,
    comparison: Mapping[str, Any],
    key: str,
    title: str,
    unit: str,
    *,
    factor: float = 1.0,
    scale: str = "linear",
) -> None:
    """A line a method, best on top as listed: every flight a dot, the mean a bar."""
    names = [row["name"] for row in comparison["methods"]]
    for i, row in enumerate(comparison["methods"]):
        values = [
            factor * flight[key]
            for flight in comparison["flights"]
            if flight["method"] == row["name"] and flight[key] is not None
        ]
        axes.scatter(values, [i] * len(values), s=16, alpha=0.8, lw=0, clip_on=False, zorder=3, **_look(i))
        if row[key] is not None:
            axes.vlines(factor * row[key], i - 0.32, i + 0.32, color="0.25", lw=1.2)
    axes.set(title=title, xlabel=unit, yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    if scale == "log":
        _decades(axes)
    else:
        axes.set_xlim(left=0)
    axes.grid(alpha=0.25, axis="x")


def _decades(axes: Any) -> None:
    """Logarithmic axis over whole decades."""
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log")
    low, high = axes.dataLim.intervalx
    axes.set_xlim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    axes.xaxis.set_minor_formatter(NullFormatter())
