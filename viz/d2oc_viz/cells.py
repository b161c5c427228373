"""Laguerre cells: how what is left is divided among the agents by semi-discrete optimal transport.

A record says where every agent is, for how many more steps it has capacity and what was treated. From these the cells
follow, as an agent finds them that has heard everything (`d2oc.control.assigned_law`); one that has not heard of others
lately may divide otherwise.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.metrics import sample_places, weight_left
from d2oc.record import Record
from d2oc.transport.sample_partition import divide_samples
from d2oc.transport.semi_discrete import cell_outlines
from d2oc_viz import maps
from d2oc_viz.drawing import MANY_AGENTS, agent_colour, new_figure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_MOMENTS = 4
"""Moments shown: the start, and evenly spaced until before the end."""
NOTHING = 1e-9
"""What is left of a sample, or of all, as a share of what there was, below which nothing is."""
PANEL = 4.4
"""Width of the map of one moment. [inch]"""


@dataclass(frozen=True, eq=False)
class Division:
    """Who serves what, at one moment."""

    tick: int
    members: Ints
    """Agents that take part, shape (M,)."""
    sites: Floats
    """Where they are, shape (M, 2). [m]"""
    owner: Ints
    """Agent of each sample, -1 for one that is used up, shape (N,)."""
    cells: tuple[Floats, ...]
    """Corners of the cell of each member, shape (v, 2), within what holds field and team. [m]"""
    left: Floats
    """Weight left of every sample, shape (N,)."""


def divides(record: Record) -> bool:
    """Whether the law of a mission divides what is left among several agents."""
    scenario = tomllib.loads(record.scenario_toml)
    assigned = scenario.get("assignment", {}).get("method") == "semi-discrete"
    planned = scenario.get("control", {}).get("law") == "mission-plan"
    return (assigned or planned) and record.header.n_agents > 1 and not record.cells


def moments(record: Record) -> list[int]:
    """Ticks at which cells are shown; where cells are renewed at intervals, ticks at which they are."""
    scenario = tomllib.loads(record.scenario_toml)
    every = 1
    if scenario.get("assignment", {}).get("method") == "semi-discrete":
        every = max(1, round(scenario["assignment"].get("refresh_interval_s", 5.0) / record.header.time_step_s))
    ticks = np.arange(N_MOMENTS) * (record.n_ticks - 1) / N_MOMENTS
    return np.unique((ticks / every).round().astype(int) * every).tolist()


def division_at(record: Record, tick: int) -> Division | None:
    """Cells of all that fly on after a tick; None where nobody does, or nothing is left."""
    steps = np.array([agent.n_steps for agent in record.header.agents])
    flying = steps > tick
    if "fault" in record.trajectory:
        flying &= record.by_tick("fault")[tick, :, 0] == 0
    left = weight_left(record, tick)
    left[left < NOTHING * record.samples["weight"]] = 0.0  # what rounding left
    if not flying.any() or left.sum() < NOTHING:
        return None
    members = np.flatnonzero(flying)
    alpha = np.array([agent.alpha for agent in record.header.agents])
    capacity = (alpha * (steps - tick))[members]
    sites = record.by_tick("x_m", "y_m")[tick][members]
    part = divide_samples(sample_places(record, tick), left, sites, capacity * (left.sum() / capacity.sum()))
    owner = part.owner(len(left))
    cells = cell_outlines(sites, part.potentials, *maps.reach(record))
    return Division(tick, members, sites, np.where(owner < 0, -1, members[owner]), cells, left)


def draw_cells(record: Record) -> Any:
    """Cells over what is left, at several moments."""
    found = [d for tick in moments(record) if (d := division_at(record, tick)) is not None]
    columns = min(2, max(1, len(found)))
    rows = max(1, math.ceil(len(found) / columns))
    figure = new_figure(PANEL * columns, rows * maps.map_height(record, PANEL - 0.8))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, division in zip(panels, found, strict=False):
        _draw_division(axes, record, division)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    if not found:
        panels[0].text(0.5, 0.5, "nothing was divided", transform=panels[0].transAxes, ha="center")
    return figure


def _draw_division(axes: Any, record: Record, division: Division) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Polygon

    n_agents = record.header.n_agents
    few = n_agents <= MANY_AGENTS
    maps.draw_weight(axes, record, division.left, maps.greys(), tick=division.tick)
    colours = [agent_colour(int(r), n_agents) for r in division.members]
    with_cell = [i for i, cell in enumerate(division.cells) if len(cell)]
    cells = PolyCollection(
        [division.cells[i] for i in with_cell],
        facecolors=[(*maps.rgb(colours[i]), 0.22 if few else 0.0) for i in with_cell],
        edgecolors="black",
        linewidths=0.7 if few else 0.35,
        label="cells",
    )
    axes.add_collection(cells)
    field = Polygon(record.header.boundary_m, transform=axes.transData, visible=False)
    axes.add_patch(field)
    cells.set_clip_path(field)
    size = 60 if few else max(1.0, 600 / n_agents)
    axes.scatter(*division.sites.T, s=size, c=colours, edgecolors="white", linewidths=0.6 if few else 0.0, zorder=4)
    for r, place in zip(division.members.tolist(), division.sites if few else (), strict=False):
        axes.annotate(f"{r}", place, ha="center", va="center_baseline", color="white", fontsize=6, zorder=5)
    maps.frame(axes, record)
    share = 100 * float(division.left.sum())
    axes.set_title(f"{division.tick * record.header.time_step_s:g} s, {share:.0f} % untreated")
