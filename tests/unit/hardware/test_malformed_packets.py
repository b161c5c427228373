"""Packets that are none, forged or replayed: nothing crashes, and nobody moves."""

from __future__ import annotations

import random

import pytest

from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import FieldDatum, Geodetic, Velocity
from d2oc_hardware.mavlink.codec import Codec, dialect, read_key
from d2oc_hardware.simulated.parameters import FOR_SWARMS
from d2oc_hardware.simulated.process import SimulatedVehicle, VehicleSetup

KEY = bytes(range(32))
HERE = ("127.0.0.1", 9)
DATUM = FieldDatum(Geodetic(47.397742, 8.545594, 488.0))


def vehicle(key=None):
    v = SimulatedVehicle(VehicleSetup(DATUM, parameters={**FOR_SWARMS, "FS_GCS_ENABLE": 0}, key=key), Clock(0.0))
    v.autopilot.advance(10.0)
    return v


def hovering(key=None):
    v = vehicle(key)
    a = v.autopilot
    assert a.set_mode(4) is None
    assert a.arm() is None
    assert a.take_off(5.0) is None
    a.advance(25.0)
    assert not a.landed
    return v


def commands(codec):
    """Packets that would move a drone that believed them."""
    return [
        codec.pack(dialect.MAVLink_command_long_message(1, 1, 400, 0, 0, 21196, 0, 0, 0, 0, 0)),
        codec.pack(dialect.MAVLink_command_long_message(1, 1, 176, 0, 1, 9, 0, 0, 0, 0, 0)),
        codec.pack(
            dialect.MAVLink_set_position_target_local_ned_message(0, 1, 1, 1, 0xDC7, 0, 0, 0, 5, 5, 0, 0, 0, 0, 0, 0)
        ),
        codec.pack(dialect.MAVLink_param_set_message(1, 1, b"GUID_TIMEOUT", 99.0, 9)),
        codec.pack(dialect.MAVLink_mission_count_message(1, 1, 3, 0)),
        codec.pack(dialect.MAVLink_rc_channels_override_message(1, 1, *[65535] * 8, 2000)),
    ]  # fmt: skip


def malformed(rng, packets):
    """Noise, pieces, flipped bits, wrong lengths, wrong signatures."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randrange(0, 300))
    packet = bytearray(rng.choice(packets))
    if kind == 1:
        return bytes(packet[: rng.randrange(len(packet))])
    if kind == 2:
        for _ in range(rng.randint(1, 4)):
            packet[rng.randrange(1, len(packet))] ^= rng.randint(1, 255)
        return bytes(packet)
    if kind == 3:
        return bytes([rng.choice([253, 254])]) + rng.randbytes(rng.randrange(1, 280))
    return bytes(packet[:-3]) + rng.randbytes(3) + rng.randbytes(rng.randrange(0, 20))


def test_fifty_thousand_malformed_packets_never_crash_or_move_a_drone():
    rng = random.Random(50)
    signed = hovering(KEY)
    packets = commands(Codec(255, 190))
    before, timeout = signed.autopilot.plant.place, signed.autopilot.parameter["GUID_TIMEOUT"]
    for i in range(50_000):
        signed.datagram_received(malformed(rng, packets), ("127.0.0.1", 9 + i % 40))
        if i % 500 == 0:
            signed.autopilot.advance(signed.autopilot.now + 0.1)
    a = signed.autopilot
    assert a.armed
    assert a.mode == 4
    assert a.plant.place == pytest.approx(before, abs=0.05)
    assert a.parameter["GUID_TIMEOUT"] == timeout
    assert a.pump == 0.0


def test_whole_messages_with_senseless_fields_crash_nothing():
    rng = random.Random(4)
    v = vehicle()
    codec = Codec(255, 190)
    for _ in range(20_000):
        number = rng.choice([0, 11, 20, 21, 23, 39, 40, 41, 43, 44, 45, 47, 51, 66, 70, 73, 75, 76, 84, 86, 111])
        kind = dialect.mavlink_map[number]
        body = rng.randbytes(kind.unpacker.size)
        packet = bytearray(codec.pack(dialect.MAVLink_heartbeat_message(0, 0, 0, 0, 0, 0)))
        head = bytes([253, len(body), 0, 0, 1, 255, 190]) + number.to_bytes(3, "little")
        check = dialect.x25crc(bytearray(head[1:] + body + bytes([kind.crc_extra]))).crc
        v.datagram_received(head + body + check.to_bytes(2, "little"), HERE)
        assert packet
    v.autopilot.advance(v.autopilot.now + 1.0)
    v.protocol.speak()


@pytest.mark.parametrize("key", [None, bytes(32)], ids=["unsigned", "wrong key"])
def test_with_signing_on_what_is_not_signed_with_the_key_is_ignored(key):
    v = hovering(KEY)
    for packet in commands(Codec(255, 190, key)):
        v.datagram_received(packet, HERE)
    assert v.autopilot.armed
    assert v.autopilot.mode == 4


def test_a_replayed_packet_is_ignored_from_any_address_and_a_forged_time_locks_nobody_out():
    v = hovering(KEY)
    codec = Codec(255, 190, KEY)
    land = codec.pack(dialect.MAVLink_command_long_message(1, 1, 176, 0, 1, 9, 0, 0, 0, 0, 0))
    guided = codec.pack(dialect.MAVLink_command_long_message(1, 1, 176, 0, 1, 4, 0, 0, 0, 0, 0))
    forged = bytearray(guided)
    forged[-12:-6] = b"\xff" * 6  # a time far in the future
    v.datagram_received(bytes(forged), HERE)
    v.datagram_received(land, HERE)
    assert v.autopilot.mode == 9
    v.datagram_received(guided, HERE)
    assert v.autopilot.mode == 4
    v.datagram_received(land, ("127.0.0.1", 10))
    assert v.autopilot.mode == 4


def test_one_who_has_heard_a_clock_that_is_ahead_is_heard_by_it():
    """As ArduCopter's is after it was switched on: a minute ahead of all that it has signed before."""
    ahead, ours = Codec(1, 1, KEY), Codec(255, 191, KEY)
    ahead._mav.signing.timestamp += 6_100_000
    heartbeat = dialect.MAVLink_heartbeat_message(18, 8, 0, 0, 4, 3)
    assert not ahead.parse(ours.pack(heartbeat))
    assert ours.parse(ahead.pack(heartbeat))
    assert ahead.parse(ours.pack(heartbeat))


def test_setpoints_on_the_ground_and_for_others_do_nothing():
    v = vehicle()
    codec = Codec(255, 190)
    v.datagram_received(commands(codec)[2], HERE)
    v.autopilot.fly(Velocity(3.0, 0.0, 1.0))
    v.autopilot.advance(15.0)
    assert v.autopilot.landed
    other = codec.pack(dialect.MAVLink_command_long_message(9, 1, 400, 0, 1, 0, 0, 0, 0, 0, 0))
    v.datagram_received(other, HERE)
    assert not v.autopilot.armed


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY.hex())
    path.chmod(0o644)
    with pytest.raises(FlightError, match="chmod 600"):
        read_key(path)
    path.chmod(0o600)
    assert read_key(path) == KEY
    path.write_text("0123")
    with pytest.raises(FlightError, match="64 hexadecimal"):
        read_key(path)
