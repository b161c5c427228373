"""Which passes of a plan have been flown, as a machine knows it from its own way and from what the others tell it.

What was flown stays flown, and only who flew it says so: words may be lost, repeated and late, and all that hear them
come to know the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from d2oc.arrays import Flags
from d2oc.spray.division import Leg, Route
from d2oc.spray.passes import Passes, Segment


class Slots:
    """A set of slots of a plan's lattices.

    Parameters
    ----------
    passes : sequence of Passes
        The lattices.
    parts : iterable of Segment
        What is in it.
    """

    def __init__(self, passes: Sequence[Passes], parts: Iterable[Segment] = ()) -> None:
        self._held: list[Flags] = [np.zeros(own.flow.shape, np.bool_) for own in passes]
        self.add(parts)

    def add(self, parts: Iterable[Segment]) -> None:
        """Put segments into it."""
        for part in parts:
            self._held[part.lattice][part.line, part.first : part.last + 1] = True

    def of(self, part: Segment) -> Flags:
        """Which slots of a segment are in it, shape (last - first + 1,)."""
        return self._held[part.lattice][part.line, part.first : part.last + 1]

    def holds(self, part: Segment) -> bool:
        """Whether a whole segment is in it."""
        return bool(self.of(part).all())


def is_of(passes: Sequence[Passes], part: Segment) -> bool:
    """Whether lattices have such a segment."""
    if not 0 <= part.lattice < len(passes):
        return False
    lines, slots = passes[part.lattice].flow.shape
    return 0 <= part.line < lines and 0 <= part.first <= part.last < slots


def left_of(passes: Sequence[Passes], part: Segment, *done: Slots) -> list[Segment]:
    """What is to be sprayed of a segment beside what is in any of some sets, from its first slot to its last."""
    own = passes[part.lattice]
    on = own.on(part)
    gone = np.any([slots.of(part) for slots in done], axis=0) & on
    todo = np.flatnonzero(on & ~gone)
    if not len(todo):
        return []
    between = np.flatnonzero(np.diff(np.cumsum(gone)[todo]) > 0) + 1  # what is done lies between two that are not
    return [own.cut(part, part.first + int(run[0]), part.first + int(run[-1])) for run in np.split(todo, between)]


def legs_left(passes: Sequence[Passes], route: Route, *done: Slots) -> Route:
    """What is left of a route, in its order, beside what is in any of some sets."""
    legs: Route = []
    for leg in route:
        parts = left_of(passes, leg.segment, *done)
        legs += [Leg(part, leg.forwards) for part in (parts if leg.forwards else parts[::-1])]
    return legs
