r"""Linear vehicle models, time invariant or time varying: :math:`x_{k+1} = A_k x_k + B_k u_k`, :math:`y_k = C x_k`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats

GRAVITY = 9.81
"""Standard gravity as the published code rounds it. [m/s^2]"""


@dataclass(frozen=True, eq=False)
class Limits:
    """What the vehicle cannot exceed; applied to the command and to the state after the step."""

    input_norm: float = math.inf
    """Largest Euclidean norm of the input (integrators), in the input's unit."""
    input_each: float = math.inf
    """Largest absolute value of each input (quadrotor). [N m]"""
    speed_norm: float = math.inf
    """Largest Euclidean speed; the acceleration is cut so that it is not exceeded. [m/s]"""
    speed_each: float = math.inf
    """Largest of |vx|, |vy|; after the step both are scaled by one factor, as published. [m/s]"""
    turn_rate: float = math.inf
    """Largest turn rate, the second input of a unicycle, whose `input_each` is its speed. [rad/s]"""
    state_each: Floats | None = None
    """Largest absolute value of each state after the step, shape (n,); None: no limit."""
    tilt_norm: float = math.inf
    """Largest Euclidean norm of roll and pitch (full quadrotor); the tilt is never larger. [rad]"""
    acceleration_norm: float = math.inf
    """Largest horizontal acceleration, the mean over a step (full quadrotor). [m/s^2]"""


class RigidBody(NamedTuple):
    """What a full quadrotor is made of at each of K steps of the mission; it keeps the last afterwards."""

    constants: Floats
    """Mass [kg], inertia about x, y, z [kg m^2], linear drag [N s/m], half air density times drag area [kg/m], control
    period [s], parts it is integrated in; shape (K, 8)."""
    lowest: Floats
    """Least thrust above weight, and least torques, shape (K, 4). [N, N m]"""
    highest: Floats
    """Largest of them, shape (K, 4). [N, N m]"""


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A vehicle as the controller sees it.

    A model whose matrices do not change has one A and one B; a time-varying one has a pair for every
    step, and keeps the last pair afterwards.
    """

    name: str
    state_names: tuple[str, ...]
    """States with their units, in order."""
    input_names: tuple[str, ...]
    """Inputs with their units, in order."""
    A: Floats
    """State matrices, shape (K, n, n)."""
    B: Floats
    """Input matrices, shape (K, n, m)."""
    position_states: tuple[int, int]
    """Which states are x and y."""
    velocity_states: tuple[int, int] | None
    """Which states are vx and vy, if any."""
    axes: tuple[tuple[int, ...], tuple[int, ...]]
    """The states of each axis, position first: the order of `control.state_weight`."""
    limits: Limits = field(default_factory=Limits)
    lag: float = 0.0
    """Time constant of the acceleration behind its command; the acceleration is the state after the velocity. [s]"""
    inertia_kg_m2: Floats | None = None
    """Inertia at every step of A, shape (K,), for models that have one. [kg m^2]"""
    body: RigidBody | None = None
    """What moves instead of A and B, which are its hover: the full quadrotor, see `d2oc.vehicles.rigid_quadrotor`."""
    effort: Floats | None = None
    """Weights of the inputs against a metre from the goal where they differ in kind, shape (K, m)."""
    held: Floats | None = None
    """Weights of states that are held at zero against a metre from the goal, shape (n,)."""

    @property
    def n_states(self) -> int:
        """Number of states n."""
        return len(self.state_names)

    @property
    def n_inputs(self) -> int:
        """Number of inputs m."""
        return len(self.input_names)

    @property
    def C(self) -> Floats:
        """Output matrix, position from state, shape (2, n)."""
        matrix = np.zeros((2, self.n_states))
        matrix[[0, 1], self.position_states] = 1.0
        return matrix

    @property
    def is_time_varying(self) -> bool:
        """Whether A or B change over the mission."""
        return len(self.A) > 1


def top_speed_of(model: LinearModel) -> float:
    """Largest speed that a vehicle's limits allow, along an axis where they are per axis; inf without. [m/s]"""
    if model.velocity_states is None:
        return min(model.limits.input_norm, model.limits.input_each)
    return min(model.limits.speed_norm, model.limits.speed_each)


