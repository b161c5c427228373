"""The live view: a page that follows a running mission over a socket that only this machine can reach.

The mission hands over each tick and goes on at once. A thread of its own takes what is shown, at most 10 frames a
second; a thread for each open page sends it on. Frames that come faster than that are left out, and so are frames for a
page that is slow; what was treated meanwhile is never lost, it comes with the next frame.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.record import RecordHeader, Tick
from d2oc_viz.page import KEYS, header, page, player
from d2oc_viz.replay import QUANTITIES, ground_quantum, head_of, pack, sample_quantum, sample_ways

Floats = NDArray[np.float64]

FRAME_INTERVAL_S = 0.1
"""A frame is shown at most this often. [s]"""
FRAMES_WAITING = 8
"""Frames that wait for the thread that shows them; older ones are dropped."""
MOST_ROWS = 300_000
"""Agents times frames that are kept for pages opened later; beyond, every second frame is forgotten."""
FEWEST_FRAMES = 64
"""Frames kept however large the team."""
MOST_AT_ONCE = 200
"""Frames sent to a page that fell behind; it skips those between."""
SIGN_OF_LIFE_S = 10.0
"""Without news, a page hears this often that the mission still runs. [s]"""
FAREWELL_S = 3.0
"""Time for open pages to take the last frames when the mission is over. [s]"""


@dataclass(frozen=True)
class Frame:
    """A tick as a page takes it."""

    tick: int
    text: str
    """JSON."""


@dataclass(frozen=True)
class Taken:
    """What was taken from samples since the frame before, as whole numbers."""

    tick: NDArray[np.int32]
    sample: NDArray[np.int32]
    amount: NDArray[np.int32]


class LiveView:
    """Serves the page; hand `watch` to `d2oc.simulate`, and call `end` when the mission is over.

    Parameters
    ----------
    port : int
        Of 127.0.0.1; 0 takes one that is free.
    clock : callable
        Seconds since some moment, for the interval between frames.

    Attributes
    ----------
    url : str
        Address of the page.
    """

    def __init__(self, port: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown = -np.inf
        self._frames_waiting: deque[Tick] = deque(maxlen=FRAMES_WAITING)
        self._taken_waiting: deque[tuple[int, NDArray[Any], NDArray[Any], Floats]] = deque()
        self._latest: Tick | None = None
        self._ending = threading.Event()
        self.story: Story | None = None
        self.news = threading.Condition()
        self.ended = ""
        self.n_pages = 0
        self._server = _Server(("127.0.0.1", port), self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True),
            threading.Thread(target=self._show, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def watch(self, header: RecordHeader, points: Floats, weights: Floats) -> Callable[[Tick], None]:
        """Begin with a mission; returns what takes its ticks."""
        with self.news:
            self.story = Story(header, points, weights)
            self.news.notify_all()
        return self.hear

    def hear(self, tick: Tick) -> None:
        """Take a tick; never waits."""
        agent, sample, amount = tick.consumption
        self._taken_waiting.append((tick.tick, agent, sample, amount))
        self._latest = tick
        now = self._clock()
        if now - self._shown >= FRAME_INTERVAL_S:
            self._shown = now
            self._frames_waiting.append(tick)

    def wait_for_news(self, tick: int) -> None:
        """Wait, `news` in hand, until there is a frame after a tick, or the end, or it is time for a sign of life."""
        self.news.wait_for(lambda: bool(self.ended) or _has_news(self.story, tick), SIGN_OF_LIFE_S)

    def end(self, status: str) -> None:
        """Show the last tick, tell all pages, and close."""
        if self._latest is not None:
            self._frames_waiting.append(self._latest)
        self._ending.set()
        self._threads[1].join(FAREWELL_S)
        with self.news:
            self.ended = status
            self.news.notify_all()
            self.news.wait_for(lambda: self.n_pages == 0, FAREWELL_S)
        self._server.shutdown()
        self._server.server_close()
        self._threads[0].join(FAREWELL_S)

    def _show(self) -> None:
        """Turn what waits into frames, until the end."""
        while True:
            last_round = self._ending.wait(FRAME_INTERVAL_S)
            while self._frames_waiting and self.story is not None:
                tick = self._frames_waiting.popleft()
                with self.news:  # both, or a page that is being told just now would miss what was taken
                    self.story.take(self._taken_until(tick.tick))
                    self.story.show(tick)
                    self.news.notify_all()
            if last_round:
                return

    def _taken_until(self, tick: int) -> list[tuple[int, NDArray[Any], NDArray[Any], Floats]]:
        taken = []
        while self._taken_waiting and self._taken_waiting[0][0] <= tick:
            taken.append(self._taken_waiting.popleft())
        return taken


class Story:
    """What a page must know of a mission so far."""

    def __init__(self, header: RecordHeader, points: Floats, weights: Floats) -> None:
        self.header = header
        self.frames: list[Frame] = []
        self.taken: list[Taken] = []
        self.columns: list[str] = []
        self._points = points
        self._weights = weights
        self._quantum = sample_quantum(weights)
        self._consumed = np.zeros(len(weights))
        self._told = np.zeros(len(weights), np.int64)
        self._treated = np.zeros(header.n_agents)
        self._before: tuple[int, Floats] | None = None
        self._last_tick = -1
        self._most_frames = max(FEWEST_FRAMES, MOST_ROWS // header.n_agents)

    def opening(self) -> dict[str, Any]:
        """Head and samples, as the page unpacks them."""
        ground = ground_quantum(self.header)
        numbers = {
            "sample_x": self._points[:, 0] / ground,
            "sample_y": self._points[:, 1] / ground,
            "sample_weight": self._weights / self._quantum,
        }
        told = {quantity.name: quantity for quantity in QUANTITIES}
        columns = [{"name": n, "label": told[n].label, "unit": told[n].unit} for n in self.columns]
        streams = {name: pack(np.round(value).astype(np.int64)) for name, value in numbers.items()}
        way_ticks, ways = sample_ways(self.header, self._points, self.header.n_steps + 1)
        head = {"columns": columns, "ground_quantum_m": ground, "way_ticks": way_ticks}
        return {
            "head": head_of(self.header) | head,
            "streams": {name: _text(packed) for name, packed in (streams | ways).items()},
        }

    def take(self, taken: list[tuple[int, NDArray[Any], NDArray[Any], Floats]]) -> None:
        """Note what was consumed up to the next frame."""
        if not taken:
            return
        agent, sample, amount = (np.concatenate([entry[i] for entry in taken]) for i in (1, 2, 3))
        np.add.at(self._consumed, sample, amount)
        np.add.at(self._treated, agent, amount)
        touched = np.unique(sample)
        whole = np.round(self._consumed[touched] / self._quantum).astype(np.int64)
        change = whole - self._told[touched]
        self._told[touched] = whole
        shown = change != 0
        tick = np.full(int(shown.sum()), taken[-1][0], np.int32)
        self.taken.append(Taken(tick, touched[shown].astype(np.int32), change[shown].astype(np.int32)))

    def show(self, tick: Tick) -> None:
        """Add a frame, unless that tick is shown already."""
        if tick.tick <= self._last_tick:
            return
        values = self._values(tick)
        self.columns = self.columns or [quantity.name for quantity in QUANTITIES if quantity.name in values]
        matrix = np.stack([np.asarray(values[name], np.float32) for name in self.columns]).astype("<f4")
        sender, receiver = tick.messages[0].astype(np.int64), tick.messages[1].astype(np.int64)
        pairs = np.unique(np.minimum(sender, receiver) * self.header.n_agents + np.maximum(sender, receiver))
        content = {
            "tick": tick.tick,
            "remaining": float(np.maximum(self._weights - self._consumed, 0.0).sum()),
            "columns": _text(matrix.tobytes()),
            "pairs": _text(pairs.astype("<i4").tobytes()),
        }
        self._last_tick = tick.tick
        self._before = tick.tick, tick.position
        self.frames.append(Frame(tick.tick, json.dumps(content)))
        if len(self.frames) > self._most_frames:
            self.frames = [*self.frames[:-1:2], self.frames[-1]]

    def _values(self, tick: Tick) -> Mapping[str, Floats]:
        """Columns of a frame by name, in the units of `QUANTITIES`."""
        given = {
            "x_m": tick.position[:, 0],
            "y_m": tick.position[:, 1],
            "goal_x_m": tick.goal[:, 0],
            "goal_y_m": tick.goal[:, 1],
            "speed_m_s": self._speed(tick),
            "treated": 100 * self._treated,
            "believed": 100 * tick.believed_remaining,
            "active": tick.active.astype(np.float64),
            **tick.telemetry,
        }
        if "charge" in given:
            given["charge"] = 100 * given["charge"]
        if "liquid_l" in given:
            given["tank_l"] = given["liquid_l"]
        return given

    def _speed(self, tick: Tick) -> Floats:
        """Mean over the time since the frame before. [m/s]"""
        if self._before is None:
            return np.full(self.header.n_agents, np.nan)
        passed = (tick.tick - self._before[0]) * self.header.time_step_s
        return np.asarray(np.linalg.norm(tick.position - self._before[1], axis=1) / passed)

    def since(self, tick: int, n_taken: int, *, most: int | None = None) -> str:
        """Frames after a tick, and what was taken after so many entries, as JSON; frames left out beyond `most`."""
        frames = [frame for frame in self.frames if frame.tick > tick]
        if most is not None and len(frames) > most:
            frames = [*frames[: -1 : -(-len(frames) // most)], frames[-1]]
        chunks = self.taken[n_taken:]
        parts = {
            name: _text(b"".join(getattr(chunk, name).astype("<i4").tobytes() for chunk in chunks))
            for name in ("tick", "sample", "amount")
        }
        return f'{{"taken": {json.dumps(parts)}, "frames": [{", ".join(frame.text for frame in frames)}]}}'


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], view: LiveView) -> None:
        super().__init__(address, _Handler)
        self.view = view

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that went away is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer a page, or its wish to be told of ticks."""
        if self.headers.get("Host", "").rsplit(":", 1)[0] not in ("127.0.0.1", "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)  # a foreign site that points its name at this machine
        elif self.path == "/":
            self._send(live_page().encode(), "text/html; charset=utf-8")
        elif self.path == "/ticks":
            self._tell()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def _tell(self) -> None:
        """Send server-sent events until the mission ends or the page goes away."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        view = self.server.view
        with view.news:
            view.n_pages += 1
        try:
            self._tell_all(view)
        except OSError:
            pass  # the page was closed
        finally:
            with view.news:
                view.n_pages -= 1
                view.news.notify_all()

    def _tell_all(self, view: LiveView) -> None:
        tick, n_taken, opened = -1, 0, False
        while True:
            with view.news:
                view.wait_for_news(tick)
                story, ended = view.story, view.ended
                news = story is not None and _has_news(story, tick)
                if news and story is not None:
                    text = story.since(tick, n_taken, most=MOST_AT_ONCE if opened else None)
                    opening = "" if opened else json.dumps(story.opening())
                    tick, n_taken = story.frames[-1].tick, len(story.taken)
            if news:
                if not opened:
                    self._event("begin", opening)
                    opened = True
                self._event("frames", text)
            elif not ended:
                self.wfile.write(b": still flying\n\n")
            if ended:
                self._event("end", ended)
                return

    def _event(self, name: str, text: str) -> None:
        self.wfile.write(f"event: {name}\ndata: {text}\n\n".encode())
        self.wfile.flush()


def _has_news(story: Story | None, tick: int) -> bool:
    return story is not None and bool(story.frames) and story.frames[-1].tick > tick


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def live_page() -> str:
    """The page that follows a running mission."""
    body = header("live") + f'<main><div id="replay">{player("live", "live")}{KEYS}</div></main>'
    return page("live", body, live=True)
