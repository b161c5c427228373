"""`d2oc bench world`: how much faster than real time a fleet flies in the bullet world, whole loop included."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.airframes.airframe import load_preset
from d2oc.bus.perfect import PerfectBus
from d2oc.control.law import first_gains, tracking_problem
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, double_integrator
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.bullet import BulletSetup, BulletWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.wind import Wind, low_altitude_gusts

TIME_STEP_S = 0.1
HORIZON = 15
N_STEPS = 3000
AREA_PER_AGENT_M2 = 1600.0
SAMPLES_PER_AGENT = 100
WIND_M_S = 3.0
COMM_RANGE_M = 50.0


@dataclass(frozen=True)
class Row:
    """One measured line."""

    name: str
    """`bullet_mission`: the whole loop; `bullet_world`: the world alone, hovering."""
    n_agents: int
    real_time_factor: float
    """Simulated time over wall time, the best of the runs."""
    slowest_real_time_factor: float
    """The worst of the runs."""
    processor_real_time_factor: float
    """Simulated time over processor time, the best of the runs: what an idle machine would give."""
    physics_rate_hz: float
    """Substeps of the engine."""
    loop_rate_hz: float
    """Passes of the autopilots."""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def measure(*, quick: bool = False, on_row: Callable[[Row], None] | None = None) -> list[Row]:
    """Measure everything `d2oc bench world` reports.

    Parameters
    ----------
    quick : bool
        Up to 100 drones, two short runs each.
    on_row : callable, optional
        Called with each row as soon as it is there.

    Returns
    -------
    rows : list of Row
    """
    rows = []
    for n_agents in (10, 100) if quick else (10, 100, 1000):
        for row in (_mission(n_agents, quick), _hover(n_agents, quick)):
            rows.append(row)
            if on_row is not None:
                on_row(row)
    return rows


def _mission(n_agents: int, quick: bool) -> Row:
    """D2OC at 10 Hz, autopilots at 50 Hz, physics at 250 Hz, wind with gusts, tanks and batteries."""
    runtime = mission_runtime(n_agents)
    k = iter(range(N_STEPS))
    return _row("bullet_mission", n_agents, quick, lambda: runtime.step(next(k)))


def _hover(n_agents: int, quick: bool) -> Row:
    """The world alone."""
    runtime = mission_runtime(n_agents)
    state, command, active = runtime.team.state, runtime.team.input, np.ones(n_agents, np.bool_)
    return _row("bullet_world", n_agents, quick, lambda: runtime.world.advance(0, state, command, active))


def _row(name: str, n_agents: int, quick: bool, step: Callable[[], None]) -> Row:
    step()  # compile
    runs, steps = (2, 10) if quick else (5, max(10, 3000 // n_agents))
    times = np.array([_time(step, steps) for _ in range(runs)])
    wall, processor = (steps * TIME_STEP_S / times).T
    return Row(
        name=name,
        n_agents=n_agents,
        real_time_factor=round(float(wall.max()), 2),
        slowest_real_time_factor=round(float(wall.min()), 2),
        processor_real_time_factor=round(float(processor.max()), 2),
        physics_rate_hz=250.0,
        loop_rate_hz=50.0,
    )


def _time(step: Callable[[], None], steps: int) -> tuple[float, float]:
    """Wall and processor time of some steps. [s]"""
    began = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def mission_runtime(n_agents: int) -> ArraysRuntime:
    """A team of sprayers over a field that grows with it, each with a share of the samples.

    Parameters
    ----------
    n_agents : int
        Size of the team.
    """
    rng = np.random.default_rng(3)
    side = np.sqrt(AREA_PER_AGENT_M2 * n_agents)
    model = double_integrator(TIME_STEP_S, Limits(input_norm=3.0, speed_norm=7.0))
    alpha = 1.0 / (n_agents * N_STEPS)
    control = ControlTable(terminal_cost="dare", input_weight=alpha, state_weight=(0.0, 0.0))
    columns = int(np.ceil(np.sqrt(n_agents)))
    place = np.stack([np.arange(n_agents) % columns, np.arange(n_agents) // columns], axis=1) + 0.5
    start = np.zeros((n_agents, 4))
    start[:, [0, 2]] = place * side / columns
    n_samples = SAMPLES_PER_AGENT * n_agents
    team = TeamSetup(
        points=rng.uniform(0, side, (n_samples, 2)),
        weights=np.full(n_samples, 1.0 / n_samples),
        models=[model],
        gains=[first_gains(tracking_problem(model, control, alpha), HORIZON, N_STEPS)],
        kind=np.zeros(n_agents, np.int32),
        n_steps=np.full(n_agents, N_STEPS, np.int32),
        alpha=np.full(n_agents, alpha),
        initial_states=list(start),
        comm_range=COMM_RANGE_M,
    )
    return ArraysRuntime(team, PerfectBus(COMM_RANGE_M), _world(team, start))


def _world(team: TeamSetup, start: NDArray[Any]) -> BulletWorld:
    n_agents = len(team.kind)
    setup = BulletSetup(
        models=team.models,
        kind=team.kind,
        airframes=[load_preset("sprayer")] * n_agents,
        liquid=np.full(n_agents, 40.0),
        flow=np.full(n_agents, 40.0 / (N_STEPS * TIME_STEP_S)),
        place=np.column_stack([start[:, [0, 2]], np.full(n_agents, 4.0)]),
        time_step=TIME_STEP_S,
    )
    wind = Wind(
        WIND_M_S, 0.5, low_altitude_gusts(4.0, WIND_M_S), [np.random.default_rng([1, r]) for r in range(n_agents)]
    )
    receiver = SatelliteReceiver(0.3, 0.1, [np.random.default_rng([2, r]) for r in range(n_agents)])
    return BulletWorld(setup, motion_arrays(team.models), wind, receiver)
