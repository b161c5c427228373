"""What is known before take-off travels as plain bytes: whole, and nothing but what is listed can come of them."""

from __future__ import annotations

import base64
import pickle
import random

import numpy as np
import pytest

from d2oc.agent import Agent, Observation
from d2oc.memory import packed
from d2oc.mission import prepare, prepare_farm
from d2oc.runtime.agents import ground_of_team
from d2oc.scenario import load_scenario
from d2oc_hardware.drone_process import agents_of
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.plain import VERSION, as_text, from_text

DRIFT = ["density.motion.kind=drift", "density.motion.velocity_m_s=[0.3, 0.1]"]
LAWS = (
    ["control.law=mission-plan"], ["control.law=closed-form"], ["control.law=closed-form", "control.limits=optimised"],
    ["control.law=closed-form", "assignment.method=semi-discrete"], ["control.law=mission-plan", *DRIFT],
    ["control.law=closed-form", *DRIFT],
)  # fmt: skip


@pytest.mark.parametrize("law", LAWS)
def test_an_agent_that_has_travelled_flies_as_before(law):
    changes = ["team.n_agents=3", "mission.duration_s=8", "sampling.n_samples=200", *law]
    scenario = load_scenario("field_20ha", overrides=changes)
    prepared = prepare(scenario)
    setup, ground = agents_of(scenario, prepared)[1], ground_of_team(prepared.setup)
    text = as_text(setup)
    travelled = from_text(text)
    assert as_text(travelled) == text
    state = prepared.setup.initial_states[1]
    one, other = Agent(setup, ground), Agent(travelled, ground)
    for tick in range(4):
        first, second = (agent.step(Observation(tick, state.copy()), []) for agent in (one, other))
        assert np.array_equal(first.command, second.command)
        assert first.outbox == second.outbox


def test_a_spraying_plan_that_has_travelled_is_the_same(small):
    plan = prepare_farm(load_scenario(small))[1].runtime.plan
    travelled = from_text(as_text(plan))
    assert travelled.routes == plan.routes
    assert travelled.missed == plan.missed
    for own, there in zip(plan.passes, travelled.passes, strict=True):
        assert own.lines == there.lines
        assert np.array_equal(own.flow, there.flow)


def test_arrays_keep_their_layout_and_may_be_written_on():
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((3, 4), np.int32)), np.zeros((0, 2))):
        there = from_text(as_text(array))
        assert np.array_equal(there, array)
        assert (there.dtype, there.flags.c_contiguous) == (array.dtype, array.flags.c_contiguous)
        assert there.flags.writeable


def test_another_version_and_what_is_no_plan_are_refused_with_a_sentence():
    assert from_text("") is None
    newer = base64.b64encode(packed([VERSION + 1, None])).decode()
    with pytest.raises(FlightError, match=f"speaks version {VERSION + 1}"):
        from_text(newer)
    for wrong in (pickle.dumps(print), packed([VERSION, ["os.system", "true"]]), packed([VERSION, ["law", 1]])):
        with pytest.raises(FlightError, match="cannot be read"):
            from_text(base64.b64encode(wrong).decode())
    good, chance = base64.b64decode(as_text({"a": (1, 2.0, np.ones(3))})), random.Random(1)
    for _ in range(500):
        data = bytearray(good)
        data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            from_text(base64.b64encode(bytes(data)).decode())
        except FlightError:
            continue


def test_what_is_not_listed_does_not_travel():
    with pytest.raises(TypeError, match="Random is not known as plain data"):
        as_text([random.Random(1)])
