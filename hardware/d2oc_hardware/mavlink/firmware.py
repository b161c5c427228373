"""What ArduCopter and PX4 say differently in the same MAVLink: modes, parameters, the pump, rates of telemetry.

Both were flown as the real firmware, see docs/flying.md.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from d2oc_hardware.flight_controller import Mode
from d2oc_hardware.mavlink.codec import Message, dialect
from d2oc_hardware.mavlink.link import AUTOPILOT

ARDUPILOT, PX4 = 3, 12
"""MAV_AUTOPILOT, as heartbeats say it."""
PUMP_ON = 2000
"""Pulse width of the pump's output at its full rate. [us]"""
CUSTOM_MODE = 1.0
"""Base mode of a command that sets a mode: it is one of the firmware's own."""
EITHER = {33: 10.0, 1: 2.0, 24: 2.0, 36: 10.0, 147: 1.0, 245: 4.0, 242: 1.0}
"""Messages asked for, by number: place, state, satellites, outputs, battery, on the ground, home. [1/s]"""
ONBOARD_CONTROLLER, GROUND_STATION = 18, 6
PUMP_AXIS = 1 << 2
"""Bit of MANUAL_CONTROL that says: field aux1 is meant."""


class Firmware(Protocol):
    """The words of one autopilot."""

    name: str
    heartbeat_type: int
    """What we say we are, so that it notices when we are gone (MAV_TYPE)."""
    rates: Mapping[int, float]
    """Messages asked for, by number. [1/s]"""
    climbs_by_setpoint: bool
    """It is taken off, and kept where it is before the first setpoint, by setpoints."""
    mission_begins_at_home: bool
    """The first item of a mission is home."""
    judges_any_mode: bool
    """It says whether it would arm in whatever mode it is, not only in the one in which it would be flown."""
    pump_off: int
    """Pulse width at which the pump stands still. [us]"""

    def mode_of(self, custom_mode: int) -> Mode:
        """Mode of a heartbeat."""

    def mode_words(self, mode: Mode) -> tuple[float, ...]:
        """First parameters of the command that sets a mode (DO_SET_MODE)."""

    def value(self, parameter: Message) -> float:
        """Value in a message PARAM_VALUE."""

    def pump(self, system: int, width: int) -> Message:
        """What lets the pump run, and lets it stop by itself when it is not renewed; pulse `width` [us]."""


class ArduCopter:
    """ArduCopter: GUIDED, and the sprayer by an RC override of channel 9 that dies out."""

    name = "ArduPilot"
    heartbeat_type = ONBOARD_CONTROLLER
    rates: Mapping[int, float] = MappingProxyType({**EITHER, 193: 2.0, 168: 1.0})
    climbs_by_setpoint = False
    mission_begins_at_home = True
    judges_any_mode = True
    pump_off = 1000
    _MODES: Mapping[int, Mode] = MappingProxyType(
        {4: Mode.OURS, 5: Mode.HOLD, 17: Mode.HOLD, 3: Mode.MISSION, 6: Mode.RETURN, 9: Mode.LAND}
    )
    _NUMBERS: Mapping[Mode, int] = MappingProxyType({Mode.OURS: 4, Mode.HOLD: 17, Mode.RETURN: 6, Mode.LAND: 9})
    """GUIDED, BRAKE (LOITER would heed the transmitter, and sink where its throttle stick is down), RTL, LAND."""

    def mode_of(self, custom_mode: int) -> Mode:
        """All but a few are flown by a person."""
        return self._MODES.get(custom_mode, Mode.PILOT)

    def mode_words(self, mode: Mode) -> tuple[float, ...]:
        """Base mode and number."""
        return CUSTOM_MODE, float(self._NUMBERS[mode])

    def value(self, parameter: Message) -> float:
        """A float, whatever the type."""
        return float(parameter.param_value)

    def pump(self, system: int, width: int) -> Message:
        """RC_CHANNELS_OVERRIDE of channel 9."""
        ignored = [65535] * 8
        return dialect.MAVLink_rc_channels_override_message(system, AUTOPILOT, *ignored, width)


class Px4:
    """PX4: OFFBOARD, and the pump on output 5 as "RC AUX 1", told by MANUAL_CONTROL.

    An output set by DO_SET_ACTUATOR keeps its value for ever; one that repeats a stick falls back to its disarmed value
    COM_RC_LOSS_T after the last message (src/lib/mixer_module/functions/FunctionManualRC.hpp of PX4). But anybody else
    who sends sticks, a transmitter too, has that axis in its middle: there the pump must stand still already.
    """

    name = "PX4"
    heartbeat_type = GROUND_STATION  # the only one whose loss PX4 acts on (NAV_DLL_ACT)
    rates: Mapping[int, float] = MappingProxyType({**EITHER, 230: 2.0, 231: 1.0})
    climbs_by_setpoint = True
    mission_begins_at_home = False
    judges_any_mode = False  # it wants sticks in a person's mode, setpoints in ours, and never arms in most others
    pump_off = 1500
    _WORDS: Mapping[Mode, tuple[int, int]] = MappingProxyType(
        {Mode.OURS: (6, 0), Mode.HOLD: (4, 3), Mode.MISSION: (4, 4), Mode.RETURN: (4, 5), Mode.LAND: (4, 6)}
    )
    """Main and sub mode: OFFBOARD, AUTO.LOITER, AUTO.MISSION, AUTO.RTL, AUTO.LAND."""

    def mode_of(self, custom_mode: int) -> Mode:
        """Main mode in the third byte, sub mode in the fourth."""
        words = custom_mode >> 16 & 0xFF, custom_mode >> 24 & 0xFF
        return next((mode for mode, known in self._WORDS.items() if known == words), Mode.PILOT)

    def mode_words(self, mode: Mode) -> tuple[float, ...]:
        """Base mode, main and sub mode."""
        return CUSTOM_MODE, *map(float, self._WORDS[mode])

    def value(self, parameter: Message) -> float:
        """Whole numbers travel as the bits of a float."""
        if parameter.param_type == dialect.MAV_PARAM_TYPE_REAL32:
            return float(parameter.param_value)
        return float(struct.unpack("<i", struct.pack("<f", parameter.param_value))[0])

    def pump(self, system: int, width: int) -> Message:
        """Sticks in their middle, and the pump on the first auxiliary axis."""
        axis = round(1000.0 * (width - self.pump_off) / (PUMP_ON - self.pump_off))
        return dialect.MAVLink_manual_control_message(system, 0, 0, 500, 0, 0, enabled_extensions=PUMP_AXIS, aux1=axis)


FIRMWARES: Mapping[int, Firmware] = MappingProxyType({ARDUPILOT: ArduCopter(), PX4: Px4()})
"""By MAV_AUTOPILOT."""
