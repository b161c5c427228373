"""What ArduCopter and PX4 say differently in the same protocol."""

from __future__ import annotations

import pytest

from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import Mode
from d2oc_hardware.frames import FieldDatum, Geodetic
from d2oc_hardware.mavlink.codec import Codec, dialect
from d2oc_hardware.mavlink.controller import PREARM, MavlinkController
from d2oc_hardware.mavlink.firmware import ARDUPILOT, FIRMWARES, PUMP_ON, PX4

ARDUCOPTER_MODES = {4: Mode.OURS, 17: Mode.HOLD, 6: Mode.RETURN, 9: Mode.LAND, 0: Mode.PILOT, 5: Mode.HOLD}
PX4_MODES = {
    6 << 16: Mode.OURS, 4 << 16 | 3 << 24: Mode.HOLD, 4 << 16 | 5 << 24: Mode.RETURN, 4 << 16 | 6 << 24: Mode.LAND,
    4 << 16 | 4 << 24: Mode.MISSION, 1 << 16: Mode.PILOT, 3 << 16: Mode.PILOT, 3 << 16 | 1 << 24: Mode.PILOT,
    0: Mode.PILOT,
}  # fmt: skip


def over_the_air(message):
    (heard,) = Codec(255, 191).parse(Codec(1, 1).pack(message))
    return heard


@pytest.mark.parametrize(("autopilot", "modes"), [(ARDUPILOT, ARDUCOPTER_MODES), (PX4, PX4_MODES)])
def test_modes_are_told_in_the_words_of_an_operator(autopilot, modes):
    assert {number: FIRMWARES[autopilot].mode_of(number) for number in modes} == modes


@pytest.mark.parametrize("mode", [Mode.OURS, Mode.HOLD, Mode.RETURN, Mode.LAND])
def test_a_mode_that_is_set_is_the_one_that_is_heard(mode):
    base, number = FIRMWARES[ARDUPILOT].mode_words(mode)
    assert base == 1.0
    assert FIRMWARES[ARDUPILOT].mode_of(int(number)) == mode
    base, main, sub = FIRMWARES[PX4].mode_words(mode)
    assert base == 1.0
    assert FIRMWARES[PX4].mode_of(int(main) << 16 | int(sub) << 24) == mode


def test_whole_numbers_of_px4_are_the_bits_of_a_float():
    raw = 7.006492321624085e-45  # the float whose bits are 5
    whole = dialect.MAVLink_param_value_message(b"COM_OBL_RC_ACT", raw, dialect.MAV_PARAM_TYPE_INT32, 1, 0)
    real = dialect.MAVLink_param_value_message(b"COM_OF_LOSS_T", 0.5, dialect.MAV_PARAM_TYPE_REAL32, 1, 0)
    assert FIRMWARES[PX4].value(over_the_air(whole)) == 5.0
    assert FIRMWARES[PX4].value(over_the_air(real)) == 0.5
    assert FIRMWARES[ARDUPILOT].value(over_the_air(real)) == 0.5


def test_the_pump_of_px4_stands_still_where_the_sticks_of_others_are():
    px4 = FIRMWARES[PX4]
    off, half, on = (
        over_the_air(px4.pump(7, round(px4.pump_off + share * (PUMP_ON - px4.pump_off)))) for share in (0.0, 0.5, 1.0)
    )
    assert [m.aux1 for m in (off, half, on)] == [0, 500, 1000]
    assert all(m.enabled_extensions == 4 and (m.x, m.y, m.z, m.r) == (0, 0, 500, 0) for m in (off, half, on))
    width = {axis: 1000 + 0.5 * (axis / 1000 + 1) * 1000 for axis in (0, 500, 1000)}  # PWM_MAIN_MIN5, MAX5
    assert [(width[m.aux1] - px4.pump_off) / (PUMP_ON - px4.pump_off) for m in (off, half, on)] == [0.0, 0.5, 1.0]


def test_the_pump_of_arducopter_is_an_override_of_channel_9_alone():
    copter = FIRMWARES[ARDUPILOT]
    heard = over_the_air(copter.pump(7, PUMP_ON))
    assert heard.chan9_raw == 2000
    assert {getattr(heard, f"chan{n}_raw") for n in range(1, 9)} == {65535}


class Line:
    """A link whose other end is this test."""

    def subscribe(self, system, take):
        self.take = take

    def send(self, system, message):
        """Nobody listens."""


@pytest.mark.parametrize(("autopilot", "says_no"), [(ARDUPILOT, False), (PX4, None)])
def test_px4_says_only_once_it_is_engaged_that_it_would_not_arm(autopilot, says_no):
    line = Line()
    controller = MavlinkController(line, 1, FieldDatum(Geodetic(47.4, 8.5, 488.0)), Clock())
    line.take(over_the_air(dialect.MAVLink_heartbeat_message(2, autopilot, 0, 0, 3, 3)))
    told = []
    for well in (0, PREARM):
        line.take(over_the_air(dialect.MAVLink_sys_status_message(well, well, well, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
        told.append(controller.telemetry.health.armable)
    assert told == [says_no, True]
