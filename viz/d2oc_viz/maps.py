"""What is drawn on the ground: weights as a grid of cells, boundary, zones, ways, and a scale bar."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2oc.metrics import sample_places
from d2oc.record import Record
from d2oc_viz.drawing import MANY_AGENTS, agent_colour, round_length

Floats = NDArray[np.float64]

CELLS_ACROSS = 90
"""Cells along the longer side of the field at the most."""
SAMPLES_PER_CELL = 3
"""Cells are no smaller than what holds this many samples on average."""
NOTHING = 1e-3
"""Cells with less than this share of the strongest are shown as empty."""
BESIDE = 0.5
"""A map shows a density that moves as far beside the field as this share of its longer side."""
RASTER_BEYOND = 20_000
"""Ways of more points than this are pixels, also in vector formats."""
ZONE_COLOUR = "#D55E00"
NO_SPRAY_COLOUR = "#CC79A7"


class Grid(NamedTuple):
    """Cells over the field."""

    x: Floats
    """Edges in x. [m]"""
    y: Floats
    """Edges in y. [m]"""

    @property
    def hectares(self) -> float:
        """Area of a cell. [ha]"""
        return float((self.x[1] - self.x[0]) * (self.y[1] - self.y[0])) / 1e4


def extent(record: Record) -> tuple[Floats, Floats]:
    """Lower left and upper right corner of the field, shape (2,) each. [m]"""
    corners = np.array(record.header.boundary_m)
    return corners.min(axis=0), corners.max(axis=0)


def reach(record: Record) -> tuple[Floats, Floats]:
    """Corners of what holds the field, all places flown to and, not too far away, where a density went. [m]"""
    low, high = extent(record)
    there: list[Floats] = [record.by_tick("x_m", "y_m").reshape(-1, 2)]
    if record.header.motion is not None:
        beside = BESIDE * (high - low).max()
        there.append(np.clip(sample_places(record, record.n_ticks - 1), low - beside, high + beside))
    lowest, highest = (extreme(np.concatenate(there), axis=0) for extreme in (np.nanmin, np.nanmax))
    return np.minimum(low, lowest), np.maximum(high, highest)


def grid_of(record: Record) -> Grid:
    """Cells as fine as the samples allow, over the field; of a density that moves, also wherever the team went."""
    low, high = extent(record)
    cells = int(min(CELLS_ACROSS, max(8, math.sqrt(record.header.n_samples / SAMPLES_PER_CELL))))
    side = float((high - low).max()) / cells
    if record.header.motion is not None:
        low, high = reach(record)
    across = np.maximum(1, np.ceil((high - low) / side * (1 - 1e-12))).astype(int)
    return Grid(*(np.linspace(low[i], high[i], across[i] + 1) for i in range(2)))


def per_hectare(record: Record, weight: Floats, grid: Grid, tick: int = 0) -> Floats:
    """Weight of samples per area where they are at a tick, shape (rows, columns). [% of the whole per ha]"""
    x, y = sample_places(record, tick).T
    total, _, _ = np.histogram2d(x, y, bins=(grid.x, grid.y), weights=weight)
    return np.asarray(100 * total.T / grid.hectares)


def strongest(record: Record, grid: Grid) -> float:
    """Density at which the colours of a map end: all but a few cells that hold something are below."""
    values = per_hectare(record, record.samples["weight"], grid)
    return max(float(np.quantile(values[values > 0], 0.995)), 1e-12)


def draw_weight(
    axes: Any, record: Record, weight: Floats, colours: Any, *, tick: int = 0, top_share: float = 1.0
) -> Any:
    """Draw the weight of the samples, where they are at a tick; colours end at the strongest cell over `top_share`."""
    grid = grid_of(record)
    top = strongest(record, grid)
    shown = np.ma.masked_less_equal(per_hectare(record, weight, grid, tick), NOTHING * top)
    return axes.pcolormesh(grid.x, grid.y, shown, cmap=colours, vmin=0, vmax=top / top_share, rasterized=True, lw=0)


def greys() -> Any:
    """Grey that begins transparent: good on light and on dark."""
    from matplotlib.colors import ListedColormap

    shade = np.full((64, 4), 0.42)
    shade[:, 3] = np.linspace(0.0, 0.95, 64)
    return ListedColormap(shade)


def warm() -> Any:
    """Yellow to red, beginning transparent."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    colours = mpl.colormaps["YlOrRd"](np.linspace(0.15, 1.0, 64))
    colours[:, 3] = np.minimum(1.0, np.linspace(0.25, 2.5, 64))
    return ListedColormap(colours)


