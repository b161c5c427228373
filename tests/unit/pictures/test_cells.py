"""The cells of a picture are those of the assignment in flight, and divide what is left by capacity."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc import load_scenario, simulate
from d2oc.control.assigned_law import AssignedLaw
from d2oc.metrics import sample_places
from d2oc.transport.semi_discrete import cell_outlines
from d2oc_viz.cells import division_at, moments
from d2oc_viz.drawing import styled
from d2oc_viz.figures import draw, figures_of
from d2oc_viz.replay import make_replay, unpack

CHANGES = {
    "mission.duration_s": 10.0,
    "control.law": "closed-form",
    "assignment.method": "semi-discrete",
    "assignment.refresh_interval_s": 2.0,
    "radio.comm_range_m": 1000.0,
    "team.n_agents": 4,
}


@pytest.fixture(scope="module")
def flown():
    """A record, and the cells that agents found in flight: by tick and agent, the samples of each by their places."""
    found = {}
    kept = AssignedLaw._cell

    def note(self, r, k, crew):
        mine = kept(self, r, k, crew)
        open_ = mine & (crew.belief.weight[r] > 0)
        found[k, r] = {(x, y) for x, y in zip(crew.tree.x[open_], crew.tree.y[open_], strict=True)}
        return mine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AssignedLaw, "_cell", note)
        record = simulate(load_scenario("six_drones", overrides=CHANGES), runtime="arrays")
    return record, found


def test_cells_are_those_that_agents_found_in_flight_when_all_hear_all(flown):
    record, found = flown
    assert moments(record) == [0, 10, 20, 40]  # every 10 ticks cells are renewed
    for tick in moments(record):
        division = division_at(record, tick)
        places = sample_places(record, tick)
        for r in range(4):
            mine = {(x, y) for x, y in places[(division.owner == r) & (division.left > 0)]}
            assert len(mine ^ found[tick, r]) <= 4  # a sample split between two cells may be named after either


def test_shares_are_those_of_the_capacities(flown):
    record, _ = flown
    division = division_at(record, 20)
    share = np.bincount(division.owner[division.owner >= 0], division.left[division.owner >= 0]) / division.left.sum()
    assert share == pytest.approx(0.25, abs=4 * division.left.max() / division.left.sum())


def area(corners):
    x, y = corners.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_every_place_lies_in_the_cell_of_the_site_with_the_least_power():
    from matplotlib.path import Path

    rng = np.random.default_rng(3)
    sites, potentials = rng.uniform(-50, 150, (40, 2)), rng.uniform(0, 400, 40)
    potentials[5] = -np.inf
    cells = cell_outlines(sites, potentials, (0.0, 0.0), (100.0, 60.0))
    assert len(cells[5]) == 0
    assert sum(map(area, cells)) == pytest.approx(6000.0)
    places = rng.uniform((0, 0), (100, 60), (300, 2))
    power = ((places[:, None] - sites) ** 2).sum(axis=2) - potentials
    for i in np.unique(power.argmin(axis=1)):
        assert Path(cells[i]).contains_points(places[power.argmin(axis=1) == i], radius=1e-9).all()


def test_the_figure_has_a_map_a_moment_with_a_cell_an_agent(flown):
    record, _ = flown
    assert "cells" in figures_of(record)
    with styled():
        figure = draw(record, "cells")
        figure.canvas.draw()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.split(",")[0] for title in titles] == ["0 s", "2 s", "4 s", "8 s"]
    for axes in figure.axes:
        (cells,) = [c for c in axes.collections if c.get_label() == "cells"]
        assert len(cells.get_paths()) == 4


def test_agents_that_fell_out_or_are_done_have_no_cell(make_record):
    record = make_record(n_agents=3, n_steps=8)
    assert division_at(record, 2).members.tolist() == [0, 1, 2]
    assert division_at(record, 3) is None  # all are lost
    assert division_at(make_record(n_steps=4, telemetry=False), 4) is None  # all are done


def test_a_mission_that_divides_nothing_has_no_such_figure(record):
    assert "cells" not in figures_of(record)


def test_a_replay_shows_the_cells_at_two_dozen_moments(flown):
    record, _ = flown
    replay = make_replay(record)
    ticks = replay.head["cell_ticks"]
    assert (ticks[0], len(ticks)) == (0, 24)
    counts = unpack(replay.streams["cell_corners"]).reshape(24, 4)
    x = unpack(replay.streams["cell_x"]) * replay.head["ground_quantum_m"]
    assert len(x) == counts.sum()
    division = division_at(record, ticks[5])
    first = counts[:5].sum()
    assert x[first : first + counts[5].sum()] == pytest.approx(np.concatenate(division.cells)[:, 0], abs=1e-2)


def test_one_agent_divides_nothing_with_anyone():
    alone = simulate(load_scenario("six_drones", overrides={**CHANGES, "team.n_agents": 1, "mission.duration_s": 1.0}))
    assert "cells" not in figures_of(alone)
