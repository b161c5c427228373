"""What a spraying mission did: pure functions of its record."""

from __future__ import annotations

from typing import Any

import numpy as np

from d2oc.arrays import Floats
from d2oc.phases import Phase
from d2oc.record import Record

L_PER_HA_M2 = 1e-4
"""Litres on a square metre where the dose is 1 L/ha."""
ROUNDING = 1e-9
"""A dose is above its maximum when it is so by more than this. [L/ha]"""


def sprayed(record: Record) -> dict[str, Any]:
    """Metrics of a spraying mission; empty for any other, and for one that was killed.

    Parameters
    ----------
    record : Record

    Returns
    -------
    metrics : dict
        See docs/farm.md for each.
    """
    if not record.cells:
        return {}
    return {**on_the_ground(record), **in_the_air(record)}


def on_the_ground(record: Record) -> dict[str, Any]:
    """Litres, and what they did, from the table `cells`."""
    cells, raster = record.cells, record.header.raster or {}
    area = float(raster["cell_m"]) ** 2
    litres = float(litres_by_drone(record).sum())
    deposit, target, severity = cells["deposit_l_ha"], cells["target_l_ha"], cells["severity"]
    needed = cells["effective_l_ha"] > 0.0
    short = needed & (deposit < cells["effective_l_ha"])
    infested = severity[needed].sum()
    uniform = float(target.max() * cells["inside"].sum() * area * L_PER_HA_M2)
    per_cell = area * L_PER_HA_M2
    alive = float((severity * cells["survival"]).sum() / severity.sum())
    relative = deposit[needed] / target[needed]
    return {
        "litres": litres,
        "saved_percent": 100.0 * (1.0 - litres / uniform),
        "missed_percent": 100.0 * float(severity[short].sum() / infested),
        "underdosed_m2": float(short.sum() * area),
        "overdosed_m2": float((deposit > cells["maximum_l_ha"] + ROUNDING).sum() * area),
        "cv_percent": 100.0 * float(relative.std() / relative.mean()) if relative.any() else 0.0,
        "off_target_litres": float(deposit[target <= 0.0].sum() * per_cell),
        "buffer_litres": float(deposit[cells["maximum_l_ha"] <= 0.0].sum() * per_cell),
        "survivors_percent": None if np.isnan(alive) else 100.0 * alive,
        "treated_ha": float((needed & ~short).sum() * area * 1e-4),
    }


def in_the_air(record: Record) -> dict[str, Any]:
    """Time, energy and how the work was shared, from the trajectory."""
    phase = record.by_tick("phase")[:, :, 0].astype(int)
    busy = ~np.isin(phase, (Phase.GROUND, Phase.LOST))
    ends = np.flatnonzero(busy.any(axis=1))
    last = int(ends[-1]) if len(ends) else 0
    makespan = last * record.header.time_step_s
    during = phase[1 : last + 1]
    cells = record.cells
    treated = (cells["effective_l_ha"] > 0.0) & (cells["deposit_l_ha"] >= cells["effective_l_ha"])
    hectares = float(treated.sum()) * float((record.header.raster or {})["cell_m"]) ** 2 * 1e-4
    return {
        "hectares_per_hour": 3600.0 * hectares / makespan if makespan else 0.0,
        "makespan_s": makespan,
        "energy_kwh": float(record.by_tick("drawn_wh")[-1].sum()) / 1000.0 if "drawn_wh" in record.trajectory else None,
        "sorties": int(record.by_tick("sorties")[-1].sum()),
        "refills": int(((phase[1:] == Phase.SERVICE) & (phase[:-1] != Phase.SERVICE)).sum()),
        "idle_percent": 100.0 * float((during == Phase.GROUND).mean()) if during.size else 0.0,
    }


def litres_by_drone(record: Record) -> Floats:
    """What left the nozzles of each drone, shape (L,). [L]"""
    flow = record.by_tick("spray_l_min")[:, :, 0]
    return np.asarray(flow.sum(axis=0) * record.header.time_step_s / 60.0)
