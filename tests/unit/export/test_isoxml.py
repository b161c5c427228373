"""ISOXML task data: the unit pinned, and read by an implementation that is not ours."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from d2oc.errors import ExportError
from d2oc.export import export_record
from d2oc.export.isoxml import RAW_PER_L_HA
from d2oc.geo import LocalFrame

pytest.importorskip("pyproj", reason="the extra geo is not installed")

FRAME = LocalFrame("EPSG:32633", 353_000.0, 6_453_600.0)


def test_thirty_litres_a_hectare_is_raw_300_000(sprayed, tmp_path):
    """DDI 1 counts 0.01 mm3/m2, and 30 L/ha is 30e6 mm3 on 10,000 m2; 0.3 or 3,000,000 has been written elsewhere."""
    assert RAW_PER_L_HA * 30 == 30e6 / 10_000 / 0.01 == 300_000
    _, binary = export_record(sprayed(), "isoxml", tmp_path / "TASKDATA")
    raw = np.unique(np.frombuffer(binary.read_bytes(), "<i4"))
    assert raw.tolist() == [0, 125_000, 300_000]
    assert struct.pack("<i", 300_000) in binary.read_bytes()


def test_the_grid_lies_where_the_doses_are(sprayed, wanted, tmp_path):
    path, binary = export_record(sprayed(), "isoxml", tmp_path / "TASKDATA")
    grid = ET.parse(path).getroot().find("TSK/GRD").attrib
    rows, columns = int(grid["F"]), int(grid["E"])
    values = np.frombuffer(binary.read_bytes(), "<i4").reshape(rows, columns) / RAW_PER_L_HA
    latitude = float(grid["A"]) + float(grid["C"]) * (np.arange(rows) + 0.5)
    longitude = float(grid["B"]) + float(grid["D"]) * (np.arange(columns) + 0.5)
    places = FRAME.from_lon_lat(np.column_stack([np.tile(longitude, rows), np.repeat(latitude, columns)]))
    column, row = np.floor(places / 5.0).astype(int).T
    inside = (row >= 0) & (row < 8) & (column >= 0) & (column < 10)
    assert values.ravel()[inside] == pytest.approx(wanted[row[inside], column[inside]])
    assert not values.ravel()[~inside].any()
    # cells of five metres in both directions
    assert np.diff(places[:2, 0]) == pytest.approx(5.0, rel=0.01)
    assert np.diff(places[::columns, 1])[0] == pytest.approx(5.0, rel=0.01)


def test_another_implementation_reads_it(sprayed, wanted, tmp_path):
    isoxml_io = pytest.importorskip("isoxml.util.isoxml_io", reason="the package isoxml is not installed")
    from isoxml.converter.np_grid import to_numpy_array
    from isoxml.models.ddi_entities import DDEntity

    path, _ = export_record(sprayed(), "isoxml", tmp_path / "TASKDATA")
    data, files = isoxml_io.isoxml_from_path(path)
    (field,), (task,) = data.partfields, data.tasks
    assert field.area == 50 * 40 - 25
    assert [len(line.points) for line in field.polygons[0].line_strings] == [5, 5]
    corner = field.polygons[0].line_strings[0].points[2]
    ((x, y),) = FRAME.from_lon_lat([[float(corner.east), float(corner.north)]])
    assert (x, y) == pytest.approx((50, 40), abs=1e-2)
    (grid,) = task.grids
    rate = DDEntity.from_id(1)
    values = to_numpy_array(files["GRD00001"], grid, [rate])
    # the library's own unit of DDI 1 is mm3/m2, of which a litre a hectare has 100
    assert np.unique(np.round(values / 100, 6)).tolist() == [0.0, 12.5, 30.0]
    assert (task.default_treatment_zone_code, task.out_of_field_treatment_zone_code) == (0, 0)
    zones = {zone.code: zone.process_data_variables[0] for zone in task.treatment_zones}
    assert zones[0].process_data_value == 0
    assert zones[grid.treatment_zone_code].process_data_ddi == bytes([0, 1])


def test_a_mission_that_sprays_nothing_has_no_rates(tmp_path):
    from d2oc.mission import simulate
    from d2oc.scenario import load_scenario

    changes = {"mission.duration_s": 2.0, "field.origin_lon_lat_deg": [12.5, 58.2]}
    record = simulate(load_scenario("six_drones", overrides=changes))
    with pytest.raises(ExportError, match="has no rates, since nothing was sprayed"):
        export_record(record, "isoxml", tmp_path / "TASKDATA")
    with pytest.raises(ExportError, match="has no liquid in it"):
        export_record(record, "mix-sheet", tmp_path / "mix.csv")
