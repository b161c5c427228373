r"""The limits of a vehicle as rows of linear inequalities, :math:`|G x| \le 1`.

A limit on a Euclidean norm becomes a regular polygon *inscribed* in the disc: every point of the polygon lies in the
disc, so the norm is never exceeded; in the direction of the middle of an edge the polygon ends at :math:`\cos(\pi/s)`
of the radius for s sides (1.9 % below it for 16). Opposite edges share a row, so s sides take s/2 rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2oc.arrays import Floats
from d2oc.vehicles.linear import LinearModel

POLYGON_SIDES = 16
"""Sides of the polygon inscribed in a disc; a multiple of four, so that its rows include both axes."""


@dataclass(frozen=True, eq=False)
class LimitRows:
    """Limits in shares: a row times the state (or input) lies between -1 and 1."""

    input_each: Floats
    """Largest absolute value of each input, shape (m,); inf: no limit."""
    input_norm: float
    """Largest Euclidean norm of the input; inf: no limit."""
    input_rows: Floats
    """Further rows on the input, hard, shape (r, m)."""
    state_rows: Floats
    """Rows on each predicted state, soft, shape (s, n)."""
    state_names: tuple[str, ...]
    """What each state row limits, in words."""

    @property
    def n_inputs(self) -> int:
        """Number of inputs m."""
        return len(self.input_each)


def limit_rows(model: LinearModel, sides: int = POLYGON_SIDES) -> LimitRows:
    """Limits of a vehicle: hard on the input, soft on speed, tilt and tilt rate.

    Parameters
    ----------
    model : LinearModel
        Vehicle with its limits.
    sides : int
        Sides of the polygon inscribed in the disc of a norm limit, a multiple of 4.

    Returns
    -------
    rows : LimitRows
    """
    if sides < 4 or sides % 4:
        raise ValueError(f"a polygon for a norm limit has {sides} sides, must be a multiple of 4")
    limits = model.limits
    each = np.full(model.n_inputs, limits.input_each)
    input_rows = np.zeros((0, model.n_inputs))
    if np.isfinite(limits.input_norm):
        edges = inscribed_polygon(limits.input_norm, sides)
        on_axis = (edges != 0).sum(axis=1) == 1
        each = np.minimum(each, 1.0 / edges[on_axis].max())
        input_rows = edges[~on_axis]
    state_rows, names = _state_rows(model, sides)
    return LimitRows(each, limits.input_norm, input_rows, state_rows, names)


def _state_rows(model: LinearModel, sides: int) -> tuple[Floats, tuple[str, ...]]:
    limits = model.limits
    rows, names = [], []
    if model.velocity_states is not None:
        velocity = np.zeros((2, model.n_states))
        velocity[[0, 1], model.velocity_states] = 1.0
        if np.isfinite(limits.speed_norm):
            rows += list(inscribed_polygon(limits.speed_norm, sides) @ velocity)
        if np.isfinite(limits.speed_each):
            rows += list(velocity / limits.speed_each)
        names += ["speed"] * len(rows)
    if limits.state_each is not None:
        for i in np.flatnonzero(np.isfinite(limits.state_each)):
            rows.append(np.eye(model.n_states)[i] / limits.state_each[i])
            names.append(model.state_names[i])
    return np.array(rows).reshape(-1, model.n_states), tuple(names)


def inscribed_polygon(radius: float, sides: int) -> Floats:
    """Rows g with :math:`|g z| <= 1` for the points z of a regular polygon inscribed in a disc.

    Parameters
    ----------
    radius : float
        Radius of the disc.
    sides : int
        Sides, a multiple of 4; two of the rows lie along the axes.

    Returns
    -------
    rows : ndarray, shape (sides / 2, 2)
    """
    half = sides // 2
    angle = np.pi * np.arange(half) / half
    rows = np.column_stack([np.cos(angle), np.sin(angle)]) / (radius * np.cos(np.pi / sides))
    rows[np.abs(rows) < 1e-12 * np.abs(rows).max()] = 0.0
    return rows
