"""What stands around a real ArduCopter: its physics, its parameters, its network. No firmware is needed for these."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys

import numpy as np
import pytest

from d2oc.airframes.airframe import load_preset, preset_names
from d2oc.airframes.rotors import rotor_torques
from d2oc_hardware.clock import Clock
from d2oc_hardware.simulated.copter_frame import MOTORS, frame_parameters, hover_throttle, rotor_order
from d2oc_hardware.simulated.json_physics import MAGIC, PUMP_OUTPUT, RATE_HZ, JsonPhysics, line_of
from d2oc_hardware.simulated.motor_body import MotorBody, Moved

pytest.importorskip("pybullet", reason="PyBullet has wheels for Python 3.10 and 3.11 only")


@pytest.mark.parametrize("name", preset_names())
def test_every_motor_turns_the_body_as_the_firmware_believes(name):
    airframe = load_preset(name)
    order = rotor_order(airframe)
    torque = rotor_torques(airframe.rotors)
    _, motors = MOTORS[airframe.rotors.arms, airframe.rotors.per_arm]
    assert sorted(order.motor_of_rotor) == list(range(len(motors)))
    for rotor, motor in enumerate(order.motor_of_rotor):
        clockwise, sense = motors[motor]
        # One on the left pushes the left side up, that is to the right; one ahead pushes the nose up.
        assert torque[0, rotor] == pytest.approx(-airframe.rotors.arm_m * math.sin(math.radians(clockwise)))
        assert torque[1, rotor] == pytest.approx(-airframe.rotors.arm_m * math.cos(math.radians(clockwise)))
        assert order.sense * np.sign(torque[2, rotor]) == sense  # it turns the body the other way round


@pytest.mark.parametrize("name", preset_names())
def test_gains_are_the_bandwidth_over_what_the_rotors_can_do(name):
    airframe = load_preset(name)
    values = frame_parameters(airframe, 0.0)
    _, motors = MOTORS[airframe.rotors.arms, airframe.rotors.per_arm]
    lever = -np.array([math.sin(math.radians(angle)) for angle, _ in motors])
    thrust = values["ATC_RAT_RLL_P"] * 0.5 * lever / np.abs(lever).max() * airframe.rotors.max_thrust_n
    growth = airframe.rotors.arm_m * float(lever @ thrust) / airframe.inertia_kg_m2[0]
    assert growth == pytest.approx(airframe.loops.rate_per_s)  # for an error of 1 rad/s
    assert values["MOT_THST_HOVER"] == pytest.approx((hover_throttle(airframe, 0.0) / 0.95) ** 2)


def test_a_body_stands_hovers_and_falls_as_bodies_do():
    airframe = load_preset("hexacopter-sprayer")
    body = MotorBody(airframe, 10.0, 1.0 / RATE_HZ)
    for _ in range(80):
        moved = body.step(np.zeros(6))
    assert moved.specific_force == pytest.approx((0.0, 0.0, 9.81), abs=0.01)
    assert moved.position == pytest.approx((0.0, 0.0, 0.0), abs=0.01)
    up = np.full(6, hover_throttle(airframe, 10.0) * 1.1)
    for _ in range(2 * RATE_HZ):
        moved = body.step(up)
    assert moved.position[2] > 2.0
    at = moved.velocity[2]
    hover = np.full(6, hover_throttle(airframe, 10.0))
    for _ in range(RATE_HZ):
        moved = body.step(hover)
    assert moved.velocity[2] < at  # drag alone
    by_hover = 3.0 * airframe.hover_power(airframe.mass_with(10.0)) / 3600.0
    assert (1.0 - body.charge) * airframe.battery.energy_wh == pytest.approx(by_hover, rel=0.2)
    assert moved.specific_force[2] == pytest.approx(9.81, abs=0.5)
    for _ in range(RATE_HZ // 2):
        moved = body.step(np.zeros(6))
    assert np.linalg.norm(moved.specific_force) < 0.3  # in free fall nothing is felt but drag and the last of the lift


def test_a_lighter_tank_needs_less_throttle():
    airframe = load_preset("sprayer")
    body = MotorBody(airframe, 10.0, 1.0 / RATE_HZ)
    body.drain(4.0)
    body.drain(100.0)
    assert body.liquid == 0.0
    share = hover_throttle(airframe, 0.0) / hover_throttle(airframe, 10.0)
    assert share == pytest.approx(math.sqrt(50.0 / 60.0))


def test_motion_is_written_in_the_axes_of_the_firmware():
    half = math.sqrt(0.5)
    moved = Moved(
        position=np.array([1.0, 2.0, 3.0]),
        attitude=np.array([0.0, 0.0, half, half]),  # nose to the west
        velocity=np.array([0.1, 0.2, 0.3]),
        rate=np.array([0.4, 0.5, 0.6]),
        specific_force=np.array([1.0, 2.0, 9.81]),
    )
    line = line_of(2.5, moved)
    assert line.startswith(b"\n")
    assert line.endswith(b"\n")
    told = json.loads(line)
    assert told["timestamp"] == 2.5
    assert told["position"] == [1.0, -2.0, -3.0]
    assert told["velocity"] == [0.1, -0.2, -0.3]
    assert told["imu"] == {"gyro": [0.4, -0.5, -0.6], "accel_body": [1.0, -2.0, -9.81]}
    w, x, y, z = told["quaternion"]
    assert math.degrees(math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))) == pytest.approx(-90.0)


def test_packets_are_answered_in_lock_step_and_what_is_repeated_moves_nothing():
    said = []
    airframe = load_preset("sprayer")
    physics = JsonPhysics(airframe, 1.0, 60.0 / 60.0, Clock(1e9), said.append)
    widths = [1000] * 16
    widths[PUMP_OUTPUT - 1] = 1500
    first = struct.pack("<HHI16H", MAGIC, 400, 0, *widths)
    for packet in (first, first, b"no packet", struct.pack("<HHI16H", 1, 400, 1, *widths)):
        physics.take(packet, None)
    assert len(said) == 2
    assert said[0] == said[1]
    assert physics.liquid == pytest.approx(1.0 - 0.5 / RATE_HZ)
    physics.take(struct.pack("<HHI16H", MAGIC, 400, 1, *widths), None)
    assert json.loads(said[-1])["timestamp"] == pytest.approx(2.0 / RATE_HZ)


PRIVATE = """
import socket
from d2oc_hardware.simulated.private_network import enter_private_network
before = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); before.bind(("127.0.0.1", 0))
if not enter_private_network():
    raise SystemExit(77)
within = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); within.bind(before.getsockname())  # free: another network
within.sendto(b"within", within.getsockname())
assert within.recv(9) == b"within"
before.setblocking(False)
try:
    before.recv(9)
    raise SystemExit("what was said within was heard outside")
except BlockingIOError:
    pass
assert [name for _, name in socket.if_nameindex()] == ["lo"]
"""


def test_a_private_network_has_ports_of_its_own():
    done = subprocess.run([sys.executable, "-c", PRIVATE], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this user may make no network of its own")
    assert done.returncode == 0, done.stderr
