"""`d2oc bench stress`: short seeded missions made to go wrong, and what of it was prevented.

The world moves the vehicles by their equations *without* cutting anything at the limits, so what is measured is what
the control asked for. Zones and boundary are checked here by edge crossings, not by the half-planes of the control.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from d2oc.arrays import Flags, Floats
from d2oc.errors import ScenarioError
from d2oc.field import ring_contains
from d2oc.metrics import n_fallbacks, remaining_weight
from d2oc.mission import simulate
from d2oc.record import DRIFTED, NO_PLAN, UNPROVEN, Record
from d2oc.runtime.arrays import TeamSetup
from d2oc.runtime.choice import quickest_runtime
from d2oc.scenario.load import validate
from d2oc.scenario.schema import DoubleIntegrator, Quadrotor, Scenario, SingleIntegrator
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.ideal import IdealWorld

N_MISSIONS = 200
SIDE_M = 80.0
SEPARATION_M = 2.0

LAYOUTS = ("zones", "gap", "meeting", "crossing", "notched")
"""Random zones; two walls with a gap; all towards one patch; two lines that swap sides; a boundary with notches."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """What happened in one mission."""

    name: str
    """Always `stress`."""
    layout: str
    seed: int
    law: str
    model: str
    n_agents: int
    n_zones: int
    agent_steps: int
    zone_entries: int
    """Positions in a zone or on its edge."""
    zone_crossings: int
    """Steps whose straight way touches a zone."""
    boundary_exits: int
    """Positions outside the field, and steps whose straight way crosses its edge."""
    separation_breaches: int
    """Pairs of agents closer than asked, at a tick or on the straight ways between."""
    min_separation_m: float
    input_excess: float
    """Largest excess of an input limit, as a share of it."""
    speed_excess: float
    tilt_excess: float
    """The same of tilt and tilt rate."""
    n_fallbacks: int
    """Agent-steps whose optimal command was not flown; each has an event, by code:"""
    n_no_plan: int
    n_unproven: int
    n_drifted: int
    remaining_weight: float
    microseconds: float
    """Compute time of an agent-step. [us]"""

    def as_dict(self) -> Json:
        """Plain data for JSON."""
        return asdict(self)

    @property
    def is_safe(self) -> bool:
        """Whether nothing happened that must not."""
        happened = self.zone_entries + self.zone_crossings + self.boundary_exits + self.separation_breaches
        return happened == 0 and self.input_excess <= 0.0 and max(self.speed_excess, self.tilt_excess) <= 0.01


def measure(n_missions: int = N_MISSIONS, *, first: int = 0, on_row: Callable[[Row], None] | None = None) -> list[Row]:
    """Fly the stress set.

    Parameters
    ----------
    n_missions : int
        How many.
    first : int
        Number of the first mission; a mission depends on its number alone.
    on_row : callable, optional
        Called with each row as soon as it is there.

    Returns
    -------
    rows : list of Row
    """
    rows = []
    for seed in range(first, first + n_missions):
        rows.append(fly(scenario_of(seed)))
        if on_row is not None:
            on_row(rows[-1])
    return rows


def total(rows: list[Row]) -> Json:
    """One line for the whole set: sums and extremes."""
    summed = ("agent_steps", "zone_entries", "zone_crossings", "boundary_exits", "separation_breaches")
    events = ("n_fallbacks", "n_no_plan", "n_unproven", "n_drifted")
    return {
        "name": "stress_total",
        "n_missions": len(rows),
        "n_safe": sum(row.is_safe for row in rows),
        **{key: sum(getattr(row, key) for row in rows) for key in (*summed, *events)},
        **{key: max(getattr(row, key) for row in rows) for key in ("input_excess", "speed_excess", "tilt_excess")},
        "min_separation_m": min(row.min_separation_m for row in rows),
    }


def fly(scenario: Scenario) -> Row:
    """Fly one mission and look for what must not happen."""
    record = simulate(scenario, runtime=quickest_runtime(scenario), world_of=_world_without_limits)
    position = record.by_tick("x_m", "y_m")
    before, after = position[:-1].reshape(-1, 2), position[1:].reshape(-1, 2)
    zones = [np.array(zone) for zone in record.header.no_fly_zones_m]
    edge = np.array(record.header.boundary_m)
    everywhere = position.reshape(-1, 2)
    separation = _closest(position)
    code = record.events["code"]
    timing = record.provenance["timing"]
    return Row(
        name="stress",
        layout=LAYOUTS[scenario.seed % len(LAYOUTS)],
        seed=scenario.seed,
        law=scenario.control.law,
        model=scenario.vehicle.model,
        n_agents=record.header.n_agents,
        n_zones=len(zones),
        agent_steps=int(record.trajectory["active"].sum()),
        zone_entries=int(sum(ring_contains(zone, everywhere).sum() for zone in zones)),
        zone_crossings=int(sum(_touches(zone, before, after).sum() for zone in zones)),
        boundary_exits=_exits(edge, position),
        separation_breaches=int((separation < SEPARATION_M).sum()),
        min_separation_m=float(separation.min()) if separation.size else np.inf,
        **_excess(scenario, record),
        n_fallbacks=n_fallbacks(record),
        n_no_plan=int((code == NO_PLAN).sum()),
        n_unproven=int((code == UNPROVEN).sum()),
        n_drifted=int((code == DRIFTED).sum()),
        remaining_weight=remaining_weight(record),
        microseconds=1e6 * timing["compute_time_s"] / max(1.0, timing["agent_steps"]),
    )


def _world_without_limits(setup: TeamSetup) -> IdealWorld:
    motion = motion_arrays(setup.models)
    boundless = {
        name: np.full_like(getattr(motion, name), np.inf)
        for name in ("input_norm", "input_each", "speed_norm", "speed_each", "state_each")
    }
    return IdealWorld(motion._replace(**boundless), setup.kind)


def _exits(edge: Floats, position: Floats) -> int:
    """Positions outside, and crossings of the edge by ways between places inside; a start on the edge is inside."""
    inside = ring_contains(edge, position.reshape(-1, 2)).reshape(position.shape[:2])
    ways = (position[1:] - position[:-1]) != 0
    before, after = position[:-1][ways.any(axis=2)], position[1:][ways.any(axis=2)]
    middle = [ring_contains(edge, before + share * (after - before)) for share in (0.25, 0.5, 0.75)]
    return int((~inside).sum() + sum((~there).sum() for there in middle))


def _touches(ring: Floats, start: Floats, end: Floats) -> Flags:
    """Whether segments meet a polygon's edges, shape (n,)."""
    meets = np.zeros(len(start), np.bool_)
    for a, b in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        apart = _side(start, end, a) * _side(start, end, b) > 0
        apart |= _side(a, b, start) * _side(a, b, end) > 0
        beside = (np.maximum(start, end) < np.minimum(a, b)) | (np.minimum(start, end) > np.maximum(a, b))
        meets |= ~apart & ~beside.any(axis=1)
    return meets


