"""`d2oc sim-vehicle`: a simulated vehicle as a process that speaks MAVLink 2 over UDP on the loopback interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import FieldDatum
from d2oc_hardware.mavlink.codec import Codec, Message
from d2oc_hardware.simulated.autopilot import Autopilot
from d2oc_hardware.simulated.parameters import DEFAULTS
from d2oc_hardware.simulated.plant import Plant, PointMass, RigidBody, chosen
from d2oc_hardware.simulated.protocol import Protocol

LOOPBACK = "127.0.0.1"
TICK_S = 0.04
"""Between two looks at the clock, in seconds of the flight."""
MOST_PEERS = 16
PEER_FORGOTTEN_S = 30.0
FAULTS = {
    "gps-loss": "SIM_GPS_DISABLE",
    "telemetry-frozen": "SIM_TELEM_FREEZE",
    "link-cut": "SIM_LINK_CUT",
    "battery-low": "SIM_BATT_PCT",
    "wind": "SIM_WIND_SPD",
    "tank-empty": "",
}
"""What can be made to go wrong."""
SEVERITY = {"battery-low": 24.0, "wind": 20.0}


@dataclass(frozen=True)
class PlannedFault:
    """Something that goes wrong so long after take-off."""

    kind: str
    at: float
    """[s]"""
    duration: float = float("inf")
    """[s]"""


@dataclass(frozen=True)
class VehicleSetup:
    """What is simulated."""

    datum: FieldDatum
    """Where it is switched on."""
    system: int = 1
    port: int = 0
    """UDP port to listen on; 0: any."""
    peers: tuple[tuple[str, int], ...] = ()
    """Whom it speaks to before it is spoken to."""
    physics: str = "ideal"
    airframe: str = "research-quadrotor"
    """Preset that flies where physics is bullet."""
    parameters: dict[str, float] = field(default_factory=dict)
    key: bytes | None = None
    faults: tuple[PlannedFault, ...] = ()
    report: Path | None = None
    """File that holds the truth, for tests: written every second."""


def parse_fault(text: str) -> PlannedFault:
    """A fault from `KIND@SECONDS` or `KIND@SECONDS:DURATION`.

    Raises
    ------
    FlightError
        If there is no such kind, or the times are no numbers.
    """
    kind, _, times = text.partition("@")
    at, _, duration = times.partition(":")
    if kind not in FAULTS:
        raise FlightError(f"fault '{text}': unknown kind {kind}; known are {', '.join(FAULTS)}")
    try:
        return PlannedFault(kind, float(at), float(duration or "inf"))
    except ValueError:
        raise FlightError(f"fault '{text}': write KIND@SECONDS or KIND@SECONDS:DURATION") from None


def plant_of(physics: str, airframe: str) -> Plant:
    """What flies: `ideal`, `bullet`, or `auto` for the second where PyBullet is installed."""
    return RigidBody(airframe) if chosen(physics) == "bullet" else PointMass()


class SimulatedVehicle(asyncio.DatagramProtocol):
    """The vehicle on its socket."""

    def __init__(self, setup: VehicleSetup, clock: Clock) -> None:
        self._setup = setup
        self._clock = clock
        parameters = {**DEFAULTS, **setup.parameters, "SYSID_THISMAV": float(setup.system)}
        self.autopilot = Autopilot(plant_of(setup.physics, setup.airframe), parameters, tank=parameters["SIM_TANK_L"])
        self._speaker = Codec(setup.system, 1, setup.key)
        self.protocol = Protocol(self.autopilot, setup.datum, self._send)
        self._listeners: dict[object, Codec] = {}
        self._heard: dict[object, float] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._flew_at: float | None = None
        self._changed: dict[str, float] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the socket."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hear a datagram."""
        if self.autopilot.parameter["SIM_LINK_CUT"]:
            return
        codec = self._listeners.get(addr)
        if codec is None:
            codec = Codec(self._setup.system, 1, self._setup.key)
            codec.share_signatures(self._speaker)
            if len(self._listeners) < MOST_PEERS:
                self._listeners[addr] = codec
        for message in codec.parse(data):
            self._heard[addr] = self._clock.now()
            self.protocol.hear(message, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens on the other side, yet or any more."""

    def _send(self, message: Message, peer: object | None) -> None:
        if self._transport is None or self.autopilot.parameter["SIM_LINK_CUT"]:
            return
        data = self._speaker.pack(message)
        for address in [peer] if peer is not None else self._peers():
            self._transport.sendto(data, address)  # type: ignore[arg-type]

    def _peers(self) -> list[object]:
        now = self._clock.now()
        recent = [peer for peer, time in self._heard.items() if now - time < PEER_FORGOTTEN_S]
        return [*self._setup.peers, *(peer for peer in recent if peer not in self._setup.peers)][:MOST_PEERS]

    async def run(self) -> None:
        """Fly for ever."""
        next_report = 0.0
        while True:
            self._plan_faults()
            self.autopilot.advance(self._clock.now())
            self.protocol.speak()
            if self._setup.report is not None and self.autopilot.now >= next_report:
                next_report = self.autopilot.now + 1.0
                self._tell_truth(self._setup.report)
            await self._clock.turn(self._clock.now() + TICK_S)

    def _tell_truth(self, path: Path) -> None:
        a = self.autopilot
        truth = {
            "time_s": round(a.now, 2),
            "flew": self._flew_at is not None,
            "landed": a.landed and not a.armed,
            "mode": a.mode.name,
            "fence_breaches": a.breaches,
            "sprayed_unasked_s": round(a.sprayed_unasked, 2),
            "place_m": [round(x, 2) for x in a.plant.place],
        }
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(truth), encoding="utf-8")
        unfinished.replace(path)

    def _plan_faults(self) -> None:
        a = self.autopilot
        if self._flew_at is None and not a.landed:
            self._flew_at = a.now
        if self._flew_at is None:
            return
        since = a.now - self._flew_at
        for fault in self._setup.faults:
            name = FAULTS[fault.kind]
            if fault.at <= since < fault.at + fault.duration and name not in self._changed:
                self._changed[name] = a.parameter.get(name, 0.0)
                if name:
                    a.parameter[name] = SEVERITY.get(fault.kind, 1.0)
                else:
                    a.tank = 0.0
            elif name and since >= fault.at + fault.duration and name in self._changed:
                a.parameter[name] = self._changed[name]


async def fly_vehicles(setups: Sequence[VehicleSetup], clock: Clock) -> None:
    """Simulate vehicles until cancelled; each has a socket of its own."""
    loop = asyncio.get_running_loop()
    vehicles = []
    for setup in setups:
        try:
            _, vehicle = await loop.create_datagram_endpoint(
                lambda setup=setup: SimulatedVehicle(setup, clock),  # type: ignore[misc]
                local_addr=(LOOPBACK, setup.port),
            )
        except OSError as error:
            raise FlightError(f"UDP port {setup.port} on {LOOPBACK} cannot be used ({error.strerror})") from None
        vehicles.append(vehicle)
    await asyncio.gather(*(vehicle.run() for vehicle in vehicles))
