"""The local frame: metres east and north of an origin, on the grid of a UTM zone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from d2oc.arrays import Floats
from d2oc.errors import FieldError, MissingExtraError

if TYPE_CHECKING:
    from pyproj import Transformer

__all__ = ["LocalFrame", "transform", "utm_of"]

NORTHERNMOST, SOUTHERNMOST = 84.0, -80.0
"""Where UTM ends. [deg]"""


@dataclass(frozen=True)
class LocalFrame:
    """Local coordinates are those of a UTM zone, less an origin: x is grid east, y grid north; of flights see `around`.

    A metre of the grid is 0.9996 to 1.001 m on the ground, and grid north differs from true north by the meridian
    convergence; both ways between local and global coordinates are exact.

    Attributes
    ----------
    crs : str
        The UTM zone, such as `"EPSG:32633"`, or another grid in metres as PROJ names it.
    origin_easting_m, origin_northing_m : float
        UTM coordinates of the local (0, 0). [m]
    """

    crs: str
    origin_easting_m: float
    origin_northing_m: float

    @classmethod
    def at(cls, longitude: float, latitude: float) -> LocalFrame:
        """Frame whose origin is a place on WGS 84. [deg]"""
        crs = utm_of(longitude, latitude)
        ((easting, northing),) = transform([[longitude, latitude]], "EPSG:4326", crs)
        return cls(crs, float(easting), float(northing))

    @classmethod
    def around(cls, longitude: float, latitude: float) -> LocalFrame:
        """Frame whose x is true east and y true north of a place on WGS 84 [deg], as flights use it.

        It is the azimuthal equidistant grid of that place: within 5 km it differs from the plane that touches the
        ellipsoid there by less than a millimetre.
        """
        return cls(f"+proj=aeqd +lat_0={latitude!r} +lon_0={longitude!r} +datum=WGS84 +units=m", 0.0, 0.0)

    @classmethod
    def of_record(cls, georeference: Mapping[str, Any] | None) -> LocalFrame | None:
        """Frame that a record holds; None if it holds none."""
        return None if georeference is None else cls(**georeference)

    def as_mapping(self) -> dict[str, Any]:
        """Plain data, as records hold it."""
        return asdict(self)

    def from_lon_lat(self, places: ArrayLike) -> Floats:
        """Local places of longitudes and latitudes on WGS 84 [deg], shape (n, 2) both. [m]"""
        return self.to_local(places, "EPSG:4326")

    def to_lon_lat(self, places: ArrayLike) -> Floats:
        """Longitudes and latitudes on WGS 84 of local places [m], shape (n, 2) both. [deg]"""
        return transform(self.to_utm(places), self.crs, "EPSG:4326")

    def to_local(self, places: ArrayLike, crs: str) -> Floats:
        """Local places of places in another system, east before north there too, shape (n, 2) both. [m]"""
        return transform(places, crs, self.crs) - self.origin

    def to_utm(self, places: ArrayLike) -> Floats:
        """UTM coordinates of local places, shape (n, 2) both. [m]"""
        return np.asarray(places, dtype=np.float64).reshape(-1, 2) + self.origin

    @property
    def origin(self) -> Floats:
        """UTM coordinates of the local (0, 0), shape (2,). [m]"""
        return np.array([self.origin_easting_m, self.origin_northing_m])


def utm_of(longitude: float, latitude: float) -> str:
    """UTM zone on WGS 84 of a place, with the exceptions for Norway and Svalbard. [deg]

    Raises
    ------
    FieldError
        If the place is none on Earth, or too near a pole.
    """
    if not (math.isfinite(longitude) and math.isfinite(latitude) and abs(longitude) <= 180 and abs(latitude) <= 90):
        raise FieldError(
            f"longitude {longitude:g}, latitude {latitude:g} is no place on Earth: longitudes are -180 to 180, "
            "latitudes -90 to 90 degrees"
        )
    if not SOUTHERNMOST <= latitude <= NORTHERNMOST:
        raise FieldError(f"latitude {latitude:g} is outside UTM, which goes from -80 to 84 degrees")
    zone = min(60, int((longitude + 180) // 6) + 1)
    if 56 <= latitude < 64 and 3 <= longitude < 12:
        zone = 32
    elif latitude >= 72 and 0 <= longitude < 42:
        zone = 31 + 2 * int(longitude >= 9) + 2 * int(longitude >= 21) + 2 * int(longitude >= 33)
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"


def transform(places: ArrayLike, source: str, target: str) -> Floats:
    """Places of one coordinate system in another, shape (n, 2) both; infinite where there is no such place.

    East stands before north on both sides, whatever order the systems themselves declare.
    """
    where = np.asarray(places, dtype=np.float64).reshape(-1, 2)
    x, y = where[:, 0], where[:, 1]
    if len(where) == 1:  # of an array of one pyproj makes a number itself, which NumPy warns of
        x, y = x[0], y[0]
    return np.column_stack(_transformer(source, target).transform(x, y))


@cache
def _transformer(source: str, target: str) -> Transformer:
    try:
        from pyproj import Transformer
    except ImportError:
        raise MissingExtraError("a place on the globe", "geo") from None
    return Transformer.from_crs(source, target, always_xy=True)
