"""What each table allows by itself but no mission can be: a sentence for every impossibility."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from d2oc.airframes.airframe import load_preset, preset_names, tank_capacity
from d2oc.errors import FieldError, MapFileError
from d2oc.field import Field, ring_contains
from d2oc.scenario.schema import (
    BaselineLaw,
    ControlTable,
    DoseTable,
    FieldTable,
    JammingTable,
    NoFlyZoneTable,
    NoSprayZoneTable,
    OutageTable,
    PartitionTable,
    Quadrotor,
    Scenario,
    VehicleTable,
)

RELATIVE = "a relative path starts at the folder of the scenario file"
MOST_STEPS = 1_000_000
MOST_IN_SEQUENCE = 1000
"""The sequential order is for teams of the published size."""
BASELINE_LAWS = frozenset(get_args(BaselineLaw))

BYTES_PER_SAMPLE_AND_AGENT = 9
"""Belief of one agent in one sample. [byte]"""
BYTES_PER_PAIR = 4
"""What one agent knows of another. [byte]"""
BYTES_PER_LINK = 60
"""A message on its way between two agents in range. [byte]"""
BYTES_PER_AGENT_STEP = 150
"""One agent's row of the record and its batch of consumption. [byte]"""

STATES_PER_AXIS = {
    "single-integrator": 1,
    "double-integrator": 2,
    "lagged-integrator": 3,
    "quadrotor": 4,
    "loaded-quadrotor": 4,
    "full-quadrotor": 4,
    "unicycle": 1,
}


def impossibilities(scenario: Scenario) -> Iterator[str]:
    """Sentences on what cannot work, each beginning with its key."""
    yield from _field(scenario)
    yield from _density(scenario)
    yield from _motion(scenario)
    yield from _team(scenario)
    yield from _law(scenario)
    yield from _world(scenario)
    too_long = list(_mission(scenario))
    yield from too_long or _memory(scenario)
    yield from _radio(scenario)
    yield from _faults(scenario)
    yield from _control("control", scenario.control, scenario.vehicle)
    yield from _baseline(scenario)
    yield from _transit(scenario)
    yield from _spraying(scenario)
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
    missing_files = list(_field_files(table))
    sides = (table.width_m, table.height_m)
    if missing_files:
        yield from missing_files
    elif table.boundary_file is not None and (table.boundary_m is not None or sides != (None, None)):
        yield "field.boundary_file stands beside boundary_m, width_m or height_m: give the field once"
    elif table.boundary_m is not None and sides != (None, None):
        yield "field.boundary_m stands beside width_m or height_m: give either the polygon or the rectangle"
    elif table.boundary_file is None and table.boundary_m is None and None in sides:
        missing = "width_m" if table.width_m is None else "height_m"
        yield f"field.{missing} is missing: a field needs width_m and height_m, or boundary_m [m], or boundary_file"
    else:
        try:
            field = Field.from_table(table)
        except (FieldError, MapFileError) as error:
            yield str(error)
        else:
            yield from _zones_elsewhere(table, field)
            yield from _starts(scenario, field)


def _field_files(table: FieldTable) -> Iterator[str]:
    for key in ("boundary_file", "no_fly_file", "no_spray_file"):
        file = getattr(table, key)
        if file is not None and (reason := _why_unreadable(file)) is not None:
            yield f'field.{key} = "{_shortened(file)}" {reason}; {RELATIVE}'


def _zones_elsewhere(table: FieldTable, field: Field) -> Iterator[str]:
    """A zone that does not touch the field forbids nothing: its coordinates must be wrong."""
    x_min, y_min, x_max, y_max = field.bounds
    tables: Sequence[tuple[str, Sequence[NoFlyZoneTable | NoSprayZoneTable]]] = [
        ("no_fly_zones", table.no_fly_zones),
        ("no_spray_zones", table.no_spray_zones),
    ]
    for key, zones in tables:
        for i, zone in enumerate(zones):
            ground = Field(np.array(zone.boundary_m)).area_m2
            if Field(field.boundary).area_within(np.array(zone.boundary_m)) <= 1e-9 * ground:
                yield (
                    f"field.{key}[{i}].boundary_m ('{zone.name}') is all outside the field "
                    f"(x {x_min:g} to {x_max:g} m, y {y_min:g} to {y_max:g} m), so it forbids nothing; "
                    "check its coordinates or leave it out"
                )


def _starts(scenario: Scenario, field: Field) -> Iterator[str]:
    for i, place in enumerate(scenario.team.start_m or ()):
        if not field.contains(np.array([place]))[0]:
            yield (
                f"team.start_m[{i}] = [{place[0]:g}, {place[1]:g}] must be inside the field "
                f"and outside its no-fly zones [m], but is {_where(field, place)}"
            )


