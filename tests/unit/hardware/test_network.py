"""Drones that talk over the network bus: the words of those who are who they say, and of nobody else."""

from __future__ import annotations

import asyncio
import socket

import pytest

zenoh = pytest.importorskip("zenoh", reason="the extra zenoh is not installed")

from d2oc.bus.certificates import credentials_in, make_certificates  # noqa: E402
from d2oc.bus.zenoh import ZenohBus, address_of  # noqa: E402
from d2oc.errors import BusError  # noqa: E402
from d2oc_hardware.fleet import load_fleet, simulated_fleet  # noqa: E402
from d2oc_hardware.flight_controller import FlightError  # noqa: E402
from d2oc_hardware.frames import Place, Velocity  # noqa: E402
from d2oc_hardware.neighbours import HEAD, MESSAGE  # noqa: E402
from d2oc_hardware.network import network_of  # noqa: E402
from d2oc_hardware.promise import Motion, Teammate  # noqa: E402

N_DRONES = 3
HERE = Place(30.0, 40.0, 5.0)


def fleet_of(keys):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(N_DRONES)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    fleet = simulated_fleet([(10.0 * i, 0.0) for i in range(N_DRONES)], ports, 6.0)
    drones = [d.model_copy(update={"address": f"127.0.0.1:{p}"}) for d, p in zip(fleet.drones, ports, strict=True)]
    return fleet.model_copy(update={"drones": tuple(drones), "certificates": keys})


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    make_certificates(folder, N_DRONES)
    return folder


async def heard(drone, reach=1e9):
    for _ in range(100):
        if words := drone.heard(HERE, reach):
            return words
        await asyncio.sleep(0.05)
    return []


def test_drones_hear_each_other_and_who_speaks_under_another_name_is_not_heard(keys):
    async def talk():
        fleet = fleet_of(keys)
        first, second = (network_of(fleet, r, "flight", lambda: 7.0) for r in range(2))
        await first.open()
        early = await first.gathered(timeout_s=0.2)
        await second.open()
        addresses = [address_of(drone.address) for drone in fleet.drones]
        liar = ZenohBus("flight", 2, N_DRONES, addresses[2], addresses[:2], credentials_in(keys, 2))
        try:
            lines = [await first.gathered(), await second.gathered()]
            liar.publish(HEAD.pack(MESSAGE, 1) + b"I am drone 1")
            liar.publish(HEAD.pack(MESSAGE, 2) + b"I am drone 2")
            second.say_where(
                6.0, Teammate("", Motion(HERE, Velocity(1.0, 2.0, 0.0), 0.0), Velocity(0, 0, 0), (4.0, 6.0))
            )
            second.say(b"what an agent says")
            words = set()
            for _ in range(2):
                words |= set(await heard(first)) if len(words) < 2 else set()
            return early, lines, words, first.teammates()
        finally:
            liar.close()
            first.close()
            second.close()

    early, lines, words, mates = asyncio.run(talk())
    assert not early.passed
    assert "does not hear drone 1" in early.sentence
    assert all(line.passed for line in lines)
    assert words == {b"what an agent says", b"I am drone 2"}
    assert [(mate.name, mate.motion) for mate in mates] == [("1", Motion(HERE, Velocity(1.0, 2.0, 0.0), 1.0))]


def test_other_computers_need_certificates(keys):
    fleet = fleet_of(keys)
    drones = [d.model_copy(update={"address": f"10.0.0.{i}:7447"}) for i, d in enumerate(fleet.drones)]
    apart = fleet.model_copy(update={"drones": tuple(drones), "certificates": None})
    with pytest.raises(BusError, match="can be reached from other machines, so agents must prove who they are"):
        asyncio.run(network_of(apart, 0, "flight", lambda: 0.0).open())


DRONE = '[[drones]]\nsystem_id = {i}\nlink = "udp:127.0.0.1:{port}"\nhome_m = [{x}, 0.0]\nheight_m = {x}\n'
DATUM = "[datum]\nlatitude_deg = 47.0\nlongitude_deg = 8.0\naltitude_m = 0.0\n"


def fleet_file(folder, first="", *addresses):
    drones = "".join(
        DRONE.format(i=i + 1, port=14550 + i, x=10.0 * (i + 1)) + (f'address = "{address}"\n' if address else "")
        for i, address in enumerate(addresses)
    )
    path = folder / "fleet.toml"
    path.write_text(first + "\n" + DATUM + drones, encoding="utf-8")
    return path


def test_addresses_in_a_fleet_file(tmp_path):
    fleet = load_fleet(fleet_file(tmp_path, 'certificates = "keys"', "10.0.0.1:7447", "10.0.0.2:7447"))
    assert fleet.certificates == tmp_path / "keys"
    assert [drone.address for drone in fleet.drones] == ["10.0.0.1:7447", "10.0.0.2:7447"]


@pytest.mark.parametrize(
    ("first", "addresses", "sentence"),
    [
        ("", ("10.0.0.1:7447", ""), "give every drone an address of its own, or none"),
        ("", ("10.0.0.1:7447", "10.0.0.1:7447"), "give every drone an address of its own, or none"),
        ('certificates = "keys"', ("", ""), "certificates are for drones with addresses"),
    ],
)
def test_sentences(tmp_path, first, addresses, sentence):
    with pytest.raises(FlightError, match=sentence):
        load_fleet(fleet_file(tmp_path, first, *addresses))
