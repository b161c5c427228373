"""Curves over the time of a mission: computed from the record, drawn as one line an agent or as a band."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.record import Record
from d2oc_viz.drawing import MANY_AGENTS, agent_colour

Floats = NDArray[np.float64]

MANY_MOMENTS = 1500
"""Curves have no more points than this; in between, a band keeps the extremes and a line leaves points out."""


def times(record: Record) -> Floats:
    """Time of every tick, shape (ticks,). [s]"""
    return np.arange(record.n_ticks, dtype=np.float64) * record.header.time_step_s


def column(record: Record, name: str) -> Floats:
    """A column of the trajectory, shape (ticks, agents)."""
    return np.asarray(record.by_tick(name)[:, :, 0], np.float64)


def truly_remaining(record: Record) -> Floats:
    """Share that nobody had consumed, at every tick, shape (ticks,)."""
    weight = record.samples["weight"]
    consumption = record.consumption
    order = np.lexsort((consumption["tick"], consumption["sample"]))
    sample, amount = consumption["sample"][order], consumption["amount"][order]
    consumed = np.cumsum(amount)
    first = np.flatnonzero(np.diff(sample, prepend=-1))
    before = np.repeat(consumed[first] - amount[first], np.diff(np.append(first, len(sample))))
    left = np.maximum(weight[sample] - (consumed - amount - before), 0.0)
    fallen = np.bincount(consumption["tick"][order], np.minimum(amount, left), record.n_ticks)
    return np.asarray(weight.sum() - np.cumsum(fallen))


def speed(record: Record) -> Floats:
    """Distance flown in each step over its duration, shape (ticks, agents); NaN at the start. [m/s]"""
    legs = np.linalg.norm(np.diff(record.by_tick("x_m", "y_m"), axis=0), axis=2) / record.header.time_step_s
    return np.vstack([np.full((1, record.header.n_agents), np.nan), legs])


def tilt(record: Record) -> Floats | None:
    """Angle between the vehicle's up and the vertical, shape (ticks, agents); None where no model has one. [deg]"""
    value = np.full((record.n_ticks, record.header.n_agents), np.nan)
    for r, agent in enumerate(record.header.agents):
        if {"theta_rad", "phi_rad"} <= set(agent.state_names):
            theta, phi = (_state(record, r, agent.state_names.index(name)) for name in ("theta_rad", "phi_rad"))
            value[:, r] = np.degrees(np.arccos(np.clip(np.cos(theta) * np.cos(phi), -1, 1)))
    return None if np.isnan(value).all() else value


def _state(record: Record, r: int, i: int) -> Floats:
    n_ticks = record.n_ticks
    return np.asarray(record.trajectory[f"state_{i}"][r * n_ticks : (r + 1) * n_ticks])


def limits(record: Record, key: str) -> list[float]:
    """Values of a key of `[vehicle]` in the scenario as run, one for each kind of agent that has one."""
    scenario = tomllib.loads(record.scenario_toml)
    groups = scenario.get("team", {}).get("groups") or [{}]
    vehicles = [group.get("vehicle") or scenario.get("vehicle", {}) for group in groups]
    known = (vehicle.get(key) for vehicle in vehicles)
    return sorted({float(value) for value in known if isinstance(value, int | float) and math.isfinite(value)})


def draw_by_agent(axes: Any, record: Record, value: Floats, label: str) -> None:
    """Draw one line an agent; in a large team its median and the band from the least to the greatest."""
    time = times(record)
    if value.shape[1] <= MANY_AGENTS:
        stride = -(-len(time) // MANY_MOMENTS)
        for r in range(value.shape[1]):
            axes.plot(
                time[::stride], value[::stride, r], color=agent_colour(r, value.shape[1]), lw=0.9, label=f"agent {r}"
            )
    else:
        low, middle, high = band(value)
        moment = time[:: -(-len(time) // MANY_MOMENTS)]
        axes.fill_between(moment, low, high, color="C0", alpha=0.2, lw=0, label="least to greatest")
        axes.plot(moment, middle, color="C0", label="median agent")
    axes.set_ylabel(label)
    if value.shape[1] > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), handlelength=1.2)


def band(value: Floats) -> tuple[Floats, Floats, Floats]:
    """Least, median and greatest over the agents, the extremes of as many ticks as one moment stands for."""
    stride = -(-len(value) // MANY_MOMENTS)
    first = np.arange(0, len(value), stride)
    least = np.where(np.isnan(value), np.inf, value).min(axis=1)
    greatest = np.where(np.isnan(value), -np.inf, value).max(axis=1)
    low, high = np.minimum.reduceat(least, first), np.maximum.reduceat(greatest, first)
    low[np.isinf(low)] = high[np.isinf(high)] = np.nan
    some = ~np.isnan(value[first]).all(axis=1)
    middle = np.full(len(first), np.nan)
    middle[some] = np.nanmedian(value[first][some], axis=1)
    return low, middle, high


def draw_limit(axes: Any, values: list[float], unit: str) -> None:
    """Draw dashed lines at limits, named with their value."""
    for value in values:
        axes.axhline(value, color="black", lw=0.8, ls=(0, (4, 3)))
        axes.annotate(
            f"limit {value:g} {unit}", (1, value), xycoords=("axes fraction", "data"), xytext=(0, 2),
            textcoords="offset points", ha="right", va="bottom", fontsize=7,
        )  # fmt: skip


def time_axis(axes: Any, record: Record) -> None:
    """Time from the start to the end of the record."""
    axes.set_xlabel("time [s]")
    axes.set_xlim(0, max(times(record)[-1], record.header.time_step_s))
    axes.grid(visible=True)