def _where(field: Field, place: tuple[float, float]) -> str:
    zone = next((zone for zone in field.no_fly_zones if ring_contains(zone.boundary, [place])[0]), None)
    return f"in the zone '{zone.name}'" if zone else "outside the field"


def _density(scenario: Scenario) -> Iterator[str]:
    file = getattr(scenario.density, "file", None)
    if file is None:
        return
    if (reason := _why_unreadable(file)) is not None:
        yield f'density.file = "{_shortened(file)}" {reason}; {RELATIVE}'


def _motion(scenario: Scenario) -> Iterator[str]:
    """What cannot follow a density that moves, and what is too slow for it."""
    motion = scenario.density.motion
    if motion is None:
        return
    if motion.kind == "field" and (reason := _why_unreadable(motion.file)) is not None:
        yield f'density.motion.file = "{_shortened(motion.file)}" {reason}; {RELATIVE}'
    if scenario.mission.order == "sequential":
        yield 'density.motion goes with mission.order = "parallel" only, not with "sequential"'
    if scenario.spray is not None:
        yield "density.motion stands beside spray: a spraying mission treats a map that stands still"
    if motion.kind == "drift":
        speed = math.hypot(*motion.velocity_m_s)
        if speed >= scenario.vehicle.max_speed_m_s:
            yield (
                f"density.motion.velocity_m_s is {speed:g} m/s fast, must be below "
                f"vehicle.max_speed_m_s = {scenario.vehicle.max_speed_m_s:g}: nobody could follow"
            )


def _shortened(file: Path) -> str:
    return str(file) if len(str(file)) <= 200 else f"{str(file)[:200]}..."


def _why_unreadable(file: Path) -> str | None:
    try:
        if file.is_dir():
            return "is a folder, not a file"
        return None if file.is_file() else "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError:
        return "is no possible file name"


def _team(scenario: Scenario) -> Iterator[str]:
    team = scenario.team
    if team.groups and team.n_agents is not None:
        yield f"team.n_agents = {team.n_agents} stands beside team.groups: give one of them"
    elif not team.groups and team.n_agents is None:
        yield "team.n_agents is missing: how many agents fly, at least 1; or list team.groups"
    n_agents = scenario.team.size
    if team.start_m is not None and n_agents and len(team.start_m) != n_agents:
        yield f"team.start_m has {len(team.start_m)} places, but the team has {n_agents} agents"
    if scenario.mission.order == "sequential" and n_agents > MOST_IN_SEQUENCE:
        yield f'mission.order = "sequential" allows at most {MOST_IN_SEQUENCE} agents, not {n_agents}; use "parallel"'


def _law(scenario: Scenario) -> Iterator[str]:
    law = scenario.control.law
    if law != "closed-form" and scenario.mission.order == "sequential":
        yield 'mission.order = "sequential" goes with control.law = "closed-form" only; use "parallel"'
    yield from _limits(scenario)
    for i, group in enumerate(scenario.team.groups):
        if group.control is not None and group.control.law != law:
            yield (
                f'team.groups[{i}].control.law = "{group.control.law}" must be that of the team, '
                f'control.law = "{law}": a team flies one law'
            )


def _limits(scenario: Scenario) -> Iterator[str]:
    """Limits inside the optimisation need the parallel order, one setting for all, and bound separation."""
    limits = scenario.control.limits
    if limits == "optimised" and scenario.mission.order == "sequential":
        yield 'mission.order = "sequential" goes with control.limits = "clamped" only; use "parallel"'
    if scenario.team.separation_m > 0 and limits == "clamped":
        yield (
            f"team.separation_m = {scenario.team.separation_m:g} m is kept with "
            'control.limits = "optimised" only, not with "clamped"'
        )
    if scenario.team.keep_connected and limits == "clamped":
        yield 'team.keep_connected = true is kept with control.limits = "optimised" only, not with "clamped"'
    for i, group in enumerate(scenario.team.groups):
        if scenario.team.keep_connected and group.duration_s not in (None, scenario.mission.duration_s):
            yield (
                f"team.groups[{i}].duration_s = {group.duration_s:g} must be that of the mission, "
                f"{scenario.mission.duration_s:g}, with team.keep_connected = true: who ends earlier relays no more [s]"
            )
        if group.control is not None and group.control.limits != limits:
            yield (
                f'team.groups[{i}].control.limits = "{group.control.limits}" must be that of the team, '
                f'control.limits = "{limits}"'
            )


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
            yield f"{key} = {duration:g} s must be at least one mission.time_step_s = {mission.time_step_s:g} s"
        elif duration / mission.time_step_s > MOST_STEPS:
            yield (
                f"{key} = {duration:g} s makes {_number(duration / mission.time_step_s)} steps of "
                f"mission.time_step_s = {mission.time_step_s:g} s; at most {MOST_STEPS:,} are flown"
            )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value < 1e15 else f"{value:.3g}"


