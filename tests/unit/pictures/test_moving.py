"""A density that moves is drawn where it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from d2oc.metrics import sample_places, weight_left
from d2oc.record import Record
from d2oc_viz import maps
from d2oc_viz.drawing import styled
from d2oc_viz.figures import draw

VELOCITY = (4.0, -1.0)


@pytest.fixture(scope="module")
def drifting(make_record):
    """20 s over a density that drifts 80 m east and 20 m south."""
    still = make_record()
    tables = {name: getattr(still, name) for name in ("samples", "trajectory", "consumption", "messages", "events")}
    header = replace(still.header, motion={"kind": "drift", "velocity_m_s": list(VELOCITY)})
    return Record(header, "complete", still.scenario_toml, tables, still.provenance)


def centre(axes):
    """Middle of the weight that a map shows. [m]"""
    mesh = next(c for c in axes.collections if hasattr(c, "get_coordinates"))
    corners, weight = np.asarray(mesh.get_coordinates()), np.ma.filled(mesh.get_array(), 0.0)
    middle = (corners[1:, 1:] + corners[:-1, :-1]) / 2
    return (middle * weight[:, :, None]).sum(axis=(0, 1)) / weight.sum()


def test_the_map_of_ways_shows_the_density_at_the_start_and_at_the_end(drifting):
    with styled():
        figure = draw(drifting, "flown")
    start, end = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["flown; density at 0 s", "flown; density at 20 s"]
    shown = sample_places(drifting, 40)
    low, high = maps.reach(drifting)
    seen = ((shown >= low) & (shown <= high)).all(axis=1)
    cell = maps.grid_of(drifting)
    size = max(cell.x[1] - cell.x[0], cell.y[1] - cell.y[0])
    assert centre(start) == pytest.approx(sample_places(drifting, 0).mean(axis=0), abs=size)
    assert centre(end) == pytest.approx(shown[seen].mean(axis=0), abs=size)
    assert centre(end)[0] > centre(start)[0] + 40.0


def test_what_is_left_lies_where_the_density_went(drifting):
    with styled():
        (axes, *_) = draw(drifting, "untreated").axes
    left = weight_left(drifting, 40)
    there = sample_places(drifting, 40)[left > 1e-9]
    assert there == pytest.approx(
        np.column_stack([drifting.samples["x_m"], drifting.samples["y_m"]])[left > 1e-9] + [80.0, -20.0]
    )
    assert axes.get_xlim()[1] >= min(there[:, 0].max(), 150.0)


def test_cells_of_a_map_are_as_large_as_over_a_density_at_rest(drifting, make_record):
    still, moving = maps.grid_of(make_record()), maps.grid_of(drifting)
    assert moving.x[1] - moving.x[0] == pytest.approx(still.x[1] - still.x[0], rel=0.1)
    assert len(moving.x) > len(still.x)
