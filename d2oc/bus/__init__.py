"""The bus carries messages between agents: who hears whom, and when."""

from __future__ import annotations

from typing import Protocol

from d2oc.arrays import Flags, Floats, Ints


class Bus(Protocol):
    """What decides which messages of a step arrive."""

    def links(self, position: Floats, on_air: Flags) -> tuple[Ints, Ints]:
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
