"""Limits inside the optimisation in flight: zones, neighbours, agents that have ended, gusts, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc import simulate
from d2oc.control.law import tracking_problem
from d2oc.control.limits_inside import LimitsInside, braking_of
from d2oc.errors import ScenarioError
from d2oc.field import ring_contains
from d2oc.metrics import n_fallbacks
from d2oc.record import DRIFTED, EVENT_CODES
from d2oc.scenario.load import load_scenario, validate
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, double_integrator, quadrotor, single_integrator
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.ideal import IdealWorld

WALL = [[38.0, 20], [42, 20], [42, 81], [38, 81]]
"""Leaves a way in the south only."""


def mission(**changes):
    data = {
        "name": "try",
        "field": {"width_m": 80.0, "height_m": 80.0},
        "density": {"kind": "mixture", "components": [{"mean_m": [60.0, 60.0], "sigma_m": 5.0}]},
        "sampling": {"n_samples": 200},
        "team": {"n_agents": 2, "start_m": [[10.0, 60.0], [10.0, 40.0]], "separation_m": 2.0},
        "vehicle": {"model": "double-integrator", "max_acceleration_m_s2": 4.0, "max_speed_m_s": 6.0},
        "control": {"limits": "optimised", "terminal_cost": "dare", "plan_rounds": 1, "plan_routes": 2},
        "mission": {"duration_s": 30.0, "time_step_s": 0.25},
        "radio": {"comm_range_m": 60.0},
    }
    for key, value in changes.items():
        table, name = key.split("__")
        data[table] = {**data[table], name: value}
    return validate(data, "try")


def closest(record):
    position = record.by_tick("x_m", "y_m")
    return np.linalg.norm(position[:, 0] - position[:, 1], axis=1).min()


def ways_flown(record, r, parts=9):
    position = record.by_tick("x_m", "y_m")[:, r]
    share = np.linspace(0, 1, parts)[:, None, None]
    return (position[:-1] + share * np.diff(position, axis=0)).reshape(-1, 2)


@pytest.mark.parametrize("law", ["closed-form", "mission-plan"])
def test_a_patch_behind_a_wall_is_reached_around_it(law):
    scenario = mission(field__no_fly_zones=[{"name": "wall", "boundary_m": WALL}], control__law=law)
    record = simulate(scenario)
    for r in range(2):
        flown = ways_flown(record, r)
        inside = (flown[:, 0] >= 38) & (flown[:, 0] <= 42) & (flown[:, 1] >= 20)
        assert not inside.any()
        assert (flown[-1] > 42).any()
        assert np.linalg.norm(flown[-1] - [60, 60]) < 25
    assert closest(record) >= 2.0


@pytest.mark.parametrize("gap", [42.6, 42.8, 43.0, 44.4])
@pytest.mark.parametrize(("runtime", "later_m"), [("arrays", 0.0), ("inline", 2 * 1.01 * 6.0 * 0.25)])
def test_ways_of_two_that_first_hear_each_other_at_top_speed_are_apart(runtime, later_m, gap, monkeypatch):
    """Head on, with a radio that reaches just so far that they end a step short of it: the first place counts too."""
    ways = {}
    decide = LimitsInside.decide

    def noting(self, k, crew):
        decide(self, k, crew)
        ways.setdefault(k, []).extend(way.positions for way in self._way)

    monkeypatch.setattr(LimitsInside, "decide", noting)
    gap += later_m
    scenario = mission(
        field__width_m=200.0,
        density__components=[{"mean_m": [100.0, 40.0], "sigma_m": 1.0}],
        team__start_m=[[100 - gap / 2, 40.0], [100 + gap / 2, 40.0]],
        control__law="closed-form",
        control__horizon_steps=8,
        radio__comm_range_m=21.96 + later_m,
        mission__duration_s=5.0,
    )
    record = simulate(scenario, runtime=runtime)
    apart = [np.linalg.norm(one - other, axis=1).min() for one, other in ways.values()]
    assert min(apart) >= 2.0 + 1.01 * 6.0 * 0.25
    assert closest(record) >= 2.0


def test_who_has_ended_is_kept_away_from():
    """The first ends soon, on the straight way of the second to the patch."""
    scenario = mission(
        team__n_agents=None,
        team__start_m=[[40.0, 60.0], [10.0, 60.0]],
        team__groups=[{"n_agents": 1, "duration_s": 1.0}, {"n_agents": 1}],
    )
    record = simulate(scenario)
    position, active = record.by_tick("x_m", "y_m"), record.by_tick("active")[:, :, 0]
    assert not active[5:, 0].any()
    assert np.linalg.norm(np.diff(position[20:, 0], axis=0), axis=1).max() < 1e-6
    assert position[-1, 1, 0] > position[-1, 0, 0]
    assert closest(record) >= 2.0


def test_who_ends_in_flight_comes_to_rest_as_a_vehicle_can():
    scenario = mission(team__n_agents=1, team__start_m=[[10.0, 60.0]], mission__duration_s=4.0)
    other = mission(
        team__n_agents=None, team__groups=[{"n_agents": 1, "duration_s": 4.0}, {"n_agents": 1, "duration_s": 10.0}]
    )
    speed = simulate(scenario).trajectory["state_1"]
    assert speed[-1] > 3.0
    velocity = simulate(other).by_tick("state_1", "state_3")[:, 0]
    assert np.linalg.norm(velocity[16]) > 3.0
    assert np.linalg.norm(np.diff(velocity[16:], axis=0), axis=1).max() <= 4.0 * 0.25 + 1e-9
    assert np.linalg.norm(velocity[-1]) < 0.02


class Gusts(IdealWorld):
    """Moves agent 0 by half a metre now and then."""

    def __init__(self, setup):
        super().__init__(motion_arrays(setup.models), setup.kind)

    def advance(self, k, state, command, active):
        super().advance(k, state, command, active)
        if k % 10 == 5:
            state[0, 0] -= 0.5


def test_gusts_are_noted_and_recovered_from():
    record = simulate(mission(), world_of=Gusts)
    events = record.events
    drifted = events["code"] == DRIFTED
    assert drifted.any()
    assert set(events["agent"][drifted]) == {0}
    assert set(events["tick"][drifted] % 10) == {7}
    assert set(events["code"]) <= set(EVENT_CODES)
    assert n_fallbacks(record) == record.summary()["n_fallbacks"] >= drifted.sum()
    assert np.linalg.norm(record.by_tick("x_m", "y_m")[-1, 0] - [60, 60]) < 25


def test_fallbacks_are_written_and_read(tmp_path):
    """Two drones that want the same small patch, one of them blown about, get into each other's way."""
    scenario = mission(team__start_m=[[40.0, 60.0], [78.0, 60.0]], control__horizon_steps=4)
    flown = simulate(scenario, world_of=Gusts)
    read = simulate(scenario, out=tmp_path / "run", world_of=Gusts)
    assert flown.digest() == read.digest()
    assert len(read.events["code"]) > 0
    assert closest(read) >= 2.0


