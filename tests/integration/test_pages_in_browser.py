"""Report, replay and live view in a headless Chromium: no errors, no request, true numbers, and hands on the controls.

The pictures taken on the way are kept in `.ci-artefacts` of the checkout.
"""

from __future__ import annotations

import base64
import json
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
from d2oc_viz.replay import PHASES, make_replay
from d2oc_viz.report import write_report

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="chromium or chromium-driver is missing"
)
ARTEFACTS = Path(__file__).parents[2] / ".ci-artefacts"
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
        ARTEFACTS.mkdir(exist_ok=True)
        (ARTEFACTS / f"{name}.png").write_bytes(taken)
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


def opened(chromium, folder, scenario, overrides):
    """Fly a mission and open its replay; the record."""
    record = simulate(load_scenario(scenario, overrides=overrides), out=folder / "run")
    page = folder / "replay.html"
    page.write_text(replay_page(make_replay(record)), encoding="utf-8")
    chromium.look()
    chromium.open(page)
    chromium.until_true("document.querySelector('.player[data-ready]')")
    return record


def test_doses_grow_to_those_of_the_record_and_a_click_tells_phase_and_tank(chromium, tmp_path):
    record = opened(chromium, tmp_path, "orchard_patches", {"mission.duration_s": 120.0})
    drawn = (
        "const p = document.querySelector('.player').player, l = p.layers[p.part('layer').value]; "
        "return [p.part('layer').value, l.now.reduce((s, x) => s + x, 0) * p.flight.head.doses.quantum_l_ha]"
    )
    assert chromium.run(drawn) == ["laid", 0]
    chromium.run("document.querySelector('.player .last').click()")
    layer, shown = chromium.run(drawn)
    assert (layer, shown) == ("laid", pytest.approx(record.cells["deposit_l_ha"].sum(), rel=2e-3))
    chromium.run("const p = document.querySelector('.player').player; p.seek(60); p.select(1)")
    rows = chromium.run(
        "return [...document.querySelectorAll('.player .state tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    state = {label: (value, unit) for label, value, unit in rows}
    tick = round(60 / record.header.time_step_s)
    assert state["phase"][0] == PHASES[int(record.by_tick("phase")[tick, 1, 0])]
    assert float(state["tank"][0]) == pytest.approx(record.by_tick("liquid_l")[tick, 1, 0], abs=0.06)
    assert state["tank"][1] == "L"
    chromium.picture("replay-doses")
    chromium.run(
        "const s = document.querySelector('.player .layer'); s.value = 'wanted'; s.dispatchEvent(new Event('change'))"
    )
    assert chromium.run(drawn)[1] == pytest.approx(record.cells["target_l_ha"].sum(), rel=2e-3)
    chromium.picture("replay-wanted")
    assert chromium.complaints() == []


def test_a_density_that_moves_is_drawn_where_it_is(chromium, tmp_path):
    motion = {"kind": "drift", "velocity_m_s": [1.0, 0.5]}
    changes = {"density.motion": motion, "mission.duration_s": 20.0, "control.law": "closed-form"}
    record = opened(chromium, tmp_path, "six_drones", changes)
    where = "const f = document.querySelector('.player').player.flight; return [f.sampleX[7], f.sampleY[7]]"
    start = [record.samples["x_m"][7], record.samples["y_m"][7]]
    assert chromium.run(where) == pytest.approx(start, abs=0.01)
    chromium.run("document.querySelector('.player').player.seek(9.9)")  # between two ticks
    assert chromium.run(where) == pytest.approx([start[0] + 9.9, start[1] + 4.95], abs=0.01)
    chromium.picture("replay-drift")
    assert chromium.complaints() == []


def test_the_cells_of_an_assignment_can_be_shown(chromium, tmp_path):
    changes = {"assignment.method": "semi-discrete", "mission.duration_s": 20.0, "control.law": "closed-form"}
    opened(chromium, tmp_path, "six_drones", changes)
    chromium.run(
        "document.querySelector('.player').player.seek(8); const c = document.querySelector('.player .cells'); "
        "c.checked = true; c.dispatchEvent(new Event('change'))"
    )
    assert chromium.run("return document.querySelector('.player').player.flight.cells[5].corners.length") == 6
    assert chromium.run("return document.querySelector('.player .layer').parentElement.offsetParent") is None
    chromium.picture("replay-cells")
    assert chromium.complaints() == []


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
