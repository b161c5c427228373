"""The spray record and the mix sheet."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from d2oc.cli import app
from d2oc.errors import ExportError
from d2oc.export import ExportOptions, export_record
from d2oc.export.options import read_details

DETAILS = ("pilot=A. Berg", "product=Herbex", "product_ml_per_l=20", "crop=wheat", "date=2026-05-14")
LITRES = (3 * 6 + 2 * 3 + 2 * 12) / 60


def test_the_record_holds_what_was_done_and_asks_for_the_rest(sprayed, tmp_path):
    options = ExportOptions(details=read_details(DETAILS))
    content = json.loads(export_record(sprayed(), "record-json", tmp_path / "r.json", options)[0].read_text())
    assert content["mix_l"] == pytest.approx(LITRES, abs=1e-3)
    assert content["treated_ha"] == pytest.approx(25 * 25 / 1e4)
    assert content["rate_l_ha"] == pytest.approx(LITRES / 0.0625, abs=1e-3)
    assert content["product_l"] == pytest.approx(LITRES * 0.02, abs=1e-4)
    assert content["field_ha"] == pytest.approx((2000 - 25) / 1e4)
    assert (content["pilot"], content["crop"], content["date"]) == ("A. Berg", "wheat", "2026-05-14")
    assert content["longitude_deg"] == pytest.approx(12.4993, abs=1e-3)
    assert [drone["mix_l"] for drone in content["drones"]] == [pytest.approx(LITRES, abs=1e-3), 0.0]
    assert {"customer", "operator", "start_time", "wind_m_s", "authorisation_number"} <= set(content["to_fill_in"])
    assert content["simulated"] is True


def test_the_csv_has_a_row_for_all_and_one_a_drone(sprayed, tmp_path):
    path = export_record(sprayed(), "record-csv", tmp_path / "r.csv", ExportOptions(details=read_details(DETAILS)))[0]
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["drone"] for row in rows] == ["all", "1", "2"]
    assert float(rows[0]["mix_l"]) == pytest.approx(LITRES, abs=1e-3)
    assert {row["pilot"] for row in rows} == {"A. Berg"}
    assert rows[1]["customer"] == ""


def test_a_load_goes_from_service_to_service(sprayed, tmp_path):
    path = export_record(sprayed(), "mix-sheet", tmp_path / "mix.csv", ExportOptions(details=read_details(DETAILS)))[0]
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["drone"], row["load"], row["mix_l"]) for row in rows] == [("1", "1", "5.00"), ("1", "2", "1.40")]
    assert [row["product_ml"] for row in rows] == ["100", "28"]
    assert [row["water_l"] for row in rows] == ["4.90", "1.37"]
    assert [row["used_l"] for row in rows] == ["0.40", "0.40"]
    assert [row["left_l"] for row in rows] == ["4.60", "5.80"]


def test_details_are_checked():
    with pytest.raises(ExportError, match=r"--detail pilt=A: give key=value with a known key; did you mean pilot\?"):
        read_details(["pilt=A"])
    with pytest.raises(ExportError, match="--detail product_ml_per_l=much: must be a number of at least 0"):
        read_details(["product_ml_per_l=much"])


def test_the_command_writes_files_and_names_them(sprayed, tmp_path):
    run = tmp_path / "run"
    sprayed(run)
    arguments = ["export", str(run), "--format", "mix-sheet", "--out", str(tmp_path / "mix.csv"), "--json"]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout) == {"files": [str(tmp_path / "mix.csv")]}