def test_a_command_that_nothing_limits_is_that_of_the_law():
    """Far from everything, with time to go, the first commands are those of the clamped law until a limit binds."""
    vehicle = {"model": "double-integrator", "max_acceleration_m_s2": 1e3, "max_speed_m_s": 1e3}
    small = {"vehicle": vehicle, "density__components": [{"mean_m": [30.0, 40.0], "sigma_m": 1.0}]}
    team = {"team__n_agents": 1, "team__start_m": [[29.0, 40.0]], "team__separation_m": 0.0, "field__width_m": 8e3}
    del small["vehicle"]
    changes = {f"vehicle__{key}": value for key, value in vehicle.items()}
    far = {"field__width_m": None, "field__height_m": None}
    ring = [[-4e3, -4e3], [4e3, -4e3], [4e3, 4e3], [-4e3, 4e3]]
    common = {**small, **team, **changes, **far, "field__boundary_m": ring, "mission__duration_s": 5.0}
    inside = simulate(mission(**common))
    clamped = simulate(mission(**common, control__limits="clamped"))
    assert np.allclose(
        inside.trajectory["input_0"][1:], clamped.trajectory["input_0"][1:], atol=1e-6 * 1e3, equal_nan=True
    )
    assert inside.by_tick("x_m")[-1] == pytest.approx(clamped.by_tick("x_m")[-1], abs=1e-3)