def _memory(scenario: Scenario) -> Iterator[str]:
    """Refuse what this machine cannot hold, before anything is allocated."""
    needed, there = memory_needed(scenario), machine_memory()
    if needed > there:
        yield (
            f"sampling.n_samples = {scenario.sampling.n_samples:,}, {scenario.team.size:,} agents and "
            f"{_most_steps(scenario):,} steps need about {needed / 1e9:,.0f} GB of memory, this machine has "
            f"{there / 1e9:,.0f} GB; take fewer of them"
        )


def memory_needed(scenario: Scenario) -> int:
    """Lower estimate of the memory that a mission takes. [byte]"""
    n_agents = scenario.team.size
    links = n_agents**2 if scenario.radio.comm_range_m == float("inf") else 0
    return (
        BYTES_PER_SAMPLE_AND_AGENT * n_agents * scenario.sampling.n_samples
        + BYTES_PER_PAIR * n_agents**2
        + BYTES_PER_LINK * links
        + BYTES_PER_AGENT_STEP * n_agents * _most_steps(scenario)
    )


def machine_memory() -> int:
    """Memory of this machine; boundless where the system does not tell. [byte]"""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**63


def _most_steps(scenario: Scenario) -> int:
    mission = scenario.mission
    longest = max([mission.duration_s, *(group.duration_s or 0.0 for group in scenario.team.groups)])
    return round(longest / mission.time_step_s)


def _transit(scenario: Scenario) -> Iterator[str]:
    if scenario.transit is None:
        return
    if scenario.spray is not None:
        yield "transit stands beside spray: a spraying mission lands at its stations anyway; leave [transit] away"
    if scenario.density.motion is not None:
        yield "transit stands beside density.motion, and the density would move before the mission; leave one away"
    if "unicycle" in {v.model for v in (scenario.vehicle, *(g.vehicle for g in scenario.team.groups)) if v is not None}:
        yield 'transit is for vehicles that fly, and vehicle.model = "unicycle" does not; leave [transit] away'


def _radio(scenario: Scenario) -> Iterator[str]:
    radio, n_agents = scenario.radio, scenario.team.size
    spans: Sequence[tuple[str, JammingTable | OutageTable | PartitionTable, set[int]]] = [
        *((f"radio.jamming[{i}]", zone, set()) for i, zone in enumerate(radio.jamming)),
        *((f"radio.outages[{i}]", outage, set(outage.agents)) for i, outage in enumerate(radio.outages)),
        *((f"radio.partitions[{i}]", p, set().union(*p.groups)) for i, p in enumerate(radio.partitions)),
    ]
    for key, table, agents in spans:
        if table.until_s <= table.from_s:
            yield f"{key}.until_s = {table.until_s:g} must be after from_s = {table.from_s:g} [s]"
        if agents and max(agents) >= n_agents > 0:
            yield f"{key} names agent {max(agents)}, but the team's agents are 0 to {n_agents - 1}"
    for i, partition in enumerate(radio.partitions):
        if sum(len(set(group)) for group in partition.groups) > len(set().union(*partition.groups)):
            yield f"radio.partitions[{i}].groups has an agent in two groups"


def _baseline(scenario: Scenario) -> Iterator[str]:
    law = scenario.control.law
    if law not in BASELINE_LAWS:
        return
    tables = [("", scenario.control, scenario.vehicle)]
    if scenario.team.groups:
        tables = [
            (f"team.groups[{i}].", group.control or scenario.control, group.vehicle or scenario.vehicle)
            for i, group in enumerate(scenario.team.groups)
        ]
    for key, control, vehicle in tables:
        if control.cruise_speed_m_s is None and math.isinf(vehicle.max_speed_m_s):
            yield (
                f'{key}control.law = "{law}" needs a speed: give {key}vehicle.max_speed_m_s '
                f"or {key}control.cruise_speed_m_s [m/s]"
            )


