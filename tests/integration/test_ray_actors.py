"""Every agent in a process of its own gives the same record as all in one: none reads another's memory.

One local Ray serves all tests of this file; it listens on the loopback interface only.
"""

from __future__ import annotations

import importlib.util
import os
import signal

import pytest

from d2oc import load_scenario, simulate
from d2oc.errors import RuntimeUnavailableError
from d2oc.runtime import ray_actors
from d2oc.runtime.choice import RuntimeChoice

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: extra 'ray'")

RADIO = {
    "loss": 0.2,
    "loss_at_range": 0.6,
    "jitter_s": 0.5,
    "partitions": [{"groups": [[0, 1]], "from_s": 4.0, "until_s": 8.0}],
}


@pytest.fixture(scope="module")
def ray():
    """A local Ray."""
    connection = ray_actors.connect(n_actors=2)
    yield connection.ray
    connection.close()


LAWS = {
    "closed-form": {"control.law": "closed-form"},
    "cells": {"control.law": "closed-form", "assignment.method": "semi-discrete", "assignment.refresh_interval_s": 3.0},
    "mission-plan": {"control.plan_routes": 2, "control.plan_rounds": 1},
    "limits": {"control.plan_routes": 2, "control.plan_rounds": 1, "control.limits": "optimised",
               "team.separation_m": 2.0, "radio.comm_range_m": 90.0},
}  # fmt: skip


def scenario_of(law):
    """Seven agents with a bad radio, one of which is lost on the way."""
    changes = {
        "team.n_agents": 7,
        "mission.duration_s": 16.0,
        "sampling.n_samples": 300,
        "radio.comm_range_m": 60.0,
        **{f"radio.{key}": value for key, value in RADIO.items()},
        **LAWS[law],
    }
    return load_scenario("six_drones", overrides=changes)


@pytest.fixture(scope="module", params=LAWS)
def flight(request):
    """A scenario and what its agents do in this process."""
    scenario = scenario_of(request.param)
    return scenario, simulate(scenario, runtime="inline")


@needs_ray
def test_the_record_is_the_same_however_agents_are_packed(ray, flight):
    scenario, record = flight
    for agents_per_actor in (1, 4):
        assert simulate(scenario, runtime=RuntimeChoice("ray", agents_per_actor)).digest() == record.digest()
    assert record.provenance["runtime"] == "inline"
    assert len(record.messages["tick"]) > 500


@needs_ray
def test_full_quadrotors_fly_the_same_in_actors(ray):
    changes = {
        "vehicle": {"model": "full-quadrotor", "max_speed_m_s": 6.0, "max_acceleration_m_s2": 4.0},
        "control": {"law": "closed-form", "limits": "optimised", "terminal_cost": "dare", "horizon_steps": 8},
        "team": {"n_agents": 2, "separation_m": 2.0},
        "radio.comm_range_m": 90.0,
        "mission.duration_s": 3.0,
        "sampling.n_samples": 60,
    }
    scenario = load_scenario("six_drones", overrides=changes)
    in_actors = simulate(scenario, runtime=RuntimeChoice("ray", 1))
    assert in_actors.digest() == simulate(scenario, runtime="inline").digest()


@needs_ray
def test_the_record_is_the_same_when_actors_are_killed(ray, flight, monkeypatch):
    """Before the first snapshot, after it, and when a snapshot is due."""
    scenario, record = flight
    hosts = []

    class DeadlyHost(ray_actors.RayHost):
        def step(self, tick, state, fix, inboxes):
            hosts.append(self)
            if tick in (7, 12, 20, 33):
                os.kill(self.pids[tick % 2], signal.SIGKILL)
            return super().step(tick, state, fix, inboxes)

    monkeypatch.setattr(ray_actors, "RayHost", DeadlyHost)
    monkeypatch.setattr(ray_actors, "SNAPSHOT_TICKS", 10)
    assert simulate(scenario, runtime=RuntimeChoice("ray", 4)).digest() == record.digest()
    assert hosts[0].n_replaced == 4


@needs_ray
def test_a_cluster_that_does_not_answer_is_one_sentence(d2oc, tmp_path):
    outcome = d2oc(
        "run",
        "six_drones",
        "--set",
        "control.law=closed-form",
        "--ray-address",
        "127.0.0.1:1",
        "--out",
        "run",
        cwd=tmp_path,
    )
    assert outcome.returncode == 2
    assert outcome.stderr.splitlines()[-1].startswith("error: no Ray cluster answers at 127.0.0.1:1")
    assert "Traceback" not in outcome.stderr


def test_without_ray_one_sentence_says_what_to_install(d2oc, tmp_path):
    (tmp_path / "ray.py").write_text("raise ImportError\n")  # stands before any installed one
    outcome = d2oc(
        "run", "six_drones", "--set", "control.law=closed-form", "--runtime", "ray", "--out", "run", cwd=tmp_path
    )
    assert outcome.returncode == 2
    assert outcome.stderr.splitlines()[-1] == "error: the runtime 'ray' needs the extra 'ray': pip install 'd2oc[ray]'"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "runtime", "named"),
    [
        ({"control.law": "closed-form", "radio.loss": 0.1}, "arrays", "perfect radio"),
        ({"control.law": "closed-form", "ledger.rule": "minimum"}, "inline", "ledger.rule"),
        ({"control.law": "closed-form", "radio.loss": 0.1, "mission.order": "sequential"}, "auto", "mission.order"),
        ({"control.law": "lawnmower"}, "ray", "control.law"),
    ],
)
def test_a_runtime_that_does_not_fit_says_why(changes, runtime, named):
    with pytest.raises(RuntimeUnavailableError, match=named):
        simulate(load_scenario("six_drones", overrides=changes), runtime=runtime)
