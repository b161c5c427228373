"""`d2oc fly` with real ArduCopters, as bodies of the bullet world and with their own physics.

They take the firmware from ARDUCOPTER_BIN. Safety is asserted always, what was sprayed only where the machine kept the
pace, as in `test_fly.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from d2oc import load_record

SMALL = str(Path(__file__).parents[1] / "small_patch.toml")
KEPT_PACE_S = 0.35
pytestmark = [
    pytest.mark.sitl,
    pytest.mark.skipif(
        "ARDUCOPTER_BIN" not in os.environ,
        reason="ARDUCOPTER_BIN names no ArduCopter built for this machine, see docs/flying.md",
    ),
]


@pytest.fixture
def fly(tmp_path):
    def call(*words):
        out = tmp_path / "run"
        command = [
            sys.executable, "-m", "d2oc", "fly", *map(str, words), "--sim", "2", "--arducopter",
            os.environ["ARDUCOPTER_BIN"], "--out", str(out), "--json",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
        return json.loads(done.stdout), out

    return call


def is_safe(summary):
    assert summary["landed"] is True
    assert summary["fence_breaches"] == 0
    for drone in summary["drones"]:
        assert drone["truth"]["flew"]
        assert drone["truth"]["sprayed_unasked_s"] <= 1.5  # RC_OVERRIDE_TIME and what the switch takes


def test_two_real_autopilots_spray_inside_the_field_and_nowhere_else(fly):
    summary, out = fly(SMALL, "--physics", "bullet", "--speedup", 1.5)
    is_safe(summary)
    assert summary["spray_outside_mission_s"] <= 0.5
    record = load_record(out)
    assert record.digest() == summary["record_digest"]
    trajectory = record.trajectory
    spraying = trajectory["pump"] > 0
    assert spraying.any()
    for number in range(2):
        own = trajectory["agent"] == number
        phase, pump = trajectory["phase"][own], trajectory["pump"][own]
        late = np.flatnonzero((pump > 0) & (phase != 3.0))  # on the way home what was heard last may be a moment old
        assert (phase[late - 1] == 3.0).all()
    assert trajectory["x_m"][spraying].min() > -1.0
    assert trajectory["x_m"][spraying].max() < 61.0
    assert trajectory["y_m"][spraying].min() > -1.0
    assert trajectory["y_m"][spraying].max() < 51.0
    if any(d["setpoint_period_p99_s"] > KEPT_PACE_S for d in summary["drones"]):
        pytest.skip("safe, but the machine was too busy to compare what was sprayed")
    for drone in summary["drones"]:
        assert drone["litres_by_pump"] == pytest.approx(drone["litres_by_plan"], abs=0.3)


@pytest.mark.parametrize(
    ("fault", "cause", "mode"),
    [
        ("link-cut@12:45", "no telemetry for long", "RTL"),  # by itself: nobody could tell it
        ("gps-loss@12", "the autopilot has lost its position", "LAND"),
        ("battery-low@12", "the battery is needed for the way home", "LAND"),
    ],
)
def test_what_goes_wrong_ends_as_documented_with_the_pump_off_and_the_other_goes_on(fly, fault, cause, mode):
    words = ("--set", "mission.duration_s=40", "--set", "control.law=closed-form", "--fault", f"1:{fault}")
    summary, _ = fly("six_drones", *words, "--physics", "ideal", "--speedup", 1.5)
    is_safe(summary)
    first, hurt = summary["drones"]
    assert hurt["truth"]["mode"] == mode
    assert cause in hurt["causes"]
    assert first["truth"]["mode"] == "LAND"
    assert not first["causes"]
