"""A part of the stress set: nothing happens that must not, and the checks would notice if it did."""

from __future__ import annotations

import json

import numpy as np
import pytest

from d2oc.benchmarks import stress


@pytest.mark.parametrize("seed", [2, 3, 5, 9, 10, 11, 12, 15, 18, 26, 111])
def test_missions_are_safe_and_every_fallback_has_its_event(seed):
    row = stress.fly(stress.scenario_of(seed))
    assert row.is_safe
    assert row.n_fallbacks <= row.n_no_plan + row.n_unproven + row.n_drifted
    assert json.loads(json.dumps(row.as_dict()))["name"] == "stress"


def test_the_checks_notice():
    ring = np.array([[4.0, 4], [6, 4], [6, 6], [4, 6]])
    start, end = np.array([[0.0, 5], [0, 0], [0, 8]]), np.array([[10.0, 5], [10, 0], [8, 0]])
    assert stress._touches(ring, start, end).tolist() == [True, False, True]
    crossing = np.array([[[0.0, 0], [10, 0]], [[10, 0], [0, 0.5]]])
    assert stress._closest(crossing).min() < 0.5
    assert stress._exits(ring, np.array([[[5.0, 5]], [[7, 5]]])) > 0


def test_without_limits_inside_the_same_missions_go_wrong():
    data = stress.scenario_of(5).model_dump(mode="json", exclude_none=True)
    data["control"]["limits"] = "clamped"
    data["team"]["separation_m"] = 0.0
    from d2oc.scenario.load import validate

    assert not stress.fly(validate(data, "clamped")).is_safe
