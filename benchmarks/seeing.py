"""How report and replay bear a large mission: 100 drones, 10,000 steps, 10,000 samples, made up, not flown.

python benchmarks/seeing.py FOLDER [AGENTS STEPS]

Makes the record in FOLDER unless one stands there, writes report and replay, opens them in Chromium where that is
installed, and prints times and sizes as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from d2oc import load_record
from d2oc.record import AgentHeader, RecordHeader, RecordWriter, Tick
from d2oc_viz.page import replay_page
from d2oc_viz.replay import make_replay
from d2oc_viz.report import write_report

N_SAMPLES = 10_000
FIELD_M = 2000.0
STEP_S = 0.2
RANGE_M = 250.0
SCENARIO = 'name = "large"\ndescription = "Made up to measure report and replay"\n[vehicle]\nmax_speed_m_s = 12.0\n'
BROWSER = Path(__file__).parents[1] / "tests" / "integration" / "test_pages_in_browser.py"
SCRUB = """
const player = document.querySelector('.player').player;
const began = performance.now();
for (let i = 0; i < 200; i++) player.seek(player.flight.end * ((i * 89) % 200) / 200);
return 200000 / (performance.now() - began);
"""
PLAY = """
const [done] = arguments, player = document.querySelector('.player').player;
player.seek(0); player.drawn = 0; player.play();
setTimeout(() => { player.pause(); done(player.drawn / 3); }, 3000);
"""


def main(folder: str, n_agents: int = 100, n_steps: int = 10_000) -> None:
    run = Path(folder)
    figures: dict[str, float] = {"agents": n_agents, "steps": n_steps, "samples": N_SAMPLES}
    if not (run / "run.json").exists():
        make_record(run, n_agents, n_steps)
    record = load_record(run)
    figures["messages"] = len(record.messages["tick"])
    began = time.perf_counter()
    (run / "summary.json").write_text(json.dumps(record.summary()))
    figures["summary_s"] = time.perf_counter() - began
    began = time.perf_counter()
    replay = write(run / "replay.html", lambda path: path.write_text(replay_page(make_replay(load_record(run)))))
    figures |= {"replay_s": time.perf_counter() - began, "replay_mb": replay.stat().st_size / 1e6}
    began = time.perf_counter()
    report = write(run / "report.html", lambda path: write_report([run], path))
    figures |= {"report_s": time.perf_counter() - began, "report_mb": report.stat().st_size / 1e6}
    figures |= look(replay)
    print(json.dumps({key: round(value, 2) for key, value in figures.items()}, indent=2))


def write(path, how):
    how(path)
    return path


def make_record(run: Path, n_agents: int, n_steps: int) -> None:
    """Drones on crossing curves; each takes from the samples in turn, and tells those within range."""
    draw = np.random.default_rng(1)
    agent = AgentHeader("single-integrator", ("x_m", "y_m"), ("vx_m_s", "vy_m_s"), n_steps, 1 / (n_agents * n_steps))
    corners = ((0.0, 0.0), (FIELD_M, 0.0), (FIELD_M, FIELD_M), (0.0, FIELD_M))
    head = RecordHeader("large", 1, n_steps, STEP_S, N_SAMPLES, (agent,) * n_agents, corners, ())
    points = draw.normal(FIELD_M / 2, FIELD_M / 6, (N_SAMPLES, 2)).clip(1, FIELD_M - 1)
    writer = RecordWriter(run, head, SCENARIO, points, np.full(N_SAMPLES, 1 / N_SAMPLES))
    slow, fast = draw.uniform(0.5, 1.0, (2, n_agents, 2)) * np.reshape((0.004, 0.02), (2, 1, 1))
    phase = draw.uniform(0, 2 * np.pi, (n_agents, 2))
    order = draw.permutation(N_SAMPLES)
    everyone, none = np.arange(n_agents, dtype=np.int32), np.empty(0, np.int32)
    for k in range(n_steps + 1):
        t = k * STEP_S
        noise = draw.normal(0, 0.05, (n_agents, 2))
        place = FIELD_M * (0.5 + 0.4 * np.sin(slow * t + phase) + 0.05 * np.sin(fast * t)) + noise
        gap = np.linalg.norm(place[:, None] - place, axis=2)
        sender, receiver = (i.astype(np.int32) for i in np.nonzero((gap < RANGE_M) & (gap > 0)))
        consumed = np.full(n_agents, agent.alpha if k else 0.0)
        sample = order[
            (k * n_agents + everyone.astype(np.int64)) * N_SAMPLES // (n_agents * n_steps + n_agents)
        ].astype(np.int32)
        ones = np.ones(len(sender) if k else 0, np.int32)
        tick = Tick(
            tick=k, position=place, state=place, input=np.zeros((n_agents, 2)), goal=place + 5.0, consumed=consumed,
            believed_remaining=np.full(n_agents, 1 - k / n_steps), active=np.full(n_agents, k > 0),
            consumption=(everyone, sample, consumed) if k else (none, none, np.empty(0)),
            messages=(sender, receiver, ones, 44 * ones) if k else (none, none, none, none),
        )  # fmt: skip
        writer.append(tick)
    writer.finish("complete", {"wall_time_s": 1.0, "compute_time_s": 1.0, "agent_steps": float(n_agents * n_steps)})


def look(page: Path) -> dict[str, float]:
    """Time to open a replay, and frames a second when scrubbed and played."""
    spec = importlib.util.spec_from_file_location("pages", BROWSER)
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = pages.Chromium(profile)
        try:
            browser.look()
            began = time.perf_counter()
            browser.open(page)
            browser.until_true("document.querySelector('.player[data-ready]')")
            opened = time.perf_counter() - began
            scrubbed = browser.run(SCRUB)
            played = browser.post("/execute/async", script=PLAY, args=[])
            browser.picture("large")
            return {"open_s": opened, "scrub_frames_per_s": scrubbed, "play_frames_per_s": played}
        finally:
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
