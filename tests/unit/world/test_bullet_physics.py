"""The bullet world against closed forms: falling, hovering, drag, loops, momentum, energy, tank."""

import math

import numpy as np
import pytest
from scipy.signal import StateSpace, TransferFunction, lsim, step

from d2oc.airframes.airframe import Airframe, load_preset
from d2oc.faults import Fault
from d2oc.vehicles.linear import Limits, double_integrator, quadrotor, single_integrator
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.bullet import BulletSetup, BulletWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.wind import Wind, low_altitude_gusts

G = 9.81
T = 0.1
DT = T / 5
SUBSTEP = T / 25


def streams(n, first=0):
    return [np.random.default_rng([5, first + r]) for r in range(n)]


def airframe(name="research-quadrotor", **changes):
    data = load_preset(name).model_dump()
    for key, value in changes.items():
        table, _, last = key.rpartition("__")
        (data[table] if table else data)[last] = value
    return Airframe.model_validate(data)


def make_world(
    airframes, *, model=None, liquid=None, flow=None, height=50.0, spacing=20.0, wind=0.0, gusts=False, sigma=0.0
):
    n = len(airframes)
    model = model or double_integrator(T)
    place = np.column_stack([spacing * np.arange(n), np.zeros(n), np.full(n, height)])
    setup = BulletSetup(
        models=[model],
        kind=np.zeros(n, np.int32),
        airframes=airframes,
        liquid=np.zeros(n) if liquid is None else np.array(liquid, float),
        flow=np.zeros(n) if flow is None else np.array(flow, float),
        place=place,
        time_step=T,
    )
    turbulence = low_altitude_gusts(3.0, wind) if gusts else None
    world = BulletWorld(
        setup,
        motion_arrays([model]),
        Wind(wind, 0.3, turbulence, streams(n)),
        SatelliteReceiver(sigma, sigma, streams(n, 90)),
    )
    state = np.zeros((n, model.n_states))
    state[:, model.position_states[0]] = place[:, 0]
    return world, state


def fly(world, state, steps, command=None, active=True):
    n, m = len(state), world._motion.B.shape[3]
    track = []
    for k in range(steps):
        u = np.zeros((n, m)) if command is None else np.tile(np.asarray(command, float), (n, 1))
        world.advance(k, state, u, np.full(n, active))
        track.append(world.body.copy())
    return np.array(track)


def cut(world):
    """Motors off."""
    world.fault[:] = Fault.BATTERY
    world.thrust[:] = 0.0


def test_free_fall():
    world, state = make_world([airframe(drag__linear_n_s_m=0.0, drag__area_m2=0.0)])
    cut(world)
    z = fly(world, state, 20)[:, 0, 2]
    t = T * np.arange(1, 21)
    assert z == pytest.approx(50.0 - G * t**2 / 2 - G * t * SUBSTEP / 2, abs=1e-9)  # semi-implicit Euler, exactly


def test_terminal_velocity():
    frame = airframe(drag__linear_n_s_m=0.1, drag__area_m2=0.05)
    world, state = make_world([frame], height=900.0)
    cut(world)
    track = fly(world, state, 150)
    a, b, weight = 0.5 * 1.225 * 0.05, 0.1, 0.65 * G
    assert -track[-1, 0, 9] == pytest.approx((-b + math.sqrt(b * b + 4 * a * weight)) / (2 * a), rel=1e-6)


def test_drag_comes_to_rest_with_the_wind():
    world, state = make_world([airframe(drag__linear_n_s_m=2.0)], wind=5.0, height=900.0)
    cut(world)
    track = fly(world, state, 60)
    assert track[-1, 0, 7:9] == pytest.approx([5 * math.cos(0.3), 5 * math.sin(0.3)], rel=1e-3)


@pytest.mark.parametrize("name", ["sprayer", "hexacopter-sprayer", "octocopter-sprayer"])
def test_hover_at_every_payload(name):
    frame = airframe(name)
    liquid = np.linspace(0.0, frame.tank.capacity_l, 5)
    world, state = make_world([frame] * 5, liquid=liquid)
    track = fly(world, state, 100)
    assert np.abs(track[:, :, 2] - 50.0).max() < 1e-6
    assert np.abs(track[:, :, 7:13]).max() < 1e-6
    assert world.thrust.sum(axis=1) == pytest.approx([(frame.mass_kg + v) * G for v in liquid], rel=1e-9)


@pytest.mark.parametrize("name", ["sprayer", "hexacopter-sprayer", "octocopter-sprayer"])
def test_hover_time_is_the_published_one(name):
    frame = airframe(name)
    masses, published = np.array(frame.battery.hover_min).T
    world, state = make_world([frame] * 2, liquid=masses - frame.mass_kg)
    fly(world, state, 50)
    minutes = world.fleet.battery_energy / (world.drawn / (50 * T)) / 60
    assert minutes == pytest.approx(published, rel=0.10)
    assert world.drawn / (50 * T) == pytest.approx([frame.hover_power(m) for m in masses], rel=1e-9)


