"""What drones of one machine say to each other: agents' messages and where everyone is, over UDP on loopback."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast

from d2oc_hardware.frames import Place, Velocity
from d2oc_hardware.promise import Motion, Teammate

BEACON, MESSAGE = b"B", b"M"
HEAD = struct.Struct("<cH")
BODY = struct.Struct("<12d")
"""Time; place; velocity; command; band."""


class Neighbours(asyncio.DatagramProtocol):
    """The socket of one drone.

    Parameters
    ----------
    number : int
        Which drone.
    ports : mapping of int to int
        UDP port of every drone.
    now : callable
        Time of the flight. [s]
    """

    def __init__(self, number: int, ports: Mapping[int, int], now: Callable[[], float]) -> None:
        self._number = number
        self._ports = ports
        self._now = now
        self._transport: asyncio.DatagramTransport | None = None
        self._beacons: dict[int, tuple[float, Teammate]] = {}
        self._inbox: list[tuple[int, bytes]] = []

    async def open(self) -> None:
        """Take the port."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self._ports[self._number]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def error_received(self, exc: Exception) -> None:
        """A drone that is not there hears nothing."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A datagram has come."""
        self.hear(data)

    def hear(self, data: bytes) -> None:
        """Take in what another drone said; whatever is none of ours is dropped."""
        if len(data) < HEAD.size:
            return
        kind, sender = HEAD.unpack_from(data)
        if sender not in self._ports or sender == self._number:
            return
        body = data[HEAD.size :]
        if kind == MESSAGE:
            self._inbox.append((sender, body))
        elif kind == BEACON and len(body) == BODY.size:
            values = BODY.unpack(body)
            if all(map(math.isfinite, values[:10])):
                time, place, velocity, command = values[0], Place(*values[1:4]), Velocity(*values[4:7]), values[7:10]
                mate = Teammate(str(sender), Motion(place, velocity, 0.0), Velocity(*command), (values[10], values[11]))
                before = self._beacons.get(sender)
                if before is None or before[0] < time:
                    self._beacons[sender] = (time, mate)

    def _send(self, kind: bytes, body: bytes) -> None:
        if self._transport is None:
            return
        data = HEAD.pack(kind, self._number) + body
        for number, port in self._ports.items():
            if number != self._number:
                with suppress(OSError):
                    self._transport.sendto(data, ("127.0.0.1", port))

    def say_where(self, time: float, mate: Teammate) -> None:
        """Tell all where this drone is."""
        self._send(BEACON, BODY.pack(time, *mate.motion.place, *mate.motion.velocity, *mate.command, *mate.band))

    def say(self, message: bytes) -> None:
        """Tell all what the agent says."""
        self._send(MESSAGE, message)

    def teammates(self) -> list[Teammate]:
        """What was last heard of the others, with its age."""
        now = self._now()
        return [
            mate._replace(motion=mate.motion._replace(age=max(0.0, now - time)))
            for time, mate in self._beacons.values()
        ]

    def heard(self, place: Place, reach: float) -> list[bytes]:
        """Messages since the last call, from drones nearer than the range of their radios. [m]"""
        inbox, self._inbox = self._inbox, []
        return [message for sender, message in inbox if self._distance(sender, place) < reach]

    def _distance(self, sender: int, place: Place) -> float:
        beacon = self._beacons.get(sender)
        if beacon is None:
            return 0.0
        there = beacon[1].motion.place
        return math.hypot(there.east - place.east, there.north - place.north)

    def close(self) -> None:
        """Let go of the port."""
        if self._transport is not None:
            self._transport.close()
