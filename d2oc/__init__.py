"""Density-driven optimal control for teams of drones.

>>> from d2oc import load_scenario, simulate
>>> record = simulate(load_scenario("six_drones"))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from d2oc.errors import D2ocError as D2ocError
    from d2oc.mission import simulate as simulate
    from d2oc.record import Record as Record
    from d2oc.record import load_record as load_record
    from d2oc.scenario import Scenario as Scenario
    from d2oc.scenario import load_scenario as load_scenario

__version__ = "0.1.0"

_HOME = {
    "D2ocError": "d2oc.errors",
    "Record": "d2oc.record",
    "Scenario": "d2oc.scenario",
    "load_record": "d2oc.record",
    "load_scenario": "d2oc.scenario",
    "simulate": "d2oc.mission",
}
"""Where each public name lives; it is imported when first asked for, so that `import d2oc` stays instant."""

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'd2oc' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
