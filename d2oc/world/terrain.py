"""The ground: heights on a grid, bilinear in between, as far as the field reaches and level with its edge beyond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled


class Terrain(NamedTuple):
    """Heights of the ground above the datum of the field."""

    height: Floats
    """Rows from south to north, columns from west to east, shape (rows, columns). [m]"""
    cell: float
    """Distance of two neighbours. [m]"""
    x: float
    """Of the first column. [m]"""
    y: float
    """Of the first row. [m]"""


class Hill(NamedTuple):
    """A Gaussian hill, or a hollow where its height is negative."""

    x: float
    """Of the top. [m]"""
    y: float
    sigma: float
    """Where it has fallen to 61 % of its height. [m]"""
    height: float
    """[m]"""


def level_ground() -> Terrain:
    """Height 0 everywhere."""
    return Terrain(np.zeros((2, 2)), 1.0, 0.0, 0.0)


def hilly_ground(
    low: tuple[float, float],
    high: tuple[float, float],
    cell: float,
    slope: float,
    uphill: float,
    hills: Sequence[Hill],
) -> Terrain:
    """A slope with hills on it.

    Parameters
    ----------
    low, high : tuple of 2 floats
        South-western and north-eastern corner of what is covered. [m]
    cell : float
        Distance of two heights. [m]
    slope : float
        Rise over distance; the height is 0 at the origin.
    uphill : float
        Direction of the rise, anticlockwise from east. [rad]
    hills : sequence of Hill
        Added to it.
    """
    x = low[0] + cell * np.arange(math.ceil((high[0] - low[0]) / cell) + 1)
    y = low[1] + cell * np.arange(math.ceil((high[1] - low[1]) / cell) + 1)
    east, north = np.meshgrid(x, y)
    height = slope * (east * math.cos(uphill) + north * math.sin(uphill))
    for hill in hills:
        height += hill.height * np.exp(-((east - hill.x) ** 2 + (north - hill.y) ** 2) / (2.0 * hill.sigma**2))
    return Terrain(height, cell, float(x[0]), float(y[0]))


@compiled
def ground_at(terrain: Terrain, x: float, y: float) -> tuple[float, float, float]:
    """Height of the ground at a place [m], and its slopes along x and y."""
    rows, columns = terrain.height.shape
    u = (x - terrain.x) / terrain.cell
    v = (y - terrain.y) / terrain.cell
    inside_u, inside_v = 0.0 <= u <= columns - 1, 0.0 <= v <= rows - 1
    u, v = min(max(u, 0.0), columns - 1.0), min(max(v, 0.0), rows - 1.0)
    j, i = min(int(u), columns - 2), min(int(v), rows - 2)
    p, q = u - j, v - i
    a, b = terrain.height[i, j], terrain.height[i, j + 1]
    c, d = terrain.height[i + 1, j], terrain.height[i + 1, j + 1]
    slope_x = ((1.0 - q) * (b - a) + q * (d - c)) / terrain.cell if inside_u else 0.0
    slope_y = ((1.0 - p) * (c - a) + p * (d - b)) / terrain.cell if inside_v else 0.0
    return (1.0 - q) * ((1.0 - p) * a + p * b) + q * ((1.0 - p) * c + p * d), slope_x, slope_y


@compiled
def look_down(terrain: Terrain, body: Floats, ground: Floats, climb: Floats) -> None:
    """Height of the ground below every body, and how fast it rises on its way.

    Parameters
    ----------
    terrain : Terrain
        The ground.
    body : ndarray, shape (L, 13)
        Position, attitude, velocity, rate.
    ground : ndarray, shape (L,)
        Overwritten. [m]
    climb : ndarray, shape (L,)
        Overwritten. [m/s]
    """
    for r in range(len(body)):
        ground[r], slope_x, slope_y = ground_at(terrain, body[r, 0], body[r, 1])
        climb[r] = slope_x * body[r, 7] + slope_y * body[r, 8]
