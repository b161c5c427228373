"""Limits as rows: what a polygon keeps of a disc, and which states a limit is on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from d2oc.control.limit_rows import inscribed_polygon, limit_rows
from d2oc.vehicles.linear import Limits, double_integrator, quadrotor


@pytest.mark.parametrize("sides", [4, 8, 16, 32])
def test_a_polygon_lies_in_its_disc_and_touches_it_at_the_corners(sides):
    rows = inscribed_polygon(3.0, sides)
    assert len(rows) == sides // 2
    angle = np.linspace(0, 2 * np.pi, 5761)
    direction = np.column_stack([np.cos(angle), np.sin(angle)])
    reach = 1.0 / np.abs(direction @ rows.T).max(axis=1)
    assert reach.max() <= 3.0 * (1 + 1e-12)
    assert reach.max() == pytest.approx(3.0, rel=1e-6)
    assert reach.min() == pytest.approx(3.0 * math.cos(math.pi / sides), rel=1e-9)


def test_a_disc_of_inputs_becomes_a_box_and_rows():
    rows = limit_rows(double_integrator(0.1, Limits(input_norm=2.0)), 8)
    assert rows.input_each == pytest.approx([2.0 * math.cos(math.pi / 8)] * 2)
    assert len(rows.input_rows) == 2
    assert len(rows.state_rows) == 0
    with pytest.raises(ValueError, match="6 sides, must be a multiple of 4"):
        limit_rows(double_integrator(0.1), 6)


def test_rows_of_the_quadrotor():
    each = np.full(8, np.inf)
    each[2], each[7] = 0.2, 1.5
    model = quadrotor(0.1, np.array([0.0075]), Limits(input_each=0.4, speed_each=2.0, state_each=each))
    rows = limit_rows(model)
    assert rows.input_each.tolist() == [0.4, 0.4]
    assert rows.state_names == ("speed", "speed", "theta_rad", "phi_rate_rad_s")
    assert rows.state_rows @ [9, 2.0, 0.2, 9, 9, -2.0, 9, 1.5] == pytest.approx([1, -1, 1, 1])
