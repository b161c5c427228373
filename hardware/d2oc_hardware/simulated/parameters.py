"""Parameters of the simulated autopilot, under the names of ArduCopter and with its defaults where it has one."""

from __future__ import annotations

DEFAULTS: dict[str, float] = {
    "SYSID_THISMAV": 1,
    "MAV_GCS_SYSID": 255,  # whose heartbeat counts for FS_GCS_ENABLE, and who may override RC
    "FS_GCS_ENABLE": 0,  # as delivered: nobody notices that the ground station is gone
    "FS_GCS_TIMEOUT": 5,  # [s]
    "FS_EKF_ACTION": 1,  # 1: land
    "GUID_TIMEOUT": 3,  # [s] without a velocity setpoint until it brakes
    "GUID_OPTIONS": 0,
    "RTL_ALT": 1500,  # [cm] at least so high on the way home
    "RTL_LOIT_TIME": 5000,  # [ms] over home before it lands
    "WP_YAW_BEHAVIOR": 2,  # turns its nose into every leg; this one has none
    "WPNAV_SPEED": 500,  # [cm/s]
    "WPNAV_SPEED_UP": 250,
    "WPNAV_SPEED_DN": 150,
    "LAND_SPEED": 50,  # below 10 m
    "ANGLE_MAX": 3000,  # [cdeg]
    "FENCE_ENABLE": 0,
    "FENCE_ACTION": 1,  # 1: return
    "FENCE_TYPE": 7,  # 1 altitude, 2 circle, 4 polygon
    "FENCE_ALT_MAX": 100,  # [m]
    "FENCE_RADIUS": 300,
    "FENCE_MARGIN": 2,
    "BATT_CAPACITY": 3300,  # [mAh]
    "BATT_LOW_MAH": 0,  # charge left at which BATT_FS_LOW_ACT acts
    "BATT_CRT_MAH": 0,
    "BATT_LOW_TIMER": 10,  # [s]
    "BATT_FS_LOW_ACT": 0,  # 0 nothing, 1 land, 2 return
    "BATT_FS_CRT_ACT": 0,
    "ARMING_CHECK": 1,
    "DISARM_DELAY": 10,
    "SPRAY_ENABLE": 0,
    "SPRAY_PUMP_RATE": 10,  # [% per m/s]
    "SPRAY_PUMP_MIN": 0,
    "SPRAY_SPEED_MIN": 100,  # [cm/s]
    "RC9_OPTION": 0,  # 15: sprayer
    "SERVO5_FUNCTION": 22,  # output 5: 22 the sprayer's pump, 59 repeats RC channel 9
    "RC_OVERRIDE_TIME": 3,  # [s]
    "SIM_EKF_DELAY": 8,  # [s] until the position estimate is ready; the real one took 41
    "SIM_GPS_DISABLE": 0,
    "SIM_BATT_PCT": -1,  # sets the charge
    "SIM_TELEM_FREEZE": 0,  # repeats the last position for ever
    "SIM_LINK_CUT": 0,  # neither hears nor speaks
    "SIM_TANK_L": 10,
    "SIM_PUMP_L_MIN": 1.0,  # flow at full rate
    "SIM_SERVICE": 0,  # [s] on the ground until tank and battery are full again, 0: never
    "SIM_ENDURANCE": 900,  # [s] of a full battery
    "SIM_WIND_SPD": 0,  # [m/s]
}

FOR_SWARMS: dict[str, float] = {
    "FS_GCS_ENABLE": 1,
    "FS_GCS_TIMEOUT": 3,
    "GUID_TIMEOUT": 1,
    "RC9_OPTION": 15,
    "RC_OVERRIDE_TIME": 1,
    "SPRAY_ENABLE": 1,
    "SPRAY_PUMP_RATE": 20,
    "SPRAY_SPEED_MIN": 0,
    "WP_YAW_BEHAVIOR": 0,
    "RTL_LOIT_TIME": 1000,
    "BATT_FS_LOW_ACT": 2,
    "BATT_FS_CRT_ACT": 1,
    "BATT_LOW_MAH": 400,
    "BATT_CRT_MAH": 200,
    "FENCE_ENABLE": 1,
}
"""What a swarm is flown with, see docs/flying.md; pre-flight compares the first half dozen."""
