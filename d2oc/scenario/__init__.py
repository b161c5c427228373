"""Scenarios: TOML files that say what is flown."""

from __future__ import annotations

from d2oc.scenario.catalogue import ScenarioInfo, shipped_scenarios
from d2oc.scenario.load import load_scenario, scenario_toml
from d2oc.scenario.schema import Scenario

__all__ = ["Scenario", "ScenarioInfo", "load_scenario", "scenario_toml", "shipped_scenarios"]
