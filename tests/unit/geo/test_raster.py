"""Rasters in any coordinate system: what lies where, how much of it, and what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer

from d2oc.density import build_density, sample_density
from d2oc.errors import DensityError, MapFileError
from d2oc.geo import LocalFrame
from d2oc.geo.raster import raster_info, read_map
from d2oc.scenario.schema import FieldTable, GeotiffDensity, SamplingTable

CORNER = np.array([353_000.0, 6_453_600.0])
FRAME = LocalFrame("EPSG:32633", *CORNER)
PATCH = np.array([300.0, 60.0])
"""Where the infestation is: in the east, south of the middle. [m]"""


def severity(x, y):
    return 10.0 * np.exp(-((x - PATCH[0]) ** 2 + (y - PATCH[1]) ** 2) / (2 * 20.0**2))


def pixel_centres(west, north, pixel, shape):
    x = west + pixel * (np.arange(shape[1]) + 0.5)
    y = north - pixel * (np.arange(shape[0]) + 0.5)
    return np.meshgrid(x, y)


@pytest.fixture
def in_utm(write_raster):
    """The infestation on pixels of a metre in the field's own zone."""
    shape = (450, 360)
    x, y = pixel_centres(0.0, 450.0, 1.0, shape)
    return write_raster("utm.tif", severity(x, y).astype(np.float32), CORNER[0], CORNER[1] + 450, 1.0)


@pytest.fixture(params=["EPSG:4326", "EPSG:3857", "EPSG:32632", "EPSG:3006"])
def elsewhere(request, write_raster):
    """The same infestation, written pixel by pixel in another system."""
    turn = Transformer.from_crs("EPSG:32633", request.param, always_xy=True)
    back = Transformer.from_crs(request.param, "EPSG:32633", always_xy=True)
    x, y = turn.transform(*(CORNER[:, None] + np.array([[-50.0, 410.0, -50.0, 410.0], [-50.0, -50.0, 500.0, 500.0]])))
    pixel = (max(x) - min(x)) / (900 if request.param == "EPSG:4326" else 600)
    shape = (int((max(y) - min(y)) / pixel), int((max(x) - min(x)) / pixel))
    easting, northing = back.transform(*pixel_centres(min(x), max(y), pixel, shape))
    values = severity(easting - CORNER[0], northing - CORNER[1]).astype(np.float32)
    return write_raster("elsewhere.tif", values, min(x), max(y), pixel, crs=request.param)


def centroid(grid):
    rows, columns = grid.values.shape
    x = grid.origin[0] + grid.cell_size_m * (np.arange(columns) + 0.5)
    y = grid.origin[1] + grid.cell_size_m * (np.arange(rows) + 0.5)
    mass = np.nan_to_num(grid.values)
    return np.array([(mass.sum(axis=0) * x).sum(), (mass.sum(axis=1) * y).sum()]) / mass.sum()


def test_the_patch_is_where_it_was_and_holds_as_much(in_utm):
    grid = read_map(in_utm, FRAME, (0.0, 0.0, 360.0, 450.0), cell_size_m=5.0)
    assert grid.values.shape == (90, 72)
    assert centroid(grid) == pytest.approx(PATCH, abs=0.1)
    assert np.nansum(grid.values) * 25 == pytest.approx(severity(*pixel_centres(0, 450, 1, (450, 360))).sum(), rel=1e-4)


def test_the_patch_is_there_whatever_the_system_of_the_raster(elsewhere):
    grid = read_map(elsewhere, FRAME, (0.0, 0.0, 360.0, 450.0), cell_size_m=5.0)
    assert centroid(grid) == pytest.approx(PATCH, abs=0.3)
    expected = severity(*pixel_centres(0, 450, 1, (450, 360))).sum()
    assert np.nansum(grid.values) * 25 == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("stripe", [16_000_000, 3_000])
def test_cells_hold_the_mean_of_their_pixels_however_it_is_read(write_raster, monkeypatch, stripe):
    monkeypatch.setattr("d2oc.geo.raster.STRIPE", stripe)
    values = np.random.default_rng(2).uniform(0, 9, (120, 200)).astype(np.float32)
    path = write_raster("noise.tif", values, CORNER[0], CORNER[1] + 120, 1.0, tiled=True, blockxsize=32, blockysize=32)
    grid = read_map(path, FRAME, (0.0, 0.0, 200.0, 120.0), cell_size_m=20.0)
    expected = values.reshape(6, 20, 10, 20).mean(axis=(1, 3))[::-1]
    assert grid.values == pytest.approx(expected, rel=1e-5)


