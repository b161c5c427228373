"""A small farm, flown from scenario to summary."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from d2oc import mission
from d2oc.density import build_density
from d2oc.errors import ScenarioError
from d2oc.mission import simulate
from d2oc.phases import Phase
from d2oc.record import load_record
from d2oc.scenario import load_scenario
from d2oc.spray.build import farm_mission
from d2oc.team import team_kinds

FARM = """
name = "small_farm"

[field]
width_m = 160.0
height_m = 120.0
no_spray_zones = [{ name = "pond", boundary_m = [[128, 70], [145, 70], [145, 90], [128, 90]] }]

[density]
kind = "mixture"
components = [
  { mean_m = [40, 80], sigma_m = [14, 9], angle_deg = 30, weight = 1.0 },
  { mean_m = [100, 60], sigma_m = 12, weight = 1.2 },
]

[sampling]
n_samples = 300

[team]
groups = [
  { n_agents = 1 },
  { n_agents = 1, vehicle = { model = "double-integrator", max_acceleration_m_s2 = 2.0, max_speed_m_s = 6.0, \
preset = "sprayer", liquid_l = 1.0 } },
]

[vehicle]
model = "double-integrator"
max_acceleration_m_s2 = 3.0
max_speed_m_s = 10.0
preset = "sprayer"
liquid_l = 1.4

[control]
terminal_cost = "dare"

[mission]
duration_s = 1500.0
time_step_s = 0.5

[radio]
comm_range_m = inf

[world.wind]
speed_m_s = 6.0
toward_deg = 70.0

[world.sensors]
position_sigma_m = 0.05

[dose]
threshold = 0.3
ed50_l_ha = 5.0

[spray]

[[stations]]
place_m = [80.0, -8.0]
swap_s = 20.0
handling_s = 5.0
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("farm") / "small_farm.toml"
    path.write_text(FARM)
    return path


@pytest.fixture(scope="module")
def record(path):
    return simulate(load_scenario(path), out=path.parent / "run")


def mission_of(path, *changes):
    scenario = load_scenario(path, overrides=changes)
    density, field = build_density(scenario.density, scenario.field)
    return farm_mission(scenario, density, field, team_kinds(scenario))


def fly(runtime, n_steps=3000):
    k = 0
    while k < n_steps and not runtime.finished:
        runtime.step(k)
        k += 1
    return k


def test_it_treats_the_patches_and_keeps_to_the_rules(record):
    summary = record.summary()
    assert summary["missed_percent"] < 25.0  # most of it beside the pond, and in the gusts of 6 m/s
    assert summary["overdosed_m2"] == 0.0
    assert summary["buffer_litres"] == 0.0
    assert summary["saved_percent"] > 50.0
    assert summary["refills"] >= 1
    json.dumps(summary, allow_nan=False)


def test_spray_is_off_outside_the_mission_phase(record):
    phase, flow = record.trajectory["phase"], record.trajectory["spray_l_min"]
    assert flow[phase != Phase.MISSION].max() == 0.0
    assert flow[phase == Phase.MISSION].max() > 0.0


def test_everybody_ends_on_the_ground_at_a_station(record):
    assert (record.by_tick("phase")[-1, :, 0] == Phase.GROUND).all()
    ends = record.by_tick("x_m", "y_m")[-1]
    assert np.linalg.norm(ends - [80.0, -8.0], axis=1).max() < 6.0
    assert record.n_ticks < 3000


def test_phases_follow_each_other_as_they_must(record):
    follow = {
        (Phase.GROUND, Phase.TAKE_OFF), (Phase.TAKE_OFF, Phase.TRANSIT), (Phase.TRANSIT, Phase.MISSION),
        (Phase.MISSION, Phase.TRANSIT), (Phase.MISSION, Phase.RETURN), (Phase.TRANSIT, Phase.RETURN),
        (Phase.RETURN, Phase.LANDING), (Phase.LANDING, Phase.GROUND), (Phase.GROUND, Phase.SERVICE),
        (Phase.LANDING, Phase.SERVICE), (Phase.SERVICE, Phase.GROUND), (Phase.SERVICE, Phase.TAKE_OFF),
        (Phase.TAKE_OFF, Phase.MISSION), (Phase.RETURN, Phase.TRANSIT), (Phase.TAKE_OFF, Phase.RETURN),
    }  # fmt: skip
    phases = record.by_tick("phase")[:, :, 0].astype(int)
    for drone in phases.T:
        changes = {(Phase(a), Phase(b)) for a, b in itertools.pairwise(drone) if a != b}
        assert changes <= follow


