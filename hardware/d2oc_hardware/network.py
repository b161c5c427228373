"""What drones on computers of their own say to each other: the same words as on loopback, over the Zenoh bus.

Every drone's process listens at its own address and calls the others at theirs; there is no broker. With certificates
nobody can speak under another drone's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from d2oc.bus.certificates import credentials_in
from d2oc.bus.zenoh import ZenohBus, address_of
from d2oc.runtime.network import MessageBus
from d2oc_hardware.fleet import Fleet
from d2oc_hardware.frames import Place
from d2oc_hardware.neighbours import HEAD, Neighbours
from d2oc_hardware.preflight import Check
from d2oc_hardware.promise import Teammate

GATHER_WALL_S = 60.0
"""So long a drone waits, on the ground, until it hears all others. [s]"""
LOOK_S = 0.1


class NetworkNeighbours(Neighbours):
    """One drone's link to the others over a network.

    Parameters
    ----------
    number : int
        Which drone.
    n_drones : int
        How many there are.
    now : callable
        Time of the flight. [s]
    open_bus : callable
        Joins the network.
    """

    def __init__(
        self, number: int, n_drones: int, now: Callable[[], float], open_bus: Callable[[], MessageBus]
    ) -> None:
        super().__init__(number, dict.fromkeys(range(n_drones), 0), now)
        self._open_bus = open_bus
        self._bus: MessageBus | None = None

    async def open(self) -> None:
        """Listen, and call the others."""
        self._bus = await asyncio.to_thread(self._open_bus)

    async def gathered(self, timeout_s: float = GATHER_WALL_S) -> Check:
        """Wait until all others are there; a line of the checklist."""
        assert self._bus is not None
        end = asyncio.get_running_loop().time() + timeout_s
        while True:
            missing = sorted(self._ports.keys() - self._bus.alive - {self._number})
            if not missing:
                return Check("network", True, "hears all other drones")
            if asyncio.get_running_loop().time() > end:
                return Check("network", False, f"does not hear drone {missing[0]}: see to its address and certificate")
            await asyncio.sleep(LOOK_S)

    def teammates(self) -> list[Teammate]:
        """What was last heard of the others, with its age."""
        self._take()
        return super().teammates()

    def heard(self, place: Place, reach: float) -> list[bytes]:
        """Messages since the last call, from drones nearer than the range of their radios. [m]"""
        self._take()
        return super().heard(place, reach)

    def close(self) -> None:
        """Leave the others."""
        if self._bus is not None:
            self._bus.close()

    def _take(self) -> None:
        """Sort in what has come; the name inside must be the one under which it came."""
        for sender, data in self._bus.take() if self._bus is not None else ():
            if len(data) >= HEAD.size and HEAD.unpack_from(data)[1] == sender:
                self.hear(data)

    def _send(self, kind: bytes, body: bytes) -> None:
        if self._bus is not None:
            self._bus.publish(HEAD.pack(kind, self._number) + body)


def network_of(fleet: Fleet, number: int, flight: str, now: Callable[[], float]) -> NetworkNeighbours:
    """The link of one drone of a fleet whose drones have addresses.

    Parameters
    ----------
    fleet : Fleet
        The fleet.
    number : int
        Which drone.
    flight : str
        Drones of different flights do not hear each other.
    now : callable
        Time of the flight. [s]

    Raises
    ------
    BusError
        If an address is none, or beyond this machine without certificates, or a certificate is missing.
    """
    addresses = [address_of(text) for text in addresses_of(fleet)]
    others = [address for r, address in enumerate(addresses) if r != number]
    credentials = None if fleet.certificates is None else credentials_in(fleet.certificates, number)
    n = len(addresses)
    return NetworkNeighbours(
        number, n, now, partial(ZenohBus, flight, number, n, addresses[number], others, credentials)
    )


def addresses_of(fleet: Fleet) -> Sequence[str]:
    """Where each drone's process can be called; empty if they talk on this machine only."""
    return [drone.address for drone in fleet.drones if drone.address is not None]