def draw_ways(axes: Any, record: Record) -> None:
    """Draw the way of every agent, with start and end."""
    position = record.by_tick("x_m", "y_m")
    n_agents = record.header.n_agents
    few = n_agents <= MANY_AGENTS
    width = 1.0 if few else max(0.15, 4.0 / math.sqrt(n_agents))
    raster = position.shape[0] * n_agents > RASTER_BEYOND
    colours = [agent_colour(r, n_agents) for r in range(n_agents)]
    for r in range(n_agents):
        axes.plot(
            *position[:, r].T, color=colours[r], lw=width, alpha=0.85 if few else 0.5, rasterized=raster, label=f"{r}"
        )
    size = 22 if few else max(1.0, 120 / n_agents)
    axes.scatter(*position[0].T, s=size, facecolors="white", edgecolors=colours, lw=1.0 if few else 0.3, zorder=3)
    axes.scatter(*position[-1].T, s=size, c=colours, marker="s", lw=0, zorder=3)


def frame(axes: Any, record: Record) -> None:
    """Draw boundary, zones, axes and a scale bar."""
    boundary = np.array([*record.header.boundary_m, record.header.boundary_m[0]])
    axes.plot(*boundary.T, color="black", lw=0.9)
    for colour, zones in (
        (ZONE_COLOUR, record.header.no_fly_zones_m),
        (NO_SPRAY_COLOUR, record.header.no_spray_zones_m),
    ):
        for zone in zones:
            axes.fill(*np.array(zone).T, facecolor=(*rgb(colour), 0.12), edgecolor=colour, hatch="////", lw=0.9)
    low, high = extent(record)
    margin = 0.03 * (high - low).max()
    first, last = reach(record)
    axes.set(
        xlim=(first[0] - margin, last[0] + margin),
        ylim=(first[1] - margin, last[1] + margin),
        aspect="equal",
        xlabel="x, east [m]",
        ylabel="y, north [m]",
    )
    _scale_bar(axes, low, high)


def _scale_bar(axes: Any, low: Floats, high: Floats) -> None:
    """A length on the ground, above the upper right corner of the map."""
    length = round_length(0.2 * float((high - low)[0]))
    at = axes.get_xaxis_transform()
    axes.plot(
        [high[0] - length, high[0]], [1.02, 1.02], color="black", lw=2, transform=at, clip_on=False, label="scale"
    )
    axes.text(
        high[0] - length / 2, 1.035, f"{length:g} m", ha="center", va="bottom", fontsize=7, transform=at, clip_on=False
    )


def rgb(colour: str) -> tuple[float, float, float]:
    """Red, green and blue of a colour by name."""
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def colour_bar(axes: Any, image: Any, label: str) -> None:
    """Bar beside a map, within the figure and without shrinking the map."""
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.02, 0.1, 0.03, 0.8)))
    bar.set_label(label)
    bar.outline.set_linewidth(0.4)


def map_height(record: Record, width: float) -> float:
    """Height of a figure whose map is `width` wide. [inch]"""
    low, high = reach(record)
    return float(min(9.0, max(2.6, width * (high[1] - low[1]) / (high[0] - low[0]))) + 0.9)
