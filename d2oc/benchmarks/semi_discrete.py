"""`d2oc bench transport`: dividing maps and samples among sites, beside the package `sdot` where it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

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
PEER_RUNS = 3
LONGEST_PEER_S = 900.0
SERVED = 0.6
"""Share of the map that limited tanks serve."""


@dataclass(frozen=True)
class Peer:
    """What `sdot` made of the same problem."""

    milliseconds: float | None = None
    mass_error: float | None = None
    cost: float | None = None
    """On the unit square."""
    note: str = ""


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
    sdot_mass_error: float | None
    """As `mass_error`."""
    cost_over_sdot: float | None
    """Transport cost over that of `sdot`, less one."""
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
        Two runs each, no more than 100 sites, no peer unless SDOT_PYTHON names one.
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
        yield _cold("even", even(), n_sites, runs, quick and "SDOT_PYTHON" not in os.environ)
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
    peer: Peer | None = None,
    cost: float | None = None,
    note: str = "",
) -> Row:
    least, peer = min(times), peer or Peer(note=note)
    time_of_peer, ratio, cost_ratio = None, None, None
    if peer.milliseconds is not None and peer.cost is not None and cost is not None:
        time_of_peer, ratio = round(peer.milliseconds, 1), round(peer.milliseconds / least, 1)
        cost_ratio = cost / SIDE_M**2 / peer.cost - 1
    return Row(
        name, density, n_sites, round(least, 2), round(max(times), 2), error, steps,
        time_of_peer, ratio, peer.mass_error, cost_ratio, peer.note,
    )  # fmt: skip


def _cold(name: str, values: Floats, n_sites: int, runs: int, alone: bool) -> Row:
    density = GridDensity(values, (0.0, 0.0), SIDE_M / CELLS)
    sites, capacities = _sites(n_sites), np.full(n_sites, 1.0 / n_sites)
    result = semi_discrete(density, sites, capacities, mass=1.0)
    times = _timed(runs, lambda: semi_discrete(density, sites, capacities, mass=1.0))
    peer = None if alone else _sdot(values, sites / SIDE_M)
    return _row("semi_discrete", name, times, result.mass_error, n_sites, result.steps, peer, float(result.cost))


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
    return _row("divide_samples", "samples", times, error, n_sites, None, note=note)


def _sdot(values: Floats, sites: Floats) -> Peer:
    """The peer on the unit square, in the interpreter that SDOT_PYTHON names, or in this one."""
    python = os.environ.get("SDOT_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "problem.npz")
        np.savez(path, values=values, sites=sites)
        command = [python, str(Path(__file__).with_name("sdot_peer.py")), str(path), str(PEER_RUNS)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_PEER_S, check=True)
            return Peer(**json.loads(done.stdout.splitlines()[-1]))
        except subprocess.CalledProcessError as failed:
            last = (failed.stderr.strip().splitlines() or ["no word"])[-1]
            return Peer(note=f"no peer: {last}; SDOT_PYTHON names an interpreter with sdot, see docs/semi_discrete.md")
        except (OSError, ValueError, TypeError, IndexError, subprocess.TimeoutExpired) as failed:
            return Peer(note=f"no peer: {type(failed).__name__}: {failed}")
