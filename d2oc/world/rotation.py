"""Rotations as quaternions (x, y, z, w), as PyBullet writes them; compiled."""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


@compiled
def rotated(q: Quaternion, v: Vector) -> Vector:
    """A vector of the body in the world's axes: v + 2 w (u x v) + 2 u x (u x v), u the vector part."""
    x, y, z, w = q
    a = 2.0 * (y * v[2] - z * v[1])
    b = 2.0 * (z * v[0] - x * v[2])
    c = 2.0 * (x * v[1] - y * v[0])
    return (
        v[0] + w * a + y * c - z * b,
        v[1] + w * b + z * a - x * c,
        v[2] + w * c + x * b - y * a,
    )


@compiled
def unrotated(q: Quaternion, v: Vector) -> Vector:
    """A vector of the world in the body's axes."""
    return rotated((-q[0], -q[1], -q[2], q[3]), v)


@compiled
def turned(q: Quaternion, rate: Vector, time: float) -> Quaternion:
    """Attitude after turning at a constant rate (world axes, rad/s) for a time."""
    speed = np.sqrt(rate[0] ** 2 + rate[1] ** 2 + rate[2] ** 2)
    half = 0.5 * speed * time
    share = 0.5 * time if half < 1e-9 else np.sin(half) / speed
    a, b, c, d = rate[0] * share, rate[1] * share, rate[2] * share, np.cos(half)
    x, y, z, w = q
    return (
        d * x + a * w + b * z - c * y,
        d * y + b * w + c * x - a * z,
        d * z + c * w + a * y - b * x,
        d * w - a * x - b * y - c * z,
    )


@compiled
def heading(q: Quaternion) -> float:
    """Yaw, anticlockwise from east. [rad]"""
    x, y, z, w = q
    return float(np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))


@compiled
def tilts(q: Quaternion) -> tuple[float, float]:
    """The published model's tilts theta and phi: acceleration is (-g tan theta, g tan phi). [rad]"""
    up = rotated(q, (0.0, 0.0, 1.0))
    return -float(np.arctan2(up[0], up[2])), float(np.arctan2(up[1], up[2]))


@compiled
def attitude_of(body: Floats) -> Quaternion:
    """Attitude from a row of the body array."""
    return body[3], body[4], body[5], body[6]
