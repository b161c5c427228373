"""ISOXML task data (ISO 11783-10): a task with the field's boundary and a grid of rates."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from d2oc import __version__
from d2oc.arrays import Floats
from d2oc.errors import ExportError
from d2oc.export.maps import frame_of, rate_map
from d2oc.export.options import ExportOptions
from d2oc.field import Field, NoFlyZone
from d2oc.geo import LocalFrame
from d2oc.geo.write import Grid
from d2oc.record import Record

__all__ = ["RAW_PER_L_HA", "write_isoxml"]

RAW_PER_L_HA = 10_000
"""DDI 1, setpoint of the volume per area, counts 0.01 mm3/m2, and 1 L/ha is 100 mm3/m2: 30 L/ha is 300,000."""
DDI = "0001"
DEGREE_M = 111_195.0
"""Length of a degree of latitude on a sphere of 6,371 km. [m]"""
MOST_CELLS = 4_000_000
RATES, NOTHING = 1, 0
"""Treatment zones: the grid's, and the one with rate 0, which also holds outside the field and without position."""


def write_isoxml(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """TASKDATA.XML and its grid, in a folder.

    The grid is of type 2: a rate for each cell, in longitude and latitude, from the south-west. Outside the field,
    outside the grid and without a position the rate is 0.

    Raises
    ------
    ExportError
        If the record is none of a spraying mission: it has no rates.
    """
    frame = frame_of(record)
    if record.header.raster is None:
        raise ExportError(
            f"{record.path or record.header.name}: has no rates, since nothing was sprayed; task data need a "
            "scenario with a [spray] table"
        )
    bands, grid, _ = rate_map(record)
    rates, corner, step = _in_degrees(bands["target_l_ha"], grid, frame)
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file; task data are several files, so give a folder")
    out.mkdir(parents=True, exist_ok=True)
    raw = np.rint(np.nan_to_num(rates) * RAW_PER_L_HA).astype("<i4")
    binary = out / "GRD00001.BIN"
    binary.write_bytes(raw.tobytes())
    root = _task_data(record, frame, raw.shape, corner, step, options)
    ET.indent(root)
    path = out / "TASKDATA.XML"
    path.write_bytes(b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="utf-8") + b"\n")
    return [path, binary]


def _in_degrees(rates: Floats, grid: Grid, frame: LocalFrame) -> tuple[Floats, Floats, Floats]:
    """Rates on a grid of longitude and latitude with cells as large; corner and step as (longitude, latitude). [deg]"""
    n_rows, n_columns = rates.shape
    x = grid.origin[0] + grid.cell_m * np.array([0.0, n_columns, n_columns, 0.0])
    y = grid.origin[1] + grid.cell_m * np.array([0.0, 0.0, n_rows, n_rows])
    corners = frame.to_lon_lat(np.column_stack([x, y]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = grid.cell_m / DEGREE_M / np.array([math.cos(math.radians(float(low[1]))), 1.0])
    columns, rows = (math.ceil(extent) for extent in (high - low) / step)
    if rows * columns > MOST_CELLS:
        raise ExportError(f"a grid of {rows * columns:,} cells is too large for task data (at most {MOST_CELLS:,})")
    centres = [low[i] + step[i] * (np.arange(n) + 0.5) for i, n in enumerate((columns, rows))]
    longitude, latitude = np.meshgrid(*centres)
    local = frame.from_lon_lat(np.column_stack([longitude.ravel(), latitude.ravel()]))
    column, row = np.floor((local - grid.origin) / grid.cell_m).astype(int).T
    inside = (row >= 0) & (row < n_rows) & (column >= 0) & (column < n_columns)
    values = np.zeros(rows * columns)
    values[inside] = rates[row[inside], column[inside]]
    return values.reshape(rows, columns), low, step


def _task_data(
    record: Record, frame: LocalFrame, shape: tuple[int, ...], corner: Floats, step: Floats, options: ExportOptions
) -> ET.Element:
    """The element ISO11783_TaskData, version 4."""
    root = ET.Element(
        "ISO11783_TaskData",
        VersionMajor="4", VersionMinor="2", DataTransferOrigin="1",
        ManagementSoftwareManufacturer="d2oc", ManagementSoftwareVersion=__version__,
    )  # fmt: skip
    name = (options.details.get("field_name") or record.header.name)[:32]
    area = Field(
        np.array(record.header.boundary_m),
        tuple(NoFlyZone(f"zone {i}", np.array(zone)) for i, zone in enumerate(record.header.no_fly_zones_m)),
    ).area_m2
    field = ET.SubElement(root, "PFD", A="PFD1", C=name, D=str(round(area)))
    polygon = ET.SubElement(field, "PLN", A="1")
    _ring(polygon, np.array(record.header.boundary_m), frame, "1")
    for zone in record.header.no_fly_zones_m:
        _ring(polygon, np.array(zone), frame, "2")
    task = ET.SubElement(root, "TSK", A="TSK1", B=record.header.name[:32], E="PFD1", G="1", H="0", I="0", J="0")
    for code in (NOTHING, RATES):
        zone_of = ET.SubElement(task, "TZN", A=str(code), B="nothing" if code == NOTHING else "rates")
        ET.SubElement(zone_of, "PDV", A=DDI, B="0")
    ET.SubElement(
        task, "GRD",
        A=f"{corner[1]:.9f}", B=f"{corner[0]:.9f}", C=f"{step[1]:.12f}", D=f"{step[0]:.12f}",
        E=str(shape[1]), F=str(shape[0]), G="GRD00001", H=str(4 * shape[0] * shape[1]), I="2", J=str(RATES),
    )  # fmt: skip
    return root


def _ring(polygon: ET.Element, ring: Floats, frame: LocalFrame, kind: str) -> None:
    """A ring of a polygon, closed; kind 1 is outside, 2 a hole."""
    line = ET.SubElement(polygon, "LSG", A=kind)
    for longitude, latitude in frame.to_lon_lat(np.vstack([ring, ring[:1]])):
        ET.SubElement(line, "PNT", A="2", C=f"{latitude:.9f}", D=f"{longitude:.9f}")
