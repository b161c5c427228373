"""All figures of a record by name: which there are, when they apply, and how each is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.errors import RecordError
from d2oc.metrics import CHEAP_PAIRS, planned_work, weight_left, work_done
from d2oc.record import Record
from d2oc.transport.wasserstein import Distance, wasserstein2
from d2oc_viz import cells, course, maps
from d2oc_viz.doses import cells_of, draw_raster, has_doses
from d2oc_viz.drawing import MANY_AGENTS, agent_colour, new_figure, save, styled

Floats = NDArray[np.float64]

W2_MOMENTS = 12
"""Evenly spaced moments at which W2 is computed."""
W2_PLACES = 60_000
"""Places of the whole mission from which it is computed at the most; of more, every k-th tick is taken."""
W2_CELLS = 512
"""Cells of the interval that is certain to hold it."""
W2_WIDTH = 0.05
"""Width of an interval, as a share of W2, that is narrow enough for a picture."""
NETWORK_MOMENTS = 400
"""Evenly spaced ticks at which groups in radio contact and the nearest pair are looked for."""
CHART = (6.4, 3.1)
"""Size of a chart. [inch]"""
MOST_NUMBERS = 20
"""Bars that have their number below them; of more, every second or third has."""
MAP_WIDTH = 5.4
"""Width of a map. [inch]"""


@dataclass(frozen=True)
class Kind:
    """A figure that can be drawn of a record."""

    caption: str
    draw: Callable[[Record], Any]
    applies: Callable[[Record], bool] = lambda record: True
    lacks: str = ""
    """What a record lacks to which it does not apply."""
    wide: bool = False
    """Whether it wants the whole width of a page."""


def draw_flown(record: Record) -> Any:
    """Reference density and the way of every agent; a density that moves where it was at the start and at the end."""
    ticks = [0] if record.header.motion is None else [0, record.n_ticks - 1]
    figure = new_figure(len(ticks) * MAP_WIDTH, maps.map_height(record, MAP_WIDTH - 0.8))
    for axes, tick in zip(figure.subplots(1, len(ticks), squeeze=False)[0], ticks, strict=True):
        draw_wanted(axes, record, tick)
        maps.draw_ways(axes, record)
        axes.set_title(flown_title(record, tick))
        maps.frame(axes, record)
    return figure


def draw_wanted(axes: Any, record: Record, tick: int = 0) -> None:
    """In grey what was to be treated: the dose wanted of a spraying mission, else the reference density at a tick."""
    if has_doses(record):
        wanted = cells_of(record, "target_l_ha")
        draw_raster(axes, record, wanted, maps.greys(), 0.0, max(float(np.nanmax(wanted)), 1e-9))
    else:
        maps.draw_weight(axes, record, record.samples["weight"], maps.greys(), tick=tick)


def flown_title(record: Record, tick: int = 0) -> str:
    """What a map of ways says: its marks or, of a density that moves, when it was there."""
    if record.header.motion is None:
        return "flown: ○ start, ■ end"
    return f"flown; density at {tick * record.header.time_step_s:g} s"


def draw_untreated(record: Record) -> Any:
    """What nobody treated, on the colour scale of the whole density."""
    figure = new_figure(MAP_WIDTH + 0.6, maps.map_height(record, MAP_WIDTH - 0.8))
    axes = figure.subplots()
    untreated_map(axes, record)
    return figure


def untreated_map(axes: Any, record: Record) -> None:
    """What is left at the end, of a spraying mission the dose that is missing; says so where nothing is."""
    left = weight_left(record)
    if has_doses(record):
        wanted = cells_of(record, "target_l_ha")
        missing = np.maximum(wanted - cells_of(record, "deposit_l_ha"), 0.0)
        top = max(float(np.nanmax(wanted)), 1e-9)
        image, label, title = (
            draw_raster(axes, record, missing, maps.warm(), 0.0, top),
            "[L/ha]",
            "dose missing at the end",
        )
    else:
        image = maps.draw_weight(axes, record, left, maps.warm(), tick=record.n_ticks - 1)
        label, title = "untreated weight [% of the whole per ha]", "untreated at the end"
    maps.colour_bar(axes, image, label)
    if np.ma.getmaskarray(image.get_array()).all():
        share = 100 * float(left.sum())
        title += ": nothing" if share < 0.005 else f": {share:.2f} %, too thin to be seen"
    axes.set_title(title)
    maps.frame(axes, record)


def draw_remaining(record: Record) -> Any:
    """Remaining weight over time."""
    figure = new_figure(*CHART)
    remaining_chart(figure.subplots(), record)
    return figure


def remaining_chart(axes: Any, record: Record) -> None:
    """Remaining weight over time: what is true, and the band of what the agents believe."""
    believed = 100 * course.column(record, "believed_remaining")
    stride = -(-record.n_ticks // course.MANY_MOMENTS)
    time = course.times(record)
    low, _, high = course.band(believed)
    axes.fill_between(time[::stride], low, high, color="C0", alpha=0.2, lw=0, label="as agents believe")
    axes.plot(time[::stride], 100 * course.truly_remaining(record)[::stride], color="C0", label="in truth")
    axes.set(ylabel="remaining weight [%]", ylim=(0, 102), title="remaining weight")
    course.time_axis(axes, record)
    axes.legend(loc="upper right")


def draw_w2(record: Record) -> Any:
    """W2 of what had been flown, against time, with the interval that is certain to hold it."""
    figure = new_figure(*CHART)
    axes = figure.subplots()
    ticks, distances, stride = w2_course(record)
    if distances:
        time = ticks * record.header.time_step_s
        low, high = [d.lower for d in distances], [d.upper for d in distances]
        axes.fill_between(time, low, high, color="C0", alpha=0.25, lw=0, label="certain to hold it")
        axes.plot(time, [d.value for d in distances], marker="o", ms=3.5, label="W2")
        axes.legend()
    else:
        axes.text(0.5, 0.5, "no step was flown", transform=axes.transAxes, ha="center")
    thinned = "" if stride == 1 else f", from one tick in {stride}"
    axes.set(ylabel="W2 [m]", title=f"distance W2 of what was flown from the density{thinned}")
    axes.set_ylim(bottom=0)
    course.time_axis(axes, record)
    return figure


def w2_course(record: Record) -> tuple[NDArray[np.int64], list[Distance], int]:
    """Ticks, the W2 of all flown until each of them, and every how manieth tick was looked at."""
    position = record.by_tick("x_m", "y_m")
    acted = record.by_tick("active")[:, :, 0].astype(bool)
    alpha = np.array([agent.alpha for agent in record.header.agents])
    stride = max(1, -(-int(acted.sum()) // W2_PLACES))
    samples = np.column_stack([record.samples["x_m"], record.samples["y_m"]])
    ticks, distances = [], []
    for last in np.unique(np.linspace(0, record.n_ticks - 1, W2_MOMENTS + 1).round().astype(int)[1:]).tolist():
        shown = slice(last % stride, last + 1, stride)  # the moment itself is always among them
        tick, agent = np.nonzero(acted[shown])
        if len(tick):
            ticks.append(last)
            places, masses = position[shown][tick, agent], alpha[agent]
            distances.append(_w2(places, masses, samples, record.samples["weight"]))
    return np.array(ticks), distances, stride


def _w2(places: Floats, masses: Floats, samples: Floats, weights: Floats) -> Distance:
    """An interval where that is narrow, else as `wasserstein2` gives it."""
    rough = wasserstein2(places, masses, samples, weights, exact_up_to=CHEAP_PAIRS, n_cells=W2_CELLS)
    if rough.upper - rough.lower <= W2_WIDTH * rough.value:
        return rough
    return wasserstein2(places, masses, samples, weights)


def draw_workload(record: Record) -> Any:
    """Mass each agent treated, beside what it had the capacity for; of a spraying mission the litres it sprayed."""
    figure = new_figure(*CHART)
    axes = figure.subplots()
    sprays = bool(record.cells)
    done = work_done(record) if sprays else 100 * work_done(record)
    planned = None if sprays else 100 * planned_work(record)
    label, verb = ("liquid [L]", "sprayed") if sprays else ("weight [% of the whole]", "treated")
    n_agents = len(done)
    if n_agents <= 5 * MANY_AGENTS:
        agent = np.arange(n_agents)
        if planned is not None:
            axes.bar(agent, planned, width=0.8, color="0.5", alpha=0.3, label="capacity")
        colours = [agent_colour(r, n_agents) for r in range(n_agents)]
        axes.bar(agent, done, width=0.5, color=colours, label=verb)
        axes.set_xticks(agent[:: -(-n_agents // MOST_NUMBERS)])
        axes.set(xlabel="agent", ylabel=label, xlim=(-1.0, n_agents))
    else:
        _workload_histogram(axes, done, planned, verb)
        axes.set(xlabel=f"{label} of an agent", ylabel="agents [count]")
    axes.set_title("workload")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), handlelength=1.2)
    axes.grid(visible=True, axis="y")
    return figure


def _workload_histogram(axes: Any, done: Floats, planned: Floats | None, verb: str) -> None:
    most = max(float(done.max()), float(planned.max()) if planned is not None else 0.0, 1e-12)
    axes.hist(done, bins=40, range=(0.0, 1.05 * most), color="C0", label=verb)
    if planned is not None:
        axes.axvline(float(np.median(planned)), color="black", lw=0.8, ls="--", label="capacity, median")


def draw_speed(record: Record) -> Any:
    """Speed over time, with its limit."""
    limits = course.limits(record, "max_speed_m_s")
    return _from_zero(_chart(record, course.speed(record), "speed [m/s]", "speed", limits, "m/s"))


def draw_tilt(record: Record) -> Any:
    """Tilt over time, with its limit."""
    value = course.tilt(record)
    assert value is not None
    return _from_zero(_chart(record, value, "tilt [°]", "tilt", course.limits(record, "max_tilt_deg"), "°"))


def draw_battery(record: Record) -> Any:
    """Charge of the batteries over time."""
    if "battery_percent" in record.trajectory:
        value = course.column(record, "battery_percent")
    else:
        value = 100 * course.column(record, "charge")
    figure = _chart(record, value, "charge [%]", "battery")
    figure.axes[0].set_ylim(0, 102)
    return figure


def draw_tank(record: Record) -> Any:
    """Liquid in the tanks over time."""
    return _from_zero(_chart(record, course.column(record, _tank_column(record)), "liquid [L]", "tank"))


def _from_zero(figure: Any) -> Any:
    figure.axes[0].set_ylim(bottom=0)
    return figure


def _chart(
    record: Record, value: Floats, label: str, title: str, limits: list[float] | None = None, unit: str = ""
) -> Any:
    figure = new_figure(*CHART)
    axes = figure.subplots()
    course.draw_by_agent(axes, record, value, label)
    course.draw_limit(axes, limits or [], unit)
    axes.set_title(title)
    course.time_axis(axes, record)
    return figure


def draw_separation(record: Record) -> Any:
    """Distance of the nearest two agents over time, with the distance they must keep."""
    import tomllib

    from scipy.spatial import cKDTree

    ticks = _moments(record)
    has_height = "height_m" in record.trajectory
    position = record.by_tick("x_m", "y_m", *(["height_m"] if has_height else []))[ticks]
    nearest = [float(cKDTree(here).query(here, k=2)[0][:, 1].min()) for here in position]
    figure = new_figure(*CHART)
    axes = figure.subplots()
    axes.plot(ticks * record.header.time_step_s, nearest)
    kept = tomllib.loads(record.scenario_toml).get("team", {}).get("separation_m")
    course.draw_limit(axes, [float(kept)] if kept else [], "m")
    every = "" if len(ticks) >= record.n_ticks - 1 else f", at {len(ticks)} moments"
    axes.set(ylabel="distance [m]", title=f"nearest two agents{every}")
    axes.set_ylim(bottom=0)
    course.time_axis(axes, record)
    return figure


def draw_network(record: Record) -> Any:
    """Radio contacts over time: how many an agent has, and how large the largest group is."""
    ticks = _moments(record)
    contacts, largest = _network(record, ticks)
    time = ticks * record.header.time_step_s
    figure = new_figure(CHART[0], 3.8)
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(time, contacts)
    upper.set(ylabel="contacts", title="agents heard by an agent, on average")
    lower.plot(time, largest, color="C2")
    lower.set(
        ylabel="agents", title="largest group in contact, also over others", ylim=(0, 1.05 * record.header.n_agents)
    )
    upper.set_ylim(0, 1.1 * max(*contacts, 1.0))
    upper.grid(visible=True)
    course.time_axis(lower, record)
    return figure


def _network(record: Record, ticks: NDArray[np.int64]) -> tuple[list[float], list[int]]:
    """Contacts an agent has on average, and size of the largest connected group, at some ticks."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    messages, n = record.messages, record.header.n_agents
    start = np.searchsorted(messages["tick"], ticks, "left")
    end = np.searchsorted(messages["tick"], ticks, "right")
    contacts, largest = [], []
    for a, b in zip(start.tolist(), end.tolist(), strict=True):
        pairs = np.unique(messages["sender"][a:b].astype(np.int64) * n + messages["receiver"][a:b])
        graph = coo_matrix((np.ones(len(pairs)), (pairs // n, pairs % n)), shape=(n, n))
        contacts.append(len(pairs) / n)
        largest.append(int(np.bincount(connected_components(graph, directed=False)[1]).max()))
    return contacts, largest


def _moments(record: Record) -> NDArray[np.int64]:
    """Evenly spaced ticks, first and last among them."""
    return np.unique(
        np.linspace(min(1, record.n_ticks - 1), record.n_ticks - 1, NETWORK_MOMENTS).round().astype(np.int64)
    )


def draw_dose(record: Record) -> Any:
    """Target, deposit and their difference over the raster of a farm mission."""
    target, deposit = (cells_of(record, name) for name in ("target_l_ha", "deposit_l_ha"))
    top = max(float(np.nanmax(target)), float(np.nanquantile(deposit, 0.995)), 1e-9)
    error = deposit - target
    worst = max(float(np.nanquantile(np.abs(error), 0.995)), 1e-9)
    figure = new_figure(12.5, maps.map_height(record, 3.2))
    for axes, title, values, colours, low, high in zip(
        figure.subplots(1, 3),
        ("asked for", "deposited", "deposited less asked for"),
        (target, deposit, error),
        (maps.warm(), maps.warm(), "PuOr_r"),
        (0.0, 0.0, -worst),
        (top, top, worst),
        strict=True,
    ):
        image = draw_raster(axes, record, values, colours, low, high)
        maps.frame(axes, record)
        axes.set_title(title)
        maps.colour_bar(axes, image, "[L/ha]")
    return figure


def _tank_column(record: Record) -> str:
    return next((name for name in ("tank_l", "liquid_l") if name in record.trajectory), "")


def _has_battery(record: Record) -> bool:
    return bool({"battery_percent", "charge"} & set(record.trajectory))


def _has_tilt(record: Record) -> bool:
    return any({"theta_rad", "phi_rad"} <= set(agent.state_names) for agent in record.header.agents)


def _has_messages(record: Record) -> bool:
    return len(record.messages["tick"]) > 0


def _has_several(record: Record) -> bool:
    return record.header.n_agents > 1


FIGURES: dict[str, Kind] = {
    "flown": Kind("Where the team flew, over the reference density (grey).", draw_flown),
    "untreated": Kind(
        "What nobody treated; of a spraying mission the dose missing.",
        draw_untreated,
    ),
    "cells": Kind(
        "Cells over what was left (grey): how optimal transport divides that by places and capacities of the agents.",
        cells.draw_cells,
        cells.divides,
        "a law that divides the map among several agents",
        wide=True,
    ),
    "remaining": Kind("Weight that remains to be treated, in truth and as the agents believe.", draw_remaining),
    "w2": Kind(
        "Wasserstein distance of all flown until then from the density; band: the interval that holds it.",
        draw_w2,
    ),
    "workload": Kind(
        "What each agent treated, and what it had the capacity for; of a spraying mission the litres it sprayed.",
        draw_workload,
    ),
    "speed": Kind("Speed of the agents; dashed: the limit of the scenario.", draw_speed),
    "separation": Kind(
        "Distance of the nearest two agents; dashed: what they must keep.",
        draw_separation,
        _has_several,
        "a second agent",
    ),
    "network": Kind("Who hears whom: contacts over time.", draw_network, _has_messages, "messages"),
    "tilt": Kind(
        "Tilt of the vehicles; dashed: the limit of the scenario.", draw_tilt, _has_tilt, "vehicles that tilt"
    ),
    "battery": Kind("Charge of the batteries.", draw_battery, _has_battery, "batteries"),
    "tank": Kind("Liquid in the tanks.", draw_tank, lambda record: bool(_tank_column(record)), "tanks"),
    "dose": Kind("Dose asked for, dose deposited, and the difference.", draw_dose, has_doses, "a dose map", wide=True),
}
"""By name, in the order of a report."""


def figures_of(record: Record) -> list[str]:
    """Names of the figures that apply to a record."""
    return [name for name, kind in FIGURES.items() if kind.applies(record)]


def draw(record: Record, name: str) -> Any:
    """Draw one figure; within `styled`.

    Raises
    ------
    RecordError
        If there is no such figure, or the record lacks what it shows.
    """
    if name not in FIGURES:
        raise RecordError(f"figure '{name}' is not known; there are {', '.join(FIGURES)}")
    kind = FIGURES[name]
    if not kind.applies(record):
        raise RecordError(
            f"{record.path or record.header.name}: figure '{name}' needs {kind.lacks}, of which this record has none"
        )
    return kind.draw(record)


def save_figure(record: Record, name: str, path: str | Path) -> Path:
    """Draw one figure into a file; its ending names the format (svg, pdf, png).

    Parameters
    ----------
    record : Record
        Complete or not; one tick suffices.
    name : str
        One of `FIGURES`.
    path : str or Path
        File to write.

    Returns
    -------
    path : Path

    Raises
    ------
    RecordError
        If there is no such figure, or the record lacks what it shows.
    MissingExtraError
        If matplotlib is not installed.
    """
    with styled():
        save(draw(record, name), path)
    return Path(path)