def _side(start: Floats, end: Floats, point: Floats) -> Floats:
    d, r = end - start, point - start
    return np.asarray(d[..., 0] * r[..., 1] - d[..., 1] * r[..., 0])


def _closest(position: Floats) -> Floats:
    """Smallest distance of each pair in each step, both moving straight and evenly, shape (steps, pairs). [m]"""
    pairs = list(itertools.combinations(range(position.shape[1]), 2))
    if not pairs:
        return np.empty(0)
    r, q = np.array(pairs).T
    apart = position[:, q] - position[:, r]
    change = np.diff(apart, axis=0)
    square = np.maximum((change**2).sum(axis=2), 1e-300)
    at = np.clip(-(apart[:-1] * change).sum(axis=2) / square, 0.0, 1.0)
    return np.asarray(np.linalg.norm(apart[:-1] + at[:, :, None] * change, axis=2))


def _excess(scenario: Scenario, record: Record) -> dict[str, float]:
    """Largest excess of the limits on input, speed and tilt, as shares; 0 if they were kept."""
    vehicle = scenario.vehicle
    table = record.trajectory
    u = np.nan_to_num(np.column_stack([table["input_0"], table["input_1"]]))
    if isinstance(vehicle, SingleIntegrator):
        shares = (_norm(u) / vehicle.max_speed_m_s, 0.0, 0.0)
    elif isinstance(vehicle, DoubleIntegrator):
        speed = _norm(np.column_stack([table["state_1"], table["state_3"]]))
        shares = (_norm(u) / vehicle.max_acceleration_m_s2, speed / vehicle.max_speed_m_s, 0.0)
    else:
        assert isinstance(vehicle, Quadrotor)
        x = [float(np.abs(table[f"state_{i}"]).max()) for i in range(8)]
        tilt = max(x[2], x[6]) / np.radians(vehicle.max_tilt_deg)
        tilt_rate = max(x[3], x[7]) / np.radians(vehicle.max_tilt_rate_deg_s)
        torque = float(np.abs(u).max()) / vehicle.max_torque_n_m
        shares = (torque, max(x[1], x[5]) / vehicle.max_speed_m_s, max(tilt, tilt_rate))
    names = ("input_excess", "speed_excess", "tilt_excess")
    return {name: max(0.0, float(share) - 1.0) for name, share in zip(names, shares, strict=True)}


