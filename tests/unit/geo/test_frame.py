"""The local frame against pyproj's own choice of zone, and there and back."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.errors import FieldError
from d2oc.geo.frame import LocalFrame, utm_of
from d2oc_hardware.frames import FieldDatum, Geodetic, Place


@pytest.mark.parametrize(
    ("longitude", "latitude", "crs"),
    [
        (12.5, 58.2, "EPSG:32633"),
        (-90.0, 40.0, "EPSG:32616"),
        (-90.001, 40.0, "EPSG:32615"),
        (151.2, -33.9, "EPSG:32756"),
        (179.99, 0.0, "EPSG:32660"),
        (180.0, -1.0, "EPSG:32760"),
        (-180.0, 1.0, "EPSG:32601"),
        (5.3, 60.4, "EPSG:32632"),  # Bergen
        (2.9, 60.4, "EPSG:32631"),
        (15.6, 78.2, "EPSG:32633"),  # Longyearbyen
        (21.5, 78.2, "EPSG:32635"),
    ],
)
def test_the_zone_is_that_of_the_place(longitude, latitude, crs):
    assert utm_of(longitude, latitude) == crs


@pytest.mark.parametrize("place", [(0.0, 85.0), (0.0, -80.5), (181.0, 0.0), (0.0, 91.0), (float("nan"), 0.0)])
def test_places_without_a_zone_are_refused(place):
    with pytest.raises(FieldError):
        utm_of(*place)


def test_east_stands_before_north():
    frame = LocalFrame.at(12.5, 58.2)
    east, north = frame.from_lon_lat([[12.501, 58.2], [12.5, 58.201]])
    # one thousandth of a degree: 111 km x cos(58.2) of longitude, 111 km of latitude; the grid is turned by 2 degrees
    assert east == pytest.approx([58.7, 0.0], abs=2.5)
    assert north == pytest.approx([0.0, 111.4], abs=4.5)


def test_there_and_back_is_exact():
    frame = LocalFrame.at(-63.2, -31.4)
    places = np.random.default_rng(1).uniform(-5000, 5000, (100, 2))
    assert frame.from_lon_lat(frame.to_lon_lat(places)) == pytest.approx(places, abs=1e-6)
    assert frame.to_local(frame.to_utm(places), frame.crs) == pytest.approx(places, abs=1e-9)
    assert LocalFrame.of_record(frame.as_mapping()) == frame
    assert LocalFrame.of_record(None) is None


def test_the_frame_of_a_flight_is_east_and_north_of_its_datum():
    """As flights reckon, on the plane that touches the ellipsoid there."""
    longitude, latitude = 8.545594, 47.397742
    frame = LocalFrame.around(longitude, latitude)
    datum = FieldDatum(Geodetic(latitude, longitude, 488.0))
    places = [(0.0, 0.0), (3000.0, 0.0), (0.0, -3000.0), (-2000.0, 2500.0)]
    on_globe = [datum.geodetic(Place(*place, 0.0)) for place in places]
    local = frame.from_lon_lat([(at.longitude, at.latitude) for at in on_globe])
    assert np.abs(local - places).max() < 1e-3
    assert np.abs(frame.to_lon_lat(places) - [(at.longitude, at.latitude) for at in on_globe]).max() < 1e-8
