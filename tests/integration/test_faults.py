"""What fails for good: the team carries on with what it knows, and the survivors take over."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc import load_scenario, simulate
from d2oc.control import team_knowledge
from d2oc.errors import RuntimeUnavailableError, ScenarioError

LOST, AT_S, STEP_S = 2, 12.0, 0.2


def scenario_with(*faults, **changes):
    base = {
        "mission.duration_s": 40.0,
        "sampling.n_samples": 400,
        "control.plan_routes": 2,
        "control.plan_rounds": 2,
        "radio.comm_range_m": 60.0,
        "faults": list(faults),
    }
    return load_scenario("six_drones", overrides={**base, **changes})


def fault(what):
    return {"what": what, "agents": [LOST], "at_s": AT_S}


@pytest.fixture(scope="module")
def whole():
    """Nothing fails."""
    return simulate(scenario_with(), runtime="inline")


def taken_over(record, whole):
    """Share of what the lost agent would have treated after its fault that others treated instead."""
    late = (whole.consumption["agent"] == LOST) & (whole.consumption["tick"] > AT_S / STEP_S + 1)
    n = whole.header.n_samples
    theirs = np.bincount(whole.consumption["sample"][late], whole.consumption["amount"][late], n)
    others = record.consumption["agent"] != LOST
    got = np.bincount(record.consumption["sample"][others], record.consumption["amount"][others], n)
    before = whole.consumption["agent"] != LOST
    got -= np.bincount(whole.consumption["sample"][before], whole.consumption["amount"][before], n)
    return float(np.minimum(np.maximum(got, 0.0), theirs).sum() / theirs.sum())


@pytest.mark.parametrize("runtime", ["inline", "arrays"])
def test_survivors_take_over_from_one_that_crashed(whole, monkeypatch, runtime):
    record = simulate(scenario_with(fault("crash")), runtime=runtime)
    after = record.by_tick("x_m", "y_m", "active", "consumed")[int(AT_S / STEP_S) + 1 :, LOST]
    assert (after[:, :2] == after[0, :2]).all()
    assert not after[:, 2:].any()
    assert taken_over(record, whole) > 0.3
    lost = record.summary()["lost_agents"]
    assert [(one["agent"], one["reason"]) for one in lost] == [(LOST, "crashed, as the scenario has it")]
    monkeypatch.setattr(team_knowledge, "SILENT_STEPS", 10**6)  # nobody notices
    blind = simulate(scenario_with(fault("crash")), runtime=runtime)
    assert taken_over(blind, whole) < 0.02


def test_one_without_gps_gives_up_and_says_so(whole, monkeypatch):
    monkeypatch.setattr(team_knowledge, "SILENT_STEPS", 10**6)  # its own word is enough
    record = simulate(scenario_with(fault("gps")))
    assert record.provenance["runtime"] == "inline"
    tick = int(AT_S / STEP_S)
    assert not record.by_tick("active")[tick + 1 :, LOST].any()
    assert record.by_tick("active")[tick, LOST].all()
    said = record.messages["tick"][record.messages["sender"] == LOST]
    assert said.max() > tick + 50  # it still passes news on
    assert taken_over(record, whole) > 0.3


def test_one_whose_radio_died_goes_on_alone(whole):
    record = simulate(scenario_with(fault("radio")))
    heard = record.messages
    of_it = (heard["sender"] == LOST) | (heard["receiver"] == LOST)
    assert heard["tick"][of_it].max() <= AT_S / STEP_S + 1
    assert record.by_tick("active")[-1, LOST].all()
    assert record.by_tick("consumed").sum() == pytest.approx(1.0, abs=0.02)
    assert taken_over(record, whole) > 0.2  # the others cannot know that it goes on


def test_faults_fly_in_every_law():
    changes = {"control.law": "closed-form", "assignment.method": "semi-discrete", "mission.duration_s": 20.0}
    lost = simulate(scenario_with(fault("gps"), **changes))
    none = simulate(scenario_with(**changes), runtime="inline")
    assert lost.by_tick("consumed")[:, LOST].sum() < none.by_tick("consumed")[:, LOST].sum()
    assert np.isfinite(lost.summary()["w2_m"])


def test_what_cannot_fail_is_refused():
    with pytest.raises(RuntimeUnavailableError, match="GPS"):
        simulate(scenario_with(fault("gps")), runtime="arrays")
    with pytest.raises(ScenarioError, match=r"faults\[0\].agents has 6, must be below 6"):
        scenario_with({"what": "crash", "agents": [6], "at_s": 1.0})
