"""A replay says what the record says, packed and unpacked, whole and with ticks left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2oc.density.moving import motion_from_mapping
from d2oc.metrics import remaining_weight, weight_left
from d2oc_viz.doses import laid
from d2oc_viz.replay import ground_quantum, make_replay, pack, sample_ways, unpack


@given(st.lists(st.integers(1 - 2**30, 2**30 - 1)))
def test_what_is_packed_comes_back(numbers):
    assert unpack(pack(np.array(numbers, np.int64))).tolist() == numbers


def column(replay, name):
    head = next(c for c in replay.head["columns"] if c["name"] == name)
    numbers = unpack(replay.streams[name]).reshape(replay.head["n_agents"], replay.head["n_frames"])
    return np.where(numbers == 0, np.nan, head["offset"] + (numbers - 1) * head["quantum"])


def test_places_are_true_to_half_a_step(record):
    replay = make_replay(record)
    tracks = record.by_tick("x_m", "y_m")
    for i, name in enumerate(("x_m", "y_m")):
        error = np.abs(column(replay, name) - tracks[:, :, i].T).max()
        assert error <= replay.head["ground_quantum_m"] / 2 + 1e-12
    assert replay.head["ground_quantum_m"] <= 1e-3


def test_states_are_true_and_in_the_units_shown(record):
    replay = make_replay(record)
    assert column(replay, "tilt_deg") == pytest.approx(np.degrees(0.1))
    assert column(replay, "charge")[:, -1] == pytest.approx(96.0)
    assert np.isnan(column(replay, "speed_m_s")[:, 0]).all()


def left_at(replay, frame):
    """Weight of the samples after a frame, as the page computes it."""
    weight = unpack(replay.streams["sample_weight"])
    when, sample, amount = (unpack(replay.streams[f"taken_{name}"]) for name in ("frame", "sample", "amount"))
    assert (np.diff(when) >= 0).all()
    taken = np.bincount(sample[when <= frame], amount[when <= frame], len(weight))
    return np.maximum(weight - taken, 0) * replay.head["sample_quantum"]


@pytest.mark.parametrize("most_rows", [10**6, 40, 10])
def test_the_weight_left_is_that_of_the_record(record, most_rows):
    replay = make_replay(record, most_rows=most_rows)
    last = replay.head["n_frames"] - 1
    assert left_at(replay, last) == pytest.approx(weight_left(record), abs=1.01 * replay.head["sample_quantum"])
    assert unpack(replay.streams["remaining"])[last] * 1e-9 == pytest.approx(remaining_weight(record), abs=1e-9)
    assert left_at(replay, -1).sum() == pytest.approx(1.0, abs=0.01)


def test_a_long_mission_shows_every_kth_tick_and_the_last(record):
    replay = make_replay(record, most_rows=40)
    assert replay.head["stride"] == 4  # 41 ticks of 3 agents in 40 rows
    assert column(replay, "x_m")[0] == pytest.approx(record.by_tick("x_m")[::4, 0, 0], abs=1e-3)
    odd = make_replay(record, most_rows=20)
    assert (odd.head["stride"], odd.head["n_frames"]) == (7, 7)
    assert column(odd, "x_m")[0, -1] == pytest.approx(record.by_tick("x_m")[-1, 0, 0], abs=1e-3)


def test_a_replay_is_thinned_until_it_fits(record):
    whole = make_replay(record)
    assert make_replay(record, most_bytes=whole.n_bytes - 1).head["stride"] == 2


def test_links_are_spans_of_frames_without_a_gap(record):
    replay = make_replay(record)
    pair, first, span = (unpack(replay.streams[f"link_{name}"]) for name in ("pair", "first", "frames"))
    assert replay.head["links"]["n"] == len(pair) == 2 * 10  # both pairs, cut every fourth tick
    assert set(pair.tolist()) == {0 * 3 + 1, 1 * 3 + 2}
    assert (first % 4 == 1).all()
    assert (span == 2).all()


def test_events_and_losses_are_told(record):
    head = make_replay(record).head
    assert head["events"] == [[2, 0, 1]]
    assert [lost["tick"] for lost in head["lost"]] == [3, 3, 3]


@pytest.mark.parametrize(
    "shape", [{"n_steps": 0}, {"n_agents": 1, "n_steps": 1, "n_samples": 1}, {"n_agents": 300}], ids=str
)
def test_the_smallest_and_the_larger_missions_have_a_replay(make_record, shape):
    replay = make_replay(make_record(**shape))
    assert column(replay, "x_m").shape == (shape.get("n_agents", 3), shape.get("n_steps", 40) + 1)


def test_the_doses_of_a_replay_end_at_those_of_the_record(sprayed):
    replay = make_replay(sprayed)
    quantum = replay.head["doses"]["quantum_l_ha"]
    frame, cell, amount = (unpack(replay.streams[f"laid_{name}"]) for name in ("frame", "cell", "amount"))
    assert (np.diff(frame) >= 0).all()
    laid = np.bincount(cell, amount, 20) * quantum
    assert laid == pytest.approx(sprayed.cells["deposit_l_ha"], abs=quantum / 2)
    assert unpack(replay.streams["wanted"]) * quantum == pytest.approx(sprayed.cells["target_l_ha"], abs=quantum / 2)


def test_a_dose_lies_where_the_drones_have_been(sprayed):
    tick, cell, dose = laid(sprayed)
    place = sprayed.by_tick("x_m", "y_m")
    assert dose.sum() == pytest.approx(sprayed.cells["deposit_l_ha"].sum())
    for k, c in zip(tick, cell, strict=True):
        centre = np.array([sprayed.cells["x_m"][c], sprayed.cells["y_m"][c]])
        sprayed_until_then = (place[1 : k + 1] + place[:k]).reshape(-1, 2) / 2
        sprayed_ever = (place[1:] + place[:-1]).reshape(-1, 2) / 2
        nearest_ever = np.linalg.norm(sprayed_ever - centre, axis=1).min()
        assert np.linalg.norm(sprayed_until_then - centre, axis=1).min() <= nearest_ever + 20.0  # a cell is 20 m wide


@pytest.mark.parametrize(
    ("motion", "n_moments"),
    [
        ({"kind": "drift", "velocity_m_s": [2.0, 1.0]}, 2),
        ({"kind": "rotation", "centre_m": [50.0, 40.0], "rate_rad_s": 0.05}, 17),
    ],
)
def test_a_page_knows_where_samples_that_move_are(make_record, motion, n_moments):
    record = make_record()
    header = replace(record.header, motion=motion)
    points = np.column_stack([record.samples["x_m"], record.samples["y_m"]])
    ticks, streams = sample_ways(header, points, record.n_ticks)
    assert len(ticks) == n_moments
    ways = [unpack(streams[f"way_{axis}"]).reshape(len(points), -1) * ground_quantum(header) for axis in "xy"]
    truth = motion_from_mapping(motion)
    for tick in range(0, record.n_ticks, 3):
        seen = np.column_stack([[np.interp(tick, ticks, row) for row in axis] for axis in ways])
        assert seen == pytest.approx(truth.carried(points, 0.0, tick * header.time_step_s), abs=0.11)


def test_samples_at_rest_have_no_ways(record):
    assert make_replay(record).head["way_ticks"] == []
    assert make_replay(record).head["doses"] is None
