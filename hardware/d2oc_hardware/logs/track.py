"""From the logs of a flight to where its team was at every tick of a mission, and what was treated there.

Between two places of a log a vehicle flew straight on. Where the log is silent for longer than `GAP_S` in the air,
nobody knows: the way is drawn straight as well, but marked (`seen` is 0, phase "lost"), and nothing counts as treated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.as_flown import Track
from d2oc.field import Field
from d2oc.phases import Phase
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.logs.vehicle_log import Floats, VehicleLog, held

GAP_S = 2.0
"""A log that is silent for longer than this has a gap; a pump that was last heard to run then counts as standing."""
MOST_UNSEEN = 0.5
"""Of its time in the air, from which on a vehicle's way is not known well enough to be recorded."""
OFF_GROUND_M = 0.5
"""A vehicle that is armed and this much higher than where it was first is in the air."""
AT_HEIGHT = 0.9
"""Share of its usual height above which it is neither taking off nor landing."""
MOST_OF_A_STEP = 0.5
"""A step counts as treated when the pump ran for this share of it, where nothing is sprayed."""
HOP_M = 40.0
"""A way without treatment that is longer than this is transit, a shorter one a turn."""
MOST_STEPS = 1_000_000
"""Of one mission."""

Flags = NDArray[np.bool_]
Locate = Callable[[VehicleLog], Floats]
"""Places of a log in the local frame, with heights above ground: shape (n, 3). [m]"""


@dataclass(frozen=True, eq=False)
class _Way:
    """One vehicle, at the moments at which its log tells of it."""

    log: VehicleLog
    time: Floats
    place: Floats
    """Shape (n, 3). [m]"""
    up: Flags
    """Whether it was in the air."""

    @property
    def flown(self) -> tuple[float, float]:
        """First and last moment in the air. [s]"""
        moments = self.time[self.up]
        return float(moments[0]), float(moments[-1])


def track_of(
    logs: Sequence[VehicleLog],
    locate: Locate,
    field: Field,
    time_step: float,
    *,
    sprays: bool,
    pump_output: int | None = None,
    begin: float | None = None,
) -> tuple[Track, float]:
    """Where a team was.

    Parameters
    ----------
    logs : sequence of VehicleLog
        One a vehicle, in the order of the agents.
    locate : callable
        Gives the places of a log in the local frame of the field.
    field : Field
        What they were to treat.
    time_step : float
        Of the mission. [s]
    sprays : bool
        Whether liquid is sprayed; then a pump must run somewhere.
    pump_output : int, optional
        Output that drives the pump; default: what the log says of it.
    begin : float, optional
        Moment of the logs that is tick 0 [s]; default: a step before the first take-off.

    Returns
    -------
    track : Track
    began : float
        Moment of the logs that is tick 0. [s]

    Raises
    ------
    FlightError
        If nobody flew, all were far from the field, did not fly together, or too little is known.
    """
    ways = [_way(log, locate(log)) for log in logs]
    _require_flown(ways)
    _require_near(ways, field)
    first, last = min(way.flown[0] for way in ways), max(way.flown[1] for way in ways)
    began = first - time_step if begin is None else begin
    n_steps = math.ceil((last - began) / time_step) + 1
    if n_steps < 1:
        raise FlightError(
            f"it begins {began:g} s after the first word of the logs, but everybody was down at {last:.1f} s"
        )
    if n_steps > MOST_STEPS:
        raise FlightError(
            f"{last - began:.0f} s of flight are {n_steps:,} steps of {time_step:g} s, more than {MOST_STEPS:,}"
        )
    times: Floats = began + time_step * np.arange(n_steps + 1, dtype=np.float64)
    return _resampled(ways, times, field, sprays, pump_output), began


def _way(log: VehicleLog, place: Floats) -> _Way:
    time = log.places[:, 0]
    up = log.is_armed(time) & (place[:, 2] > place[0, 2] + OFF_GROUND_M)
    return _Way(log, time, place, up)


