"""MAVLink mission items of a sortie: what both kinds of flight plan hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from d2oc.export.options import ExportOptions
from d2oc.export.routes import Sortie
from d2oc.geo import LocalFrame

__all__ = ["FRAME_MISSION", "FRAME_RELATIVE", "MissionItem", "mission_items"]

# Numbers of MAV_CMD and MAV_FRAME, https://mavlink.io/en/messages/common.html
NAV_WAYPOINT, NAV_RETURN_TO_LAUNCH, NAV_TAKEOFF = 16, 20, 22
DO_CHANGE_SPEED, DO_SET_SERVO, DO_SPRAYER = 178, 183, 216
FRAME_MISSION, FRAME_RELATIVE = 2, 3

SLOWER_OR_FASTER_M_S = 0.3
"""A change of speed that is smaller is not commanded."""


@dataclass(frozen=True)
class MissionItem:
    """A MISSION_ITEM: command, frame, seven parameters; of a place the fifth is latitude, the sixth longitude."""

    command: int
    frame: int
    params: tuple[float, float, float, float, float, float, float]


def mission_items(sortie: Sortie, frame: LocalFrame, options: ExportOptions) -> list[MissionItem]:
    """Items of a sortie: take-off, legs, spray switched at their ends, return to launch.

    The spray is commanded off before the take-off, at the end of every leg that sprays, and once more before the
    return: an autopilot keeps on doing what it was last told, also on its way home.
    """
    return list(_items(sortie, frame, options))


def _items(sortie: Sortie, frame: LocalFrame, options: ExportOptions) -> Iterator[MissionItem]:
    height = round(sortie.height_m, 2)
    yield _spray(False, options)
    yield _place(NAV_TAKEOFF, sortie.home.tolist(), frame, height)
    speed, underway = 0.0, False
    for leg in sortie.legs:
        ways = [tuple(point) for point in frame.to_lon_lat(leg.points)]
        if leg.spray and not underway:  # later legs begin where the one before ended
            yield _waypoint(ways[0], height)
        underway = True
        if abs(leg.speed_m_s - speed) > SLOWER_OR_FASTER_M_S:
            speed = leg.speed_m_s
            yield MissionItem(DO_CHANGE_SPEED, FRAME_MISSION, (1, round(speed, 2), -1, 0, 0, 0, 0))
        if leg.spray:
            yield _spray(True, options)
        for way in ways[1:]:
            yield _waypoint(way, height)
        if leg.spray:
            yield _spray(False, options)
    yield _spray(False, options)
    yield MissionItem(NAV_RETURN_TO_LAUNCH, FRAME_MISSION, (0, 0, 0, 0, 0, 0, 0))


def _waypoint(place: tuple[float, ...], height: float) -> MissionItem:
    longitude, latitude = place
    return MissionItem(NAV_WAYPOINT, FRAME_RELATIVE, (0, 0, 0, 0, latitude, longitude, height))


def _place(command: int, local: list[float], frame: LocalFrame, height: float) -> MissionItem:
    ((longitude, latitude),) = frame.to_lon_lat([local])
    return MissionItem(command, FRAME_RELATIVE, (0, 0, 0, 0, float(latitude), float(longitude), height))


def _spray(on: bool, options: ExportOptions) -> MissionItem:
    if options.spray_command == "servo":
        width = options.servo_on_us if on else options.servo_off_us
        return MissionItem(DO_SET_SERVO, FRAME_MISSION, (options.servo, width, 0, 0, 0, 0, 0))
    return MissionItem(DO_SPRAYER, FRAME_MISSION, (int(on), 0, 0, 0, 0, 0, 0))
