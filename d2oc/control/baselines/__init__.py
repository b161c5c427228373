"""Baselines to compare with: one method a file, all behind the same small interface, `Guidance`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from d2oc.control.baselines.guidance import CoverageTask, Guidance
from d2oc.control.baselines.hedac import HeatDrivenCoverage
from d2oc.control.baselines.lawnmower import Lawnmower
from d2oc.control.baselines.lloyd import Lloyd
from d2oc.control.baselines.random_walk import RandomWaypoints
from d2oc.control.baselines.smc import SpectralMultiscaleCoverage
from d2oc.control.baselines.steering import Steering, response_of
from d2oc.density import SampleSet
from d2oc.field import Field
from d2oc.runtime.inline import TeamSetup
from d2oc.scenario.schema import ControlTable, Scenario
from d2oc.team import GUIDANCE_STREAM, cruise_speeds, random_stream

Builder = Callable[[CoverageTask, ControlTable], Guidance]

BASELINES: dict[str, Builder] = {
    "lawnmower": lambda task, control: Lawnmower(task),
    "smc": lambda task, control: SpectralMultiscaleCoverage(task, control.modes),
    "hedac": lambda task, control: HeatDrivenCoverage(
        task, control.grid_cells, control.heat_length_m, control.footprint_m
    ),
    "lloyd": lambda task, control: Lloyd(task),
    "random": lambda task, control: RandomWaypoints(task),
}
"""The baselines by the name that `control.law` gives them."""


def baseline_steering(scenario: Scenario, field: Field, samples: SampleSet, setup: TeamSetup) -> Steering | None:
    """What replaces stage A for the whole team, or None where `control.law` is no baseline.

    Parameters
    ----------
    scenario : Scenario
        Names the baseline and its settings.
    field : Field
        The ground.
    samples : SampleSet
        Of the reference density.
    setup : TeamSetup
        The team.
    """
    builder = BASELINES.get(scenario.control.law)
    if builder is None:
        return None
    time_step = scenario.mission.time_step_s
    response = np.array([response_of(m, g, time_step) for m, g in zip(setup.models, setup.gains, strict=True)])
    task = CoverageTask(
        points=samples.points,
        weights=samples.weights / samples.weights.sum(),
        field=field,
        start=np.array([setup.models[i].C @ state for i, state in zip(setup.kind, setup.initial_states, strict=True)]),
        n_steps=setup.n_steps,
        alpha=setup.alpha,
        time_step=time_step,
        speed=cruise_speeds(scenario),
        response=response[setup.kind],
        rngs=tuple(random_stream(scenario, GUIDANCE_STREAM, r) for r in range(len(setup.kind))),
    )
    return Steering(
        builder(task, scenario.control), field, setup.models, setup.gains, setup.kind, setup.n_steps, task.speed,
        time_step,
    )  # fmt: skip
