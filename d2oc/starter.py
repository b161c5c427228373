"""A commented scenario from a boundary and a map, ready to be run: what `d2oc new` writes."""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2oc.density import build_density
from d2oc.density.grid import GridDensity
from d2oc.errors import D2ocError, ScenarioError
from d2oc.field import Field
from d2oc.geo.files import RASTER_ENDINGS, VECTOR_ENDINGS
from d2oc.geo.vector import read_layer
from d2oc.scenario import load_scenario

__all__ = ["MapFiles", "Rate", "write_scenario"]

SPEED_M_S = 7.0
SWATH_M = 11.0
"""Of the sprayer class: what a drone treats is as wide as this. [m]"""
SHORTEST_S, LONGEST_S = 60.0, 3600.0
TIME_STEP_S = 0.2
SPRAY_SPEED_M_S, SPRAY_SWATH_M = 6.0, 7.0
SLOWER, BEFORE_AND_AFTER_S = 4.0, 1200.0
"""A spraying mission is over in this many times the time of its swaths, and a while: turns, ways and refills. [s]"""
THRESHOLD_SHARE = 0.2
DRONES_PER_PILOT = 3
SAMPLES_PER_HA = 250
FEWEST_SAMPLES, MOST_SAMPLES = 500, 5000

EAST = ("lon", "longitude", "long", "x", "easting", "east", "x_m", "east_m", "easting_m")
NORTH = ("lat", "latitude", "y", "northing", "north", "y_m", "north_m", "northing_m")
DEGREES = ("lon", "longitude", "long")


@dataclass(frozen=True)
class MapFiles:
    """Files that a scenario is made from.

    Attributes
    ----------
    boundary, map : Path
        Outline of the field, and what is to be treated there: GeoTIFF, points, or CSV.
    no_fly, no_spray : Path, optional
        Zones.
    no_fly_buffer_m, no_spray_buffer_m : float
        How much wider these are made. [m]
    value_column : str, optional
        Column of points that holds the counts; default: the only one that holds numbers.
    coordinates : str, optional
        Of a CSV file: `lon-lat` or `EPSG:n`; default: `lon-lat` where the columns are named so.
    """

    boundary: Path
    map: Path
    no_fly: Path | None = None
    no_spray: Path | None = None
    no_fly_buffer_m: float = 0.0
    no_spray_buffer_m: float = 0.0
    value_column: str | None = None
    coordinates: str | None = None


@dataclass(frozen=True)
class Rate:
    """How much is sprayed where.

    Attributes
    ----------
    l_ha : float
        Where the severity is above the threshold. [L/ha]
    threshold : float, optional
        In the unit of the map; default: a fifth of its highest value.
    """

    l_ha: float
    threshold: float | None = None


