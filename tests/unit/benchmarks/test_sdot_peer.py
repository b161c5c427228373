"""The peer of the transport benchmark: without it a row says why, in a sentence."""

from __future__ import annotations

import sys

import numpy as np

from d2oc.benchmarks.semi_discrete import _sdot


def test_an_interpreter_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("SDOT_PYTHON", "/nowhere/python")
    peer = _sdot(np.ones((4, 4)), np.array([[0.2, 0.3], [0.7, 0.6]]))
    assert peer.milliseconds is None
    assert "/nowhere/python" in peer.note


def test_an_interpreter_without_sdot_says_what_is_missing(monkeypatch, tmp_path):
    without = tmp_path / "python"
    without.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    without.chmod(0o755)
    monkeypatch.setenv("SDOT_PYTHON", str(without))
    peer = _sdot(np.ones((4, 4)), np.array([[0.2, 0.3], [0.7, 0.6]]))
    assert peer.milliseconds is None
    assert "No module named" in peer.note
    assert "SDOT_PYTHON" in peer.note
