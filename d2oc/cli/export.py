"""`d2oc export`: files for ground stations, farm software and the office."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from d2oc.cli.printing import AsJson, print_json, say
from d2oc.cli.program import app


class SprayCommand(StrEnum):
    """How spraying is switched in a flight plan."""

    sprayer = "sprayer"
    servo = "servo"


@app.command(epilog="Example: d2oc export runs/mine --format qgc-plan --out plans")
def export(
    run_folder: Annotated[Path, typer.Argument(help="Run folder.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="dose-cog, applied-cog, cells-gpkg, track-gpkg, zones-shp, zones-geojson, qgc-plan, ardupilot, "
            "isoxml, mcap, record-csv, record-json or mix-sheet; see docs/export.md.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write; a folder for formats of several files.")],
    tolerance_m: Annotated[float, typer.Option(help="How far waypoints may leave the way flown.", min=0.0)] = 0.5,
    fence_margin_m: Annotated[float, typer.Option(help="How much wider than the field the fence is.", min=0.1)] = 5.0,
    spray_command: Annotated[SprayCommand, typer.Option(help="DO_SPRAYER, or a servo output.")] = SprayCommand.sprayer,
    servo: Annotated[int, typer.Option(help="Number of the servo output.", min=1, max=32)] = 9,
    detail: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="What a record does not know, such as pilot=...; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a record as dose map, zones, flight plans, task data, MCAP, spray record or mix sheet."""
    from d2oc.export import ExportOptions, export_record
    from d2oc.export.options import read_details
    from d2oc.record import load_record

    options = ExportOptions(tolerance_m, fence_margin_m, spray_command.value, servo, details=read_details(detail or ()))
    record = load_record(run_folder)
    if not record.complete:
        say(f"note: the mission is {record.status}; what it holds is exported")
    paths = export_record(record, form, out, options)
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)
