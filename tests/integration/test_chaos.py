"""kill -9 of actors and of the program itself, more than twenty times in one mission: nothing is lost."""

from __future__ import annotations

import importlib.util
import json
import random
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from d2oc import load_scenario, simulate
from d2oc.runtime import ray_actors

DRIVER = Path(__file__).with_name("chaos_driver.py")
N_ACTOR_KILLS, N_PROGRAM_KILLS, N_TICKS = 17, 4, 120


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: extra 'ray'")
def test_whatever_is_killed_the_record_is_the_same(tmp_path):
    rng = random.Random(4)
    victims = [rng.randrange(2) for _ in range(N_ACTOR_KILLS)] + [-1] * N_PROGRAM_KILLS
    rng.shuffle(victims)
    ticks = sorted(rng.sample(range(1, N_TICKS), len(victims)))
    kills = tmp_path / "kills.json"
    kills.write_text(json.dumps(list(zip(ticks, victims, strict=True))))
    cluster = ray_actors.connect(n_actors=4)
    try:
        address = cluster.ray.get_runtime_context().gcs_address
        command = [sys.executable, str(DRIVER), str(tmp_path / "run"), address, str(kills)]
        flights = [subprocess.run(command, capture_output=True, text=True, timeout=200, check=False) for _ in range(5)]
    finally:
        cluster.close()
    assert [flight.returncode for flight in flights] == [-9] * N_PROGRAM_KILLS + [0], flights[-1].stderr
    assert json.loads(kills.read_text()) == []
    changes = runpy.run_path(str(DRIVER))["SCENARIO"]
    assert (
        flights[-1].stdout.split()[-1]
        == simulate(load_scenario("six_drones", overrides=changes), runtime="inline").digest()
    )
