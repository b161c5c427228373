"""Steps and half-planes together: closed-loop flights around zones, inside fields and past each other."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.control.constrained import ConstrainedStep, Solved
from d2oc.control.fence import fence_of, keep_out
from d2oc.control.half_planes import between_steps, keep_apart, together
from d2oc.control.law import tracking_problem
from d2oc.field import Field, NoFlyZone
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, double_integrator

PERIOD, SPEED, ACCELERATION, HORIZON = 0.25, 3.0, 2.0, 12
MODEL = double_integrator(PERIOD, Limits(input_norm=ACCELERATION, speed_norm=SPEED))
PROBLEM = tracking_problem(MODEL, ControlTable(), 1 / 900)
BARN = NoFlyZone("barn", np.array([[8.0, -4], [14, -4], [14, 5], [8, 5]]))
FIELD = Field(np.array([[-5.0, -20], [30, -20], [30, 20], [18, 20], [12, 12], [6, 20], [-5, 20]]), (BARN,))


def between(state, command, parts=9):
    """Positions during the step: the acceleration is held."""
    t = np.linspace(0, PERIOD, parts)[:, None]
    return state[[0, 2]] + t * state[[1, 3]] + t**2 / 2 * command


def shifted(states):
    """The plan of the last step, one step on, its last velocity held."""
    path = states[1:, [0, 2]]
    return np.vstack([path, path[-1] + PERIOD * states[-1, [1, 3]]])


@pytest.mark.parametrize("goal", [[26.0, 1.0], [25.0, 15.0], [10.0, 0.0], [12.0, 19.0], [60.0, -60.0]])
def test_a_drone_sent_through_a_barn_or_over_the_edge_never_touches_either(goal):
    fence, margin = fence_of(FIELD), between_steps(SPEED, PERIOD)
    step = ConstrainedStep(PROBLEM, MODEL, HORIZON, 4)
    state, start = np.array([0.0, 0, 0.5, 0]), None
    path = np.tile(state[[0, 2]], (HORIZON, 1))
    for k in range(100):
        planes = keep_out(fence, state[[0, 2]], path, margin, 4)
        result = step.solve(k, state, np.tile(goal, (HORIZON, 1)), planes, start)
        assert isinstance(result, Solved)
        flown = between(state, result.input)
        assert FIELD.contains(flown).all()
        assert result.intrusion_m < 1e-6
        state = MODEL.A[0] @ state + MODEL.B[0] @ result.input
        assert np.linalg.norm(state[[1, 3]]) <= SPEED * (1 + 1e-6)
        path, start = shifted(result.predicted_states), result.active_set
    assert np.linalg.norm(state[[1, 3]]) < 0.5


@pytest.mark.parametrize("sideways", [0.0, 0.4])
def test_drones_that_must_swap_places_keep_their_distance(sideways):
    """Head on they stop in front of each other; a little off they pass. Nobody waits for the other's answer."""
    wanted = 2.0
    distance = wanted + 2 * between_steps(SPEED, PERIOD)
    step = ConstrainedStep(PROBLEM, MODEL, HORIZON, 2)
    states = np.array([[0.0, 0, 0, 0], [20, 0, sideways, 0], [10.0, 0, 12, 0]])
    goals = np.array([[20.0, 0.0], [0.0, sideways], [10.0, -12.0]])
    paths = np.array([np.tile(s[[0, 2]], (HORIZON, 1)) for s in states])
    for k in range(90):
        results = []
        for r in range(3):
            others = [q for q in range(3) if q != r]
            planes = keep_apart(states[r, [0, 2]], paths[r], states[others][:, [0, 2]], paths[others], distance)
            results.append(step.solve(k, states[r], np.tile(goals[r], (HORIZON, 1)), together(planes)))
        flown = np.array([between(s, result.input) for s, result in zip(states, results, strict=True)])
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert np.linalg.norm(flown[a] - flown[b], axis=1).min() >= wanted - 1e-6
        states = np.array(
            [MODEL.A[0] @ s + MODEL.B[0] @ result.input for s, result in zip(states, results, strict=True)]
        )
        paths = np.array([shifted(result.predicted_states) for result in results])