def _require_flown(ways: Sequence[_Way]) -> None:
    for way in ways:
        if not way.up.any():
            raise FlightError(f"{way.log.source}: vehicle {way.log.system} never left the ground")
    spans = sorted((*way.flown, i) for i, way in enumerate(ways))
    end = spans[0][1]
    for begin, until, i in spans[1:]:
        if begin > end:
            raise FlightError(
                f"{ways[i].log.source}: vehicle {ways[i].log.system} took off {begin - end:.0f} s after all others had "
                "landed, so these logs are not of one flight"
            )
        end = max(end, until)


def _require_near(ways: Sequence[_Way], field: Field) -> None:
    places = np.concatenate([way.place[way.up, :2] for way in ways])
    if field.contains(places).any():
        return
    x_min, y_min, x_max, y_max = field.bounds
    beside = np.maximum(np.array([x_min, y_min]) - places, places - np.array([x_max, y_max]))
    nearest = float(np.linalg.norm(np.maximum(beside, 0.0), axis=1).min())
    far = f"{nearest / 1000:.1f} km" if nearest >= 1000.0 else f"{nearest:.0f} m"
    raise FlightError(
        f"nobody was over the field; the nearest that anyone came to it is {far}: does the field stand there?"
    )


@dataclass(frozen=True, eq=False)
class _Steps:
    """One vehicle at every tick, and in the steps that end there; arrays of shape (K + 1,)."""

    place: Floats
    """Shape (K + 1, 3). [m]"""
    velocity: Floats
    """Shape (K + 1, 2). [m/s]"""
    climbed: Floats
    """Above where it was first. [m]"""
    up: Flags
    """Whether it was in the air."""
    seen: Flags
    """Whether the log tells where it was."""
    pump: Floats
    """Mean share of its largest flow."""
    ran: Floats
    """Share of the step for which the pump ran."""
    charge: Floats
    """Of the battery, 0 to 1; NaN where it is not told."""


def _steps(way: _Way, times: Floats, pump_output: int | None) -> _Steps:
    log = way.log
    place = np.column_stack([np.interp(times, way.time, way.place[:, axis]) for axis in range(3)])
    velocity = np.column_stack([np.interp(times, way.time, _velocity(way, axis)) for axis in range(2)])
    up = held(times, way.time, way.up.astype(np.float64), float(way.up[0])) > 0.0
    seen = _seen(way, times)
    _require_seen(way, up, seen)
    told, flying = log.pump(pump_output), up & seen
    return _Steps(
        place=place,
        velocity=velocity,
        climbed=place[:, 2] - way.place[0, 2],
        up=up,
        seen=seen,
        pump=flying * _means(told[:, 0], told[:, 1], times),
        ran=flying * _means(told[:, 0], told[:, 1] > 0.0, times),
        charge=held(times, log.battery[:, 0], log.battery[:, 1], math.nan),
    )


def _resampled(ways: Sequence[_Way], times: Floats, field: Field, sprays: bool, pump_output: int | None) -> Track:
    steps = [_steps(way, times, pump_output) for way in ways]
    treats = _treats(steps, field, sprays)
    hop = HOP_M if sprays else 0.0
    phases = [_phases(own, treating, hop) for own, treating in zip(steps, treats, strict=True)]
    return Track(
        position=np.stack([own.place[:, :2] for own in steps], axis=1),
        velocity=np.stack([own.velocity for own in steps], axis=1),
        phase=np.stack(phases, axis=1),
        treats=np.stack(treats, axis=1),
        pump=np.stack([own.pump for own in steps], axis=1),
        telemetry={
            "height_m": np.stack([own.place[:, 2] for own in steps], axis=1),
            "seen": np.stack([own.seen.astype(np.float64) for own in steps], axis=1),
            "battery_percent": np.stack([100.0 * own.charge for own in steps], axis=1),
        },
    )


def _treats(steps: Sequence[_Steps], field: Field, sprays: bool) -> list[Flags]:
    """Steps in which each vehicle treated: by its pump, or where no pump ever runs, over the field at its height."""
    if any((own.pump > 0.0).any() for own in steps):
        return [(own.pump > 0.0) if sprays else (own.ran >= MOST_OF_A_STEP) for own in steps]
    if sprays:
        raise FlightError(
            "no pump runs in these logs while anybody flies; if it is driven by another output, give --fleet a file "
            "with pump_output"
        )
    return [own.up & own.seen & field.contains(own.place[:, :2]) & _is_high(own.climbed, own.up) for own in steps]


