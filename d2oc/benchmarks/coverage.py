"""`d2oc bench transport`: how well the mission plan covers, beside the published loop on the same input.

Random maps of six Gaussian patches on 100 x 100 m, six agents from random starts, 300 steps of 0.1 s as published,
2,000 samples. Each pair of runs has the same samples, starts and limits. Next to both stands a lower bound that no law
can beat: the exact transport cost if every step could be anywhere that speed and acceleration allow by then.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from d2oc.arrays import Floats
from d2oc.bus.perfect import PerfectBus
from d2oc.control.law import first_gains, tracking_problem
from d2oc.control.mission_law import MissionPlanLaw
from d2oc.control.mission_plan import Effort, flyer_of
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.scenario.schema import ControlTable
from d2oc.transport.exact import exact_transport, squared_distances
from d2oc.vehicles.linear import Limits, LinearModel, double_integrator, quadrotor

MAP_M = 100.0
N_AGENTS = 6
N_STEPS = 300
N_SAMPLES = 2000
TIME_STEP_S = 0.1
SPEED_M_S = 8.0
ACCELERATION_M_S2 = 4.0
RADIO_M = 25.0
N_PATCHES = 6
FULL = (10, 3)
"""Maps and starts of the whole comparison."""
CHANGES = 600
"""Changes of routes that a plan tries: ten times the default."""
SHORT = (4, 1)
"""Maps and starts that end in a few minutes."""


@dataclass(frozen=True)
class CoverageRow:
    """One comparison, over all maps and starts."""

    name: str
    n_runs: int
    median_w2_ratio: float
    """Median over the runs of W2 of the plan over W2 of the official loop."""
    ratio_of_medians: float
    """Median W2 of the plan over median W2 of the official loop."""
    worst_w2_ratio: float
    official_w2_m: float
    """Median. [m]"""
    plan_w2_m: float
    """Median. [m]"""
    lower_bound_w2_m: float | None
    """Median of what no law can beat, with limits. [m]"""
    median_bound_ratio: float | None
    """Median over the runs of that bound over W2 of the official loop: no law has a median ratio below."""
    official_top_speed_m_s: float
    """Median over the runs. [m/s]"""
    plan_top_speed_m_s: float
    """Median over the runs. [m/s]"""
    plan_s: float
    """Wall time of a run with the plan, median. [s]"""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Case:
    """One map with one set of starts."""

    samples: Floats
    """Shape (N, 2). [m]"""
    starts: Floats
    """Shape (L, 2). [m]"""


def rows(*, full: bool = False) -> Iterator[CoverageRow]:
    """Fly all comparisons, 4 maps with one set of starts each or, in full, 10 maps with three."""
    yield from _rows(list(cases(*(FULL if full else SHORT))))


def cases(n_maps: int, n_starts: int) -> Iterator[Case]:
    """Random maps, each with several sets of random starts."""
    for number in range(n_maps):
        rng = np.random.default_rng([2025, number])
        samples = random_map(rng)
        for _ in range(n_starts):
            yield Case(samples, rng.uniform(0, MAP_M, (N_AGENTS, 2)))


def random_map(rng: np.random.Generator) -> Floats:
    """Samples of six Gaussian patches of 4 to 12 m, any direction, weights 1 to 3, cut at the edge of the map."""
    centre = rng.uniform(0.1 * MAP_M, 0.9 * MAP_M, (N_PATCHES, 2))
    sigma = rng.uniform(4.0, 12.0, (N_PATCHES, 2))
    angle = rng.uniform(0, np.pi, N_PATCHES)
    weight = rng.uniform(1.0, 3.0, N_PATCHES)
    samples = np.empty((0, 2))
    while len(samples) < N_SAMPLES:
        patch = rng.choice(N_PATCHES, N_SAMPLES, p=weight / weight.sum())
        along, across = (rng.standard_normal((N_SAMPLES, 2)) * sigma[patch]).T
        cos, sin = np.cos(angle[patch]), np.sin(angle[patch])
        drawn = centre[patch] + np.column_stack([along * cos - across * sin, along * sin + across * cos])
        inside = (drawn >= 0).all(axis=1) & (drawn <= MAP_M).all(axis=1)
        samples = np.vstack([samples, drawn[inside]])
    return samples[:N_SAMPLES]


def _rows(all_cases: Sequence[Case]) -> Iterator[CoverageRow]:
    limits = Limits(input_norm=ACCELERATION_M_S2, speed_norm=SPEED_M_S)
    limited = double_integrator(TIME_STEP_S, limits)
    free = quadrotor(TIME_STEP_S, np.array([0.0075]))
    bounds = [lower_bound(case) for case in all_cases]
    planned = {name: [_planned(case, model) for case in all_cases] for name, model in (("", limited), ("_free", free))}
    for radio, comm_range in (("radio_25m", RADIO_M), ("full_radio", np.inf)):
        for suffix, model in (("", limited), ("_free", free)):
            official = [_official(case, model, comm_range) for case in all_cases]
            name = f"mission_plan_vs_official_{radio}" + ("_no_limits" if suffix else "")
            yield _row(name, all_cases, official, planned[suffix], None if suffix else bounds)


@dataclass(frozen=True)
class Flight:
    """What came of one run."""

    w2_m: float
    top_speed_m_s: float
    wall_time_s: float


def _row(
    name: str,
    all_cases: Sequence[Case],
    official: Sequence[Flight],
    planned: Sequence[Flight],
    bounds: Sequence[float] | None,
) -> CoverageRow:
    ratios = [p.w2_m / o.w2_m for o, p in zip(official, planned, strict=True)]
    official_w2, planned_w2 = (statistics.median(f.w2_m for f in flights) for flights in (official, planned))
    return CoverageRow(
        name=name,
        n_runs=len(all_cases),
        median_w2_ratio=round(statistics.median(ratios), 3),
        ratio_of_medians=round(planned_w2 / official_w2, 3),
        worst_w2_ratio=round(max(ratios), 3),
        official_w2_m=round(official_w2, 2),
        plan_w2_m=round(planned_w2, 2),
        lower_bound_w2_m=None if bounds is None else round(statistics.median(bounds), 2),
        median_bound_ratio=None if bounds is None else round(_median_ratio(bounds, official), 3),
        official_top_speed_m_s=round(statistics.median(flight.top_speed_m_s for flight in official), 1),
        plan_top_speed_m_s=round(statistics.median(flight.top_speed_m_s for flight in planned), 1),
        plan_s=round(statistics.median(flight.wall_time_s for flight in planned), 2),
    )


def _median_ratio(bounds: Sequence[float], official: Sequence[Flight]) -> float:
    return statistics.median(bound / flight.w2_m for bound, flight in zip(bounds, official, strict=True))


def _official(case: Case, model: LinearModel, comm_range: float) -> Flight:
    """The published loop: agents in sequence, closed form; integrators with the shipped terminal cost."""
    control = ControlTable() if model.inertia_kg_m2 is not None else ControlTable(terminal_cost="dare")
    return _fly(case, model, control, comm_range)


def _planned(case: Case, model: LinearModel) -> Flight:
    """The mission plan; it needs no radio while all goes to plan, and is given 25 m."""
    return _fly(case, model, ControlTable(law="mission-plan"), RADIO_M)


def _fly(case: Case, model: LinearModel, control: ControlTable, comm_range: float) -> Flight:
    alpha = 1.0 / (N_AGENTS * N_STEPS)
    problem = tracking_problem(model, control, alpha)
    n_steps = np.full(N_AGENTS, N_STEPS, np.int32)
    states = np.zeros((N_AGENTS, model.n_states))
    states[:, list(model.position_states)] = case.starts
    plans = control.law == "mission-plan"
    flyers = [flyer_of(model, problem, TIME_STEP_S)] * N_AGENTS
    setup = TeamSetup(
        points=case.samples,
        weights=np.full(N_SAMPLES, 1.0 / N_SAMPLES),
        models=[model],
        gains=[first_gains(problem, control.horizon_steps, N_STEPS)],
        kind=np.zeros(N_AGENTS, np.int32),
        n_steps=n_steps,
        alpha=np.full(N_AGENTS, alpha),
        initial_states=list(states),
        comm_range=comm_range,
        order="parallel" if plans else "sequential",
        controller=MissionPlanLaw(flyers, n_steps, comm_range, Effort(changes=CHANGES)) if plans else None,
    )
    runtime = ArraysRuntime(setup, PerfectBus(comm_range))
    began = time.perf_counter()
    track = [case.starts]
    for k in range(N_STEPS):
        runtime.step(k)
        track.append(runtime.team.position.copy())
    wall = time.perf_counter() - began
    steps = np.linalg.norm(np.diff(track, axis=0), axis=2)
    return Flight(_w2(np.concatenate(track[1:]), case.samples), float(steps.max()) / TIME_STEP_S, wall)


def _w2(points: Floats, samples: Floats) -> float:
    masses, weights = np.full(len(points), 1.0 / len(points)), np.full(len(samples), 1.0 / len(samples))
    return float(np.sqrt(exact_transport(masses, weights, squared_distances(points, samples)).cost))


def lower_bound(case: Case) -> float:
    """W2 that no law can beat: every step as near to its sample as speed and acceleration allow by then. [m]"""
    away = np.sqrt(squared_distances(case.starts, case.samples))
    speed = np.minimum(SPEED_M_S, ACCELERATION_M_S2 * TIME_STEP_S * np.arange(N_STEPS + 1))
    flown = TIME_STEP_S * np.cumsum((speed[1:] + speed[:-1]) / 2)
    cost = np.maximum(0.0, away[:, None, :] - flown[None, :, None]).reshape(-1, len(case.samples)) ** 2
    masses, weights = np.full(len(cost), 1.0 / len(cost)), np.full(N_SAMPLES, 1.0 / N_SAMPLES)
    return float(np.sqrt(exact_transport(masses, weights, cost).cost))