def test_the_record_holds_raster_and_cells(record, path):
    raster = record.header.raster
    assert len(record.cells["x_m"]) == raster["n_rows"] * raster["n_columns"]
    again = load_record(path.parent / "run")
    assert again.header.raster == raster
    assert again.digest() == record.digest()
    assert np.array_equal(again.cells["deposit_l_ha"], record.cells["deposit_l_ha"])
    first = raster["origin_x_m"] + raster["cell_m"] / 2
    assert record.cells["x_m"][0] == pytest.approx(first)


def test_two_runs_are_equal_and_another_seed_is_not(path, record):
    assert simulate(load_scenario(path)).digest() == record.digest()
    assert simulate(load_scenario(path, seed=9)).digest() != record.digest()


def test_a_killed_run_is_flown_anew_to_the_same_record(path, record, tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    flown = mission._Mission._report

    def report(self, k, *, last=False):
        if k == 150:
            raise KilledError
        flown(self, k, last=last)

    with monkeypatch.context() as patch:
        patch.setattr(mission._Mission, "_report", report)
        with pytest.raises(KilledError):
            simulate(load_scenario(path), out=tmp_path / "run")
    assert load_record(tmp_path / "run").status == "running"
    assert mission.flies_anew(tmp_path / "run")
    assert mission.resume(tmp_path / "run").digest() == record.digest()


def test_remaining_weight_is_the_share_of_the_litres_owed(record):
    cells = record.cells
    owed = cells["target_l_ha"].sum()
    left = np.maximum(cells["target_l_ha"] - cells["deposit_l_ha"], 0.0).sum()
    assert record.summary()["remaining_weight"] == pytest.approx(left / owed, abs=1e-9)


def test_a_lost_drone_is_replaced_by_the_others(path):
    mission = mission_of(path, "world.wind.speed_m_s=2")
    runtime = mission.runtime
    for k in range(60):
        runtime.step(k)
    runtime.lose(1)
    k = 60
    while k < 3000 and not runtime.finished:
        runtime.step(k)
        k += 1
    assert runtime.drones[1].phase == Phase.LOST
    assert runtime.telemetry()["spray_l_min"][1] == 0.0
    served = 1.0 - runtime.believed_remaining[0]
    assert served > 0.85


@pytest.mark.parametrize("method", ["d2oc", "prescription"])
def test_with_a_short_radio_each_keeps_to_its_part(path, method):
    """As much is treated, and no maximum is exceeded, also where two drones meet."""
    near, far = (
        simulate(load_scenario(path, overrides=[f"spray.method={method}", f"radio.comm_range_m={reach}"])).summary()
        for reach in (20, "inf")
    )
    assert near["overdosed_m2"] == near["buffer_litres"] == 0.0
    assert near["missed_percent"] < far["missed_percent"] + 2.0


def test_a_drone_lost_out_of_hearing_leaves_room_for_what_it_may_have_laid(path):
    mission = mission_of(path, "radio.comm_range_m=20", "world.wind.speed_m_s=2", "dose.maximum_l_ha=25")
    runtime = mission.runtime
    for k in range(130):
        runtime.step(k)
    laid = runtime.ground.deposit.copy()
    assert laid.any()
    assert runtime.ground.known.max() == 0.0  # nobody has told anything yet
    runtime.lose(1)
    k = 130
    while k < 3000 and not runtime.finished:
        runtime.step(k)
        k += 1
    assert runtime.finished
    assert (runtime.ground.deposit <= 25.0).all()
    assert runtime.ground.known.max() > 0.0
    assert (runtime.believed_remaining >= 1.0 - runtime._served_share - 1e-12).all()
    assert 1.0 - runtime.believed_remaining[0] > 0.4


def test_rigid_bodies_spray_it_too(path, record):
    """Two bodies with rotors, in gusts: from the ground and back to it, with about what the models do."""
    bodies = ["world.kind=bullet", "world.wind.speed_m_s=3"]
    flown = simulate(load_scenario(path, overrides=bodies))
    summary = flown.summary()
    assert summary["lost_agents"] == []
    assert summary["overdosed_m2"] == summary["buffer_litres"] == 0.0
    assert summary["missed_percent"] < 10.0
    assert summary["refills"] >= 1
    phase, height = flown.by_tick("phase")[:, :, 0], flown.by_tick("height_m")[:, :, 0]
    assert (phase[-1] == Phase.GROUND).all()
    assert height[-1].max() < 0.6
    spraying = flown.by_tick("spray_l_min")[:, :, 0] > 0.0
    assert abs(height[spraying] - 2.5).max() < 1.0
    assert simulate(load_scenario(path, overrides=bodies)).digest() == flown.digest()


def test_bodies_weigh_what_is_in_their_tanks(path):
    runtime = mission_of(path, "world.kind=bullet", "world.wind.speed_m_s=3").runtime
    for k in range(150):
        runtime.step(k)
    world, drones = runtime.world, runtime.drones
    loads = [drone.airframe.mass_with(liquid) for drone, liquid in zip(drones, world.liquid, strict=True)]
    assert np.allclose(world.fleet.mass, loads)
    assert runtime.sprayed > 0.0
    deposited = runtime.ground.deposit.sum() * runtime.task.map.grid.litres
    left = sum(drone.liquid for drone in drones)
    assert runtime.loaded == pytest.approx(deposited + runtime.beyond + runtime.evaporated + left, abs=1e-9)


def test_volume_is_conserved(path):
    runtime = mission_of(path).runtime
    fly(runtime)
    deposited = runtime.ground.deposit.sum() * runtime.task.map.grid.litres
    left = sum(drone.liquid for drone in runtime.drones)
    assert runtime.loaded == pytest.approx(deposited + runtime.beyond + runtime.evaporated + left, abs=1e-9)
    assert runtime.sprayed == pytest.approx(deposited + runtime.beyond + runtime.evaporated, abs=1e-9)


@pytest.mark.parametrize("method", ["uniform", "prescription", "prescription-skip", "smc", "hedac"])
def test_other_methods_keep_to_the_rules_too(path, method):
    changes = [f"spray.method={method}", "mission.duration_s=300", "spray.budget_l=4"]
    summary = simulate(load_scenario(path, overrides=changes)).summary()
    assert 0.0 < summary["litres"] <= 4.0 + 1e-9
    assert summary["overdosed_m2"] == 0.0
    assert summary["buffer_litres"] == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("world.wind.speed_m_s=6.5", "world.wind.speed_m_s = 6.5 must be at most 6 to spray"),
        ("world.height_m=40", "world.height_m = 40 must be at most 30"),
        ("dose.maximum_l_ha=200", "dose.maximum_l_ha = 200 must be at most 100"),
        ("team.groups=[{n_agents=4}]", "4 drones need 2 pilots at 3 each, but rules.pilots = 1"),
        ("dose.threshold=2", "no cell of the map needs treatment"),
    ],
)
def test_a_violation_blocks_before_take_off(path, change, words, tmp_path):
    with pytest.raises(ScenarioError, match=words):
        simulate(load_scenario(path, overrides=[change]), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("spray.method=smc radio.comm_range_m=100", "radio.comm_range_m = 100 must be inf for spray.method"),
        ("vehicle={model='single-integrator', max_speed_m_s=5.0, preset='sprayer'}", "does not spray"),
        ("stations=[]", "stations is missing"),
        ("world={kind='bullet', terrain={}}", "world.terrain stands beside spray"),
        ('vehicle.preset="research-quadrotor"', "tank of research-quadrotor"),
        ("dose.kind=response", "dose.tolerated is missing"),
        ("dose.rate_l_ha=40", "dose.rate_l_ha = 40 must be at most maximum_l_ha = 30"),
    ],
)
def test_what_cannot_spray_is_one_sentence(path, change, words):
    with pytest.raises(ScenarioError, match=words):
        load_scenario(path, overrides=change.split(" ") if " radio" in change else [change])