def single_integrator(time_step_s: float, limits: Limits | None = None) -> LinearModel:
    """Velocity command: x+ = x + T u. States x, y [m]; inputs vx, vy [m/s]."""
    return LinearModel(
        name="single-integrator",
        state_names=("x_m", "y_m"),
        input_names=("vx_m_s", "vy_m_s"),
        A=np.eye(2)[None],
        B=time_step_s * np.eye(2)[None],
        position_states=(0, 1),
        velocity_states=None,
        axes=((0,), (1,)),
        limits=limits or Limits(),
    )


def double_integrator(time_step_s: float, limits: Limits | None = None) -> LinearModel:
    """Acceleration command held over the step: x+ = x + T v + T^2/2 u, v+ = v + T u.

    States x, vx, y, vy [m, m/s]; inputs ax, ay [m/s^2]. Exact zero-order-hold discretisation.
    """
    t = time_step_s
    axis_a = np.array([[1.0, t], [0.0, 1.0]])
    axis_b = np.array([t * t / 2, t])
    a = np.zeros((1, 4, 4))
    b = np.zeros((1, 4, 2))
    for axis in range(2):
        states = slice(2 * axis, 2 * axis + 2)
        a[0, states, states] = axis_a
        b[0, states, axis] = axis_b
    return LinearModel(
        name="double-integrator",
        state_names=("x_m", "vx_m_s", "y_m", "vy_m_s"),
        input_names=("ax_m_s2", "ay_m_s2"),
        A=a,
        B=b,
        position_states=(0, 2),
        velocity_states=(1, 3),
        axes=((0, 1), (2, 3)),
        limits=limits or Limits(),
    )


def lagged_integrator(time_step_s: float, lag_s: float, limits: Limits | None = None) -> LinearModel:
    """Acceleration that follows its command with a first-order lag, as a vehicle that must tilt first.

    x' = v, v' = a, a' = (u - a) / lag, with the exact zero-order-hold discretisation. As the lag goes to zero it
    becomes `double_integrator`.

    Parameters
    ----------
    time_step_s : float
        Control period T. [s]
    lag_s : float
        Time constant of the acceleration. [s]
    limits : Limits, optional
        What the vehicle cannot exceed.

    Returns
    -------
    model : LinearModel
        States x, vx, ax, y, vy, ay [m, m/s, m/s^2]; inputs ax, ay [m/s^2].
    """
    t = time_step_s
    left = math.exp(-t / lag_s)
    delayed = lag_s * (1.0 - left)  # integral of what is left of the old acceleration
    twice = lag_s * (t - delayed)
    axis_a = np.array([[1.0, t, twice], [0.0, 1.0, delayed], [0.0, 0.0, left]])
    axis_b = np.array([t * t / 2 - twice, t - delayed, 1.0 - left])
    a = np.zeros((1, 6, 6))
    b = np.zeros((1, 6, 2))
    for axis in range(2):
        states = slice(3 * axis, 3 * axis + 3)
        a[0, states, states] = axis_a
        b[0, states, axis] = axis_b
    return LinearModel(
        name="lagged-integrator",
        state_names=("x_m", "vx_m_s", "ax_m_s2", "y_m", "vy_m_s", "ay_m_s2"),
        input_names=("ax_m_s2", "ay_m_s2"),
        A=a,
        B=b,
        position_states=(0, 3),
        velocity_states=(1, 4),
        axes=((0, 1, 2), (3, 4, 5)),
        limits=limits or Limits(),
        lag=lag_s,
    )


