"""What a sweep is to do, and what it found."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Literal

from d2oc.sweep.parameters import Parameter, Value

Method = Literal["grid", "random", "bayesian"]
State = Literal["complete", "given up", "failed"]


@dataclass(frozen=True)
class Plan:
    """What is varied, and what counts."""

    scenario: str
    """Name or path."""
    seeds: tuple[int, ...]
    changes: tuple[str, ...]
    """For all settings alike, as for `--set`."""
    parameters: tuple[Parameter, ...]
    method: Method
    metric: str
    """Number of the summary that counts."""
    maximise: bool
    """Larger is better."""
    give_up: bool
    """Do not fly the remaining seeds of a setting worse than half of the others so far."""

    def changes_of(self, values: dict[str, Value]) -> list[str]:
        """Changes of the scenario that make a setting, as for `--set`."""
        return [*self.changes, *(parameter.change(values[parameter.key]) for parameter in self.parameters)]


@dataclass(frozen=True)
class Setting:
    """One choice of all parameters, and how it did."""

    number: int
    values: dict[str, Value]
    """By key."""
    state: State
    """`given up` before all seeds were flown; `failed` where a flight was impossible."""
    flights: tuple[dict[str, float], ...]
    """Numbers of the summary of each flight, in the order of the seeds."""
    problem: str | None
    """Why it failed."""


@dataclass(frozen=True)
class Sweep:
    """All settings of a sweep."""

    plan: Plan
    notes: tuple[str, ...]
    """Sentences on what was changed to make the sweep mean something."""
    settings: tuple[Setting, ...]

    def mean(self, setting: Setting) -> float:
        """Mean of the metric over the flights of a setting."""
        return statistics.fmean(flight[self.plan.metric] for flight in setting.flights)

    @property
    def ranked(self) -> list[Setting]:
        """Settings flown with all seeds, the best first."""
        complete = [setting for setting in self.settings if setting.state == "complete"]
        return sorted(complete, key=self.mean, reverse=self.plan.maximise)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plan, ranked = self.plan, self.ranked
        return {
            "scenario": plan.scenario,
            "metric": plan.metric,
            "maximise": plan.maximise,
            "method": plan.method,
            "seeds": list(plan.seeds),
            "parameters": [
                {
                    "key": p.key,
                    "label": p.label,
                    "logarithmic": p.is_logarithmic,
                    "values": None if p.values is None else list(p.values),
                }
                for p in plan.parameters
            ],
            "notes": list(self.notes),
            "best": None if not ranked else {**self._row(ranked[0]), "changes": plan.changes_of(ranked[0].values)},
            "settings": [self._row(setting) for setting in self.settings],
        }

    def _row(self, setting: Setting) -> dict[str, Any]:
        flown = [flight[self.plan.metric] for flight in setting.flights]
        return {
            "number": setting.number,
            "values": setting.values,
            "state": setting.state,
            "mean": statistics.fmean(flown) if flown else None,
            "std": statistics.stdev(flown) if len(flown) > 1 else None,
            "flights": flown,
            "problem": setting.problem,
        }
