"""`d2oc bench transport`: dividing maps and samples among sites, beside the package `sdot` where it is installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from d2oc.arrays import Floats
from d2oc.density.grid import GridDensity
from d2oc.transport.sample_partition import divide_samples
from d2oc.transport.semi_discrete import semi_discrete

CELLS = 1000
"""Cells along each side of the map."""
SIDE_M = 100.0
RUNS = 5
N_SAMPLES = 100_000
SERVED = 0.6
"""Share of the map that limited tanks serve."""


@dataclass(frozen=True)
class Row:
    """One measured line."""

    name: str
    """`semi_discrete` (all served), `semi_discrete_warm` (the sites moved by half a cell), `semi_discrete_limited`
    (tanks for 60 %), `divide_samples`."""
    density: str
    """`even` background under a patch, `patches`, or `samples`."""
    n_sites: int
    milliseconds: float
    """Least of the runs. [ms]"""
    slowest_run_milliseconds: float
    """[ms]"""
    mass_error: float
    """Largest error of a site's mass, as a share of the whole."""
    steps: int | None
    """Newton steps."""
    sdot_milliseconds: float | None
    """The same problem by `sdot`. [ms]"""
    ratio_to_sdot: float | None
    """How many times less."""
    note: str = ""
    """Why there is no peer, or how certain the result is."""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def measure(*, quick: bool = False, on_row: Callable[[Row], None] | None = None) -> list[Row]:
    """Measure everything.

    Parameters
    ----------
    quick : bool
        Two runs each, no more than 100 sites, no peer.
    on_row : callable, optional
        Called with each row as soon as it is there.

    Returns
    -------
    rows : list of Row
    """
    rows = []
    for row in _rows(quick):
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return rows


def patches(n: int = CELLS) -> Floats:
    """Five patches on nothing: 0 over most of the map."""
    rng = np.random.default_rng(4)
    x = (np.arange(n) + 0.5) / n
    values = np.zeros((n, n))
    for _ in range(5):
        (u, v), width = rng.random(2), rng.uniform(0.02, 0.06)
        values += np.exp(-((x - u) ** 2 + ((x - v) ** 2)[:, None]) / (2 * width**2))
    values[values < 0.02] = 0.0
    return values


def even(n: int = CELLS) -> Floats:
    """A background with one patch of six times as much."""
    x = (np.arange(n) + 0.5) / n
    return 0.2 + np.exp(-((x - 0.3) ** 2 + ((x - 0.6) ** 2)[:, None]) / 0.02)


def _rows(quick: bool) -> Iterator[Row]:
    runs = 2 if quick else RUNS
    for n_sites in (10, 100) if quick else (10, 100, 1000):
        yield _cold("even", even(), n_sites, runs, quick)
        yield _cold("patches", patches(), n_sites, runs, True)
        yield _warm(n_sites, runs)
        yield _limited(n_sites, runs)
    for n_sites in (10, 100):
        yield _samples(n_sites, runs)


def _sites(n_sites: int) -> Floats:
    return np.random.default_rng(2).uniform(0, SIDE_M, (n_sites, 2))


def _timed(runs: int, work: Callable[[], object]) -> list[float]:
    """Milliseconds of each run; one more before them compiles."""
    work()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1e3)
    return times


def _row(
    name: str,
    density: str,
    times: list[float],
    error: float,
    n_sites: int,
    steps: int | None,
    peer: float | None = None,
    note: str = "",
) -> Row:
    least = min(times)
    return Row(
        name, density, n_sites, round(least, 2), round(max(times), 2), error, steps,
        None if peer is None else round(peer, 1), None if peer is None else round(peer / least, 1), note,
    )  # fmt: skip


def _cold(name: str, values: Floats, n_sites: int, runs: int, alone: bool) -> Row:
    density = GridDensity(values, (0.0, 0.0), SIDE_M / CELLS)
    sites, capacities = _sites(n_sites), np.full(n_sites, 1.0 / n_sites)
    result = semi_discrete(density, sites, capacities, mass=1.0)
    times = _timed(runs, lambda: semi_discrete(density, sites, capacities, mass=1.0))
    peer, note = (None, "") if alone else _sdot(values, sites / SIDE_M)
    return _row("semi_discrete", name, times, result.mass_error, n_sites, result.steps, peer, note)


def _warm(n_sites: int, runs: int) -> Row:
    density = GridDensity(patches(), (0.0, 0.0), SIDE_M / CELLS)
    sites, capacities = _sites(n_sites), np.full(n_sites, 1.0 / n_sites)
    start = semi_discrete(density, sites, capacities, mass=1.0).potentials
    moved = sites + 0.5 * SIDE_M / CELLS
    result = semi_discrete(density, moved, capacities, mass=1.0, start=start)
    times = _timed(runs, lambda: semi_discrete(density, moved, capacities, mass=1.0, start=start))
    return _row("semi_discrete_warm", "patches", times, result.mass_error, n_sites, result.steps)


def _limited(n_sites: int, runs: int) -> Row:
    density = GridDensity(patches(), (0.0, 0.0), SIDE_M / CELLS)
    sites, capacities = _sites(n_sites), np.full(n_sites, SERVED / n_sites)
    result = semi_discrete(density, sites, capacities, mass=1.0)
    times = _timed(min(runs, 2), lambda: semi_discrete(density, sites, capacities, mass=1.0))
    return _row("semi_discrete_limited", "patches", times, result.mass_error, n_sites, result.steps)


def _samples(n_sites: int, runs: int) -> Row:
    rng = np.random.default_rng(5)
    points = GridDensity(even(), (0.0, 0.0), SIDE_M / CELLS).place(rng.random((N_SAMPLES, 2)))
    weights = rng.random(N_SAMPLES) / N_SAMPLES
    sites = _sites(n_sites)
    capacities = np.full(n_sites, weights.sum() / n_sites)
    result = divide_samples(points, weights, sites, capacities)
    times = _timed(runs, lambda: divide_samples(points, weights, sites, capacities))
    error = float(np.abs(result.masses - capacities).max() / weights.sum())
    note = f"cost within {result.cost / result.lower_bound - 1:.1e} of the best"
    return _row("divide_samples", "samples", times, error, n_sites, None, None, note)


def _sdot(values: Floats, sites: Floats) -> tuple[float | None, str]:
    """The peer's time on the unit square, its own defaults, and a note if there is none. [ms]"""
    try:
        from sdot import SdotPlan, SumOfDiracs
        from sdot.distributions.ScaledImage import ScaledImage
    except (ImportError, SyntaxError) as problem:
        return None, f"no peer: sdot is not installed or not for this Python ({type(problem).__name__})"
    try:
        times = []
        for _ in range(2):  # the first may compile
            began = time.perf_counter()
            plan = SdotPlan(SumOfDiracs(sites), ScaledImage(values))
            plan.newton_solve()
            times.append((time.perf_counter() - began) * 1e3)
    except (OSError, RuntimeError) as problem:
        return None, f"sdot failed: {problem}"
    return min(times), f"sdot: {plan.status}"