def test_nodata_is_not_zero(write_raster):
    values = np.full((40, 40), 3.0, np.float32)
    values[:, :20] = -9999.0  # the western half was not flown over
    values[:10, 20:] = 0.0  # the north-east is clean
    path = write_raster("half.tif", values, CORNER[0], CORNER[1] + 40, 1.0, nodata=-9999.0)
    grid = read_map(path, FRAME, (0.0, 0.0, 40.0, 40.0), cell_size_m=10.0)
    assert np.isnan(grid.values[:, :2]).all()
    assert (grid.values[3, 2:] == 0).all()
    assert grid.values[:3, 2:] == pytest.approx(3.0)


def test_undeclared_nodata_is_named_with_its_place(write_raster):
    values = np.full((40, 40), 3.0, np.float32)
    values[7, 5] = -9999.0
    path = write_raster("half.tif", values, CORNER[0], CORNER[1] + 40, 1.0)
    with pytest.raises(MapFileError) as error:
        read_map(path, FRAME, (0.0, 0.0, 40.0, 40.0))
    assert str(error.value) == (
        f"{path}: the pixel at row 7, column 5 is negative (-9999); amounts are 0 or more; if it means that nothing "
        "was observed, declare it by density.nodata_value"
    )
    grid = read_map(path, FRAME, (0.0, 0.0, 40.0, 40.0), nodata_value=-9999.0)
    assert int(np.isnan(grid.values).sum()) == 1


def test_only_the_field_is_read_of_a_larger_raster(write_raster):
    values = np.zeros((1000, 1000), np.uint8)
    values[-60, 40] = 7  # 40 m east, 60 m north of its corner
    path = write_raster("farm.tif", values, CORNER[0], CORNER[1] + 1000, 1.0)
    grid = read_map(path, FRAME, (30.0, 50.0, 50.0, 70.0), cell_size_m=1.0)
    assert grid.values.shape == (20, 20)
    assert np.argwhere(grid.values == 7).tolist() == [[9, 10]]
    with pytest.raises(MapFileError, match="does not cover the field"):
        read_map(path, FRAME, (-300.0, 0.0, -200.0, 100.0))


def test_bands_scales_and_what_the_file_says(write_raster, in_utm):
    bands = np.stack([np.full((20, 20), 1, np.int16), np.full((20, 20), 50, np.int16)])
    path = write_raster("two.tif", bands, CORNER[0], CORNER[1] + 20, 1.0)
    assert np.nanmax(read_map(path, FRAME, (0.0, 0.0, 20.0, 20.0), band=2).values) == 50
    with pytest.raises(MapFileError, match="has 2 bands, so band = 3 is none"):
        read_map(path, FRAME, (0.0, 0.0, 20.0, 20.0), band=3)
    info = raster_info(in_utm)
    assert (info.n_rows, info.n_columns, info.n_bands, info.dtype, info.crs) == (450, 360, 1, "float32", "EPSG:32633")
    assert info.pixel_m == pytest.approx(1.0)


def test_a_geotiff_density_without_a_field_covers_its_own_ground(elsewhere):
    density, field = build_density(GeotiffDensity(kind="geotiff", file=elsewhere, cell_size_m=4.0), None)
    assert field.frame is not None
    samples = sample_density(density, field, SamplingTable(n_samples=2000), np.random.default_rng(1))
    middle = samples.points.mean(axis=0)
    expected = field.frame.to_local(CORNER + PATCH, "EPSG:32633")[0]
    assert middle == pytest.approx(expected, abs=1.0)


def test_a_geotiff_density_needs_a_field_with_a_place(in_utm):
    table = GeotiffDensity(kind="geotiff", file=in_utm)
    with pytest.raises(DensityError, match="is on the globe, but the field is not: give field"):
        build_density(table, FieldTable(width_m=100.0, height_m=100.0))
    lon, lat = FRAME.to_lon_lat([[0.0, 0.0]])[0]
    density, field = build_density(table, FieldTable(width_m=360.0, height_m=450.0, origin_lon_lat_deg=(lon, lat)))
    samples = sample_density(density, field, SamplingTable(n_samples=500), np.random.default_rng(1))
    assert samples.points.mean(axis=0) == pytest.approx(PATCH, abs=1.0)
