"""The default task of CoverageControl, flown by any method of `d2oc compare`.

A field of 1024 m x 1024 m, 32 Gaussian patches with standard deviations of 40 to 60 m and peaks of 6 to 10, cut at two
standard deviations, 32 robots of 5 m/s [1]_; here with steps of 1 s, 2000 of them. Where the robots were is pooled
on a grid of 32 x 32 cells of 32 m, and W2 is taken between this and the density pooled alike.

References
----------
.. [1] S. Agarwal, R. Muthukrishnan, W. Gosrich, V. Kumar and A. Ribeiro, CoverageControl, default parameters in
   params/coverage_control_params.toml. https://github.com/KumarRobotics/CoverageControl
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from d2oc.arrays import Floats
from d2oc.compare.methods import method_named
from d2oc.metrics import timing, visited
from d2oc.mission import simulate
from d2oc.record import Record
from d2oc.runtime.choice import quickest_runtime
from d2oc.scenario import load_scenario
from d2oc.scenario.schema import Scenario
from d2oc.transport.wasserstein import sliced_wasserstein2, wasserstein2

SIDE_M = 1024.0
N_PATCHES = 32
SIGMA_M = (40.0, 60.0)
PEAK = (6.0, 10.0)
CUT = 2.0
"""Patches end at this many standard deviations."""
N_ROBOTS = 32
SPEED_M_S = 5.0
TIME_STEP_S = 1.0
N_STEPS = 2000
N_SAMPLES = 20_000
CELL_M = 4.0
"""Side of a cell of the map given to the methods. [m]"""
POOLED = 32
"""Cells per side on which W2 is taken."""
LEVEL_M = 50.0
"""The W2 whose time is taken. [m]"""
LOOKED_AT_EVERY = 50
"""Steps between two looks at W2."""


@dataclass(frozen=True)
class TaskRow:
    """One method on the maps of the task."""

    name: str
    n_maps: int
    comm_range_m: float | None
    """None: everyone hears everyone. [m]"""
    w2_m: float
    """Mean over the maps, at the end. [m]"""
    w2_std_m: float | None
    """Sample standard deviation. [m]"""
    w2_by_map_m: tuple[float, ...]
    time_to_50_m_s: float | None
    """Mean time until W2 was below 50 m; None if it was not on every map. [s]"""
    microseconds_per_agent_step: float
    """Mean. [us]"""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def measure_task(
    methods: Sequence[str],
    n_maps: int,
    *,
    comm_range_m: float = float("inf"),
    on_row: Callable[[TaskRow], None] | None = None,
) -> list[TaskRow]:
    """Fly several methods on the same maps and starts.

    Parameters
    ----------
    methods : sequence of str
        Names from `d2oc.compare.methods.METHODS`.
    n_maps : int
        Maps, with the seeds 0, 1, ...
    comm_range_m : float
        Radio range; methods with full information do not depend on it. [m]
    on_row : callable, optional
        Called with each row as soon as it is there.

    Returns
    -------
    rows : list of TaskRow
    """
    rows = []
    for method in methods:
        row = _row(method, [fly_task(method, seed, comm_range_m=comm_range_m) for seed in range(n_maps)], comm_range_m)
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return rows


def _row(method: str, records: Sequence[Record], comm_range_m: float) -> TaskRow:
    distances = [task_w2(record) for record in records]
    times = [task_time_to(record, LEVEL_M) for record in records]
    reached = [time for time in times if time is not None]
    return TaskRow(
        name=method,
        n_maps=len(records),
        comm_range_m=comm_range_m if np.isfinite(comm_range_m) else None,
        w2_m=statistics.fmean(distances),
        w2_std_m=statistics.stdev(distances) if len(distances) > 1 else None,
        w2_by_map_m=tuple(round(distance, 3) for distance in distances),
        time_to_50_m_s=statistics.fmean(reached) if len(reached) == len(times) else None,
        microseconds_per_agent_step=statistics.fmean(
            timing(record)["compute_time_per_agent_step_us"] for record in records
        ),
    )


def fly_task(
    method: str,
    seed: int,
    *,
    comm_range_m: float = float("inf"),
    n_steps: int = N_STEPS,
    changes: Sequence[str] = (),
) -> Record:
    """Fly one method on one map.

    Parameters
    ----------
    method : str
        Name from `d2oc.compare.methods.METHODS`.
    seed : int
        Of map and starts.
    comm_range_m : float
        Radio range. [m]
    n_steps : int
        Steps of 1 s.
    changes : sequence of str
        Further overrides, `key=value`.

    Returns
    -------
    record : Record
        In memory.
    """
    with tempfile.TemporaryDirectory(prefix="d2oc-task-") as folder:
        overrides = [*method_named(method).overrides, *changes]
        scenario = task_scenario(Path(folder), seed, comm_range_m, n_steps, overrides)
        return simulate(scenario, runtime=quickest_runtime(scenario))


def task_scenario(
    folder: Path, seed: int, comm_range_m: float = float("inf"), n_steps: int = N_STEPS, overrides: Sequence[str] = ()
) -> Scenario:
    """The task as a scenario; writes `task.toml` and the map `task.npy` into a folder.

    Parameters
    ----------
    folder : Path
        Exists.
    seed : int
        Of map and starts.
    comm_range_m : float
        Radio range. [m]
    n_steps : int
        Steps of 1 s.
    overrides : sequence of str
        `key=value`.

    Returns
    -------
    scenario : Scenario
    """
    np.save(folder / "task.npy", task_map(seed).T)  # a raster's first axis is y
    text = f"""
