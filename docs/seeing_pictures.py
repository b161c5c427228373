"""Draws the pictures of README.md and docs/seeing.md: six_drones, replay, report, replay_doses and cells.

Run from the checkout, where Chromium is installed: python docs/seeing_pictures.py
"""

from __future__ import annotations

import base64
import importlib.util
import tempfile
import time
from pathlib import Path

from d2oc import load_scenario, simulate
from d2oc_viz import draw_coverage
from d2oc_viz.figures import save_figure
from d2oc_viz.page import replay_page
from d2oc_viz.replay import make_replay
from d2oc_viz.report import write_report

IMAGES = Path(__file__).with_name("images")
BROWSER = Path(__file__).parents[1] / "tests" / "integration" / "test_pages_in_browser.py"
CELLS = {"control.law": "closed-form", "assignment.method": "semi-discrete", "mission.duration_s": 20.0}
AT = "const p = document.querySelector('.player').player; "


def main() -> None:
    """Fly, write the pages, and take their pictures."""
    spec = importlib.util.spec_from_file_location("pages", BROWSER)
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = Path(folder)
        six = simulate(load_scenario("six_drones"), out=run / "six_drones-seed1")
        draw_coverage(six, IMAGES / "six_drones.png")
        save_figure(simulate(load_scenario("six_drones", overrides=CELLS)), "cells", IMAGES / "cells.png")
        write_report([run / "six_drones-seed1"], run / "report.html")
        orchard = simulate(load_scenario("orchard_patches"))
        (run / "orchard.html").write_text(replay_page(make_replay(orchard)), encoding="utf-8")
        browser = pages.Chromium(run / "profile")
        try:
            take(browser, "report", run / "report.html", height=1750)
            browser.look()
            browser.run("document.querySelector('#tab-replay').click()")
            play_to(browser, "replay", "p.part('trail').value = 1; p.seek(66); p.select(3)")
            browser.open(run / "orchard.html")
            play_to(browser, "replay_doses", "p.seek(0.4 * p.flight.end); p.select(0)")
        finally:
            browser.close()


def take(browser, name: str, page: Path, height: int) -> None:
    """Picture of the top of a page."""
    browser.look(1265, height)
    browser.open(page)
    keep(browser, name)


def play_to(browser, name: str, program: str) -> None:
    """Picture of the replay that is open, at some moment."""
    browser.until_true("document.querySelector('.player[data-ready]')")
    browser.run(AT + program)
    keep(browser, name)


def keep(browser, name: str) -> None:
    """Write what the browser shows."""
    time.sleep(0.5)  # until it is drawn
    (IMAGES / f"{name}.png").write_bytes(base64.b64decode(browser.ask("GET", "/screenshot")))


if __name__ == "__main__":
    main()
