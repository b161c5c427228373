"""What each table allows by itself but no mission can be: a sentence for every impossibility."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from d2oc.errors import FieldError
from d2oc.field import Field
from d2oc.scenario.schema import ControlTable, Quadrotor, Scenario, VehicleTable
from d2oc.vehicles.airframe import load_preset, preset_names, tank_capacity

MOST_STEPS = 1_000_000
MOST_IN_SEQUENCE = 1000
"""The sequential order is for teams of the published size."""

STATES_PER_AXIS = {
    "single-integrator": 1,
    "double-integrator": 2,
    "lagged-integrator": 3,
    "quadrotor": 4,
    "loaded-quadrotor": 4,
}


def impossibilities(scenario: Scenario) -> Iterator[str]:
    """Sentences on what cannot work, each beginning with its key."""
    yield from _field(scenario)
    yield from _density(scenario)
    yield from _team(scenario)
    yield from _mission(scenario)
    yield from _world(scenario)
    yield from _control("control", scenario.control, scenario.vehicle)
    for i, group in enumerate(scenario.team.groups):
        if group.control is not None or group.vehicle is not None:
            control, vehicle = group.control or scenario.control, group.vehicle or scenario.vehicle
            yield from _control(f"team.groups[{i}].control", control, vehicle)


def _field(scenario: Scenario) -> Iterator[str]:
    table = scenario.field
    if table is None:
        if scenario.density.kind in ("mixture", "uniform"):
            yield (
                f'field is missing: density.kind = "{scenario.density.kind}" covers no ground of its own; '
                "give field.width_m and field.height_m, or field.boundary_m"
            )
        return
    sides = (table.width_m, table.height_m)
    if table.boundary_m is not None and sides != (None, None):
        yield "field.boundary_m stands beside width_m or height_m: give either the polygon or the rectangle"
    elif table.boundary_m is None and None in sides:
        yield "field needs both width_m and height_m [m], or boundary_m"
    else:
        try:
            field = Field.from_table(table)
        except FieldError as error:
            yield f"field: {error}"
        else:
            yield from _starts(scenario, field)


def _starts(scenario: Scenario, field: Field) -> Iterator[str]:
    for i, place in enumerate(scenario.team.start_m or ()):
        if not field.contains(np.array([place]))[0]:
            yield (
                f"team.start_m[{i}] = [{place[0]:g}, {place[1]:g}] must be inside the field "
                "and outside its no-fly zones [m]"
            )


def _density(scenario: Scenario) -> Iterator[str]:
    file = getattr(scenario.density, "file", None)
    if file is not None and not file.is_file():
        yield f'density.file = "{file}" is not a file'


def _team(scenario: Scenario) -> Iterator[str]:
    team = scenario.team
    if team.groups and team.n_agents is not None:
        yield f"team.n_agents = {team.n_agents} stands beside team.groups: give one of them"
    elif not team.groups and team.n_agents is None:
        yield "team.n_agents is missing: how many agents fly, at least 1; or list team.groups"
    n_agents = sum(group.n_agents for group in team.groups) or team.n_agents or 0
    if team.start_m is not None and n_agents and len(team.start_m) != n_agents:
        yield f"team.start_m has {len(team.start_m)} places, but the team has {n_agents} agents"
    if scenario.mission.order == "sequential" and n_agents > MOST_IN_SEQUENCE:
        yield f'mission.order = "sequential" allows at most {MOST_IN_SEQUENCE} agents, not {n_agents}; use "parallel"'


def _mission(scenario: Scenario) -> Iterator[str]:
    mission = scenario.mission
    durations: Sequence[tuple[str, float | None]] = [
        ("mission.duration_s", mission.duration_s),
        *((f"team.groups[{i}].duration_s", group.duration_s) for i, group in enumerate(scenario.team.groups)),
    ]
    for key, duration in durations:
        if duration is None:
            continue
        if duration < mission.time_step_s:
            yield f"{key} = {duration:g} must be at least one mission.time_step_s = {mission.time_step_s:g} [s]"
        elif duration / mission.time_step_s > MOST_STEPS:
            yield f"{key} = {duration:g} makes {duration / mission.time_step_s:,.0f} steps; at most {MOST_STEPS:,}"


def _control(key: str, control: ControlTable, vehicle: VehicleTable) -> Iterator[str]:
    needed = STATES_PER_AXIS[vehicle.model]
    if control.state_weight is not None and len(control.state_weight) != needed:
        yield (
            f"{key}.state_weight has {len(control.state_weight)} entries, "
            f'but vehicle.model = "{vehicle.model}" has {needed} per axis'
        )


def _world(scenario: Scenario) -> Iterator[str]:
    if scenario.world.kind == "bullet" and scenario.mission.order == "sequential":
        yield 'world.kind = "bullet" moves all drones at once: mission.order must be "parallel", not "sequential"'
    vehicles = [("vehicle", scenario.vehicle)]
    vehicles += [(f"team.groups[{i}].vehicle", g.vehicle) for i, g in enumerate(scenario.team.groups) if g.vehicle]
    for key, vehicle in vehicles:
        yield from _airframe(key, vehicle)
        if scenario.world.kind == "bullet" and vehicle.model == "quadrotor":
            yield from _inertia(key, vehicle)


def _inertia(key: str, vehicle: Quadrotor) -> Iterator[str]:
    """The model's torques turn the simulated body, so the two must be of one kind."""
    if vehicle.preset in preset_names():
        built = load_preset(vehicle.preset).inertia_with(vehicle.liquid_l)[0]
        if not 0.5 < vehicle.inertia_kg_m2 / built < 2.0:
            yield (
                f"{key}.inertia_kg_m2 = {vehicle.inertia_kg_m2:g} is far from that of {vehicle.preset}, {built:.3g}: "
                f'change it, or {key}.preset, or use {key}.model = "loaded-quadrotor" [kg m^2]'
            )


def _airframe(key: str, vehicle: VehicleTable) -> Iterator[str]:
    if vehicle.preset not in preset_names():
        yield f'{key}.preset = "{vehicle.preset}" is no preset; known are {", ".join(preset_names())}'
        return
    capacity = tank_capacity(vehicle.preset)
    if vehicle.liquid_l > capacity:
        yield f"{key}.liquid_l = {vehicle.liquid_l:g} must be at most {capacity:g}, the tank of {vehicle.preset} [L]"
