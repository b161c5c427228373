"""Flight plans: QGroundControl `.plan` with fence and rally points, and ArduPilot `.waypoints`, one a sortie."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from d2oc.arrays import Floats
from d2oc.errors import ExportError
from d2oc.export.maps import frame_of
from d2oc.export.mission_items import FRAME_MISSION, MissionItem, mission_items
from d2oc.export.options import ExportOptions
from d2oc.export.routes import Sortie, routes_of, scenario_of
from d2oc.geo import LocalFrame
from d2oc.geo.write import widened
from d2oc.record import Record

__all__ = ["plan_of", "waypoints_of", "write_plans", "write_waypoints"]

ARDUPILOT, QUADROTOR = 3, 2
"""MAV_AUTOPILOT and MAV_TYPE of the plans."""
RELATIVE = 1
"""QGroundControl's number for altitudes above the launch."""


def write_plans(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """A `.plan` for each sortie, in a folder."""
    return _write_each(record, out, options, ".plan", lambda sortie: plan_of(record, sortie, options))


def write_waypoints(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """A `.waypoints` for each sortie, in a folder; the format holds no fence."""
    return _write_each(record, out, options, ".waypoints", lambda sortie: waypoints_of(record, sortie, options))


def _write_each(record: Record, out: Path, options: ExportOptions, ending: str, text_of: Any) -> list[Path]:
    frame_of(record)
    sorties = routes_of(record, options.tolerance_m)
    _make_folder(out)
    several = {sortie.agent for sortie in sorties if sortie.number > 1}
    paths = []
    for sortie in sorties:
        number = f"-sortie-{sortie.number}" if sortie.agent in several else ""
        paths.append(out / f"drone-{sortie.agent + 1}{number}{ending}")
        paths[-1].write_text(text_of(sortie), encoding="utf-8")
    return paths


def _make_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file; flight plans are several files, so give a folder")
    out.mkdir(parents=True, exist_ok=True)


def plan_of(record: Record, sortie: Sortie, options: ExportOptions) -> str:
    """Text of a QGroundControl plan [1]_.

    References
    ----------
    .. [1] QGroundControl Developer Guide, "Plan File Format".
    """
    frame = frame_of(record)
    items = mission_items(sortie, frame, options)
    ((home_longitude, home_latitude),) = frame.to_lon_lat([sortie.home])
    speed = max((leg.speed_m_s for leg in sortie.legs), default=5.0)
    plan = {
        "fileType": "Plan",
        "groundStation": "QGroundControl",
        "version": 1,
        "mission": {
            "version": 2, "firmwareType": ARDUPILOT, "vehicleType": QUADROTOR, "globalPlanAltitudeMode": RELATIVE,
            "cruiseSpeed": round(speed, 2), "hoverSpeed": round(speed, 2),
            "plannedHomePosition": [home_latitude, home_longitude, 0.0],
            "items": [_plan_item(i + 1, item) for i, item in enumerate(items)],
        },
        "geoFence": {"version": 2, "circles": [], "polygons": _fences(record, sortie, frame, options)},
        "rallyPoints": {"version": 2, "points": _rally_points(record, sortie, frame)},
    }  # fmt: skip
    return json.dumps(plan, indent=1, allow_nan=False) + "\n"


def _plan_item(number: int, item: MissionItem) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "type": "SimpleItem", "autoContinue": True, "command": item.command, "doJumpId": number, "frame": item.frame,
        "params": list(item.params),
    }  # fmt: skip
    if item.frame != FRAME_MISSION:
        plain |= {"AMSLAltAboveTerrain": None, "Altitude": item.params[6], "AltitudeMode": RELATIVE}
    return plain


def _fences(record: Record, sortie: Sortie, frame: LocalFrame, options: ExportOptions) -> list[dict[str, Any]]:
    """The field, wider by a margin and round the way, to stay in; no-fly zones to stay out of."""
    outer = widened(np.array(record.header.boundary_m), options.fence_margin_m, sortie.flown)
    zones = [np.array(zone) for zone in record.header.no_fly_zones_m]
    return [
        {"version": 1, "inclusion": inclusion, "polygon": _clockwise(ring, frame)}
        for inclusion, ring in [(True, outer), *((False, zone) for zone in zones)]
    ]


def _clockwise(ring: Floats, frame: LocalFrame) -> list[list[float]]:
    """Corners as latitude and longitude, clockwise seen from above."""
    x, y = ring.T
    doubled = float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    return [
        [float(latitude), float(longitude)]
        for longitude, latitude in frame.to_lon_lat(ring[::-1] if doubled > 0 else ring)
    ]


def _rally_points(record: Record, sortie: Sortie, frame: LocalFrame) -> list[list[float]]:
    """Where it took off, and the stations of the scenario."""
    stations: Sequence[dict[str, Any]] = scenario_of(record).get("stations", [])
    places = [sortie.home, *(np.array(station["place_m"], dtype=np.float64) for station in stations)]
    distinct = list({tuple(np.round(place, 2).tolist()): place for place in places}.values())
    return [
        [float(latitude), float(longitude), round(sortie.height_m, 2)]
        for longitude, latitude in frame.to_lon_lat(np.array(distinct))
    ]


def waypoints_of(record: Record, sortie: Sortie, options: ExportOptions) -> str:
    """Text of a plain mission file, `QGC WPL 110` [1]_: the first line is home.

    References
    ----------
    .. [1] MAVLink Developer Guide, "File Formats", "Mission Plain-Text File Format".
    """
    frame = frame_of(record)
    ((longitude, latitude),) = frame.to_lon_lat([sortie.home])
    home = MissionItem(16, 0, (0, 0, 0, 0, float(latitude), float(longitude), 0))
    lines = ["QGC WPL 110"]
    for i, item in enumerate([home, *mission_items(sortie, frame, options)]):
        params = "\t".join(f"{value:.9f}".rstrip("0").rstrip(".") for value in item.params)
        lines.append(f"{i}\t{int(i == 0)}\t{item.frame}\t{item.command}\t{params}\t1")
    return "\n".join(lines) + "\n"
