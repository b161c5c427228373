"""The fleet file: which drones there are, where the field stands, and what the guard holds them to."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from d2oc_hardware.failsafe import Watch
from d2oc_hardware.flight_controller import FencePolygon, FlightError
from d2oc_hardware.frames import FieldDatum, Geodetic
from d2oc_hardware.keep_out import Area, Point
from d2oc_hardware.promise import Limits

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Corner = tuple[Finite, Finite]


class Part(BaseModel):
    """A table of the fleet file: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DatumTable(Part):
    """`[datum]`: where on the Earth (0, 0) of the field is."""

    latitude_deg: Annotated[float, Field(ge=-80, le=80)]
    """Latitude, WGS84. [deg]"""
    longitude_deg: Annotated[float, Field(ge=-180, le=180)]
    """Longitude, WGS84. [deg]"""
    altitude_m: Finite
    """Of the ground, above mean sea level. [m]"""

    @property
    def datum(self) -> FieldDatum:
        """The field frame."""
        return FieldDatum(Geodetic(self.latitude_deg, self.longitude_deg, self.altitude_m))


class LimitsTable(Part):
    """`[limits]`: what the guard allows, and what the vehicles promise; measure yours before you rely on it."""

    max_speed_m_s: Positive = 6.0
    """Over ground. [m/s]"""
    max_climb_m_s: Positive = 1.5
    """Up or down. [m/s]"""
    max_tilt_deg: Annotated[float, Field(gt=0, lt=60)] = 25.0
    """No command asks for more. [deg]"""
    braking_m_s2: Positive = 2.0
    """Deceleration that every vehicle reaches. [m/s^2]"""
    response_s: Positive = 0.5
    """Time constant of its velocity loop, at most. [s]"""
    latency_s: Positive = 0.2
    """Until a command acts, at most. [s]"""
    lag_s: NotNegative = 0.35
    """Time constant by which its velocity usually follows a command; accelerations are flown ahead by it. [s]"""
    margin_m: Positive = 1.5
    """To fence and zones; carries the error of the position. [m]"""
    separation_m: Positive = 3.0
    """Between drones over ground. [m]"""
    height_separation_m: Positive = 1.2
    """Between drones one above the other. [m]"""
    layer_half_m: Positive = 0.6
    """Every drone keeps so near to its own height. [m]"""
    wind_m_s: Positive = 8.0
    """Mean wind at which it goes home. [m/s]"""
    telemetry_brake_s: Positive = 0.7
    """A position older than this is not flown by. [s]"""
    telemetry_return_s: Positive = 3.0
    """Without a position for so long, the autopilot flies home. [s]"""
    operator_return_s: Positive = 10.0
    """Without a word of the ground station for so long, it flies home. [s]"""
    battery_land: Annotated[float, Field(gt=0, lt=1)] = 0.10
    """Charge at which it lands where it is, 0 to 1."""
    battery_spare: Annotated[float, Field(ge=0, lt=1)] = 0.10
    """Charge kept beyond the way home, 0 to 1."""
    endurance_s: Positive = 900.0
    """Hover with a full tank and battery. [s]"""


class DroneTable(Part):
    """`[[drones]]`: one drone; the first flies agent 0."""

    system_id: Annotated[int, Field(ge=1, le=250)]
    """MAVLink system id."""
    link: str
    """`udp:HOST:PORT`, `udpout:HOST:PORT`, `tcp:HOST:PORT`, `serial:DEVICE:BAUD`; Betaflight: `msp:tcp:...`."""
    home_m: Corner
    """Where it takes off and lands, field frame. [m]"""
    height_m: Positive
    """Height it flies at, its own layer. [m]"""
    address: str | None = None
    """`HOST:PORT` at which the others call its process over the network; default: they talk on this machine only."""
    start: tuple[str, ...] = ()
    """Words before the command that starts its process, to run it elsewhere with the same files."""


class Fleet(Part):
    """A fleet file."""

    rung: Literal["simulation", "bench", "tethered", "single", "swarm"] = "simulation"
    """How far this fleet has been tried; arming is refused beyond it."""
    datum: DatumTable
    """Where the field stands."""
    drones: Annotated[tuple[DroneTable, ...], Field(min_length=1)]
    """The drones."""
    limits: LimitsTable = LimitsTable()
    """Of the guard."""
    geofence_m: tuple[Corner, ...] | None = None
    """Corners of the geofence, field frame; default: the field's boundary moved outwards. [m]"""
    geofence_buffer_m: Positive = 12.0
    """By how much. [m]"""
    key_file: Path | None = None
    """Key for signing: 64 hexadecimal digits; relative to the fleet file."""
    pump_output: Annotated[int, Field(ge=1, le=16)] = 5
    """Number of the autopilots' output (SERVOn) that drives the pump; no output of a motor."""
    certificates: Path | None = None
    """Folder made by `d2oc certificates`, for drones with addresses; relative to the fleet file."""
    source_system: Annotated[int, Field(ge=1, le=255)] = 255
    """System id of this program: the vehicles' MAV_GCS_SYSID."""

    def guard_limits(self, number: int) -> Limits:
        """Limits of one drone."""
        t, height = self.limits, self.drones[number].height_m
        return Limits(
            max_speed=t.max_speed_m_s,
            max_climb=t.max_climb_m_s,
            max_tilt=math.radians(t.max_tilt_deg),
            braking=t.braking_m_s2,
            response=t.response_s,
            latency=t.latency_s,
            margin=t.margin_m,
            separation=t.separation_m,
            height_separation=t.height_separation_m,
            lowest=height - t.layer_half_m,
            highest=height + t.layer_half_m,
        )

    def watch(self) -> Watch:
        """When failsafes apply."""
        t = self.limits
        return Watch(
            wind=t.wind_m_s,
            telemetry_brake=t.telemetry_brake_s,
            telemetry_return=t.telemetry_return_s,
            operator_return=t.operator_return_s,
            battery_land=t.battery_land,
            battery_spare=t.battery_spare,
            endurance=t.endurance_s,
            home_speed=0.7 * t.max_speed_m_s,
        )

    def fence(self, boundary: Sequence[Point], zones: Sequence[Sequence[Point]]) -> list[FencePolygon]:
        """The geofence around a field, with its no-fly zones.

        Raises
        ------
        FlightError
            If the boundary cannot be moved outwards so, or a given fence does not hold it.
        """
        ring = list(self.geofence_m) if self.geofence_m else outward(boundary, self.geofence_buffer_m)
        area = Area(ring)
        if not all(area.contains(*corner) and area.distance(*corner) > self.limits.margin_m for corner in boundary):
            raise FlightError(
                "the geofence does not hold the field with its margin: give the fleet file a wider geofence_m"
            )
        return [FencePolygon(tuple(ring), True), *(FencePolygon(tuple(zone), False) for zone in zones)]


