"""An independent client: MAVSDK arms a vehicle, takes off, flies a mission, returns and lands. Prints what it saw."""

from __future__ import annotations

import json
import sys
import time

from mavsdk import ComponentType, Configuration, Mavsdk
from mavsdk.plugins.action import Action
from mavsdk.plugins.mission import Mission, MissionItem, MissionPlan
from mavsdk.plugins.telemetry import Telemetry

LATITUDE, LONGITUDE = 47.397742, 8.545594


def until(holds, timeout):
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"timeout: {holds}")
        time.sleep(0.1)


def item(north, east):
    return MissionItem(
        latitude_deg=LATITUDE + north / 111_200,
        longitude_deg=LONGITUDE + east / 75_400,
        relative_altitude_m=6.0,
        speed_m_s=4.0,
        is_fly_through=True,
        gimbal_pitch_deg=float("nan"),
        gimbal_yaw_deg=float("nan"),
        camera_action=MissionItem.CameraAction.NONE,
        loiter_time_s=float("nan"),
        camera_photo_interval_s=1.0,
        acceptance_radius_m=1.0,
        yaw_deg=float("nan"),
        camera_photo_distance_m=float("nan"),
        vehicle_action=MissionItem.VehicleAction.NONE,
    )


def main(port):
    client = Mavsdk(Configuration.create_with_component_type(ComponentType.GROUND_STATION))
    client.add_any_connection(f"udpin://127.0.0.1:{port}")
    system = client.first_autopilot(timeout_s=20.0)
    assert system is not None, "no vehicle found"
    action, telemetry, mission = Action(system), Telemetry(system), Mission(system)
    for rate in (telemetry.set_rate_position, telemetry.set_rate_in_air, telemetry.set_rate_landed_state):
        rate(5.0)
    until(lambda: telemetry.health().is_global_position_ok, 30)
    seen = {}
    action.set_takeoff_altitude(5.0)
    action.arm()
    until(telemetry.armed, 10)
    action.takeoff()
    until(lambda: telemetry.position().relative_altitude_m > 4.0, 30)
    seen["took_off"] = True
    mission.upload_mission(MissionPlan([item(15, 0), item(15, 15), item(0, 15)]))
    mission.start_mission()
    farthest = 0.0

    def finished():
        nonlocal farthest
        farthest = max(farthest, (telemetry.position().latitude_deg - LATITUDE) * 111_200)
        return mission.is_mission_finished()

    until(finished, 40)
    seen["farthest_north_m"] = round(farthest, 1)
    action.return_to_launch()
    until(lambda: not telemetry.armed(), 90)
    seen["landed"] = not telemetry.in_air()
    print(json.dumps(seen), flush=True)
    client.destroy()


if __name__ == "__main__":
    main(int(sys.argv[1]))
