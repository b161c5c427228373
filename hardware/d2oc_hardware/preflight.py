"""Pre-flight: what is read from a vehicle and compared before it may arm. It reads, and never writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from d2oc import __version__
from d2oc_hardware.failsafe import battery_for
from d2oc_hardware.fleet import Fleet
from d2oc_hardware.flight_controller import FencePolygon, FlightController, FlightError, Health
from d2oc_hardware.frames import Place
from d2oc_hardware.keep_out import Area

LEAST_SATELLITES = 10
LEAST_BATTERY = 0.5
HOME_TOLERANCE_M = 3.0
CORNER_TOLERANCE_M = 0.05
OLDEST = {"ArduPilot": (4, 7, 0), "PX4": (1, 17, 0), "Betaflight": (4, 6, 0)}
"""Versions of firmware from which on parameters have the names that are asked for."""


class Check(NamedTuple):
    """A line of the checklist."""

    name: str
    passed: bool
    sentence: str


CLOCK_TOLERANCE_S = 0.1
"""How far the clock of a drone's computer may be off the ground station's."""


def computer_clock(late: Sequence[float]) -> Check:
    """Whether a drone's computer knows what time it is at the ground station.

    Parameters
    ----------
    late : sequence of float
        By how much later, by the ground station's clock, it was heard what a drone's process said by its own, several
        times; the least holds the least of the way. [s]

    Returns
    -------
    check : Check
    """
    off = min(late)
    told = f"{abs(off):.2f} s {'behind' if off > 0 else 'ahead of'} the ground station's"
    return Check(
        "computer's clock", abs(off) <= CLOCK_TOLERANCE_S, f"{told}, at most {CLOCK_TOLERANCE_S} s wanted (NTP)"
    )


class Wanted(NamedTuple):
    """What a parameter must be, and why."""

    name: str
    low: float
    high: float
    why: str
    may_lack: bool = False
    """A vehicle without it passes: the outputs of a PX4 that is simulated have no widths."""


def reach_of(fleet: Fleet, number: int, fence: Sequence[FencePolygon]) -> float:
    """How far from its home a drone may be: to the farthest corner of the geofence. [m]"""
    x, y = fleet.drones[number].home_m
    return max(math.hypot(east - x, north - y) for east, north in fence[0].corners)


def wanted_parameters(
    fleet: Fleet, number: int, reach: float, *, by_rate: bool = False, firmware: str = "ArduPilot"
) -> list[Wanted]:
    """Parameters of one drone that comes as far as `reach` [m]; `by_rate`: its pump is told a rate, not on and off."""
    if firmware == "Betaflight":
        return BETAFLIGHT
    return _of_px4(fleet, number) if firmware == "PX4" else _of_ardupilot(fleet, number, reach, by_rate)


BETAFLIGHT = [
    Wanted("failsafe_procedure", 0, 0, "it lands when this program is gone; anything else falls, or wants a compass"),
    Wanted("failsafe_delay", 3, 15, "in tenths of a second: so long it flies on level without sticks"),
    Wanted("angle_limit", 25, 60, "this program tilts it by 25 degrees"),
    Wanted("channel_forwarding_start", 5, 5, "the first servo output is the pump's"),
    Wanted("serial_update_rate_hz", 100, 2000, "or sticks come too late"),
]
"""Settings; `failsafe_procedure` by its place in the list AUTO-LAND, DROP, GPS-RESCUE."""
UNFENCED_RUNGS = ("simulation", "bench", "tethered")
"""As far as this a vehicle is flown that keeps no fence."""


def _of_px4(fleet: Fleet, number: int) -> list[Wanted]:
    height, pump = fleet.drones[number].height_m, fleet.pump_output
    widths = [
        Wanted(f"PWM_MAIN_{end}{pump}", width, width, "the pump stands still in the middle, at 1500 us", True)
        for end, width in (("MIN", 1000), ("MAX", 2000))
    ]
    return [
        Wanted("COM_OF_LOSS_T", 0.1, 1, "or it flies on for long after the last setpoint"),
        Wanted("COM_OBL_RC_ACT", 3, 5, "or it changes to a mode that wants a pilot"),
        Wanted("NAV_DLL_ACT", 2, 3, "or nobody notices that this program is gone"),
        Wanted("COM_DL_LOSS_T", 1, 10, "or it takes too long to notice"),
        Wanted("COM_FAIL_ACT_T", 0, 1, "or it hovers before it acts"),
        Wanted("COM_RC_IN_MODE", 6, 6, "the pump is run by MANUAL_CONTROL, so that it stops by itself"),
        Wanted("COM_RC_LOSS_T", 0.1, 1, "so long the pump runs on when this program dies"),
        Wanted("COM_RCL_EXCEPT", 7, 31, "or it returns when no sticks are sent"),
        Wanted(f"PWM_MAIN_FUNC{pump}", 407, 407, "the pump repeats RC AUX 1"),
        *widths,
        Wanted("GF_ACTION", 2, 3, "or a breach of the fence is only reported, or ends in a fall"),
        Wanted("RTL_RETURN_ALT", height - 0.5, height + 0.5, "every drone returns in its own layer"),
        Wanted("COM_LOW_BAT_ACT", 2, 3, "or it flies until it falls"),
    ]


def _of_ardupilot(fleet: Fleet, number: int, reach: float, by_rate: bool) -> list[Wanted]:
    switch = Wanted(
        "RC9_OPTION", 15, 15, "the sprayer is run by an override of this channel, so that it stops by itself"
    )
    repeats = Wanted(
        f"SERVO{fleet.pump_output}_FUNCTION",
        59,
        59,
        "the pump repeats channel 9, so that its rate is told and it stops by itself",
    )
    height = 100.0 * fleet.drones[number].height_m
    return [
        Wanted("FS_GCS_ENABLE", 1, 5, "or nobody notices that this program is gone"),
        Wanted("FS_GCS_TIMEOUT", 1, 5, "or it takes too long to notice"),
        Wanted("MAV_GCS_SYSID", fleet.source_system, fleet.source_system, "or our heartbeat does not count"),
        Wanted("GUID_TIMEOUT", 0.1, 1, "or it flies on for long after the last setpoint"),
        Wanted("FENCE_ENABLE", 1, 1, "the fence of the autopilot is the last one"),
        Wanted("FENCE_ACTION", 1, 5, "or a breach is only reported"),
        Wanted("FENCE_RADIUS", reach, math.inf, "or its circle ends inside the fence of this mission"),
        Wanted("WP_YAW_BEHAVIOR", 0, 0, "or a heavy machine that turns its nose into every leg may circle"),
        Wanted("RTL_ALT", height - 50, height + 50, "every drone returns in its own layer"),
        Wanted("BATT_FS_LOW_ACT", 1, 3, "or it flies until it falls"),
        repeats if by_rate else switch,
        Wanted("RC_OVERRIDE_TIME", 0.1, 1, "so long the pump runs on when this program dies"),
    ]


async def check_drone(
    controller: FlightController,
    fleet: Fleet,
    number: int,
    fence: Sequence[FencePolygon],
    *,
    by_rate: bool = False,
    duration: float = 0.0,
) -> list[Check]:
    """All checks of one vehicle that is connected.

    Parameters
    ----------
    controller : FlightController
        Connected.
    fleet : Fleet
        What it should be.
    number : int
        Which drone of the fleet.
    fence : sequence of FencePolygon
        What it should hold.
    by_rate : bool
        The mission tells the pump its rate, not on and off.
    duration : float
        Time that it must fly with one battery, 0 where the mission changes batteries as it needs. [s]
    """
    t = controller.telemetry
    health, battery = t.health, t.battery
    home = Place(*fleet.drones[number].home_m, 0.0)
    away = math.inf if t.position is None else math.hypot(t.position.east - home.east, t.position.north - home.north)
    area = Area(fence[0].corners, [p.corners for p in fence[1:]])
    room = area.distance(home.east, home.north) if area.contains(home.east, home.north) else -1.0
    checks = [
        Check("program", True, f"d2oc {__version__}"),
        _firmware_check(controller),
        Check("position", health.position_known, "the autopilot trusts its position"),
        Check("satellites", health.satellites >= LEAST_SATELLITES, f"{health.satellites} used, at least 10 needed"),
        _compass_check(controller, fleet),
        _clock_check(controller),
        _arming_check(health),
        Check("on the ground", t.landed and not t.armed, "landed and disarmed"),
        Check("home", away <= HOME_TOLERANCE_M, f"{away:.1f} m from home_m of the fleet file, at most 3"),
        Check(
            "room", room >= fleet.limits.margin_m, f"home is {room:.1f} m inside fence and zones, margin_m is needed"
        ),
        Check(
            "battery", battery is not None and battery >= LEAST_BATTERY, f"{_percent(battery)}, at least 50 % needed"
        ),
    ]
    reach = reach_of(fleet, number, fence)
    if battery is not None and duration:
        checks.append(_reserve_check(fleet, number, battery, duration, reach))
    wanted = wanted_parameters(fleet, number, reach, by_rate=by_rate, firmware=controller.firmware)
    checks += await _parameter_checks(controller, wanted)
    checks.append(await _fence_check(controller, fleet, fence))
    return checks


def _clock_check(controller: FlightController) -> Check:
    if controller.firmware == "Betaflight":
        return Check("clock", True, "it says nothing that it was not asked for just before")
    return Check("clock", controller.telemetry.clock_offset is not None, "it answers when it is asked for its time")


def _compass_check(controller: FlightController, fleet: Fleet) -> Check:
    if controller.firmware == "Betaflight" and fleet.rung == "simulation":
        return Check("compass", True, "Betaflight's simulator has none: it is told its heading")
    return Check("compass", controller.telemetry.health.compass, "the autopilot trusts its compass")


def _firmware_check(controller: FlightController) -> Check:
    version, oldest = controller.telemetry.version, OLDEST[controller.firmware]
    told = "of unknown version" if version is None else ".".join(map(str, version))
    passed = version is not None and version >= oldest
    return Check("firmware", passed, f"{controller.firmware} {told}, {oldest[0]}.{oldest[1]} or later needed")


def _reserve_check(fleet: Fleet, number: int, battery: float, duration: float, reach: float) -> Check:
    """Whether the battery lasts for the mission, the way home from the far end and what is to be spared."""
    watch = fleet.watch()
    home = reach / watch.home_speed + fleet.drones[number].height_m / fleet.limits.max_climb_m_s
    has = watch.endurance * max(0.0, battery - battery_for(0.0, watch))
    sentence = f"it can fly for {has:.0f} s beside what is spared, mission and way home take {duration + home:.0f} s"
    return Check("reserve", battery >= battery_for(duration + home, watch), sentence)


def _arming_check(health: Health) -> Check:
    if health.armable is None:
        return Check("arming", True, "known when it is engaged: it would not arm in the mode that it is in")
    why = f": {health.problems[-1]}" if health.problems else ""
    return Check("arming", health.armable, f"it says that it would arm{why}")


async def _parameter_checks(controller: FlightController, wanted: Sequence[Wanted]) -> list[Check]:
    values = await controller.parameters([w.name for w in wanted])
    checks = []
    for w in wanted:
        value = values[w.name]
        told = "unknown to the vehicle" if value is None else f"{value:g}"
        span = f"{w.low:g}" if w.low == w.high else f"{w.low:g} to {w.high:g}"
        passed = w.may_lack if value is None else w.low <= value <= w.high
        checks.append(Check(w.name, passed, f"{told}, {span} needed: {w.why}"))
    return checks


async def _fence_check(controller: FlightController, fleet: Fleet, fence: Sequence[FencePolygon]) -> Check:
    if not controller.keeps_fence:
        sentence = f"{controller.firmware} keeps none, the guard is the only one: at most on a tether"
        return Check("fence", fleet.rung in UNFENCED_RUNGS, sentence)
    try:
        held = await controller.read_fence()
    except FlightError as error:
        return Check("fence", False, str(error))
    same = [(len(p.corners), p.inside_allowed) for p in held] == [(len(p.corners), p.inside_allowed) for p in fence]
    if same:
        pairs = zip((c for p in fence for c in p.corners), (c for p in held for c in p.corners), strict=True)
        same = all(math.dist(a, b) < CORNER_TOLERANCE_M for a, b in pairs)
    return Check("fence", same, "the autopilot holds the fence of this mission" + ("" if same else ": upload it"))


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.0f} %"
