"""Where things are, with the datum in the type: a bare triple of numbers is never a place.

Three frames meet at a flight controller. The **field frame** is the one in which missions are planned: metres east,
north and up from the datum of the field. The **NED frame** is that of the autopilots' velocities: north, east, down.
**WGS84** is latitude, longitude and altitude above mean sea level, the only one in which several vehicles agree: the
local frame of an autopilot begins wherever it was switched on, so it is never used for places.

Formulas: J. Zhu, Conversion of Earth-centered Earth-fixed coordinates to geodetic coordinates, IEEE Trans. Aerospace
and Electronic Systems 30(3), 1994; the ellipsoid is that of WGS84 (NIMA TR8350.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

SEMI_MAJOR_AXIS = 6_378_137.0
"""a of WGS84. [m]"""
FLATTENING = 1.0 / 298.257223563
ECCENTRICITY_2 = FLATTENING * (2.0 - FLATTENING)
"""e^2."""


class Place(NamedTuple):
    """A place in the field frame."""

    east: float
    """[m]"""
    north: float
    """[m]"""
    up: float
    """Above the datum of the field. [m]"""


class Velocity(NamedTuple):
    """A velocity in the field frame."""

    east: float
    """[m/s]"""
    north: float
    """[m/s]"""
    up: float
    """[m/s]"""

    @property
    def horizontal(self) -> float:
        """Speed over ground. [m/s]"""
        return math.hypot(self.east, self.north)


STANDSTILL = Velocity(0.0, 0.0, 0.0)


class VelocityNed(NamedTuple):
    """A velocity as autopilots write it."""

    north: float
    """[m/s]"""
    east: float
    """[m/s]"""
    down: float
    """[m/s]"""


class Geodetic(NamedTuple):
    """A place on WGS84."""

    latitude: float
    """[deg]"""
    longitude: float
    """[deg]"""
    altitude: float
    """Above mean sea level. [m]"""


def to_ned(velocity: Velocity) -> VelocityNed:
    """The same velocity as autopilots write it."""
    return VelocityNed(velocity.north, velocity.east, -velocity.up)


def from_ned(velocity: VelocityNed) -> Velocity:
    """The same velocity in the field frame."""
    return Velocity(velocity.east, velocity.north, -velocity.down)


@dataclass(frozen=True)
class FieldDatum:
    """Where the field frame stands on the Earth: its plane touches the ellipsoid below the origin.

    Heights are differences of altitude, so "3 m up" follows the level of water, not the tangent plane; the two differ
    by 2 cm at 500 m.

    Attributes
    ----------
    origin : Geodetic
        The place that is (0, 0, 0).
    """

    origin: Geodetic

    def local(self, place: Geodetic) -> Place:
        """A place of WGS84 in the field frame."""
        x0, y0, z0 = _earth_centred(self.origin.latitude, self.origin.longitude)
        x, y, z = _earth_centred(place.latitude, place.longitude)
        dx, dy, dz = x - x0, y - y0, z - z0
        phi, lam = math.radians(self.origin.latitude), math.radians(self.origin.longitude)
        toward_axis = math.cos(lam) * dx + math.sin(lam) * dy
        return Place(
            east=-math.sin(lam) * dx + math.cos(lam) * dy,
            north=-math.sin(phi) * toward_axis + math.cos(phi) * dz,
            up=place.altitude - self.origin.altitude,
        )

    def geodetic(self, place: Place) -> Geodetic:
        """A place of the field frame on WGS84; the inverse of `local` to less than a millimetre within 10 km."""
        phi = math.radians(self.origin.latitude)
        root = math.sqrt(1.0 - ECCENTRICITY_2 * math.sin(phi) ** 2)
        per_north = math.degrees(root**3 / (SEMI_MAJOR_AXIS * (1.0 - ECCENTRICITY_2)))
        per_east = math.degrees(root / (SEMI_MAJOR_AXIS * math.cos(phi)))
        latitude, longitude = self.origin.latitude, self.origin.longitude
        altitude = self.origin.altitude + place.up
        for _ in range(4):  # Newton with the radii of curvature at the origin: each turn gains three digits or more
            here = self.local(Geodetic(latitude, longitude, altitude))
            latitude += (place.north - here.north) * per_north
            longitude += (place.east - here.east) * per_east
        return Geodetic(latitude, longitude, altitude)


def _earth_centred(latitude: float, longitude: float) -> tuple[float, float, float]:
    """A place on the ellipsoid in Earth-centred axes. [m]"""
    phi, lam = math.radians(latitude), math.radians(longitude)
    prime = SEMI_MAJOR_AXIS / math.sqrt(1.0 - ECCENTRICITY_2 * math.sin(phi) ** 2)
    return (
        prime * math.cos(phi) * math.cos(lam),
        prime * math.cos(phi) * math.sin(lam),
        prime * (1.0 - ECCENTRICITY_2) * math.sin(phi),
    )
