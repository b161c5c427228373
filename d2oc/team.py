"""From a scenario to a team: who flies what, from where, for how long, and with which law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.law import Gains, first_gains, require_stable, tracking_problem
from d2oc.errors import ScenarioError
from d2oc.field import Field
from d2oc.scenario.schema import GroupTable, Scenario, VehicleTable
from d2oc.vehicles.from_scenario import vehicle_model
from d2oc.vehicles.linear import LinearModel

SAMPLING_STREAM = 0
"""First word of the seed of the sampling."""
AGENT_STREAM = 1
"""First word of the seed of an agent; the second is its number, so adding an agent changes no other draw."""
GUIDANCE_STREAM = 2
"""First word of the seed of an agent's baseline; the second is its number."""
WIND_STREAM = 3
"""First word of the seed of the gusts at an agent; the second is its number."""
SENSOR_STREAM = 4
"""First word of the seed of an agent's sensors; the second is its number."""


@dataclass(frozen=True, eq=False)
class Kind:
    """Agents that share model, law, duration and mass per step."""

    n_agents: int
    vehicle: VehicleTable
    model: LinearModel
    problem: TrackingProblem
    gains: Gains
    n_steps: int
    alpha: float
    """Mass of one step: the capacities of the whole team sum to one."""


def random_stream(scenario: Scenario, *words: int) -> np.random.Generator:
    """Generator of one purpose, independent of all others of the same seed."""
    return np.random.default_rng(np.random.SeedSequence(scenario.seed, spawn_key=words))


def team_kinds(scenario: Scenario) -> list[Kind]:
    """Kinds of agents of a scenario, in the order of the agents.

    Raises
    ------
    UnstableLoopError
        If the closed loop of a kind diverges.
    """
    groups = list(_groups(scenario))
    steps = [_n_steps(scenario, group) for group in groups]
    capacity = sum(g.n_agents * g.capacity * m for g, m in zip(groups, steps, strict=True))
    return [
        _kind(scenario, group, n_steps, group.capacity / capacity) for group, n_steps in zip(groups, steps, strict=True)
    ]


def _groups(scenario: Scenario) -> Iterator[GroupTable]:
    if scenario.team.groups:
        yield from scenario.team.groups
    else:
        yield GroupTable(n_agents=scenario.team.n_agents or 1)


def _n_steps(scenario: Scenario, group: GroupTable) -> int:
    duration = group.duration_s or scenario.mission.duration_s
    return max(1, round(duration / scenario.mission.time_step_s))


def _kind(scenario: Scenario, group: GroupTable, n_steps: int, alpha: float) -> Kind:
    control = group.control or scenario.control
    vehicle = group.vehicle or scenario.vehicle
    model = vehicle_model(vehicle, scenario.mission.time_step_s, n_steps)
    problem = tracking_problem(model, control, alpha)
    if control.law == "closed-form" and vehicle.model != "unicycle":  # whose law is not that linear one
        require_stable(problem, control, scenario.name, n_steps)
    gains = first_gains(problem, control.horizon_steps, n_steps)
    return Kind(group.n_agents, vehicle, model, problem, gains, n_steps, alpha)


def cruise_speeds(scenario: Scenario) -> Floats:
    """Speed at which a baseline flies each agent, shape (L,). [m/s]"""
    speeds = []
    for group in _groups(scenario):
        control, vehicle = group.control or scenario.control, group.vehicle or scenario.vehicle
        speeds += [min(control.cruise_speed_m_s or vehicle.max_speed_m_s, vehicle.max_speed_m_s)] * group.n_agents
    return np.array(speeds)


def start_positions(scenario: Scenario, field: Field, n_agents: int) -> Floats:
    """Where the agents start, shape (L, 2), local ENU. [m]"""
    team = scenario.team
    if team.start_m is not None:
        positions = np.array(team.start_m, dtype=np.float64)
        if len(positions) != n_agents:
            raise ScenarioError(
                f"{scenario.name}: team.start_m has {len(positions)} places, but the team has {n_agents} agents"
            )
        return _inside(scenario, field, positions)
    if team.start == "line":
        return _line(field, n_agents)
    return np.array([_anywhere(field, random_stream(scenario, AGENT_STREAM, r)) for r in range(n_agents)])


def _inside(scenario: Scenario, field: Field, positions: Floats) -> Floats:
    """The start places, refused when one is not in the field; it may come from the data, after the scenario."""
    outside = np.flatnonzero(~field.contains(positions))
    if len(outside):
        x_min, y_min, x_max, y_max = field.bounds
        x, y = positions[outside[0]]
        raise ScenarioError(
            f"{scenario.name}: team.start_m[{outside[0]}] = [{x:g}, {y:g}] must be inside the field "
            f"(x {x_min:g} to {x_max:g} m, y {y_min:g} to {y_max:g} m) and outside its no-fly zones [m]"
        )
    return positions


def _anywhere(field: Field, rng: np.random.Generator) -> Floats:
    """A place inside the field, evenly distributed."""
    x_min, y_min, x_max, y_max = field.bounds
    for _ in range(1000):
        places = rng.uniform((x_min, y_min), (x_max, y_max), (64, 2))
        inside = places[field.contains(places)]
        if len(inside):
            place: Floats = inside[0]
            return place
    raise ScenarioError("no start place was found inside the field: it is too thin, give team.start_m")


def _line(field: Field, n_agents: int) -> Floats:
    """Side by side, each at the southernmost place of the field at its easting."""
    x_min, y_min, x_max, y_max = field.bounds
    y = np.linspace(y_min, y_max, 401)
    positions = []
    for x in x_min + (np.arange(n_agents) + 0.5) / n_agents * (x_max - x_min):
        inside = field.contains(np.column_stack([np.full_like(y, x), y]))
        if not inside.any():
            raise ScenarioError(f"the field has no place at x = {x:.1f} m for a start line: give team.start_m")
        positions.append((x, y[inside.argmax()]))
    return np.array(positions)


def initial_state(model: LinearModel, position: Floats) -> Floats:
    """At rest at a position, shape (n,)."""
    state = np.zeros(model.n_states)
    state[list(model.position_states)] = position
    return state
