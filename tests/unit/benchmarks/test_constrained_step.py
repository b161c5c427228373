"""The benchmark measures what it says: limits bind, and the peer finds the same."""

from __future__ import annotations

import json

import pytest

from d2oc.benchmarks.constrained_step import measure


def test_rows_say_what_was_measured():
    pytest.importorskip("cvxpy", reason="cvxpy comes with the extra 'convex'")
    rows = list(measure(quick=True))
    assert [(row.horizon_steps, row.n_half_planes) for row in rows] == [(10, 0), (10, 3)]
    for row in rows:
        assert row.name == "constrained_step"
        assert row.binding_share > 0.9
        assert row.max_deviation < 1e-6
        assert row.cvxpy_microseconds > 0
        assert json.loads(json.dumps(row.as_dict()))["cold_microseconds"] > 0
