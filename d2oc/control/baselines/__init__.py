"""Baselines to compare with: one method a file, all behind the same small interface, `Guidance`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from d2oc.arrays import Ints
from d2oc.control.baselines.carried import Carried
from d2oc.control.baselines.guidance import CoverageTask, Guidance
from d2oc.control.baselines.hedac import HeatDrivenCoverage
from d2oc.control.baselines.lawnmower import Lawnmower
from d2oc.control.baselines.lloyd import Lloyd
from d2oc.control.baselines.random_walk import RandomWaypoints
from d2oc.control.baselines.smc import SpectralMultiscaleCoverage
from d2oc.control.baselines.steering import Steering
from d2oc.control.law import Gains
from d2oc.density.moving import Moves
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import LinearModel

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


def baseline_steering(
    control: ControlTable,
    task: CoverageTask,
    models: Sequence[LinearModel],
    gains: Sequence[Gains],
    kind: Ints,
    moves: Moves | None = None,
) -> Steering:
    """What replaces stage A for a whole team that flies a baseline.

    Parameters
    ----------
    control : ControlTable
        Names the baseline and its settings.
    task : CoverageTask
        What there is to do, for L agents.
    models, gains : sequence of LinearModel and of Gains
        Vehicle and closed-form law of each kind of agent.
    kind : ndarray of int32, shape (L,)
        Kind of each agent.
    moves : Moves, optional
        How the density moves; default: it stands still.
    """
    guidance = BASELINES[control.law](task, control)
    if moves is not None:
        guidance = Carried(guidance, moves, foresees=control.feed_forward)
    return Steering(guidance, task, models, gains, kind)