def _spraying(scenario: Scenario) -> Iterator[str]:
    if scenario.spray is None:
        for key in ("dose", "stations", "rules"):
            if getattr(scenario, key):
                yield f"{key} stands without spray: a mission with it needs the table [spray]"
        return
    if not scenario.stations:
        yield "stations is missing: a spraying mission needs at least one [[stations]] with place_m"
    if scenario.world.kind == "bullet" and scenario.world.terrain is not None:
        yield "world.terrain stands beside spray: a spraying mission is flown over level ground"
    if scenario.radio.comm_range_m != math.inf and scenario.spray.method in ("smc", "hedac"):
        yield (
            f"radio.comm_range_m = {scenario.radio.comm_range_m:g} must be inf for spray.method = "
            f'"{scenario.spray.method}", which steers by what all have sprayed [m]'
        )
    vehicles = [("vehicle", scenario.vehicle)]
    vehicles += [(f"team.groups[{i}].vehicle", g.vehicle) for i, g in enumerate(scenario.team.groups) if g.vehicle]
    for key, vehicle in vehicles:
        yield from _sprayer(key, vehicle)
    yield from _dose(scenario.dose or DoseTable())


def _sprayer(key: str, vehicle: VehicleTable) -> Iterator[str]:
    if vehicle.model != "double-integrator":
        yield f'{key}.model = "{vehicle.model}" does not spray: it must be "double-integrator" beside [spray]'
    else:
        for limit in ("max_speed_m_s", "max_acceleration_m_s2"):
            if math.isinf(getattr(vehicle, limit)):
                yield f"{key}.{limit} is missing: a sprayer needs it"
    if vehicle.preset in preset_names() and not tank_capacity(vehicle.preset):
        yield f'{key}.preset = "{vehicle.preset}" has no tank, so it cannot spray'


def _dose(dose: DoseTable) -> Iterator[str]:
    if dose.kind == "steps" and not dose.steps:
        yield 'dose.steps is missing: dose.kind = "steps" needs pairs of severity and rate'
    if dose.kind == "response" and dose.ed50_l_ha is None:
        yield 'dose.ed50_l_ha is missing: dose.kind = "response" needs the dose that half survive [L/ha]'
    if dose.kind == "response" and dose.tolerated is None:
        yield 'dose.tolerated is missing: dose.kind = "response" needs the severity that may be left'
    if dose.least_survival >= dose.untreated_survival:
        yield f"dose.least_survival = {dose.least_survival:g} must be below untreated_survival"
    for key in ("minimum_l_ha", "rate_l_ha"):
        if getattr(dose, key) > dose.maximum_l_ha:
            yield f"dose.{key} = {getattr(dose, key):g} must be at most maximum_l_ha = {dose.maximum_l_ha:g} [L/ha]"


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
    yield from _rovers(scenario, vehicles)
    yield from _full_quadrotors(scenario, vehicles)
    for key, vehicle in vehicles:
        yield from _airframe(key, vehicle)
        if scenario.world.kind == "bullet" and vehicle.model == "quadrotor":
            yield from _inertia(key, vehicle)


def _rovers(scenario: Scenario, vehicles: Sequence[tuple[str, VehicleTable]]) -> Iterator[str]:
    """What a vehicle that is not linear cannot do yet."""
    key = next((key for key, vehicle in vehicles if vehicle.model == "unicycle"), None)
    if key is None:
        return
    found: Sequence[tuple[str, str, str]] = [
        ("control.law", scenario.control.law, "closed-form"),
        ("control.limits", scenario.control.limits, "clamped"),
        ("control.terminal_cost", scenario.control.terminal_cost, "none"),
        ("mission.order", scenario.mission.order, "parallel"),
        ("assignment.method", scenario.assignment.method, "none"),
        ("world.kind", scenario.world.kind, "ideal"),
    ]
    for name, value, needed in found:
        if value != needed:
            yield f'{key}.model = "unicycle" goes with {name} = "{needed}" only, not with "{value}"'
    if scenario.spray is not None:
        yield f'{key}.model = "unicycle" stands beside spray: spraying missions are flown by drones'


def _full_quadrotors(scenario: Scenario, vehicles: Sequence[tuple[str, VehicleTable]]) -> Iterator[str]:
    """A full quadrotor is flown by its own control step, which is the one with limits inside."""
    key = next((key for key, vehicle in vehicles if vehicle.model == "full-quadrotor"), None)
    if key is not None and scenario.control.limits != "optimised":
        yield (
            f'{key}.model = "full-quadrotor" needs control.limits = "optimised", not "{scenario.control.limits}": '
            "it is not linear, and only the step with limits inside knows its equations"
        )
    if key is not None and scenario.control.law in BASELINE_LAWS:
        yield (
            f'{key}.model = "full-quadrotor" goes with control.law = "closed-form" or "mission-plan" only, '
            f'not with "{scenario.control.law}"'
        )


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


def _faults(scenario: Scenario) -> Iterator[str]:
    n_agents = scenario.team.size
    for i, fault in enumerate(scenario.faults):
        beyond = [agent for agent in fault.agents if agent >= n_agents]
        if beyond:
            yield (f"faults[{i}].agents has {beyond[0]}, must be below {n_agents}: the agents are counted from 0")
