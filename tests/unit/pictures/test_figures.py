"""Figures hold what they say: artists, labels, units; also of the smallest, largest and unhappiest missions."""

from __future__ import annotations

import re

import numpy as np
import pytest

from d2oc.errors import RecordError
from d2oc.metrics import remaining_weight, work_done
from d2oc_viz import draw_coverage
from d2oc_viz.course import speed, truly_remaining
from d2oc_viz.drawing import round_length, styled
from d2oc_viz.figures import FIGURES, draw, figures_of, save_figure


def drawn(record, name):
    with styled():
        figure = draw(record, name)
        figure.canvas.draw()
    return figure


def texts(figure):
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text)}


EVERYWHERE = [name for name in FIGURES if name not in ("dose", "cells")]


def test_all_figures_but_those_of_some_laws_apply_to_a_record_with_everything(record):
    assert figures_of(record) == EVERYWHERE


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_axis_says_what_it_shows_and_in_which_unit(record, name):
    for axes in drawn(record, name).axes:
        if axes.get_title(loc="left") and axes.get_xlabel():
            assert re.search(r"\[.+\]", axes.get_xlabel()) or axes.get_xlabel() == "agent"
            assert re.search(r"\[.+\]", axes.get_ylabel()) or axes.get_ylabel() in ("contacts", "agents")


def test_the_flown_map_has_a_way_an_agent_the_boundary_a_zone_and_a_scale_bar(record):
    figure = drawn(record, "flown")
    (axes,) = figure.axes
    ways = {line.get_label(): line for line in axes.lines}
    tracks = record.by_tick("x_m", "y_m")
    for r in range(3):
        np.testing.assert_array_equal(ways[f"{r}"].get_xydata(), tracks[:, r])
    bar = ways["scale"].get_xdata()
    assert f"{bar[1] - bar[0]:g} m" in texts(figure)
    assert len(axes.patches) == 1


def test_the_map_of_the_untreated_says_so_when_all_is_treated(make_record):
    finished = make_record(n_steps=60, n_samples=20)
    assert remaining_weight(finished) == pytest.approx(0.0, abs=1e-12)
    assert "untreated at the end: nothing" in texts(drawn(finished, "untreated"))
    assert "untreated at the end: nothing" not in texts(drawn(make_record(n_steps=3), "untreated"))


def test_the_remaining_weight_falls_to_the_metric(record):
    left = truly_remaining(record)
    assert left[0] == pytest.approx(1.0)
    assert (np.diff(left) <= 1e-15).all()
    assert left[-1] == pytest.approx(remaining_weight(record), abs=1e-12)
    curve = drawn(record, "remaining").axes[0].lines[0]
    np.testing.assert_allclose(curve.get_ydata(), 100 * left)


def test_speed_is_way_over_time_and_stands_below_its_limit(record):
    assert speed(record)[1:] == pytest.approx(1.0)
    figure = drawn(record, "speed")
    assert "limit 3 m/s" in texts(figure)
    assert 3.0 in [line.get_ydata()[0] for line in figure.axes[0].lines]


def test_tilt_is_the_angle_to_the_vertical(record):
    figure = drawn(record, "tilt")
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx(np.degrees(0.1))
    assert "limit 20 °" in texts(figure)


def test_workload_bars_are_what_each_agent_treated(record):
    bars = drawn(record, "workload").axes[0].containers[1]
    assert [bar.get_height() for bar in bars] == pytest.approx(100 * work_done(record))


def test_separation_is_the_distance_of_the_nearest_two(record):
    figure = drawn(record, "separation")
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx(80.0 / 3)
    assert "limit 2 m" in texts(figure)


def test_the_network_is_a_chain_that_breaks_every_fourth_step(record):
    contacts, largest = (axes.lines[0].get_ydata() for axes in drawn(record, "network").axes)
    assert contacts[0] == pytest.approx(2 / 3)  # two messages, three agents
    assert largest[:4].tolist() == [3, 3, 3, 1]


def test_a_large_team_is_a_band_and_a_small_one_lines(make_record):
    many = drawn(make_record(n_agents=40, n_steps=5), "battery").axes[0]
    assert (len(many.lines), len(many.collections)) == (1, 1)
    few = drawn(make_record(n_agents=4, n_steps=5), "battery").axes[0]
    assert (len(few.lines), len(few.collections)) == (4, 0)


def test_the_dose_map_shows_what_was_asked_for_deposited_and_the_difference(sprayed):
    figure = drawn(sprayed, "dose")
    asked, deposited, difference = (axes.collections[0].get_array() for axes in figure.axes[:3])
    for values, south in ((asked, 12.0), (deposited, 9.0), (difference, -3.0)):
        assert values[0].tolist() == [south] * 5
        assert values[1:].mask.all()
    assert "[L/ha]" in {axes.get_ylabel() for axes in figure.findobj(type(figure.axes[0]))}


def test_the_workload_of_sprayers_is_in_litres(sprayed):
    (axes,) = drawn(sprayed, "workload").axes
    assert axes.get_ylabel() == "liquid [L]"


def test_a_map_holds_all_places_flown_to(make_record):
    record = make_record(n_steps=400)  # flies 202 m far on a field of 100 m
    (axes,) = drawn(record, "flown").axes
    assert axes.get_xlim()[1] > 202.0


@pytest.mark.parametrize(
    "shape",
    [
        {"n_steps": 0, "planned": 10, "status": "interrupted"},
        {"n_agents": 1, "n_steps": 0, "planned": 5, "n_samples": 1},
        {"n_agents": 1, "n_steps": 5},
        {"n_agents": 1, "n_steps": 1, "n_samples": 2},
        {"n_steps": 1, "tilting": False, "telemetry": False, "events": False},
        {"n_steps": 7, "planned": 50, "status": "interrupted"},
        {"n_agents": 1000, "n_steps": 3},
    ],
    ids=str,
)
def test_every_figure_of_every_mission_can_be_drawn(make_record, shape, tmp_path):
    record = make_record(**shape)
    for name in figures_of(record):
        drawn(record, name)
    assert draw_coverage(record, tmp_path / "coverage.png").stat().st_size > 1000


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_equal_records_give_equal_files(record, tmp_path, kind):
    one, other = (save_figure(record, "speed", tmp_path / f"{i}.{kind}") for i in range(2))
    assert one.read_bytes() == other.read_bytes()


def test_an_unknown_figure_names_those_there_are(record, tmp_path):
    with pytest.raises(RecordError, match=r"figure 'cake' is not known; there are flown, untreated, "):
        save_figure(record, "cake", tmp_path / "cake.svg")


def test_a_figure_that_does_not_apply_says_what_is_lacking(make_record, tmp_path):
    with pytest.raises(RecordError, match="figure 'tank' needs tanks, of which this record has none"):
        save_figure(make_record(telemetry=False), "tank", tmp_path / "tank.svg")


@pytest.mark.parametrize(
    ("longest", "length"), [(1.0, 1.0), (1.99, 1.0), (7.0, 5.0), (5.0, 5.0), (0.03, 0.02), (400, 200)]
)
def test_scale_bars_have_round_lengths(longest, length):
    assert round_length(longest) == pytest.approx(length)