def quadrotor(time_step_s: float, inertia_kg_m2: Floats, limits: Limits | None = None) -> LinearModel:
    """The published quadrotor: small angles, thrust trimmed to weight, forward Euler.

    Parameters
    ----------
    time_step_s : float
        Control period T. [s]
    inertia_kg_m2 : ndarray, shape (K,)
        Roll and pitch inertia at every step; one entry for a time-invariant model. [kg m^2]
    limits : Limits, optional
        What the vehicle cannot exceed.

    Returns
    -------
    model : LinearModel
        States x, vx, theta, theta rate, y, vy, phi, phi rate; inputs tau_phi, tau_theta.

    References
    ----------
    .. [1] S. Seo and K. Lee, IEEE Trans. SMC: Systems, 2025. :doi:`10.1109/TSMC.2025.3622075`
    """
    t = time_step_s
    a = np.tile(np.eye(8), (len(inertia_kg_m2), 1, 1))
    b = np.zeros((len(inertia_kg_m2), 8, 2))
    for first, tilt_to_acceleration in ((0, -GRAVITY), (4, GRAVITY)):
        a[:, first, first + 1] = t
        a[:, first + 1, first + 2] = t * tilt_to_acceleration
        a[:, first + 2, first + 3] = t
    b[:, 7, 0] = t / inertia_kg_m2  # tau_phi turns phi, which moves y
    b[:, 3, 1] = t / inertia_kg_m2  # tau_theta turns theta, which moves x
    return LinearModel(
        name="quadrotor",
        state_names=(
            "x_m", "vx_m_s", "theta_rad", "theta_rate_rad_s",
            "y_m", "vy_m_s", "phi_rad", "phi_rate_rad_s",
        ),
        input_names=("tau_phi_n_m", "tau_theta_n_m"),
        A=a,
        B=b,
        position_states=(0, 4),
        velocity_states=(1, 5),
        axes=((0, 1, 2, 3), (4, 5, 6, 7)),
        limits=limits or Limits(),
        inertia_kg_m2=np.asarray(inertia_kg_m2, dtype=np.float64),
    )  # fmt: skip


def loaded_quadrotor(
    time_step_s: float,
    mass_kg: Floats,
    inertia_kg_m2: Floats,
    *,
    drag_n_s_m: float = 0.0,
    thrust_n: Floats | None = None,
    limits: Limits | None = None,
) -> LinearModel:
    r"""The published quadrotor with what a draining tank changes: drag over mass, thrust over mass, inertia.

    Per axis, forward Euler: :math:`v^+ = (1 - T c / m_k)\, v \mp (T F_k / m_k)\, \theta`, :math:`\dot\theta^+ =
    \dot\theta + (T / I_k)\, u`. With thrust re-trimmed to weight, F_k = m_k g, the mass cancels but for drag; with
    thrust left at its first trim it does not.

    Parameters
    ----------
    time_step_s : float
        Control period T. [s]
    mass_kg : ndarray, shape (K,)
        Mass at every step, from the planned flow. [kg]
    inertia_kg_m2 : ndarray, shape (K,)
        Roll and pitch inertia at every step. [kg m^2]
    drag_n_s_m : float
        Linear drag c. [N s/m]
    thrust_n : ndarray, shape (K,), optional
        Thrust F at every step; default: re-trimmed to the weight. [N]
    limits : Limits, optional
        What the vehicle cannot exceed.

    Returns
    -------
    model : LinearModel
        States and inputs of `quadrotor`.
    """
    t = time_step_s
    base = quadrotor(t, inertia_kg_m2, limits)
    mass = np.asarray(mass_kg, dtype=np.float64)
    lift = GRAVITY * np.ones_like(mass) if thrust_n is None else thrust_n / mass
    a = base.A.copy()
    for velocity, tilt, sign in ((1, 2, -1.0), (5, 6, 1.0)):
        a[:, velocity, velocity] = 1.0 - t * drag_n_s_m / mass
        a[:, velocity, tilt] = sign * t * lift
    return replace(base, name="loaded-quadrotor", A=a)
