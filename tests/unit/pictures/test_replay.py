"""A replay says what the record says, packed and unpacked, whole and with ticks left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2oc.metrics import remaining_weight, weight_left
from d2oc_viz.replay import make_replay, pack, unpack


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
