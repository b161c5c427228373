"""Rules are checked before take-off, and a violation is one sentence."""

from __future__ import annotations

import pytest

from d2oc.errors import ScenarioError
from d2oc.scenario.schema import RulesTable
from d2oc.spray.rules import load_rules, profile_names

PROFILE = """
name = "mine"
max_height_m = 5.0
max_wind_m_s = 4.0
buffer_m = 8.0
drones_per_pilot = 2
max_rate_l_ha = 20.0
"""


def test_shipped_profiles_are_read():
    assert profile_names() == ["default", "strict"]
    assert load_rules(None).name == "default"
    assert load_rules(RulesTable(profile="strict")).buffer_m == 20.0


def test_a_profile_of_the_user(tmp_path):
    (tmp_path / "mine.toml").write_text(PROFILE)
    assert load_rules(RulesTable(profile=str(tmp_path / "mine.toml"))).max_wind_m_s == 4.0


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(ScenarioError, match=r'rules\.profile = "lax" is no profile; known are default, strict, or'):
        load_rules(RulesTable(profile="lax"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('buffer_m = "wide"', "buffer_m: input should be a valid number"),
        ("colour = 3", "colour: extra inputs are not permitted"),
        ("drones_per_pilot = 0", "drones_per_pilot: input should be greater than or equal to 1"),
    ],
)
def test_a_broken_profile_is_one_sentence(tmp_path, change, words):
    key = change.split(" = ")[0]
    kept = "\n".join(line for line in PROFILE.splitlines() if not line.startswith(key))
    (tmp_path / "mine.toml").write_text(f"{kept}\n{change}\n")
    with pytest.raises(ScenarioError, match=words):
        load_rules(RulesTable(profile=str(tmp_path / "mine.toml")))
