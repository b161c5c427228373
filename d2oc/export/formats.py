"""All formats by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from d2oc.errors import ExportError
from d2oc.export import flight_plans, isoxml, maps, mcap, papers, zones
from d2oc.export.options import ExportOptions
from d2oc.record import Record

__all__ = ["FORMATS", "Format", "export_record"]


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes
    ----------
    write : callable
        Takes record, path and options; returns the files written.
    ending : str
        Of the name of the file; empty for a folder.
    holds : str
        What it holds, in a few words.
    """

    write: Callable[[Record, Path, ExportOptions], list[Path]]
    ending: str
    holds: str


FORMATS = {
    "dose-cog": Format(maps.write_dose_cog, ".tif", "dose wanted, as cloud-optimised GeoTIFF"),
    "applied-cog": Format(maps.write_applied_cog, ".tif", "dose deposited, as cloud-optimised GeoTIFF"),
    "cells-gpkg": Format(maps.write_cells, ".gpkg", "cells with dose wanted and deposited, as GeoPackage"),
    "track-gpkg": Format(maps.write_track, ".gpkg", "places and flow of every drone and step, as GeoPackage"),
    "zones-shp": Format(zones.write_zones, ".shp", "prescription zones, as Shapefile"),
    "zones-geojson": Format(zones.write_zones, ".geojson", "prescription zones, as GeoJSON"),
    "qgc-plan": Format(flight_plans.write_plans, "", "QGroundControl plans with fence and rally points"),
    "ardupilot": Format(flight_plans.write_waypoints, "", "ArduPilot waypoints (QGC WPL 110)"),
    "isoxml": Format(isoxml.write_isoxml, "", "ISOXML task data (ISO 11783-10) with a grid of rates"),
    "mcap": Format(mcap.write_mcap, ".mcap", "the mission over time, for Foxglove and other robotics tools"),
    "record-csv": Format(papers.write_record_csv, ".csv", "spray record, one row a drone"),
    "record-json": Format(papers.write_record_json, ".json", "spray record"),
    "mix-sheet": Format(papers.write_mix_sheet, ".csv", "what to mix for each load"),
}


def export_record(record: Record, name: str, out: Path, options: ExportOptions | None = None) -> list[Path]:
    """Write a record in a format.

    Parameters
    ----------
    record : Record
        Complete or not.
    name : str
        One of `FORMATS`.
    out : Path
        File, or folder for formats of several files.
    options : ExportOptions, optional

    Returns
    -------
    paths : list of Path
        All files written.

    Raises
    ------
    ExportError
        If there is no such format, the name of the file does not fit it, or the record lacks what it needs.
    MissingExtraError
        If the extra `geo` is not installed.
    """
    if name not in FORMATS:
        near = difflib.get_close_matches(name, FORMATS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(FORMATS)}"
        raise ExportError(f'format "{name}" is not known; {hint}')
    form = FORMATS[name]
    if form.ending and out.suffix.lower() != form.ending:
        raise ExportError(f"{out}: the name of a file in the format {name} ends in {form.ending}")
    if form.ending and out.is_dir():
        raise ExportError(f"{out}: is a folder; the format {name} is one file")
    out.parent.mkdir(parents=True, exist_ok=True)
    return form.write(record, out, options or ExportOptions())
