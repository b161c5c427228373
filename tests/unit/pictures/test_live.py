"""The live view tells what happens, and whatever its pages do, the mission does not notice."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from d2oc import load_scenario, simulate
from d2oc.metrics import remaining_weight
from d2oc.record import RecordWriter
from d2oc_viz import live
from d2oc_viz.live import LiveView, Story
from d2oc_viz.replay import unpack

CHANGES = {"mission.duration_s": 10.0, "team.n_agents": 3}


@pytest.fixture
def view():
    view = LiveView()
    yield view
    if not view.ended:
        view.end("over")


def ask(view, path, host=None):
    connection = http.client.HTTPConnection(view.url[7:-1], timeout=20)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    return connection, connection.getresponse()


def read_events(view, events):
    """Read events of the stream until it ends."""
    connection, answer = ask(view, "/ticks")
    name = ""
    for line in answer:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text[7:]
        elif text.startswith("data: "):
            events.append((name, text[6:]))
    connection.close()


def listening(view):
    events = []
    reader = threading.Thread(target=read_events, args=(view, events))
    reader.start()
    return reader, events


def numbers(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def told(events):
    """Frames and consumption of all events."""
    parts = [json.loads(text) for name, text in events if name == "frames"]
    frames = [frame for part in parts for frame in part["frames"]]
    taken = {
        name: np.concatenate([numbers(part["taken"][name], "<i4") for part in parts])
        for name in ("tick", "sample", "amount")
    }
    return frames, taken


@pytest.mark.parametrize("opening_s", [0.0, 0.5])
def test_a_page_hears_the_mission_from_begin_to_end(view, opening_s, monkeypatch):
    opening = Story.opening
    monkeypatch.setattr(Story, "opening", lambda story: time.sleep(opening_s) or opening(story))
    reader, events = listening(view)
    record = simulate(load_scenario("six_drones", overrides=CHANGES), watch=view.watch)
    view.end("over")
    reader.join(20)
    assert [events[0][0], events[-1]] == ["begin", ("end", "over")]
    frames, taken = told(events)
    assert frames[-1]["tick"] == record.n_ticks - 1
    assert frames[-1]["remaining"] == pytest.approx(remaining_weight(record), abs=1e-12)
    head = json.loads(events[0][1])["head"]
    columns = [column["name"] for column in head["columns"]]
    values = numbers(frames[-1]["columns"], "<f4").reshape(len(columns), 3)
    assert values[columns.index("x_m")] == pytest.approx(record.by_tick("x_m")[-1, :, 0], rel=1e-6)
    quantum = live.sample_quantum(record.samples["weight"])
    left = np.bincount(taken["sample"], taken["amount"], record.header.n_samples) * quantum
    consumed = np.bincount(record.consumption["sample"], record.consumption["amount"], record.header.n_samples)
    assert left == pytest.approx(consumed, abs=quantum)
    assert (np.diff(taken["tick"]) >= 0).all()


def test_watching_changes_nothing(view):
    scenario = load_scenario("six_drones", overrides=CHANGES)
    reader, _ = listening(view)
    watched = simulate(scenario, watch=view.watch)
    view.end("over")
    reader.join(20)
    assert watched.digest() == simulate(scenario).digest()


def test_pages_that_vanish_or_never_read_do_not_hold_the_mission(view, monkeypatch):
    monkeypatch.setattr(live, "FAREWELL_S", 0.3)
    host, port = view.url[7:-1].split(":")
    deaf = [socket.create_connection((host, int(port))) for _ in range(3)]
    for page in deaf:
        page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        page.sendall(f"GET /ticks HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    deaf[0].close()
    record = simulate(load_scenario("six_drones", overrides=CHANGES), watch=view.watch)
    assert record.complete
    began = time.monotonic()
    view.end("over")
    assert time.monotonic() - began < 5.0
    for page in deaf[1:]:
        page.close()


def test_only_this_machine_is_served(view):
    assert view.url.startswith("http://127.0.0.1:")
    for path, host, status in (
        ("/", None, 200),
        ("/", "localhost:80", 200),
        ("/", "evil.example", 403),
        ("/secrets", None, 404),
    ):
        connection, answer = ask(view, path, host)
        assert answer.status == status
        answer.read()
        connection.close()


def test_the_page_may_reach_its_own_server_and_nothing_else(view):
    connection, answer = ask(view, "/")
    text = answer.read().decode()
    connection.close()
    assert "default-src 'none'" in text
    assert "connect-src 'self'" in text


def test_frames_are_no_closer_than_their_interval():
    now = [0.0]
    view = LiveView(clock=lambda: now[0])
    try:
        scenario = load_scenario("six_drones", overrides={"mission.duration_s": 2.0, "team.n_agents": 1})
        simulate(scenario, watch=view.watch)  # the clock stands still: only the first tick is shown
        view._ending.set()
        view._threads[1].join(5)
        assert [frame.tick for frame in view.story.frames] == [0]
    finally:
        view.end("over")


def story_of(make_record, n_ticks, monkeypatch, most_rows):
    monkeypatch.setattr(live, "MOST_ROWS", most_rows)
    monkeypatch.setattr(live, "FEWEST_FRAMES", 4)
    ticks = []
    monkeypatch.setattr(
        RecordWriter, "append", lambda self, tick, kept=RecordWriter.append: (ticks.append(tick), kept(self, tick))
    )
    record = make_record(n_agents=3, n_steps=n_ticks)
    story = Story(
        record.header, np.column_stack([record.samples["x_m"], record.samples["y_m"]]), record.samples["weight"]
    )
    for tick in ticks:
        story.take([(tick.tick, *tick.consumption)])
        story.show(tick)
    return record, story


def test_a_long_mission_is_remembered_in_a_bounded_number_of_frames(make_record, monkeypatch):
    record, story = story_of(make_record, 200, monkeypatch, most_rows=30)
    assert len(story.frames) <= 10
    assert story.frames[-1].tick == 200
    taken = json.loads(story.since(-1, 0))["taken"]
    amount = np.bincount(numbers(taken["sample"], "<i4"), numbers(taken["amount"], "<i4"), record.header.n_samples)
    assert amount.sum() * live.sample_quantum(record.samples["weight"]) == pytest.approx(
        record.consumption["amount"].sum(), rel=1e-6
    )


def test_a_page_that_fell_behind_skips_frames_but_not_the_last(make_record, monkeypatch):
    _, story = story_of(make_record, 50, monkeypatch, most_rows=10**6)
    ticks = [frame["tick"] for frame in json.loads(story.since(9, 0, most=5))["frames"]]
    assert len(ticks) <= 6
    assert (ticks[0], ticks[-1]) == (10, 50)


def test_a_page_is_told_how_samples_move(make_record):
    record = make_record()
    points = np.column_stack([record.samples["x_m"], record.samples["y_m"]])
    moving = replace(record.header, motion={"kind": "drift", "velocity_m_s": [1.0, 0.5]})
    opening = Story(moving, points, record.samples["weight"]).opening()
    assert opening["head"]["way_ticks"] == [0, 40]
    ground = opening["head"]["ground_quantum_m"]
    way = unpack(base64.b64decode(opening["streams"]["way_x"])).reshape(-1, 2) * ground
    assert way == pytest.approx(points[:, :1] + [0.0, 20.0], abs=ground)
    assert Story(record.header, points, record.samples["weight"]).opening()["head"]["way_ticks"] == []
