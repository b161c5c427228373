"""What is known before take-off as plain bytes, for the process of a drone, wherever that runs.

Numbers, text, lists, maps and arrays, and objects of the classes that are listed here, by name: nothing else can be
made of such bytes, and nothing in them is run.
"""

from __future__ import annotations

import base64
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from d2oc.agent import AgentSetup
from d2oc.control.cells_pilot import CellsBrief
from d2oc.control.closed_form import Blocks, TrackingProblem
from d2oc.control.d2oc import Law
from d2oc.control.feed_forward import FeedForward
from d2oc.control.fence import Fence
from d2oc.control.limited_tracking import Bounds, Track
from d2oc.control.limits_inside import Braking, Rules, braking_of
from d2oc.control.limits_pilot import LimitsBrief
from d2oc.control.mission_law import Dues, Standing
from d2oc.control.mission_pilot import MissionBrief
from d2oc.control.mission_plan import Effort, Flyer
from d2oc.control.mission_plan import Plan as MissionPlan
from d2oc.control.published_pilot import PublishedBrief
from d2oc.control.ways import Ways
from d2oc.density.moving import Drift, Moves, Rotation, VelocityField
from d2oc.memory import packed, unpacked
from d2oc.spray.division import Leg
from d2oc.spray.passes import Lattice, Passes, Segment
from d2oc.spray.plan import Plan as SprayPlan
from d2oc.vehicles.linear import Limits, LinearModel
from d2oc.vehicles.motion import Motion
from d2oc_hardware.flight_controller import FlightError

VERSION = 1
"""Of this form; another one is refused."""
KNOWN: dict[str, Any] = {
    "agent": AgentSetup, "law": Law, "published": PublishedBrief, "ahead": FeedForward, "cells": CellsBrief,
    "mission": MissionBrief, "standing": Standing, "dues": Dues, "plan": MissionPlan, "track": Track, "effort": Effort,
    "fence": Fence, "flyer": Flyer, "problem": TrackingProblem, "blocks": Blocks, "bounds": Bounds, "motion": Motion,
    "moves": Moves, "drift": Drift, "rotation": Rotation, "velocities": VelocityField, "limits": LimitsBrief,
    "rules": Rules, "model": LinearModel, "model limits": Limits, "spray plan": SprayPlan, "passes": Passes,
    "lattice": Lattice, "leg": Leg, "segment": Segment,
}  # fmt: skip
"""Classes by the names that they have in these bytes."""
MADE: dict[str, Any] = {"braking": braking_of, "ways": Ways}
"""What is made anew of what it was made of, since it holds solvers, or much that follows from little."""
MAKERS: dict[Any, str] = {Braking: "braking", Ways: "ways"}
NAMES = {known: name for name, known in KNOWN.items()}


def as_text(known: Any) -> str:
    """What is known before take-off, for the order with which the process of a drone begins.

    Raises
    ------
    TypeError
        If something in it is none of the classes of `KNOWN`.
    """
    return base64.b64encode(packed([VERSION, _plain(known)])).decode()


def from_text(text: str) -> Any:
    """What `as_text` gave, None for nothing.

    Raises
    ------
    FlightError
        If it is of another version of this program, or no such text.
    """
    if not text:
        return None
    try:
        version, known = unpacked(base64.b64decode(text, validate=True))
        if version == VERSION:
            return _object(known)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise FlightError(f"what the ground station says of the mission cannot be read ({error})") from None
    raise FlightError(f"the ground station speaks version {version} and this program version {VERSION}: install one")


def _plain(value: Any) -> Any:
    """Numbers and text stay; the rest becomes a list that begins with what it is."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, np.ndarray):
        turned = value.flags.f_contiguous and not value.flags.c_contiguous
        return ["turned", value.T] if turned else ["array", value]
    maker = MAKERS.get(type(value))
    if maker is not None:
        return [maker, *map(_plain, value.origin)]
    name = NAMES.get(type(value))
    if name is not None:
        return [name, *(_plain(getattr(value, field)) for field in _fields(type(value)))]
    if type(value) in (list, tuple):
        return [type(value).__name__, *map(_plain, value)]
    if type(value) is dict:
        return ["dict", *([_plain(key), _plain(item)] for key, item in value.items())]
    raise TypeError(f"{type(value).__name__} is not known as plain data")


def _object(plain: Any) -> Any:
    if not isinstance(plain, list):
        return plain
    what, *rest = plain
    if what in ("array", "turned"):
        array = rest[0].copy()  # to be written on, and of the layout that it had
        return array.T if what == "turned" else array
    if what == "dict":
        return {_object(key): _object(item) for key, item in rest}
    values = [_object(item) for item in rest]
    if what == "list":
        return values
    if what == "tuple":
        return tuple(values)
    if what in MADE:
        return MADE[what](*values)
    return KNOWN[what](**dict(zip(_fields(KNOWN[what]), values, strict=True)))


def _fields(known: Any) -> tuple[str, ...]:
    if is_dataclass(known):
        return tuple(field.name for field in fields(known) if field.init)
    return tuple(known._fields)
