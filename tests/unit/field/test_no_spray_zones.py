"""Zones that are flown over but not treated, and where the field is on the globe."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.density import sample_density
from d2oc.density.uniform import Uniform
from d2oc.errors import FieldError, ScenarioError
from d2oc.field import Field, NoFlyZone, NoSprayZone
from d2oc.geo import LocalFrame
from d2oc.mission import simulate
from d2oc.record import load_record
from d2oc.scenario import load_scenario
from d2oc.scenario.schema import SamplingTable

SQUARE = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0]])
SHORT = {"mission.duration_s": 2.0, "sampling.n_samples": 200}


def box(x, y, size):
    return np.array([[x, y], [x + size, y], [x + size, y + size], [x, y + size]])


def test_a_no_spray_zone_is_flown_over_but_not_treated():
    field = Field(SQUARE, (NoFlyZone("pond", box(10, 10, 10)),), (NoSprayZone("bees", box(15, 15, 20)),))
    points = [[12, 12], [17, 17], [30, 30], [50, 50], [101, 50]]
    assert field.contains(points).tolist() == [False, False, True, True, False]
    assert field.treatable(points).tolist() == [False, False, False, True, False]
    assert field.area_m2 == pytest.approx(10_000 - 100)
    assert field.treatable_area_m2 == pytest.approx(10_000 - (100 + 400 - 25))


def test_samples_in_it_are_removed_and_counted():
    field = Field(SQUARE, (), (NoSprayZone("bees", box(0, 0, 50)),))
    samples = sample_density(Uniform(field), field, SamplingTable(n_samples=1000), np.random.default_rng(1))
    assert samples.n_in_no_spray_zones == pytest.approx(250, abs=10)
    assert not field.in_no_spray_zones(samples.points).any()
    assert samples.report()["n_in_no_spray_zones"] == samples.n_in_no_spray_zones


def test_zones_that_leave_nothing_to_treat_are_refused():
    with pytest.raises(FieldError, match="nothing is left to treat"):
        Field(SQUARE, (), (NoSprayZone("all", box(-1, -1, 102)),))


def test_a_zone_elsewhere_is_a_mistake():
    zones = [{"name": "bees", "boundary_m": box(900.0, 0.0, 5.0).tolist()}]
    with pytest.raises(ScenarioError, match=r"field\.no_spray_zones\[0\]\.boundary_m \('bees'\) is all outside"):
        load_scenario("six_drones", overrides={"field.no_spray_zones": zones})


def test_zones_and_place_stand_in_the_record(tmp_path):
    zones = [{"name": "bees", "boundary_m": box(20.0, 20.0, 5.0).tolist()}]
    changes = {**SHORT, "field.no_spray_zones": zones, "field.origin_lon_lat_deg": [12.5, 58.2]}
    record = simulate(load_scenario("six_drones", overrides=changes), out=tmp_path / "run")
    header = load_record(tmp_path / "run").header
    assert header.no_spray_zones_m == (tuple(map(tuple, box(20.0, 20.0, 5.0))),)
    frame = LocalFrame.of_record(header.georeference)
    assert frame is not None
    assert frame.crs == "EPSG:32633"
    assert frame.to_lon_lat([[0.0, 0.0]])[0] == pytest.approx([12.5, 58.2], abs=1e-9)
    assert load_record(tmp_path / "run").digest() == record.digest()


def test_a_field_without_place_and_zones_has_the_header_it_always_had(tmp_path):
    record = simulate(load_scenario("six_drones", overrides=SHORT), out=tmp_path / "run")
    text = (tmp_path / "run" / "run.json").read_text()
    assert "georeference" not in text
    assert "no_spray_zones_m" not in text
    assert record.header.georeference is None
    assert record.header.no_spray_zones_m == ()