def _norm(vectors: Floats) -> float:
    return float(np.sqrt((vectors**2).sum(axis=1)).max())


def scenario_of(seed: int) -> Scenario:
    """The mission with this number.

    Parameters
    ----------
    seed : int
        Number of the mission; it decides everything.

    Returns
    -------
    scenario : Scenario
    """
    rng = np.random.default_rng([4, seed])
    for _ in range(100):
        try:
            return validate(_draw(rng, seed), f"stress mission {seed}")
        except ScenarioError:
            continue  # a start in a zone, zones over the whole field: draw again
    raise AssertionError(f"mission {seed} was not drawn in 100 attempts")


def _draw(rng: np.random.Generator, seed: int) -> Json:
    layout = LAYOUTS[seed % len(LAYOUTS)]
    model = ("double-integrator", "double-integrator", "single-integrator", "quadrotor")[seed // 5 % 4]
    n_agents = int(rng.choice([2, 3, 5, 8, 12, 20]))
    boundary, zones, patches, starts = _LAYOUTS[layout](rng, n_agents)
    period = 0.1 if model == "quadrotor" else 0.25
    law = "mission-plan" if seed % 13 == 0 else "closed-form"
    return {
        "name": f"stress {seed}",
        "seed": seed,
        "field": {
            "boundary_m": boundary.tolist(),
            "no_fly_zones": [{"name": f"zone {i}", "boundary_m": zone.tolist()} for i, zone in enumerate(zones)],
        },
        "density": {
            "kind": "mixture",
            "background": 0.05,
            "components": [{"mean_m": list(patch), "sigma_m": 5.0} for patch in patches],
        },
        "sampling": {"n_samples": 400},
        "team": {
            "groups": _groups(n_agents, 80 * period, early=seed % 2 == 1),
            "start_m": starts.tolist(),
            "separation_m": SEPARATION_M,
        },
        "vehicle": _VEHICLES[model],
        "control": {
            "law": law,
            "limits": "optimised",
            "horizon_steps": 15,
            "terminal_cost": "dare",
            "plan_rounds": 1,
            "plan_routes": 2,
            "plan_divisions": 1,
            "plan_changes": 0,
            **({"scale_input_weight_with_inertia": True} if model == "quadrotor" else {}),
        },
        "mission": {"duration_s": 80 * period, "time_step_s": period},
        "assignment": {"method": "semi-discrete" if seed % 3 == 1 and law == "closed-form" else "none"},
        "radio": {"comm_range_m": float(rng.choice([30.0, 60.0, np.inf]))},
    }


def _groups(n_agents: int, duration: float, *, early: bool) -> list[Json]:
    """A third of the team ends after 40 % of the time and hovers, or all fly to the end."""
    ends = n_agents // 3 if early else 0
    groups: list[Json] = [{"n_agents": ends, "duration_s": 0.4 * duration}, {"n_agents": n_agents - ends}]
    return groups if ends else groups[1:]


_VEHICLES: dict[str, Json] = {
    "double-integrator": {"model": "double-integrator", "max_acceleration_m_s2": 4.0, "max_speed_m_s": 6.0},
    "single-integrator": {"model": "single-integrator", "max_speed_m_s": 6.0},
    "quadrotor": {
        "model": "quadrotor",
        "max_torque_n_m": 0.1,
        "max_speed_m_s": 3.0,
        "max_tilt_deg": 20.0,
        "max_tilt_rate_deg_s": 90.0,
    },
}

Drawn = tuple[Floats, list[Floats], Floats, Floats]
"""Boundary, zones, patches and starts."""


def _box(x0: float, y0: float, x1: float, y1: float) -> Floats:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _scattered(rng: np.random.Generator, count: int, low: Floats, high: Floats) -> Floats:
    """Places at least 5 m apart, or fewer than asked for if there is no room."""
    places: list[Floats] = []
    for _ in range(2000):
        place = rng.uniform(low, high)
        if all(np.linalg.norm(place - other) > 5.0 for other in places):
            places.append(place)
        if len(places) == count:
            break
    return np.array(places)


def _zones(rng: np.random.Generator, n_agents: int) -> Drawn:
    """Boxes, triangles and angles anywhere; three patches between them."""
    zones = []
    for _ in range(int(rng.integers(3, 9))):
        at, size = rng.uniform(10, SIDE_M - 25, 2), rng.uniform(5, 15, 2)
        shape = [
            [[0, 0], [1, 0], [1, 1], [0, 1]],
            [[0, 0], [1, 0.2], [0.3, 1]],
            [[0, 0], [1, 0], [1, 0.3], [0.3, 0.3], [0.3, 1], [0, 1]],
        ][int(rng.integers(3))]
        zones.append(at + size * np.array(shape))
    starts = _scattered(rng, n_agents, np.array([2.0, 2.0]), np.array([SIDE_M - 2, SIDE_M - 2]))
    return _box(0, 0, SIDE_M, SIDE_M), zones, rng.uniform(10, SIDE_M - 10, (3, 2)), starts


def _gap(rng: np.random.Generator, n_agents: int) -> Drawn:
    """Two walls across the field with a gap of 5 to 10 m between them; the patch is on the other side."""
    width, middle = rng.uniform(5, 10), rng.uniform(25, 55)
    walls = [_box(38, -1, 42, middle - width / 2), _box(38, middle + width / 2, 42, SIDE_M + 1)]
    starts = _scattered(rng, n_agents, np.array([2.0, 2.0]), np.array([34, SIDE_M - 2]))
    patches = np.array([[rng.uniform(55, 70), rng.uniform(10, 70)], [rng.uniform(55, 70), middle]])
    return _box(0, 0, SIDE_M, SIDE_M), walls, patches, starts


def _meeting(rng: np.random.Generator, n_agents: int) -> Drawn:
    """A ring of starts, one patch in the middle, half of the time on a zone."""
    angle = 2 * np.pi * (np.arange(n_agents) + rng.uniform(0, 0.5)) / n_agents
    starts = SIDE_M / 2 + 32 * np.column_stack([np.cos(angle), np.sin(angle)])
    zones = [_box(37, 37, 43, 44)] if rng.random() < 0.5 else []
    return _box(0, 0, SIDE_M, SIDE_M), zones, np.full((1, 2), SIDE_M / 2), starts


def _crossing(rng: np.random.Generator, n_agents: int) -> Drawn:
    """A line of agents on each side of a narrow field, a patch before each line's opposite."""
    side = np.arange(n_agents) % 2
    y = 31 + 5.0 * (np.arange(n_agents) // 2 % 4)
    x = np.where(side == 0, 4 + 6.0 * (np.arange(n_agents) // 8), 76 - 6.0 * (np.arange(n_agents) // 8))
    patches = np.array([[60.0, rng.uniform(32, 48)], [20.0, rng.uniform(32, 48)]])
    zones = [_box(38, 38, 42, 42)] if rng.random() < 0.5 else []
    return _box(0, 29, SIDE_M, 51), zones, patches, np.column_stack([x, y])


def _notched(rng: np.random.Generator, n_agents: int) -> Drawn:
    """A boundary with two notches, a zone between them, starts anywhere below."""
    deep = rng.uniform(25, 50)
    boundary = np.array(
        [[0, 0], [80, 0], [80, 80], [60, 80], [55, 80 - deep], [50, 80], [30, 80], [25, 80 - deep], [20, 80], [0, 80]]
    )
    starts = _scattered(rng, n_agents, np.array([2.0, 2.0]), np.array([SIDE_M - 2, 25.0]))
    patches = np.array([[10.0, 70.0], [40.0, 70.0], [70.0, 70.0]])[rng.permutation(3)[:2]]
    return boundary.astype(np.float64), [_box(36, 35, 44, 45)], patches, starts


_LAYOUTS: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
    "zones": _zones,
    "gap": _gap,
    "meeting": _meeting,
    "crossing": _crossing,
    "notched": _notched,
}
