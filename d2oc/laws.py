"""From a scenario to the law that steers its team."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Floats
from d2oc.bus.from_scenario import radio_model
from d2oc.control.assigned_law import AssignedLaw
from d2oc.control.baselines import BASELINES, baseline_steering
from d2oc.control.baselines.guidance import CoverageTask
from d2oc.control.baselines.steering import response_of
from d2oc.control.controller import ClosedFormLaw, Controller, GuidedLaw
from d2oc.control.convexified import ConvexifiedLaw, Rover
from d2oc.control.feed_forward import FeedForward, feed_forward
from d2oc.control.fence import fence_of
from d2oc.control.law import tracking_problem
from d2oc.control.limits_inside import (
    LimitsInside,
    braking_of,
    require_room,
    rules_for,
    way_of_one_step,
    ways_for,
)
from d2oc.control.mission_law import ASTRAY_STEPS, MissionPlanLaw
from d2oc.control.mission_plan import Effort, Flyer, flyer_of
from d2oc.control.tethers import PLANES, require_connected
from d2oc.control.ways import Ways
from d2oc.density import SampleSet
from d2oc.density.moving import Moves
from d2oc.field import Field
from d2oc.scenario.schema import ControlTable, Scenario
from d2oc.team import GUIDANCE_STREAM, Kind, cruise_speeds, random_stream
from d2oc.vehicles.linear import GRAVITY, Limits, double_integrator, top_speed_of


def team_law(
    scenario: Scenario,
    field: Field,
    samples: SampleSet,
    kinds: Sequence[Kind],
    starts: Floats,
    moves: Moves | None = None,
) -> Controller | None:
    """What steers a team.

    Parameters
    ----------
    scenario : Scenario
        The mission.
    field : Field
        Its ground.
    samples : SampleSet
        Samples of its density.
    kinds : sequence of Kind
        Kinds of agents, in the order of the agents.
    starts : ndarray, shape (L, 2)
        Where they start, local ENU. [m]
    moves : Moves, optional
        How the samples move; default: they stand still.

    Returns
    -------
    law : Controller or None
        None for the published law in sequence, which is no controller of a team but an order of its own.
    """
    law = _law(scenario, field, samples, kinds, starts, moves)
    if law is None or scenario.control.limits == "clamped":
        return law
    return _limits_inside(scenario, field, kinds, starts, law)


def _limits_inside(
    scenario: Scenario, field: Field, kinds: Sequence[Kind], starts: Floats, law: Controller
) -> LimitsInside:
    """The law with its limits inside the optimisation."""
    control = _controls(scenario)
    ready = [
        braking_of(
            kind.model,
            kind.problem,
            own.horizon_steps,
            scenario.mission.time_step_s,
            scenario.name,
            PLANES if scenario.team.keep_connected else 0,
        )
        for kind, own in zip(kinds, control, strict=True)
    ]
    agents = [braking for kind, braking in zip(kinds, ready, strict=True) for _ in range(kind.n_agents)]
    separation, comm_range = scenario.team.separation_m, scenario.radio.comm_range_m
    if separation > 0:
        require_room(scenario.name, agents, starts, separation, comm_range)
    if scenario.team.keep_connected:
        require_connected(scenario.name, starts, comm_range)
    certain = radio_model(scenario).perfect
    rules = rules_for(
        agents, fence_of(field), separation, comm_range, certain=certain, connected=scenario.team.keep_connected
    )
    return LimitsInside(law, agents, starts, rules)


def _law(
    scenario: Scenario,
    field: Field,
    samples: SampleSet,
    kinds: Sequence[Kind],
    starts: Floats,
    moves: Moves | None,
) -> Controller | None:
    """What says where to go."""
    agents = [kind for kind in kinds for _ in range(kind.n_agents)]
    if scenario.control.law == "mission-plan":
        return _mission_plan(scenario, field, kinds, agents, moves if scenario.control.feed_forward else None)
    if scenario.control.law in BASELINES:
        return _baseline(scenario, field, samples, kinds, agents, starts, moves)
    if scenario.mission.order == "sequential":
        return None
    if scenario.assignment.method == "semi-discrete":
        return _assigned(scenario, agents, starts, _feed_forward(scenario, kinds, moves))
    published = _closed_form(scenario, samples, agents, _feed_forward(scenario, kinds, moves))
    rovers = [_rover(scenario, kind, own) for kind, own in _with_control(scenario, kinds)]
    return ConvexifiedLaw(published, rovers) if any(rovers) else published


def _controls(scenario: Scenario) -> list[ControlTable]:
    """Control of every kind."""
    return [group.control or scenario.control for group in scenario.team.groups] or [scenario.control]


def _with_control(scenario: Scenario, kinds: Sequence[Kind]) -> list[tuple[Kind, ControlTable]]:
    """Every agent's kind and control."""
    control = _controls(scenario)
    return [(kind, own) for kind, own in zip(kinds, control, strict=True) for _ in range(kind.n_agents)]


