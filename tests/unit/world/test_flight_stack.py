"""Rotations against SciPy, the mixer against its own wrench."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from d2oc.airframes.airframe import load_preset
from d2oc.airframes.rotors import rotor_torques
from d2oc.world.fleet import fleet_arrays
from d2oc.world.mixer import mix, spin
from d2oc.world.rotation import heading, rotated, tilts, turned, unrotated

PRESETS = ("research-quadrotor", "sprayer", "hexacopter-sprayer", "octocopter-sprayer")
FLEET = fleet_arrays(
    [load_preset(name) for name in PRESETS], np.array([0.0, 20.0, 8.0, 5.0]), np.full(len(PRESETS), np.inf)
)
WHO = st.integers(0, len(PRESETS) - 1)
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_rotations_are_scipys(seed):
    rng = np.random.default_rng(seed)
    turn, v, rate = Rotation.random(random_state=rng), rng.normal(size=3), rng.normal(size=3)
    q = tuple(turn.as_quat())
    assert rotated(q, tuple(v)) == pytest.approx(turn.apply(v))
    assert unrotated(q, tuple(v)) == pytest.approx(turn.inv().apply(v))
    after = Rotation.from_quat(turned(q, tuple(rate), 0.3))
    assert (after.inv() * (Rotation.from_rotvec(0.3 * rate) * turn)).magnitude() < 1e-7
    assert heading(q) == pytest.approx(turn.as_euler("ZYX")[0], abs=1e-9)


def test_tilts_have_the_signs_of_the_published_model():
    """theta accelerates by -g theta along x, phi by +g phi along y."""
    theta, phi = tilts(tuple(Rotation.from_euler("xyz", [0.1, 0.2, 0.0]).as_quat()))
    assert theta == pytest.approx(-0.2, abs=0.01)
    assert phi == pytest.approx(-0.1, abs=0.01)


@settings(max_examples=100, deadline=None)
@given(SEEDS, WHO)
def test_mixer_gives_the_wrench_asked_for_within_the_rotors_reach(seed, r):
    rng = np.random.default_rng(seed)
    n, most = int(FLEET.n_rotors[r]), float(FLEET.max_thrust[r])
    thrust = 0.5 * n * most * rng.uniform(0.8, 1.2)
    limit = 0.2 * most * np.abs(FLEET.torque_of_thrust[r]).max(axis=1)
    torque = tuple(limit * rng.uniform(-1, 1, 3))
    rotor = np.zeros(FLEET.torque_of_thrust.shape[2])
    mix(FLEET, r, thrust, torque, rotor)
    assert rotor.sum() == pytest.approx(thrust)
    assert FLEET.torque_of_thrust[r] @ rotor == pytest.approx(torque, abs=1e-9 * most)


@settings(max_examples=100, deadline=None)
@given(SEEDS, WHO)
def test_mixer_never_leaves_the_rotors_range_and_keeps_the_tilt(seed, r):
    rng = np.random.default_rng(seed)
    most = float(FLEET.max_thrust[r])
    torque = tuple(most * rng.uniform(-3, 3, 3))
    rotor = np.zeros(FLEET.torque_of_thrust.shape[2])
    mix(FLEET, r, most * rng.uniform(-1, 12), torque, rotor)
    assert rotor.min() >= -1e-9 * most
    assert rotor.max() <= most * (1 + 1e-9)
    roll, pitch, _ = FLEET.torque_of_thrust[r] @ rotor
    assert roll * torque[1] == pytest.approx(pitch * torque[0], abs=1e-6 * most**2)  # same direction
    assert roll * torque[0] >= -1e-9


@pytest.mark.parametrize(("name", "n", "arm"), [("hexacopter-sprayer", 6, 0.94), ("octocopter-sprayer", 8, 0.7575)])
def test_flat_layouts_of_six_and_eight_rotors(name, n, arm):
    """Even thrust turns nothing; a whole turn of rotors has n arm^2 / 2 about roll and pitch, n kappa^2 about yaw."""
    frame = load_preset(name)
    torque = rotor_torques(frame.rotors)
    assert torque.shape == (3, n)
    assert torque.sum(axis=1) == pytest.approx([0, 0, 0], abs=1e-12)
    kappa = frame.rotors.torque_per_thrust_m
    assert torque @ torque.T == pytest.approx(np.diag([n * arm**2 / 2, n * arm**2 / 2, n * kappa**2]), abs=1e-12)


def test_rotors_lag_exactly():
    asked, thrust = np.array([2.0, 1.0, 0.0, 3.0, 0, 0, 0, 0]), np.zeros(8)
    whole = thrust.copy()
    lift, *_ = spin(FLEET, 0, 0.05, asked, whole)
    tau = 0.03
    assert whole[:4] == pytest.approx(asked[:4] * (1 - np.exp(-0.05 / tau)))
    t = np.linspace(0, 0.05, 20001)
    assert lift == pytest.approx(np.trapezoid(6.0 * (1 - np.exp(-t / tau)), t) / 0.05, rel=1e-6)