REFUSED = [
    ({"mission__order": "sequential"}, 'mission.order = "sequential" goes with control.limits = "clamped" only'),
    ({"control__limits": "clamped"}, "team.separation_m = 2 m is kept with"),
    ({"vehicle__max_speed_m_s": float("inf")}, "needs a finite vehicle.max_speed_m_s"),
    ({"team__start_m": [[10.0, 60.0], [10.0, 63.0]]}, "agents 0 and 1 start 3.00 m apart, must be at least 3.5"),
    ({"radio__comm_range_m": 5.0}, "radio.comm_range_m = 5 m must be at least"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ScenarioError) as error:
        simulate(mission(**changes))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


TILTING = Limits(input_each=0.1, speed_each=3.0, state_each=np.array([np.inf, np.inf, 0.35, 1.6] * 2))
STOPS = [
    (single_integrator(0.2, Limits(input_norm=5.0)), 0.0, 0.0),
    (double_integrator(0.2, Limits(input_norm=3.0, speed_norm=6.0)), 6.0, 7.5),
    (quadrotor(0.1, np.array([0.0075]), TILTING), 9.0 / 2 / (9.81 * 0.35), 5.0),
]
"""Model, v^2 / 2a at the largest deceleration, and what tilting, steps and the polygon may add to it."""


@pytest.mark.parametrize(("model", "least", "most"), STOPS, ids=[model.name for model, _, _ in STOPS])
def test_every_vehicle_stops_about_as_short_as_it_can(model, least, most):
    time_step = 0.1 if model.name == "quadrotor" else 0.2
    ready = braking_of(model, tracking_problem(model, ControlTable(terminal_cost="dare"), 1e-3), 15, time_step, "try")
    assert least - 1e-9 <= ready.stopping_distance <= most


@pytest.mark.parametrize(
    ("law", "runtime"), [("closed-form", "arrays"), ("closed-form", "inline"), ("mission-plan", "inline")]
)
def test_nobody_sits_in_front_of_the_pond(law, runtime):
    """The shipped 20 ha field with all weight on the far side of its pond: nobody rests at a corner of it either."""
    changes = {
        "density.components": [{"mean_m": [325.0, 300.0], "sigma_m": 10.0}],
        "density.background": 0.0,
        "sampling.n_samples": 300,
        "team.n_agents": 2,
        "team.start_m": [[320.0, 195.0], [330.0, 185.0]],
        "team.separation_m": 2.0,
        "control.law": law,
        "control.limits": "optimised",
        "control.plan_rounds": 1,
        "control.plan_routes": 2,
        "mission.duration_s": 60.0,
    }
    record = simulate(load_scenario("field_20ha", overrides=changes), runtime=runtime)
    pond = np.array(record.header.no_fly_zones_m[0])
    for r in range(2):
        flown = ways_flown(record, r)
        assert not ring_contains(pond, flown).any()
        away = np.linalg.norm(record.by_tick("x_m", "y_m")[:, r] - [325, 300], axis=1)
        assert away[60:].max() < 40  # after 30 s: a way of 130 m at 7 m/s, and some time to start and to turn
    assert n_fallbacks(record) < 10
    assert closest(record) >= 2.0
