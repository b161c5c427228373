"""Which runtime flies a mission by itself, and where all of them fly the same."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc import load_scenario, simulate

SHORT = {"mission.duration_s": 20.0, "sampling.n_samples": 300}
WITHIN_LIMITS = {"control.limits": "optimised", "team.separation_m": 2.0, "radio.comm_range_m": float("inf")}


def flown(runtime="auto", name="six_drones", **changes):
    return simulate(load_scenario(name, overrides=SHORT | changes), runtime=runtime)


@pytest.mark.parametrize("changes", [{}, WITHIN_LIMITS], ids=["as shipped", "limits inside, apart"])
def test_agents_that_learn_by_messages_fly_and_treat_what_agents_on_shared_arrays_do(changes):
    apart, shared = flown("inline", **changes), flown("arrays", **changes)
    assert len(apart.consumption["sample"]) > 200
    for name in ("x_m", "y_m", "consumed", "active"):
        np.testing.assert_array_equal(apart.trajectory[name], shared.trajectory[name], err_msg=name)
    for name, values in apart.consumption.items():
        np.testing.assert_array_equal(values, shared.consumption[name], err_msg=name)


@pytest.mark.parametrize(
    ("changes", "runtime"),
    [
        ({}, "inline"),
        ({"radio.loss": 0.1}, "inline"),
        ({"team.n_agents": 17, "control.law": "closed-form"}, "arrays"),
        ({"team.n_agents": 17, "control.law": "closed-form", "radio.loss": 0.1}, "inline"),
        ({"control.law": "lawnmower"}, "arrays"),
        ({"control.law": "closed-form", "mission.order": "sequential"}, "arrays"),
    ],
    ids=["small team", "loss", "large team", "large team, loss", "baseline", "in sequence"],
)
def test_what_flies_if_nothing_is_said(changes, runtime):
    assert flown(**{"mission.duration_s": 2.0} | changes).provenance["runtime"] == runtime
