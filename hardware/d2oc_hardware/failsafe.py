"""What the guard does about what goes wrong: one table, from which the page for operators is checked.

A row is a cause and an answer. The answer to a situation is the gravest of all rows that hold; spray is off in every
row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Answer(IntEnum):
    """What the guard lets happen, graver ones higher."""

    FLY = 0
    """The command passes, made safer where it must be."""
    BRAKE = 1
    """Zero velocity."""
    HOLD = 2
    """Zero velocity until a fresh command comes."""
    RETURN = 3
    """Home and land; only the operator can undo it."""
    RETURN_BY_AUTOPILOT = 4
    """The same, flown by the autopilot, as this program cannot see or must not fly."""
    LAND = 5
    """Land here; nothing undoes it."""
    SILENT = 6
    """A person flies: nothing is sent, until the operator engages again."""


@dataclass(frozen=True)
class Watch:
    """When the table's rows hold; times in seconds, shares from 0 to 1."""

    setpoint_brake: float = 0.5
    """A wish older than this is not flown. [s]"""
    setpoint_hold: float = 2.0
    """[s]"""
    setpoint_return: float = 10.0
    """[s]"""
    telemetry_brake: float = 0.7
    """A position older than this is not flown by. [s]"""
    telemetry_return: float = 3.0
    """[s]"""
    operator_return: float = 10.0
    """The ground station was not heard for so long. [s]"""
    battery_land: float = 0.10
    """Charge at which it lands where it is."""
    battery_spare: float = 0.10
    """Charge kept beyond what the way home takes."""
    endurance: float = 900.0
    """Time that a full battery lasts in hover with a full tank. [s]"""
    home_speed: float = 4.0
    """Speed of the way home. [m/s]"""
    descent_speed: float = 0.5
    """Speed of the landing. [m/s]"""
    tank_empty: float = 0.0
    """Liquid at which it goes home; negative: never. [L]"""
    wind: float = 8.0
    """Mean wind at which it goes home. [m/s]"""


class Situation(NamedTuple):
    """What the guard knows of a vehicle beside its motion."""

    ours: bool
    """The vehicle is in the mode in which it obeys this program."""
    position_known: bool
    """The autopilot trusts its own position."""
    inside: bool
    """It is inside the fence and outside every zone."""
    telemetry_age: float
    """[s]"""
    setpoint_age: float
    """[s]"""
    operator_age: float
    """[s]"""
    battery: float | None
    """Charge left, 0 to 1; None where it does not say."""
    tank: float | None
    """[L]"""
    home_distance: float
    """[m]"""
    height: float
    """Above home. [m]"""
    wind: float | None
    """[m/s]"""


class Row(NamedTuple):
    """A line of the table."""

    cause: str
    answer: Answer


PILOT = Row("a pilot has changed the mode", Answer.SILENT)
LOST_POSITION = Row("the autopilot has lost its position", Answer.LAND)
BATTERY_CRITICAL = Row("the battery is nearly empty", Answer.LAND)
TELEMETRY_OLD = Row("no fresh telemetry", Answer.BRAKE)
TELEMETRY_LOST = Row("no telemetry for long", Answer.RETURN_BY_AUTOPILOT)
OUTSIDE = Row("outside the fence or inside a zone", Answer.RETURN_BY_AUTOPILOT)
BATTERY_LOW = Row("the battery is needed for the way home", Answer.RETURN)
TANK_EMPTY = Row("the tank is empty", Answer.RETURN)
WIND = Row("too much wind", Answer.RETURN)
OPERATOR_LOST = Row("the ground station is not heard", Answer.RETURN)
SETPOINT_OLD = Row("no fresh command", Answer.BRAKE)
SETPOINT_LATE = Row("no command for a while", Answer.HOLD)
SETPOINT_LOST = Row("no command for long", Answer.RETURN)

TABLE = (
    PILOT, LOST_POSITION, BATTERY_CRITICAL, TELEMETRY_LOST, OUTSIDE, BATTERY_LOW, TANK_EMPTY, WIND, OPERATOR_LOST,
    SETPOINT_LOST, SETPOINT_LATE, TELEMETRY_OLD, SETPOINT_OLD,
)  # fmt: skip
"""All rows, the gravest first."""


def battery_needed(situation: Situation, watch: Watch) -> float:
    """Charge that the way home takes, with what is to be left at its end, 0 to 1."""
    time = situation.home_distance / watch.home_speed + max(0.0, situation.height) / watch.descent_speed
    return battery_for(time, watch)


def battery_for(time: float, watch: Watch) -> float:
    """Charge that flying for a time [s] takes, with what is to be left at its end, 0 to 1."""
    return watch.battery_land + watch.battery_spare + time / watch.endurance


def rows_that_hold(situation: Situation, watch: Watch) -> list[Row]:
    """The rows of the table that hold, in its order. What is not a number counts as bad."""
    battery = situation.battery
    holds = {
        PILOT: not situation.ours,
        LOST_POSITION: not situation.position_known,
        BATTERY_CRITICAL: battery is not None and not battery > watch.battery_land,
        TELEMETRY_LOST: not situation.telemetry_age <= watch.telemetry_return,
        OUTSIDE: not situation.inside,
        BATTERY_LOW: battery is not None and not battery > battery_needed(situation, watch),
        TANK_EMPTY: situation.tank is not None and not situation.tank > watch.tank_empty,
        WIND: situation.wind is not None and not situation.wind <= watch.wind,
        OPERATOR_LOST: not situation.operator_age <= watch.operator_return,
        SETPOINT_LOST: not situation.setpoint_age <= watch.setpoint_return,
        SETPOINT_LATE: not situation.setpoint_age <= watch.setpoint_hold,
        TELEMETRY_OLD: not situation.telemetry_age <= watch.telemetry_brake,
        SETPOINT_OLD: not situation.setpoint_age <= watch.setpoint_brake,
    }
    return [row for row in TABLE if holds[row]]


def is_number(*values: float) -> bool:
    """Whether all values are finite numbers."""
    return all(map(math.isfinite, values))
