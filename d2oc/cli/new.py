"""`d2oc new`: a scenario from a boundary and a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from d2oc.cli.program import app


@app.command(epilog="Example: d2oc new --boundary field.gpkg --map weeds.tif --no-spray wells.geojson --out mine.toml")
def new(
    boundary: Annotated[Path, typer.Option(help="Outline of the field: Shapefile, GeoPackage, GeoJSON or KML.")],
    map_file: Annotated[Path, typer.Option("--map", help="What to treat: GeoTIFF, or points as CSV or vector file.")],
    out: Annotated[Path, typer.Option(help="Scenario file to write, ending in .toml.")],
    no_fly: Annotated[Path | None, typer.Option(help="Zones that nobody flies into.")] = None,
    no_spray: Annotated[Path | None, typer.Option(help="Zones that are flown over, but not treated.")] = None,
    no_fly_buffer_m: Annotated[float, typer.Option(help="How much wider no-fly zones are made.", min=0.0)] = 0.0,
    no_spray_buffer_m: Annotated[float, typer.Option(help="How much wider no-spray zones are made.", min=0.0)] = 0.0,
    agents: Annotated[int, typer.Option(help="Drones in the team.", min=1, max=1000)] = 3,
    dose_l_ha: Annotated[
        float | None, typer.Option(help="Spray so much where the map is above the threshold.", min=0.1, max=1000.0)
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Severity up to which nothing is sprayed; default: a fifth of the highest.", min=0.0),
    ] = None,
    value_column: Annotated[str | None, typer.Option(help="Column of points with the counts.")] = None,
    coordinates: Annotated[str | None, typer.Option(help="Of a CSV file: lon-lat, or such as EPSG:32633.")] = None,
) -> None:
    """Write a commented scenario from a boundary and a map; with a dose it is a spraying mission. It runs at once."""
    from d2oc.starter import MapFiles, Rate, write_scenario

    if threshold is not None and dose_l_ha is None:
        raise typer.BadParameter("--threshold goes with --dose-l-ha")

    files = MapFiles(
        boundary, map_file, no_fly, no_spray, no_fly_buffer_m, no_spray_buffer_m, value_column, coordinates
    )
    field = write_scenario(files, out, agents, None if dose_l_ha is None else Rate(dose_l_ha, threshold))
    print(f"{out}: {field.treatable_area_m2 / 1e4:.4g} ha to treat, {len(field.zones)} zones, {agents} drones")
    for note in field.notes:
        print(f"note: {note}")
    print(f"fly it: d2oc run {out}")
