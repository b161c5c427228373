"""Routes of a record: who flew where, in legs with the spray on or off, as few waypoints as a tolerance allows."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Floats
from d2oc.errors import ExportError
from d2oc.geo.write import simplified
from d2oc.phases import Phase
from d2oc.record import Record

__all__ = ["Leg", "Sortie", "routes_of", "scenario_of"]

SHORTEST_LEG_M = 0.05
"""Legs that are shorter are hovering."""


@dataclass(frozen=True, eq=False)
class Leg:
    """A part of a sortie.

    Attributes
    ----------
    points : ndarray, shape (n, 2)
        Waypoints, the first being the last of the leg before, local. [m]
    spray : bool
        Whether the spray is on.
    speed_m_s : float
        Mean speed flown.
    """

    points: Floats
    spray: bool
    speed_m_s: float


@dataclass(frozen=True, eq=False)
class Sortie:
    """From one take-off to the next landing.

    Attributes
    ----------
    agent, number : int
        Who, counted from 0, and which of its sorties, counted from 1.
    legs : tuple of Leg
    height_m : float
        Above the ground at the take-off.
    flown : ndarray, shape (n, 2)
        Every place of it, local. [m]
    """

    agent: int
    number: int
    legs: tuple[Leg, ...]
    height_m: float
    flown: Floats

    @property
    def home(self) -> Floats:
        """Where it takes off, shape (2,), local. [m]"""
        return self.flown[0]


def routes_of(record: Record, tolerance_m: float) -> list[Sortie]:
    """All sorties that spray anywhere, drone by drone.

    In a record of a spraying mission the spray is on where liquid flowed during the phase `mission`, and a sortie ends
    where the drone stands. In any other it is on where something was consumed, and each drone flies one sortie.

    Raises
    ------
    ExportError
        If nobody flew.
    """
    flown = record.trajectory
    sorties = []
    for agent in range(record.header.n_agents):
        rows = np.flatnonzero(flown["agent"] == agent)
        rows = rows[np.argsort(flown["tick"][rows], kind="stable")]
        own = {name: flown[name][rows] for name in flown}
        numbered = itertools.count(1)
        for first, last in _spans(own):
            legs = tuple(_legs(own, first, last, record.header.time_step_s, tolerance_m))
            if any(leg.spray for leg in legs):
                places = np.column_stack([own["x_m"], own["y_m"]])[first : last + 1]
                sorties.append(Sortie(agent, next(numbered), legs, _height(record, own, first, last), places))
    if not sorties:
        raise ExportError(
            f"{record.path or record.header.name}: nobody treated anything, so there is no route to write"
        )
    return sorties


def scenario_of(record: Record) -> dict[str, Any]:
    """The scenario as run, as plain data."""
    try:
        return tomllib.loads(record.scenario_toml)
    except tomllib.TOMLDecodeError:
        return {}


def _spans(own: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """First and last tick of each sortie."""
    if "phase" not in own:
        steps = np.flatnonzero(own["active"])
        if len(steps):
            yield max(0, int(steps[0]) - 1), int(steps[-1])
        return
    standing = np.isin(own["phase"], (Phase.GROUND, Phase.SERVICE, Phase.LOST)) | np.isnan(own["phase"])
    ends = np.flatnonzero(np.diff(np.concatenate([[True], standing, [True]]).astype(np.int8)))
    for first, end in zip(ends[0::2], ends[1::2], strict=True):
        yield max(0, int(first) - 1), int(end) - 1


def _legs(own: dict[str, Any], first: int, last: int, step_s: float, tolerance_m: float) -> Iterator[Leg]:
    places = np.column_stack([own["x_m"], own["y_m"]])
    spray = _spraying(own)
    changes = np.flatnonzero(np.diff(spray[first + 1 : last + 1])) + first + 1
    for start, end in itertools.pairwise([first, *changes.tolist(), last]):
        if end <= start:
            continue
        way = places[start : end + 1]
        length = float(np.hypot(*np.diff(way, axis=0).T).sum())
        if length < SHORTEST_LEG_M:
            continue
        yield Leg(simplified(way, tolerance_m), bool(spray[start + 1]), length / ((end - start) * step_s))


def _spraying(own: dict[str, Any]) -> NDArray[np.bool_]:
    """Whether the spray was on over the step that ends at each tick; never but in the phase `mission`."""
    if "phase" in own and "spray_l_min" in own:
        return np.asarray((own["spray_l_min"] > 0) & (own["phase"] == Phase.MISSION))
    return np.asarray(own["consumed"] > 0)


def _height(record: Record, own: dict[str, Any], first: int, last: int) -> float:
    if "height_m" in own:
        height = float(np.nanmax(own["height_m"][first : last + 1]))
        if height > 0:
            return height
    return float(scenario_of(record).get("world", {}).get("height_m", 3.0))