name = "coverage_task"
description = "CoverageControl's default task, map {seed}"
seed = {seed}
[field]
width_m = {SIDE_M}
height_m = {SIDE_M}
[density]
kind = "array"
file = "task.npy"
cell_size_m = {CELL_M}
[sampling]
n_samples = {N_SAMPLES}
[team]
n_agents = {N_ROBOTS}
[vehicle]
model = "single-integrator"
max_speed_m_s = {SPEED_M_S}
[control]
terminal_cost = "dare"
[mission]
duration_s = {n_steps * TIME_STEP_S}
time_step_s = {TIME_STEP_S}
[radio]
comm_range_m = {comm_range_m}
"""
    path = folder / "task.toml"
    path.write_text(text, encoding="utf-8")
    return load_scenario(path, overrides=overrides)


def task_map(seed: int) -> Floats:
    """Share of the density in each cell of 4 m, first axis x, sum 1."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0.0, SIDE_M, (N_PATCHES, 2))
    sigma, peak = rng.uniform(*SIGMA_M, N_PATCHES), rng.uniform(*PEAK, N_PATCHES)
    middle = (np.arange(int(SIDE_M / CELL_M)) + 0.5) * CELL_M
    density = np.zeros((len(middle), len(middle)))
    for (x, y), s, p in zip(centre, sigma, peak, strict=True):
        squares = ((middle - x) ** 2)[:, None] + ((middle - y) ** 2)[None, :]
        patch = p / (2 * np.pi * s**2) * np.exp(-squares / (2 * s**2))
        density += np.where(squares <= (CUT * s) ** 2, patch, 0.0)
    return np.asarray(density / density.sum())


def task_w2(record: Record, until: int | None = None) -> float:
    """W2 between where the robots were and the density, both pooled on 32 x 32 cells. [m]

    Parameters
    ----------
    record : Record
        Of `fly_task`.
    until : int, optional
        Last tick that counts; default: all.
    """
    centre, flown, wanted = _pooled(record, until)
    return wasserstein2(centre, flown, centre, wanted).value


def task_time_to(record: Record, level: float) -> float | None:
    """First time, looked at every 50 steps, at which the pooled W2 is below a level; None if never. [s]"""
    for until in range(LOOKED_AT_EVERY, record.header.n_steps + 1, LOOKED_AT_EVERY):
        centre, flown, wanted = _pooled(record, until)
        if sliced_wasserstein2(centre, flown, centre, wanted, n_directions=16) >= level:
            continue  # never above W2
        if wasserstein2(centre, flown, centre, wanted).value < level:
            return until * record.header.time_step_s
    return None


def _pooled(record: Record, until: int | None) -> tuple[Floats, Floats, Floats]:
    """Cell centres, shape (1024, 2) [m]; what was flown and what was wanted there, shape (1024,)."""
    points, masses = visited(record, until)
    middle = (np.arange(POOLED) + 0.5) * SIDE_M / POOLED
    centre = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)
    cells = [(0.0, SIDE_M)] * 2
    flown, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=POOLED, range=cells, weights=masses)
    fine = task_map(record.header.seed)
    wanted = fine.reshape(POOLED, len(fine) // POOLED, POOLED, -1).sum(axis=(1, 3))
    return centre, flown.ravel(), wanted.ravel()
