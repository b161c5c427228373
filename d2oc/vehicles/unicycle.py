r"""The unicycle rover in discrete time: speed and turn rate held over a step make it drive an arc.

.. math::
    x^+ = x + T v\, \mathrm{sinc}(\omega T / 2) \cos(\theta + \omega T / 2), \quad
    y^+ = y + T v\, \mathrm{sinc}(\omega T / 2) \sin(\theta + \omega T / 2), \quad \theta^+ = \theta + T \omega

with :math:`\mathrm{sinc}(z) = \sin z / z`: the exact solution of `d2oc.vehicles.nonlinear.Unicycle` for held inputs.
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.vehicles.linear import Limits, LinearModel

NEARLY_STRAIGHT = 1e-4
"""Half the turn of a step below which series replace sin z / z, exact to rounding. [rad]"""


def unicycle(time_step_s: float, max_speed_m_s: float, max_turn_rate_rad_s: float) -> LinearModel:
    """States x, y [m], heading [rad]; inputs speed [m/s], turn rate [rad/s].

    A and B are those at rest with heading east; the vehicle itself moves along arcs, see `d2oc.vehicles.motion`.
    """
    return LinearModel(
        name="unicycle",
        state_names=("x_m", "y_m", "heading_rad"),
        input_names=("speed_m_s", "turn_rate_rad_s"),
        A=np.eye(3)[None],
        B=time_step_s * np.array([[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]),
        position_states=(0, 1),
        velocity_states=None,
        axes=((0,), (1,)),
        limits=Limits(input_each=max_speed_m_s, turn_rate=max_turn_rate_rad_s),
    )


@compiled
def arc(state: Floats, speed: float, turn_rate: float, time_step: float, after: Floats) -> None:
    """One step along an arc; `after`, shape (3,), receives the next state."""
    half = 0.5 * turn_rate * time_step
    chord = speed * time_step * (1.0 - half * half / 6.0 if abs(half) < NEARLY_STRAIGHT else np.sin(half) / half)
    after[0] = state[0] + chord * np.cos(state[2] + half)
    after[1] = state[1] + chord * np.sin(state[2] + half)
    after[2] = state[2] + turn_rate * time_step


@compiled
def arc_jacobians(
    state: Floats, speed: float, turn_rate: float, time_step: float, by_state: Floats, by_command: Floats
) -> None:
    """Derivatives of `arc` by the state, shape (3, 3), and by speed and turn rate, shape (3, 2)."""
    half = 0.5 * turn_rate * time_step
    if abs(half) < NEARLY_STRAIGHT:
        sinc, slope = 1.0 - half * half / 6.0, -half / 3.0
    else:
        sinc = np.sin(half) / half
        slope = (np.cos(half) - sinc) / half
    c, s = np.cos(state[2] + half), np.sin(state[2] + half)
    by_state[:] = np.eye(3)
    by_state[0, 2] = -time_step * speed * sinc * s
    by_state[1, 2] = time_step * speed * sinc * c
    by_command[:] = 0.0
    by_command[0, 0] = time_step * sinc * c
    by_command[1, 0] = time_step * sinc * s
    by_command[0, 1] = 0.5 * time_step * time_step * speed * (slope * c - sinc * s)
    by_command[1, 1] = 0.5 * time_step * time_step * speed * (slope * s + sinc * c)
    by_command[2, 1] = time_step
