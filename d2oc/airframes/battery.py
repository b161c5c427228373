r"""The battery of a multirotor: energy drawn as thrust to the power 1.5.

Momentum theory gives the power that a rotor of area A needs to hover, :math:`P = T^{3/2} / (\eta \sqrt{2 \rho A})`
(Leishman, Principles of Helicopter Aerodynamics, chapter 2), so hover time falls as :math:`m^{-3/2}`. The
constant is fitted to the hover times that the maker publishes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

HoverTime = tuple[float, float]
"""Take-off mass [kg] and hover time [min]."""


def hover_time_constant(published: Sequence[HoverTime]) -> float:
    """The constant K of hover time t = K m^-1.5: least squares in the logarithm.

    Parameters
    ----------
    published : sequence of (mass, time)
        [kg], [min]

    Returns
    -------
    constant : float
        [min kg^1.5]
    """
    logs = [math.log(time * mass**1.5) for mass, time in published]
    return math.exp(sum(logs) / len(logs))
