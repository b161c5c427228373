r"""Densities that move: where each sample is at any time of the mission.

A sample keeps its weight and is carried along by a velocity :math:`v(x, t)`, :math:`\dot q = v(q, t)`. The same
velocity carries any other place, so a place can also be carried back to the start of the mission: there the density
stands still, and there a mission is compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Floats, Ints
from d2oc.errors import DensityError

if TYPE_CHECKING:
    from d2oc.scenario.schema import DriftMotion, FieldMotion, RotationMotion

__all__ = ["Drift", "Moves", "Rotation", "SampleMotion", "VelocityField", "motion_from_mapping", "motion_of"]

LONGEST_STEP_S = 1.0
"""Longest step of the Runge-Kutta integration. [s]"""

MOST_VELOCITIES = 20_000
"""Velocities of a field: they all stand in the header of the record."""


class SampleMotion(Protocol):
    """How a density moves."""

    def carried(self, points: Floats, start: Floats | float, end: Floats | float) -> Floats:
        """Where things are that lie on the ground, as the density does.

        Parameters
        ----------
        points : ndarray, shape (n, 2)
            Places at `start`, local ENU. [m]
        start, end : float or ndarray, shape (n,)
            Time since the start of the mission; `end` may be earlier. [s]

        Returns
        -------
        places : ndarray, shape (n, 2)
            At `end`. [m]
        """

    def as_mapping(self) -> dict[str, Any]:
        """All of it as plain data; `motion_from_mapping` reads it."""


@dataclass(frozen=True)
class Drift:
    """Everything moves alike: pollen, smoke or an oil slick in an even wind."""

    velocity: tuple[float, float]
    """Local ENU. [m/s]"""

    def carried(self, points: Floats, start: Floats | float, end: Floats | float) -> Floats:
        """Moved in a straight line; see `SampleMotion`."""
        return np.asarray(points + _columns(np.subtract(end, start)) * np.array(self.velocity))

    def as_mapping(self) -> dict[str, Any]:
        """See `SampleMotion`."""
        return {"kind": "drift", "velocity_m_s": list(self.velocity)}


@dataclass(frozen=True)
class Rotation:
    """Everything turns about one place."""

    centre: tuple[float, float]
    """Local ENU. [m]"""
    rate: float
    """Anticlockwise. [rad/s]"""

    def carried(self, points: Floats, start: Floats | float, end: Floats | float) -> Floats:
        """Turned; see `SampleMotion`."""
        angle = self.rate * np.subtract(end, start)
        c, s = np.cos(angle), np.sin(angle)
        x, y = (points - np.array(self.centre)).T
        return np.column_stack([c * x - s * y, s * x + c * y]) + np.array(self.centre)

    def as_mapping(self) -> dict[str, Any]:
        """See `SampleMotion`."""
        return {"kind": "rotation", "centre_m": list(self.centre), "rate_rad_s": self.rate}


@dataclass(frozen=True, eq=False)
class VelocityField:
    """Velocities on a grid, linear in between in space and time, held beyond its edges and after its last time."""

    velocity: Floats
    """At the centre of each cell, row 0 at the south, shape (times, rows, columns, 2). [m/s]"""
    origin: tuple[float, float]
    """Lower left corner. [m]"""
    cell_size: float
    """[m]"""
    interval: float
    """Time from one grid to the next. [s]"""

    def carried(self, points: Floats, start: Floats | float, end: Floats | float) -> Floats:
        """Carried by the classical Runge-Kutta method of order four; see `SampleMotion`."""
        places = np.array(points, dtype=np.float64)
        time, end = (np.broadcast_to(np.asarray(t, np.float64), len(places)) for t in (start, end))
        n_steps = int(np.ceil(np.abs(end - time).max(initial=0.0) / LONGEST_STEP_S - 1e-9))
        step = (end - time) / max(1, n_steps)
        for i in range(n_steps):
            places = self._one_step(places, time + i * step, step)
        return places

    def _one_step(self, places: Floats, time: Floats, step: Floats) -> Floats:
        h = step[:, None]
        first = self._at(places, time)
        second = self._at(places + h / 2 * first, time + step / 2)
        third = self._at(places + h / 2 * second, time + step / 2)
        fourth = self._at(places + h * third, time + step)
        return np.asarray(places + h / 6 * (first + 2 * second + 2 * third + fourth))

    def _at(self, places: Floats, time: Floats) -> Floats:
        """Velocity at places and times, shape (n, 2)."""
        n_times, n_rows, n_columns, _ = self.velocity.shape
        x, y = ((places - np.array(self.origin)) / self.cell_size - 0.5).T
        result = np.zeros((len(places), 2))
        for t, w_t in _between(time / self.interval, n_times):
            for row, w_y in _between(y, n_rows):
                for column, w_x in _between(x, n_columns):
                    result += (w_t * w_y * w_x)[:, None] * self.velocity[t, row, column]
        return result

    def as_mapping(self) -> dict[str, Any]:
        """See `SampleMotion`."""
        return {
            "kind": "field",
            "velocity_m_s": self.velocity.tolist(),
            "origin_m": list(self.origin),
            "cell_size_m": self.cell_size,
            "interval_s": self.interval,
        }


@dataclass(frozen=True, eq=False)
class Moves:
    """How a density moves from tick to tick."""

    motion: SampleMotion
    time_step: float
    """[s]"""

    def between(self, points: Floats, start: Ints | int, end: Ints | int) -> Floats:
        """Where things that are at `points` at one tick are at another; see `SampleMotion.carried`."""
        return self.motion.carried(points, self.time_step * np.asarray(start), self.time_step * np.asarray(end))


def motion_of(table: DriftMotion | RotationMotion | FieldMotion | None) -> SampleMotion | None:
    """Motion of a scenario's `[density.motion]`; None for a density that stands still.

    Raises
    ------
    DensityError
        If the file of a velocity field cannot be used.
    """
    if table is None:
        return None
    if table.kind == "drift":
        return Drift(table.velocity_m_s)
    if table.kind == "rotation":
        return Rotation(table.centre_m, float(np.deg2rad(table.rate_deg_s)))
    velocity = _read_velocities(table.file)
    return VelocityField(velocity, table.origin_m, table.cell_size_m, table.interval_s)


def motion_from_mapping(content: Mapping[str, Any]) -> SampleMotion:
    """Motion from what `SampleMotion.as_mapping` gave."""
    if content["kind"] == "drift":
        return Drift(_pair(content["velocity_m_s"]))
    if content["kind"] == "rotation":
        return Rotation(_pair(content["centre_m"]), float(content["rate_rad_s"]))
    velocity = np.array(content["velocity_m_s"], dtype=np.float64)
    return VelocityField(velocity, _pair(content["origin_m"]), content["cell_size_m"], content["interval_s"])


def _read_velocities(file: Path) -> Floats:
    """Velocities in a NumPy file, shape (times, rows, columns, 2)."""
    try:
        stored = np.load(file, allow_pickle=False, mmap_mode="r")
    except OSError as error:
        raise DensityError(f"{file}: cannot be read ({error.strerror or 'no .npy file'})") from None
    except (ValueError, EOFError):
        raise DensityError(f"{file}: is not a NumPy .npy file; write it with numpy.save") from None
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "if":
        raise DensityError(f"{file}: must be one array of real numbers, as numpy.save writes it")
    if stored.ndim not in (3, 4) or stored.shape[-1] != 2 or 0 in stored.shape:
        raise DensityError(
            f"{file}: has shape {stored.shape}; velocities need (rows, columns, 2), or (times, rows, columns, 2)"
        )
    if stored.size // 2 > MOST_VELOCITIES:
        raise DensityError(f"{file}: has {stored.size // 2:,} velocities, at most {MOST_VELOCITIES:,} are read")
    velocity = np.array(stored, dtype=np.float64)
    if not np.isfinite(velocity).all():
        raise DensityError(f"{file}: holds a velocity that is not finite")
    return velocity if velocity.ndim == 4 else velocity[None]


def _between(at: Floats, n: int) -> tuple[tuple[NDArray[Any], Floats], tuple[NDArray[Any], Floats]]:
    """The two neighbours of each place along one axis of n values, and their weights."""
    at = np.clip(at, 0.0, n - 1.0)
    low = np.minimum(at.astype(np.intp), max(0, n - 2))
    share = at - low
    return (low, 1.0 - share), (np.minimum(low + 1, n - 1), share)


def _columns(times: Floats | float) -> Floats:
    return np.asarray(times, dtype=np.float64)[..., None]


def _pair(values: Any) -> tuple[float, float]:
    return float(values[0]), float(values[1])
