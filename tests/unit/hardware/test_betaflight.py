"""What stands around a Betaflight: its protocol, the loops that it lacks, its settings; by closed forms."""

from __future__ import annotations

import math
import random
import struct
import subprocess
import sys

import pytest

from d2oc.airframes.airframe import load_preset
from d2oc_hardware.betaflight import msp
from d2oc_hardware.betaflight.cascade import GRAVITY, MOST_TILT_DEG, VELOCITY_GAIN, Cascade, Motion, toward
from d2oc_hardware.betaflight.link import value_in
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import STANDSTILL, Place, Velocity
from d2oc_hardware.simulated.betaflight import CAPACITY, Rewriter
from d2oc_hardware.simulated.betaflight_frame import hover_stick, require_quadrotor, settings

SAID = (
    "angle_limit = 35\r\nprofile 0\r\nAllowed range: 10 - 80\r\nDefault value: 60\r\n\r\n"
    "launch_angle_limit = 0\r\nprofile 0\r\nAllowed range: 0 - 80\r\n"
)
"""Of Betaflight 4.6.0."""


def test_a_frame_is_as_documented():
    assert msp.frame(msp.FC_VERSION) == b"$M<\x00\x03\x03"
    assert list(msp.Parser().take(b"$M>\x03\x03\x04\x06\x00\x02")) == [msp.Frame(3, b"\x04\x06\x00")]


def test_frames_are_found_in_any_pieces_between_any_noise():
    rng = random.Random(1)
    sent, stream = [], b""
    for command in range(40):
        payload = rng.randbytes(rng.randrange(60))
        sent.append(msp.Frame(command, payload))
        noise = bytes(b for b in rng.randbytes(rng.randrange(8)) if b != ord("$"))
        stream += noise + msp.frame(command, payload, msp.FROM_CONTROLLER)
    parser, found = msp.Parser(), []
    while stream:
        cut = rng.randrange(1, 9)
        found += parser.take(stream[:cut])
        stream = stream[cut:]
    assert found == sent


def test_damaged_frames_are_dropped_and_the_next_one_is_read():
    good = msp.frame(108, bytes(6), msp.FROM_CONTROLLER)
    for bit in range(8 * 5, 8 * len(good)):  # its payload and its sum
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        assert list(msp.Parser().take(bytes(damaged) + good)) == [msp.Frame(108, bytes(6))]


def test_several_answers_in_one_are_told_apart_and_a_cut_one_gives_what_is_whole():
    whole = b"\x02ab\x00\x03xyz"
    assert msp.parts(whole, (1, 2, 3)) == {1: b"ab", 2: b"", 3: b"xyz"}
    assert msp.parts(whole[:-1], (1, 2, 3)) == {1: b"ab", 2: b""}


def test_a_status_names_what_keeps_it_from_arming():
    head = struct.pack("<HHHIBHBB", 125, 0, 33, 0b10011, 0, 0, 3, 0)
    more = b"\x12\x01\x00" + b"\x1d" + struct.pack("<I", 1 << 2 | 1 << 9 | 1 << 28)
    status = msp.status(head + more)
    assert status.boxes == 0b10011 | 1 << 32
    assert status.obstacles() == ("RX_FAILSAFE", "BOOT_GRACE_TIME", "ARM_SWITCH")


def test_settings_are_read_as_the_command_line_tells_them():
    assert value_in(SAID, "launch_angle_limit") == 0.0
    assert value_in(SAID, "angle_limit") == 35.0
    words = "failsafe_procedure = AUTO-LAND\r\nAllowed values: AUTO-LAND, DROP, GPS-RESCUE\r\n"
    assert value_in(words, "failsafe_procedure") == 0.0
    assert value_in(words.replace("= AUTO-LAND", "= DROP"), "failsafe_procedure") == 1.0
    assert value_in("###ERROR IN get: INVALID NAME: no_such###\r\n", "no_such") is None


@pytest.mark.parametrize("cut", range(30))
def test_only_the_answer_for_the_battery_is_replaced(cut):
    state = msp.Battery(3, CAPACITY, 550, 11.7)
    assert msp.battery(msp.battery_bytes(state)) == state
    other = msp.frame(108, bytes(6), msp.FROM_CONTROLLER)
    told = msp.frame(msp.BATTERY_STATE, bytes(11), msp.FROM_CONTROLLER)
    rewriter = Rewriter(lambda: msp.battery_bytes(state))
    stream = other + told + other
    back = rewriter.take(stream[:cut]) + rewriter.take(stream[cut:])
    assert back == other + msp.frame(msp.BATTERY_STATE, msp.battery_bytes(state), msp.FROM_CONTROLLER) + other


