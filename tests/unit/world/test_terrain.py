"""Ground that is not level: its heights, the engine's copy of it, and drones that follow it."""

import math

import numpy as np
import pytest

from d2oc.airframes.airframe import load_preset
from d2oc.faults import Fault
from d2oc.mission import simulate
from d2oc.scenario import load_scenario
from d2oc.vehicles.linear import single_integrator
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.bodies import create_ground, engine
from d2oc.world.bullet import BulletSetup, BulletWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.terrain import Hill, Terrain, ground_at, hilly_ground, level_ground
from d2oc.world.wind import Wind

T = 0.1
SLOPE = hilly_ground((-20.0, -10.0), (60.0, 30.0), 2.0, 0.1, math.radians(30.0), [])


def make_world(terrain, place, name="sprayer"):
    n, model = len(place), single_integrator(T)
    setup = BulletSetup(
        [model], np.zeros(n, np.int32), [load_preset(name)] * n, np.zeros(n), np.zeros(n), np.array(place, float), T,
        terrain,
    )  # fmt: skip
    rngs = [np.random.default_rng(r) for r in range(n)]
    world = BulletWorld(setup, motion_arrays([model]), Wind(0, 0, None, rngs), SatelliteReceiver(0, 0, rngs))
    return world, world.true_state(np.zeros((n, 2)))


def test_slope_and_hill_are_what_was_asked_for():
    x, y = 13.3, 7.7
    height, slope_x, slope_y = ground_at(SLOPE, x, y)
    east, north = math.cos(math.radians(30)), math.sin(math.radians(30))
    assert height == pytest.approx(0.1 * (x * east + y * north))
    assert (slope_x, slope_y) == pytest.approx((0.1 * east, 0.1 * north))
    hill = hilly_ground((0.0, 0.0), (100.0, 80.0), 1.0, 0.0, 0.0, [Hill(40.0, 30.0, 10.0, 5.0)])
    assert ground_at(hill, 40.0, 30.0)[0] == pytest.approx(5.0)
    assert ground_at(hill, 50.0, 30.0)[0] == pytest.approx(5.0 * math.exp(-0.5))


def test_beyond_its_grid_the_ground_is_level_with_its_edge():
    height, slope_x, _ = ground_at(SLOPE, 500.0, 5.0)
    assert height == pytest.approx(ground_at(SLOPE, 60.0, 5.0)[0])
    assert slope_x == 0.0
    assert ground_at(level_ground(), -3.0, 99.0) == (0.0, 0.0, 0.0)


def test_engine_has_the_same_ground():
    rng = np.random.default_rng(1)
    rough = Terrain(rng.uniform(-2, 3, (9, 14)), 2.5, -4.0, 6.0)
    bullet = engine()
    client = bullet.connect(bullet.DIRECT)
    create_ground(bullet, client, rough)
    for i in range(1, 8):
        for j in range(1, 13):
            x, y = rough.x + j * rough.cell, rough.y + i * rough.cell
            hit = bullet.rayTest([x, y, 99.0], [x, y, -99.0], physicsClientId=client)
            assert hit[0][3][2] == pytest.approx(rough.height[i, j], abs=0.01)
    bullet.disconnect(client)


def test_drone_keeps_its_height_over_a_slope_it_flies_up():
    world, state = make_world(SLOPE, [[0.0, 0.0, 3.0]])
    over = []
    for k in range(100):
        world.advance(k, state, np.array([[4.0, 0.0]]), np.array([True]))
        over.append(world.body[0, 2] - ground_at(SLOPE, world.body[0, 0], world.body[0, 1])[0])
    assert world.body[0, 0] > 25.0
    assert world.body[0, 2] > 4.5  # it climbed
    assert np.abs(np.array(over) - 3.0).max() < 0.35
    assert abs(over[-1] - 3.0) < 0.1
    assert world.telemetry()["ground_m"][0] == pytest.approx(world.body[0, 2] - over[-1])


def test_who_flies_into_a_hill_has_touched_the_ground():
    wall = Terrain(np.where(np.arange(30) > 12, 30.0, 0.0) * np.ones((4, 1)), 1.0, 0.0, -1.5)
    world, state = make_world(wall, [[3.0, 0.0, 3.0]])
    for k in range(60):
        world.advance(k, state, np.array([[6.0, 0.0]]), np.array([True]))
    assert world.fault.tolist() == [Fault.GROUND]


def test_fallen_drone_lies_on_the_hill():
    world, state = make_world(hilly_ground((-20, -20), (20, 20), 2.0, 0.0, 0.0, [Hill(0, 0, 15, 4)]), [[0, 0, 2.0]])
    world.drawn[:] = 1e12
    for k in range(80):
        world.advance(k, state, np.zeros((1, 2)), np.array([True]))
    assert world.fault.tolist() == [Fault.BATTERY]
    assert 3.5 < world.body[0, 2] < 5.2


def test_scenario_with_terrain_flies_and_says_the_ground():
    changes = ["mission.duration_s=4", "sampling.n_samples=150", "control.law=closed-form", "world.kind=bullet",
               "world.terrain={slope_percent=5, uphill_deg=90, hills=[{top_m=[50, 20], height_m=3, sigma_m=20}]}",
               "world.ground_effect=true", "world.downwash=true"]  # fmt: skip
    record = simulate(load_scenario("six_drones", overrides=changes))
    assert record.summary()["lost_agents"] == []
    ground, height = record.by_tick("ground_m")[:, :, 0], record.by_tick("height_m")[:, :, 0]
    assert ground.max() > 1.0
    assert np.abs((height - ground)[:, 0] - 3.0).max() < 0.5


def test_level_ground_keeps_records_as_they_were():
    world, _ = make_world(level_ground(), [[0, 0, 3.0]])
    assert "ground_m" not in world.telemetry()
