"""Flight plans: what the schema of the format says, where the waypoints are, and when the spray is on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from d2oc.errors import ExportError
from d2oc.export import ExportOptions, export_record
from d2oc.export.routes import routes_of
from d2oc.geo import LocalFrame

pytest.importorskip("shapely", reason="the extra geo is not installed")

FRAME = LocalFrame("EPSG:32633", 353_000.0, 6_453_600.0)
NAV, TAKE_OFF, RETURN, SPRAYER, SERVO, SPEED = 16, 22, 20, 216, 183, 178

LAT_LON = {"type": "array", "prefixItems": [{"minimum": -90, "maximum": 90}, {"minimum": -180, "maximum": 180}]}
CORNER = {**LAT_LON, "minItems": 2, "maxItems": 2}
NUMBER = {"type": "number"}
SIMPLE_ITEM = {
    "type": "object",
    "required": ["type", "autoContinue", "command", "doJumpId", "frame", "params"],
    "properties": {
        "type": {"const": "SimpleItem"},
        "autoContinue": {"type": "boolean"},
        "command": {"type": "integer", "minimum": 0, "maximum": 65535},
        "doJumpId": {"type": "integer", "minimum": 1},
        "frame": {"type": "integer", "minimum": 0, "maximum": 21},
        "params": {"type": "array", "minItems": 7, "maxItems": 7, "items": {"type": ["number", "null"]}},
        "AMSLAltAboveTerrain": {"type": ["number", "null"]},
        "Altitude": NUMBER,
        "AltitudeMode": {"type": "integer", "minimum": 0, "maximum": 4},
    },
    "additionalProperties": False,
}
# Written from QGroundControl's Developer Guide, "Plan File Format" (docs/en/qgc-dev-guide/file_formats/plan.md).
PLAN_SCHEMA = {
    "type": "object",
    "required": ["version", "fileType", "groundStation", "mission"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": 1},
        "fileType": {"const": "Plan"},
        "groundStation": {"type": "string"},
        "mission": {
            "type": "object",
            "required": [
                "version", "firmwareType", "globalPlanAltitudeMode", "vehicleType", "cruiseSpeed", "hoverSpeed",
                "items", "plannedHomePosition",
            ],
            "properties": {
                "version": {"const": 2},
                "firmwareType": {"type": "integer"},
                "vehicleType": {"type": "integer"},
                "globalPlanAltitudeMode": {"type": "integer"},
                "cruiseSpeed": {"type": "number", "exclusiveMinimum": 0},
                "hoverSpeed": {"type": "number", "exclusiveMinimum": 0},
                "plannedHomePosition": {**LAT_LON, "minItems": 3, "maxItems": 3, "items": NUMBER},
                "items": {"type": "array", "minItems": 1, "items": SIMPLE_ITEM},
            },
        },
        "geoFence": {
            "type": "object",
            "required": ["version", "circles", "polygons"],
            "properties": {
                "version": {"const": 2},
                "circles": {"type": "array"},
                "polygons": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["version", "inclusion", "polygon"],
                        "properties": {
                            "version": {"const": 1},
                            "inclusion": {"type": "boolean"},
                            "polygon": {"type": "array", "minItems": 3, "items": CORNER},
                        },
                    },
                },
            },
        },
        "rallyPoints": {
            "type": "object",
            "required": ["version", "points"],
            "properties": {
                "version": {"const": 2},
                "points": {"type": "array", "items": {**LAT_LON, "minItems": 3, "maxItems": 3, "items": NUMBER}},
            },
        },
    },
}  # fmt: skip


def local(latitude, longitude):
    return FRAME.from_lon_lat([[longitude, latitude]])[0]


def plans(record, tmp_path, **options):
    paths = export_record(record, "qgc-plan", tmp_path / "plans", ExportOptions(**options))
    return {path.name: json.loads(path.read_text()) for path in paths}


def test_plans_follow_the_schema_of_the_format(sprayed, tmp_path):
    found = plans(sprayed(), tmp_path)
    assert list(found) == ["drone-1-sortie-1.plan", "drone-1-sortie-2.plan"]  # the second drone never took off
    for plan in found.values():
        Draft202012Validator(PLAN_SCHEMA).validate(plan)
        assert [item["doJumpId"] for item in plan["mission"]["items"]] == list(
            range(1, len(plan["mission"]["items"]) + 1)
        )


def test_waypoints_are_the_way_flown(sprayed, tmp_path):
    plan = plans(sprayed(), tmp_path)["drone-1-sortie-1.plan"]
    items = plan["mission"]["items"]
    ways = [local(*item["params"][4:6]) for item in items if item["command"] == NAV]
    expected = [(0, 10), (30, 10), (30, 20), (10, 20), (0, 10), (0, 0)]
    assert np.array(ways) == pytest.approx(np.array(expected), abs=1e-3)
    assert {item["params"][6] for item in items if item["command"] in (NAV, TAKE_OFF)} == {2.5}
    assert items[1]["command"] == TAKE_OFF
    assert items[-1]["command"] == RETURN


def spray_states(items):
    """Whether the spray is on, at every item, in the order of the mission."""
    on, states = False, []
    for item in items:
        if item["command"] == SPRAYER:
            on = bool(item["params"][0])
        states.append((item["command"], on))
    return states


@pytest.mark.parametrize("name", ["drone-1-sortie-1.plan", "drone-1-sortie-2.plan"])
def test_the_spray_is_off_on_the_way_there_and_before_the_return(sprayed, tmp_path, name):
    items = plans(sprayed(), tmp_path)[name]["mission"]["items"]
    states = spray_states(items)
    assert items[0]["command"] == SPRAYER
    assert items[0]["params"][0] == 0
    assert (TAKE_OFF, False) in states
    assert states[-1] == (RETURN, False)
    assert items[-2]["command"] == SPRAYER
    on = [
        local(*item["params"][4:6])
        for item, (_, state) in zip(items, states, strict=True)
        if state and item["command"] == NAV
    ]
    # ends of the passes only: what the machine sprayed while returning is in no plan
    expected = [(30, 10), (10, 20)] if name.endswith("1.plan") else [(10, 30)]
    assert np.array(on) == pytest.approx(np.array(expected), abs=1e-3)


def test_the_fence_holds_the_way_and_keeps_out_of_zones(sprayed, tmp_path):
    import shapely

    plan = plans(sprayed(), tmp_path, fence_margin_m=4.0)["drone-1-sortie-1.plan"]
    stay_in, keep_out = plan["geoFence"]["polygons"]
    assert (stay_in["inclusion"], keep_out["inclusion"]) == (True, False)
    ring = np.array([local(*corner) for corner in stay_in["polygon"]])
    assert shapely.Polygon(ring).symmetric_difference(shapely.box(-4, -4, 54, 44)).area < 1
    pond = np.array([local(*corner) for corner in keep_out["polygon"]])
    assert shapely.Polygon(pond).symmetric_difference(shapely.box(40, 30, 45, 35)).area < 0.01
    for corners in (ring, pond):
        x, y = corners.T
        assert np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) < 0  # clockwise
    rally = [local(*point[:2]) for point in plan["rallyPoints"]["points"]]
    assert np.array(rally) == pytest.approx(np.array([(0, 0), (-6, 0)]), abs=1e-3)


def test_waypoint_files_hold_the_same_and_are_read_by_pymavlink(sprayed, tmp_path):
    mavwp = pytest.importorskip("pymavlink.mavwp", reason="pymavlink (the extra hardware) is not installed")
    record = sprayed()
    paths = export_record(record, "ardupilot", tmp_path / "wp")
    assert [path.name for path in paths] == ["drone-1-sortie-1.waypoints", "drone-1-sortie-2.waypoints"]
    loader = mavwp.MAVWPLoader()
    plan = plans(record, tmp_path)["drone-1-sortie-1.plan"]["mission"]
    assert loader.load(str(paths[0])) == 1 + len(plan["items"])
    home = loader.wp(0)
    assert (home.x, home.y) == pytest.approx(plan["plannedHomePosition"][:2], abs=1e-8)
    for i, item in enumerate(plan["items"]):
        way = loader.wp(i + 1)
        assert (way.command, way.frame) == (item["command"], item["frame"])
        read = [way.param1, way.param2, way.param3, way.param4, way.x, way.y, way.z]
        assert read == pytest.approx(item["params"], abs=1e-8)


def test_waypoint_files_are_tabs_and_plain_numbers(sprayed, tmp_path):
    lines = export_record(sprayed(), "ardupilot", tmp_path / "wp")[0].read_text().splitlines()
    assert lines[0] == "QGC WPL 110"
    rows = [line.split("\t") for line in lines[1:]]
    assert {len(row) for row in rows} == {12}
    assert [int(row[0]) for row in rows] == list(range(len(rows)))
    assert [row[1] for row in rows] == ["1"] + ["0"] * (len(rows) - 1)
    assert rows[1][3:5] == ["216", "0"]


def test_a_servo_switches_where_the_autopilot_knows_no_sprayer(sprayed, tmp_path):
    items = plans(sprayed(), tmp_path, spray_command="servo", servo=7)["drone-1-sortie-1.plan"]["mission"]["items"]
    switches = [item["params"][:2] for item in items if item["command"] == SERVO]
    assert switches == [[7, 1100], [7, 1900], [7, 1100], [7, 1900], [7, 1100], [7, 1100]]
    assert SPRAYER not in {item["command"] for item in items}


def test_no_waypoint_leaves_the_way_by_more_than_the_tolerance(tmp_path):
    import shapely

    from d2oc.mission import simulate
    from d2oc.scenario import load_scenario

    changes = {"mission.duration_s": 30.0, "field.origin_lon_lat_deg": [12.5, 58.2]}
    record = simulate(load_scenario("six_drones", overrides=changes))
    for sortie in routes_of(record, 0.5):
        way = shapely.LineString(np.vstack([leg.points for leg in sortie.legs]))
        assert shapely.hausdorff_distance(way, shapely.LineString(sortie.flown), densify=0.01) <= 0.5 + 1e-6
    n_fine, n_coarse = (sum(len(leg.points) for s in routes_of(record, t) for leg in s.legs) for t in (0.05, 1.0))
    assert n_coarse < n_fine / 2


def test_a_folder_is_asked_for_and_a_route_needed(sprayed, tmp_path, record_by_hand):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="is a file; flight plans are several files, so give a folder"):
        export_record(sprayed(), "qgc-plan", tmp_path / "file")
    with pytest.raises(ExportError, match="nobody treated anything"):
        routes_of(record_by_hand([[[0, 0]], [[1, 1]]]), 0.5)
