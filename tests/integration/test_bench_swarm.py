"""The swarm benchmark measures what it says."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest


# Not importorskip: Ray must not be imported in this process before d2oc has told it how to behave.
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: extra 'ray'")
def test_a_quick_run_reports_both_ways_of_packing(d2oc, tmp_path):
    outcome = d2oc("bench", "swarm", "--quick", "--json", cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    result = json.loads(outcome.stdout)
    assert [(row["n_agents"], row["n_actors"]) for row in result["rows"]] == [(4, 4), (4, 2)]
    for row in result["rows"]:
        assert min(row["ready_s"], row["tick_ms"], row["inline_tick_ms"], row["arrays_tick_ms"]) > 0
        assert row["overhead_ms"] < row["tick_ms"]
        assert 0 <= row["idle_percent"] < 50
        assert 90 < row["bytes_per_message"] < 1400
