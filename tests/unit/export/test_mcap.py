"""MCAP files, read by the library of the format's authors; messages against the schemas that stand beside them.

The schemas name only fields, with their types, of those that Foxglove publishes.
"""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from d2oc.errors import MissingExtraError
from d2oc.export import export_record
from d2oc.export import mcap as ours

jsonschema = pytest.importorskip("jsonschema")
reader = pytest.importorskip("mcap.reader", reason="mcap is not installed: extra 'mcap'")


def read(path):
    """Messages of a file as (schema, topic, nanoseconds, content), each of which fits its schema."""
    messages = []
    with path.open("rb") as stream:
        for schema, channel, message in reader.make_reader(stream).iter_messages():
            content = json.loads(message.data)
            jsonschema.validate(content, json.loads(schema.data))
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
            messages.append((schema.name, channel.topic, message.log_time, content))
    return messages


def of(messages, topic):
    return [content for _, there, _, content in messages if there == topic]


def values_of(grid):
    values = np.frombuffer(base64.b64decode(grid["data"]), "<f4")
    assert grid["row_stride"] == 4 * grid["column_count"]
    return values.reshape(-1, grid["column_count"])


@pytest.fixture
def flown(sprayed, tmp_path):
    record = sprayed()
    tick, agent, sample = (np.array(x, np.int32) for x in ([4, 8], [0, 0], [0, 0]))
    record.consumption.update(tick=tick, agent=agent, sample=sample, amount=np.array([0.1, 0.2]))
    return record, read(export_record(record, "mcap", tmp_path / "r.mcap")[0])


def test_every_tick_is_told_once_and_in_the_order_of_time(flown):
    record, messages = flown
    count = Counter(topic for _, topic, _, _ in messages)
    assert count["/drones"] == count["/states"] == count["/locations"] == record.n_ticks
    assert count["/scene"] == count["/dose/wanted"] == count["/dose/laid"] == 1
    times = [time for _, _, time, _ in messages]
    assert times == sorted(times)
    assert times[-1] - times[0] == round((record.n_ticks - 1) * record.header.time_step_s * 1e9)
    assert {name for name, *_ in messages} == {
        "foxglove.PosesInFrame", "d2oc.States", "foxglove.LocationFixes", "foxglove.SceneUpdate", "foxglove.Grid",
    }  # fmt: skip


def test_poses_states_and_places_on_the_globe_are_those_of_the_record(flown):
    record, messages = flown
    place = record.by_tick("x_m", "y_m")
    for k, (poses, states) in enumerate(zip(of(messages, "/drones"), of(messages, "/states"), strict=True)):
        for r, (pose, state) in enumerate(zip(poses["poses"], states["drones"], strict=True)):
            assert (pose["position"]["x"], pose["position"]["y"]) == pytest.approx(tuple(place[k, r]))
            assert state["liquid_l"] == pytest.approx(record.by_tick("liquid_l")[k, r, 0])
    assert of(messages, "/states")[3]["drones"][0]["phase"] == "mission"
    east = of(messages, "/drones")[4]["poses"][0]["orientation"]  # it flies east there
    assert (east["z"], east["w"]) == pytest.approx((0.0, 1.0))
    north = of(messages, "/drones")[2]["poses"][0]["orientation"]
    assert (north["z"], north["w"]) == pytest.approx((0.5**0.5, 0.5**0.5), abs=1e-4)
    first = of(messages, "/locations")[0]["fixes"][0]
    assert (first["longitude"], first["latitude"]) == pytest.approx((12.4993, 58.2), abs=2e-3)


def test_maps_hold_the_doses_and_what_is_left(flown):
    record, messages = flown
    for topic, name in (("/dose/wanted", "target_l_ha"), ("/dose/laid", "deposit_l_ha")):
        (grid,) = of(messages, topic)
        assert values_of(grid).ravel() == pytest.approx(record.cells[name])
        assert grid["cell_size"] == {"x": 5.0, "y": 5.0}
    for grid, left in zip(of(messages, "/untreated")[:: record.n_ticks - 1], (1.0, 0.7), strict=True):
        hectares = grid["cell_size"]["x"] ** 2 / 1e4
        assert values_of(grid).sum() * hectares == pytest.approx(100 * left, rel=1e-5)


def test_the_scene_has_the_boundary_and_the_zones(flown):
    record, messages = flown
    (scene,) = of(messages, "/scene")
    corners = {entity["id"]: len(entity["lines"][0]["points"]) for entity in scene["entities"]}
    assert corners["boundary-0"] == len(record.header.boundary_m)
    assert sum(name.startswith("no-fly") for name in corners) == len(record.header.no_fly_zones_m)


def test_the_file_holds_the_scenario_and_the_digest(sprayed, tmp_path):
    record = sprayed()
    with export_record(record, "mcap", tmp_path / "r.mcap")[0].open("rb") as stream:
        opened = reader.make_reader(stream, validate_crcs=True)
        (attached,) = opened.iter_attachments()
        assert attached.data.decode() == record.scenario_toml
        (known,) = opened.iter_metadata()
        assert known.metadata["record_digest"] == record.digest()


def test_a_field_without_a_place_has_no_locations_and_a_long_mission_is_thinned(sprayed, tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "MOST_ROWS", 12)
    record = sprayed()
    record.header = replace(record.header, georeference=None)
    count = Counter(topic for _, topic, _, _ in read(export_record(record, "mcap", tmp_path / "r.mcap")[0]))
    assert "/locations" not in count
    assert count["/drones"] <= 12


def test_without_the_library_a_sentence_names_the_extra(sprayed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcap.writer", None)
    with pytest.raises(MissingExtraError, match=r"an MCAP file needs the extra 'mcap'"):
        export_record(sprayed(), "mcap", tmp_path / "r.mcap")
