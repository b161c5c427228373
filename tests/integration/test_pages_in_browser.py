"""Report, replay and live view in a headless Chromium: no errors, no request, true numbers, and hands on the controls.

With D2OC_SCREENSHOTS=FOLDER the pictures taken on the way are kept.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from d2oc import load_scenario, simulate
from d2oc_viz.page import replay_page
from d2oc_viz.replay import make_replay
from d2oc_viz.report import write_report

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="chromium or chromium-driver is missing"
)
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KEYS = {"space": " ", "left": "\ue012", "right": "\ue014", "home": "\ue011", "end": "\ue010", "up": "\ue013"}
"""As WebDriver names them: https://www.w3.org/TR/webdriver2/#keyboard-actions"""


class Chromium:
    """A browser, driven over the WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{probe.getsockname()[1]}"
        port = self.address.rsplit(":", 1)[1]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], **quiet)
        self.session = ""
        self.until(lambda: self.reachable(), "chromedriver answers")
        options = {"args": [*FLAGS, f"--user-data-dir={folder}", "--window-size=1280,800"]}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self.session = f"/session/{self.post('/session', capabilities={'alwaysMatch': wanted})['sessionId']}"

    def reachable(self):
        try:
            return self.ask("GET", "/status")["ready"]
        except OSError:
            return False

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + self.session + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from None

    def post(self, path, **body):
        return self.ask("POST", path, body)

    def open(self, page):
        self.post("/url", url=page if "://" in str(page) else Path(page).as_uri())

    def run(self, program):
        return self.post("/execute/sync", script=program, args=[])

    def until(self, condition, what, seconds=30.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited in vain until {what}"
            time.sleep(0.03)

    def until_true(self, expression):
        self.until(lambda: self.run(f"return Boolean({expression})"), expression)

    def key(self, name):
        keys = [{"type": kind, "value": KEYS[name]} for kind in ("keyDown", "keyUp")]
        self.post("/actions", actions=[{"type": "key", "id": "keys", "actions": keys}])

    def click(self, x, y):
        steps = [
            {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self.post("/actions", actions=[{"type": "pointer", "id": "mouse", "actions": steps}])

    def command(self, name, **parameters):
        return self.post("/goog/cdp/execute", cmd=name, params=parameters)

    def look(self, width=1280, height=800, *, dark=False):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def picture(self, name):
        taken = base64.b64decode(self.ask("GET", "/screenshot"))
        if folder := os.environ.get("D2OC_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"{name}.png").write_bytes(taken)
        return taken

    def complaints(self):
        return [entry["message"] for entry in self.post("/se/log", type="browser")]

    def requests(self):
        """Addresses asked for since the last call."""
        entries = [json.loads(entry["message"])["message"] for entry in self.post("/se/log", type="performance")]
        sent = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith(("data:", "blob:", "chrome:"))]

    def close(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(timeout=20)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two short missions."""
    folders = []
    for seed in (1, 2):
        folder = tmp_path_factory.mktemp("runs") / f"seed{seed}"
        scenario = load_scenario("six_drones", overrides={"mission.duration_s": 20.0}, seed=seed)
        summary = simulate(scenario, out=folder).summary()
        (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def report(runs):
    return write_report(runs, runs[0] / "report.html")


@pytest.fixture
def replay(runs, chromium):
    """Address of a replay that is open and ready."""
    from d2oc import load_record

    path = runs[0] / "replay.html"
    path.write_text(replay_page(make_replay(load_record(runs[0]))), encoding="utf-8")
    chromium.requests()
    chromium.look()
    chromium.open(path)
    chromium.until_true("document.querySelector('.player[data-ready]')")
    yield path
    assert chromium.complaints() == []
    assert chromium.requests() == [path.as_uri()]


def text(chromium, part):
    return chromium.run(f"return document.querySelector('.player .{part}').textContent")


def test_a_report_shows_the_numbers_of_the_summaries(chromium, runs, report):
    chromium.requests()
    chromium.look()
    chromium.open(report)
    shown = chromium.run(
        "return [...document.querySelectorAll('[data-key]')]"
        ".map(c => [c.dataset.key, JSON.parse(c.dataset.value), c.textContent])"
    )
    for i, folder in enumerate(runs):
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        for key, value, _ in shown[i :: len(runs)]:
            assert value == (summary["timing"][key[7:]] if key.startswith("timing.") else summary[key])
        readable = {key: written for key, _, written in shown[i :: len(runs)]}
        assert float(readable["w2_m"]) == pytest.approx(summary["w2_m"], rel=1e-3)
        assert float(readable["remaining_weight"]) == pytest.approx(100 * summary["remaining_weight"], rel=1e-3)
    assert chromium.run("return document.querySelectorAll('figure svg, figure img').length") >= 16
    assert chromium.run("return document.documentElement.scrollWidth <= innerWidth")
    chromium.picture("report-light")
    chromium.look(dark=True)
    chromium.picture("report-dark")
    assert chromium.complaints() == []
    assert chromium.requests() == [report.as_uri()]


def test_the_tabs_of_a_report_open_the_replays(chromium, report):
    chromium.open(report)
    chromium.run("document.querySelector('#tab-replay').click()")
    chromium.until_true("document.querySelectorAll('.player[data-ready]').length === 2")
    assert chromium.run("return document.querySelector('#report').offsetParent") is None
    assert chromium.complaints() == []


def test_a_report_prints_without_its_replay(chromium, report):
    chromium.open(report)
    printed = base64.b64decode(chromium.post("/print", background=True))
    assert printed.startswith(b"%PDF")
    chromium.command("Emulation.setEmulatedMedia", media="print")
    assert chromium.run("return getComputedStyle(document.querySelector('#replay')).display") == "none"
    assert chromium.run("return getComputedStyle(document.querySelector('#report')).display") == "block"
    chromium.command("Emulation.setEmulatedMedia", media="")


def test_a_replay_ends_at_the_numbers_of_the_summary(chromium, runs, replay):
    summary = json.loads((runs[0] / "summary.json").read_text(encoding="utf-8"))
    chromium.run("document.querySelector('.player .last').click()")
    assert text(chromium, "left") == f"{100 * summary['remaining_weight']:.2f} %"
    assert text(chromium, "tick") == f"{summary['n_steps']} of {summary['n_steps']}"
    drawn = chromium.run(
        "const w = document.querySelector('.player').player.weights; const sum = (s, x) => s + Math.max(0, x); "
        "return w.left.reduce(sum, 0) / w.flight.sampleWeight.reduce(sum, 0)"
    )
    assert drawn == pytest.approx(summary["remaining_weight"], abs=2e-3)
    chromium.run("document.querySelector('.player .first').click()")
    assert text(chromium, "left") == "100.00 %"
    given_back = chromium.run(
        "const w = document.querySelector('.player').player.weights; "
        "return w.left.every((x, i) => x === w.flight.sampleWeight[i])"
    )
    assert given_back


def test_a_replay_plays_and_pauses(chromium, replay):
    chromium.run("document.querySelector('.player .play').click()")
    chromium.until_true("document.querySelector('.player').player.now > 0.5")
    chromium.run("document.querySelector('.player .play').click()")
    stopped = chromium.run("return document.querySelector('.player').player.now")
    time.sleep(0.2)
    assert chromium.run("return document.querySelector('.player').player.now") == stopped
    chromium.run("const p = document.querySelector('.player').player; p.seek(p.flight.end - 0.3); p.play()")
    chromium.until_true("!document.querySelector('.player').player.playing")
    assert text(chromium, "clock") == "20.0 s of 20.0 s"


def test_keys_do_what_the_page_says(chromium, replay):
    chromium.run("document.querySelector('.player .ground').focus()")
    frame = lambda: int(chromium.run("return document.querySelector('.player').dataset.frame"))  # noqa: E731
    chromium.key("right")
    chromium.key("right")
    assert frame() == 2
    chromium.key("left")
    assert frame() == 1
    chromium.key("end")
    assert frame() == 100
    chromium.key("home")
    assert frame() == 0
    chromium.key("space")
    assert chromium.run("return document.querySelector('.player').player.playing")
    chromium.key("space")
    assert not chromium.run("return document.querySelector('.player').player.playing")


def test_scrubbing_shows_the_moment(chromium, replay):
    chromium.run(
        "const s = document.querySelector('.player .scrub'); s.value = 7.1; "
        "s.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert text(chromium, "clock") == "7.1 s of 20.0 s"
    assert text(chromium, "tick") == "35 of 100"
    chromium.picture("replay-scrubbed")


def test_a_click_on_a_drone_shows_its_state_with_units(chromium, runs, replay):
    from d2oc import load_record

    record = load_record(runs[0])
    x, y = record.by_tick("x_m", "y_m")[50, 3]
    chromium.run("document.querySelector('.player').player.seek(10.0)")
    at = chromium.run(
        "const p = document.querySelector('.player').player, b = p.ground.getBoundingClientRect(); "
        f"return [b.left + p.view.x({x}), b.top + p.view.y({y})]"
    )
    chromium.click(*at)
    chromium.until_true("document.querySelector('.player .who').value === '3'")
    rows = chromium.run(
        "return [...document.querySelectorAll('.player .state tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    state = {label: (value, unit) for label, value, unit in rows}
    assert state["x, east"][1] == "m"
    assert float(state["x, east"][0]) == pytest.approx(x, abs=0.06)
    assert float(state["speed"][0]) == pytest.approx(
        float(((record.by_tick("x_m", "y_m")[50, 3] - record.by_tick("x_m", "y_m")[49, 3]) ** 2).sum() ** 0.5 / 0.2),
        abs=0.06,
    )
    chromium.picture("replay-selected")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (400, 800), (2000, 1200)])
def test_a_replay_fits_its_window(chromium, replay, width, height):
    chromium.look(width, height, dark=width == 1280)
    chromium.until_true(
        "document.querySelector('.player .ground').width === document.querySelector('.player .map').clientWidth"
    )
    assert chromium.run("return document.documentElement.scrollWidth <= innerWidth")
    chromium.picture(f"replay-{width}")
    chromium.look()


def test_the_live_page_follows_a_mission_to_its_end(chromium, tmp_path):
    from d2oc.mission import simulate
    from d2oc_viz.live import LiveView

    view = LiveView()
    chromium.requests()
    chromium.look()
    chromium.open(view.url)

    def slowly(header, points, weights):
        hear = view.watch(header, points, weights)

        def hear_slowly(tick):
            hear(tick)
            time.sleep(0.02)

        return hear_slowly

    scenario = load_scenario("six_drones", overrides={"mission.duration_s": 20.0})
    record = simulate(scenario, watch=slowly)
    chromium.until_true("document.querySelector('.player').player.flight.nFrames > 5")
    chromium.picture("live")
    view.end("all is well")
    chromium.until_true("document.querySelector('.player').dataset.ended")
    summary = record.summary()
    assert text(chromium, "left") == f"{100 * summary['remaining_weight']:.2f} %"
    assert text(chromium, "tick") == f"{summary['n_steps']} of {summary['n_steps']}"
    assert "all is well" in text(chromium, "note")
    chromium.run("const p = document.querySelector('.player').player; p.seek(0); p.select(2)")  # it keeps what it saw
    assert text(chromium, "left") == "100.00 %"
    assert chromium.complaints() == []
    assert set(chromium.requests()) == {view.url, f"{view.url}ticks"}
