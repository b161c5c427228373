"""`d2oc field check`: what map files hold, before a scenario names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from d2oc.cli.printing import AsJson, print_json, say
from d2oc.cli.program import CHECK_FAILED, app
from d2oc.errors import MissingExtraError

if TYPE_CHECKING:
    from d2oc.geo.inspect import FileReport

field_app = typer.Typer(help="Look at boundaries, zones and maps before they are flown.", add_completion=False)
app.add_typer(field_app, name="field", no_args_is_help=True)


@field_app.callback()
def field() -> None:
    """Look at boundaries, zones and maps before they are flown."""


@field_app.command(epilog="Example: d2oc field check boundary.gpkg weeds.tif --draw fields.png")
def check(
    files: Annotated[list[Path], typer.Argument(help="Shapefile, GeoPackage, GeoJSON, KML or GeoTIFF files.")],
    draw: Annotated[
        Path | None, typer.Option(help="Picture of all files on one map; default: field-check.png.")
    ] = None,
    no_draw: Annotated[bool, typer.Option("--no-draw", help="Draw nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what map files hold: kind, area, coordinate system, extent, repairs; exit code 1 if one is unusable."""
    from d2oc.geo.inspect import inspect_file

    reports = [inspect_file(file) for file in files]
    picture = None if no_draw or (as_json and draw is None) else _draw(reports, draw)
    if as_json:
        print_json([report.as_mapping() for report in reports])
    else:
        for report in reports:
            _show(report)
        if picture:
            print(f"picture  {picture}")
    if not all(report.usable for report in reports):
        raise typer.Exit(CHECK_FAILED)


def _show(report: FileReport) -> None:
    if report.problem is not None:
        say(f"UNUSABLE {report.problem}")
        return
    details = report.details
    print(f"{report.file}: {report.kind} ({details['format']})")
    for label, text in _rows(report):
        print(f"  {label:12} {text}")
    for note in report.notes:
        print(f"  note         {note}")


def _rows(report: FileReport) -> list[tuple[str, str]]:
    details = report.details
    west, south, east, north = report.lon_lat
    utm = report.frame.crs if report.frame is not None else "none"
    rows = [
        ("coordinates", f"{report.crs if len(report.crs) < 30 else report.crs[:60] + '...'}; local metres on {utm}"),
        ("place", f"longitude {west:.5f} to {east:.5f}, latitude {south:.5f} to {north:.5f}"),
        ("extent", f"{report.extent_m[0]:,.1f} m east-west, {report.extent_m[1]:,.1f} m north-south"),
    ]
    if report.area_ha is not None:
        rows.append(("area", f"{report.area_ha:,.4g} ha{' observed' if report.kind == 'raster' else ''}"))
    if report.kind == "polygons":
        holes, n = details["n_holes"], details["n_polygons"]
        rows.append(("shape", f"{_count(n, 'polygon')}, {_count(holes, 'hole')}, {details['n_vertices']:,} vertices"))
    elif report.kind == "raster":
        rows += [
            (
                "pixels",
                f"{details['n_columns']:,} x {details['n_rows']:,} of {details['pixel_m']:.3g} m, {details['type']}",
            ),
            (
                "bands",
                f"{details['n_bands']}, nodata {details['nodata']}, {_count(details['n_overviews'], 'overview')}",
            ),
            ("values", f"means from {details['lowest_mean']:.4g} to {details['highest_mean']:.4g}"),
        ]
    else:
        rows.append(("features", f"{details['n_features']:,}"))
    if columns := details.get("columns"):
        rows.append(("columns", ", ".join(columns[:12])))
    return rows


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}{'s' if n != 1 else ''}"


def _draw(reports: list[FileReport], path: Path | None) -> Path | None:
    """Path of the picture; None when there is nothing to draw, or nothing to draw with and nobody asked for it."""
    usable = [report for report in reports if report.usable]
    if not usable:
        return None
    try:
        from d2oc_viz.map_files import draw_map_files

        return draw_map_files(usable, path or Path("field-check.png"))
    except MissingExtraError:
        if path is not None:
            raise
        return None
