"""The clock of a flight: real seconds, or faster ones where every vehicle is simulated.

All timeouts, rates and ages of this package are in the seconds of this clock. Processes of one machine that are given
the same epoch and speed-up agree on what time it is. On another computer the monotonic clock began at another moment:
there the epoch is found by the time of day, as well as the two computers agree on that.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Clock:
    """Seconds of a flight.

    Attributes
    ----------
    speedup : float
        Seconds of the flight in a second of the wall; 1 for anything that is not simulated.
    epoch : float
        Value of the monotonic clock of this machine at which the flight's clock is 0. [s]
    """

    speedup: float = 1.0
    epoch: float = field(default_factory=time.monotonic)

    @classmethod
    def by_time_of_day(cls, speedup: float, epoch_utc: float) -> Clock:
        """Clock that was 0 at a time of day, in seconds since 1970."""
        return cls(speedup, time.monotonic() - (time.time() - epoch_utc))

    @property
    def epoch_utc(self) -> float:
        """Time of day at which it was 0, in seconds since 1970."""
        return time.time() - (time.monotonic() - self.epoch)

    def now(self) -> float:
        """Seconds since the epoch."""
        return (time.monotonic() - self.epoch) * self.speedup

    async def sleep(self, duration: float) -> None:
        """Wait so many seconds of the flight."""
        await asyncio.sleep(max(0.0, duration) / self.speedup)

    async def sleep_until(self, moment: float) -> None:
        """Wait until a moment of the flight; not at all if it has passed."""
        await self.sleep(moment - self.now())

    def wall(self, duration: float) -> float:
        """Seconds of the wall in so many of the flight, for timeouts of the event loop."""
        return duration / self.speedup

    def expect(self, moment: float) -> None:
        """Say when one's next turn is; this clock waits for nobody."""

    async def turn(self, moment: float) -> None:
        """Wait until one's next turn; a clock that waits does not go far beyond it before it is taken."""
        self.expect(moment)
        await self.sleep_until(moment)
