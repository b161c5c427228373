"""The cvxpy statement: absent package, failing solver, exact discs."""

from __future__ import annotations

import importlib
import math
import sys

import numpy as np
import pytest

from d2oc.control.half_planes import stay_within
from d2oc.control.law import tracking_problem
from d2oc.errors import MissingExtraError
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, double_integrator, quadrotor

NAME = "d2oc.control.convex_program"


def convex_program():
    return pytest.importorskip(NAME, reason="cvxpy comes with the extra 'convex'")


def test_without_cvxpy_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with pytest.raises(MissingExtraError, match=r"needs the extra 'convex': pip install 'd2oc\[convex\]'"):
        importlib.import_module(NAME)


def test_norm_limits_are_exact_discs():
    model = double_integrator(0.2, Limits(input_norm=1.5, speed_norm=2.0))
    problem = tracking_problem(model, ControlTable(), 1 / 900)
    program = convex_program().ConvexProgram(problem, model, 12)
    for direction in np.linspace(0.05, 6.2, 5):
        goals = np.tile(40 * np.array([math.cos(direction), math.sin(direction)]), (12, 1))
        optimum = program.solve(0, np.zeros(4), goals)
        assert np.linalg.norm(optimum.inputs[0]) == pytest.approx(1.5, abs=1e-6)
        assert np.linalg.norm(optimum.states[-1, [1, 3]]) == pytest.approx(2.0, abs=1e-5)


def test_a_program_is_stated_once_for_all_steps():
    """DPP: parameters of the later problem change nothing in the statement of the first."""
    model = quadrotor(0.1, np.linspace(0.0075, 0.004, 40), Limits(input_each=0.05))
    problem = tracking_problem(model, ControlTable(), 1 / 900)
    module = convex_program()
    program = module.ConvexProgram(problem, model, 6, 16)
    rng = np.random.default_rng(0)
    for k in (0, 9, 33):
        state, goals = 0.1 * rng.normal(size=8), rng.uniform(-5, 5, (6, 2))
        planes = stay_within(np.zeros((6, 2)), np.full(6, 1.0))
        fresh = module.ConvexProgram(problem, model, 6, 16).solve(k, state, goals, planes)
        again = program.solve(k, state, goals, planes)
        assert program._program.is_dcp(dpp=True)
        assert again.inputs == pytest.approx(fresh.inputs, abs=1e-8)


def test_a_failing_solver_is_a_status():
    model = double_integrator(0.2, Limits(input_norm=1.5))
    program = convex_program().ConvexProgram(tracking_problem(model, ControlTable(), 1 / 900), model, 4)
    nothing = program.solve(0, np.zeros(4), np.zeros((4, 2)), solver="NO_SUCH_SOLVER")
    assert nothing.status.startswith("failed:")
    assert np.isnan(nothing.inputs).all()