def outward(ring: Sequence[Point], distance: float) -> list[Point]:
    """A polygon moved outwards: each edge by `distance`, corners where neighbouring edges then meet. [m]"""
    area = 0.5 * sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(ring, [*ring[1:], ring[0]], strict=True))
    corners = list(ring) if area > 0 else list(reversed(ring))
    moved = []
    for before, here, after in zip([corners[-1], *corners[:-1]], corners, [*corners[1:], corners[0]], strict=True):
        n1, n2 = _normal(before, here), _normal(here, after)
        share = distance / max(0.25, 1.0 + n1[0] * n2[0] + n1[1] * n2[1])
        moved.append((here[0] + share * (n1[0] + n2[0]), here[1] + share * (n1[1] + n2[1])))
    return moved


def _normal(a: Point, b: Point) -> Point:
    """Outward normal of an edge of an anticlockwise polygon."""
    length = math.dist(a, b)
    return (b[1] - a[1]) / length, (a[0] - b[0]) / length


def load_fleet(path: Path) -> Fleet:
    """Read a fleet file.

    Raises
    ------
    FlightError
        One sentence on the first mistake.
    """
    try:
        fleet = Fleet.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FlightError(f"{path}: cannot be read as TOML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(word) for word in first["loc"])
        raise FlightError(f"{path}: {key}: {first['msg'].lower()}") from None
    _require_apart(path, fleet)
    _require_addresses(path, fleet)
    files = {"key_file": fleet.key_file, "certificates": fleet.certificates}
    return fleet.model_copy(
        update={key: (path.parent / file).resolve() for key, file in files.items() if file is not None}
    )


def _require_addresses(path: Path, fleet: Fleet) -> None:
    addresses = [drone.address for drone in fleet.drones if drone.address is not None]
    if addresses and len(set(addresses)) < len(fleet.drones):
        raise FlightError(f"{path}: give every drone an address of its own, or none")
    if fleet.certificates is not None and not addresses:
        raise FlightError(f"{path}: certificates are for drones with addresses")


def _require_apart(path: Path, fleet: Fleet) -> None:
    ids = [(drone.link, drone.system_id) for drone in fleet.drones]
    if len(set(ids)) < len(ids):
        raise FlightError(f"{path}: two drones have the same link and system_id")
    needed = fleet.limits.height_separation_m + 2 * fleet.limits.layer_half_m
    for i, drone in enumerate(fleet.drones):
        for other in fleet.drones[:i]:
            if math.dist(drone.home_m, other.home_m) < fleet.limits.separation_m:
                raise FlightError(f"{path}: drones[{i}].home_m is nearer than separation_m to another home")
            if abs(drone.height_m - other.height_m) < needed:
                raise FlightError(
                    f"{path}: drones[{i}].height_m = {drone.height_m:g} m must differ from every other by "
                    f"{needed:g} m, so that layers keep apart when radios fail"
                )


ROOM_M = 20.0
"""The geofence of a simulated fleet is at least so far from every home. [m]"""


def simulated_fleet(
    homes: Sequence[Point],
    ports: Sequence[int],
    max_speed: float,
    boundary: Sequence[Point] = (),
    lag: float = 0.35,
    pump_output: int = 5,
    link: str = "udp",
) -> Fleet:
    """Fleet of simulated vehicles, each in a layer of its own, in a geofence around the field and their homes."""
    limits = LimitsTable(max_speed_m_s=max_speed, lag_s=lag)
    step = limits.height_separation_m + 2 * limits.layer_half_m + 0.6
    drones = [
        DroneTable(system_id=i + 1, link=f"{link}:127.0.0.1:{port}", home_m=home, height_m=3.0 + step * i)
        for i, (home, port) in enumerate(zip(homes, ports, strict=True))
    ]
    datum = DatumTable(latitude_deg=47.397742, longitude_deg=8.545594, altitude_m=488.0)
    outside = [home for home in homes if boundary and not Area(boundary).contains(*home)]
    farthest = max((Area(boundary).distance(*home) for home in outside), default=0.0)
    buffer = max(12.0, farthest + ROOM_M)
    return Fleet(datum=datum, drones=tuple(drones), limits=limits, geofence_buffer_m=buffer, pump_output=pump_output)
