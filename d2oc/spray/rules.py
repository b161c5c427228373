"""Rules as profiles: what an operator may do, read from TOML and checked before anybody takes off."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from d2oc.errors import ScenarioError
from d2oc.scenario.schema import RulesTable, Scenario

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Rules(BaseModel):
    """A profile of rules."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Name of the profile."""
    description: str = ""
    """One sentence for people."""
    max_height_m: Positive
    """Largest height above ground. [m]"""
    max_wind_m_s: Positive
    """Largest mean wind to spray in. [m/s]"""
    buffer_m: NotNegative
    """Width around no-spray zones that stays dry too. [m]"""
    drones_per_pilot: Annotated[int, Field(ge=1)]
    """Drones that one pilot may watch."""
    max_rate_l_ha: Positive
    """Largest rate. [L/ha]"""


def load_rules(table: RulesTable | None) -> Rules:
    """Profile of a scenario.

    Raises
    ------
    ScenarioError
        If there is no such profile, or the file is wrong.
    """
    name = table.profile if table is not None else "default"
    path = Path(name) if name.endswith(".toml") else _folder() / f"{name}.toml"
    if not path.is_file():
        raise ScenarioError(
            f'rules.profile = "{name}" is no profile; known are {", ".join(profile_names())}, '
            "or give the path of a TOML file"
        )
    try:
        return Rules.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read as TOML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(word) for word in first["loc"])
        raise ScenarioError(f"{path}: {key}: {first['msg'].lower()}") from None


def profile_names() -> list[str]:
    """Profiles that come with the program."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def require_allowed(scenario: Scenario, rules: Rules, n_drones: int) -> None:
    """Refuse a mission that breaks a rule.

    Raises
    ------
    ScenarioError
        A sentence for every violation.
    """
    found = list(violations(scenario, rules, n_drones))
    if found:
        raise ScenarioError("\n".join(f"{scenario.name}: {text} (profile '{rules.name}')" for text in found))


def violations(scenario: Scenario, rules: Rules, n_drones: int) -> Iterator[str]:
    """What a mission breaks, a sentence each."""
    height, wind = scenario.world.height_m, scenario.world.wind.speed_m_s
    if height > rules.max_height_m:
        yield f"world.height_m = {height:g} must be at most {rules.max_height_m:g} [m]"
    if wind > rules.max_wind_m_s:
        yield f"world.wind.speed_m_s = {wind:g} must be at most {rules.max_wind_m_s:g} to spray [m/s]"
    pilots = scenario.rules.pilots if scenario.rules is not None else 1
    if n_drones > pilots * rules.drones_per_pilot:
        yield (
            f"{n_drones} drones need {-(-n_drones // rules.drones_per_pilot)} pilots at {rules.drones_per_pilot} "
            f"each, but rules.pilots = {pilots}"
        )
    if scenario.dose is not None and scenario.dose.maximum_l_ha > rules.max_rate_l_ha:
        yield f"dose.maximum_l_ha = {scenario.dose.maximum_l_ha:g} must be at most {rules.max_rate_l_ha:g} [L/ha]"


def _folder() -> Path:
    return Path(__file__).parent / "profiles"
