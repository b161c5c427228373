"""The coverage picture: where the infestation was, where the team flew, and what it missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from d2oc.metrics import summarise
from d2oc.record import Record
from d2oc_viz import maps
from d2oc_viz.drawing import new_figure, save, styled
from d2oc_viz.figures import draw_wanted, flown_title, remaining_chart, untreated_map


def draw_coverage(record: Record, path: str | Path, *, summary: dict[str, Any] | None = None) -> Path:
    """Draw density and trajectories, what was missed, and the remaining weight over time.

    Parameters
    ----------
    record : Record
        Complete or not; one tick suffices.
    path : str or Path
        File to write; its ending names the format (png, pdf, svg).
    summary : dict, optional
        Metrics already at hand; computed from the record otherwise.

    Returns
    -------
    path : Path

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with styled():
        summary = summary if summary is not None else summarise(record)
        figure = new_figure(12.5, maps.map_height(record, 3.6))
        flown, untreated, _, course = figure.subplots(1, 4, width_ratios=(4.6, 4.6, 0.45, 2.9))
        _.set_axis_off()  # room for the colour bar
        draw_wanted(flown, record)
        maps.draw_ways(flown, record)
        flown.set_title(flown_title(record))
        maps.frame(flown, record)
        untreated_map(untreated, record)
        remaining_chart(course, record)
        figure.suptitle(headline(summary), x=0.01, ha="left", fontsize=11, fontweight="bold")
        save(figure, path)
    return Path(path)


def headline(summary: dict[str, Any]) -> str:
    """A mission in one line."""
    parts = [str(summary["name"])]
    if summary["w2_m"] is not None:
        parts.append(f"W2 {summary['w2_m']:.2f} m")
    parts.append(f"{100 * summary['remaining_weight']:.1f} % untreated")
    parts.append(f"{summary['n_agents']} agents, {summary['duration_s']:.0f} s")
    if summary["status"] != "complete":
        parts.append("not finished")
    return "   |   ".join(parts)
