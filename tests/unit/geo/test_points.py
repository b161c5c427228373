"""Scouting counts with a coordinate system: CSV, GeoJSON, GeoPackage, Shapefile."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from d2oc.density import build_density
from d2oc.density.points import ScoutedPoints
from d2oc.errors import DensityError, MapFileError
from d2oc.geo import LocalFrame
from d2oc.scenario.schema import FieldTable, PointsDensity, VectorPointsDensity

CORNER = np.array([353_000.0, 6_453_600.0])
FRAME = LocalFrame("EPSG:32633", *CORNER)
PLACES = np.array([[0.0, 0.0], [30.0, 0.0], [60.0, 0.0], [0.0, 200.0], [30.0, 200.0]])
COUNTS = np.array([0.0, 2.0, 9.0, 4.0, 1.0])
ORIGIN = tuple(FRAME.to_lon_lat([[0.0, 0.0]])[0].tolist())
FIELD = FieldTable(width_m=100.0, height_m=250.0, origin_lon_lat_deg=ORIGIN)


def counts_of(table, field=FIELD):
    density, field = build_density(table, field)
    assert isinstance(density, ScoutedPoints)
    return density.counts, field


def same_counts(counts, places=PLACES):
    order = np.lexsort(places.T)
    own = np.lexsort(np.round(counts.places, 1).T)
    assert counts.places[own] == pytest.approx(places[order], abs=2e-3)
    assert counts.values[own] == pytest.approx(COUNTS[order])


@pytest.mark.parametrize(("name", "crs"), [("c.geojson", "EPSG:4326"), ("c.gpkg", "EPSG:3006"), ("c.shp", "EPSG:4326")])
def test_points_from_vector_files(write_shapes, name, crs):
    path = write_shapes(name, list(shapely.points(PLACES + CORNER)), crs, weeds=COUNTS)
    counts, _ = counts_of(
        VectorPointsDensity(kind="vector-points", file=path, value_column="weeds", interpolation="none")
    )
    same_counts(counts)


@pytest.mark.parametrize("crs", ["lon-lat", "EPSG:32633", "EPSG:3006"])
def test_points_from_csv(tmp_path, write_shapes, crs):
    from pyproj import Transformer

    system = "EPSG:4326" if crs == "lon-lat" else crs
    places = np.column_stack(Transformer.from_crs("EPSG:32633", system, always_xy=True).transform(*(PLACES + CORNER).T))
    path = tmp_path / "counts.csv"
    rows = [f"{x:.9f};{y:.9f};{n:g}" for (x, y), n in zip(places, COUNTS, strict=True)]
    path.write_text("\n".join(["east;north;weeds", *rows]))
    table = PointsDensity(
        kind="points", file=path, x_column="east", y_column="north", value_column="weeds", coordinates=crs,
        interpolation="none",
    )  # fmt: skip
    counts, _ = counts_of(table)
    same_counts(counts)
    counts, field = counts_of(table, None)
    assert field.frame is not None
    assert counts.places.min(axis=0) == pytest.approx([0.5, 0.5], abs=0.5)
    same_counts(counts, PLACES + CORNER - field.frame.origin)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            "181,10,1",
            "line 2, column 'lon': 181 degrees of longitude is no place on Earth; coordinates are at most 180",
        ),
        ("10,91,1", "line 2, column 'lat': 91 degrees of latitude is no place on Earth"),
        ("10,,1", "line 2, column 'lat': is empty; every place needs a coordinate in degrees of latitude"),
    ],
)
def test_impossible_longitudes_and_latitudes_are_named(tmp_path, row, sentence):
    path = tmp_path / "counts.csv"
    path.write_text(f"lon,lat,weeds\n{row}\n")
    table = PointsDensity(
        kind="points", file=path, x_column="lon", y_column="lat", value_column="weeds", coordinates="lon-lat"
    )
    with pytest.raises(DensityError, match=sentence):
        build_density(table, FIELD)


def test_exchanged_axes_are_noticed_by_the_distance(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("lat,lon,weeds\n58.2,12.5,1\n58.201,12.5,3\n")
    table = PointsDensity(
        kind="points", file=path, x_column="lat", y_column="lon", value_column="weeds", coordinates="lon-lat"
    )
    with pytest.raises(DensityError, match=r"every place is more than 100 km from the field.* that the longitude is x"):
        build_density(table, FIELD)


def test_columns_values_and_shapes_that_are_none(write_shapes):
    points = list(shapely.points(PLACES + CORNER))
    path = write_shapes("c.geojson", points, weeds=COUNTS, kind=["a", "b", "c", "d", "e"])

    def build(**keys):
        return build_density(VectorPointsDensity(kind="vector-points", file=keys.pop("file", path), **keys), FIELD)

    with pytest.raises(MapFileError, match=r"has no column 'weed'; did you mean 'weeds'\? columns: weeds, kind"):
        build(value_column="weed")
    with pytest.raises(MapFileError, match="feature 1, column 'kind': 'a' is not a number"):
        build(value_column="kind")
    square = write_shapes("s.geojson", [shapely.box(0, 0, 9, 9)], weeds=[1.0])
    with pytest.raises(MapFileError, match="holds polygons; scouting counts are points"):
        build(file=square, value_column="weeds")
    negative = write_shapes("n.gpkg", points, weeds=-COUNTS)
    with pytest.raises(DensityError, match=r"feature 2, column 'weeds': -2 is negative"):
        build(file=negative, value_column="weeds")
