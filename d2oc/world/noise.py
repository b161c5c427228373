"""Random numbers for every agent from its own stream, drawn in blocks so that a step costs no call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from d2oc.arrays import Floats

BLOCK_STEPS = 128


class NormalStreams:
    """Standard normal numbers, the same for an agent whoever else flies.

    Parameters
    ----------
    streams : sequence of Generator, length L
        One an agent.
    width : int
        Numbers an agent takes each step.
    """

    def __init__(self, streams: Sequence[np.random.Generator], width: int) -> None:
        self._streams = streams
        self._block = np.empty((BLOCK_STEPS, len(streams), width))
        self._next = BLOCK_STEPS

    def draw(self) -> Floats:
        """Numbers of the next step, shape (L, width); valid until the next draw."""
        if self._next == BLOCK_STEPS:
            for r, stream in enumerate(self._streams):
                self._block[:, r] = stream.standard_normal((BLOCK_STEPS, self._block.shape[2]))
            self._next = 0
        self._next += 1
        numbers: Floats = self._block[self._next - 1]
        return numbers

    def remembered(self) -> Any:
        """What comes next, as plain data."""
        states = [json.dumps(stream.bit_generator.state) for stream in self._streams]  # has integers of 128 bits
        return [states, self._block, self._next]

    def remember(self, kept: Any) -> None:
        """Go on from what `remembered` gave."""
        states, block, self._next = kept
        self._block = block.copy()
        for stream, state in zip(self._streams, states, strict=True):
            stream.bit_generator.state = json.loads(state)