def test_tank_gives_the_litres_that_were_sprayed():
    world, state = make_world([airframe("sprayer")], liquid=[12.0], flow=[0.7])
    fly(world, state, 123)
    assert 12.0 - world.liquid[0] == pytest.approx(123 * T * 0.7, abs=1e-9)
    assert world.fleet.mass[0] == pytest.approx(50.0 + world.liquid[0], abs=1e-12)
    fly(world, state, 100)
    assert world.liquid[0] == 0.0
    assert world.fleet.mass[0] == pytest.approx(50.0)
    assert world.body[0, 2] == pytest.approx(50.0, abs=0.05)


def test_nothing_is_sprayed_off_mission():
    world, state = make_world([airframe("sprayer")], liquid=[12.0], flow=[0.7])
    fly(world, state, 10, active=False)
    assert world.liquid[0] == 12.0


def test_momentum_is_the_impulse_of_the_wrenches():
    world, state = make_world([airframe("sprayer", drag__linear_n_s_m=4.0)], liquid=[20.0], wind=4.0)
    impulse = np.zeros(3)
    step_bodies = world.bodies.step

    def step_and_sum():
        impulse[:] += world._wrench.force[0] * DT
        step_bodies()

    world.bodies.step = step_and_sum
    fly(world, state, 60, [1.0, -0.5])
    gravity = np.array([0.0, 0.0, -70.0 * G * 60 * T])
    assert 70.0 * world.body[0, 7:10] == pytest.approx(impulse + gravity, abs=1e-8)


def test_angular_momentum_of_a_tumbling_body_is_kept():
    frame = airframe(inertia_kg_m2=(0.0075, 0.010, 0.013), drag__linear_n_s_m=0.0, drag__area_m2=0.0)
    world, state = make_world([frame], height=900.0)
    cut(world)
    world.bodies.set_motion(0, [0, 0, 0], [1.0, 2.0, 3.0])
    world.bodies.read(world.body)
    track = fly(world, state, 10)
    from scipy.spatial.transform import Rotation

    for body in track[:, 0]:
        turn = Rotation.from_quat(body[3:7])
        momentum = turn.apply(np.array(frame.inertia_kg_m2) * turn.inv().apply(body[10:13]))
        assert momentum == pytest.approx([0.0075, 0.02, 0.039], rel=0.03)


def loops(frame):
    """Bandwidths and lag: rate p, attitude a, velocity v, height h, rotor tau, with half a period of hold."""
    gain = frame.loops
    return gain.rate_per_s, gain.attitude_per_s, gain.velocity_per_s, gain.height_per_s, frame.rotors.time_constant_s


EVERY = ["research-quadrotor", "sprayer", "hexacopter-sprayer", "octocopter-sprayer"]
PAYLOADS = [
    ("research-quadrotor", 0.0), ("sprayer", 0.0), ("sprayer", 40.0), ("hexacopter-sprayer", 16.0),
    ("octocopter-sprayer", 10.0),
]  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_rate_loop_answers_as_its_second_order_form(name):
    frame = airframe(name, loops__attitude_per_s=1e-9)
    world, state = make_world([frame])
    world.bodies.set_motion(0, [0, 0, 0], [0.2, 0, 0])
    world.bodies.read(world.body)
    rate = fly(world, state, 10)[:, 0, 10]
    p, _, _, _, tau = loops(frame)
    t = T * np.arange(1, 11)
    # tau w'' + w' + p w = 0, w(0) = 0.2, w'(0) = 0
    a, b = -1 / (2 * tau), np.sqrt(complex(1 / (4 * tau**2) - p / tau))
    first, second = a + b, a - b
    form = 0.2 * (second * np.exp(first * t) - first * np.exp(second * t)) / (second - first)
    assert np.abs(rate - form.real).max() < 0.2 * 0.12  # the loops' sampling at 50 Hz


@pytest.mark.parametrize(("name", "liquid"), PAYLOADS)
def test_attitude_loop_answers_as_its_third_order_form(name, liquid):
    frame = airframe(name, loops__velocity_per_s=1e-6)
    world, state = make_world([frame], liquid=[liquid])
    tilt = []
    for k in range(30):
        world.advance(k, state, np.array([[0.4, 0.0]]), np.array([True]))
        tilt.append(2 * world.body[0, 4])
    p, a, _, _, tau = loops(frame)
    t = T * np.arange(31)
    _, form = step(TransferFunction([p * a], [tau, 1.0, p, p * a]), T=t)
    assert np.abs(np.array(tilt) / math.atan(0.4 / G) - form[1:]).max() < 0.08


@pytest.mark.parametrize(("name", "liquid"), PAYLOADS)
def test_velocity_loop_answers_as_its_linear_cascade(name, liquid):
    frame = airframe(name, drag__linear_n_s_m=0.0, drag__area_m2=0.0)
    model = single_integrator(T, Limits(input_norm=5.0))
    world, state = make_world([frame], model=model, liquid=[liquid])
    track = fly(world, state, 120, [0.5, 0.0])
    p, a, v, _, tau = loops(frame)
    inner = np.polymul([p * a], [1.0])
    outer = [v, v * v / 4]
    closed = TransferFunction(
        np.polymul(inner, outer),
        np.polyadd(np.polymul([tau, 1.0, p, p * a], [1.0, 0.0, 0.0]), np.polymul(inner, outer)),
    )
    _, form = step(closed, T=T * np.arange(121))
    assert np.abs(track[:, 0, 7] / 0.5 - form[1:]).max() < 0.08
    assert track[-1, 0, 7] == pytest.approx(0.5, rel=0.02)


