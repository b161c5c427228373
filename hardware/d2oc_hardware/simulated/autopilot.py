"""A simulated autopilot with the habits of ArduCopter as they were observed (docs/flying.md), without any protocol.

Modes, arming rules, setpoints that time out, failsafes that do not switch the sprayer off, a fence that is noticed when
it is crossed. It is a stand-in to test against, no copy of the firmware.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from d2oc_hardware.frames import STANDSTILL, Place, Velocity
from d2oc_hardware.keep_out import Area
from d2oc_hardware.simulated.parameters import DEFAULTS
from d2oc_hardware.simulated.plant import SWITCHED_ON, Plant

STEP = 0.02
"""Of the simulation. [s]"""
REPEAT_RC9 = 59
"""SERVOn_FUNCTION of ArduPilot with which an output repeats the ninth RC channel."""


class CopterMode(IntEnum):
    """Numbers of ArduCopter."""

    STABILIZE = 0
    AUTO = 3
    GUIDED = 4
    LOITER = 5
    RTL = 6
    LAND = 9
    BRAKE = 17


@dataclass
class Autopilot:
    """Flies a plant.

    Attributes
    ----------
    plant : Plant
        What it flies; its places count from where it was switched on.
    parameter : dict
        By name; see `d2oc_hardware.simulated.parameters`.
    say : callable
        Takes texts for the ground station.
    """

    plant: Plant
    parameter: dict[str, float] = field(default_factory=lambda: dict(DEFAULTS))
    say: Callable[[str], None] = lambda text: None
    now: float = 0.0
    mode: CopterMode = CopterMode.STABILIZE
    armed: bool = False
    landed: bool = True
    home: Place = SWITCHED_ON
    battery: float = 1.0
    tank: float = 10.0
    sprayer_on: bool = False
    pump_share: float | None = None
    """Rate that the override asks for, 0 to 1; None: the sprayer decides, by the speed."""
    pump: float = 0.0
    """Output, 0 to 1."""
    mission: list[tuple[str, Place]] = field(default_factory=list)
    """What to do and where: takeoff, waypoint, land, return."""
    mission_at: int = 0
    inclusion: list[list[tuple[float, float]]] = field(default_factory=list)
    exclusion: list[list[tuple[float, float]]] = field(default_factory=list)
    breaches: int = 0
    sprayed_unasked: float = 0.0
    """Time for which the pump ran in another mode than GUIDED and AUTO. [s]"""
    heard_gcs: float = -math.inf
    """When the heartbeat that counts was last heard."""
    armed_at: float = math.inf
    _setpoint: Velocity = STANDSTILL
    _setpoint_time: float = -math.inf
    _target: Place | None = None
    _climb_to: float | None = None
    _low_since: float = math.inf
    _no_gps_since: float = math.inf
    _over_home_since: float = math.inf
    _touched_at: float = math.inf
    _breached: bool = False
    _override_until: float = -math.inf
    _standing_since: float = math.inf
    _failed_safe: set[str] = field(default_factory=set)

    # What is asked of it; each returns a complaint, or None where it is done

    def arm(self) -> str | None:
        """Start the motors if the rules allow it."""
        if self.armed:
            return None
        if self.parameter["ARMING_CHECK"] and (complaint := self.not_armable()):
            return complaint
        self.armed, self.armed_at = True, self.now
        self.home = self.plant.place
        self._failed_safe.clear()
        return None

    def not_armable(self) -> str | None:
        """Why it would not arm."""
        if not self.position_known:
            return "PreArm: Need Position Estimate"
        if self.battery < 0.15:
            return "PreArm: Battery below minimum arming capacity"
        if self.mode in (CopterMode.RTL, CopterMode.LAND, CopterMode.BRAKE):
            return "Arm: mode not armable"
        return None

    def disarm(self, *, force: bool = False) -> str | None:
        """Stop the motors; refused in flight."""
        if not self.landed and not force:
            return "Disarm: in flight"
        self.armed, self.armed_at = False, math.inf
        return None

    def set_mode(self, number: int) -> str | None:
        """Change the mode."""
        try:
            mode = CopterMode(number)
        except ValueError:
            return f"mode {number} is unknown"
        if mode not in (CopterMode.STABILIZE, CopterMode.LAND) and not self.position_known:
            return "Mode change failed: requires position"
        if mode == CopterMode.AUTO and not self.mission:
            return "Mode change failed: no mission"
        if mode == self.mode:
            return None
        self.mode = mode
        self._target = self._climb_to = None
        self._setpoint = STANDSTILL
        self._over_home_since = math.inf
        if mode == CopterMode.AUTO:
            self.mission_at = 0
        return None

    def take_off(self, height: float) -> str | None:
        """Climb to a height above home. [m]"""
        if self.mode != CopterMode.GUIDED or not self.armed:
            return "Takeoff: needs GUIDED and armed"
        self._climb_to = height
        return None

    def go_to(self, place: Place) -> str | None:
        """Fly to a place; such a target never times out."""
        if self.mode != CopterMode.GUIDED or self.landed:
            return "Goto: needs GUIDED in flight"
        self._target, self._climb_to = place, None
        return None

    def fly(self, velocity: Velocity) -> None:
        """Velocity setpoint; heeded in GUIDED and in flight only."""
        if self.mode == CopterMode.GUIDED and not self.landed and all(map(math.isfinite, velocity)):
            self._setpoint, self._setpoint_time, self._target, self._climb_to = velocity, self.now, None, None

    def override_sprayer(self, pulse: float) -> None:
        """RC override of the sprayer's channel, a pulse width in us: good for as long as it is renewed.

        With RC9_OPTION = 15 it is a switch; with SERVO5_FUNCTION = 59 the pump's output repeats the channel.
        """
        is_switch, repeats = self.parameter["RC9_OPTION"] == 15, self.parameter["SERVO5_FUNCTION"] == REPEAT_RC9
        high = pulse > 1800 or (repeats and pulse > 1000)
        if is_switch or repeats:
            self.sprayer_on = high
            self.pump_share = min(1.0, (pulse - 1000.0) / 1000.0) if repeats and high else None
            self._override_until = self.now + self.parameter["RC_OVERRIDE_TIME"] if high else -math.inf

    @property
    def position_known(self) -> bool:
        """Whether its estimate of the position can be used."""
        ready = self.now >= self.parameter["SIM_EKF_DELAY"]
        return ready and self.now - self._no_gps_since < 1.0

    # Flying

    def advance(self, until: float) -> None:
        """Fly up to a moment."""
        while self.now < until - 1e-9:
            self.now += STEP
            self._failsafes()
            command = self._command() if self.armed else STANDSTILL
            if self.armed:
                self._move(command)
            self._be_served()
            self._spray()

    def _be_served(self) -> None:
        """On the ground, for so long that somebody has filled the tank and changed the battery."""
        if self.armed:
            self._standing_since = math.inf
            return
        self._standing_since = min(self._standing_since, self.now)
        if self.parameter["SIM_SERVICE"] and self.now - self._standing_since > self.parameter["SIM_SERVICE"]:
            self.tank, self.battery = self.parameter["SIM_TANK_L"], 1.0

    def _move(self, command: Velocity) -> None:
        if self.landed and command.up <= 0.0:
            self.plant.rest()
            if self.now - self.armed_at > self.parameter["DISARM_DELAY"]:
                self.disarm()
            return
        self.landed = False
        self.plant.carry(self.tank)
        self.plant.step(STEP, command)
        self.battery = max(0.0, self.battery - STEP / self.parameter["SIM_ENDURANCE"])
        if self.plant.place.up <= 0.05 and command.up < 0.0:
            self.plant.rest()
            self.landed = True
            self.disarm()

    def _command(self) -> Velocity:
        """Velocity wanted by the mode."""
        if self.mode == CopterMode.GUIDED:
            return self._guided()
        if self.mode == CopterMode.AUTO:
            return self._auto()
        if self.mode == CopterMode.RTL:
            return self._return()
        if self.mode == CopterMode.LAND:
            return Velocity(0.0, 0.0, -self._sinking())
        return STANDSTILL

    def _guided(self) -> Velocity:
        if self._climb_to is not None:
            rise = self._climb_to - (self.plant.place.up - self.home.up)
            if abs(rise) > 0.05 or self.landed:
                return Velocity(0.0, 0.0, self._climb(rise))
            self._climb_to = None
        if self._target is not None:
            return self._toward(self._target)
        if self.now - self._setpoint_time > self.parameter["GUID_TIMEOUT"]:
            return STANDSTILL
        return self._setpoint

    def _auto(self) -> Velocity:
        if self.mission_at >= len(self.mission):
            return STANDSTILL
        what, place = self.mission[self.mission_at]
        if what == "return":
            self.set_mode(CopterMode.RTL)
            return STANDSTILL
        if what == "land":
            self.set_mode(CopterMode.LAND)
            return STANDSTILL
        if what == "takeoff" or self.landed:
            place = self.plant.place._replace(up=place.up)
        if math.dist(place, self.plant.place) < 0.5 and not self.landed:
            self.mission_at += 1
        return self._toward(place)

    def _return(self) -> Velocity:
        here, home = self.plant.place, self.home
        away = math.hypot(here.east - home.east, here.north - home.north)
        height = max(self.parameter["RTL_ALT"] / 100.0, here.up - home.up)
        if self._over_home_since == math.inf and (away > 0.3 or self.plant.velocity.horizontal > 0.3):
            if height - (here.up - home.up) > 0.3:
                return Velocity(0.0, 0.0, self._climb(height - (here.up - home.up)))
            return self._toward(Place(home.east, home.north, here.up))
        self._over_home_since = min(self._over_home_since, self.now)
        if self.now - self._over_home_since < self.parameter["RTL_LOIT_TIME"] / 1000.0:
            return STANDSTILL
        return Velocity(0.0, 0.0, -self._sinking())

    def _sinking(self) -> float:
        high = self.plant.place.up - self.home.up > 10.0
        return self.parameter["WPNAV_SPEED_DN" if high else "LAND_SPEED"] / 100.0

    def _climb(self, rise: float) -> float:
        fastest = self.parameter["WPNAV_SPEED_UP" if rise > 0 else "WPNAV_SPEED_DN"] / 100.0
        return max(-fastest, min(fastest, rise))

    def _toward(self, place: Place) -> Velocity:
        here = self.plant.place
        x, y = place.east - here.east, place.north - here.north
        away = math.hypot(x, y)
        speed = min(self.parameter["WPNAV_SPEED"] / 100.0, math.sqrt(2.0 * away), away)
        share = speed / away if away > 1e-6 else 0.0
        return Velocity(share * x, share * y, self._climb(place.up - here.up))

    # Failsafes

    def _failsafes(self) -> None:
        if not self.parameter["SIM_GPS_DISABLE"]:
            self._no_gps_since = math.inf
        elif self._no_gps_since == math.inf:
            self._no_gps_since = self.now
        if self.parameter["SIM_BATT_PCT"] >= 0:
            self.battery, self.parameter["SIM_BATT_PCT"] = self.parameter["SIM_BATT_PCT"] / 100.0, -1
        if not self.armed or self.landed:
            return
        if not self.position_known and self.parameter["FS_EKF_ACTION"]:
            self._fail_safe("EKF Failsafe: land", CopterMode.LAND)
        silent = self.now - self.heard_gcs
        if self.parameter["FS_GCS_ENABLE"] and self.parameter["FS_GCS_TIMEOUT"] < silent < math.inf:
            self._fail_safe("GCS Failsafe: return", CopterMode.RTL)
        elif silent < 1.0:
            self._failed_safe.discard("GCS Failsafe: return")
        self._battery_failsafe()
        self._fence_failsafe()

    def _battery_failsafe(self) -> None:
        left = self.battery * self.parameter["BATT_CAPACITY"]
        for name in ("CRT", "LOW"):
            if not left < self.parameter[f"BATT_{name}_MAH"]:
                continue
            if name == "LOW":
                self._low_since = min(self._low_since, self.now)
                if self.now - self._low_since < self.parameter["BATT_LOW_TIMER"]:
                    continue
            action = self.parameter[f"BATT_FS_{name}_ACT"]
            if action:
                self._fail_safe(f"Battery {name}", CopterMode.LAND if action == 1 else CopterMode.RTL)

    def _fence_failsafe(self) -> None:
        outside = self.parameter["FENCE_ENABLE"] and self.outside_fence()
        if outside and not self._breached:
            self.breaches += 1
            if self.parameter["FENCE_ACTION"]:
                self._fail_safe(f"Fence Breached {self.breaches}", CopterMode.RTL)
        self._breached = bool(outside)

    def outside_fence(self) -> bool:
        """Whether it is outside of what it may fly in."""
        here = self.plant.place
        if here.up - self.home.up > self.parameter["FENCE_ALT_MAX"]:
            return True
        away = math.hypot(here.east - self.home.east, here.north - self.home.north)
        if away > self.parameter["FENCE_RADIUS"]:
            return True
        x, y = here.east, here.north
        if self.inclusion and not any(Area(ring).contains(x, y) for ring in self.inclusion):
            return True
        return any(Area(ring).contains(x, y) for ring in self.exclusion)

    def _fail_safe(self, why: str, mode: CopterMode) -> None:
        """Change the mode, once for each cause; the sprayer stays as it is, as was observed."""
        if why in self._failed_safe:
            return
        self._failed_safe.add(why)
        self.say(why)
        if self.mode != CopterMode.LAND and self.set_mode(mode) is not None:
            self.mode = CopterMode.LAND

    def _spray(self) -> None:
        if self.now > self._override_until and self._override_until > 0:
            self._override_until = -math.inf
            self.sprayer_on = False  # the receiver holds the channel low
        self.pump = 0.0
        speed = self.plant.velocity.horizontal
        if self.sprayer_on and self.parameter["SPRAY_ENABLE"] and 100.0 * speed >= self.parameter["SPRAY_SPEED_MIN"]:
            rate = max(self.parameter["SPRAY_PUMP_RATE"] * speed, self.parameter["SPRAY_PUMP_MIN"]) / 100.0
            rate = rate if self.pump_share is None else self.pump_share
            self.pump = min(1.0, rate) if self.tank > 0.0 and self.armed else 0.0
        if self.pump > 0.0 and self.mode not in (CopterMode.GUIDED, CopterMode.AUTO):
            self.sprayed_unasked += STEP
        self.tank = max(0.0, self.tank - self.pump * self.parameter["SIM_PUMP_L_MIN"] / 60.0 * STEP)
