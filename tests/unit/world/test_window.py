"""`d2oc run --gui`: PyBullet's window, on a virtual display."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from d2oc.world.watched import Watcher

MISSION = ["six_drones", "--set", "mission.duration_s=2", "--set", "sampling.n_samples=150", "--set",
           "control.law=closed-form", "--json"]  # fmt: skip
BULLET = ["--set", "world.kind=bullet"]


@pytest.fixture
def display(tmp_path):
    """Number of a virtual display, and the file its pixels are in."""
    if shutil.which("Xvfb") is None:
        pytest.skip("a virtual display needs Xvfb: apt install xvfb")
    reads, writes = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writes), "-screen", "0", "1024x768x24", "-fbdir", str(tmp_path), "-nolisten", "tcp"],
        pass_fds=[writes],
        stderr=subprocess.DEVNULL,
    )
    os.close(writes)
    with os.fdopen(reads) as answer:
        number = answer.readline().strip()
    yield number, tmp_path / "Xvfb_screen0"
    server.terminate()
    server.wait(timeout=20)


def run(arguments, out, display=None):
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    if display is not None:
        environment["DISPLAY"] = f":{display}"
    return subprocess.Popen(
        [sys.executable, "-m", "d2oc", "run", *arguments, "--out", str(out)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def colours(screen):
    """Number of colours on a screen; the file begins with a header that ends in text."""
    pixels = np.frombuffer(screen.read_bytes()[-1024 * 768 * 4 :], np.uint32)[::37]
    return len(np.unique(pixels))


def test_window_opens_and_the_flight_is_the_same(display, tmp_path):
    number, screen = display
    watched = run([*MISSION, *BULLET, "--gui", "--gui-speed", "0.5"], tmp_path / "watched", number)
    most = 0
    while watched.poll() is None:
        most = max(most, colours(screen))
        time.sleep(0.5)
    out, errors = watched.communicate()
    assert watched.returncode == 0, errors
    assert most > 20  # an empty screen has one
    unseen = run([*MISSION, *BULLET], tmp_path / "unseen")
    same, errors = unseen.communicate()
    assert unseen.returncode == 0, errors
    assert json.loads(out)["record_digest"] == json.loads(same)["record_digest"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (BULLET, "no window can be opened, since there is no display here"),
        ([], "only the bullet world has a window: add --set world.kind=bullet"),
    ],
)
def test_without_a_window_one_sentence_says_why(more, sentence, tmp_path):
    flown = run([*MISSION, *more, "--gui"], tmp_path / "run")
    out, errors = flown.communicate()
    assert flown.returncode == 2
    assert sentence in errors
    assert len(errors.strip().splitlines()) == 1
    assert not out
    assert not (tmp_path / "run" / "run.json").exists()


def test_watcher_waits_until_the_next_step_is_due():
    now, slept, shown = [0.0], [], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    class Screen:
        def show(self, body):
            shown.append(body)
            now[0] += 0.03

    watch = Watcher(Screen(), 0.1, lambda: now[0], sleep)
    for _ in range(3):
        watch(np.zeros((1, 13)))
    now[0] += 0.5  # a slow step is not caught up with
    watch(np.zeros((1, 13)))
    watch(np.zeros((1, 13)))
    assert slept == pytest.approx([0.07, 0.07, 0.07, 0.07])
    assert len(shown) == 5
