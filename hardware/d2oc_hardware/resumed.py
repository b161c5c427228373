"""What is left to fly after a flight that ended early: the record says what was treated, and the rest is a mission."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from d2oc.density.sampling import SampleSet
from d2oc.metrics import weight_left
from d2oc.mission import Prepared, prepare, prepare_farm, record_header, team_setup
from d2oc.record import Record, load_record
from d2oc.scenario.schema import Scenario
from d2oc.spray.build import FarmMission
from d2oc.spray.plan import Plan, no_plan
from d2oc_hardware.flight_controller import FlightError

NOTHING = 1e-9
"""A share of the whole that is not worth a flight."""

LAID_BEFORE = "laid-before.npz"
"""File of a run folder: what lay there before that flight."""

CRUMB = 1e-12
"""What rounding leaves of a sample."""


def prepared_for(
    scenario: Scenario, resumed: Path | None = None, plan: Plan | None = None
) -> tuple[Prepared, FarmMission | None]:
    """Everything that a flight needs before it begins.

    Parameters
    ----------
    scenario : Scenario
        What is flown.
    resumed : Path, optional
        Run folder of an earlier flight of it, of which only the rest is flown.
    plan : Plan, optional
        Of a spraying mission, made before for just this; default: it is planned here.

    Raises
    ------
    D2ocError
        If nothing is left, or the folder holds no flight of this mission; one sentence.
    """
    if scenario.spray is not None:
        prepared, farm = prepare_farm(scenario, plan if resumed is None else no_plan(scenario.team.size), flown=True)
        if resumed is not None:
            _go_on_spraying(scenario, farm, resumed, plan)
        return prepared, farm
    prepared = prepare(scenario)
    return (prepared if resumed is None else _rest_of(scenario, prepared, resumed)), None


def _rest_of(scenario: Scenario, prepared: Prepared, run: Path) -> Prepared:
    """The samples that are left with the weight that is left, for the time that is left."""
    if scenario.density.motion is not None:
        raise FlightError(f"{run}: a density that moves is not where it was, so this flight cannot be resumed")
    record = load_record(run)
    left = weight_left(record)
    if left.sum() < NOTHING:
        raise FlightError(f"{run}: everything was treated, nothing is left to fly")
    kept = left > CRUMB
    places = np.column_stack([record.samples["x_m"], record.samples["y_m"]])[kept]
    note = f"resumes {run.name}, which left {100.0 * left.sum():.1f} % of the weight"
    samples: SampleSet = replace(
        prepared.samples, points=places, weights=left[kept], notes=(*prepared.samples.notes, note)
    )
    acted = _acted(record)
    kinds, first = [], 0
    for kind in prepared.kinds:  # agents of a kind fly equally long: as long as the one that has most time left
        steps = int(record.header.agents[first].n_steps) - int(acted[first : first + kind.n_agents].min())
        kinds.append(replace(kind, n_steps=max(1, steps)))
        first += kind.n_agents
    setup = team_setup(scenario, prepared.field, samples, kinds)
    header = record_header(scenario, prepared.field, samples, setup)
    return Prepared(prepared.field, samples, kinds, setup, header)


def _acted(record: Record) -> NDArray[np.int64]:
    """Steps in which each agent treated, shape (L,)."""
    active = record.trajectory["active"].astype(np.bool_)
    return np.bincount(record.trajectory["agent"][active], minlength=len(record.header.agents)).astype(np.int64)


def _go_on_spraying(scenario: Scenario, farm: FarmMission, run: Path, plan: Plan | None) -> None:
    """Plan what is still owed, beside what all machines believe to have laid."""
    if scenario.spray is not None and scenario.spray.method != "d2oc":
        raise FlightError(
            f'{run}: only spray.method = "d2oc" plans what is still owed, so this flight cannot be resumed'
        )
    laid = laid_in(run, farm.runtime.ground.deposit)
    if not laid.any():
        raise FlightError(f"{run}: no machine has left word of what it laid, so this flight cannot be resumed")
    farm.runtime.resume(laid, plan)
    if not any(drone.route for drone in farm.runtime.drones):
        raise FlightError(f"{run}: everything was treated, nothing is left to fly")


def keep_laid(path: Path, laid: NDArray[np.float64]) -> None:
    """Write down what was laid, shape (cells,) [L/ha], so that whoever reads meanwhile finds the old or the new."""
    cells = np.flatnonzero(laid)
    unfinished = path.with_suffix(f".unfinished-{os.getpid()}")
    with unfinished.open("wb") as file:
        np.savez(file, n_cells=len(laid), cell=cells.astype(np.int32), laid=laid[cells])
    unfinished.replace(path)


def laid_in(run: Path, empty: NDArray[np.float64]) -> NDArray[np.float64]:
    """What lay on the ground after a flight, as its machines believe, shape (cells,). [L/ha]"""
    laid = np.zeros_like(empty)
    for path in [run / LAID_BEFORE, *sorted(run.glob("drone-*-deposit.npz"))]:
        with suppress(FileNotFoundError), np.load(path) as own:
            if own["n_cells"] != len(laid):
                raise FlightError(f"{path}: it belongs to another field than this mission")
            laid[own["cell"]] += own["laid"]
    return laid