def write_scenario(files: MapFiles, out: Path, n_agents: int, rate: Rate | None = None) -> Field:
    """Write a scenario file and try it: it is left there only if it can be flown.

    Parameters
    ----------
    files : MapFiles
    out : Path
        File to write; it must not be there yet. Paths in it are relative to its folder.
    n_agents : int
        Drones in the team.
    rate : Rate, optional
        Makes a spraying mission of it, with one station at the corner of the field that is nearest to its south-west.

    Returns
    -------
    field : Field
        As the scenario has it.

    Raises
    ------
    D2ocError
        If a file cannot be used; then nothing is written.
    """
    if out.suffix != ".toml":
        raise ScenarioError(f"{out}: the name of a scenario file ends in .toml")
    if out.exists():
        raise ScenarioError(f"{out}: is there already; choose another name, or delete it")
    density = _density(files, out.parent)
    try:
        out.write_text(_text(files, out, n_agents, density, SHORTEST_S, FEWEST_SAMPLES, False), encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{out}: cannot be written ({error.strerror})") from None
    try:
        scenario = load_scenario(str(out))
        made, field = build_density(scenario.density, scenario.field)
    except D2ocError:
        out.unlink()
        raise
    if rate is not None:
        highest = float(np.nanmax(made.values)) if isinstance(made, GridDensity) else 0.0
        text = _spraying(files, out, n_agents, density, rate, highest, field)
        try:
            out.write_text(text, encoding="utf-8")
            load_scenario(str(out))
        except D2ocError:
            out.unlink()
            raise
        return field
    duration = field.treatable_area_m2 / (n_agents * SPEED_M_S * SWATH_M)
    duration = 10.0 * math.ceil(min(LONGEST_S, max(SHORTEST_S, duration)) / 10)
    n_samples = int(min(MOST_SAMPLES, max(FEWEST_SAMPLES, SAMPLES_PER_HA * field.treatable_area_m2 / 1e4)))
    text = _text(files, out, n_agents, density, duration, n_samples, bool(field.no_fly_zones))
    out.write_text(text, encoding="utf-8")
    return field


def _text(files: MapFiles, out: Path, n_agents: int, density: str, duration: float, n_samples: int, zones: bool) -> str:
    limits = (
        '"optimised"  # commands keep out of the no-fly zones and inside the field'
        if zones
        else ('"clamped"    # the vehicle cuts what the law asks for; "optimised" keeps inside the field')
    )
    return f"""\
# Written by `d2oc new`. Fly it with:  d2oc run {out.name}
# Every key and its unit: docs/scenario.md, or `d2oc schema` for editors that complete and check.
name = {_quoted(out.stem)}
description = {_quoted(f"{files.map.name} in {files.boundary.name}")}
seed = 1                                # another seed: other random draws

[field]                                 # files are relative to this one; look at them with `d2oc field check`
boundary_file = {_path(files.boundary, out.parent)}
{_zone_lines(files, out.parent)}
{density}
[sampling]
n_samples = {n_samples}                        # points that stand for the map: more are finer and slower
method = "low-discrepancy"

[team]
n_agents = {n_agents}
start = "line"                          # side by side along the south edge; or start_m = [[x, y], ...]

[vehicle]
model = "double-integrator"
max_speed_m_s = {SPEED_M_S}
max_acceleration_m_s2 = 3.0

[control]
limits = {limits}
terminal_cost = "dare"

[mission]
duration_s = {duration}                      # a swath of {SWATH_M:g} m over the whole field takes that; at most an hour
time_step_s = {TIME_STEP_S}

[radio]
comm_range_m = inf                      # everyone hears everyone; give metres for a real radio
"""


def _spraying(files: MapFiles, out: Path, n_agents: int, density: str, rate: Rate, highest: float, field: Field) -> str:
    """Text of a spraying mission."""
    threshold = rate.threshold if rate.threshold is not None else float(f"{THRESHOLD_SHARE * highest:.3g}")
    station = field.boundary[int(np.argmin((field.boundary - np.array(field.bounds[:2])).sum(axis=1)))]
    broadcast = field.treatable_area_m2 / (n_agents * SPRAY_SPEED_M_S * SPRAY_SWATH_M)
    duration = 600.0 * math.ceil((BEFORE_AND_AFTER_S + SLOWER * broadcast) / 600)
    most = max(rate.l_ha, min(2 * rate.l_ha, 100.0))
    return f"""\
# Written by `d2oc new`. Fly it with:  d2oc run {out.name}
# Every key and its unit: docs/scenario.md; what a spraying mission does: docs/farm.md.
name = {_quoted(out.stem)}
description = {_quoted(f"{files.map.name} in {files.boundary.name}, sprayed at {rate.l_ha:g} L/ha")}
seed = 1                                # gusts and errors of position

[field]                                 # files are relative to this one; look at them with `d2oc field check`
boundary_file = {_path(files.boundary, out.parent)}
{_zone_lines(files, out.parent)}
{density}
[dose]
kind = "threshold"                      # one rate where the severity is above a threshold; or steps, or response
threshold = {threshold}                        # in the unit of the map, whose highest value is {highest:.4g}
rate_l_ha = {rate.l_ha}                        # there
maximum_l_ha = {most}                     # LABEL MAXIMUM, all passes together: put in that of your product
dilation_m = 1.0                        # patches are made wider by this, for errors of position and pump
minimum_patch_m2 = 20.0                 # smaller ones are left out

[spray]
method = "d2oc"                         # or prescription, prescription-skip, uniform, smc, hedac
speed_m_s = {SPRAY_SPEED_M_S}                         # working speed
swath_m = {SPRAY_SWATH_M}                           # spacing of passes that gives an even deposit
cell_m = 1.0                            # side of a cell of the dose map

[[stations]]
name = "truck"
place_m = [{station[0]:.1f}, {station[1]:.1f}]  # where tanks are filled; for more stations repeat this table
slots = 1                               # drones served at once

[rules]
profile = "default"                     # limits and buffers, checked before take-off
pilots = {math.ceil(n_agents / DRONES_PER_PILOT)}

[sampling]
n_samples = 1000                        # blocks of the dose map that the record keeps track of

[team]
n_agents = {n_agents}

[vehicle]
model = "double-integrator"
preset = "sprayer"                      # 50 kg, tank of 40 L
max_speed_m_s = 10.0                    # between passes
max_acceleration_m_s2 = 3.0

[control]
terminal_cost = "dare"                  # not used by spraying missions, but every loop must be stable

[mission]
duration_s = {duration}                     # at the most; it ends when everybody is home
time_step_s = 0.5

[radio]
comm_range_m = inf                      # all know what all have sprayed

[world]
height_m = 3.0                          # above the crop

[world.wind]
speed_m_s = 2.0                         # mean wind; gusts in proportion
toward_deg = 0.0                        # where it blows to, anticlockwise from east
"""


def _zone_lines(files: MapFiles, folder: Path) -> str:
    lines = ""
    for kind, file, buffer, what in (
        ("no_fly", files.no_fly, files.no_fly_buffer_m, "nobody flies and nothing is treated there"),
        ("no_spray", files.no_spray, files.no_spray_buffer_m, "flown over, but not treated"),
    ):
        if file is not None:
            lines += f"{kind}_file = {_path(file, folder)}  # {what}\n"
            lines += f"{kind}_buffer_m = {float(buffer)}                # every zone is made wider by this\n"
        else:
            lines += f'# {kind}_file = "zones.geojson"   # {what}\n'
    return lines


def _density(files: MapFiles, folder: Path) -> str:
    """The `[density]` table for a map, by the ending of its name."""
    ending = files.map.suffix.lower()
    path = _path(files.map, folder)
    if ending in RASTER_ENDINGS:
        return f"""\
[density]                               # how much there is to treat, where
kind = "geotiff"
file = {path}
band = 1
# cell_size_m = 2.0                     # default: a pixel, or more where that makes over a million cells
# nodata_value = -9999.0                # besides what the file declares; a zero is a zero
"""
    if ending in VECTOR_ENDINGS:
        return f"""\
[density]                               # how much there is to treat, where
kind = "vector-points"
file = {path}
value_column = {_quoted(files.value_column or _only_numbers(files.map))}
interpolation = "idw"                   # or linear, nearest, none
cell_size_m = 5.0
"""
    if ending == ".csv":
        east, north, value, coordinates = _csv_columns(files)
        return f"""\
[density]                               # how much there is to treat, where
kind = "points"
file = {path}
x_column = {_quoted(east)}
y_column = {_quoted(north)}
value_column = {_quoted(value)}
coordinates = {_quoted(coordinates)}
interpolation = "idw"                   # or linear, nearest, none
cell_size_m = 5.0
"""
    raise ScenarioError(
        f"{files.map}: a map ends in one of {', '.join((*RASTER_ENDINGS, *VECTOR_ENDINGS, '.csv'))}, not '{ending}'"
    )


def _only_numbers(file: Path) -> str:
    columns = read_layer(file).columns
    numbers = [
        name for name, values in columns.items() if values.dtype.kind in "iuf" and name.lower() not in ("id", "fid")
    ]
    if len(numbers) == 1:
        return str(numbers[0])
    held = ", ".join(numbers) or "none"
    raise ScenarioError(f"{file}: columns with numbers: {held}; name the one with the counts by --value-column")


def _csv_columns(files: MapFiles) -> tuple[str, str, str, str]:
    """Columns of east, north and the value of a CSV file, and what the coordinates are."""
    try:
        with files.map.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline(100_000)
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{files.map}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    delimiter = max(",;\t", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    east = next((name for name in names if name.lower() in EAST), None)
    north = next((name for name in names if name.lower() in NORTH), None)
    if east is None or north is None:
        raise ScenarioError(
            f"{files.map}: no columns are named lon and lat, or x and y; columns: {', '.join(names)[:200]}"
        )
    others = [name for name in names if name not in (east, north) and name.lower() not in ("id", "fid", "name", "date")]
    value = files.value_column or (others[0] if len(others) == 1 else None)
    if value is None:
        raise ScenarioError(
            f"{files.map}: name the column with the counts by --value-column: {', '.join(others)[:200]}"
        )
    coordinates = files.coordinates or ("lon-lat" if east.lower() in DEGREES else None)
    if coordinates is None:
        raise ScenarioError(
            f"{files.map}: say what its coordinates are by --coordinates: lon-lat, or such as EPSG:32633"
        )
    return east, north, value, coordinates


def _path(file: Path, folder: Path) -> str:
    """Path as a scenario in a folder names it."""
    return _quoted(Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