def _rover(scenario: Scenario, kind: Kind, control: ControlTable) -> Rover | None:
    """The unicycle of a kind, None for other vehicles."""
    limits = kind.model.limits
    if kind.model.name != "unicycle":
        return None
    effort = np.diag(kind.problem.R[0]) / kind.alpha
    return Rover(
        scenario.mission.time_step_s, control.horizon_steps, (limits.input_each, limits.turn_rate),
        (float(effort[0]), float(effort[1])),
    )  # fmt: skip


def _closed_form(
    scenario: Scenario, samples: SampleSet, agents: Sequence[Kind], ahead: FeedForward | None = None
) -> ClosedFormLaw:
    give_way = scenario.mission.give_way and scenario.ledger.rule == "sum"
    return ClosedFormLaw(len(agents), len(samples.weights), give_way=give_way, ahead=ahead)


def _feed_forward(scenario: Scenario, kinds: Sequence[Kind], moves: Moves | None) -> FeedForward | None:
    if moves is None or not scenario.control.feed_forward:
        return None
    return feed_forward(moves, [kind.model for kind in kinds], [kind.gains for kind in kinds], scenario.name)


def _assigned(scenario: Scenario, agents: Sequence[Kind], starts: Floats, ahead: FeedForward | None) -> AssignedLaw:
    time_step = scenario.mission.time_step_s
    return AssignedLaw(
        starts,
        _n_steps(agents),
        np.array([kind.alpha for kind in agents]),
        scenario.radio.comm_range_m,
        np.array([top_speed_of(kind.model) * time_step for kind in agents]),
        max(1, round(scenario.assignment.refresh_interval_s / time_step)),
        ahead,
    )


def _mission_plan(
    scenario: Scenario, field: Field, kinds: Sequence[Kind], agents: Sequence[Kind], moves: Moves | None
) -> MissionPlanLaw:
    time_step = scenario.mission.time_step_s
    ways, patience = None, ASTRAY_STEPS
    if scenario.control.limits == "optimised":
        patience = 1
        ways = ways_for(fence_of(field), [way_of_one_step(kind.model, time_step) for kind in kinds])
    flyers = {
        id(kind): _flyer(scenario, kind, own, ways, moves) for kind, own in zip(kinds, _controls(scenario), strict=True)
    }
    effort = Effort(
        rounds=scenario.control.plan_rounds,
        routes=scenario.control.plan_routes,
        divisions=scenario.control.plan_divisions,
        changes=scenario.control.plan_changes,
        early_share=scenario.control.plan_early_share,
    )
    return MissionPlanLaw(
        [flyers[id(kind)] for kind in agents],
        _n_steps(agents),
        scenario.radio.comm_range_m,
        effort,
        patience_steps=patience,
    )


def _flyer(scenario: Scenario, kind: Kind, control: ControlTable, ways: Ways | None, moves: Moves | None) -> Flyer:
    """How an agent is planned for: a full quadrotor as a double integrator that accelerates as its tilt allows."""
    time_step, model = scenario.mission.time_step_s, kind.model
    if model.body is None:
        return flyer_of(model, kind.problem, time_step, ways, moves)
    limits = model.limits
    most = min(limits.acceleration_norm, GRAVITY * math.tan(limits.tilt_norm))
    outline = double_integrator(time_step, Limits(input_norm=most, speed_norm=limits.speed_norm))
    flyer = flyer_of(outline, tracking_problem(outline, control, kind.alpha), time_step, ways, moves)
    return replace(flyer, columns=(0, 3, 1, 4))


def _baseline(
    scenario: Scenario,
    field: Field,
    samples: SampleSet,
    kinds: Sequence[Kind],
    agents: Sequence[Kind],
    starts: Floats,
    moves: Moves | None,
) -> GuidedLaw:
    time_step = scenario.mission.time_step_s
    task = CoverageTask(
        points=samples.points,
        weights=samples.weights / samples.weights.sum(),
        field=field,
        start=starts,
        n_steps=_n_steps(agents),
        alpha=np.array([kind.alpha for kind in agents]),
        time_step=time_step,
        speed=cruise_speeds(scenario),
        response=np.array([response_of(kind.model, kind.gains, time_step) for kind in agents]),
        rngs=tuple(random_stream(scenario, GUIDANCE_STREAM, r) for r in range(len(agents))),
    )
    number = np.repeat(np.arange(len(kinds), dtype=np.int32), [kind.n_agents for kind in kinds])
    models, gains = [kind.model for kind in kinds], [kind.gains for kind in kinds]
    guide = baseline_steering(scenario.control, task, models, gains, number, moves)
    return GuidedLaw(guide, _closed_form(scenario, samples, agents))


def _n_steps(agents: Sequence[Kind]) -> NDArray[Any]:
    return np.array([kind.n_steps for kind in agents], np.int32)
