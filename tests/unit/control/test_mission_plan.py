"""The whole-mission plan: its objective, the division of the map, and what a team makes of it in flight."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from d2oc.bus.perfect import PerfectBus
from d2oc.control.closed_form import tracking
from d2oc.control.law import first_gains
from d2oc.control.mission_law import MissionPlanLaw, dues_of, owed_from
from d2oc.control.mission_plan import (
    Effort,
    demand_of,
    fly_and_match,
    flyer_of,
    improve,
    plan_alone,
)
from d2oc.control.team_plan import divide, divisions, plan_team
from d2oc.control.together import Task, match_together
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.transport.wasserstein import wasserstein2
from d2oc.vehicles.linear import Limits, double_integrator, quadrotor, single_integrator

EFFORT = Effort(routes=3, rounds=3, sweeps=30, changes=5)
T = 0.5
N_STEPS = 60


def patchy_samples(n=300, seed=2):
    rng = np.random.default_rng(seed)
    centres = np.array([[20.0, 70], [70, 75], [60, 20]])
    return np.clip(centres[rng.integers(0, 3, n)] + rng.normal(0, 8, (n, 2)), 0, 100)


def drone(n_agents=1, limits=Limits(input_norm=4.0, speed_norm=8.0)):  # noqa: B008
    model = double_integrator(T, limits)
    alpha = 1.0 / (n_agents * N_STEPS)
    problem = tracking(model.A, model.B, model.C, np.zeros((4, 4)), 1e-2 * alpha * np.eye(2)[None], alpha)
    return model, problem, flyer_of(model, problem, T)


def objective(plan, flyer, demand):
    """J straight from its definition, every step matched like its run."""
    length = np.minimum(plan.run, plan.n_steps - plan.run * np.arange(-(-plan.n_steps // plan.run)))
    total = 0.0
    for point, cell, amount in zip(plan.point, plan.cell, plan.amount, strict=True):
        first = point * plan.run
        for h in range(first, first + length[point]):
            away = plan.track.state[h, list(flyer.position_states)] - demand.point[cell]
            total += amount / length[point] * (away @ away)
    r = flyer.problem.R[0]
    return total + sum(u @ r @ u for u in plan.track.input)


@pytest.mark.parametrize("points", [512, 20])
def test_the_objective_is_what_it_says(points):
    _, _, flyer = drone()
    demand = demand_of(patchy_samples(), np.full(300, 1 / 300), 1024)
    effort = replace(EFFORT, points=points)
    plan = plan_alone(flyer, 0, np.zeros(4), N_STEPS, demand, demand.weight, effort)
    assert plan.run == (1 if points == 512 else 3)
    assert plan.objective == pytest.approx(objective(plan, flyer, demand), rel=1e-9)
    assert plan.amount.sum() == pytest.approx(1.0)


def test_no_turn_raises_the_objective():
    _, _, flyer = drone()
    demand = demand_of(patchy_samples(), np.full(300, 1 / 300), 1024)
    state = np.array([50.0, 0, 0, 0])
    goals = np.tile([50.0, 50.0], (N_STEPS, 1))
    plan = fly_and_match(flyer, 0, state, goals, np.zeros((N_STEPS, 2)), demand, demand.weight, EFFORT)
    course = [plan.objective]
    for _ in range(8):
        plan = improve(flyer, 0, state, plan, demand, demand.weight, 1, EFFORT)
        course.append(plan.objective)
    assert (np.diff(course) <= 0).all()
    assert course[-1] < 0.8 * course[0]


def test_several_tours_are_better_than_the_way_straight_ahead():
    _, _, flyer = drone()
    state = np.array([50.0, 0, 0, 0])
    middle, still = np.tile([50.0, 50.0], (N_STEPS, 1)), np.zeros((N_STEPS, 2))
    several, one = [], []
    for seed in range(4):
        demand = demand_of(patchy_samples(seed=seed), np.full(300, 1 / 300), 1024)
        straight = fly_and_match(flyer, 0, state, middle, still, demand, demand.weight, EFFORT)
        one.append(improve(flyer, 0, state, straight, demand, demand.weight, 30, EFFORT).objective)
        several.append(plan_alone(flyer, 0, state, N_STEPS, demand, demand.weight, EFFORT).objective)
    assert np.mean(several) < 0.97 * np.mean(one)


def test_the_map_is_divided_by_capacity_and_as_near_as_can_be():
    demand = demand_of(patchy_samples(), np.full(300, 1 / 300), 1024)
    part = divide(np.array([[0.0, 0], [100, 0], [50, 100]]), np.array([1.0, 2.0, 1.0]), demand)
    assert part.sum(axis=0) == pytest.approx(demand.weight)
    assert part.sum(axis=1) == pytest.approx([0.25, 0.5, 0.25])


def test_planning_together_is_no_worse_than_each_for_itself():
    _, _, flyer = drone(3)
    samples, weights = patchy_samples(), np.full(300, 1 / 300)
    states = [np.array([x, 0.0, 0, 0]) for x in (10.0, 50, 90)]
    plans, demand = plan_team([flyer] * 3, 0, states, [N_STEPS] * 3, samples, weights, EFFORT)
    part = divide(np.array([s[[0, 2]] for s in states]), np.full(3, 1 / 3), demand)
    alone = [plan_alone(flyer, 0, s, N_STEPS, demand, p, EFFORT) for s, p in zip(states, part, strict=True)]
    assert sum(p.objective for p in plans) <= sum(p.objective for p in alone) + 1e-12
    task = Task([flyer] * 3, np.zeros(3, int), states, demand, EFFORT)
    together = match_together(task, [p.track for p in plans])
    assert sum(p.objective for p in plans) == pytest.approx(together.objective)


def test_gathering_keeps_mass_and_dues_reach_every_sample():
    """600 samples in 64 cells, steps in runs of 3: what a plan assigns is what each sample weighs."""
    _, _, flyer = drone()
    rng = np.random.default_rng(5)
    samples, weights = rng.uniform(0, 100, (600, 2)), rng.random(600)
    weights /= weights.sum()
    demand = demand_of(samples, weights, 64)
    assert demand.weight.sum() == pytest.approx(1.0)
    plan = plan_alone(flyer, 0, np.zeros(4), N_STEPS, demand, demand.weight, replace(EFFORT, points=20))
    dues = dues_of(plan, demand, np.arange(600)[::-1].copy())
    assert plan.run == 3
    per_sample = np.bincount(dues.slot, dues.amount * 3, 600)[::-1]
    assert per_sample == pytest.approx(weights, rel=1e-9)
    per_run = np.add.reduceat(dues.amount, dues.first[:-1])
    assert per_run == pytest.approx(np.full(20, flyer.alpha), rel=1e-9)


def team(comm_range, world=None, n_agents=3, make=drone, effort=EFFORT):
    model, problem, flyer = make(n_agents)
    starts = [np.array([x, *[0.0] * (model.n_states - 1)]) for x in np.linspace(10, 90, n_agents)]
    n_steps = np.full(n_agents, N_STEPS, np.int32)
    law = MissionPlanLaw([flyer] * n_agents, n_steps, comm_range, effort)
    setup = TeamSetup(
        points=patchy_samples(),
        weights=np.full(300, 1 / 300),
        models=[model],
        gains=[first_gains(problem, 5, N_STEPS)],
        kind=np.zeros(n_agents, np.int32),
        n_steps=n_steps,
        alpha=np.full(n_agents, problem.alpha),
        initial_states=starts,
        comm_range=comm_range,
        controller=law,
    )
    return ArraysRuntime(setup, PerfectBus(comm_range), world), law


def fly(runtime, n_steps=N_STEPS, events=()):
    """Positions and consumption of every step; events are (step, function)."""
    positions, eaten = [], np.zeros((len(runtime.team.kind), 300))
    for k in range(n_steps):
        for step, event in events:
            if step == k:
                event()
        runtime.step(k)
        positions.append(runtime.team.position.copy())
        agent, sample, amount = runtime.consumption(k)
        np.add.at(eaten, (agent, sample), amount)
    return np.array(positions), eaten


def test_without_a_word_all_fly_the_same_plan_as_with_radio():
    silent, _ = fly(team(0.0)[0])
    loud, eaten = fly(team(np.inf)[0])
    assert np.array_equal(silent, loud)
    assert eaten.sum(axis=0) == pytest.approx(np.full(300, 1 / 300), rel=1e-6)


def single(n_agents):
    model = single_integrator(T, Limits(input_norm=8.0))
    alpha = 1.0 / (n_agents * N_STEPS)
    problem = tracking(model.A, model.B, model.C, np.zeros((2, 2)), 1e-2 * alpha * np.eye(2)[None], alpha)
    return model, problem, flyer_of(model, problem, T)


def draining(n_agents):
    """A quadrotor whose inertia falls, within limits."""
    tilts = np.array([np.inf, np.inf, 0.4, 1.0] * 2)
    limits = Limits(input_each=0.05, speed_each=8.0, state_each=tilts)
    model = quadrotor(T / 5, np.linspace(0.0075, 0.005, N_STEPS), limits)
    alpha = 1.0 / (n_agents * N_STEPS)
    problem = tracking(model.A, model.B, model.C, 1e-6 * np.eye(8), 1e-2 * np.eye(2)[None], alpha)
    return model, problem, flyer_of(model, problem, T / 5)


@pytest.mark.parametrize("make", [drone, single, draining])
def test_the_plan_is_flown_to_the_letter_and_everything_is_consumed_once(make):
    runtime, law = team(30.0, make=make)
    positions, eaten = fly(runtime)
    assert np.abs(positions - law._common[1:]).max() < 1e-9
    assert law.n_plans == 0
    assert eaten.sum(axis=0) == pytest.approx(np.full(300, 1 / 300), rel=1e-6)
    assert eaten.sum(axis=1) == pytest.approx(np.full(3, 1 / 3), rel=1e-6)


@pytest.mark.parametrize("done", [0, 1, 8, 49, 50, 55, 59])
def test_what_is_owed_is_what_the_steps_ahead_serve(done):
    """Runs of 8 steps: the last has 4 steps of its own."""
    _, _, flyer = drone()
    demand = demand_of(patchy_samples(), np.full(300, 1 / 300), 1024)
    effort = replace(EFFORT, points=8)
    plan = plan_alone(flyer, 0, np.array([50.0, 0, 50, 0]), N_STEPS, demand, demand.weight, effort)
    assert (plan.run, N_STEPS % plan.run) == (8, 4)
    slots, owed = owed_from(dues_of(plan, demand, np.arange(300)), plan, done)
    assert owed.sum() == pytest.approx((N_STEPS - done) * flyer.alpha, rel=1e-9)
    assert len(slots) == len(set(slots))


def test_matching_in_runs_of_steps_gives_no_false_news():
    """As above on a mission too long to be matched step by step."""
    runtime, law = team(np.inf, effort=replace(EFFORT, points=8, team_points=24))
    positions, eaten = fly(runtime)
    assert law.n_plans == 0
    assert np.abs(positions - law._common[1:]).max() < 1e-9
    assert eaten.sum(axis=0) == pytest.approx(np.full(300, 1 / 300), rel=1e-6)


def test_a_first_pass_makes_the_coverage_fair_early_on():
    flights = {share: fly(team(np.inf, effort=replace(EFFORT, early_share=share))[0]) for share in (0.0, 0.5)}
    early = round(0.5 * N_STEPS)
    w2 = {share: _w2_after(positions, early) for share, (positions, _) in flights.items()}
    assert w2[0.5] < 0.8 * w2[0.0]
    whole = {share: _w2_after(positions, N_STEPS) for share, (positions, _) in flights.items()}
    assert whole[0.5] < 1.5 * whole[0.0]
    assert flights[0.5][1].sum(axis=0) == pytest.approx(np.full(300, 1 / 300), rel=1e-6)


def _w2_after(positions, n_steps):
    visited = positions[:n_steps].reshape(-1, 2)
    return wasserstein2(visited, np.ones(len(visited)) / len(visited), patchy_samples(), np.full(300, 1 / 300)).value


def test_when_an_agent_is_lost_the_others_take_over_its_part():
    undisturbed, _ = team(np.inf)
    _, planned = fly(undisturbed)
    runtime, law = team(np.inf)
    _, eaten = fly(runtime, events=[(10, lambda: runtime.lose(1))])
    others = eaten[[0, 2]].sum(axis=0)
    was_its_own = planned[1] > 0.9 / 300
    assert others[was_its_own].sum() > 0.3 * planned[1].sum()
    assert law.n_plans >= 2
    assert eaten.sum(axis=0).max() <= 1 / 300 * (1 + 1e-9)  # the two agree on who takes what


def test_an_agent_that_comes_back_gets_a_part_again():
    runtime, law = team(np.inf)
    events = [(5, lambda: runtime.lose(1)), (40, lambda: runtime.bring_back(1))]
    _, eaten = fly(runtime, events=events)
    assert eaten[1].sum() == pytest.approx(25 / 180, rel=1e-6)
    assert law._knowledge.flying(0).all()
    twice = np.maximum(0, eaten.sum(axis=0) - 1 / 300).sum()
    assert twice <= 1 / 180  # in the step before it hears what the others have done


class Gust:
    """A world that pushes everyone aside once."""

    def __init__(self, runtime_world, at):
        self._world, self._at = runtime_world, at

    def __getattr__(self, name):
        return getattr(self._world, name)

    def advance(self, k, state, command, active):
        self._world.advance(k, state, command, active)
        if k == self._at:
            state[:, 0] += 60.0


def test_a_drifted_agent_plans_anew_and_still_consumes_everything():
    runtime, law = team(np.inf)
    runtime.world = Gust(runtime.world, 20)
    _, eaten = fly(runtime)
    assert law.n_plans >= 3
    assert eaten.sum(axis=0) == pytest.approx(np.full(300, 1 / 300), rel=1e-3)


def test_another_division_takes_the_place_of_the_first_only_if_it_is_better():
    _, _, flyer = drone(n_agents=3)
    points, weights = patchy_samples(), np.full(300, 1 / 300)
    states = [np.array([x, 0, y, 0]) for x, y in ((50.0, 50.0), (52.0, 50.0), (50.0, 52.0))]
    team = ([flyer] * 3, 0, states, [N_STEPS] * 3, points, weights)
    reached = [sum(p.objective for p in plan_team(*team, replace(EFFORT, divisions=n))[0]) for n in (1, 2, 4)]
    assert reached[0] >= reached[1] >= reached[2]
    assert reached[2] < 0.8 * reached[0]


def test_every_division_keeps_mass_and_capacity():
    demand = demand_of(patchy_samples(), np.full(300, 1 / 300), 1024)
    sites, capacity = np.array([[0.0, 0], [10, 0], [0, 10]]), np.array([1.0, 2.0, 1.0])
    for part in itertools.islice(divisions(sites, capacity, demand), 3):
        assert part.sum(axis=0) == pytest.approx(demand.weight)
        assert part.sum(axis=1) == pytest.approx(capacity / 4)
