"""The methods that can be compared: each is a small set of overrides of the scenario."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from d2oc.errors import ScenarioError
from d2oc.scenario.schema import Scenario


@dataclass(frozen=True)
class Method:
    """One way to fly a scenario."""

    title: str
    """What it is, for people."""
    knows: str
    """What an agent knows of the density and of the others."""
    overrides: tuple[str, ...]
    """Keys of the scenario and their values, as for `--set`."""


LOCAL = "local: own belief, neighbours in radio range"
FULL = "full: density and everyone's path"


def _baseline(title: str, knows: str, law: str, *more: str) -> Method:
    return Method(title, knows, (f"control.law={law}", "mission.order=parallel", *more))


def _loop(title: str, law: str, order: str, assignment: str, *more: str) -> Method:
    loop = (f"control.law={law}", f"mission.order={order}", f"assignment.method={assignment}")
    return Method(title, LOCAL, (*loop, *more))


METHODS: dict[str, Method] = {
    "mission-plan": _loop("transport plan of the whole mission", "mission-plan", "parallel", "none"),
    "mission-plan-early": _loop(
        "the same, after a first pass in a tenth of the time",
        "mission-plan",
        "parallel",
        "none",
        "control.plan_early_share=0.1",
    ),
    "d2oc-cells": _loop("this loop, each agent in its cell", "closed-form", "parallel", "semi-discrete"),
    "d2oc": _loop("this loop, in parallel", "closed-form", "parallel", "none"),
    "official": _loop("the published loop", "closed-form", "sequential", "none"),
    "lawnmower": _baseline("equal strips, to and fro", "the field and all starts, before take-off", "lawnmower"),
    "smc": _baseline("spectral multiscale coverage, K = 30", FULL, "smc", "control.modes=30"),
    "smc-20": _baseline("spectral multiscale coverage, K = 20", FULL, "smc", "control.modes=20"),
    "hedac": _baseline("heat equation driven area coverage", FULL, "hedac"),
    "lloyd": _baseline("Lloyd's descent", "local: density in its Voronoi cell, Voronoi neighbours", "lloyd"),
    "random": _baseline("random waypoints", "only the field", "random"),
}
"""The methods by name; a new one is one line."""


SPRAY_METHODS: dict[str, Method] = {
    "d2oc": Method("dose owed, divided and routed", "everything sprayed so far", ("spray.method=d2oc",)),
    "prescription": Method("lawnmower, on and off over the patches", "the dose map", ("spray.method=prescription",)),
    "prescription-skip": Method(
        "the same, only lines and parts of them with something to spray",
        "the dose map",
        ("spray.method=prescription-skip",),
    ),
    "uniform": Method("lawnmower, one rate everywhere", "the field", ("spray.method=uniform",)),
    "smc": Method("spectral multiscale coverage, nozzles by the dose owed", FULL, ("spray.method=smc",)),
    "hedac": Method("heat equation driven area coverage, nozzles by the dose owed", FULL, ("spray.method=hedac",)),
}
"""The methods of a spraying mission: same machines, stations and rules."""

DEFAULT_METHODS = ("mission-plan", "d2oc-cells", "d2oc", "official", "lawnmower", "smc", "hedac")


def methods_of(scenario: Scenario) -> dict[str, Method]:
    """The methods that can fly a scenario."""
    return METHODS if scenario.spray is None else SPRAY_METHODS


def default_methods(scenario: Scenario) -> tuple[str, ...]:
    """What is compared if nothing is said."""
    return DEFAULT_METHODS if scenario.spray is None else tuple(SPRAY_METHODS)


def method_named(name: str, methods: Mapping[str, Method] = METHODS) -> Method:
    """A method by name.

    Raises
    ------
    ScenarioError
        If there is none; lists the known ones.
    """
    if name in methods:
        return methods[name]
    close = difflib.get_close_matches(name, methods, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ScenarioError(f"--methods {name}: must be one of {', '.join(methods)}{hint}")


def overrides_of(method: Method, scenario: Scenario) -> Sequence[str]:
    """Overrides of a method for one scenario: groups with a control of their own fly it too."""
    own = [i for i, group in enumerate(scenario.team.groups) if group.control is not None]
    control = [text for text in method.overrides if text.startswith("control.")]
    return [*method.overrides, *(f"team.groups.{i}.{text}" for i in own for text in control)]
