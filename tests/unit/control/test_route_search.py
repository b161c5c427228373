"""Changes of routes: what each keeps, and what the search makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from d2oc.control.closed_form import tracking
from d2oc.control.mission_plan import Effort, demand_of, flyer_of
from d2oc.control.route_search import (
    KINDS,
    drop_stretch,
    exchange_tails,
    give_stretch,
    in_steps,
    join,
    reverse_stretch,
    search_routes,
    shift_stretch,
)
from d2oc.control.team_plan import plan_team
from d2oc.control.together import Task, match_together
from d2oc.vehicles.linear import Limits, double_integrator

T = 0.5
SPEED, ACCELERATION = 8.0, 4.0
N_STEPS = np.array([60, 48, 60])
EFFORT = Effort(routes=2, rounds=2, sweeps=20, divisions=1, changes=0, search_points=84, search_cells=64)
STATES = [np.array([x, 0.0, 50.0, 0.0]) for x in (10.0, 50.0, 90.0)]


def routes_of(seed, n_agents=3):
    rng = np.random.default_rng(seed)
    return [np.cumsum(rng.normal(0, 2, (n, 2)), axis=0) + 50.0 for n in rng.integers(2, 90, n_agents)]


@pytest.mark.parametrize("kind", list(dict.fromkeys(KINDS)))  # each once, in an order that all workers agree on
@pytest.mark.parametrize("seed", range(30))
def test_a_change_makes_whole_routes_of_the_places_there_are(kind, seed):
    """Every agent still begins where it is; nothing is visited twice and, but for a drop, nothing is lost."""
    routes, rng = routes_of(seed), np.random.default_rng(seed)
    paces = [3.0] * 3
    change = kind(rng, routes, paces)
    assert len(change.parts) == (2 if kind in (exchange_tails, give_stretch) else 1)
    before = {tuple(place) for r in change.parts for place in routes[r]}
    flown = []
    for r, parts in change.parts.items():
        joined = join(parts, paces[r])
        assert np.array_equal(joined[0], routes[r][0])
        flown += [tuple(place) for place in joined if tuple(place) in before]
    assert len(flown) == len(set(flown))
    if kind is not drop_stretch:
        assert set(flown) == before


def test_the_kinds_do_what_they_say():
    line = np.column_stack([np.arange(30.0), np.zeros(30)])
    other = line + np.array([0.0, 5.0])
    rng = np.random.default_rng(1)
    tails = exchange_tails(rng, [line, other], [1.0, 1.0]).parts
    assert all(parts[0][0, 1] != parts[1][0, 1] for parts in tails.values())
    given = give_stretch(rng, [line, other], [1.0, 1.0]).parts
    assert sorted(sum(map(len, parts)) for parts in given.values())[0] < 30
    assert sum(len(part) for parts in given.values() for part in parts) == 60
    back = np.vstack(reverse_stretch(rng, [line], [1.0]).parts[0])
    assert (np.diff(back[:, 0]) == -1).any()
    assert sorted(back[:, 0]) == sorted(line[:, 0])
    assert len(np.vstack(drop_stretch(rng, [line], [1.0]).parts[0])) < 30
    assert len(np.vstack(shift_stretch(rng, [line], [1.0]).parts[0])) >= 30


def test_parts_are_joined_at_the_pace_and_brought_to_the_steps():
    joined = join([np.zeros((2, 2)), np.empty((0, 2)), np.array([[10.0, 0.0]])], pace=2.0)
    assert joined[:, 0] == pytest.approx([0, 0, 2, 4, 6, 8, 10])
    brought = in_steps(joined, 25)
    assert brought.shape == (25, 2)
    assert brought[[0, -1], 0] == pytest.approx([0, 10])


def task_of(effort):
    model = double_integrator(T, Limits(input_norm=ACCELERATION, speed_norm=SPEED))
    alpha = 1.0 / N_STEPS.sum()
    problem = tracking(model.A, model.B, model.C, np.zeros((4, 4)), 1e-2 * alpha * np.eye(2)[None], alpha)
    rng = np.random.default_rng(2)
    centres = np.array([[20.0, 70], [70, 75], [60, 20]])
    samples = np.clip(centres[rng.integers(0, 3, 300)] + rng.normal(0, 8, (300, 2)), 0, 100)
    demand = demand_of(samples, np.full(300, 1 / 300), 512)
    return Task([flyer_of(model, problem, T)] * 3, np.zeros(3, int), STATES, demand, effort)


def plan(task):
    places, weights = task.demand.point, task.demand.weight
    return plan_team(task.flyers, 0, task.states, list(N_STEPS), places, weights, task.effort)[0]


@pytest.fixture(scope="module")
def without():
    return plan(task_of(EFFORT))


def test_the_search_lowers_the_objective_and_what_it_finds_is_flyable(without):
    task = task_of(replace(EFFORT, changes=40))
    joint = search_routes(task, match_together(task, [p.track for p in without]))
    assert joint.objective < 0.99 * sum(p.objective for p in without)
    served = np.zeros(300)
    for p, n, state in zip(joint.plans, N_STEPS, STATES, strict=True):
        states = np.vstack([state, p.track.state])
        assert len(p.track.state) == len(p.goals) == n
        assert np.linalg.norm(p.track.input, axis=1).max() <= ACCELERATION + 1e-9
        assert np.linalg.norm(states[:, [1, 3]], axis=1).max() <= SPEED + 1e-9
        model = double_integrator(T, Limits(input_norm=ACCELERATION, speed_norm=SPEED))
        assert p.track.state == pytest.approx(states[:-1] @ model.A[0].T + p.track.input @ model.B[0].T, abs=1e-9)
        assert p.amount.sum() == pytest.approx(n / N_STEPS.sum(), rel=1e-9)
        served += np.bincount(p.cell, p.amount, 300)
    assert served == pytest.approx(task.demand.weight, rel=1e-9)


@pytest.mark.parametrize("n_changes", [1, 3, 10])
def test_the_objective_never_rises(without, n_changes):
    task = task_of(replace(EFFORT, changes=n_changes))
    joint = match_together(task, [p.track for p in without])
    assert search_routes(task, joint).objective <= joint.objective


def test_the_same_task_gives_the_same_plan():
    one, other = (plan(task_of(replace(EFFORT, changes=10))) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.track.state, b.track.state)


def test_no_changes_leave_the_plans_alone(without):
    task = task_of(EFFORT)
    joint = match_together(task, [p.track for p in without])
    assert search_routes(task, joint) is joint


def test_longer_missions_get_fewer_changes():
    effort = Effort(changes=100, team_points=2000)
    assert [effort.changes_for(n) for n in (10, 2000, 4000, 1_000_000)] == [100, 100, 50, 0]


def test_one_agent_alone_is_searched_too():
    task = task_of(replace(EFFORT, changes=20))
    alone = replace(task, flyers=task.flyers[:1], begin=np.zeros(1, int), states=STATES[:1])
    without = plan_team(alone.flyers, 0, alone.states, [60], alone.demand.point, alone.demand.weight, EFFORT)[0]
    plans = plan_team(alone.flyers, 0, alone.states, [60], alone.demand.point, alone.demand.weight, alone.effort)[0]
    assert plans[0].objective <= without[0].objective
