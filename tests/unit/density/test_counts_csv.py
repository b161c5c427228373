"""Counts from CSV files: what is read, and the exact sentence for what cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.density import ScoutedPoints, build_density
from d2oc.density.counts_csv import read_counts
from d2oc.errors import DensityError
from d2oc.scenario.schema import PointsDensity

GOOD = "x,y,count\n0,0,1\n10,0,2\n0,10,0\n10,10,\n5,5,4\n"


def table_of(file, **keys):
    declared = {"x_column": "x", "y_column": "y", "value_column": "count", "coordinates": "local-m"} | keys
    return PointsDensity(kind="points", file=file, **declared)


def written(tmp_path, content):
    file = tmp_path / "counts.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def as_rows(counts):
    return np.column_stack([counts.places, counts.values]).tolist()


EXPECTED = [[0, 0, 1], [0, 10, 0], [5, 5, 4], [10, 0, 2]]


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.encode("utf-8-sig"),
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace(",", " , "),
        GOOD.replace("\n", "\n\n"),
        GOOD.rstrip("\n"),
        "note,x,y,count\n" + "".join(f'"a, b",{line}\n' for line in GOOD.splitlines()[1:]),
        '"x, east";"y";"count"\n'.replace("x, east", "x") + GOOD.split("\n", 1)[1].replace(",", ";"),
        GOOD.replace("0,0,1", "0e0,-0.0,+1.0"),
    ],
    ids=["plain", "bom", "semicolon", "tab", "crlf", "spaces", "blank", "no-end", "quoted", "quoted-head", "floats"],
)
def test_all_common_forms_of_csv_read_the_same(tmp_path, content):
    counts = read_counts(table_of(written(tmp_path, content)))
    assert as_rows(counts) == EXPECTED
    assert counts.n_nodata == 1


def test_an_empty_cell_is_nodata_and_a_zero_is_zero(tmp_path):
    counts = read_counts(table_of(written(tmp_path, GOOD)))
    assert [0, 10, 0] in as_rows(counts)
    assert not any(row[:2] == [10, 10] for row in as_rows(counts))
    assert counts.notes() == ("places left out because nothing was observed there (nodata): 1",)


def test_the_declared_nodata_value_is_nodata(tmp_path):
    counts = read_counts(table_of(written(tmp_path, GOOD.replace("5,5,4", "5,5,-99")), nodata_value=-99.0))
    assert counts.n_nodata == 2
    assert as_rows(counts) == [row for row in EXPECTED if row[:2] != [5, 5]]


def test_counts_at_the_same_place_are_averaged_and_reported(tmp_path):
    counts = read_counts(table_of(written(tmp_path, "x,y,count\n1,1,2\n5,5,1\n1.0,1.0,4\n-0,0,1\n0,-0,3\n")))
    assert as_rows(counts) == [[0, 0, 2], [1, 1, 3], [5, 5, 1]]
    assert counts.notes() == ("rows averaged with another at the same coordinates: 2",)


def test_points_themselves_are_samples_weighted_by_their_counts(tmp_path):
    density, _ = build_density(table_of(written(tmp_path, GOOD), interpolation="none"), None)
    assert isinstance(density, ScoutedPoints)
    points, weights = density.draw(1000, lambda n: np.zeros((n, 2)))
    assert points.tolist() == [[0, 0], [5, 5], [10, 0]]
    np.testing.assert_allclose(weights, [1 / 7, 4 / 7, 2 / 7])
    assert "places with a count of zero, which are no samples: 1" in density.notes()


BAD = {
    "missing column": ("x,y,weeds\n1,2,3\n", "{f}: has no column 'count'; columns: x, y, weeds"),
    "misspelt column": ("x,y,Count\n1,2,3\n", "{f}: has no column 'count'; did you mean 'Count'? columns: x, y, Count"),
    "no x column": ("easting,y,count\n1,2,3\n", "{f}: has no column 'x'; columns: easting, y, count"),
    "column twice": ("x,y,count,count\n1,2,3,4\n", "{f}: line 1 names the column 'count' 2 times"),
    "no header": ("1,2,3\n4,5,6\n", "{f}: has no column 'x'; columns: 1, 2, 3"),
    "text": (
        "x,y,count\n1,2,3\n4,5,many\n",
        "{f}: line 3, column 'count': 'many' is not a number",
    ),
    "NA": (
        "x,y,count\n1,2,NA\n",
        "{f}: line 2, column 'count': 'NA' is not a number; leave the cell empty where nothing was observed",
    ),
    "decimal comma": (
        "x;y;count\n1;2;3,5\n",
        "{f}: line 2, column 'count': '3,5' is not a number; decimals have a point and thousands no separator",
    ),
    "thousands": (
        'x,y,count\n1,2,"1,000"\n',
        "{f}: line 2, column 'count': '1,000' is not a number; decimals have a point and thousands no separator",
    ),
    "underscore": ("x,y,count\n1,2,1_000\n", "{f}: line 2, column 'count': '1_000' is not a number"),
    "negative": (
        "x,y,count\n1,2,-3\n",
        "{f}: line 2, column 'count': -3 is negative; a count is 0 or more (nodata_value names a marker)",
    ),
    "nan": (
        "x,y,count\n1,2,nan\n",
        "{f}: line 2, column 'count': 'nan' is not finite; leave the cell empty where nothing was observed",
    ),
    "inf": (
        "x,y,count\n1,2,inf\n",
        "{f}: line 2, column 'count': 'inf' is not finite; leave the cell empty where nothing was observed",
    ),
    "overflow": (
        "x,y,count\n1,2,1e999\n",
        "{f}: line 2, column 'count': '1e999' is not finite; leave the cell empty where nothing was observed",
    ),
    "nan coordinate": ("x,y,count\nnan,2,1\n", "{f}: line 2, column 'x': 'nan' is not finite; a place needs a number"),
    "empty coordinate": (
        "x,y,count\n1,,3\n",
        "{f}: line 2, column 'y': is empty; every place needs a coordinate in metres",
    ),
    "text coordinate": ("x,y,count\n57°N,2,3\n", "{f}: line 2, column 'x': '57°N' is not a number"),
    "far away": (
        "x,y,count\n1,2e9,3\n",
        "{f}: line 2, column 'y': 2e9 m is too far away; coordinates are at most 2e+07 m",
    ),
    "degrees": (
        "x,y,count\n13.101,58.201,3\n13.105,58.204,1\n",
        "{f}: the places span only 0.004 x 0.003 m and look like longitude and latitude in degrees; local metres are "
        'expected (declare coordinates = "lon-lat", or project them)',
    ),
    "empty file": ("", "{f}: is empty; expected a header line and one line a count"),
    "only blank lines": ("\n \n,,\n", "{f}: is empty; expected a header line and one line a count"),
    "only a header": ("x,y,count\n", "{f}: has a header line and no counts below it"),
    "all zero": ("x,y,count\n1,2,0\n3,4,0\n", "{f}: every count in column 'count' is zero: nothing to cover"),
    "all nodata": (
        "x,y,count\n1,2,\n3,4,\n",
        "{f}: every cell of column 'count' is nodata, so there is no count",
    ),
    "short row": ("x,y,count\n1,2\n", "{f}: line 2 has 2 cells, the header names 3 columns"),
    "long row": ("x,y,count\n1,2,3\n\n1,2,3,4\n", "{f}: line 4 has 4 cells, the header names 3 columns"),
    "latin-1": (
        "x,y,count,öde\n1,2,3,4\n".encode("latin-1"),
        "{f}: byte 0xf6 at position 10 is not UTF-8 text; save the file as CSV UTF-8",
    ),
    "utf-16": (
        GOOD.encode("utf-16"),
        "{f}: byte 0xff at position 0 is not UTF-8 text; save the file as CSV UTF-8",
    ),
    "huge cell": (
        "x,y,count\n1,2," + "9" * 200_000 + "\n",
        "{f}: line 2 is not CSV (field larger than field limit (131072))",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), BAD.values(), ids=BAD)
def test_a_broken_file_is_refused_with_its_sentence(tmp_path, content, sentence):
    file = written(tmp_path, content)
    with pytest.raises(DensityError) as refused:
        read_counts(table_of(file))
    assert str(refused.value) == sentence.format(f=file)


def test_a_missing_file_is_named(tmp_path):
    file = tmp_path / "none.csv"
    with pytest.raises(DensityError) as refused:
        read_counts(table_of(file))
    assert str(refused.value) == f"{file}: cannot be read (No such file or directory)"


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(DensityError, match=r"cannot be read \(Is a directory\)$"):
        read_counts(table_of(tmp_path))


def test_a_small_plot_near_the_origin_is_not_taken_for_degrees(tmp_path):
    counts = read_counts(table_of(written(tmp_path, "x,y,count\n0.1,0.2,3\n0.4,0.9,1\n")))
    assert len(counts.values) == 2


def test_a_single_count_is_not_taken_for_degrees(tmp_path):
    assert len(read_counts(table_of(written(tmp_path, "x,y,count\n50,50,3\n"))).values) == 1


def test_ten_thousand_rows_are_read(tmp_path):
    lines = "".join(f"{i % 100},{i // 100},{i % 5}\n" for i in range(10_000))
    assert len(read_counts(table_of(written(tmp_path, "x,y,count\n" + lines))).values) == 10_000
