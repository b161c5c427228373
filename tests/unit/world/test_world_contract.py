"""What every world must do, and how a scenario asks for one."""

import sys

import numpy as np
import pytest

from d2oc.density import build_density, sample_density
from d2oc.errors import MissingExtraError, ScenarioError
from d2oc.mission import simulate
from d2oc.scenario import load_scenario, scenario_toml
from d2oc.vehicles.linear import Limits, double_integrator, lagged_integrator, single_integrator
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.bullet import BulletSetup, BulletWorld
from d2oc.world.ideal import IdealWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.wind import Wind

T = 0.1
MODELS = [
    single_integrator(T, Limits(input_norm=3.0)),
    double_integrator(T, Limits(input_norm=3.0, speed_norm=3.0)),
    lagged_integrator(T, 0.3, Limits(input_norm=3.0, speed_norm=3.0)),
]


def make(world, model):
    from d2oc.airframes.airframe import load_preset

    motion, kind = motion_arrays([model]), np.zeros(3, np.int32)
    state = np.zeros((3, model.n_states))
    state[:, model.position_states[0]] = [0.0, 20.0, 40.0]
    if world == "ideal":
        return IdealWorld(motion, kind), state
    place = np.array([[0.0, 0.0, 5.0], [20.0, 0.0, 5.0], [40.0, 0.0, 5.0]])
    rngs = [np.random.default_rng(r) for r in range(3)]
    setup = BulletSetup([model], kind, [load_preset("research-quadrotor")] * 3, np.zeros(3), np.zeros(3), place, T)
    return BulletWorld(setup, motion, Wind(0.0, 0.0, None, rngs), SatelliteReceiver(0.0, 0.0, rngs)), state


@pytest.mark.parametrize("world", ["ideal", "bullet"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
class TestContract:
    def test_active_agents_go_where_they_are_told_and_others_stay(self, world, model):
        world, state = make(world, model)
        before = state.copy()
        for k in range(20):
            command = np.tile([1.0, 2.0], (3, 1))
            world.advance(k, state, command, np.array([True, False, True]))
        moved = (state - before)[:, list(model.position_states)]
        assert moved[0, 0] > 0.3
        assert moved[0, 1] > 0.6
        assert moved[2] == pytest.approx(moved[0], abs=1e-6)
        assert moved[1] == pytest.approx([0.0, 0.0], abs=1e-6)

    def test_command_comes_back_within_its_limits(self, world, model):
        world, state = make(world, model)
        command = np.tile([30.0, -40.0], (3, 1))
        world.advance(0, state, command, np.ones(3, bool))
        assert command == pytest.approx(np.tile([1.8, -2.4], (3, 1)))

    def test_truth_is_what_is_measured_without_noise(self, world, model):
        world, state = make(world, model)
        for k in range(5):
            world.advance(k, state, np.ones((3, 2)), np.ones(3, bool))
        truth = world.true_state(state)
        assert truth == pytest.approx(state, abs=1e-12)
        assert truth is not state
        assert world.lost.tolist() == [False] * 3
        assert all(len(column) == 3 for column in world.telemetry().values())


SHORT = ["mission.duration_s=6", "sampling.n_samples=200", "world.kind=bullet"]


def test_mission_in_the_bullet_world_is_reproducible_and_recorded():
    scenario = load_scenario(
        "six_drones",
        overrides=[*SHORT, "world.wind.speed_m_s=4", "world.sensors.position_sigma_m=0.3", "vehicle.preset=sprayer",
                   "vehicle.liquid_l=10"],
    )  # fmt: skip
    record, again = simulate(scenario), simulate(scenario)
    assert record.digest() == again.digest()
    summary = record.summary()
    assert summary["lost_agents"] == []
    assert summary["sprayed_l"] == pytest.approx(60.0, abs=1e-9)
    assert 0.0 < summary["model_error_rms_m"] < 0.2
    assert 0.9 < summary["least_charge"] < 1.0
    speed = np.hypot(record.by_tick("wind_x_m_s"), record.by_tick("wind_y_m_s"))
    assert speed.mean() == pytest.approx(4.0, rel=0.3)
    heights = record.by_tick("height_m")[:, :, 0]
    assert np.diff(heights[0]).min() > 2.0
    assert summary["min_separation_m"] > 1.5


def test_mission_goes_on_without_who_is_lost():
    scenario = load_scenario(
        "six_drones",
        overrides=[*SHORT, "world.height_step_m=0", "team.start_m=[[50,50],[50.2,50],[20,20],[80,20],[20,80],[80,80]]"],
    )
    record = simulate(scenario)
    summary = record.summary()
    assert [lost["agent"] for lost in summary["lost_agents"]] == [0, 1]
    assert {lost["reason"] for lost in summary["lost_agents"]} == {"touched another vehicle"}
    active = record.by_tick("active")[:, :, 0]
    assert not active[2:, :2].any()
    assert active[1:, 2:].all()
    amounts, agents = record.consumption["tick"], record.consumption["agent"]
    assert amounts[agents < 2].max(initial=0) <= 1
    assert not np.isin(record.messages["sender"][record.messages["tick"] > 1], [0, 1]).any()


def test_scenario_as_run_loads_again(tmp_path):
    scenario = load_scenario("six_drones", overrides=SHORT)
    (tmp_path / "again.toml").write_text(scenario_toml(scenario))
    assert load_scenario(tmp_path / "again.toml") == scenario


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("mission.order=sequential", 'mission.order must be "parallel"'),
        ("vehicle.preset=balloon", "known are hexacopter-sprayer, octocopter-sprayer, research-quadrotor, sprayer"),
        ("vehicle.liquid_l=3", "at most 0"),
        ("world.kind=moon", "world.kind"),
        ("world.wind.speed_m_s=-1", "world.wind.speed_m_s"),
        ('vehicle={model="quadrotor", preset="sprayer"}', "loaded-quadrotor"),
    ],
)
def test_impossible_worlds_are_refused_in_a_sentence(override, sentence):
    with pytest.raises(ScenarioError, match=sentence):
        load_scenario("six_drones", overrides=[*SHORT, override])


def test_without_the_engine_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pybullet", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'd2oc\[bullet\]'"):
        simulate(load_scenario("six_drones", overrides=SHORT))


def test_samples_do_not_depend_on_the_world():
    points = []
    for kind in ("ideal", "bullet"):
        scenario = load_scenario("six_drones", overrides=[f"world.kind={kind}"])
        density, field = build_density(scenario.density, scenario.field)
        points.append(sample_density(density, field, scenario.sampling, np.random.default_rng(0)).points)
    assert np.array_equal(*points)


def test_unlike_vehicles_fly_together():
    groups = (
        "team={start='line', groups=["
        "{n_agents=2, vehicle={model='single-integrator', max_speed_m_s=5.0}},"
        "{n_agents=1, vehicle={model='lagged-integrator', preset='sprayer', liquid_l=5.0, max_acceleration_m_s2=2.0}},"
        "{n_agents=2, vehicle={model='quadrotor', max_tilt_deg=20.0, max_speed_m_s=5.0}}]}"
    )
    scenario = load_scenario("six_drones", overrides=[*SHORT, groups, "mission.time_step_s=0.1"])
    record = simulate(scenario)
    summary = record.summary()
    assert summary["lost_agents"] == []
    assert summary["sprayed_l"] == pytest.approx(5.0, abs=1e-9)
    travelled = np.linalg.norm(np.diff(record.by_tick("x_m", "y_m"), axis=0), axis=2).sum(axis=0)
    assert travelled.min() > 5.0
