"""What a flight controller is to an operator: the words, and nothing of any protocol.

Every implementation passes the same contract test (`tests/unit/hardware/test_flight_controller.py`). Operations are
idempotent: what is asked for and already so is done. An operation returns when the vehicle itself *says* that it is so,
not when it acknowledges the request, and raises `FlightError` with one sentence when that does not happen in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from d2oc.errors import D2ocError
from d2oc_hardware.frames import STANDSTILL, Place, Velocity


class FlightError(D2ocError):
    """A vehicle that cannot be reached, refuses, or does not do what it was told in time."""


class Mode(Enum):
    """Who flies the vehicle, in an operator's words."""

    OURS = "ours"
    """Takes setpoints from this program (GUIDED, OFFBOARD)."""
    HOLD = "hold"
    """The autopilot keeps the place (LOITER, BRAKE, AUTO.LOITER)."""
    MISSION = "mission"
    """The autopilot flies an uploaded mission (AUTO)."""
    RETURN = "return"
    """The autopilot flies home and lands (RTL)."""
    LAND = "land"
    """The autopilot lands where it is."""
    PILOT = "pilot"
    """A person flies: every mode that is none of the above."""


@dataclass(frozen=True)
class Health:
    """What the autopilot thinks of its own sensors."""

    position_known: bool = False
    """Its estimate of position and velocity is good enough to fly by."""
    satellites: int = 0
    """Satellites used."""
    armable: bool | None = False
    """It says that it would arm; None: it says so only once it is engaged."""
    compass: bool = False
    """It has a compass and says that it is well."""
    problems: tuple[str, ...] = ()
    """What it complains about, newest last."""


@dataclass(frozen=True)
class Telemetry:
    """What a vehicle last said of itself; times are those of the flight's clock, -inf where it said nothing."""

    position: Place | None = None
    """Field frame."""
    velocity: Velocity = STANDSTILL
    position_time: float = float("-inf")
    """When the position was heard. [s]"""
    heartbeat_time: float = float("-inf")
    """When the last heartbeat was heard. [s]"""
    mode: Mode = Mode.PILOT
    armed: bool = False
    landed: bool = True
    health: Health = Health()
    battery: float | None = None
    """Charge left, 0 to 1."""
    tank: float | None = None
    """Liquid left. [L]"""
    tank_time: float = float("-inf")
    """When the tank's content was heard. [s]"""
    pump: float = 0.0
    """What the pump's output says, 0 to 1."""
    pump_time: float = float("-inf")
    """When that was heard. [s]"""
    home: Place | None = None
    """Where it returns to."""
    wind: float | None = None
    """Estimated wind. [m/s]"""
    version: tuple[int, int, int] | None = None
    """Of its firmware."""
    clock_offset: float | None = None
    """Its time since it was switched on minus the flight's, known once it has answered. [s]"""


class FencePolygon(NamedTuple):
    """A polygon of the geofence."""

    corners: tuple[tuple[float, float], ...]
    """East and north in the field frame. [m]"""
    inside_allowed: bool
    """True: the vehicle must stay inside; False: it must stay outside."""


class FlightController(Protocol):
    """One vehicle."""

    @property
    def telemetry(self) -> Telemetry:
        """What it last said."""

    @property
    def firmware(self) -> str:
        """Whose words it speaks, "ArduPilot", "PX4" or "Betaflight"; known once it is connected."""

    @property
    def keeps_fence(self) -> bool:
        """Whether it holds a geofence of its own; who holds none refuses the words about it and about missions."""

    async def connect(self) -> None:
        """Find the vehicle and ask for its telemetry; returns when it reports a position."""

    async def close(self) -> None:
        """Spray off, then let go of the link; the vehicle is left to its autopilot."""

    async def engage(self) -> None:
        """Take the vehicle over: from now on it obeys `fly`. Only for an operator to ask, never to grab it back."""

    async def arm(self) -> None:
        """Start the motors."""

    async def disarm(self) -> None:
        """Stop the motors; refused in flight."""

    async def take_off(self, height: float) -> None:
        """Climb straight up to a height in the field frame [m]; returns when it is there."""

    def fly(self, velocity: Velocity) -> None:
        """Fly a velocity until the next one; to be renewed at 10 Hz, or the vehicle stops by itself."""

    def spray(self, share: float, lease: float) -> None:
        """Let the pump run at a share of its rate (0: off) for at most `lease` seconds, one at most; then it is off."""

    async def hold(self) -> None:
        """Let the autopilot keep the place; spray off."""

    async def return_home(self) -> None:
        """Let the autopilot fly home and land; spray off."""

    async def land(self) -> None:
        """Let the autopilot land here; spray off."""

    async def parameters(self, names: Sequence[str]) -> dict[str, float | None]:
        """Values of parameters; None for one that it does not have. There is no call that writes one."""

    async def upload_fence(self, fence: Sequence[FencePolygon]) -> None:
        """Give it a geofence and read it back; raises if what comes back is not what was sent."""

    async def read_fence(self) -> list[FencePolygon]:
        """The geofence that it holds."""

    async def upload_mission(self, places: Sequence[Place]) -> None:
        """Give it a mission of places to pass, read back like a fence."""

    async def read_mission(self) -> list[Place]:
        """The mission that it holds."""


MOST_LEASE = 1.0
"""No spray command is good for longer. [s]"""
