"""What is read before a drone may arm, and what each answer means."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from d2oc_hardware.fleet import simulated_fleet
from d2oc_hardware.flight_controller import Health, Telemetry
from d2oc_hardware.frames import Place
from d2oc_hardware.preflight import check_drone, computer_clock, reach_of, wanted_parameters

BOUNDARY = [(0.0, 0.0), (100.0, 0.0), (100.0, 80.0), (0.0, 80.0)]
FLEET = simulated_fleet([(50.0, 5.0)], [14550], 6.0, BOUNDARY)
FENCE = FLEET.fence(BOUNDARY, [])
WELL = Telemetry(
    position=Place(50.0, 5.0, 0.0), health=Health(True, 14, armable=True, compass=True), battery=1.0, version=(4, 7, 2),
    clock_offset=0.1,
)  # fmt: skip


class Answers:
    """A controller that says what it is told to."""

    def __init__(self, telemetry=WELL, firmware="ArduPilot", **parameters):
        self.telemetry, self.firmware = telemetry, firmware
        self.keeps_fence = firmware != "Betaflight"
        wanted = wanted_parameters(FLEET, 0, reach_of(FLEET, 0, FENCE), firmware=firmware)
        self.known = {w.name: w.low for w in wanted} | parameters

    async def parameters(self, names):
        return {name: self.known.get(name) for name in names}

    async def read_fence(self):
        return FENCE


def failed(answers, duration=120.0, fleet=FLEET):
    checks = asyncio.run(check_drone(answers, fleet, 0, FENCE, duration=duration))
    return {check.name: check.sentence for check in checks if not check.passed}


def test_a_drone_that_is_well_passes():
    assert failed(Answers()) == {}
    assert failed(Answers(replace(WELL, version=(1, 17, 0)), "PX4")) == {}


def test_a_betaflight_without_fence_and_compass_is_flown_in_the_simulation_only():
    health = replace(WELL.health, compass=False)
    answers = Answers(replace(WELL, version=(4, 6, 0), clock_offset=None, health=health), "Betaflight")
    assert failed(answers) == {}
    assert set(failed(answers, fleet=FLEET.model_copy(update={"rung": "tethered"}))) == {"compass"}
    assert set(failed(answers, fleet=FLEET.model_copy(update={"rung": "single"}))) == {"compass", "fence"}
    answers.known["failsafe_procedure"] = 1.0
    assert set(failed(answers)) == {"failsafe_procedure"}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("firmware", {"version": (4, 6, 9)}),
        ("firmware", {"version": None}),
        ("clock", {"clock_offset": None}),
        ("compass", {"health": replace(WELL.health, compass=False)}),
        ("satellites", {"health": replace(WELL.health, satellites=9)}),
        ("arming", {"health": replace(WELL.health, armable=False)}),
        ("position", {"health": replace(WELL.health, position_known=False)}),
        ("home", {"position": Place(54.0, 5.0, 0.0)}),
        ("on the ground", {"landed": False}),
    ],
)
def test_each_thing_that_is_not_well_is_told_by_its_name(name, change):
    assert set(failed(Answers(replace(WELL, **change)))) == {name}


def test_a_battery_must_last_for_the_mission_and_the_way_home():
    far = reach_of(FLEET, 0, FENCE) / FLEET.watch().home_speed
    home = far + FLEET.drones[0].height_m / FLEET.limits.max_climb_m_s
    has = 900.0 * (1.0 - 0.2)  # endurance, less what is spared and what lands it
    assert failed(Answers(), has - home - 1.0) == {}
    assert set(failed(Answers(), has - home + 1.0)) == {"reserve"}
    assert failed(Answers(), 0.0) == {}  # batteries are changed on the way


def test_a_parameter_that_is_wrong_or_unknown_is_told_with_its_reason():
    told = failed(Answers(GUID_TIMEOUT=3.0, FENCE_ENABLE=None))
    assert set(told) == {"GUID_TIMEOUT", "FENCE_ENABLE"}
    assert told["GUID_TIMEOUT"] == "3, 0.1 to 1 needed: or it flies on for long after the last setpoint"
    assert told["FENCE_ENABLE"].startswith("unknown to the vehicle, 1 needed")


def test_px4_would_not_arm_before_it_is_engaged_and_a_simulated_one_has_no_widths():
    sitting = replace(WELL, version=(1, 17, 0), health=replace(WELL.health, armable=None))
    assert failed(Answers(sitting, "PX4", PWM_MAIN_MIN5=None, PWM_MAIN_MAX5=None)) == {}
    assert set(failed(Answers(sitting, "PX4", PWM_MAIN_MIN5=1100.0))) == {"PWM_MAIN_MIN5"}


def test_the_clock_of_a_computer_is_judged_by_what_was_heard_soonest():
    assert computer_clock([0.6, 0.05, 0.3]) == (
        "computer's clock", True, "0.05 s behind the ground station's, at most 0.1 s wanted (NTP)"
    )  # fmt: skip
    assert computer_clock([-0.2, 0.3]) == (
        "computer's clock", False, "0.20 s ahead of the ground station's, at most 0.1 s wanted (NTP)"
    )  # fmt: skip
    assert not computer_clock([0.2, 0.3]).passed
