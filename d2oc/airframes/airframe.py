"""Airframes: what a simulated vehicle is made of, read from presets; each number's unit is in its name."""

from __future__ import annotations

import difflib
import math
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from d2oc.airframes.battery import HoverTime, hover_time_constant
from d2oc.airframes.payload import BoxTank
from d2oc.errors import ScenarioError

AIR_DENSITY = 1.225
"""Standard atmosphere at sea level, ISO 2533. [kg/m^3]"""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(BaseModel):
    """A table of a preset file: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Rotors(Part):
    """`[rotors]`: arms evenly around the body, the first one half a spacing left of ahead (an X)."""

    arms: Annotated[int, Field(ge=3, le=12)]
    """Number of arms."""
    per_arm: Annotated[int, Field(ge=1, le=2)] = 1
    """Rotors on each arm; two are coaxial and turn against each other."""
    arm_m: Positive
    """Distance of a rotor from the centre. [m]"""
    radius_m: Positive
    """Radius of a rotor. [m]"""
    max_thrust_n: Positive
    """Largest thrust of one rotor. [N]"""
    torque_per_thrust_m: Positive
    """Drag torque of a rotor over its thrust. [m]"""
    time_constant_s: Positive
    """First-order lag of the thrust behind its command. [s]"""

    @property
    def number(self) -> int:
        """Rotors in all."""
        return self.arms * self.per_arm

    @property
    def disc_area(self) -> float:
        """Area of all rotors seen from above; coaxial ones share theirs. [m^2]"""
        return self.arms * math.pi * self.radius_m**2


class Drag(Part):
    """`[drag]`: force against the air, the same in every direction: linear v + density area v^2 / 2."""

    linear_n_s_m: NotNegative
    """Rotor (momentum) drag. [N s/m]"""
    area_m2: NotNegative
    """Drag coefficient times frontal area. [m^2]"""


class Loops(Part):
    """`[loops]`: bandwidth of each loop of the autopilot; torque and thrust scale with inertia and mass."""

    rate_per_s: Positive
    """Body rate. [1/s]"""
    attitude_per_s: Positive
    """Tilt. [1/s]"""
    yaw_per_s: Positive
    """Heading. [1/s]"""
    velocity_per_s: Positive
    """Velocity, all axes. [1/s]"""
    height_per_s: Positive
    """Height, and position when it is held. [1/s]"""


class Tank(Part):
    """`[tank]`: a box that drains."""

    capacity_l: Positive
    """Largest load. [L]"""
    length_m: Positive
    """Inner length, along x. [m]"""
    width_m: Positive
    """Inner width, along y. [m]"""
    offset_m: NotNegative
    """Distance of the liquid's centre from the centre of mass. [m]"""
    density_kg_l: Positive = 1.0
    """Density of the liquid. [kg/L]"""


class Battery(Part):
    """`[battery]`: energy, and the hover times that say how fast it goes."""

    energy_wh: Positive
    """Usable energy. [Wh]"""
    hover_min: Annotated[tuple[HoverTime, ...], Field(min_length=1)]
    """Pairs of take-off mass [kg] and hover time [min]."""


class Airframe(Part):
    """A multirotor as it is built."""

    name: str
    """Name of the preset."""
    description: str = ""
    """One sentence for people."""
    mass_kg: Positive
    """Ready to fly with its battery, tank empty. [kg]"""
    inertia_kg_m2: tuple[Positive, Positive, Positive]
    """Roll, pitch and yaw inertia at that mass. [kg m^2]"""
    radius_m: Positive
    """Radius of the cylinder that touches things. [m]"""
    height_m: Positive
    """Height of that cylinder. [m]"""
    max_tilt_deg: Annotated[float, Field(gt=0, lt=80)]
    """Largest tilt the autopilot asks for. [deg]"""
    max_rate_deg_s: Positive
    """Largest rate of roll and pitch the autopilot asks for. [deg/s]"""
    max_mass_kg: Positive | None = None
    """Largest mass allowed at take-off. [kg]"""
    rotors: Rotors
    drag: Drag
    loops: Loops
    battery: Battery
    tank: Tank | None = None

    @cached_property
    def box_tank(self) -> BoxTank | None:
        """The tank as geometry."""
        if self.tank is None:
            return None
        tank = self.tank
        return BoxTank(tank.length_m, tank.width_m, tank.offset_m, 1000.0 * tank.density_kg_l)

    def mass_with(self, liquid_l: float) -> float:
        """Mass with some liquid in the tank. [kg]"""
        return self.mass_kg + (liquid_l * self.tank.density_kg_l if self.tank else 0.0)

    def inertia_with(self, liquid_l: float) -> tuple[float, float, float]:
        """Roll, pitch and yaw inertia with some liquid in the tank. [kg m^2]"""
        if self.tank is None or self.box_tank is None:
            return self.inertia_kg_m2
        added = self.box_tank.inertia(liquid_l * self.tank.density_kg_l)
        x, y, z = (dry + float(more) for dry, more in zip(self.inertia_kg_m2, added, strict=True))
        return x, y, z

    @property
    def hover_power_per_mass(self) -> float:
        """The constant c of hover power P = c m^1.5, fitted to the hover times. [W/kg^1.5]"""
        return self.battery.energy_wh * 60.0 / hover_time_constant(self.battery.hover_min)

    def hover_power(self, mass_kg: float) -> float:
        """Power drawn in hover. [W]"""
        return float(self.hover_power_per_mass * mass_kg**1.5)

    @property
    def tilted_height(self) -> float:
        """Height of the body when it tilts as far as it is asked to. [m]"""
        return 2.0 * self.radius_m * math.sin(self.max_tilt) + self.height_m * math.cos(self.max_tilt)

    @property
    def max_tilt(self) -> float:
        """Largest tilt the autopilot asks for. [rad]"""
        return math.radians(self.max_tilt_deg)


def preset_names() -> list[str]:
    """Names of the presets that come with the program."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_preset(name: str) -> Airframe:
    """Airframe of a preset.

    Parameters
    ----------
    name : str
        One of `preset_names`.

    Returns
    -------
    airframe : Airframe

    Raises
    ------
    ScenarioError
        If there is no such preset, or the file is wrong.
    """
    path = _folder() / f"{name}.toml"
    if name not in preset_names():
        near = difflib.get_close_matches(name, preset_names(), 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(preset_names())}"
        raise ScenarioError(f'vehicle.preset = "{name}" is no preset; {hint}')
    return read_airframe(path)


def tank_capacity(name: str) -> float:
    """Largest load of a preset, 0 without a tank. [L]"""
    tank = load_preset(name).tank
    return tank.capacity_l if tank else 0.0


def read_airframe(path: Path) -> Airframe:
    """Airframe of a TOML file.

    Raises
    ------
    ScenarioError
        One sentence on the first mistake.
    """
    try:
        return Airframe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read as TOML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(word) for word in first["loc"])
        raise ScenarioError(f"{path}: {key}: {first['msg'].lower()}") from None


def _folder() -> Path:
    return Path(__file__).parent / "presets"
