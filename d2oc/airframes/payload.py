"""The liquid in a sprayer's tank: height, mass and inertia that fall as it is sprayed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from d2oc.arrays import Floats


@dataclass(frozen=True)
class BoxTank:
    """A box of footprint a x b that drains, or many; its liquid is a block whose height falls."""

    length: float | Floats
    """a, along x. [m]"""
    width: float | Floats
    """b, along y. [m]"""
    offset: float | Floats
    """d, distance of the liquid's centre from the centre of mass. [m]"""
    density: float | Floats
    """rho. [kg/m^3]"""

    def liquid_height(self, liquid_mass: ArrayLike) -> Floats:
        """Height of the liquid, h = m / (rho a b). [m]"""
        return np.asarray(liquid_mass) / (self.density * self.length * self.width)

    def inertia(self, liquid_mass: ArrayLike) -> tuple[Floats, Floats, Floats]:
        r"""What the liquid adds to the inertia of the vehicle.

        About a horizontal axis a block adds :math:`m (b^2 + h^2) / 12 + m d^2` (and with a in place of b about the
        other one), about the vertical axis :math:`m (a^2 + b^2) / 12`. The offset d is kept, as if the centre of mass
        did not move: the exact parallel-axis term is smaller by the liquid's share of the whole mass.

        Parameters
        ----------
        liquid_mass : array_like, shape (...)
            Mass of the liquid. [kg]

        Returns
        -------
        roll, pitch, yaw : ndarray, shape (...)
            [kg m^2]
        """
        m = np.asarray(liquid_mass, dtype=np.float64)
        h = self.liquid_height(m)
        shift = m * self.offset**2
        roll = m * (self.width**2 + h**2) / 12 + shift
        pitch = m * (self.length**2 + h**2) / 12 + shift
        yaw = m * (self.length**2 + self.width**2) / 12
        return roll, pitch, yaw


def planned_liquid(liquid: float, flow: float, time_step: float, n_steps: int) -> Floats:
    """Liquid left at the start of every step when the pump runs all the time.

    Parameters
    ----------
    liquid : float
        Load at the start. [L]
    flow : float
        [L/s]
    time_step : float
        [s]
    n_steps : int
        Steps of operation.

    Returns
    -------
    left : ndarray, shape (n_steps,)
        [L]
    """
    left: Floats = np.maximum(0.0, liquid - flow * time_step * np.arange(n_steps))
    return left
