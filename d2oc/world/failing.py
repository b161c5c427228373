"""Any world, in which some vehicles crash at set times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from d2oc.arrays import Flags, Floats, Longs
from d2oc.faults import Fault
from d2oc.world import Remembering, World, remembered_by
from d2oc.world.bullet import BulletWorld


class FailingWorld:
    """Moves a fleet as another world does, but for those that have crashed; see `d2oc.world.World`.

    Parameters
    ----------
    inner : World
        What moves the others.
    crash_step : ndarray of int64, shape (L,)
        Step from which on each flies no more.
    """

    def __init__(self, inner: World, crash_step: Longs) -> None:
        self._inner = inner
        self._crash_step = crash_step
        self._crashed: Flags = np.zeros(len(crash_step), np.bool_)

    def advance(self, k: int, state: Floats, command: Floats, active: Flags) -> None:
        """Move every active vehicle that still flies."""
        new = (self._crash_step <= k) & ~self._crashed
        self._crashed |= new
        if isinstance(self._inner, BulletWorld):
            self._inner.cut_power(np.flatnonzero(new).astype(np.int32))
        self._inner.advance(k, state, command, active & ~self._crashed)

    def guide(self, period: float, state: Floats, velocity: Floats, height: Floats, standing: Flags) -> None:
        """Move every vehicle that still flies."""
        velocity = np.where(self._crashed[:, None], 0.0, velocity)
        self._inner.guide(period, state, velocity, height, standing | self._crashed)

    def true_state(self, measured: Floats) -> Floats:
        """As in the other world."""
        return self._inner.true_state(measured)

    @property
    def lost(self) -> Flags:
        """Who has crashed, here or there."""
        return self._crashed | self._inner.lost

    def telemetry(self) -> Mapping[str, Floats]:
        """What the other world tells, and who has crashed."""
        told = dict(self._inner.telemetry())
        fault = told.get("fault", np.zeros(len(self._crashed)))
        return {**told, "fault": np.where(self._crashed & (fault == Fault.NONE), float(Fault.CRASH), fault)}

    def remembered(self) -> Any:
        """See `d2oc.world.remembered_by`."""
        inner = remembered_by(self._inner)
        return None if inner is None else [self._crashed, inner]

    def remember(self, kept: Any) -> None:
        """See `d2oc.world.remembered_by`."""
        crashed, inner = kept
        self._crashed = crashed.copy()
        if isinstance(self._inner, Remembering):
            self._inner.remember(inner)
