"""Frames: round trips, signs, and a length known from the ellipsoid."""

from __future__ import annotations

import pytest

from d2oc_hardware.frames import FieldDatum, Geodetic, Place, Velocity, from_ned, to_ned

DATUM = FieldDatum(Geodetic(47.397742, 8.545594, 488.0))


@pytest.mark.parametrize("place", [Place(0, 0, 0), Place(500, -300, 12), Place(-9000, 4000, 120)])
def test_a_place_comes_back_to_a_millimetre(place):
    assert DATUM.local(DATUM.geodetic(place)) == pytest.approx(place, abs=1e-3)


def test_axes_point_where_they_say():
    north, east = DATUM.geodetic(Place(0, 100, 0)), DATUM.geodetic(Place(100, 0, 0))
    assert north.latitude > DATUM.origin.latitude
    assert east.longitude > DATUM.origin.longitude
    assert DATUM.geodetic(Place(0, 0, 7)).altitude == 495.0


def test_a_degree_of_longitude_at_the_equator():
    # 111.3195 km on WGS84, as the chord seen in the tangent plane: a sin(1 deg)
    datum = FieldDatum(Geodetic(0.0, 0.0, 0.0))
    assert datum.local(Geodetic(0.0, 1.0, 0.0)).east == pytest.approx(111_313.8, abs=1.0)


def test_velocities_change_sign_of_up_only():
    assert to_ned(Velocity(1, 2, 3)) == (2, 1, -3)
    assert from_ned(to_ned(Velocity(1, 2, 3))) == (1, 2, 3)
