"""A flight that ended early is resumed: what was treated is not flown again, and the rest is."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.metrics import weight_left
from d2oc.mission import simulate
from d2oc.record import load_record
from d2oc.scenario import load_scenario
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.resumed import keep_laid, laid_in, prepared_for

ENDED_AT = 80


@pytest.fixture(scope="session")
def scenario():
    return load_scenario("six_drones", overrides=["team.n_agents=3", "mission.duration_s=40"])


@pytest.fixture(scope="session")
def ended_early(scenario, tmp_path_factory):
    """Run folder of a mission that ended after 80 of its 200 steps."""
    run = tmp_path_factory.mktemp("resumed") / "run"

    def watch(header, points, weights):
        def stop(tick):
            if tick.tick == ENDED_AT:
                raise KeyboardInterrupt

        return stop

    assert simulate(scenario, out=run, runtime="inline", watch=watch).status == "interrupted"
    return run


def test_the_rest_is_the_weight_that_is_left_for_the_time_that_is_left(scenario, ended_early):
    record = load_record(ended_early)
    left = weight_left(record)
    prepared, farm = prepared_for(scenario, ended_early)
    assert farm is None
    assert 0.3 < left.sum() < 0.8
    assert prepared.samples.weights.sum() == pytest.approx(left.sum(), abs=1e-9)
    assert len(prepared.samples.weights) == (left > 1e-12).sum() < len(left)
    assert prepared.setup.n_steps.tolist() == [200 - ENDED_AT] * 3
    capacity = (prepared.setup.alpha * prepared.setup.n_steps).sum()
    assert capacity == pytest.approx(left.sum(), abs=0.01)  # what was not flown could not be treated, and no more


def test_a_resumed_flight_treats_the_rest_and_nothing_twice(fly, scenario, ended_early):
    weights = prepared_for(scenario, ended_early)[0].samples.weights
    flown = fly(scenario, resumed=ended_early)
    rows = [row for rows in flown.reports for row in rows.values()]
    samples = np.concatenate([row["samples"] for row in rows]).astype(int)
    treated = np.bincount(samples, np.concatenate([row["amounts"] for row in rows]), len(weights))
    assert np.minimum(treated, weights).sum() > 0.95 * weights.sum()
    assert np.maximum(0.0, treated - weights).sum() < 0.05 * weights.sum()
    assert flown.causes == [[], [], []]


def test_what_is_done_is_not_flown_again(scenario, tmp_path):
    simulate(scenario, out=tmp_path / "done", runtime="inline")
    with pytest.raises(FlightError, match=r"done: everything was treated, nothing is left to fly"):
        prepared_for(scenario, tmp_path / "done")


def test_a_spraying_flight_is_resumed_from_what_its_machines_have_laid(fly, small, tmp_path):
    scenario = load_scenario(small)

    async def calls_home(pilots, clock):
        await clock.sleep(18.0)
        for pilot in pilots:
            pilot.go_home()

    first = fly(scenario, beside=calls_home)
    for number, pilot in enumerate(first.pilots):
        keep_laid(tmp_path / f"drone-{number}-deposit.npz", pilot.deposit)
    laid = laid_in(tmp_path, first.cells["deposit_l_ha"])
    assert laid == pytest.approx(first.cells["deposit_l_ha"], abs=1e-12)
    second = fly(scenario, resumed=tmp_path)
    assert first.missed > 30.0
    assert second.missed < 0.5 * first.missed
    cells = second.cells
    assert (cells["deposit_l_ha"] <= cells["maximum_l_ha"] + 1e-9).all()  # the label holds for both flights together
    assert sum(s["litres_by_plan"] for s in second.summaries) < 3.5
    with pytest.raises(FlightError, match=r"only spray.method"):
        prepared_for(load_scenario(small, overrides=["spray.method=uniform"]), tmp_path)
    with pytest.raises(FlightError, match="no machine has left word"):
        prepared_for(scenario, tmp_path / "elsewhere")
