"""`d2oc fly` with a real Betaflight on a body of the bullet world: agent, guard and pilot over angles and a throttle.

It takes the firmware from BETAFLIGHT_BIN. Safety is asserted always, by what the body itself has seen; what was covered
only where the machine kept the pace, as in `test_fly.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from d2oc import load_record, load_scenario, simulate

WIDTH, HEIGHT, BUFFER = 45.0, 35.0, 12.0
SCENARIO = f"""
name = "strip"
seed = 1
[field]
width_m = {WIDTH}
height_m = {HEIGHT}
[density]
kind = "mixture"
components = [{{ mean_m = [20, 18], sigma_m = [9, 7], weight = 1.0 }}]
[sampling]
n_samples = 200
[team]
n_agents = 1
[vehicle]
model = "double-integrator"
max_acceleration_m_s2 = 2.5
max_speed_m_s = 4.0
[control]
law = "closed-form"
horizon_steps = 15
[mission]
duration_s = 15.0
time_step_s = 0.2
order = "parallel"
[radio]
comm_range_m = inf
"""
STRAY_M = 1.0
"""What a position may be behind, and a pump that is told so, at 4 m/s."""
KEPT_PACE_S, LATE_S = 0.25, 0.2
W2_BOUND = 1.25
"""Distance to the reference as flown, by that of the simulation of the same body."""
pytestmark = [
    pytest.mark.sitl,
    pytest.mark.skipif(
        "BETAFLIGHT_BIN" not in os.environ,
        reason="BETAFLIGHT_BIN names no Betaflight built for this machine, see docs/flying.md",
    ),
]


def test_a_real_betaflight_covers_a_piece_of_field_and_nothing_else(tmp_path):
    scenario, out = tmp_path / "strip.toml", tmp_path / "run"
    scenario.write_text(SCENARIO)
    words = ["fly", scenario, "--sim", 1, "--betaflight", os.environ["BETAFLIGHT_BIN"], "--physics", "bullet"]
    command = [sys.executable, "-m", "d2oc", *map(str, words), "--out", str(out), "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    summary, record = json.loads(done.stdout), load_record(out)
    drone, trajectory = summary["drones"][0], record.trajectory
    truth = drone["truth"]
    assert truth["flew"]
    assert truth["landed"]  # its motors stand still
    assert summary["fence_breaches"] == 0
    assert summary["spray_outside_mission_s"] == 0.0
    assert (trajectory["phase"][trajectory["pump"] > 0] == 3.0).all()
    home = np.array([trajectory["x_m"][0], trajectory["y_m"][0]])
    (west, east), (south, north) = np.reshape(truth["flown_box_m"], (2, 2)) + home[:, None]
    assert west > -BUFFER
    assert east < WIDTH + BUFFER
    assert south > -BUFFER
    assert north < HEIGHT + BUFFER
    assert east - west + north - south > 10.0
    (west, east), (south, north) = np.reshape(truth["sprayed_box_m"], (2, 2)) + home[:, None]
    assert west > -STRAY_M
    assert east < WIDTH + STRAY_M
    assert south > -STRAY_M
    assert north < HEIGHT + STRAY_M
    if drone["setpoint_period_p99_s"] > KEPT_PACE_S or truth["late_s"] > LATE_S:
        pytest.skip("safe, but the machine was too busy to compare what was covered")
    simulated = simulate(load_scenario(scenario, overrides=["world.kind=bullet"]))
    assert summary["w2_m"] < W2_BOUND * simulated.summary()["w2_m"]
