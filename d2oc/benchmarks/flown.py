"""`d2oc bench flown`: how much worse a scenario comes out flown by rigid bodies in the wind than by its model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.mission import simulate
from d2oc.record import Record
from d2oc.runtime.choice import quickest_runtime
from d2oc.scenario import load_scenario
from d2oc.scenario.schema import Scenario

WINDS_M_S = (0.0, 3.0, 6.0)
WORLDS = (None, *WINDS_M_S)
"""The ideal world, and the bullet world at each mean wind. [m/s]"""


@dataclass(frozen=True)
class Flight:
    """One mission."""

    seed: int
    wind_m_s: float | None
    """Mean wind of the bullet world; None: the ideal world."""
    w2_m: float
    """Distance between what was covered and the reference. [m]"""
    tracking_rms_m: float
    """Of the distance between the place after a step and the goal the law had for it. [m]"""
    model_error_rms_m: float
    """Of the place after a step, model against flight. [m]"""
    top_speed_m_s: float
    speed_limit_m_s: float
    min_separation_m: float | None
    """Between two drones, in space in the bullet world, in the plane in the ideal one. [m]"""
    n_lost: int
    """Drones that touched something, flipped or emptied their batteries."""


@dataclass(frozen=True)
class Row:
    """All missions of one world."""

    scenario: str
    wind_m_s: float | None
    """Mean wind of the bullet world; None: the ideal world."""
    n_seeds: int
    w2_m: float
    """Mean. [m]"""
    w2_sd_m: float
    w2_ratio: float
    """Mean W2 over that of the ideal world."""
    least_ratio: float
    """Of one seed."""
    largest_ratio: float
    tracking_rms_m: float
    """Mean over the missions. [m]"""
    model_error_rms_m: float
    top_speed_m_s: float
    """Largest of all missions. [m/s]"""
    speed_limit_m_s: float
    min_separation_m: float | None
    n_lost: int

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)

    @property
    def breached(self) -> bool:
        """Whether a drone was lost or a speed limit exceeded."""
        return self.n_lost > 0 or self.top_speed_m_s > self.speed_limit_m_s + 1e-6


def measure(
    scenario: str,
    n_seeds: int,
    overrides: Sequence[str] = (),
    *,
    on_flight: Callable[[Flight], None] | None = None,
) -> list[Row]:
    """Fly every seed once in the ideal world and once in the bullet world at each wind.

    Parameters
    ----------
    scenario : str
        Name or path.
    n_seeds : int
        Seeds 1 to this one.
    overrides : sequence of str
        Keys to change, ``key=value``.
    on_flight : callable, optional
        Called with each mission as soon as it is flown.

    Returns
    -------
    rows : list of Row
        One a world.
    """
    flights = []
    for seed in range(1, n_seeds + 1):
        for wind in WORLDS:
            flights.append(fly(scenario, seed, wind, overrides))
            if on_flight is not None:
                on_flight(flights[-1])
    return rows(scenario, flights)


def fly(scenario: str, seed: int, wind: float | None, overrides: Sequence[str] = ()) -> Flight:
    """Fly one mission; see `Flight` for its wind."""
    world = ["world.kind=ideal"]
    if wind is not None:
        world = ["world.kind=bullet", f"world.wind.speed_m_s={wind}", "world.wind.toward_deg=30.0"]
    loaded = load_scenario(scenario, overrides=[*overrides, *world], seed=seed)
    record = simulate(loaded, runtime=quickest_runtime(loaded))
    summary = record.summary()
    return Flight(
        seed=seed,
        wind_m_s=wind,
        w2_m=summary["w2_m"],
        tracking_rms_m=tracking_rms(record),
        model_error_rms_m=summary.get("model_error_rms_m", 0.0),
        top_speed_m_s=summary["top_speed_m_s"],
        speed_limit_m_s=_speed_limit(loaded),
        min_separation_m=summary["min_separation_m"],
        n_lost=len(summary.get("lost_agents", ())),
    )


def tracking_rms(record: Record) -> float:
    """Root mean square distance between the places after steps and the goals of these steps. [m]"""
    active = record.by_tick("active")[:, :, 0].astype(bool)
    off = record.by_tick("x_m", "y_m") - record.by_tick("goal_x_m", "goal_y_m")
    squares = np.sum(off**2, axis=2)[active]
    return float(np.sqrt(np.nanmean(squares)))


def rows(scenario: str, flights: Sequence[Flight]) -> list[Row]:
    """Summarise missions, one row a world."""
    ideal = np.array([f.w2_m for f in flights if f.wind_m_s is None])
    return [_row(scenario, [f for f in flights if f.wind_m_s == wind], ideal) for wind in WORLDS]


def _row(scenario: str, flights: Sequence[Flight], ideal: NDArray[Any]) -> Row:
    w2 = np.array([f.w2_m for f in flights])
    apart = [f.min_separation_m for f in flights if f.min_separation_m is not None]
    return Row(
        scenario=scenario,
        wind_m_s=flights[0].wind_m_s,
        n_seeds=len(flights),
        w2_m=float(w2.mean()),
        w2_sd_m=float(w2.std(ddof=1)) if len(w2) > 1 else 0.0,
        w2_ratio=float(w2.mean() / ideal.mean()),
        least_ratio=float((w2 / ideal).min()),
        largest_ratio=float((w2 / ideal).max()),
        tracking_rms_m=float(np.mean([f.tracking_rms_m for f in flights])),
        model_error_rms_m=float(np.mean([f.model_error_rms_m for f in flights])),
        top_speed_m_s=max(f.top_speed_m_s for f in flights),
        speed_limit_m_s=min(f.speed_limit_m_s for f in flights),
        min_separation_m=min(apart) if apart else None,
        n_lost=sum(f.n_lost for f in flights),
    )


def _speed_limit(scenario: Scenario) -> float:
    """Largest speed that any vehicle of the team may fly; the quadrotors' limit holds on each axis. [m/s]"""
    vehicles = [scenario.vehicle, *(group.vehicle for group in scenario.team.groups if group.vehicle)]
    return max(v.max_speed_m_s * (math.sqrt(2.0) if v.model.endswith("quadrotor") else 1.0) for v in vehicles)
