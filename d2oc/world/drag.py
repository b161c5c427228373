"""Drag of the air on a body."""

from __future__ import annotations

import numpy as np

from d2oc.airframes.airframe import AIR_DENSITY
from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.world.fleet import Fleet
from d2oc.world.rotation import Vector


@compiled
def drag(fleet: Fleet, r: int, velocity: Floats, wind: Floats) -> Vector:
    """Force against the air, -(c + rho A |v| / 2) v with v relative to the wind. [N]"""
    x, y, z = velocity[0] - wind[0], velocity[1] - wind[1], velocity[2] - wind[2]
    speed = np.sqrt(x * x + y * y + z * z)
    factor = -(fleet.drag_linear[r] + 0.5 * AIR_DENSITY * fleet.drag_area[r] * speed)
    return factor * x, factor * y, factor * z
