"""The published law in assigned cells, and what agents know of each other."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.bus.perfect import PerfectBus
from d2oc.control.assigned_law import AssignedLaw
from d2oc.control.law import first_gains, tracking_problem
from d2oc.control.team_knowledge import SILENT_STEPS, TeamKnowledge
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, single_integrator

T, N_STEPS, N = 0.5, 80, 400
CAPACITY = np.array([1.0, 1.0, 2.0])


def team(comm_range=np.inf, refresh_steps=10):
    rng = np.random.default_rng(3)
    alpha = CAPACITY / (CAPACITY * N_STEPS).sum()
    model = single_integrator(T, Limits(input_norm=8.0))
    control = ControlTable(terminal_cost="dare", input_weight=1e-3, state_weight=(0.0,))
    gains = [first_gains(tracking_problem(model, control, a), 10, N_STEPS) for a in alpha]
    starts = np.array([[10.0, 10], [90, 10], [50, 90]])
    n_steps = np.full(3, N_STEPS, np.int32)
    law = AssignedLaw(starts, n_steps, alpha, comm_range, np.full(3, 8.0 * T), refresh_steps)
    setup = TeamSetup(
        points=rng.uniform(0, 100, (N, 2)),
        weights=np.full(N, 1 / N),
        models=[model] * 3,
        gains=gains,
        kind=np.arange(3, dtype=np.int32),
        n_steps=n_steps,
        alpha=alpha,
        initial_states=list(starts),
        comm_range=comm_range,
        controller=law,
    )
    return ArraysRuntime(setup, PerfectBus(comm_range)), law


def eaten_by(runtime, n_steps, events=()):
    eaten = np.zeros((3, N))
    for k in range(n_steps):
        for step, event in events:
            if step == k:
                event()
        runtime.step(k)
        agent, sample, amount = runtime.consumption(k)
        np.add.at(eaten, (agent, sample), amount)
    return eaten


def test_cells_hold_what_each_can_treat_and_overlap_nowhere():
    runtime, law = team()
    runtime.step(0)
    cells = np.array(law.mine)
    assert (cells.sum(axis=0) == 1).all()
    assert cells.sum(axis=1) / N == pytest.approx(CAPACITY / 4, abs=1.5 / N)


@pytest.mark.parametrize("comm_range", [0.0, np.inf])
def test_agents_that_know_the_same_find_the_same_cells_and_treat_nothing_twice(comm_range):
    """With full radio all the time; without, from what all know before take-off, and cells that are never renewed."""
    runtime, _ = team(comm_range, refresh_steps=10 if np.isinf(comm_range) else 10_000)
    eaten = eaten_by(runtime, N_STEPS)
    assert eaten.sum(axis=0).max() <= 1 / N * (1 + 0.05)
    assert eaten.sum() == pytest.approx(1.0, abs=1 / N)  # samples have one owner: a part of one may be left at the end


def test_only_the_own_cell_is_treated():
    runtime, law = team(refresh_steps=10_000)
    runtime.step(0)
    cells = [cell.copy() for cell in law.mine]
    for k in range(1, 40):
        runtime.step(k)
        agent, sample, _ = runtime.consumption(k)
        slot_of = np.argsort(runtime.tree.sample)
        for r in range(3):
            assert cells[r][slot_of[sample[agent == r]]].all()


def test_the_cell_of_a_lost_agent_is_taken_over():
    runtime, law = team()
    runtime.step(0)
    slot_of = np.argsort(runtime.tree.sample)
    was_its_own = law.mine[2][slot_of]
    runtime, law = team()
    eaten = eaten_by(runtime, N_STEPS, [(5, lambda: runtime.lose(2))])
    assert not law._knowledge.flying(0)[2]
    assert eaten[:2, was_its_own].sum() > 0.1
    assert eaten.sum(axis=0).max() <= 1 / N * (1 + 0.05)


def links(*pairs):
    array = np.array(sorted(pairs, key=lambda p: (p[1], p[0])), np.int32).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def test_positions_travel_at_second_hand():
    knowledge = TeamKnowledge(3)
    starts = np.zeros((3, 2))
    where = np.array([[1.0, 0], [2, 0], [3, 0]])
    knowledge.hear(0, *links((0, 1)), where)
    assert knowledge.positions(1, starts)[0] == pytest.approx([1, 0])
    knowledge.hear(1, *links((1, 2)), where + 10)
    assert knowledge.positions(2, starts) == pytest.approx(np.array([[1.0, 0], [12, 10], [0, 0]]))
    assert knowledge.positions(0, starts) == pytest.approx(starts)
    assert knowledge.steps_since_heard(1)[2].tolist() == [1, 0, 2]


def test_who_is_expected_and_silent_is_lost_and_back_once_heard():
    knowledge = TeamKnowledge(3)
    where = np.zeros((3, 2))
    expected = np.ones((3, 3), np.bool_) & ~np.eye(3, dtype=np.bool_)
    everyone_but_2 = links((0, 1), (1, 0))
    for k in range(SILENT_STEPS):
        assert knowledge.flying(0)[2]
        assert not knowledge.hear(k, *everyone_but_2, where).any()
        came_to_know = knowledge.miss(expected)
    assert came_to_know.all()  # agent 2 misses the others as they miss it
    assert not knowledge.flying(0)[2]
    assert knowledge.flying(0)[1]
    changed = knowledge.hear(SILENT_STEPS, *links((2, 0)), where)
    assert changed[0]
    assert knowledge.flying(0)[2]
    assert not knowledge.flying(1)[2]
    knowledge.hear(SILENT_STEPS + 1, *everyone_but_2, where)  # the news of its return travels on
    assert knowledge.flying(1)[2]
