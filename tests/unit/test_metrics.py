"""Metrics against closed forms and plain sums."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from d2oc import metrics
from d2oc.mission import simulate
from d2oc.scenario import load_scenario


@pytest.fixture(scope="module")
def flown():
    """A real mission, short."""
    changes = {"mission.duration_s": 12.0, "sampling.n_samples": 250, "radio.comm_range_m": 20.0}
    return simulate(load_scenario("six_drones", overrides=changes))


def circle(n, radius=30.0, centre=(50.0, 50.0)):
    angle = 2 * np.pi * np.arange(n) / n
    return np.array(centre) + radius * np.column_stack([np.cos(angle), np.sin(angle)])


def test_a_team_that_visits_the_samples_shifted_is_as_far_as_the_shift(record_by_hand):
    where = np.random.default_rng(1).uniform(10, 90, (21, 2, 2))
    record = record_by_hand(where, points=where[1:].reshape(-1, 2) + np.array([3.0, -4.0]))
    distance = metrics.coverage_distance(record)
    assert distance["w2_method"] == "exact"
    assert distance["w2_m"] == pytest.approx(5.0, rel=1e-9)
    assert distance["sliced_w2_m"] == pytest.approx(5.0 / math.sqrt(2), rel=1e-9)


def test_masses_of_unequal_agents_count(record_by_hand):
    """One agent stands on either of two samples; with masses 3 to 1 and weights 1 to 1 a quarter has to move."""
    places = [[0.0, 0.0], [60.0, 0.0]]
    record = record_by_hand([places] * 5, points=places, alpha=[3 / 16, 1 / 16])
    assert metrics.coverage_distance(record)["w2_m"] == pytest.approx(60 * math.sqrt(1 / 4))


def test_steps_of_an_agent_that_left_do_not_count(record_by_hand):
    places = [[0.0, 0.0], [60.0, 0.0]]
    active = np.array([[0, 0], [1, 1], [1, 0], [1, 0]], dtype=bool)
    record = record_by_hand([places] * 4, points=places, weights=[0.75, 0.25], alpha=[0.25, 0.25], active=active)
    points, masses = metrics.visited(record)
    assert len(points) == 4
    assert masses.sum() == 1.0
    assert metrics.coverage_distance(record)["w2_m"] == pytest.approx(0.0, abs=1e-6)


def test_remaining_and_consumed_weight_by_hand(record_by_hand):
    record = record_by_hand(
        np.zeros((3, 2, 2)), points=[[1, 1], [2, 2], [3, 3]], weights=[0.5, 0.3, 0.2],
        consumption=[(1, 0, 0, 0.4), (1, 1, 0, 0.3), (2, 1, 1, 0.1)],
    )  # fmt: skip
    assert metrics.consumed_by_sample(record) == pytest.approx([0.7, 0.1, 0.0])
    assert metrics.weight_left(record) == pytest.approx([0.0, 0.2, 0.2])
    assert metrics.remaining_weight(record) == pytest.approx(0.4)
    assert metrics.doubly_covered_weight(record) == pytest.approx(0.2)


def test_nothing_consumed_leaves_all(record_by_hand):
    record = record_by_hand(np.zeros((2, 1, 2)))
    assert metrics.remaining_weight(record) == 1.0
    assert metrics.doubly_covered_weight(record) == 0.0


def test_remaining_plus_usefully_consumed_is_one(flown):
    consumed = flown.consumption["amount"].sum()
    assert consumed == pytest.approx(flown.trajectory["consumed"].sum(), abs=1e-12)
    useful = consumed - metrics.doubly_covered_weight(flown)
    assert metrics.remaining_weight(flown) + useful == pytest.approx(1.0, abs=1e-12)


def test_ergodic_metric_of_an_even_visit_is_that_of_no_difference(record_by_hand):
    cells = (np.arange(20) + 0.5) * 5.0
    even = np.array(list(itertools.product(cells, cells)))
    record = record_by_hand(np.vstack([even[:1], even])[:, None], points=even)
    assert metrics.ergodic_metric(record) == pytest.approx(0.0, abs=1e-25)


def test_ergodic_metric_of_an_even_visit_against_the_integral(record_by_hand):
    """The time average of an even visit is the mean of each cosine mode: 1 for k = 0 and 0 for the others."""
    cells = (np.arange(40) + 0.5) * 2.5
    even = np.array(list(itertools.product(cells, cells)))
    sample = np.array([[25.0, 75.0]])
    record = record_by_hand(np.vstack([even[:1], even])[:, None], points=sample)
    expected = 0.0
    for k1, k2 in itertools.product(range(10), repeat=2):
        norm = (math.sqrt(2) if k1 else 1) * (math.sqrt(2) if k2 else 1)
        mode = norm * math.cos(k1 * math.pi * 0.25) * math.cos(k2 * math.pi * 0.75)
        expected += (1 + k1**2 + k2**2) ** -1.5 * (mode - (k1 == k2 == 0)) ** 2
    assert metrics.ergodic_metric(record) == pytest.approx(expected, rel=1e-9)


def test_ergodic_metric_grows_with_the_distance(record_by_hand):
    values = []
    for offset in (0.0, 5.0, 20.0, 45.0):
        still = np.full((5, 1, 2), 50.0) + offset
        values.append(metrics.ergodic_metric(record_by_hand(still, points=[[50.0, 50.0]])))
    assert values[0] == pytest.approx(0.0, abs=1e-30)
    assert values == sorted(values)


def test_separation_on_a_circle(record_by_hand):
    """n agents evenly on a circle are 2 r sin(pi / n) apart."""
    record = record_by_hand([circle(7, 30.0), circle(7, 12.0), circle(7, 20.0)])
    assert metrics.min_separation(record) == pytest.approx(2 * 12.0 * math.sin(math.pi / 7))


def test_separation_of_a_real_mission_is_that_of_all_pairs(flown):
    where = flown.by_tick("x_m", "y_m")
    pairs = itertools.combinations(range(6), 2)
    smallest = min(np.linalg.norm(where[:, i] - where[:, j], axis=1).min() for i, j in pairs)
    assert metrics.min_separation(flown) == pytest.approx(smallest, rel=1e-12)


def test_no_separation_of_a_single_agent_and_of_those_that_left(record_by_hand):
    assert metrics.min_separation(record_by_hand(np.zeros((4, 1, 2)))) is None
    active = np.array([[0, 0], [1, 1], [1, 0]], dtype=bool)
    where = [[[0, 0], [50, 0]], [[0, 0], [40, 0]], [[39, 0], [40, 0]]]
    assert metrics.min_separation(record_by_hand(where, active=active)) == 40.0


def test_paths_speed_and_energy(record_by_hand):
    where = np.array([[[0, 0], [5, 5]], [[3, 4], [5, 5]], [[3, 4], [5, 13]]], dtype=float)
    record = record_by_hand(where)
    assert metrics.path_lengths(record) == pytest.approx([5.0, 8.0])
    assert metrics.top_speed(record) == 8.0 / 0.5
    assert metrics.control_energy(record) == pytest.approx(2 * 2 * 2.0**2 * 0.5)


def test_a_circle_has_the_length_of_its_chords(record_by_hand):
    lap = np.vstack([circle(90), circle(90)[:1]])
    record = record_by_hand(lap[:, None])
    assert metrics.path_lengths(record)[0] == pytest.approx(90 * 2 * 30 * math.sin(math.pi / 90))


def test_summary_of_a_mission_without_a_single_step(record_by_hand):
    summary = record_by_hand(np.zeros((1, 2, 2))).summary()
    assert summary["n_steps"] == 0
    assert [summary[name] for name in ("w2_m", "w2_method", "sliced_w2_m", "ergodic_metric")] == [None] * 4
    assert (summary["path_length_m"], summary["top_speed_m_s"], summary["min_separation_m"]) == (0.0, 0.0, 0.0)


def test_the_summary_agrees_with_the_tables(flown):
    summary = flown.summary()
    assert summary["n_steps"] == flown.n_ticks - 1 == 60
    assert summary["n_messages"] == len(flown.messages["tick"])
    assert summary["message_bytes"] == flown.messages["bytes"].sum()
    assert summary["message_entries"] == flown.messages["entries"].sum()
    assert summary["path_length_m"] == pytest.approx(metrics.path_lengths(flown).sum())
    assert summary["longest_path_m"] == metrics.path_lengths(flown).max()
    assert summary["n_samples"] + summary["n_samples_removed"] == 250
    assert summary["top_speed_m_s"] <= 8.0 * (1 + 1e-9)
    assert summary["timing"]["compute_time_per_agent_step_us"] > 0


def test_messages_are_only_between_those_in_range(flown):
    where = flown.by_tick("x_m", "y_m")
    tick, sender, receiver = (flown.messages[name] for name in ("tick", "sender", "receiver"))
    said = tick - 1  # what is heard in a step was said one step before
    apart = np.linalg.norm(where[said, sender] - where[said, receiver], axis=1)
    assert len(tick) > 0
    assert apart.max() < 20.0
