"""The line to one Betaflight: requests one after the other, sticks in between, never more than it can answer.

Betaflight obeys one frame each time that it looks at its line, 100 to 200 times a second and less on a busy machine.
Whoever sends more fills its buffer, and the sticks that it flies by grow old. So a poll waits for the answer to the
last one, and so do sticks.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from d2oc_hardware.betaflight import msp
from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.mavlink.link import open_stream

PREFIX = "msp:"
"""Of links in a fleet file."""
ANSWER_S, STICKS_ANSWER_S = 0.3, 0.12
"""Then an answer is not waited for any more; to sticks, before the firmware calls them lost (0.15 s)."""
MOST_STICKS = 1
"""Sticks without an answer: where it can answer little, sticks and telemetry get half each."""
TEXT_BEGIN, TEXT_END = b"\x02", b"\x03"
"""Around a line for the command line that is read in passing, and around what it says."""
TOLD = re.compile(rb"\x02([ -~\r\n]*(?: = |###)[ -~\r\n]*)\x03")
"""What it says, between answers that were still on their way."""
QUICK_S = 1.0
"""In which the command line must answer."""


class MspLink:
    """Made by `open_msp`; a stream as `open_stream` wants it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parser = msp.Parser()
        self._write: Callable[[bytes], object] | None = None
        self._close: Callable[[], None] = lambda: None
        self._text: bytes | None = None
        self._asked_at = float("-inf")
        self._answered = True
        self._sticks: list[float] = []
        self.take: Callable[[msp.Frame], None] = lambda frame: None
        """Takes what comes."""

    def use_stream(self, write: Callable[[bytes], object], close: Callable[[], None]) -> None:
        """A stream is there."""
        self._write, self._close = write, close

    def stream_received(self, data: bytes) -> None:
        """Bytes are there."""
        if self._text is not None:
            self._text += data
            return
        for frame in self._parser.take(data):
            if frame.command == msp.SET_RAW_RC:
                del self._sticks[:1]
            else:
                self._answered = True
                self.take(frame)

    def ask(self, command: int, payload: bytes = b"") -> bool:
        """Ask for something, if the last question is answered or was long ago."""
        now = self._clock.now()
        if self._text is not None or (not self._answered and now - self._asked_at < ANSWER_S):
            return False
        self._answered, self._asked_at = False, now
        self._send(msp.frame(command, payload))
        return True

    def send_sticks(self, widths: tuple[int, ...]) -> None:
        """Send all channels, unless several are on their way. [us]"""
        now = self._clock.now()
        self._sticks = [sent for sent in self._sticks if now - sent < STICKS_ANSWER_S]
        if self._text is None and len(self._sticks) < MOST_STICKS:
            self._sticks.append(now)
            self._send(msp.frame(msp.SET_RAW_RC, msp.channel_bytes(widths)))

    async def setting(self, name: str) -> float | None:
        """Value of a setting; of a word, its place in the list of those allowed. None: there is no such.

        No sticks are sent meanwhile, so this is for the ground.

        Raises
        ------
        FlightError
            If it does not answer.
        """
        while not self._answered and self._clock.now() - self._asked_at < ANSWER_S:
            await self._clock.sleep(0.005)
        self._text = b""
        self._send(TEXT_BEGIN + f"get {name}\n".encode("ascii", "replace") + TEXT_END)
        end = self._clock.now() + QUICK_S
        while (told := TOLD.search(self._text)) is None:
            if self._clock.now() > end:
                self._text = None
                raise FlightError(f"the vehicle does not answer when it is asked for {name}")
            await self._clock.sleep(0.005)
        self._text = None
        return value_in(told[1].decode("ascii"), name)

    def _send(self, data: bytes) -> None:
        if self._write is not None:
            self._write(data)

    def close(self) -> None:
        """Let go of the line."""
        self._close()
        self._write = None


def value_in(text: str, name: str) -> float | None:
    """Value of a setting in what the command line says."""
    found = re.search(rf"^{re.escape(name)} = (\S+)\s*$", text, re.MULTILINE)
    if found is None:
        return None
    word = found[1]
    allowed = re.search(r"^Allowed values: (.*)$", text[found.end() :], re.MULTILINE)
    words = [] if allowed is None else [w.strip() for w in allowed[1].split(",")]
    if word in words:
        return float(words.index(word))
    try:
        return float(word)
    except ValueError:
        return None


async def open_msp(where: str, clock: Clock) -> MspLink:
    """A link to one vehicle.

    Parameters
    ----------
    where : str
        ``msp:tcp:HOST:PORT`` or ``msp:serial:DEVICE:BAUD``.
    clock : Clock
        Of the flight.

    Raises
    ------
    FlightError
        If `where` is none of these, or cannot be opened.
    """
    link = MspLink(clock)
    await open_stream(link, where.removeprefix(PREFIX), where)
    return link
