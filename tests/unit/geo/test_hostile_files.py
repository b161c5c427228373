"""Files that are broken, wrong or malicious: each ends in one clear sentence, in bounded time and memory."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import struct
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
import rasterio
import shapely

from d2oc.density import build_density
from d2oc.errors import D2ocError
from d2oc.geo import LocalFrame, read_boundary, read_zones
from d2oc.geo.inspect import inspect_file
from d2oc.geo.points import read_points
from d2oc.geo.raster import read_map
from d2oc.scenario.schema import GeotiffDensity

CORNER = np.array([353_000.0, 6_453_600.0])
FRAME = LocalFrame("EPSG:32633", *CORNER)
FIELD = np.array([[0.0, 0.0], [360.0, 0.0], [360.0, 450.0], [0.0, 450.0]])
BOUNDS = (0.0, 0.0, 360.0, 450.0)
LONGEST_S = 20
"""Seconds of processor time that a file may take, however loaded the machine is."""
MOST_BYTES = 2_000_000_000
"""Address space that reading it may take beyond what there is."""


@contextmanager
def bounded():
    """Stop what takes too much processor time or memory."""

    def too_slow(*_):
        raise AssertionError(f"took more than {LONGEST_S} s of processor time")

    old = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as statm:
        now = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + MOST_BYTES, old[1]))
    handler = signal.signal(signal.SIGVTALRM, too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, old)


def lon_lat(ring):
    return FRAME.to_lon_lat(np.asarray(ring, float)).tolist()


def geojson(*geometries, crs=None):
    features = [{"type": "Feature", "properties": {"weeds": 1}, "geometry": geometry} for geometry in geometries]
    content = {"type": "FeatureCollection", "features": features}
    if crs is not None:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    return json.dumps(content).encode()


def polygon(*rings):
    return {"type": "Polygon", "coordinates": [list(ring) for ring in rings]}


SQUARE = lon_lat([[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]])


def kml(inside, head=""):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f"<Placemark>{inside}</Placemark></Document></kml>"
    ).encode()


def kml_polygon(coordinates):
    ring = f"<LinearRing><coordinates>{coordinates}</coordinates></LinearRing>"
    return f"<Polygon><outerBoundaryIs>{ring}</outerBoundaryIs></Polygon>"


def scribble(n):
    return [*(walk := np.random.default_rng(1).uniform(0, 300, (n, 2))).tolist(), walk[0].tolist()]


BILLION_LAUGHS = (
    "<!DOCTYPE kml ["
    + '<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]>"
)
OTHER_FILE = '<!DOCTYPE kml [<!ENTITY x SYSTEM "file:///etc/passwd">]>'

# Vector files that are read as a boundary: name, content, what the sentence says.
BOUNDARIES = [
    ("empty.geojson", b"", "is empty"),
    ("blank.geojson", b"  \n\n", "is empty"),
    ("zeros.gpkg", b"\x00" * 4096, "is not a GeoPackage"),
    ("prose.geojson", b"Dear farmer, the field is behind the barn.", "is not GeoJSON"),
    ("prose.kml", b"Dear farmer", "is not KML"),
    ("prose.gpkg", b"Dear farmer", "is not a GeoPackage"),
    ("prose.shp", b"Dear farmer", "is not an ESRI Shapefile"),
    ("picture.geojson", b"\x89PNG\r\n\x1a\n" + b"\x00" * 99, "is not GeoJSON"),
    ("list.geojson", b"[1, 2, 3]", "is not GeoJSON"),
    ("half.geojson", geojson(polygon(SQUARE))[:120], "cannot be read"),
    ("number.json", b'{"a": 1}', "cannot be read"),
    ("deep.json", b'{"type":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "cannot be read"),
    ("html.kml", b"<html><body>not found</body></html>", "is XML, but not KML"),
    ("half.kml", kml(kml_polygon("12.5,58.2 12.6,58.2 12.6,58.3 12.5,58.2"))[:150], "cannot be read"),
    ("laughs.kml", kml("<name>&j;</name>", BILLION_LAUGHS), "declares entities"),
    ("stranger.kml", kml("<name>&x;</name>", OTHER_FILE), "declares entities"),
    ("utf16.kml", kml(kml_polygon("12.5,58.2")).decode().encode("utf-16-le"), "is not UTF-8 text"),
    ("none.kml", kml("<name>no shape</name>"), "without a shape"),
    (
        "point.kml",
        kml("<Point><coordinates>12.5,58.2</coordinates></Point>"),
        "holds points; a boundary is one polygon",
    ),
    ("text.kml", kml(kml_polygon("east,north east,north")), ""),
    ("nothing.geojson", geojson(), "has no"),
    ("null.geojson", geojson(None), "without a shape"),
    ("hollow.geojson", geojson(polygon([])), "without a shape"),
    ("line.geojson", geojson({"type": "LineString", "coordinates": SQUARE}), "holds lines; a boundary is one polygon"),
    (
        "mixed.geojson",
        geojson(polygon(SQUARE), {"type": "Point", "coordinates": SQUARE[0]}),
        "holds points and polygons; a boundary is one polygon",
    ),
    ("two.geojson", geojson(polygon([SQUARE[0], SQUARE[1], SQUARE[0]])), ""),
    ("flat.geojson", geojson(polygon([[12.5, 58.2], [12.6, 58.2], [12.7, 58.2], [12.5, 58.2]])), "no area"),
    ("dot.geojson", geojson(polygon([[12.5, 58.2]] * 4)), "no area"),
    (
        "east.geojson",
        geojson(polygon([[190.0, 58.2], [190.1, 58.2], [190.1, 58.3], [190.0, 58.2]])),
        "beyond -180 to 180 and -90 to 90",
    ),
    (
        "metres.geojson",
        geojson(polygon((FIELD + CORNER).tolist())),
        "declares longitude and latitude (WGS 84), but its coordinates go from (353000",
    ),
    ("pole.geojson", geojson(polygon([[0, 89.9], [1, 89.9], [1, 89.91], [0, 89.9]])), "outside UTM"),
    (
        "antimeridian.geojson",
        geojson(polygon([[179.99, 1.0], [-179.99, 1.0], [-179.99, 1.01], [179.99, 1.01], [179.99, 1.0]])),
        "a field across the 180th meridian cannot be read",
    ),
    (
        "continent.geojson",
        geojson(polygon([[10, 50], [15, 50], [15, 55], [10, 55], [10, 50]])),
        "a field is at most 100 km",
    ),
    ("nan.geojson", geojson(polygon([[12.5, float("nan")], *SQUARE[1:3], [12.5, float("nan")]])), ""),
    ("infinite.geojson", geojson(polygon([[12.5, 1e400], *SQUARE[1:3], [12.5, 1e400]])), ""),
    ("bow.geojson", geojson(polygon(lon_lat([[0, 0], [99, 99], [99, 0], [0, 99], [0, 0]]))), "has 2 separate polygons"),
    ("scribble.geojson", geojson(polygon(lon_lat(scribble(5000)))), "crosses itself so often"),
    (
        "words.geojson",
        b'{"type":"Polygon","coordinates":[[["east","north"],["a","b"],["c","d"],["east","north"]]]}',
        "",
    ),
    ("moon.geojson", geojson(polygon(SQUARE), crs="urn:ogc:def:crs:IAU::30100"), ""),
    ("unknown.geojson", geojson(polygon(SQUARE), crs="EPSG:999999"), ""),
    (
        "degrees_as_metres.geojson",
        geojson(polygon(SQUARE), crs="EPSG:32633"),
        "are its coordinates degrees though it declares metres",
    ),
    ("geocentric.geojson", geojson(polygon(SQUARE), crs="EPSG:4978"), "none of places on Earth"),
    ("archive.zip", b"PK\x03\x04" + b"\x00" * 100, "unpack it first"),
    ("archive.kmz", b"PK\x03\x04" + b"\x00" * 100, "unpack it first"),
    ("elsewhere.vrt", b"<OGRVRTDataSource/>", "ends in '.vrt'"),
    (
        "fetch.geojson",
        b'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/http://127.0.0.1:9/a.shp</SrcDataSource>'
        b"</OGRVRTLayer></OGRVRTDataSource>",
        "is not GeoJSON",
    ),
]


@pytest.mark.parametrize(("name", "content", "says"), BOUNDARIES, ids=[row[0] for row in BOUNDARIES])
def test_a_boundary_that_is_none(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    refused(lambda: read_boundary(path), path, says)
    report = inspect_file(path)
    if not report.usable:
        assert report.kind == "unusable"
        assert report.as_mapping()["usable"] is False


def refused(read, path, says):
    """It ends in one sentence that names the file and says what is wrong."""
    with bounded(), pytest.raises(D2ocError) as error:
        read()
    sentence = str(error.value)
    assert says in sentence
    assert sentence.startswith((str(path), "latitude", "longitude"))
    assert "\n" not in sentence
    assert len(sentence) < 600
    assert "Traceback" not in sentence


@pytest.fixture
def shapefile(write_shapes):
    return write_shapes("field.shp", [shapely.Polygon(FIELD + CORNER)], name=["field"])


@pytest.mark.parametrize(
    ("ending", "change", "says"),
    [
        (".shx", None, "the file 'field.shx' that belongs to it is not there"),
        (".prj", None, "its coordinate system is unknown, 'field.prj' is not there"),
        (".prj", b"", ""),
        (".prj", b'PROJCS["half', ""),
        (".prj", b'LOCAL_CS["my garden"]', "its coordinate system"),
        (".shp", 60, ""),
        (".shx", 90, ""),
        (".shp", b"\x00\x00\x27\x0a" + b"\xff" * 200, ""),
        (".shp", "huge", ""),
    ],
)
def test_a_damaged_shapefile(shapefile, ending, change, says):
    part = shapefile.with_suffix(ending)
    if change is None:
        part.unlink()
    elif isinstance(change, int):
        part.write_bytes(part.read_bytes()[:change])
    elif change == "huge":  # the first record claims 2^28 points in 2^28 parts
        content = bytearray(part.read_bytes())
        struct.pack_into("<ii", content, 100 + 8 + 36, 1 << 28, 1 << 28)
        part.write_bytes(content)
    else:
        part.write_bytes(change)
    refused(lambda: read_boundary(shapefile), shapefile, says)


def test_a_damaged_geopackage(write_shapes, tmp_path):
    path = write_shapes("field.gpkg", [shapely.Polygon(FIELD + CORNER)], name=["field"])
    whole = path.read_bytes()
    for name, content in (
        ("half", whole[: len(whole) // 2]),
        ("page", whole[:4096]),
        ("noise", whole[:100] + os.urandom(9000)),
    ):
        broken = tmp_path / f"{name}.gpkg"
        broken.write_bytes(content)
        refused(lambda broken=broken: read_boundary(broken), broken, "")
    other = tmp_path / "other.gpkg"
    with sqlite3.connect(other) as database:
        database.execute("create table cows (name text)")
    refused(lambda: read_boundary(other), other, "")


def test_a_geopackage_of_two_layers_and_one_with_garbage_for_a_shape(write_shapes, tmp_path):
    import pyogrio

    path = write_shapes("field.gpkg", [shapely.Polygon(FIELD + CORNER)], name=["field"])
    square = np.array([shapely.to_wkb(shapely.box(12.5, 58.2, 12.51, 58.21))], dtype=object)
    pyogrio.raw.write(path, square, [], [], layer="second", geometry_type="Polygon", crs="EPSG:4326", append=False)
    refused(lambda: read_boundary(path), path, "has 2 layers")
    garbage = write_shapes("garbage.gpkg", [shapely.Polygon(FIELD + CORNER)], name=["field"])
    with sqlite3.connect(garbage) as database:
        database.execute("drop trigger if exists rtree_garbage_geom_update6")
        database.execute("drop trigger if exists rtree_garbage_geom_update7")
        for (trigger,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f'drop trigger "{trigger}"')
        database.execute("update garbage set geom = x'4750000100000000ff'")
    refused(lambda: read_boundary(garbage), garbage, "")


def tiff(*entries, data=b""):
    """A little-endian TIFF of one directory; entries are (tag, type, values)."""
    sizes = {1: "B", 2: "s", 3: "H", 4: "I", 12: "d"}
    offset = 8 + 2 + 12 * (len(entries) + 0) + 4
    body, directory = b"", struct.pack("<H", len(entries))
    for tag, kind, values in sorted(entries):
        packed = b"".join(struct.pack(f"<{sizes[kind]}", value) for value in values)
        place = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", offset + len(body))
        body += packed if len(packed) > 4 else b""
        directory += struct.pack("<HHI", tag, kind, len(values)) + place
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 0) + body + data


def declared(width, height, *, bits=8, strip_rows=None, samples=1, deflated=b"", fmt=1):
    """A TIFF that declares a size, whatever it holds."""
    rows = strip_rows or max(1, height)
    strips = -(-height // rows)
    geo = [(33550, 12, (1.0, 1.0, 0.0)), (33922, 12, (0.0, 0.0, 0.0, CORNER[0], CORNER[1] + 450, 0.0))]
    keys = [(34735, 3, (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633))]
    strips = min(strips, 1)
    return tiff(
        (256, 4, (width,)), (257, 4, (height,)), (258, 3, (bits,) * samples), (259, 3, (8,)), (262, 3, (1,)),
        (273, 4, (4000,) * strips), (277, 3, (samples,)), (278, 4, (rows,)), (279, 4, (len(deflated),) * strips),
        (339, 3, (fmt,) * samples), *geo, *keys,
    ).ljust(4000, b"\0") + deflated  # fmt: skip


def tiled(side):
    """A TIFF of a single tile, which would have to be unpacked as a whole."""
    geo = [(33550, 12, (1.0, 1.0, 0.0)), (33922, 12, (0.0, 0.0, 0.0, CORNER[0], CORNER[1] + 450, 0.0))]
    return tiff(
        (256, 4, (side,)), (257, 4, (side,)), (258, 3, (8,)), (259, 3, (8,)), (262, 3, (1,)), (277, 3, (1,)),
        (322, 4, (side,)), (323, 4, (side,)), (324, 4, (4000,)), (325, 4, (9,)), (339, 3, (1,)), *geo,
        (34735, 3, (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633)),
    ).ljust(4100, b"\0")  # fmt: skip


BOMB = zlib.compress(bytes(100_000_000), 9)
"""A hundred million zeros in 100 kB."""

RASTERS = [
    ("empty.tif", b"", "is empty"),
    ("prose.tif", b"Dear farmer, the map is in the barn.", "is not a TIFF image"),
    ("picture.tif", b"\x89PNG\r\n\x1a\n" + b"\x00" * 99, "is not a TIFF image"),
    ("head.tif", b"II*\x00", "cannot be read as GeoTIFF"),
    ("pointer.tif", b"II*\x00" + struct.pack("<I", 0xFFFFFFF0), "cannot be read as GeoTIFF"),
    ("noise.tif", b"II*\x00\x08\x00\x00\x00" + bytes(range(256)) * 8, "cannot be read as GeoTIFF"),
    ("nothing.tif", tiff((256, 4, (10,)), (257, 4, (10,))), ""),
    ("huge.tif", declared(2**31 - 1, 2**31 - 1), ""),
    ("large.tif", declared(60_000, 60_000, strip_rows=1), "declares 60,000 x 60,000 pixels"),
    ("strip.tif", declared(24_000, 24_000), "cannot be read as GeoTIFF"),
    ("tile.tif", tiled(24_000), "too large to unpack"),
    ("bands.tif", declared(100, 100, samples=60_000), ""),
    ("short.tif", declared(300, 400, deflated=zlib.compress(bytes(100))), "cannot be read as GeoTIFF"),
    ("zero.tif", declared(0, 0), "cannot be read as GeoTIFF"),
    ("complex.tif", declared(10, 10, bits=64, fmt=6, deflated=zlib.compress(bytes(800))), "expected are real numbers"),
    ("raster.vrt", b"<VRTDataset/>", "ends in '.vrt'"),
    (
        "fetch.tif",
        b"<VRTDataset><SourceFilename>/vsicurl/http://127.0.0.1:9/a.tif</SourceFilename></VRTDataset>",
        "is not a TIFF",
    ),
    ("raster.jpg", b"\xff\xd8\xff\xe0", "save it as GeoTIFF"),
]


@pytest.mark.parametrize(("name", "content", "says"), RASTERS, ids=[row[0] for row in RASTERS])
def test_a_raster_that_is_none(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    refused(lambda: read_map(path, FRAME, BOUNDS, cell_size_m=5.0), path, says)


def test_a_map_that_unpacks_to_a_thousand_times_its_size_is_read_stripe_by_stripe(tmp_path):
    path = tmp_path / "bomb.tif"
    path.write_bytes(declared(10_000, 10_000, deflated=BOMB))
    assert path.stat().st_size < 250_000
    table = GeotiffDensity(kind="geotiff", file=path)
    refused(lambda: build_density(table, None), path, "every pixel in the field is zero or nodata")


def filled(value, dtype=np.float32):
    return np.full((450, 360), value, dtype)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("name", "keys", "values", "says"),
    [
        ("no crs", {"crs": None}, filled(1), "has no coordinate system"),
        ("no place", {"transform": rasterio.Affine.identity()}, filled(1), "does not say where its pixels are"),
        ("no pixel", {"transform": rasterio.Affine(0, 0, 353_000, 0, 0, 6_454_050)}, filled(1), "does not say where"),
        ("all nan", {}, filled(np.nan), "says nothing about the field"),
        ("all nodata", {"nodata": 7}, filled(7), "says nothing about the field"),
        ("infinite", {}, filled(np.inf), "is not finite"),
        ("negative", {}, filled(-3), "is negative (-3)"),
        ("degrees", {"crs": "EPSG:4326"}, filled(1), "the coordinate system is wrong"),
        ("next zone", {"crs": "EPSG:32618"}, filled(1), "does not cover the field"),
        (
            "nan place",
            {"transform": rasterio.Affine(np.nan, 0, 353_000, 0, -1, 6_454_050)},
            filled(1),
            "does not say where",
        ),
        ("far away", {"transform": rasterio.Affine(1, 0, 1e300, 0, -1, 1e300)}, filled(1), ""),
    ],
)
def test_a_raster_that_says_what_cannot_be(write_raster, name, keys, values, says):
    path = write_raster("map.tif", values, CORNER[0], CORNER[1] + 450, 1.0, **keys)
    refused(lambda: read_map(path, FRAME, BOUNDS, cell_size_m=5.0), path, says)


def test_a_truncated_raster_is_refused_wherever_it_is_cut(write_raster, tmp_path):
    values = np.random.default_rng(1).uniform(0, 9, (450, 360)).astype(np.float32)
    whole = write_raster("map.tif", values, CORNER[0], CORNER[1] + 450, 1.0, compress="deflate").read_bytes()
    for share in (0.01, 0.3, 0.9):
        path = tmp_path / f"cut-{share}.tif"
        path.write_bytes(whole[: int(share * len(whole))])
        refused(lambda path=path: read_map(path, FRAME, BOUNDS, cell_size_m=5.0), path, "cannot be read as GeoTIFF")


def test_zones_with_exchanged_axes_are_refused_by_where_they_are(tmp_path):
    path = tmp_path / "zones.geojson"
    path.write_bytes(geojson(polygon([[latitude, longitude] for longitude, latitude in SQUARE])))
    refused(lambda: read_zones(path, FRAME, FIELD), path, "longitude and latitude look swapped")


def test_points_that_are_none(tmp_path):
    path = tmp_path / "points.geojson"
    path.write_bytes(geojson({"type": "MultiPoint", "coordinates": SQUARE}))
    refused(lambda: read_points(path, "weeds"), path, "split multipoints")
    path.write_bytes(geojson({"type": "Point", "coordinates": [1.0]}))
    refused(lambda: read_points(path, "weeds"), path, "")


def test_folders_missing_files_and_impossible_names(tmp_path):
    folder = tmp_path / "field.gpkg"
    folder.mkdir()
    refused(lambda: read_boundary(folder), folder, "is a folder, not a file")
    missing = tmp_path / "missing.geojson"
    refused(lambda: read_boundary(missing), missing, "is not there")
    odd = tmp_path / ("x" * 300 + ".gpkg")
    refused(lambda: read_boundary(odd), odd, "")


def test_a_name_that_is_an_address_is_a_file_that_is_not_there():
    from pathlib import Path

    for name in ("/vsicurl/http://127.0.0.1:9/a.tif", "http://127.0.0.1:9/a.tif"):
        refused(lambda name=name: read_map(Path(name), FRAME, BOUNDS), Path(name), "is not there")


def test_there_are_at_least_sixty():
    assert len(BOUNDARIES) + len(RASTERS) + 9 + 11 >= 60