@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.5])
def test_a_small_error_of_velocity_becomes_the_tilt_of_its_acceleration_whatever_the_heading(yaw):
    cascade, motion = Cascade(), Motion(yaw=yaw)
    cascade.begin(0.6, 0.0)
    sticks = cascade.fly(0.025, Velocity(0.6, -0.3, 0.0), motion)
    ahead, right = GRAVITY * math.tan(sticks.pitch), GRAVITY * math.tan(sticks.roll)
    east = ahead * math.sin(yaw) + right * math.cos(yaw)
    north = ahead * math.cos(yaw) - right * math.sin(yaw)
    assert (east, north) == pytest.approx((0.6 * VELOCITY_GAIN, -0.3 * VELOCITY_GAIN), abs=1e-9)


def test_tilt_has_a_limit_and_the_integral_waits_there():
    cascade, motion = Cascade(), Motion()
    cascade.begin(0.6, 0.0)
    for _ in range(400):
        sticks = cascade.fly(0.025, Velocity(50.0, 0.0, 0.0), motion)
    assert math.degrees(sticks.roll) == pytest.approx(MOST_TILT_DEG)
    level = cascade.fly(0.025, STANDSTILL, motion)
    assert level.roll == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("guess", [0.95, 1.0, 1.1])
def test_it_holds_a_height_though_the_hover_was_guessed_wrong_and_heights_come_late(guess):
    true_hover, dt, late = 0.62, 0.025, 12
    cascade, motion = Cascade(), Motion()
    cascade.begin(guess * true_hover, 5.0)
    motion.stand(5.0)
    up, climb, told = 5.0, 0.0, [5.0] * late
    for _ in range(1200):
        motion.carry_on(dt, cascade.lift, told[-late])
        throttle = cascade.fly(dt, STANDSTILL, motion).throttle
        climb += (GRAVITY * (throttle / true_hover) ** 2 - GRAVITY) * dt
        up += climb * dt
        told.append(up)
    assert climb == pytest.approx(0.0, abs=0.02)
    assert up == pytest.approx(5.0, abs=0.02)
    assert throttle == pytest.approx(true_hover, abs=0.005)


def test_on_the_way_to_a_place_it_can_always_stop():
    for distance in (0.1, 1.0, 5.0, 50.0):
        speed = toward(Place(distance, 0.0, 0.0), Place(0.0, 0.0, 9.0), 3.0).east
        assert 0.0 < speed <= 3.0
        assert speed**2 / (2.0 * 1.5) <= distance + 1e-9


def test_rate_gains_give_the_bandwidth_of_the_airframe():
    airframe = load_preset("research-quadrotor")
    gain = {line.split()[1]: line.split()[3] for line in settings(airframe) if line.startswith("set ")}
    motor = 0.055 + 0.945 * hover_stick(airframe)
    thrust = airframe.rotors.max_thrust_n * (motor / 0.95) ** 2
    assert 4.0 * thrust == pytest.approx(airframe.mass_kg * 9.81)
    rate = math.degrees(1.0)  # error of 1 rad/s, in degrees; 0.032029 a degree and unit of P, 1000 the whole range
    share = float(gain["p_roll"]) * 0.032029 * rate / 1000.0
    per_share = 2.0 * airframe.rotors.max_thrust_n * motor / 0.95**2 * 0.945
    turn = 4.0 * per_share * share * airframe.rotors.arm_m * math.sqrt(0.5) / airframe.inertia_kg_m2[0]
    assert turn == pytest.approx(airframe.loops.rate_per_s, rel=0.05)


def test_more_rotors_are_refused_with_a_sentence():
    with pytest.raises(FlightError, match="four rotors on four arms only"):
        require_quadrotor(load_preset("sprayer"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--speedup", "2"], "wall's pace only"),
        (["--fault", "0:gps-loss@3"], "one --fault only"),
        (["--set", "vehicle.preset=hexacopter-sprayer", "--set", "world.kind=bullet"], "four rotors on four arms"),
    ],
)
def test_what_a_betaflight_cannot_do_is_told_before_it_starts(words, sentence):
    command = [sys.executable, "-m", "d2oc", "fly", "six_drones", "--sim", "1", "--betaflight", sys.executable, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert sentence in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
