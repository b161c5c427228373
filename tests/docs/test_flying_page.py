"""The operator's page says what the guard and the pre-flight do."""

from __future__ import annotations

import re
from pathlib import Path

from d2oc_hardware.failsafe import TABLE
from d2oc_hardware.fleet import DatumTable, DroneTable, Fleet, LimitsTable, load_fleet
from d2oc_hardware.preflight import wanted_parameters
from d2oc_hardware.simulated.process import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "flying.md").read_text(encoding="utf-8")


def test_the_table_of_failsafes_is_the_one_of_the_guard():
    rows = [f"| {row.cause} | {row.answer.name.lower().replace('_', ' ')} |" for row in TABLE]
    assert "\n".join(rows) in PAGE


def test_the_fleet_file_of_the_page_loads_and_every_key_is_told(tmp_path):
    text = re.search(r"in `fleet.toml`:\n\n```toml\n(.*?)```", PAGE, re.S)
    assert text is not None
    path = tmp_path / "fleet.toml"
    path.write_text(text[1], encoding="utf-8")
    fleet = load_fleet(path)
    assert fleet.key_file == tmp_path / "signing.key"
    keys = {f"datum.{key}" for key in DatumTable.model_fields} | {f"drones.{key}" for key in DroneTable.model_fields}
    keys |= {f"limits.{key}" for key in LimitsTable.model_fields}
    keys |= set(Fleet.model_fields) - {"datum", "drones", "limits"}
    assert {key for key in keys if f"`{key}`" not in PAGE} == set()
    assert all(
        wanted.name in PAGE
        for by_rate in (False, True)
        for firmware in ("ArduPilot", "PX4", "Betaflight")
        for wanted in wanted_parameters(fleet, 0, 50.0, by_rate=by_rate, firmware=firmware)
    )


def test_every_fault_is_told():
    assert {fault for fault in FAULTS if f"`{fault}`" not in PAGE} == set()
