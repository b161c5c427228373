"""Spraying methods side by side on counted fields and on made ones: at equal efficacy, and at equal litres.

Three counted fields, where their data are at hand, and made fields of 400 m x 300 m with 5 to 9 patches each. On every
field all methods fly the same machines, stations, wind and rules: all with the litres that d2oc sprayed with the same
seed (`equal`), and the lawnmowers also with all that they want (`free`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.compare.comparison import ComparisonProgress, compare

COUNTED = ("weed_bjertorp", "aphids", "webworms")
WEBWORM_SCALE = 10.0
"""Beall counted on 36 m x 18 m, which is one pass wide: his plan is flown ten times as large."""
FREE = ("prescription", "prescription-skip", "uniform")
EQUAL = ("d2oc", "prescription", "prescription-skip", "uniform", "smc", "hedac")
SHOWN = (
    "litres", "saved_percent", "missed_percent", "overdosed_m2", "buffer_litres", "cv_percent", "off_target_litres",
    "survivors_percent", "hectares_per_hour", "makespan_s", "energy_kwh", "refills", "idle_percent", "workload_gini",
)  # fmt: skip

TEAM = """
[sampling]
n_samples = 1000
[team]
n_agents = {drones}
[vehicle]
model = "double-integrator"
max_acceleration_m_s2 = 3.0
max_speed_m_s = 10.0
preset = "sprayer"
[control]
terminal_cost = "dare"
[mission]
duration_s = {duration}
time_step_s = 0.5
[radio]
comm_range_m = inf
[world.wind]
speed_m_s = {wind}
toward_deg = 40.0
[world.sensors]
position_sigma_m = 0.05
[dose]
threshold = {threshold}
rate_l_ha = 15.0
maximum_l_ha = 30.0
ed50_l_ha = 4.5
[spray]
"""


def field_names(n_made: int, data: Path) -> list[str]:
    """Counted fields whose data are there, and made ones."""
    return [*(name for name in COUNTED if _data_file(name, data).is_file()), *(f"made_{i}" for i in range(n_made))]


def measure(
    fields: Sequence[str],
    n_seeds: int,
    wind: float,
    data: Path,
    out: Path,
    on_row: Callable[[dict[str, Any]], None] | None = None,
    on_progress: Callable[[str, ComparisonProgress], None] | None = None,
) -> list[dict[str, Any]]:
    """Fly all methods on all fields.

    Parameters
    ----------
    fields : sequence of str
        From `field_names`.
    n_seeds : int
        Flights of each method on each field.
    wind : float
        Mean wind. [m/s]
    data : Path
        Folder of the counted fields.
    out : Path
        Keeps scenarios and flights, so that a bench that was killed goes on.
    on_row, on_progress : callable, optional
        Told of every finished row, and of how far a field is.

    Returns
    -------
    rows : list of dict
        One for each field, kind of comparison (`free` or `equal`) and method: mean and `_std` over the seeds.
    """
    rows = []
    for name in fields:
        path = _scenario(name, wind, data, out / name)
        for kind, methods in (("equal", EQUAL), ("free", FREE)):
            comparison = compare(
                str(path), methods, n_seeds, out / name / kind, equal_litres=kind == "equal", resume=True,
                on_progress=None if on_progress is None else lambda p, n=name: on_progress(n, p),  # type: ignore[misc]
            )  # fmt: skip
            for found in comparison.methods:
                row = {"field": name, "kind": kind, "method": found["method"], "n_seeds": found["n_seeds"]}
                row |= {key: found[key] for shown in SHOWN for key in (shown, f"{shown}_std")}
                rows.append(row)
                if on_row is not None:
                    on_row(row)
    return rows


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    return (
        f"{row['field']:14} {row['kind']:5} {row['method']:13}{row['litres']:8.1f} L "
        f"{row['missed_percent']:6.2f} % missed {row['makespan_s']:7.0f} s {row['overdosed_m2']:4.0f} m2 over "
        f"{row['buffer_litres']:6.3f} L in buffers"
    )


def _scenario(name: str, wind: float, data: Path, folder: Path) -> Path:
    """Write the scenario of a field."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(_counted(name, wind, data, folder) if name in COUNTED else _made(name, wind), encoding="utf-8")
    return path


def _counted(name: str, wind: float, data: Path, folder: Path) -> str:
    """A counted field; what counts more than the mean is treated."""
    places, counts = _counts(name, data)
    low, high = places.min(axis=0), places.max(axis=0)
    with (folder / "counts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "y", "count"])
        writer.writerows(np.column_stack([places, counts]).tolist())
    south = [round(float(low[0] + high[0]) / 2), round(float(low[1]) - 25.0)]
    drones = 3 if name == "weed_bjertorp" else 2
    text = TEAM.format(drones=drones, duration=3600, wind=wind, threshold=round(float(counts.mean()), 3))
    density = {
        "kind": "points", "file": str((folder / "counts.csv").resolve()), "x_column": "x", "y_column": "y",
        "value_column": "count", "coordinates": "local-m", "interpolation": "idw", "cell_size_m": 2.0,
    }  # fmt: skip
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in density.items())
    return f'name = "{name}"\n[density]\n{keys}\n{text}[[stations]]\nplace_m = {south}\n'


def _counts(name: str, data: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Places [m] and counts."""
    file = _data_file(name, data)
    if name == "webworms":
        table = np.genfromtxt(file, names=True, dtype=None, encoding="utf-8")
        # A unit area is one 22-inch row by 3 feet.
        places = WEBWORM_SCALE * np.column_stack([0.5588 * table["row"], 0.9144 * table["col"]])
        return places, table["y"].astype(float)
    table = np.genfromtxt(file, names=True, delimiter=",")
    x, y, value = ("easting_m", "northing_m", "weed_count") if name == "weed_bjertorp" else ("xm", "ym", "i")
    return np.column_stack([table[x], table[y]]), table[value]


def _data_file(name: str, data: Path) -> Path:
    return data / {"webworms": "webworms_beall.txt"}.get(name, f"{name}.csv")


def _made(name: str, wind: float) -> str:
    """A made field: patches at random, and a pond that must stay dry."""
    rng = np.random.default_rng(int(name.removeprefix("made_")))
    patches = "\n".join(_patches(rng))
    text = TEAM.format(drones=3, duration=1800, wind=wind, threshold=0.2)
    x, y = rng.uniform((60, 60), (340, 240))
    pond = [[round(x + dx), round(y + dy)] for dx, dy in ((-12, -8), (12, -8), (12, 8), (-12, 8))]
    return (
        f'name = "{name}"\n[field]\nwidth_m = 400.0\nheight_m = 300.0\n'
        f'no_spray_zones = [{{ name = "pond", boundary_m = {pond} }}]\n'
        f'[density]\nkind = "mixture"\ncomponents = [\n{patches}\n]\n{text}[[stations]]\nplace_m = [200.0, -20.0]\n'
    )


def _patches(rng: np.random.Generator) -> Iterator[str]:
    for _ in range(int(rng.integers(5, 10))):
        x, y = rng.uniform((20, 20), (380, 280))
        along, across = rng.uniform(10, 30, 2)
        height = rng.uniform(0.5, 1.0)  # of the peak, so its mass follows from its size
        yield (
            f"  {{ mean_m = [{x:.1f}, {y:.1f}], sigma_m = [{along:.1f}, {across:.1f}], "
            f"angle_deg = {rng.uniform(0, 180):.0f}, weight = {height * along * across:.1f} }},"
        )
