"""The compiled team against a naive one with dense ledgers and full sorts, and what unequal agents do."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.bus.perfect import PerfectBus
from d2oc.control.law import first_gains, tracking_problem
from d2oc.ledger import quantised, quantum_of
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, double_integrator, single_integrator

CONTROL = ControlTable(terminal_cost="dare", input_weight=1e-3, state_weight=(0.0, 0.0))


def unequal_team(order="parallel", comm_range=30.0, rule="sum", n_samples=150):
    """Two double integrators with limits and long operation, one quick single integrator that leaves early."""
    rng = np.random.default_rng(4)
    weights = rng.random(n_samples) + 0.1
    n_steps = np.array([40, 40, 15])
    capacity = np.array([1.0, 1.0, 2.0])
    alpha = capacity / (capacity * n_steps).sum()
    models = [
        double_integrator(0.5, Limits(input_norm=3.0, speed_norm=6.0)),
        single_integrator(0.5, Limits(input_norm=9.0)),
    ]
    single = CONTROL.model_copy(update={"state_weight": (0.0,)})
    gains = [
        first_gains(tracking_problem(models[0], CONTROL, alpha[0]), 10, 40),
        first_gains(tracking_problem(models[1], single, alpha[2]), 10, 40),
    ]
    states = [np.array([10.0, 0, 10, 0]), np.array([50.0, 0, 20, 0]), np.array([80.0, 90])]
    return TeamSetup(
        points=rng.uniform(0, 100, (n_samples, 2)),
        weights=weights / weights.sum(),
        models=models,
        gains=gains,
        kind=np.array([0, 0, 1], np.int32),
        n_steps=n_steps.astype(np.int32),
        alpha=alpha,
        initial_states=states,
        comm_range=comm_range,
        rule=rule,
        order=order,
    )


def take(key, weight, alpha, fill):
    """Nearest first until alpha is filled; the very last sample may be overdrawn (`fill`)."""
    taken, left = {}, alpha
    alive = np.flatnonzero(weight > 0)
    ordered = alive[np.argsort(key[alive], kind="stable")]
    for j in ordered:
        amount = left if fill and j == ordered[-1] else min(weight[j], left)
        taken[j] = amount
        left -= amount
        if left <= 0:
            break
    return taken


def naive_parallel(setup, n_steps):
    """Positions and dense beliefs of a bulk-synchronous team, straight from the description."""
    n_agents, n = len(setup.kind), len(setup.weights)
    quantum = quantum_of(setup.weights, n_agents)
    beta = quantised(setup.weights, quantum)
    ledger = np.zeros((n_agents, n_agents, n))
    states = [s.copy() for s in setup.initial_states]
    positions = []
    for k in range(n_steps):
        for r in range(n_agents):
            model, gains = setup.models[setup.kind[r]], setup.gains[setup.kind[r]]
            weight = np.maximum(0, beta - ledger[r].sum(axis=0))
            if k >= setup.n_steps[r] or not weight.any():
                continue
            away = ((setup.points - model.C @ states[r]) ** 2).sum(axis=1)
            with np.errstate(divide="ignore"):
                chosen = take(away / weight**2, weight, setup.alpha[r], True)
            goal = sum(amount * setup.points[j] for j, amount in chosen.items()) / setup.alpha[r]
            command = gains.state[0] @ states[r] + gains.goal[0] @ goal
            norm = np.linalg.norm(command)
            command *= min(1.0, model.limits.input_norm / norm)
            if model.velocity_states:
                velocity = states[r][[1, 3]] + 0.5 * command
                allowed = velocity * min(1.0, model.limits.speed_norm / np.linalg.norm(velocity))
                command = (allowed - states[r][[1, 3]]) / 0.5
            states[r] = model.A[0] @ states[r] + model.B[0] @ command
            away = ((setup.points - model.C @ states[r]) ** 2).sum(axis=1)
            for j, amount in take(away, weight, setup.alpha[r], False).items():
                ledger[r, r, j] += np.floor(amount / quantum) * quantum
        where = np.array([setup.models[setup.kind[r]].C @ states[r] for r in range(n_agents)])
        positions.append(where)
        posted = ledger.copy()
        for r in range(n_agents):
            for q in range(n_agents):
                near = np.linalg.norm(where[r] - where[q]) < setup.comm_range
                if q != r and near and k < min(setup.n_steps[r], setup.n_steps[q]):
                    ledger[r] = np.maximum(ledger[r], posted[q])  # every row only grows
    return np.array(positions), np.maximum(0, beta - ledger.sum(axis=1))


@pytest.mark.parametrize("comm_range", [0.0, 30.0, np.inf])
def test_parallel_team_is_what_the_description_says(comm_range):
    setup = unequal_team(comm_range=comm_range)
    runtime = ArraysRuntime(setup, PerfectBus(comm_range))
    positions = []
    for k in range(40):
        runtime.step(k)
        positions.append(runtime.team.position.copy())
    expected, weights = naive_parallel(setup, 40)
    assert np.abs(np.array(positions) - expected).max() < 1e-9
    assert np.abs(runtime.remaining_weight() - weights).max() < 1e-14


def test_limits_hold_and_an_exhausted_agent_leaves():
    runtime = ArraysRuntime(unequal_team(), PerfectBus(30.0))
    velocity = np.zeros((3, 2))
    for k in range(40):
        runtime.step(k)
        assert np.linalg.norm(runtime.team.input[:2], axis=1).max() <= 3.0 * (1 + 1e-12)
        assert np.linalg.norm(runtime.team.state[:2][:, [1, 3]], axis=1).max() <= 6.0 * (1 + 1e-12)
        assert np.linalg.norm(runtime.team.input[2]) <= 9.0 * (1 + 1e-12)
        assert runtime.team.active[2] == (k < 15)
        if k == 14:
            last = runtime.team.position[2].copy()
    assert np.array_equal(runtime.team.position[2], last)
    assert np.isnan(runtime.team.goal[2]).all()
    assert velocity.shape == (3, 2)


@pytest.mark.parametrize("order", ["parallel", "sequential"])
def test_mass_is_conserved(order):
    """What a team consumed and what a fully informed agent believes to remain add up to the whole."""
    setup = unequal_team(order=order, comm_range=np.inf)
    runtime = ArraysRuntime(setup, PerfectBus(np.inf))
    consumed = np.zeros(len(setup.weights))
    for k in range(15):
        runtime.step(k)
        agent, sample, amount = runtime.consumption(k)
        np.add.at(consumed, sample, amount)
        assert amount.sum() == pytest.approx(runtime.team.consumed.sum(), abs=1e-15)
        assert np.bincount(agent, amount, 3) == pytest.approx(setup.alpha, abs=1e-14)
    remaining = runtime.remaining_weight()
    assert (remaining == remaining[0]).all()
    assert np.maximum(setup.weights - consumed, 0) == pytest.approx(remaining[0], abs=1e-14)
    assert runtime.believed_remaining == pytest.approx(remaining.sum(axis=1), abs=1e-14)


def test_logs_grow_when_they_must(monkeypatch):
    setup = unequal_team(n_samples=2000)
    roomy = ArraysRuntime(setup, PerfectBus(30.0))
    tight = ArraysRuntime(setup, PerfectBus(30.0))
    tight.logs = tight.logs._replace(slot=tight.logs.slot[:2001].copy(), amount=tight.logs.amount[:2001].copy())
    for k in range(40):
        roomy.step(k)
        tight.step(k)
    assert len(tight.logs.slot) > 2001
    assert np.array_equal(roomy.team.state, tight.team.state)
    assert np.array_equal(roomy.belief.weight, tight.belief.weight)


def test_minimum_rule_flies():
    runtime = ArraysRuntime(unequal_team(rule="minimum"), PerfectBus(30.0))
    for k in range(40):
        runtime.step(k)
    assert (runtime.believed_remaining < 1).all()
