"""A radio without loss or delay: everyone closer than the range hears everything."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Flags, Floats, Ints


class PerfectBus:
    """Links between all pairs closer than `comm_range`. [m]"""

    def __init__(self, comm_range: float) -> None:
        self._comm_range = comm_range

    def links(self, position: Floats, on_air: Flags) -> tuple[Ints, Ints]:
        """Both directions of every pair in range; see `d2oc.bus.Bus`."""
        agents = np.flatnonzero(on_air)
        pairs = agents[self._pairs(position[agents])]
        sender = np.concatenate([pairs[:, 0], pairs[:, 1]])
        receiver = np.concatenate([pairs[:, 1], pairs[:, 0]])
        order = np.lexsort((sender, receiver))
        return sender[order].astype(np.int32), receiver[order].astype(np.int32)

    def _pairs(self, position: Floats) -> NDArray[np.intp]:
        if math.isinf(self._comm_range) or len(position) < 2:
            return np.stack(np.triu_indices(len(position), 1), axis=1)
        if self._comm_range <= 0:
            return np.empty((0, 2), np.intp)
        return self._close_pairs(position)

    def _close_pairs(self, position: Floats) -> NDArray[np.intp]:
        from scipy.spatial import cKDTree

        tree = cKDTree(position)
        # The tree rounds in its own way: ask for a little more, then decide as everywhere else.
        pairs: NDArray[np.intp] = tree.query_pairs(self._comm_range * (1 + 1e-9), output_type="ndarray")
        offset = position[pairs[:, 0]] - position[pairs[:, 1]]
        return pairs[np.sqrt((offset * offset).sum(axis=1)) < self._comm_range]
