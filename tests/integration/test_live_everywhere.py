"""The live view of agents in processes of their own, and of vehicles that fly: pages that close change nothing."""

from __future__ import annotations

import http.client
import importlib.util
import json
import re
import subprocess
import sys
import threading

import pytest

from d2oc import load_record, load_scenario, simulate
from d2oc.runtime.choice import RuntimeChoice
from d2oc_viz.live import LiveView

COMPILING_S = 400
"""On a new machine several programs compile at the same time before the first flight. [s]"""


class Page(threading.Thread):
    """Reads what a page is told; closes after so many events."""

    def __init__(self, url, *, most=10**6):
        super().__init__()
        self.events, self.most = [], most
        self.connection = http.client.HTTPConnection(url[7:-1], timeout=COMPILING_S)
        self.connection.request("GET", "/ticks")
        self.start()

    def run(self):
        name = ""
        for line in self.connection.getresponse():
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                name = text[7:]
            elif text.startswith("data: "):
                self.events.append((name, text[6:]))
            if len(self.events) == self.most:
                break
        self.connection.close()

    @property
    def ticks(self):
        frames = [json.loads(text)["frames"] for name, text in self.events if name == "frames"]
        return [frame["tick"] for several in frames for frame in several]


@pytest.fixture(scope="module")
def scenario():
    changes = {"mission.duration_s": 8.0, "team.n_agents": 4, "control.law": "closed-form"}
    return load_scenario("six_drones", overrides=changes)


@pytest.fixture(scope="module")
def unseen(scenario):
    return simulate(scenario, runtime="inline")


@pytest.mark.parametrize("runtime", ["inline", "ray"])
def test_a_page_follows_agents_that_only_exchange_messages(runtime, scenario, unseen):
    if runtime == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: extra 'ray'")
    view = LiveView()
    whole, closed = Page(view.url), Page(view.url, most=2)
    record = simulate(scenario, runtime=RuntimeChoice(runtime, 2 if runtime == "ray" else None), watch=view.watch)
    view.end("over")
    whole.join(20)
    closed.join(20)
    assert (whole.events[0][0], whole.events[-1]) == ("begin", ("end", "over"))
    assert whole.ticks[-1] == record.n_ticks - 1
    assert len(closed.events) == 2
    assert record.digest() == unseen.digest()


def test_a_page_follows_vehicles_that_fly(tmp_path):
    command = [
        sys.executable, "-m", "d2oc", "fly", "six_drones", "--set", "control.law=closed-form", "--sim", "2",
        "--speedup", "4", "--set", "mission.duration_s=10", "--out", "run", "--json", "--live",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())[0]
        whole, closed = Page(url), Page(url, most=2)
        printed, said = process.communicate(timeout=COMPILING_S)
    assert process.returncode == 0, said[-2000:]
    whole.join(20)
    closed.join(20)
    summary, record = json.loads(printed), load_record(tmp_path / "run")
    assert summary["landed"]
    assert len(closed.events) == 2
    assert (whole.events[0][0], whole.events[-1][0]) == ("begin", "end")
    assert whole.ticks[-1] == record.n_ticks - 1
    columns = [column["name"] for column in json.loads(whole.events[0][1])["head"]["columns"]]
    assert {"phase", "height_m", "battery_percent"} <= set(columns)
