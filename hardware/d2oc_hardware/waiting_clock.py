"""A clock that waits: one for all processes of a simulated flight, which stands still while one of them is late.

Faster than real time on a busy machine a process misses its turns, and what it then does late has nothing to do with
what would be flown. Here the ground station keeps the time in a small shared file, in which every process that flies or
is flown says when its next turn is. The clock goes at the flight's speed-up, at most, and never far beyond a turn that
somebody has not taken yet. Who says nothing for some seconds of the wall is not waited for until it speaks again, so a
process that stands still is missed as in a real flight; without a ground station the clock goes on alone.
"""

from __future__ import annotations

import asyncio
import math
import mmap
import os
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from d2oc_hardware.clock import Clock

HOLD_S = 0.005
"""So far readers go on from what was written last. [s of the wall]"""
BEAT_S = 0.002
"""It is written so often. [s of the wall]"""
LATE_S = 0.05
"""How much later than planned a turn may be taken before the clock stands still. [s of the flight]"""
PATIENCE_S = 3.0
"""So long the clock waits for a process that stands still. [s of the wall]"""
ALONE_S = 1.0
"""When the ground station has not written for so long, the clock goes on without it. [s of the wall]"""

COUNT, READING, TURN = struct.Struct("<Q"), struct.Struct("<ddd"), struct.Struct("<d")
"""A reading is the flight's time, the wall's at that moment, and the rate; it stands between two counts."""
BEGUN, WRITTEN, ENDED, TURNS = 0, 8, 32, 40
"""Where they stand in the file: the count before a reading, the reading, the count after it, the turns."""


@dataclass(frozen=True)
class WaitingClock(Clock):
    """Seconds of a flight, as all processes of one machine read them.

    Attributes
    ----------
    memory : mmap
        What they share.
    number : int, optional
        Whose turns are said here; None: nobody's.
    """

    memory: mmap.mmap | None = None
    number: int | None = None

    @classmethod
    def in_file(cls, path: Path, number: int | None, speedup: float) -> WaitingClock:
        """The clock that a ground station keeps in a file."""
        with path.open("r+b") as file:
            return cls(speedup, memory=mmap.mmap(file.fileno(), 0), number=number)

    def now(self) -> float:
        """Seconds of the flight."""
        return self.at(time.monotonic())

    def at(self, wall: float) -> float:
        """The reading at a moment of the monotonic clock; it never falls."""
        assert self.memory is not None
        while True:  # until nobody has written meanwhile
            ended = COUNT.unpack_from(self.memory, ENDED)
            moment, written, rate = READING.unpack_from(self.memory, WRITTEN)
            if COUNT.unpack_from(self.memory, BEGUN) == ended:
                break
        age = max(0.0, wall - written)
        return float(moment + rate * min(age, HOLD_S) + self.speedup * max(0.0, age - ALONE_S))

    async def sleep(self, duration: float) -> None:
        """Wait so many seconds of the flight."""
        await self.sleep_until(self.now() + duration)

    async def sleep_until(self, moment: float) -> None:
        """Wait until a moment of the flight; not at all if it has passed."""
        await asyncio.sleep(max(0.0, self.wall(moment - self.now())))
        while (left := self.wall(moment - self.now())) > 0.0:
            await asyncio.sleep(max(left, 0.001))

    def expect(self, moment: float) -> None:
        """Say when one's next turn is, inf where there is none: the clock does not go far beyond it."""
        if self.number is not None:
            assert self.memory is not None
            TURN.pack_into(self.memory, _place_of(self.number), moment)


class Pacemaker:
    """Keeps the clock, in a thread of the ground station.

    Parameters
    ----------
    n : int
        Processes that may be waited for.
    speedup : float
        Seconds of the flight in a second of the wall, at most.
    """

    def __init__(self, n: int, speedup: float) -> None:
        handle, name = tempfile.mkstemp(prefix="d2oc-clock-")
        self.path = Path(name)
        os.truncate(handle, _place_of(n))
        os.close(handle)
        self.clock = WaitingClock.in_file(self.path, None, speedup)
        self._late = LATE_S + HOLD_S * speedup
        self._turns = [math.inf] * n
        self._since = [math.inf] * n
        self._count = 0
        self._awaited_from: tuple[float, float] | None = None
        self._write(0.0, time.monotonic(), 0.0)
        for number in range(n):
            self.forget(number)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock of the flight", daemon=True)
        self._thread.start()

    @property
    def _memory(self) -> mmap.mmap:
        assert self.clock.memory is not None
        return self.clock.memory

    def forget(self, number: int) -> None:
        """Wait no more for a process, which has ended."""
        TURN.pack_into(self._memory, _place_of(number), math.inf)

    @property
    def pace(self) -> float:
        """Seconds of the flight in a second of the wall, since somebody was waited for first; the speed-up at most."""
        if self._awaited_from is None:
            return self.clock.speedup
        wall = time.monotonic()
        now, (flight_from, wall_from) = self.clock.at(wall), self._awaited_from
        return (now - flight_from) / max(wall - wall_from, 1e-9)

    def close(self) -> None:
        """End keeping it."""
        self._over.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._over.wait(BEAT_S):
            self._beat(time.monotonic())

    def _beat(self, wall: float) -> None:
        now = self.clock.at(wall)
        turns = self._awaited(now, wall)
        if turns and self._awaited_from is None:
            self._awaited_from = now, wall
        room = min(turns, default=math.inf) + self._late - now
        self._write(now, wall, min(self.clock.speedup, max(0.0, room / HOLD_S)))

    def _awaited(self, now: float, wall: float) -> list[float]:
        """Turns of all that are waited for."""
        awaited = []
        for number, before in enumerate(self._turns):
            (turn,) = TURN.unpack_from(self._memory, _place_of(number))
            if turn != before or turn > now:
                self._turns[number], self._since[number] = turn, wall
            if turn < math.inf and wall - self._since[number] <= PATIENCE_S:
                awaited.append(turn)
        return awaited

    def _write(self, now: float, wall: float, rate: float) -> None:
        self._count += 1
        COUNT.pack_into(self._memory, BEGUN, self._count)
        READING.pack_into(self._memory, WRITTEN, now, wall, rate)
        COUNT.pack_into(self._memory, ENDED, self._count)


def _place_of(number: int) -> int:
    """Where a process says when its next turn is."""
    return TURNS + TURN.size * number
