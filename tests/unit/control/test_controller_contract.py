"""What every law must keep, whichever it is: one contract for all."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest

from d2oc.mission import simulate
from d2oc.scenario import load_scenario
from d2oc.scenario.schema import BaselineLaw

LAWS = {
    "closed-form": (),
    "cells": ("assignment.method=semi-discrete",),
    "mission-plan": ("control.law=mission-plan", "control.plan_rounds=1", "control.plan_routes=2"),
    **{law: (f"control.law={law}",) for law in get_args(BaselineLaw)},
}

UNEQUAL = {
    "mission.duration_s": 12.0,
    "mission.time_step_s": 0.4,
    "sampling.n_samples": 400,
    "team.n_agents": None,
    "team.groups": [{"n_agents": 2}, {"n_agents": 1, "duration_s": 6.0, "capacity": 2.0}],
}
"""Two alike and one that has twice the flow and half the time."""


def fly(law):
    base = load_scenario("six_drones", overrides=("control.law=closed-form", *LAWS[law]))
    groups = load_scenario_with_groups(base)
    return simulate(groups)


def load_scenario_with_groups(base):
    data = base.model_dump(mode="json", exclude_none=True)
    for key, value in UNEQUAL.items():
        table, name = key.split(".")
        if value is None:
            data[table].pop(name, None)
        else:
            data[table][name] = value
    return type(base).model_validate_json(json.dumps(data))


@pytest.fixture(scope="module", params=LAWS)
def flight(request):
    return request.param, fly(request.param)


def test_whoever_is_active_has_a_finite_input_and_goal_and_stops_at_the_end_of_its_time(flight):
    _, record = flight
    active = record.by_tick("active")[1:, :, 0].astype(bool)
    assert active[:, :2].any()
    assert not active[15:, 2].any()
    values = record.by_tick("input_0", "input_1", "goal_x_m", "goal_y_m")[1:]
    assert np.isfinite(values[active]).all()
    position = record.by_tick("x_m", "y_m")
    assert np.array_equal(position[16:, 2], np.broadcast_to(position[15, 2], position[16:, 2].shape))


def test_nobody_consumes_more_than_the_mass_of_a_step_or_than_there_is(flight):
    _, record = flight
    alpha = np.array([agent.alpha for agent in record.header.agents])
    consumed = record.by_tick("consumed")[:, :, 0]
    assert (consumed <= alpha * (1 + 1e-12)).all()
    by_agent = np.zeros((3, record.header.n_samples))
    table = record.consumption
    np.add.at(by_agent, (table["agent"], table["sample"]), table["amount"])
    assert (by_agent <= record.samples["weight"] * (1 + 1e-12)).all()
    assert consumed.sum() == pytest.approx(by_agent.sum(), rel=1e-12)


def test_limits_of_the_vehicle_hold(flight):
    _, record = flight
    inputs = record.by_tick("input_0", "input_1")[1:]
    assert np.nanmax(np.linalg.norm(inputs, axis=2)) <= 4.0 * (1 + 1e-9)
    steps = np.linalg.norm(np.diff(record.by_tick("x_m", "y_m"), axis=0), axis=2)
    assert steps.max() <= 8.0 * 0.4 * (1 + 1e-9)


def test_the_same_scenario_gives_the_same_record(flight):
    law, record = flight
    assert fly(law).digest() == record.digest()
