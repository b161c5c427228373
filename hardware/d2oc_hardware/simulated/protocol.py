"""The simulated autopilot's MAVLink: what it says, and what it does about what it hears.

Nothing that is heard can stop it: a message that makes no sense is dropped, whoever sent it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from d2oc_hardware.frames import FieldDatum, Place, Velocity, VelocityNed, from_ned, to_ned
from d2oc_hardware.mavlink.codec import Codec, Message, dialect
from d2oc_hardware.mavlink.items import (
    FENCE,
    INSIDE,
    LAND,
    MISSION,
    OUTSIDE,
    RETURN,
    TAKE_OFF,
    WAYPOINT,
    Item,
    degrees,
    fence_of,
    item_of,
    whole,
)
from d2oc_hardware.simulated.autopilot import Autopilot, CopterMode

ACCEPTED, TEMPORARILY_REJECTED, DENIED, UNSUPPORTED, FAILED = 0, 1, 2, 3, 4
MISSION_ACCEPTED, MISSION_ERROR, MISSION_INVALID = 0, 1, 5
FIRMWARE = (4 << 24) | (7 << 16) | 255
"""Version that it claims: 4.7.0, an official release; the first in which MAV_GCS_SYSID has that name."""
CAPABILITIES = 0x1 | 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x2000 | 0x4000 | 0x8000
MOST_ITEMS = 700
PLACES = (INSIDE, OUTSIDE, WAYPOINT, LAND, TAKE_OFF)
"""Commands of items that are places."""
HEARTBEAT, SYS_STATUS, ATTITUDE, LOCAL_POSITION, GLOBAL_POSITION = 0, 1, 30, 32, 33
GPS_RAW, SERVO, MISSION_CURRENT, BATTERY, EXTENDED, EKF, WIND, HOME, VERSION = 24, 36, 42, 147, 245, 193, 168, 242, 148
SYSTEM_TIME = 2
RATES = {
    HEARTBEAT: 1.0, SYS_STATUS: 2.0, ATTITUDE: 4.0, LOCAL_POSITION: 4.0, GLOBAL_POSITION: 4.0, GPS_RAW: 2.0, SERVO: 2.0,
    MISSION_CURRENT: 1.0, BATTERY: 1.0, EXTENDED: 2.0, EKF: 2.0, WIND: 1.0, HOME: 0.5, SYSTEM_TIME: 1.0,
}  # fmt: skip
"""Messages a second, until other rates are asked for."""


@dataclass
class _Upload:
    """A list on its way in."""

    kind: int
    count: int
    peer: object
    items: list[Item] = field(default_factory=list)


class Protocol:
    """Speaks for one simulated autopilot.

    Parameters
    ----------
    autopilot : Autopilot
        Who flies.
    datum : FieldDatum
        Where it was switched on.
    send : callable
        Takes a message, and the peer it is for or None for all.
    """

    def __init__(self, autopilot: Autopilot, datum: FieldDatum, send: Callable[[Message, object | None], None]) -> None:
        self.autopilot = autopilot
        self.datum = datum
        self._send = send
        self._interval = {number: 1.0 / rate for number, rate in RATES.items()}
        self._due = dict.fromkeys(self._interval, 0.0)
        self._lists: dict[int, list[Item]] = {MISSION: [], FENCE: []}
        self._upload: _Upload | None = None
        self._asker = (255, 190)
        self._numbers: list[int] = []
        self._told_reached = 0
        self._frozen: tuple[Place, Velocity] | None = None
        self._handler: dict[str, Callable[[Message, object], None]] = {
            "HEARTBEAT": self._on_heartbeat,
            "COMMAND_LONG": self._on_command,
            "COMMAND_INT": self._on_command_int,
            "SET_MODE": self._on_set_mode,
            "PARAM_REQUEST_LIST": self._on_param_list,
            "PARAM_REQUEST_READ": self._on_param_read,
            "PARAM_SET": self._on_param_set,
            "MISSION_COUNT": self._on_mission_count,
            "MISSION_ITEM_INT": self._on_mission_item,
            "MISSION_REQUEST_LIST": self._on_mission_list,
            "MISSION_REQUEST_INT": self._on_mission_request,
            "MISSION_REQUEST": self._on_mission_request,
            "MISSION_CLEAR_ALL": self._on_mission_clear,
            "MISSION_SET_CURRENT": self._on_set_current,
            "SET_POSITION_TARGET_LOCAL_NED": self._on_setpoint,
            "SET_POSITION_TARGET_GLOBAL_INT": self._on_place_setpoint,
            "RC_CHANNELS_OVERRIDE": self._on_override,
            "REQUEST_DATA_STREAM": self._on_data_stream,
            "TIMESYNC": self._on_time_sync,
        }
        autopilot.say = self._text

    @property
    def system(self) -> int:
        """Its system id."""
        return int(self.autopilot.parameter["SYSID_THISMAV"])

    def hear(self, message: Message, peer: object) -> None:
        """Do what a message asks for, if it is for us and makes sense."""
        if getattr(message, "target_system", self.system) not in (0, self.system):
            return
        handler = self._handler.get(message.get_type())
        if handler is None:
            return
        self._asker = (message.get_srcSystem(), message.get_srcComponent())
        try:
            handler(message, peer)
        except (ValueError, OverflowError, struct.error, UnicodeDecodeError):  # numbers that are none, and the like
            return

    def speak(self) -> None:
        """Send what is due."""
        now = self.autopilot.now
        self._tell_reached()
        for number, interval in self._interval.items():
            if interval > 0.0 and now >= self._due[number] - 1e-9:
                self._due[number] = max(self._due[number] + interval, now)
                self._tell(number, None)

    # What it says

    def _number(self, step: int) -> int:
        """Number of the item of a step of the mission; beyond the last one, one more than the last item's."""
        return self._numbers[step] if step < len(self._numbers) else len(self._lists[MISSION])

    def _tell_reached(self) -> None:
        """Tell of every item that has been done since the last look, those that are no places with them."""
        if self.autopilot.mode != CopterMode.AUTO:
            return
        done = self._number(self.autopilot.mission_at) - 1
        for number in range(self._told_reached + 1, done + 1):
            self._send(dialect.MAVLink_mission_item_reached_message(number), None)
        self._told_reached = done

    def _tell(self, number: int, peer: object | None) -> bool:
        makers: dict[int, Callable[[], Message]] = {
            HEARTBEAT: self._heartbeat, SYS_STATUS: self._sys_status, ATTITUDE: self._attitude,
            LOCAL_POSITION: self._local_position, GLOBAL_POSITION: self._global_position, GPS_RAW: self._gps,
            SERVO: self._servo, MISSION_CURRENT: self._mission_current, BATTERY: self._battery,
            EXTENDED: self._extended, EKF: self._ekf, WIND: self._wind, HOME: self._home, VERSION: self._version,
            SYSTEM_TIME: self._system_time,
        }  # fmt: skip
        maker = makers.get(number)
        if maker is None:
            return False
        self._send(maker(), peer)
        if number == BATTERY:
            self._send(self._tank(), peer)
        return True

    def _ms(self) -> int:
        return int(self.autopilot.now * 1000) & 0xFFFFFFFF

    def _state(self) -> tuple[Place, Velocity]:
        """Place and velocity as they are told."""
        a = self.autopilot
        if not a.parameter["SIM_TELEM_FREEZE"]:
            self._frozen = None
            return a.plant.place, a.plant.velocity
        self._frozen = self._frozen or (a.plant.place, a.plant.velocity)
        return self._frozen

    def _heartbeat(self) -> Message:
        a = self.autopilot
        flying = a.armed and not a.landed
        base = 1 | 16 | (8 if a.mode >= CopterMode.AUTO else 64) | (128 if a.armed else 0)
        return dialect.MAVLink_heartbeat_message(2, 3, base, int(a.mode), 4 if flying else 3, 3)

    def _sys_status(self) -> Message:
        a = self.autopilot
        sensors = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x10000000 | 0x2000000
        healthy = sensors if a.not_armable() is None or a.armed else sensors & ~0x10000000
        if not a.position_known:
            healthy &= ~0x20
        left = round(100 * a.battery)
        return dialect.MAVLink_sys_status_message(
            sensors, sensors, healthy, 200, 15_000 + 18 * left, 1000, left, 0, 0, 0, 0, 0, 0
        )

    def _attitude(self) -> Message:
        return dialect.MAVLink_attitude_message(self._ms(), 0.0, 0.0, math.pi / 2, 0.0, 0.0, 0.0)

    def _local_position(self) -> Message:
        place, velocity = self._state()
        v = to_ned(velocity)
        return dialect.MAVLink_local_position_ned_message(self._ms(), place.north, place.east, -place.up, *v)

    def _global_position(self) -> Message:
        place, velocity = self._state()
        geodetic, v = self.datum.geodetic(place), to_ned(velocity)
        above_home = round((place.up - self.autopilot.home.up) * 1000)
        centi = [max(-32767, min(32767, round(100 * x))) for x in v]
        return dialect.MAVLink_global_position_int_message(
            self._ms(), *whole(geodetic), round(geodetic.altitude * 1000), above_home, *centi, 9000
        )

    def _gps(self) -> Message:
        place, velocity = self._state()
        geodetic = self.datum.geodetic(place)
        lost = bool(self.autopilot.parameter["SIM_GPS_DISABLE"])
        return dialect.MAVLink_gps_raw_int_message(
            int(self.autopilot.now * 1e6), 0 if lost else 3, *whole(geodetic), round(geodetic.altitude * 1000),
            9999 if lost else 80, 9999 if lost else 120, round(100 * velocity.horizontal), 0, 0 if lost else 14,
        )  # fmt: skip

    def _servo(self) -> Message:
        width = 1000 + round(1000 * self.autopilot.pump)
        outputs = [1500, 1500, 1500, 1500, 0, 0, 0, 0]
        outputs[4] = width
        return dialect.MAVLink_servo_output_raw_message(int(self.autopilot.now * 1e6) & 0xFFFFFFFF, 0, *outputs)

    def _mission_current(self) -> Message:
        return dialect.MAVLink_mission_current_message(
            max(0, min(self._number(self.autopilot.mission_at), len(self._lists[MISSION]) - 1))
        )

    def _battery(self) -> Message:
        a = self.autopilot
        used = round((1.0 - a.battery) * a.parameter["BATT_CAPACITY"])
        cells = [round(3750 + 450 * a.battery)] * 4 + [65535] * 6
        return dialect.MAVLink_battery_status_message(0, 1, 1, 2500, cells, 1000, used, -1, round(100 * a.battery))

    def _tank(self) -> Message:
        return tank_message(self.autopilot.tank, self.autopilot.parameter["SIM_TANK_L"])

    def _extended(self) -> Message:
        a = self.autopilot
        return dialect.MAVLink_extended_sys_state_message(0, 1 if a.landed else 2)

    def _ekf(self) -> Message:
        flags = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x200 if self.autopilot.position_known else 0x1 | 0x80
        return dialect.MAVLink_ekf_status_report_message(flags, 0.1, 0.1, 0.1, 0.1, 0.0)

    def _wind(self) -> Message:
        return dialect.MAVLink_wind_message(0.0, self.autopilot.parameter["SIM_WIND_SPD"], 0.0)

    def _home(self) -> Message:
        home = self.autopilot.home
        geodetic = self.datum.geodetic(home)
        return dialect.MAVLink_home_position_message(
            *whole(geodetic), round(geodetic.altitude * 1000), home.north, home.east, -home.up, [1, 0, 0, 0], 0, 0, 0
        )

    def _version(self) -> Message:
        return dialect.MAVLink_autopilot_version_message(
            CAPABILITIES, FIRMWARE, 0, 0, 0, [0] * 8, [0] * 8, [0] * 8, 0, 0, self.system
        )

    def _system_time(self) -> Message:
        return dialect.MAVLink_system_time_message(0, self._ms())

    def _text(self, text: str) -> None:
        self._send(dialect.MAVLink_statustext_message(3, text.encode()[:50]), None)

    # What it hears

    def _on_heartbeat(self, message: Message, peer: object) -> None:
        a = self.autopilot
        if message.get_srcSystem() == int(a.parameter["MAV_GCS_SYSID"]):
            a.heard_gcs = a.now

    def _on_command(self, m: Message, peer: object) -> None:
        values = (m.param1, m.param2, m.param3, m.param4, m.param5, m.param6, m.param7)
        where = None
        if math.isfinite(m.param5) and math.isfinite(m.param6) and (m.param5 or m.param6):
            where = degrees(round(m.param5 * 1e7), round(m.param6 * 1e7), m.param7)
        self._answer(m.command, self._do(m.command, values, where, peer), peer)

    def _on_command_int(self, m: Message, peer: object) -> None:
        where = degrees(m.x, m.y, m.z) if m.x or m.y else None
        values = (m.param1, m.param2, m.param3, m.param4, 0.0, 0.0, m.z)
        self._answer(m.command, self._do(m.command, values, where, peer), peer)

    def _answer(self, command: int, result: int | str | None, peer: object) -> None:
        if isinstance(result, str):
            self._text(result)
            result = FAILED
        self._send(dialect.MAVLink_command_ack_message(command, ACCEPTED if result is None else result), peer)

    def _do(self, command: int, p: tuple[float, ...], where: object, peer: object) -> int | str | None:
        """Do a command; None: done, a number: MAV_RESULT, a text: why not."""
        a = self.autopilot
        if command == 400:
            force = p[1] == 21196
            return a.arm() if p[0] == 1.0 else a.disarm(force=force)
        if command == TAKE_OFF:
            return a.take_off(p[6]) if math.isfinite(p[6]) and 0.0 < p[6] < 500.0 else DENIED
        if command == LAND:
            return a.set_mode(CopterMode.LAND)
        if command == RETURN:
            return a.set_mode(CopterMode.RTL)
        if command == 17:  # loiter
            return a.set_mode(CopterMode.LOITER)
        if command == 176:
            return a.set_mode(int(p[1])) if int(p[0]) & 1 else UNSUPPORTED
        if command == 300:
            return self._start_mission()
        if command == 216:
            a.sprayer_on = p[0] == 1.0
            return None
        if command == 192:
            return self._reposition(where)
        if command == 511:
            return self._set_interval(int(p[0]), p[1])
        if command == 512:
            return None if self._tell(int(p[0]), peer) else UNSUPPORTED
        if command == 520:
            return None if self._tell(VERSION, peer) else UNSUPPORTED
        if command == 410:
            return None if self._tell(HOME, peer) else UNSUPPORTED
        if command == 207:
            a.parameter["FENCE_ENABLE"] = float(p[0] == 1.0)
            return None
        if command == 178:
            if p[1] > 0.0 and math.isfinite(p[1]):
                a.parameter["WPNAV_SPEED"] = 100.0 * min(p[1], 20.0)
            return None
        return UNSUPPORTED

    def _start_mission(self) -> str | None:
        a = self.autopilot
        if not a.armed:
            return "Mission start: not armed"
        return a.set_mode(CopterMode.AUTO)

    def _reposition(self, where: object) -> int | str | None:
        if not isinstance(where, tuple):
            return DENIED
        place = self.datum.local(where)  # type: ignore[arg-type]
        a = self.autopilot
        if a.mode != CopterMode.GUIDED:
            complaint = a.set_mode(CopterMode.GUIDED)
            if complaint:
                return complaint
        return a.go_to(place)

    def _set_interval(self, number: int, interval_us: float) -> int | None:
        if number not in RATES:
            return UNSUPPORTED
        if interval_us == 0.0:
            self._interval[number] = 1.0 / RATES[number]
        else:
            self._interval[number] = interval_us / 1e6 if interval_us > 0.0 and math.isfinite(interval_us) else -1.0
            if 0.0 < self._interval[number] < 0.02:
                self._interval[number] = 0.02
        return None

    def _on_set_mode(self, m: Message, peer: object) -> None:
        if m.base_mode & 1:
            self.autopilot.set_mode(m.custom_mode)

    def _on_data_stream(self, m: Message, peer: object) -> None:
        """Old way to ask for rates; the rates of SET_MESSAGE_INTERVAL stand."""

    def _on_time_sync(self, m: Message, peer: object) -> None:
        if m.tc1 == 0:
            self._send(dialect.MAVLink_timesync_message(int(self.autopilot.now * 1e9), m.ts1), peer)

    # Parameters

    def _param(self, name: str, peer: object) -> None:
        names = list(self.autopilot.parameter)
        value = self.autopilot.parameter[name]
        self._send(dialect.MAVLink_param_value_message(name.encode(), value, 9, len(names), names.index(name)), peer)

    def _on_param_list(self, m: Message, peer: object) -> None:
        for name in list(self.autopilot.parameter):
            self._param(name, peer)

    def _on_param_read(self, m: Message, peer: object) -> None:
        names = list(self.autopilot.parameter)
        name = _text_of(m.param_id) if m.param_index < 0 else names[m.param_index % len(names)]
        if name in self.autopilot.parameter:
            self._param(name, peer)

    def _on_param_set(self, m: Message, peer: object) -> None:
        name = _text_of(m.param_id)
        if name in self.autopilot.parameter and math.isfinite(m.param_value):
            self.autopilot.parameter[name] = float(m.param_value)
            if name == "SIM_TANK_L":
                self.autopilot.tank = max(0.0, float(m.param_value))
            self._param(name, peer)

    # Lists

    def _on_mission_count(self, m: Message, peer: object) -> None:
        kind = m.mission_type
        if kind not in self._lists or m.count > MOST_ITEMS:
            self._list_ack(kind, MISSION_ERROR, peer)
        elif m.count == 0:
            self._take(kind, [], peer)
        else:
            self._upload = _Upload(kind, m.count, peer)
            self._request(peer)

    def _request(self, peer: object) -> None:
        upload = self._upload
        if upload is not None:
            request = dialect.MAVLink_mission_request_int_message(*self._asker, len(upload.items), upload.kind)
            self._send(request, peer)

    def _on_mission_item(self, m: Message, peer: object) -> None:
        upload = self._upload
        if upload is None or upload.peer != peer or m.mission_type != upload.kind:
            return
        if m.seq == len(upload.items):
            upload.items.append(item_of(m))
        if len(upload.items) == upload.count:
            self._upload = None
            self._take(upload.kind, upload.items, peer)
        else:
            self._request(peer)

    def _take(self, kind: int, items: list[Item], peer: object) -> None:
        sound = all(
            math.isfinite(item.altitude) and abs(item.latitude) <= 900_000_000
            for item in items
            if item.command in PLACES
        )
        if not sound:
            self._list_ack(kind, MISSION_INVALID, peer)
            return
        if kind == FENCE:
            if any(item.command not in (INSIDE, OUTSIDE) for item in items):
                self._list_ack(kind, MISSION_INVALID, peer)
                return
            polygons = fence_of(items, self.datum)
            if any(len(polygon.corners) < 3 for polygon in polygons):
                self._list_ack(kind, MISSION_INVALID, peer)
                return
            self.autopilot.inclusion = [list(p.corners) for p in polygons if p.inside_allowed]
            self.autopilot.exclusion = [list(p.corners) for p in polygons if not p.inside_allowed]
        else:
            self.autopilot.mission = self._steps(items)
        self._lists[kind] = items
        self._list_ack(kind, MISSION_ACCEPTED, peer)

    def _steps(self, items: list[Item]) -> list[tuple[str, Place]]:
        """Steps of a mission; item 0 is home."""
        names = {TAKE_OFF: "takeoff", WAYPOINT: "waypoint", LAND: "land", RETURN: "return"}
        steps = []
        self._numbers = []
        for number, item in enumerate(items[1:], start=1):
            if item.command in names:
                self._numbers.append(number)
                place = self.datum.local(degrees(item.latitude, item.longitude, self.datum.origin.altitude))
                steps.append((names[item.command], place._replace(up=item.altitude)))
        return steps

    def _list_ack(self, kind: int, result: int, peer: object) -> None:
        self._send(dialect.MAVLink_mission_ack_message(*self._asker, result, kind), peer)

    def _on_mission_list(self, m: Message, peer: object) -> None:
        items = self._lists.get(m.mission_type, [])
        self._send(dialect.MAVLink_mission_count_message(*self._asker, len(items), m.mission_type), peer)

    def _on_mission_request(self, m: Message, peer: object) -> None:
        items = self._lists.get(m.mission_type, [])
        if m.seq < len(items):
            item = items[m.seq]
            self._send(
                dialect.MAVLink_mission_item_int_message(
                    *self._asker, m.seq, item.frame, item.command, 0, 1, item.param1, 0, 0, 0, item.latitude,
                    item.longitude, item.altitude, m.mission_type,
                ),
                peer,
            )  # fmt: skip

    def _on_mission_clear(self, m: Message, peer: object) -> None:
        for kind in (MISSION, FENCE) if m.mission_type == 255 else (m.mission_type,):
            if kind in self._lists:
                self._take(kind, [], peer)

    def _on_set_current(self, m: Message, peer: object) -> None:
        if 1 <= m.seq < len(self._lists[MISSION]):
            self.autopilot.mission_at = sum(number < m.seq for number in self._numbers)

    # Setpoints

    def _on_setpoint(self, m: Message, peer: object) -> None:
        """Velocity in the local frame; any other mask or frame silently becomes "hold", as was observed."""
        if m.coordinate_frame != 1 or m.type_mask & 0x38:  # not LOCAL_NED, or velocity ignored
            self.autopilot.fly(Velocity(0.0, 0.0, 0.0))
            return
        self.autopilot.fly(from_ned(VelocityNed(m.vx, m.vy, m.vz)))

    def _on_place_setpoint(self, m: Message, peer: object) -> None:
        if m.coordinate_frame not in (3, 6) or m.type_mask & 0x7:
            return
        place = self.datum.local(degrees(m.lat_int, m.lon_int, self.datum.origin.altitude))
        if math.isfinite(m.alt):
            self.autopilot.go_to(place._replace(up=m.alt))

    def _on_override(self, m: Message, peer: object) -> None:
        if m.get_srcSystem() != int(self.autopilot.parameter["MAV_GCS_SYSID"]):
            return
        if m.chan9_raw not in (0, 65534, 65535):
            self.autopilot.override_sprayer(m.chan9_raw)


def tank_message(liquid: float, full: float) -> Message:
    """The second battery monitor as a fuel level: consumed in mL where mAh stands.

    Parameters
    ----------
    liquid, full : float
        In the tank, and when it is full. [L]
    """
    used, left = round(1000 * (full - liquid)), round(100 * liquid / full) if full > 0 else 0
    return dialect.MAVLink_battery_status_message(1, 0, 0, 32767, [65535] * 10, -1, used, -1, left)


def _text_of(value: object) -> str:
    return value.decode("ascii", "replace").rstrip("\x00") if isinstance(value, bytes) else str(value).rstrip("\x00")


__all__ = ["Codec", "Protocol"]
