r"""Nonlinear vehicles, x' = f(x, u), and their analytic linearisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from d2oc.arrays import Floats
from d2oc.vehicles.linear import GRAVITY


class NonlinearModel(Protocol):
    """A vehicle whose equations of motion are not linear."""

    state_names: tuple[str, ...]
    """States with their units, in order."""
    input_names: tuple[str, ...]
    """Inputs with their units, in order."""

    def rate(self, state: Floats, command: Floats) -> Floats:
        """Time derivative of the state, shape (n,)."""

    def jacobians(self, state: Floats, command: Floats) -> tuple[Floats, Floats]:
        """Derivatives of the rate by the state, shape (n, n), and by the command, shape (n, m)."""


def discretised(
    model: NonlinearModel, state: Floats, command: Floats, time_step: float
) -> tuple[Floats, Floats, Floats]:
    """The model near a point over one step with the command held: x+ = A x + B u + c.

    Exact for the linearised equations: the exponential of [[F, G, f], [0]] (Van Loan, IEEE TAC 23, 1978).

    Parameters
    ----------
    model : NonlinearModel
        The vehicle.
    state, command : ndarray, shape (n,) and (m,)
        Where it is linearised.
    time_step : float
        [s]

    Returns
    -------
    A, B, c : ndarray, shape (n, n), (n, m), (n,)
    """
    from scipy.linalg import expm

    by_state, by_command = model.jacobians(state, command)
    n, m = by_command.shape
    offset = model.rate(state, command) - by_state @ state - by_command @ command
    block = np.zeros((n + m + 1, n + m + 1))
    block[:n, :n], block[:n, n : n + m], block[:n, -1] = by_state, by_command, offset
    step = expm(block * time_step)
    return step[:n, :n], step[:n, n : n + m], step[:n, -1]


@dataclass(frozen=True)
class Unicycle:
    """A rover that drives where it looks: states x, y [m], heading [rad]; inputs speed [m/s], turn rate [rad/s]."""

    state_names: tuple[str, ...] = ("x_m", "y_m", "heading_rad")
    input_names: tuple[str, ...] = ("speed_m_s", "turn_rate_rad_s")

    def rate(self, state: Floats, command: Floats) -> Floats:
        """Time derivative: v cos(heading), v sin(heading), turn rate."""
        heading, speed = state[2], command[0]
        return np.array([speed * np.cos(heading), speed * np.sin(heading), command[1]])

    def jacobians(self, state: Floats, command: Floats) -> tuple[Floats, Floats]:
        """Derivatives of the rate by state and command."""
        c, s, speed = np.cos(state[2]), np.sin(state[2]), command[0]
        by_state = np.array([[0.0, 0.0, -speed * s], [0.0, 0.0, speed * c], [0.0, 0.0, 0.0]])
        return by_state, np.array([[c, 0.0], [s, 0.0], [0.0, 1.0]])


@dataclass(frozen=True)
class RigidQuadrotor:
    """The 12-state rigid quadrotor: position, velocity (world axes), roll, pitch, yaw (z-y-x), body rates.

    Inputs are thrust along the body's up axis [N] and torque about its axes [N m]. Axes are x east, y north, z up, and
    right-handed; drag is linear. Newton-Euler equations as in R. W. Beard and T. W. McLain, Small Unmanned Aircraft,
    chapter 3, with z up.
    """

    mass: float
    """[kg]"""
    inertia: tuple[float, float, float]
    """About x, y, z of the body. [kg m^2]"""
    drag: float = 0.0
    """Linear drag. [N s/m]"""
    state_names: tuple[str, ...] = (
        "x_m", "y_m", "z_m", "vx_m_s", "vy_m_s", "vz_m_s",
        "roll_rad", "pitch_rad", "yaw_rad", "p_rad_s", "q_rad_s", "r_rad_s",
    )  # fmt: skip
    input_names: tuple[str, ...] = ("thrust_n", "tau_x_n_m", "tau_y_n_m", "tau_z_n_m")

    def rate(self, state: Floats, command: Floats) -> Floats:
        """Time derivative of the state."""
        velocity, (p, q, r) = state[3:6], state[9:12]
        ix, iy, iz = self.inertia
        acceleration = self._up(state) * command[0] / self.mass - self.drag / self.mass * velocity
        acceleration[2] -= GRAVITY
        spin = [
            ((iy - iz) * q * r + command[1]) / ix,
            ((iz - ix) * r * p + command[2]) / iy,
            ((ix - iy) * p * q + command[3]) / iz,
        ]
        return np.concatenate([velocity, acceleration, self._turn(state) @ [p, q, r], spin])

    def jacobians(self, state: Floats, command: Floats) -> tuple[Floats, Floats]:
        """Derivatives of the rate by state and command."""
        p, q, r = state[9:12]
        ix, iy, iz = self.inertia
        by_state = np.zeros((12, 12))
        by_state[0:3, 3:6] = np.eye(3)
        by_state[3:6, 3:6] = -self.drag / self.mass * np.eye(3)
        by_state[3:6, 6:9] = self._up_by_angles(state) * command[0] / self.mass
        by_state[6:9, 6:9] = self._turn_by_angles(state)
        by_state[6:9, 9:12] = self._turn(state)
        by_state[9, 10:12] = np.array([r, q]) * (iy - iz) / ix
        by_state[10, [9, 11]] = np.array([r, p]) * (iz - ix) / iy
        by_state[11, 9:11] = np.array([q, p]) * (ix - iy) / iz
        by_command = np.zeros((12, 4))
        by_command[3:6, 0] = self._up(state) / self.mass
        by_command[[9, 10, 11], [1, 2, 3]] = 1.0 / np.array(self.inertia)
        return by_state, by_command

    @staticmethod
    def _up(state: Floats) -> Floats:
        """The body's up axis in the world, third column of Rz(yaw) Ry(pitch) Rx(roll)."""
        (sr, sp, sy), (cr, cp, cy) = np.sin(state[6:9]), np.cos(state[6:9])
        return np.array([cr * sp * cy + sr * sy, cr * sp * sy - sr * cy, cr * cp])

    @staticmethod
    def _up_by_angles(state: Floats) -> Floats:
        (sr, sp, sy), (cr, cp, cy) = np.sin(state[6:9]), np.cos(state[6:9])
        return np.array(
            [
                [-sr * sp * cy + cr * sy, cr * cp * cy, -cr * sp * sy + sr * cy],
                [-sr * sp * sy - cr * cy, cr * cp * sy, cr * sp * cy + sr * sy],
                [-sr * cp, -cr * sp, 0.0],
            ]
        )

    @staticmethod
    def _turn(state: Floats) -> Floats:
        """Rates of roll, pitch and yaw from body rates; singular at a pitch of 90 degrees."""
        sr, cr = np.sin(state[6]), np.cos(state[6])
        tp, cp = np.tan(state[7]), np.cos(state[7])
        return np.array([[1.0, sr * tp, cr * tp], [0.0, cr, -sr], [0.0, sr / cp, cr / cp]])

    @staticmethod
    def _turn_by_angles(state: Floats) -> Floats:
        sr, cr = np.sin(state[6]), np.cos(state[6])
        tp, cp = np.tan(state[7]), np.cos(state[7])
        _, q, r = state[9:12]
        side, ahead = q * cr - r * sr, q * sr + r * cr
        return np.array(
            [
                [side * tp, ahead / cp**2, 0.0],
                [-ahead, 0.0, 0.0],
                [side / cp, ahead * tp / cp, 0.0],
            ]
        )
