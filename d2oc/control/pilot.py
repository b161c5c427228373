"""A law in the hands of one agent that knows only itself, what all knew before take-off, and what it was told.

The arrays of the crew are those of a team of one: row 0 is the agent. A *brief* is what an agent is given of its law
before take-off: plain data that may travel to another process, where it becomes a pilot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from d2oc.arrays import Floats
from d2oc.bus.messages import Message, Sighting
from d2oc.control.giving_way import SetAside

if TYPE_CHECKING:
    from d2oc.control.controller import Crew


class Pilot(Protocol):
    """What steers one agent; what it does follows from its brief and what it was given since."""

    @property
    def beacon(self) -> bool:
        """Whether others must know where the agent is when its time is over."""

    def listen(self, tick: int, messages: Sequence[Message], before: Floats | None, crew: Crew) -> None:
        """Take note of messages.

        Parameters
        ----------
        tick : int
            Steps flown so far.
        messages : sequence of Message
            What came over the air since the last step; of each sender only what is younger than what it said before.
        before : ndarray, shape (2,), or None
            Where the agent was one step ago. [m]
        crew : Crew
            The agent.
        """

    def book(self, k: int, crew: Crew) -> None:
        """Stage B of step k, which has just ended; the agent was active in it."""

    def decide(self, k: int, crew: Crew) -> None:
        """Stage A of step k, which begins: write `goal`, `input` and `active`."""

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """Where the agent, row r, wants to be; see `d2oc.control.controller.Controller`."""

    def say(self, tick: int) -> tuple[list[Sighting], bytes]:
        """What the law adds to the agent's message: fields `sightings` and `way`."""

    @property
    def happened(self) -> list[int]:
        """Codes of what happened in the last `decide`."""

    def remembered(self) -> Any:
        """All that it remembers, as plain data; see `d2oc.memory`."""

    def remember(self, kept: Any) -> None:
        """Remember what `remembered` gave, read back; only for a pilot that has not flown yet."""


class Brief(Protocol):
    """What an agent knows of its law before take-off; never changed, and fit to travel to another process."""

    def pilot(self, aside: SetAside, time_step: float) -> Pilot:
        """Somebody who flies by it.

        Parameters
        ----------
        aside : SetAside
            Working memory that agents of a process share.
        time_step : float
            Control period. [s]
        """
