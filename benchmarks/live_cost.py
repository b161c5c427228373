"""What the live view costs a mission: flights with a page open against flights without, in turn.

python benchmarks/live_cost.py [AGENTS PAIRS DURATION_S]

Flies `field_20ha` with so many agents for so long under the law `closed-form` (100, 6, 420). The page is read by a
process of its own, as a browser would; it keeps reading to the end. Prints, as JSON, the time from the first tick to
the last: of the wall, and of the processor in the mission's own process, threads of the live view included; and how
much of the latter the live view itself took: its threads, and its part of the thread that flies.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from d2oc import load_scenario, simulate
from d2oc_viz.live import LiveView

READER = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=600)
connection.request("GET", "/ticks")
print(sum(len(line) for line in connection.getresponse()))
"""


class Times:
    """Wall and processor time from the first tick to the last."""

    def __init__(self, watch=None):
        self.watch = watch
        self.first = self.last = (0.0, 0.0, 0.0)
        self.heard = 0.0

    def __call__(self, *mission):
        hear = None if self.watch is None else self.watch(*mission)

        def on_tick(tick):
            if tick.tick == 1:
                self.first = clocks()
            if hear is not None:
                began = time.thread_time()
                hear(tick)
                self.heard += time.thread_time() - began
            self.last = clocks()

        return on_tick

    @property
    def passed(self):
        """Of the wall, of the processor, and of the processor in the live view."""
        wall, whole, flying = (b - a for a, b in zip(self.first, self.last, strict=True))
        return wall, whole, whole - flying + self.heard


def clocks() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), time.thread_time()


def unseen(scenario) -> tuple[float, float, float]:
    times = Times()
    simulate(scenario, watch=times)
    return times.passed


def seen(scenario) -> tuple[tuple[float, float, float], int]:
    view = LiveView()
    page = subprocess.Popen([sys.executable, "-c", READER, view.url[7:-1]], stdout=subprocess.PIPE, text=True)
    while not view.n_pages:
        time.sleep(0.01)
    times = Times(view.watch)
    simulate(scenario, watch=times)
    view.end("over")
    printed, _ = page.communicate(timeout=60)
    return times.passed, int(printed)


def main(n_agents: int = 100, pairs: int = 6, duration_s: int = 420) -> None:
    changes = {"team.n_agents": n_agents, "control.law": "closed-form", "mission.duration_s": float(duration_s)}
    scenario = load_scenario("field_20ha", overrides=changes)
    unseen(scenario)  # compiles
    without, with_page = [], []
    for i in range(2 * pairs):
        if i % 2 == (i // 2) % 2:  # without, with, with, without, ...
            without.append(unseen(scenario))
        else:
            took, size = seen(scenario)
            with_page.append(took)
    result = {"agents": n_agents, "pairs": pairs, "duration_s": duration_s, "page_mb": size / 1e6}
    for k, name in enumerate(("wall", "cpu")):
        least = [min(row[k] for row in rows) for rows in (without, with_page)]
        middle = [statistics.median(row[k] for row in rows) for rows in (without, with_page)]
        result[f"{name}_s"] = {"without": [r[k] for r in without], "with": [r[k] for r in with_page]}
        result[f"{name}_cost_percent"] = {
            "least": 100 * (least[1] / least[0] - 1), "median": 100 * (middle[1] / middle[0] - 1),
        }  # fmt: skip
        result[f"{name}_times_real_time"] = duration_s / least[0]
    beside = [statistics.median(own for _, _, own in rows) for rows in (without, with_page)]  # Python has threads too
    result["cpu_of_the_live_view_percent"] = 100 * (beside[1] - beside[0]) / statistics.median(r[1] for r in without)
    print(json.dumps(json.loads(json.dumps(result), parse_float=lambda text: round(float(text), 2)), indent=2))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
