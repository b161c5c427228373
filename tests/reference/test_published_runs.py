"""Runs of the authors' own functions, reproduced state by state."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from d2oc.errors import RecordError
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


def test_official_mode_reproduces_the_golden_run():
    """Made by the project's own NumPy peer (make_golden_case.py), which sorts all samples and solves the KKT system."""
    verification = verify_case(Path(__file__).with_name("golden_case.npz"))
    assert verification.n_steps == 120
    assert verification.max_deviation_m <= 1e-9
    assert verification.max_remaining_weight_deviation <= 1e-12


def test_a_deviation_is_noticed(tmp_path):
    with np.load(Path(__file__).with_name("golden_case.npz")) as archive:
        case = dict(archive)
    case["states"][50, 1, 4] += 1e-6
    np.savez(tmp_path / "off.npz", **case)
    verification = verify_case(tmp_path / "off.npz")
    assert not verification.agrees
    assert verification.worst_step == 50
    assert verification.max_deviation_m == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"samples": None}, "array samples is missing"),
        ({"Q": np.eye(4)}, "array Q has shape (4, 4), needs (8, 8)"),
        ({"R": np.ones(2)}, "array R has 1 dimensions, needs 2"),
        ({"R": np.array([[1, 0], [0, np.nan]])}, "array R holds values that are not finite numbers"),
        ({"n_steps": 7}, "array states has shape (121, 3, 8), needs (8, 3, 8)"),
    ],
)
def test_a_broken_case_is_refused_with_one_sentence(tmp_path, change, sentence):
    with np.load(Path(__file__).with_name("golden_case.npz")) as archive:
        case = {**archive, **change}
    path = tmp_path / "broken.npz"
    np.savez(path, **{name: value for name, value in case.items() if value is not None})
    with pytest.raises(RecordError, match=re.escape(sentence)):
        verify_case(path)


def test_a_missing_or_unreadable_case_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no such file"):
        verify_case(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(RecordError, match=r"not a readable \.npz file"):
        verify_case(tmp_path / "text.npz")
