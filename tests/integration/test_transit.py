"""Take-off and landing around a mission: the mission itself is the same, and nothing is sprayed outside it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from d2oc import load_scenario, simulate
from d2oc.errors import ScenarioError
from d2oc.field import ring_contains
from d2oc.phases import Phase
from d2oc.transit import ACCELERATION, towards

SHORT = {"control.law": "closed-form", "mission.duration_s": 12.0, "sampling.n_samples": 300}
ORDER = [Phase.GROUND, Phase.TAKE_OFF, Phase.TRANSIT, Phase.MISSION, Phase.RETURN, Phase.LANDING, Phase.GROUND]


def flown(name="six_drones", runtime="auto", **changes):
    return simulate(load_scenario(name, overrides=SHORT | changes), runtime=runtime)


def column(record, name):
    return record.by_tick(name)[:, :, 0]


def phases_of(record, agent):
    return [Phase(int(phase)) for phase, _ in itertools.groupby(column(record, "phase")[:, agent])]


def mission_of(record):
    """Rows of the mission, without those columns that only a flight from and to the ground has."""
    on = record.trajectory["phase"] == Phase.MISSION
    extra = ("phase", "height_m", "tick", "time_s")
    return {name: values[on] for name, values in record.trajectory.items() if name not in extra}


@pytest.mark.parametrize("runtime", ["arrays", "inline"])
@pytest.mark.parametrize("model", ["single-integrator", "double-integrator", "quadrotor"])
def test_in_the_ideal_world_the_mission_is_that_of_drones_which_begin_in_the_air(runtime, model):
    changes = {"vehicle": {"model": model}, "control.horizon_steps": 10, "control.terminal_cost": "dare"}
    plain = flown(runtime=runtime, **changes)
    whole = flown(runtime=runtime, transit={}, **changes)
    started = plain.trajectory["tick"] > 0
    for name, values in mission_of(whole).items():
        np.testing.assert_array_equal(values, plain.trajectory[name][started], err_msg=name)
    np.testing.assert_array_equal(whole.consumption["amount"], plain.consumption["amount"])
    np.testing.assert_array_equal(whole.messages["bytes"], plain.messages["bytes"])
    assert whole.summary()["w2_m"] == plain.summary()["w2_m"]


def test_everyone_goes_through_all_phases_and_stands_at_home_in_the_end():
    home = [[10.0, 90.0], [50.0, 50.0], [90.0, 90.0], [30.0, 20.0], [60.0, 10.0], [80.0, 30.0]]
    record = flown(**{"transit.home_m": home})
    assert all(phases_of(record, agent) == ORDER for agent in range(6))
    place = record.by_tick("x_m", "y_m")
    np.testing.assert_array_equal(place[0], home)
    np.testing.assert_allclose(place[-1], home, atol=0.3)
    assert (column(record, "height_m")[[0, -1]] == 0.0).all()
    outside = column(record, "phase") != Phase.MISSION
    assert not column(record, "active")[outside].any()
    assert not column(record, "consumed")[outside].any()


def test_nobody_sets_out_or_lands_under_another():
    record = flown(**{"transit.home_m": [[10.0 * i, 10.0 * i + 5.0] for i in range(6)]})
    phase, height = column(record, "phase"), column(record, "height_m")
    moving = np.isin(phase, (Phase.TRANSIT, Phase.MISSION, Phase.RETURN))
    assert (height[moving] == np.broadcast_to(height.max(axis=0), height.shape)[moving]).all()
    assert len(np.unique(height.max(axis=0))) == 6


def test_ways_out_and_home_lead_around_zones():
    wall = {"name": "wall", "boundary_m": [[40.0, 20.0], [60.0, 20.0], [60.0, 70.0], [40.0, 70.0]]}
    record = flown(
        **{
            "field.no_fly_zones": [wall],
            "team": {"n_agents": 2, "start_m": [[20.0, 40.0], [80.0, 50.0]]},
            "transit.home_m": [[80.0, 40.0], [20.0, 60.0]],
            "control.law": "mission-plan",  # which keeps out of zones on its mission
        }
    )
    place = record.by_tick("x_m", "y_m")
    zone = np.array(wall["boundary_m"])
    beyond = np.isin(column(record, "phase"), (Phase.TRANSIT, Phase.RETURN))
    for agent in range(2):
        legs = np.stack([place[:-1, agent], place[1:, agent]], axis=1)[beyond[1:, agent]]
        assert len(legs) > 100
        along = np.linspace(0.0, 1.0, 11)[:, None, None]
        assert not ring_contains(zone, ((1 - along) * legs[:, 0] + along * legs[:, 1]).reshape(-1, 2)).any()


def test_bodies_take_off_in_wind_and_land_where_they_began_and_spray_on_the_mission_only():
    record = simulate(load_scenario("sprayers_in_wind", overrides={"mission.duration_s": 10.0}))
    assert record.summary()["lost_agents"] == []
    assert all(phases_of(record, agent) == ORDER for agent in range(6))
    place, height, liquid = record.by_tick("x_m", "y_m"), column(record, "height_m"), column(record, "liquid_l")
    assert np.linalg.norm(place[-1] - place[0], axis=1).max() < 1.5  # what satellites drift
    np.testing.assert_allclose(height[-1], height[0], atol=0.02)
    used = -np.diff(liquid, axis=0)
    on_mission = column(record, "phase")[1:] == Phase.MISSION
    assert not used[~on_mission].any()
    assert (used[on_mission] > 0.0).all()


def test_who_crashed_lies_and_the_others_land():
    record = flown(faults=[{"agents": [2], "what": "crash", "at_s": 4.0}], transit={})
    phase = column(record, "phase")
    assert phase[-1].tolist() == [Phase.GROUND] * 2 + [Phase.LOST] + [Phase.GROUND] * 3


def test_one_home_for_each_agent_inside_the_field():
    with pytest.raises(ScenarioError, match=r"transit\.home_m has 1 places, but the team has 6 agents"):
        flown(**{"transit.home_m": [[1.0, 1.0]]})
    with pytest.raises(ScenarioError, match=r"transit\.home_m\[5\] = \[500, 1\] must be inside the field"):
        flown(**{"transit.home_m": [[1.0, 1.0]] * 5 + [[500.0, 1.0]]})


@pytest.mark.parametrize("distance", [0.01, 0.4, 3.0, 250.0])
def test_on_the_way_speed_and_acceleration_are_kept_and_it_ends_at_rest_at_the_place(distance):
    place, velocity, goal, dt = np.zeros(2), np.zeros(2), np.array([0.6, 0.8]) * distance, 0.1
    for _ in range(int(distance / 5.0 / dt) + 300):
        after = towards(place, goal, velocity, 5.0, dt)
        assert np.linalg.norm(after) <= 5.0 + 1e-12
        assert np.linalg.norm(after - velocity) <= ACCELERATION * dt + 1e-12
        place, velocity = place + dt * after, after
        assert place @ goal <= distance**2 + 1e-9
    np.testing.assert_allclose(place, goal, atol=1e-9)
    np.testing.assert_allclose(velocity, 0.0, atol=1e-9)
