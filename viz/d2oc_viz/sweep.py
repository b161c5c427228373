"""The picture of a sweep: the metric over each parameter, every setting a dot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from d2oc_viz.drawing import new_figure, save, styled

PANELS_IN_A_ROW = 3


def draw_sweep(sweep: Mapping[str, Any], path: str | Path) -> Path:
    """Draw the metric over every parameter.

    Parameters
    ----------
    sweep : mapping
        What `d2oc sweep --json` prints.
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
    parameters = sweep["parameters"]
    columns = min(PANELS_IN_A_ROW, len(parameters))
    rows = -(-len(parameters) // columns)
    with styled():
        figure = new_figure(1.2 + 3.8 * columns, 0.9 + 3.0 * rows)
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for axes, parameter in zip(panels, parameters, strict=False):
            _draw_parameter(axes, sweep, parameter)
        for axes in panels[len(parameters) :]:
            axes.set_axis_off()
        for axes in panels[::columns]:
            axes.set_ylabel(sweep["metric"])
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.suptitle(_headline(sweep), x=0.01, ha="left", fontsize=11, fontweight="bold")
        save(figure, path)
    return Path(path)


def _headline(sweep: Mapping[str, Any]) -> str:
    n = len(sweep["seeds"])
    better = "larger" if sweep["maximise"] else "smaller"
    return f"{sweep['scenario']}   |   {n} seed{'s' if n > 1 else ''}, {better} is better"


def _draw_parameter(axes: Any, sweep: Mapping[str, Any], parameter: Mapping[str, Any]) -> None:
    key, choices = parameter["key"], parameter["values"]
    complete = [row for row in sweep["settings"] if row["state"] == "complete"]
    given_up = [row for row in sweep["settings"] if row["state"] == "given up"]
    named = choices is not None and any(isinstance(choice, str) for choice in choices)

    def places(rows: Sequence[Mapping[str, Any]]) -> list[float]:
        values = [row["values"][key] for row in rows]
        return [choices.index(value) for value in values] if named else values

    best = sweep["best"]
    spread = [_difference(best, row) for row in complete]
    means = [row["mean"] for row in complete]
    label = "all seeds; bar: standard deviation of the difference from the best" if any(spread) else "a setting"
    axes.errorbar(
        places(complete), means, spread, fmt="o", ms=4.5, color="C0", ecolor="0.75", elinewidth=1.0, label=label
    )
    if given_up:
        axes.plot(
            places(given_up), [_beside(best, row) for row in given_up], "o", mfc="none", mec="0.55", ms=4,
            label="given up, by the seeds it flew",
        )  # fmt: skip
    axes.plot(places([best]), [best["mean"]], "*", ms=13, color="C1", mec="white", mew=0.6, zorder=5, label="best")
    if named:
        axes.set_xticks(range(len(choices)), [str(choice) for choice in choices])
        axes.margins(x=0.15)
    elif parameter["logarithmic"]:
        axes.set_xscale("log")
    axes.set_xlabel(parameter["label"])
    axes.grid(alpha=0.25)


def _difference(best: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """How unlike the seeds are in what they say of a setting beside the best; what is common to both falls out."""
    differences = [a - b for a, b in zip(row["flights"], best["flights"], strict=True)]
    return statistics.stdev(differences) if len(differences) > 1 else 0.0


def _beside(best: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Where a setting would stand if it were as much worse than the best with all seeds as with those it flew."""
    flown = len(row["flights"])
    return float(best["mean"] + row["mean"] - sum(best["flights"][:flown]) / flown)
