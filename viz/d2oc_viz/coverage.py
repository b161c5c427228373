"""The coverage picture: where the infestation was, where the team flew, and what it missed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.errors import MissingExtraError
from d2oc.metrics import summarise, weight_left
from d2oc.record import Record

Floats = NDArray[np.float64]

STYLE = Path(__file__).with_name("style.mplstyle")
CELLS_ACROSS = 90
"""Cells along the longer side of the field at the most."""
SAMPLES_PER_CELL = 3
"""Cells are no smaller than what holds this many samples on average."""
NOTHING = 1e-3
"""Cells with less than this share of the strongest are shown as empty."""
MANY_AGENTS = 12
"""Beyond this many, agents share one colour."""


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
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the picture", "viz") from None
    summary = summary if summary is not None else summarise(record)
    with mpl.rc_context(fname=str(STYLE)):
        figure = Figure(figsize=_size(record), layout="constrained")
        before, after, course = figure.subplots(1, 3, width_ratios=_widths(record))
        _draw_flown(before, record)
        _draw_missed(figure, after, record)
        _draw_course(course, record)
        figure.suptitle(_headline(summary), x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.savefig(path, metadata={"Software": None} if str(path).endswith(".png") else None)
    return Path(path)


def _size(record: Record) -> tuple[float, float]:
    (x_min, y_min), (x_max, y_max) = _extent(record)
    ratio = (y_max - y_min) / (x_max - x_min)
    return 12.5, min(9.0, max(3.2, 4.6 * ratio + 0.9))


def _widths(record: Record) -> tuple[float, float, float]:
    return 4.6, 4.6, 2.9


def _extent(record: Record) -> tuple[Floats, Floats]:
    corners = np.array(record.header.boundary_m)
    return corners.min(axis=0), corners.max(axis=0)


def _headline(summary: dict[str, Any]) -> str:
    parts = [str(summary["name"])]
    if summary["w2_m"] is not None:
        parts.append(f"W2 {summary['w2_m']:.2f} m")
    parts.append(f"{100 * summary['remaining_weight']:.1f} % untreated")
    parts.append(f"{summary['n_agents']} agents, {summary['duration_s']:.0f} s")
    if summary["status"] != "complete":
        parts.append("not finished")
    return "   |   ".join(parts)


def _draw_flown(axes: Any, record: Record) -> None:
    """Density as a map, trajectories on top, starts and ends marked."""
    _draw_map(axes, record, record.samples["weight"], "Greys", strongest=0.55)
    position = record.by_tick("x_m", "y_m")
    n_agents = record.header.n_agents
    few = n_agents <= MANY_AGENTS
    for r in range(n_agents):
        colour = f"C{r % 7}" if few else "C0"
        width = 1.0 if few else max(0.15, 4.0 / math.sqrt(n_agents))
        axes.plot(*position[:, r].T, color=colour, lw=width, alpha=0.85 if few else 0.5)
    size = 22 if few else max(1.0, 120 / n_agents)
    colours = [f"C{r % 7}" if few else "C0" for r in range(n_agents)]
    axes.scatter(*position[0].T, s=size, facecolors="white", edgecolors=colours, lw=1.0 if few else 0.3, zorder=3)
    axes.scatter(*position[-1].T, s=size, c=colours, marker="s", lw=0, zorder=3)
    axes.set_title("flown: ○ start, ■ end; grey is the reference density")
    _frame(axes, record)


def _draw_missed(figure: Any, axes: Any, record: Record) -> None:
    """What nobody treated, on the colour scale of the whole density."""
    image = _draw_map(axes, record, weight_left(record), "YlOrRd", strongest=1.0)
    bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0.1, 0.03, 0.8)))  # beside: both maps keep one size
    bar.set_label("untreated weight [% of the whole per ha]")
    bar.outline.set_linewidth(0.4)
    axes.set_title("untreated at the end")
    _frame(axes, record)


def _draw_map(axes: Any, record: Record, weight: Floats, cmap: str, *, strongest: float) -> Any:
    low, high = _extent(record)
    side = (high - low).max()
    cells = int(min(CELLS_ACROSS, max(8, math.sqrt(record.header.n_samples / SAMPLES_PER_CELL))))
    across = np.maximum(1, np.ceil((high - low) / side * cells)).astype(int)
    edges = [np.linspace(low[i], high[i], across[i] + 1) for i in range(2)]
    samples = record.samples
    hectares = float(np.prod((high - low) / across)) / 1e4

    def density(values: Floats) -> Floats:
        total, _, _ = np.histogram2d(samples["x_m"], samples["y_m"], bins=edges, weights=values)
        return 100 * total / hectares

    top = max(float(np.quantile(density(samples["weight"]), 0.995)), 1e-12)
    shown = np.ma.masked_less_equal(density(weight).T, NOTHING * top)
    return axes.pcolormesh(*edges, shown, cmap=cmap, vmin=0, vmax=top / strongest, rasterized=True, lw=0)


def _frame(axes: Any, record: Record) -> None:
    boundary = np.array([*record.header.boundary_m, record.header.boundary_m[0]])
    axes.plot(*boundary.T, color="0.25", lw=0.9)
    for zone in record.header.no_fly_zones_m:
        axes.fill(*np.array(zone).T, facecolor="white", edgecolor="#D55E00", hatch="////", lw=0.9, zorder=2.5)
    low, high = _extent(record)
    margin = 0.03 * (high - low).max()
    axes.set(
        xlim=(low[0] - margin, high[0] + margin),
        ylim=(low[1] - margin, high[1] + margin),
        aspect="equal",
        xlabel="x, east [m]",
        ylabel="y, north [m]",
    )


def _draw_course(axes: Any, record: Record) -> None:
    """Remaining weight over time: what is true, and the band of what the agents believe."""
    n_ticks = record.n_ticks
    time = np.arange(n_ticks) * record.header.time_step_s
    believed = 100 * record.by_tick("believed_remaining")[:, :, 0]
    axes.fill_between(
        time, believed.min(axis=1), believed.max(axis=1), color="C0", alpha=0.2, lw=0, label="as agents believe"
    )
    axes.plot(time, 100 * _truly_remaining(record), color="C0", label="in truth")
    axes.set(xlabel="time [s]", ylabel="remaining weight [%]", ylim=(0, 102), title="progress")
    axes.set_xlim(0, max(time[-1], record.header.time_step_s))
    axes.legend(loc="upper right")
    axes.grid(alpha=0.25)


def _truly_remaining(record: Record) -> Floats:
    """Share that nobody had consumed, at every tick."""
    consumption = record.consumption
    order = np.argsort(consumption["tick"], kind="stable")
    left = record.samples["weight"].copy()
    fallen = np.zeros(record.n_ticks)
    for tick, sample, amount in zip(
        *(consumption[name][order].tolist() for name in ("tick", "sample", "amount")), strict=True
    ):
        taken = min(amount, max(left[sample], 0.0))
        left[sample] -= amount
        fallen[tick] += taken
    return np.asarray(record.samples["weight"].sum() - np.cumsum(fallen))
