"""Missions and fences as MAVLink mission items, both ways."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from d2oc_hardware.flight_controller import FencePolygon
from d2oc_hardware.frames import FieldDatum, Geodetic, Place
from d2oc_hardware.mavlink.codec import Message

MISSION, FENCE = 0, 1
"""Types of lists."""
INSIDE, OUTSIDE = 5001, 5002
"""Commands of a corner of a polygon to stay in, to stay out of."""
WAYPOINT, RETURN, LAND, TAKE_OFF = 16, 20, 21, 22
NO_FRAME = 2
"""Frame of what has no place; PX4 refuses a return with any other."""
GLOBAL_RELATIVE = (3, 6)
"""Frames in which altitudes count from home."""


class Item(NamedTuple):
    """An item, in the units of MISSION_ITEM_INT."""

    command: int
    latitude: int
    """[1e-7 deg]"""
    longitude: int
    altitude: float
    """[m]"""
    param1: float = 0.0
    frame: int = 6


def item_of(m: Message) -> Item:
    """Item of a message MISSION_ITEM_INT."""
    return Item(m.command, m.x, m.y, m.z, m.param1, m.frame)


def degrees(latitude: int, longitude: int, altitude: float) -> Geodetic:
    """Place of an item."""
    return Geodetic(latitude / 1e7, longitude / 1e7, altitude)


def whole(place: Geodetic) -> tuple[int, int]:
    """Latitude and longitude as MAVLink writes them. [1e-7 deg]"""
    return round(place.latitude * 1e7), round(place.longitude * 1e7)


def fence_items(fence: Sequence[FencePolygon], datum: FieldDatum) -> list[Item]:
    """Items of a fence."""
    items = []
    for polygon in fence:
        for east, north in polygon.corners:
            latitude, longitude = whole(datum.geodetic(Place(east, north, 0.0)))
            command = INSIDE if polygon.inside_allowed else OUTSIDE
            items.append(Item(command, latitude, longitude, 0.0, float(len(polygon.corners)), 0))
    return items


def fence_of(items: Sequence[Item], datum: FieldDatum) -> list[FencePolygon]:
    """Fence of its items; the inverse of `fence_items` to a centimetre."""
    polygons = []
    left = iter(items)
    for first in left:
        corners = []
        for item in itertools.chain([first], itertools.islice(left, max(0, int(first.param1) - 1))):
            place = datum.local(degrees(item.latitude, item.longitude, 0.0))
            corners.append((place.east, place.north))
        if first.command in (INSIDE, OUTSIDE):
            polygons.append(FencePolygon(tuple(corners), first.command == INSIDE))
    return polygons


def mission_items(
    places: Sequence[Place], datum: FieldDatum, home: Geodetic, *, begins_at_home: bool = True
) -> list[Item]:
    """Items of a mission: home where the firmware wants that, take-off to the first height, the places, return."""
    latitude, longitude = whole(home)
    items = [Item(WAYPOINT, latitude, longitude, home.altitude, frame=0)] if begins_at_home else []
    above = [datum.geodetic(place)._replace(altitude=place.up) for place in places]
    items.append(Item(TAKE_OFF, latitude, longitude, above[0].altitude))
    items += [Item(WAYPOINT, *whole(place), place.altitude) for place in above]
    return [*items, Item(RETURN, 0, 0, 0.0, frame=NO_FRAME)]


def places_of(items: Sequence[Item], datum: FieldDatum, *, begins_at_home: bool = True) -> list[Place]:
    """Places of a mission, without home, take-off and return."""
    places = []
    for item in items[1 if begins_at_home else 0 :]:
        if item.command == WAYPOINT:
            place = datum.local(degrees(item.latitude, item.longitude, 0.0))
            places.append(Place(place.east, place.north, item.altitude))
    return places
