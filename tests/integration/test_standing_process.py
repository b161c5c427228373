"""A drone's process that stands still, as one that a busy machine or a debugger stops: its autopilot takes the
drone home with the pump off, and when it wakes up it leaves it at that.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from d2oc import load_record
from d2oc_hardware.waiting_clock import PATIENCE_S

MISSION = ("six_drones", "--set", "control.law=closed-form", "--set", "mission.duration_s=30")
COMPILING_S = 400
"""On a new machine programs compile before the first flight. [s]"""
STANDS_S = PATIENCE_S + 3.0
"""Longer than the clock waits for it, by twelve seconds of the flight: four times what the autopilot waits. [s]"""


@pytest.fixture
def flight(tmp_path):
    words = ("--sim", "1", "--speedup", "4", "--out", str(tmp_path / "run"), "--json")
    command = [sys.executable, "-m", "d2oc", "fly", *MISSION, *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process, tmp_path / "run"
        process.kill()


def treats(run):
    """Whether the record so far has a step in which it treated."""
    try:
        return bool(load_record(run).trajectory["active"].any())
    except Exception:  # not written yet
        return False


def test_a_process_that_stood_still_leaves_its_drone_to_the_autopilot(flight, drones_of):
    process, run = flight
    end = time.monotonic() + COMPILING_S
    while not treats(run):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.2)
    (drone,) = drones_of(process)
    os.kill(drone, signal.SIGSTOP)
    time.sleep(STANDS_S)
    standing = json.loads((run / "vehicle-0.json").read_text())
    os.kill(drone, signal.SIGCONT)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    summary = json.loads(printed)
    assert standing["mode"] == "RTL"
    (ended,) = summary["drones"]
    assert ended["process"] == "ended"
    assert "a pilot has changed the mode" in ended["causes"]
    assert ended["truth"]["mode"] == "RTL"  # it was not taken back
    assert ended["truth"]["sprayed_unasked_s"] <= 1.5  # until the override has died out
    assert summary["landed"] is True
    assert summary["fence_breaches"] == 0
    record = load_record(run)
    treated = record.trajectory["active"].sum() * record.header.time_step_s
    assert 0.0 < treated < 24.0  # of 30: nothing counts that the autopilot flew
