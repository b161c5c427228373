"""Whoever falls out of a mission is reported with the reason, and the others fly on."""

import numpy as np
import pytest

from d2oc.mission import simulate
from d2oc.scenario import load_scenario
from d2oc.team import team_kinds
from d2oc.worlds import build_world

CHANGES = ["mission.duration_s=5", "sampling.n_samples=100", "world.kind=bullet", "control.law=closed-form"]


def flip(world):
    world.bodies.set_motion(0, [0, 0, 0], [60.0, 0, 0])
    world.bodies.read(world.body)


def empty(world):
    world.drawn[0] = world.fleet.battery_energy[0]


def sink(world):
    world._setpoint.place[0, 2] = -9.0


def ram(world):
    place = world.body[1, :3] - [0.5, 0, 0]
    world.bodies._bullet.resetBasePositionAndOrientation(
        world.bodies._ids[0], place, [0, 0, 0, 1], physicsClientId=world.bodies._client
    )
    world.bodies.read(world.body)


@pytest.mark.parametrize(
    ("happens", "who", "reason"),
    [
        (flip, [0], "tilted beyond 75 degrees"),
        (empty, [0], "emptied its battery"),
        (sink, [0], "touched the ground"),
        (ram, [0, 1], "touched another vehicle"),
    ],
)
def test_mission_goes_on_without_who_is_lost(happens, who, reason):
    scenario = load_scenario("six_drones", overrides=CHANGES)

    class Struck:
        def __init__(self, setup):
            self._world = build_world(scenario, setup, [kind.vehicle for kind in team_kinds(scenario)])

        def __getattr__(self, name):
            return getattr(self._world, name)

        def advance(self, k, state, command, active):
            if k == 5:
                happens(self._world)
            self._world.advance(k, state, command, active)

    record = simulate(scenario, world_of=Struck)
    lost = record.summary()["lost_agents"]
    assert [entry["agent"] for entry in lost] == who
    assert {entry["reason"] for entry in lost} == {reason}
    active = record.by_tick("active")[:, :, 0]
    others = np.setdiff1d(np.arange(6), who)
    assert active[1:, others].all()
    assert not active[-1, who].any()
    late = record.messages["tick"] > record.n_ticks - 3
    assert late.any()
    assert not np.isin(record.messages["sender"][late], who).any()