def test_height_loop_answers_as_its_linear_cascade():
    frame = airframe()
    world, state = make_world([frame])
    world._setpoint.place[:, 2] = 51.0
    track = fly(world, state, 80)
    _, _, v, h, tau = loops(frame)
    # z'' = a, a from the velocity loop v (w - z') + v^2/4 int (w - z'), w = h (z0 - z), behind the rotor lag
    matrix = np.array([[0, 1, 0, 0], [0, 0, 0, 1], [-h, -1, 0, 0], [-v * h / tau, -v / tau, v * v / 4 / tau, -1 / tau]])
    drive = np.array([[0.0], [0.0], [h], [v * h / tau]])
    t = T * np.arange(81)
    _, form, _ = lsim(StateSpace(matrix, drive, [[1, 0, 0, 0]], [[0]]), np.ones(81), t)
    assert np.abs(track[:, 0, 2] - 50.0 - form[1:]).max() < 0.05


@pytest.mark.parametrize("name", EVERY)
def test_steady_wind_is_carried_by_the_integral(name):
    world, state = make_world([airframe(name)], wind=6.0)
    track = fly(world, state, 300, active=False)
    assert np.hypot(track[-1, 0, 0], track[-1, 0, 1]) < 0.3
    assert np.abs(track[-1, 0, 7:10]).max() < 0.05
    assert np.abs(track[:, 0, 2] - 50.0).max() < 0.3


def test_published_torques_turn_the_body_as_the_model_says():
    model = quadrotor(T, np.array([0.0075]))
    world, state = make_world([airframe()], model=model)
    predicted = state[0].copy()
    for k, torque in enumerate([0.01, -0.005, -0.01, 0.004, 0.0, 0.0]):
        u = np.array([[0.5 * torque, torque]])
        predicted = model.A[0] @ predicted + model.B[0] @ u[0]
        world.advance(k, state, u, np.array([True]))
    assert state[0, [1, 5]] == pytest.approx(predicted[[1, 5]], abs=0.01)
    assert state[0, [2, 6]] == pytest.approx(predicted[[2, 6]], abs=0.002)
    assert abs(predicted[1]) > 0.05


def test_replay_is_bit_identical():
    def once():
        world, state = make_world(
            [airframe(), airframe("sprayer")], liquid=[0, 30], flow=[0, 1], wind=5, gusts=True, sigma=0.3
        )
        return fly(world, state, 40, [1.0, 0.5]), state

    (track, state), (again, state_again) = once(), once()
    assert np.array_equal(track, again)
    assert np.array_equal(state, state_again)


def test_one_more_vehicle_changes_no_other():
    def tracks(n):
        world, state = make_world([airframe()] * n, wind=5, gusts=True, sigma=0.3)
        return fly(world, state, 30, [1.0, 0.5])

    assert np.array_equal(tracks(2), tracks(3)[:, :2])


def test_the_law_sees_the_receiver_and_the_record_the_truth():
    world, state = make_world([airframe()] * 40, sigma=0.5)
    fly(world, state, 30, active=False)
    truth = world.true_state(state)
    assert truth[:, [0, 2]] == pytest.approx(world.body[:, :2])
    assert (state - truth)[:, [0, 2]] == pytest.approx(world._receiver.error[:, :2])
    assert 0.35 < (state - truth)[:, [0, 2]].std() < 0.65


class TestFaults:
    def test_empty_battery_falls_and_is_reported(self):
        frame = airframe(battery__energy_wh=0.01, battery__hover_min=((0.65, 0.02),))
        world, state = make_world([frame, airframe()], height=5.0)
        track = fly(world, state, 60)
        assert world.fault.tolist() == [Fault.BATTERY, Fault.NONE]
        assert track[-1, 0, 2] < 0.5
        assert track[-1, 1, 2] == pytest.approx(5.0, abs=1e-3)
        assert world.telemetry()["charge"][0] == 0.0

    def test_touching_drones_are_lost_both(self):
        world, state = make_world([airframe()] * 3, spacing=3.0)
        for k in range(30):
            world.advance(k, state, np.array([[2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]), np.ones(3, bool))
        assert world.fault.tolist() == [Fault.COLLISION, Fault.COLLISION, Fault.NONE]

    def test_ground(self):
        world, state = make_world([airframe()], height=2.0)
        world._setpoint.place[:, 2] = -5.0
        fly(world, state, 60)
        assert world.fault.tolist() == [Fault.GROUND]

    def test_flip(self):
        world, state = make_world([airframe()], height=20.0)
        world.bodies.set_motion(0, [0, 0, 0], [60.0, 0, 0])
        world.bodies.read(world.body)
        fly(world, state, 5)
        assert world.fault.tolist() == [Fault.FLIPPED]
