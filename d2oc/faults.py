"""What ends the flight of a simulated vehicle before its mission does."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

import numpy as np

from d2oc.arrays import Floats, Ints

FLIPPED_BEYOND_DEG = 75.0
"""No autopilot of these classes flies on from there. [deg]"""


class Fault(IntEnum):
    """Why a vehicle is lost; the number stands in the record."""

    NONE = 0
    """Flying."""
    COLLISION = 1
    """It touched another vehicle."""
    GROUND = 2
    """It touched the ground in flight."""
    FLIPPED = 3
    """It tilted beyond 75 degrees."""
    BATTERY = 4
    """Its battery is empty."""
    CRASH = 5
    """The scenario let it crash."""


SENTENCE = {
    Fault.COLLISION: "touched another vehicle",
    Fault.GROUND: "touched the ground",
    Fault.FLIPPED: f"tilted beyond {FLIPPED_BEYOND_DEG:.0f} degrees",
    Fault.BATTERY: "emptied its battery",
    Fault.CRASH: "crashed, as the scenario has it",
}
"""What happened, for people."""


def find_faults(
    fault: Ints, body: Floats, lowest: Floats, energy_left: Floats, touched: Collection[tuple[int, int]]
) -> Ints:
    """Note the first fault of each vehicle.

    Parameters
    ----------
    fault : ndarray of int32, shape (L,)
        Faults so far; changed in place.
    body : ndarray, shape (L, 13)
        Position, attitude, velocity, rate.
    lowest : ndarray, shape (L,)
        Height of the bodies' centres when they touch the ground. [m]
    energy_left : ndarray, shape (L,)
        In the batteries. [J]
    touched : collection of (agent, agent)
        Who touched whom.

    Returns
    -------
    new : ndarray of int32
        Agents whose fault is new.
    """
    flying = fault == Fault.NONE
    found = np.zeros_like(fault)
    up = 1.0 - 2.0 * (body[:, 3] ** 2 + body[:, 4] ** 2)  # vertical part of the body's own up
    found[energy_left <= 0.0] = Fault.BATTERY
    found[~(up > np.cos(np.radians(FLIPPED_BEYOND_DEG)))] = Fault.FLIPPED  # also where it is not a number
    found[body[:, 2] < lowest] = Fault.GROUND
    for pair in touched:
        found[list(pair)] = Fault.COLLISION
    new = np.flatnonzero(flying & (found != Fault.NONE)).astype(np.int32)
    fault[new] = found[new]
    return new