def _velocity(way: _Way, axis: int) -> Floats:
    """As the log tells it, or from the places where it tells of none."""
    told = way.log.places[:, 4 + axis]
    if way.log.places[:, 4:6].any() or len(way.time) < 2:
        return told
    return np.gradient(way.place[:, axis], np.maximum.accumulate(way.time + 1e-9 * np.arange(len(way.time))))


def _seen(way: _Way, times: Floats) -> Flags:
    """Whether the log tells where it was: false in the air where it is silent for long."""
    after = np.searchsorted(way.time, times, side="right")
    before = np.clip(after - 1, 0, len(way.time) - 1)
    after = np.clip(after, 0, len(way.time) - 1)
    silence = np.where(before == after, np.abs(times - way.time[before]), way.time[after] - way.time[before])
    return np.asarray((silence <= GAP_S) | ~(way.up[before] | way.up[after]))


def _require_seen(way: _Way, up: Flags, seen: Flags) -> None:
    unseen = float((~seen).sum()) / max(1, int((up | ~seen).sum()))
    if unseen > MOST_UNSEEN:
        raise FlightError(
            f"{way.log.source}: for {100 * unseen:.0f} % of its time in the air vehicle {way.log.system} does not say "
            "where it was, too much to make a record of"
        )


def _means(moments: Floats, values: NDArray[Any], times: Floats) -> Floats:
    """Mean over the step that ends at each time of what holds until the next word, for at most `GAP_S`."""
    if not len(moments):
        return np.zeros(len(times))
    ends = np.minimum(np.append(moments[1:], np.inf), moments + GAP_S)
    corners = np.column_stack([moments, ends]).ravel()
    areas = np.column_stack([values * (ends - moments), np.zeros(len(moments))]).ravel()
    corner, first = np.unique(corners, return_index=True)
    integral = np.interp(times, corner, np.concatenate([[0.0], np.cumsum(areas)[:-1]])[first])
    return np.concatenate([[0.0], np.diff(integral) / np.diff(times)])


def _is_high(height: Floats, flying: Flags) -> Flags:
    usual = float(np.median(height[flying])) if flying.any() else 0.0
    return np.asarray(height >= AT_HEIGHT * usual)


def _phases(own: _Steps, treats: Flags, hop: float) -> NDArray[np.int32]:
    """What one vehicle was doing in the step that ends at each tick, by when it treated.

    As in the simulation of spraying missions, ways without treatment up to `hop` belong to the mission. [m]
    """
    phase = np.full(len(own.up), int(Phase.GROUND), np.int32)
    flights = _runs(own.up)
    for first, end in flights:
        high = np.flatnonzero(_is_high(own.climbed[first:end], own.up[first:end])) + first
        phase[first:end] = Phase.TRANSIT
        rising, sinking = (int(high[0]), int(high[-1]) + 1) if len(high) else (first, end)
        done = np.flatnonzero(treats[first:end]) + first
        if len(done):
            phase[done] = Phase.MISSION
            phase[done[-1] + 1 : end] = Phase.RETURN
            rising, sinking = min(rising, int(done[0])), max(sinking, int(done[-1]) + 1)
            for here, there in itertools.pairwise([rising - 1, *done.tolist()]):
                steps = np.diff(own.place[max(here, 0) : there + 1, :2], axis=0)
                if np.hypot(*steps.T).sum() <= (HOP_M if here >= rising else hop):
                    phase[here + 1 : there] = Phase.MISSION
        phase[first:rising] = Phase.TAKE_OFF
        phase[sinking:end] = Phase.LANDING
    for (_, down), (rises, _) in itertools.pairwise(flights):
        phase[down:rises] = Phase.SERVICE
    phase[~own.seen] = Phase.LOST
    return phase


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """Begin and end of every run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True))
