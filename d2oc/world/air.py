r"""The air that drones make for themselves and each other: ground effect and downwash.

**Ground effect.** A rotor of radius R at a height z over the ground lifts more for the same power, by Cheeseman and
Bennett's image source [1]_: :math:`T / T_\infty = 1 / (1 - (R / 4 z)^2)`. The formula has a pole at z = R / 4; here z
is at least R / 2, so the gain is at most 4 / 3.

**Downwash.** The rotors of a drone of thrust T, together a disc of area A, leave a jet whose momentum is T. It is a
turbulent round jet with a Gaussian profile, as was measured below quadrotors from 2.5 diameters on [2]_:

.. math:: V(r, d) = V_c(d) e^{-(r / b)^2}, \qquad b(d) = b_0 + S d, \qquad V_c(d) = \sqrt{2 T / (\rho \pi b^2)}

With :math:`\pi b_0^2 = A` it begins at the speed :math:`V_0 = 2 v_h = \sqrt{2 T / \rho A}` of momentum theory, and has
no pole; :math:`\int \rho V^2 dA = T` at every depth d. S is that of round jets (half width 0.094 d [3]_). Wind and the
drone's own motion carry the jet along while it falls: the drift is the airspeed times
:math:`(d + S d^2 / 2 b_0) / V_0`. Jets of several drones add up.

A drone in a jet of speed W is blown down by drag, and its rotors lift less for the same power, as in a climb: with
:math:`v_h = \sqrt{T / 2 \rho A}` the flow u through them obeys :math:`u^2 (u - W) = v_h^3`, and the thrust is
:math:`T v_h / u` (momentum theory, Leishman, Principles of Helicopter Aerodynamics, section 2.13).

References
----------
.. [1] I. C. Cheeseman, W. E. Bennett, The effect of the ground on a helicopter rotor in forward flight, ARC R&M 3021,
       1955.
.. [2] L. Bauersfeld et al., Robotics meets fluid dynamics, IEEE RA-L 2025, arXiv 2403.13321.
.. [3] S. B. Pope, Turbulent Flows, section 5.1, 2000.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from d2oc.airframes.airframe import AIR_DENSITY
from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.world.fleet import Fleet

JET_SPREAD = 0.094 / math.sqrt(math.log(2.0))
"""Growth S of the radius where a jet has 1 / e of its speed, per depth."""


class Air(NamedTuple):
    """Which effects there are, and what they do to every drone at this moment."""

    ground_effect: bool
    downwash: bool
    lift_share: Floats
    """Lift over that of the same power in free air, shape (L,)."""
    wind: Floats
    """Wind with the downwash in it, shape (L, 3). [m/s]"""


def still_air(n_agents: int, *, ground_effect: bool, downwash: bool) -> Air:
    """Air in which nothing has been felt yet."""
    return Air(ground_effect, downwash, np.ones(n_agents), np.zeros((n_agents, 3)))


@compiled
def feel_air(fleet: Fleet, body: Floats, ground: Floats, thrust: Floats, wind: Floats, air: Air) -> None:
    """What the air does to every drone.

    Parameters
    ----------
    fleet : Fleet
        The airframes.
    body : ndarray, shape (L, 13)
        Position, attitude, velocity, rate.
    ground : ndarray, shape (L,)
        Height of the ground below each. [m]
    thrust : ndarray, shape (L, R)
        Of each rotor. [N]
    wind : ndarray, shape (L, 3)
        [m/s]
    air : Air
        Overwritten.
    """
    lift = np.zeros(len(body))
    for r in range(len(body)):
        for i in range(fleet.n_rotors[r]):
            lift[r] += thrust[r, i]
    for r in range(len(body)):
        share, down = 1.0, 0.0
        if air.ground_effect:
            share *= ground_gain(fleet.rotor_radius[r], body[r, 2] - ground[r])
        if air.downwash:
            for other in range(len(body)):
                if other != r and lift[other] > 0.0:
                    down += jet_speed(fleet.disc_area[other], lift[other], body[other], body[r], wind[other])
            share *= share_in_downwash(fleet.disc_area[r], lift[r], down)
        air.lift_share[r] = share
        for axis in range(3):
            air.wind[r, axis] = wind[r, axis]
        air.wind[r, 2] -= down


@compiled
def ground_gain(radius: float, height: float) -> float:
    """Lift near the ground over that of the same power in free air."""
    over = radius / (4.0 * max(height, 0.5 * radius))
    return 1.0 / (1.0 - over * over)


@compiled
def jet_speed(area: float, lift: float, above: Floats, below: Floats, wind: Floats) -> float:
    """Downward speed that one drone's jet has at another drone; 0 level with it or higher. [m/s]"""
    depth = above[2] - below[2]
    if depth <= 0.0:
        return 0.0
    first = np.sqrt(area / np.pi)
    radius = first + JET_SPREAD * depth
    first_speed = np.sqrt(2.0 * lift / (AIR_DENSITY * area))
    falling = (depth + 0.5 * JET_SPREAD * depth * depth / first) / first_speed
    x = below[0] - above[0] - (wind[0] - above[7]) * falling
    y = below[1] - above[1] - (wind[1] - above[8]) * falling
    return float(first_speed * first / radius * np.exp(-(x * x + y * y) / (radius * radius)))


@compiled
def share_in_downwash(area: float, lift: float, down: float) -> float:
    """Lift in a downward flow over that of the same power in still air."""
    if down <= 0.0 or lift <= 0.0:
        return 1.0
    hover = np.sqrt(lift / (2.0 * AIR_DENSITY * area))
    u = hover + down  # above the root, from where Newton's steps fall towards it
    for _ in range(8):
        u -= (u * u * (u - down) - hover**3) / (3.0 * u * u - 2.0 * down * u)
    return float(hover / u)
