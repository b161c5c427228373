"""Runs of the authors' own functions, reproduced state by state."""

from __future__ import annotations

from pathlib import Path

import pytest
from d2oc.verify import verify_case

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "reference"


@pytest.mark.parametrize("name", ["case_a", "case_b", "case_c"])
def test_official_mode_reproduces_the_published_runs(name):
    path = PUBLISHED / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"the reference run {path} is not here")
    verification = verify_case(path)
    assert verification.max_deviation_m <= 1e-9
    assert verification.max_input_deviation <= 1e-9
    assert verification.max_goal_deviation_m <= 1e-9
    assert verification.max_remaining_weight_deviation <= 1e-12
