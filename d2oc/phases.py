"""What a drone of a spraying mission is doing; spray is off in every phase but `MISSION`."""

from __future__ import annotations

from enum import IntEnum


class Phase(IntEnum):
    """What a drone is doing; the number stands in the column `phase` of the record."""

    GROUND = 0
    """On the ground: waiting for a place at the station, or done."""
    TAKE_OFF = 1
    """Climbing to its working height."""
    TRANSIT = 2
    """On its way to what it sprays next."""
    MISSION = 3
    """On a pass, or turning into the next one."""
    RETURN = 4
    """On its way to a station."""
    LANDING = 5
    """Descending at a station."""
    SERVICE = 6
    """Tank and battery are being filled and changed."""
    LOST = 7
    """Fallen out; it does not come back."""
