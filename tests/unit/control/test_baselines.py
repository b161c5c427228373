"""What every baseline must do, whichever it is: obey limits, stay inside, fly its whole time, be reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc import simulate
from d2oc.control.baselines import BASELINES
from d2oc.errors import ScenarioError
from d2oc.field import Field, NoFlyZone
from d2oc.scenario.load import validate

SQUARE = {"width_m": 60.0, "height_m": 60.0}
CRANKED = {
    "boundary_m": [[0, 0], [80, 0], [80, 40], [50, 40], [50, 70], [0, 60]],
    "no_fly_zones": [{"name": "pond", "boundary_m": [[15, 20], [30, 15], [35, 35], [18, 38]]}],
}
SINGLE = {"model": "single-integrator", "max_speed_m_s": 6.0}
DOUBLE = {"model": "double-integrator", "max_speed_m_s": 6.0, "max_acceleration_m_s2": 3.0}
QUADROTOR = {"model": "quadrotor", "max_speed_m_s": 6.0, "max_tilt_deg": 20.0}


def scenario(law, vehicle=SINGLE, field=SQUARE, seed=3, **more):
    control = {"law": law, "terminal_cost": "dare", "grid_cells": 32, "modes": 10}
    return validate(
        {
            "name": "test",
            "seed": seed,
            "field": field,
            "density": {
                "kind": "mixture",
                "background": 0.2,
                "components": [{"mean_m": [12, 50], "sigma_m": 6.0}, {"mean_m": [45, 15], "sigma_m": 8.0}],
            },
            "sampling": {"n_samples": 200},
            "team": {"n_agents": 3},
            "vehicle": vehicle,
            "control": control,
            "mission": {"duration_s": 60.0, "time_step_s": 0.25},
            "radio": {"comm_range_m": 30.0},
            **more,
        },
        "test",
    )


def field_of(record):
    zones = tuple(NoFlyZone("zone", np.array(zone)) for zone in record.header.no_fly_zones_m)
    return Field(np.array(record.header.boundary_m), zones)


@pytest.mark.parametrize("field", [SQUARE, CRANKED], ids=["square", "cranked"])
@pytest.mark.parametrize("vehicle", [SINGLE, DOUBLE], ids=["single", "double"])
@pytest.mark.parametrize("law", BASELINES)
def test_stays_inside_within_limits_for_the_whole_operation(law, vehicle, field):
    record = simulate(scenario(law, vehicle, field))
    position = record.by_tick("x_m", "y_m")
    between = np.concatenate([(1 - share) * position[:-1] + share * position[1:] for share in np.linspace(0, 1, 9)])
    assert field_of(record).contains(between.reshape(-1, 2)).all()
    velocity = np.diff(position, axis=0) / 0.25
    assert np.linalg.norm(velocity, axis=2).max() <= 6.0 * (1 + 1e-9)
    inputs = np.stack([v for name, v in record.trajectory.items() if name.startswith("input_")], axis=1)
    limit = 6.0 if vehicle is SINGLE else 3.0
    assert np.nanmax(np.linalg.norm(inputs, axis=1)) <= limit * (1 + 1e-9)
    assert record.by_tick("active")[1:].all()
    assert len(position) == 241


@pytest.mark.parametrize("law", BASELINES)
def test_stages_b_and_c_go_on(law):
    """Every step consumes alpha while the belief lasts, and neighbours in range exchange messages."""
    record = simulate(scenario(law, radio={"comm_range_m": float("inf")}))
    alpha = record.header.agents[0].alpha
    assert record.by_tick("consumed")[1:200, :, 0] == pytest.approx(alpha, abs=1e-12)
    assert len(record.messages["tick"]) == 240 * 6


@pytest.mark.parametrize("law", BASELINES)
def test_reproducible(law):
    first, second = (simulate(scenario(law)).digest() for _ in range(2))
    assert first == second


def test_random_waypoints_follow_the_seed_and_no_other_agent():
    def places(seed, n_agents):
        record = simulate(scenario("random", seed=seed, team={"n_agents": n_agents}))
        return record.by_tick("x_m", "y_m")

    assert not np.array_equal(places(3, 3), places(4, 3))
    assert np.array_equal(places(3, 3), places(3, 5)[:, :3])


@pytest.mark.parametrize("law", BASELINES)
def test_quadrotor_flies_within_limits_and_comes_back_when_it_slips_out(law):
    record = simulate(scenario(law, QUADROTOR))
    position = record.by_tick("x_m", "y_m")
    assert np.abs(record.by_tick("state_2", "state_6")).max() <= np.deg2rad(20.0) * (1 + 1e-9)
    assert np.abs(record.by_tick("state_1", "state_5")).max() <= 6.0 * (1 + 1e-9)
    assert position.min() > -1.0
    assert position.max() < 61.0


def test_unequal_teams_keep_their_own_limits():
    groups = [{"n_agents": 2}, {"n_agents": 1, "duration_s": 30.0, "vehicle": DOUBLE | {"max_speed_m_s": 3.0}}]
    record = simulate(scenario("smc", team={"groups": groups}))
    speed = np.linalg.norm(np.diff(record.by_tick("x_m", "y_m"), axis=0), axis=2) / 0.25
    assert speed[:, :2].max() == pytest.approx(6.0)
    assert speed[:, 2].max() <= 3.0 * (1 + 1e-9)
    assert not record.by_tick("active")[121:, 2].any()


def test_sentences_on_what_a_baseline_needs():
    with pytest.raises(ScenarioError, match=r'control\.law = "smc" needs a speed: give vehicle\.max_speed_m_s'):
        scenario("smc", {"model": "single-integrator"})
    with pytest.raises(
        ScenarioError, match=r'mission\.order = "sequential" goes with control\.law = "closed-form" only'
    ):
        scenario("lloyd", mission={"duration_s": 10.0, "order": "sequential"})
    group = {"n_agents": 2, "control": {"law": "closed-form"}}
    with pytest.raises(
        ScenarioError, match=r'team\.groups\[0\]\.control\.law = "closed-form" must be that of the team'
    ):
        scenario("hedac", team={"groups": [group]})


def test_cruise_speed_is_used_and_never_above_the_vehicle():
    slow = scenario("random", control={"law": "random", "cruise_speed_m_s": 2.0})
    legs = np.linalg.norm(np.diff(simulate(slow).by_tick("x_m", "y_m"), axis=0), axis=2) / 0.25
    assert legs.max() == pytest.approx(2.0)
    fast = scenario("random", control={"law": "random", "cruise_speed_m_s": 99.0})
    legs = np.linalg.norm(np.diff(simulate(fast).by_tick("x_m", "y_m"), axis=0), axis=2) / 0.25
    assert legs.max() == pytest.approx(6.0)
