"""Presets, tank and battery against their published figures and closed forms."""

import math

import numpy as np
import pytest

from d2oc.airframes.airframe import Airframe, load_preset, preset_names, read_airframe
from d2oc.airframes.battery import hover_time_constant
from d2oc.airframes.payload import BoxTank, planned_liquid
from d2oc.errors import ScenarioError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_can_lift_itself_and_is_a_body(name):
    frame = load_preset(name)
    assert frame.name == name
    full = frame.tank.capacity_l if frame.tank else 0.0
    assert frame.rotors.number * frame.rotors.max_thrust_n > 1.5 * frame.mass_with(full) * 9.81
    if frame.max_mass_kg is not None:
        assert frame.mass_with(full) <= frame.max_mass_kg
    for liquid in (0.0, full):
        x, y, z = frame.inertia_with(liquid)
        assert x + y >= z
        assert x + z >= y
        assert y + z >= x


@pytest.mark.parametrize("name", preset_names())
def test_hover_times_are_the_published_ones_within_ten_percent(name):
    frame = load_preset(name)
    for mass, minutes in frame.battery.hover_min:
        assert frame.battery.energy_wh / frame.hover_power(mass) * 60 == pytest.approx(minutes, rel=0.10)


def test_sprayer_carries_the_published_masses():
    frame = load_preset("sprayer")
    assert frame.mass_with(0) == 50.0
    assert frame.mass_with(40) == 90.0


def test_constant_is_exact_for_one_hover_time():
    assert hover_time_constant([(4.0, 10.0)]) == pytest.approx(80.0)


def test_box_tank_inertia_is_that_of_a_block():
    tank = BoxTank(length=0.5, width=0.4, offset=0.2, density=1000.0)
    m = 30.0
    h = m / (1000 * 0.5 * 0.4)
    assert tank.liquid_height(m) == pytest.approx(h)
    roll, pitch, yaw = tank.inertia(m)
    assert roll == pytest.approx(m * (0.4**2 + h**2) / 12 + m * 0.2**2)
    assert pitch == pytest.approx(m * (0.5**2 + h**2) / 12 + m * 0.2**2)
    assert yaw == pytest.approx(m * (0.5**2 + 0.4**2) / 12)
    # by adding up small cubes
    axes = [np.linspace(-0.5, 0.5, 41)[:-1] + 0.0125 for _ in range(3)]
    _, y, z = np.meshgrid(*axes, indexing="ij")
    cubes = m * np.mean((0.4 * y) ** 2 + (h * z) ** 2) + m * 0.2**2
    assert roll == pytest.approx(cubes, rel=1e-3)


def test_empty_tank_adds_nothing():
    assert [float(v) for v in BoxTank(0.5, 0.4, 0.2, 1000.0).inertia(0.0)] == [0.0, 0.0, 0.0]


def test_planned_liquid_falls_to_nothing_and_stays_there():
    left = planned_liquid(3.0, 1.0, 0.5, 10)
    assert left == pytest.approx([3, 2.5, 2, 1.5, 1, 0.5, 0, 0, 0, 0])


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ScenarioError, match="did you mean sprayer"):
        load_preset("spraier")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("mass_kg = -1", "mass_kg"),
        ("mass_kg = 'x", "cannot be read as TOML"),
        ("colour = 'red'", "colour"),
    ],
)
def test_a_wrong_airframe_file_is_one_sentence(tmp_path, change, sentence):
    file = tmp_path / "mine.toml"
    lines = [line for line in _preset_text().splitlines() if not line.startswith(change.split(" ")[0])]
    file.write_text("\n".join([change, *lines]))
    with pytest.raises(ScenarioError, match=sentence) as caught:
        read_airframe(file)
    assert "\n" not in str(caught.value).split("(")[0]


def _preset_text():
    from d2oc.airframes import airframe

    return (airframe._folder() / "sprayer.toml").read_text()


def test_hover_power_is_in_line_with_momentum_theory():
    """Four coaxial pairs of 54 inch rotors: ideal power over published power is a believable figure of merit."""
    frame = load_preset("sprayer")
    area = 4 * math.pi * (54 * 0.0254 / 2) ** 2
    ideal = (50 * 9.81) ** 1.5 / math.sqrt(2 * 1.225 * area)
    assert 0.4 < ideal / frame.hover_power(50) < 0.75
    assert isinstance(frame, Airframe)
