"""Pictures and arrays: orientation, nodata, and the exact sentence for what cannot be read."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from d2oc.density import build_density
from d2oc.errors import DensityError, MissingExtraError
from d2oc.scenario.schema import ArrayDensity, FieldTable, ImageDensity

VALUES = np.array([[1.0, 2.0, 3.0], [0.0, np.nan, 6.0]])


def array_table(tmp_path, values, **keys):
    file = tmp_path / "map.npy"
    np.save(file, values)
    return ArrayDensity(kind="array", file=file, **({"cell_size_m": 2.0} | keys))


def picture_table(tmp_path, pixels, mode=None, **keys):
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with the extra 'viz'")
    file = tmp_path / "map.png"
    picture = image.fromarray(np.asarray(pixels))
    (picture.convert(mode) if mode else picture).save(file)
    return ImageDensity(kind="image", file=file, **({"cell_size_m": 2.0} | keys))


def test_an_array_is_read_south_first_and_makes_its_own_field(tmp_path):
    density, field = build_density(array_table(tmp_path, VALUES, origin_m=(10.0, 20.0)), None)
    np.testing.assert_array_equal(density.values, VALUES)
    assert field.bounds == (10, 20, 16, 24)


def test_the_nodata_value_of_an_array_is_nodata(tmp_path):
    density, _ = build_density(array_table(tmp_path, np.array([[1, 0], [-9999, 3]]), nodata_value=-9999.0), None)
    np.testing.assert_array_equal(density.values, [[1, 0], [np.nan, 3]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8, np.int64, np.bool_, ">f8"])
def test_all_plain_number_types_are_read(tmp_path, dtype):
    density, _ = build_density(array_table(tmp_path, np.array([[1, 0], [0, 1]], dtype=dtype)), None)
    np.testing.assert_array_equal(density.values, [[1, 0], [0, 1]])


def test_fortran_order_is_read_alike(tmp_path):
    density, _ = build_density(array_table(tmp_path, np.asfortranarray(VALUES)), None)
    np.testing.assert_array_equal(density.values, VALUES)


def test_a_given_field_is_kept(tmp_path):
    _, field = build_density(array_table(tmp_path, VALUES), FieldTable(width_m=5.0, height_m=3.0))
    assert field.bounds == (0, 0, 5, 3)


BAD_ARRAYS = {
    "one axis": (np.ones(3), "{f}: has shape (3,); expected (rows, columns) with at least one of each"),
    "three axes": (
        np.ones((2, 2, 3)),
        "{f}: has shape (2, 2, 3); expected (rows, columns) with at least one of each",
    ),
    "empty": (np.ones((0, 3)), "{f}: has shape (0, 3); expected (rows, columns) with at least one of each"),
    "complex": (np.ones((2, 2), complex), "{f}: holds complex128 values; expected real numbers (float or integer)"),
    "text": (np.array([["a"]]), "{f}: holds str32 values; expected real numbers (float or integer)"),
    "objects": (
        np.array([[None, {}]], dtype=object),
        "{f}: holds object values; expected real numbers (float or integer)",
    ),
    "infinite": (
        np.array([[1.0, 2.0], [3.0, np.inf]]),
        "{f}: the value inf at row 1, column 1 is not finite; "
        "a density is 0 or more, NaN or nodata_value where nothing was observed",
    ),
    "negative": (
        np.array([[1.0, -2.5]]),
        "{f}: the value -2.5 at row 0, column 1 is negative; a density is 0 or more, NaN or nodata_value where nothing "
        "was observed",
    ),
    "zero": (np.zeros((2, 2)), "{f}: every cell is zero or nodata, so there is nothing to cover"),
    "nodata": (np.full((2, 2), np.nan), "{f}: every cell is nodata, so there is nothing to cover"),
}


@pytest.mark.parametrize(("values", "sentence"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_a_broken_array_is_refused_with_its_sentence(tmp_path, values, sentence):
    table = array_table(tmp_path, values)
    with pytest.raises(DensityError) as refused:
        build_density(table, None)
    assert str(refused.value) == sentence.format(f=table.file)


def header(shape):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


BAD_FILES = {
    "not numpy": (b"x,y,count\n1,2,3\n", "{f}: is not a NumPy .npy file; write it with numpy.save"),
    "empty": (b"", "{f}: is not a NumPy .npy file; write it with numpy.save"),
    "broken header": (
        b"\x93NUMPY\x01\x00\x10\x00{'descr': 'no",
        "{f}: is not a NumPy .npy file; write it with numpy.save",
    ),
    "an archive": (b"PK\x03\x04" + b"\x00" * 50, "{f}: is not a NumPy .npy file; write it with numpy.save"),
    "cut short": (
        header((100, 100)) + b"\x00" * 800,
        "{f}: is cut short: its header needs 80,000 bytes, 800 follow",
    ),
    "huge": (
        header((10**12, 10**12)),
        "{f}: has shape (1000000000000, 1000000000000), more than 50,000,000 cells; make it coarser",
    ),
    "negative shape": (
        header((-1, 4)),
        "{f}: has shape (-1, 4); expected (rows, columns) with at least one of each",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_no_array_is_refused_with_its_sentence(tmp_path, content, sentence):
    file = tmp_path / "map.npy"
    file.write_bytes(content)
    with pytest.raises(DensityError) as refused:
        build_density(ArrayDensity(kind="array", file=file, cell_size_m=1.0), None)
    assert str(refused.value) == sentence.format(f=file)


@pytest.mark.parametrize("table", [ArrayDensity, ImageDensity])
def test_a_missing_file_is_named(tmp_path, table):
    file = tmp_path / "none"
    kind = "array" if table is ArrayDensity else "image"
    with pytest.raises(DensityError) as refused:
        build_density(table(kind=kind, file=file, cell_size_m=1.0), None)
    assert str(refused.value) == f"{file}: cannot be read (No such file or directory)"


def test_a_picture_has_its_first_row_in_the_north(tmp_path):
    pixels = np.array([[255, 0], [10, 20], [30, 40]], dtype=np.uint8)
    density, field = build_density(picture_table(tmp_path, pixels), None)
    np.testing.assert_array_equal(density.values, [[30, 40], [10, 20], [255, 0]])
    assert field.bounds == (0, 0, 4, 6)


def test_dark_may_be_dense_and_a_grey_level_nodata(tmp_path):
    pixels = np.array([[255, 0, 128]], dtype=np.uint8)
    density, _ = build_density(picture_table(tmp_path, pixels, dark_is_dense=True, nodata_value=128), None)
    np.testing.assert_array_equal(density.values, [[0, 255, np.nan]])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_colour_modes_of_grey_pixels_read_alike(tmp_path, mode):
    pixels = np.array([[0, 85, 255]], dtype=np.uint8)
    density, _ = build_density(picture_table(tmp_path, pixels, mode), None)
    np.testing.assert_allclose(density.values, [[0, 85, 255]], atol=1)


def test_transparent_pixels_are_nodata(tmp_path):
    pixels = np.full((1, 3, 4), 200, dtype=np.uint8)
    pixels[0, :, 3] = [255, 0, 128]
    density, _ = build_density(picture_table(tmp_path, pixels), None)
    np.testing.assert_array_equal(density.values, [[200, np.nan, 200]])


def test_sixteen_bits_keep_their_levels(tmp_path):
    pixels = np.array([[0, 257, 300, 65535]], dtype=np.uint16)
    density, _ = build_density(picture_table(tmp_path, pixels), None)
    np.testing.assert_allclose(density.values, [[0, 1, 300 / 257, 255]])


def test_a_black_picture_is_refused(tmp_path):
    table = picture_table(tmp_path, np.zeros((2, 2), dtype=np.uint8))
    with pytest.raises(DensityError) as refused:
        build_density(table, None)
    assert str(refused.value) == f"{table.file}: every cell is zero or nodata, so there is nothing to cover"


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n\x00\x00"], ids=["empty", "gif", "cut"])
def test_a_file_that_is_no_picture_is_refused(tmp_path, content):
    pytest.importorskip("PIL.Image", reason="Pillow comes with the extra 'viz'")
    file = tmp_path / "map.png"
    file.write_bytes(content)
    with pytest.raises(DensityError, match=r"map\.png: is not a PNG picture that can be read \(\w+\)$"):
        build_density(ImageDensity(kind="image", file=file, cell_size_m=1.0), None)


def test_a_picture_cut_in_its_pixels_is_refused(tmp_path):
    table = picture_table(tmp_path, np.random.default_rng(1).integers(0, 255, (90, 90), dtype=np.uint8))
    table.file.write_bytes(table.file.read_bytes()[:2000])
    with pytest.raises(DensityError, match="is not a PNG picture that can be read"):
        build_density(table, None)


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    table = ImageDensity(kind="image", file=tmp_path / "map.png", cell_size_m=1.0)
    real_import = builtins.__import__

    def without_pillow(name, *args, **kwargs):
        if name.split(".")[0] == "PIL":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    with pytest.raises(MissingExtraError) as refused:
        build_density(table, None)
    assert str(refused.value) == "a density from a picture needs the extra 'viz': pip install 'd2oc[viz]'"
