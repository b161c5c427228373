"""The bus carries messages between agents: who hears whom, and when."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]


class Bus(Protocol):
    """What decides which messages of a step arrive."""

    def links(self, position: NDArray[np.float64], on_air: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        """Links on which a message posted now arrives.

        Parameters
        ----------
        position : ndarray, shape (L, 2)
            Where the agents are, local ENU. [m]
        on_air : ndarray of bool, shape (L,)
            Whose radio is on.

        Returns
        -------
        sender, receiver : ndarray of int32, shape (links,)
            Ordered by receiver, then by sender.
        """
