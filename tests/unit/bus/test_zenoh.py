"""The network bus with real sockets: who belongs to the team is heard, under its own name only; nobody else is."""

from __future__ import annotations

import json
import socket
import time

import pytest

zenoh = pytest.importorskip("zenoh", reason="the extra zenoh is not installed")

from d2oc.bus.certificates import Credentials, credentials_in, make_certificates  # noqa: E402
from d2oc.bus.zenoh import Address, ZenohBus, _config, _settings, address_of, local_address  # noqa: E402
from d2oc.errors import BusError  # noqa: E402

MISSION = "test"


def free_addresses(n):
    """Ports of this machine that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    addresses = [Address("127.0.0.1", s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return addresses


def until(condition, timeout=10.0):
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    make_certificates(folder, 4)
    return folder


@pytest.fixture
def team(keys):
    """Agents 0 and 1 of a team of three, linked; and the addresses of all."""
    addresses = free_addresses(3)
    buses = [ZenohBus(MISSION, r, 3, addresses[r], addresses[:r], credentials_in(keys, r)) for r in range(2)]
    assert until(lambda: buses[0].alive == {1} and buses[1].alive == {0})
    yield buses, addresses
    for bus in buses:
        bus.close()


@pytest.fixture
def stranger():
    """Lets strangers call; a session that stays open keeps the whole process from ending."""
    called = []

    def call(*arguments, **changes):
        called.append(Stranger(*arguments, **changes))
        return called[-1]

    yield call
    for one in called:
        one.close()


@pytest.fixture
def a_bus():
    opened = []

    def open_one(*arguments):
        opened.append(ZenohBus(*arguments))
        return opened[-1]

    yield open_one
    for bus in opened:
        bus.close()


class Stranger:
    """A program that obeys no rules: it says what it likes, under any name."""

    def __init__(self, calls, credentials=None, protocol="tls", **changes):
        settings = _settings(MISSION, 3, free_addresses(1)[0], [calls], credentials)
        settings.pop("access_control", None)
        settings["connect/endpoints"] = [f"{protocol}/{calls}"]
        if credentials is None:
            settings["transport/link/protocols"] = [protocol]
        self.session = zenoh.open(_config(zenoh, settings | changes))
        self.heard = []
        self.session.declare_subscriber("**", lambda sample: self.heard.append(sample.payload.to_bytes()))

    def say(self, key, data):
        self.session.put(key, data, express=True)

    def is_linked(self):
        return len(self.session.info.peers_zid()) > 0

    def close(self):
        self.session.close()


def heard(bus, marker=b"end"):
    """All that a bus hears up to a marker."""
    taken = []
    assert until(lambda: taken.extend(bus.take()) or any(data == marker for _, data in taken))
    return [entry for entry in taken if entry[1] != marker]


def test_the_team_hears_each_other_and_nobody_hears_itself(team):
    (one, two), _ = team
    two.publish(b"hello")
    two.publish(b"end")
    assert heard(one) == [(1, b"hello")]
    one.publish(b"end")
    assert heard(two) == []


def test_who_goes_is_gone_at_once(team, keys, a_bus):
    (one, _), addresses = team
    third = a_bus(MISSION, 2, 3, addresses[2], addresses[:2], credentials_in(keys, 2))
    assert until(lambda: one.alive == {1, 2})
    third.close()
    assert until(lambda: one.alive == {1})


def test_another_mission_is_not_heard(team, keys, a_bus):
    (one, _), addresses = team
    other = a_bus("another", 2, 3, addresses[2], addresses[:2], credentials_in(keys, 2))
    time.sleep(0.3)
    other.publish(b"hello")
    time.sleep(0.3)
    assert one.alive == {1}
    assert one.take() == []


def test_under_another_name_nothing_is_heard(team, keys, stranger):
    """With a certificate of agent 2 and no rules of its own: it is linked, but heard as agent 2 only."""
    (one, _), addresses = team
    one_more = stranger(addresses[0], credentials_in(keys, 2))
    assert until(one_more.is_linked)
    one_more.session.liveliness().declare_token(f"d2oc/{MISSION}/1/alive")
    time.sleep(0.3)
    for key in ("0", "1", "x", "1/alive", "**", "2/more"):
        one_more.say(f"d2oc/{MISSION}/{key}", b"lie")
    one_more.say(f"d2oc/{MISSION}/2", b"end")
    assert heard(one) == []
    time.sleep(0.2)
    assert one.alive == {1}  # nor does the name of agent 1 go away with the stranger


def test_a_certificate_that_is_not_of_the_team_s_size_is_not_heard(team, keys, stranger):
    (one, _), addresses = team
    one_more = stranger(addresses[0], credentials_in(keys, 3))
    time.sleep(0.3)
    for r in range(4):
        one_more.say(f"d2oc/{MISSION}/{r}", b"lie")
    time.sleep(0.3)
    assert one.take() == []


def refused(team, one_more):
    """Whether a stranger neither says nor hears anything."""
    (one, two), _ = team
    time.sleep(0.7)
    assert not one_more.is_linked()
    for r in range(3):
        one_more.say(f"d2oc/{MISSION}/{r}", b"lie")
    two.publish(b"end")
    only_the_team = heard(one) == []
    assert one_more.heard in ([], [b"lie"] * 3)  # its own words only
    return only_the_team and one.alive == {1}


def test_another_authority_is_refused(team, tmp_path, stranger):
    make_certificates(tmp_path, 3)
    assert refused(team, stranger(team[1][0], credentials_in(tmp_path, 1)))


def test_a_certificate_of_another_authority_is_refused_by_who_knows_the_right_one(team, keys, tmp_path, stranger):
    """It accepts us, we do not accept it."""
    make_certificates(tmp_path, 3)
    foreign = credentials_in(tmp_path, 1)
    mixed = Credentials(keys / "authority.pem", foreign.certificate, foreign.key)
    assert refused(team, stranger(team[1][0], mixed))


def test_a_listener_of_another_authority_is_not_believed(keys, tmp_path, a_bus, stranger):
    make_certificates(tmp_path, 3)
    addresses = free_addresses(2)
    foreign = credentials_in(tmp_path, 1)
    listener = stranger(addresses[0], foreign, **{"listen/endpoints": [f"tls/{addresses[1]}"], "connect/endpoints": []})
    one = a_bus(MISSION, 0, 3, addresses[0], [addresses[1]], credentials_in(keys, 0))
    time.sleep(0.7)
    assert not listener.is_linked()
    assert one.alive == frozenset()


def test_without_a_certificate_nobody_is_let_in(team, keys, stranger):
    tls = {"root_ca_certificate": str(keys / "authority.pem"), "enable_mtls": False, "verify_name_on_connect": False}
    changes = {"transport/link/tls": tls, "transport/link/protocols": ["tls"], "listen/endpoints": []}
    assert refused(team, stranger(team[1][0], **changes))


def test_without_encryption_nobody_is_let_in(team, stranger):
    assert refused(team, stranger(team[1][0], protocol="tcp"))


def test_an_expired_certificate_is_refused(team, keys, tmp_path, stranger):
    from datetime import UTC, datetime, timedelta

    for name in ("authority.pem", "authority.key"):
        (tmp_path / name).write_bytes((keys / name).read_bytes())
    make_certificates(tmp_path, 3, days=1, now=datetime.now(UTC) - timedelta(days=2))
    assert refused(team, stranger(team[1][0], credentials_in(tmp_path, 2)))


def test_what_is_longer_than_a_message_is_dropped(team, keys, stranger):
    (one, _), addresses = team
    one_more = stranger(addresses[0], credentials_in(keys, 2))
    assert until(one_more.is_linked)
    time.sleep(0.3)
    one_more.say(f"d2oc/{MISSION}/2", bytes(65_508))
    one_more.say(f"d2oc/{MISSION}/2", bytes(65_507))
    one_more.say(f"d2oc/{MISSION}/2", b"end")
    assert [len(data) for _, data in heard(one)] == [65_507]


def test_nothing_is_announced_and_only_given_addresses_are_listened_at(keys):
    settings = _settings(MISSION, 2, local_address(0), [local_address(1)], credentials_in(keys, 0))
    assert settings["scouting/multicast/enabled"] is False
    assert settings["scouting/gossip/enabled"] is False
    assert settings["listen/endpoints"] == ["tls/127.0.0.1:7447"]
    assert settings["transport/link/protocols"] == ["tls"]
    shown = json.loads(str(_config(zenoh, settings)))
    assert shown["access_control"]["default_permission"] == "deny"


@pytest.mark.parametrize("text", ["", "here", "127.0.0.1", ":7447", "127.0.0.1:0", "127.0.0.1:70000", "a:b"])
def test_what_is_no_address(text):
    with pytest.raises(BusError, match=r"must be HOST:PORT, such as 127\.0\.0\.1:7447"):
        address_of(text)


def test_addresses():
    assert address_of("[::1]:7450") == Address("::1", 7450)
    assert str(Address("::1", 7450)) == "[::1]:7450"
    assert [address_of(text).is_local for text in ("127.0.0.9:1", "localhost:1", "[::1]:1")] == [True] * 3
    assert [address_of(text).is_local for text in ("10.0.0.1:1", "0.0.0.0:1", "farm.example:1")] == [False] * 3


def test_sentences(keys, tmp_path):
    here = free_addresses(1)[0]
    with pytest.raises(BusError, match=r"0.0.0.0:7447 can be reached from other machines, so agents must prove"):
        ZenohBus(MISSION, 0, 2, Address("0.0.0.0", 7447), [])
    with socket.create_server(tuple(here)), pytest.raises(BusError, match=f"cannot listen at {here}: .*in use"):
        ZenohBus(MISSION, 0, 2, here, [], credentials_in(keys, 0))
    broken = tmp_path / "broken.pem"
    broken.write_text("nonsense")
    with pytest.raises(BusError, match="agent 0 cannot listen at"):
        ZenohBus(MISSION, 0, 2, here, [], credentials_in(keys, 0)._replace(certificate=broken))
