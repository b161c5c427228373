"""When the liquid of a spraying mission came down.

The record says how much lies in each cell at the end, and who sprayed where and when; a cell's dose is shared among the
nearest places of spraying as the footprint would.
"""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.record import Record
from d2oc_viz import maps

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEAREST = 8
"""Places of spraying among which the dose of a cell is shared."""
LEAST_SHARE = 0.05
"""Smaller shares of a cell's dose are given to the others."""
SWATH_PER_SIGMA = 2.5
"""Swath over the standard deviation of the footprint across the way, as in `d2oc.spray.deposit`."""


def has_doses(record: Record) -> bool:
    """Whether a record holds the raster of a spraying mission; one that was killed does not."""
    return bool(record.header.raster) and bool(record.cells)


def laid(record: Record) -> tuple[Ints, Ints, Floats]:
    """What came down when and where, about; the doses of a cell sum to what the record says lies there.

    Returns
    -------
    tick, cell : ndarray of int64, shape (n,)
        Step that ends at that tick, and row of the table `cells`.
    dose : ndarray, shape (n,)
        [L/ha]
    """
    from scipy.spatial import cKDTree

    deposit = record.cells["deposit_l_ha"]
    wet = np.flatnonzero(deposit > 0.0)
    flow, place = record.by_tick("spray_l_min")[:, :, 0], record.by_tick("x_m", "y_m")
    tick, agent = np.nonzero(flow[1:] > 0.0)
    if len(tick) == 0 or len(wet) == 0:
        return np.full(len(wet), record.n_ticks - 1), wet, deposit[wet]
    middle = (place[tick, agent] + place[tick + 1, agent]) / 2.0
    centres = np.column_stack([record.cells["x_m"], record.cells["y_m"]])[wet]
    distance, found = cKDTree(middle).query(centres, k=np.arange(1, min(NEAREST, len(tick)) + 1))
    share = flow[tick + 1, agent][found] * np.exp((distance[:, :1] ** 2 - distance**2) / (2.0 * _sigma(record) ** 2))
    share /= share.sum(axis=1, keepdims=True)
    share[share < LEAST_SHARE] = 0.0
    share /= share.sum(axis=1, keepdims=True)
    row, column = np.nonzero(share)
    return tick[found[row, column]] + 1, wet[row], share[row, column] * deposit[wet[row]]


def _sigma(record: Record) -> float:
    """Standard deviation of the footprint across the way. [m]"""
    cell = float((record.header.raster or {})["cell_m"])
    swath = tomllib.loads(record.scenario_toml).get("spray", {}).get("swath_m", SWATH_PER_SIGMA * cell)
    return float(swath) / SWATH_PER_SIGMA


def cells_of(record: Record, name: str) -> Floats:
    """A column of the table `cells`, shape (rows, columns)."""
    raster = record.header.raster or {}
    return np.asarray(record.cells[name].reshape(raster["n_rows"], raster["n_columns"]), np.float64)


def draw_raster(axes: Any, record: Record, values: Floats, colours: Any, low: float, high: float) -> Any:
    """Draw values over the raster of a farm mission; next to nothing is left blank."""
    raster = record.header.raster or {}
    x, y = (
        raster[f"origin_{axis}_m"] + raster["cell_m"] * np.arange(raster[count] + 1)
        for axis, count in (("x", "n_columns"), ("y", "n_rows"))
    )
    shown = np.ma.masked_inside(values, -maps.NOTHING * high, maps.NOTHING * high)
    return axes.pcolormesh(x, y, shown, cmap=colours, vmin=low, vmax=high, rasterized=True, lw=0)
