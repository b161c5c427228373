"""Boundaries, zones, points and rasters of several files on one map, in metres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from d2oc.geo import LocalFrame
from d2oc.geo.inspect import FileReport
from d2oc.geo.raster import outline_of_raster, raster_info, read_map
from d2oc_viz.drawing import new_figure, save, styled

CELLS_ACROSS = 300


def draw_map_files(reports: Sequence[FileReport], path: str | Path) -> Path:
    """Draw what map files hold, all in the local frame of the first.

    Parameters
    ----------
    reports : sequence of FileReport
        All usable, at least one.
    path : str or Path
        File to write.

    Returns
    -------
    path : Path

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    frame = reports[0].frame
    assert frame is not None
    with styled():
        figure = new_figure(7.5, 6.0)
        axes = figure.subplots()
        for report in sorted(reports, key=lambda r: r.kind != "raster"):
            if report.kind == "raster":
                _draw_raster(figure, axes, report, frame)
        colours = iter([f"C{i % 7}" for i in range(len(reports))])
        for report in reports:
            if report.kind != "raster":
                _draw_shapes(axes, report, frame, next(colours))
        axes.set(aspect="equal", xlabel="x, east [m]", ylabel="y, north [m]")
        axes.set_title(f"local metres on {frame.crs}", loc="left")
        if any(report.kind != "raster" for report in reports):
            figure.legend(loc="outside lower left", ncols=3, frameon=False)
        save(figure, path)
    return Path(path)


def _draw_raster(figure: Any, axes: Any, report: FileReport, frame: LocalFrame) -> None:
    outline = outline_of_raster(raster_info(report.file), frame)
    (x_min, y_min), (x_max, y_max) = outline.min(axis=0), outline.max(axis=0)
    cell = max(float(x_max - x_min), float(y_max - y_min)) / CELLS_ACROSS
    grid = read_map(report.file, frame, (x_min, y_min, x_max, y_max), cell_size_m=cell)
    rows, columns = grid.values.shape
    image = axes.imshow(
        np.ma.masked_invalid(grid.values),
        origin="lower",
        extent=(x_min, x_min + columns * cell, y_min, y_min + rows * cell),
        cmap="YlGn",
        vmin=0.0,
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label(report.file.name)
    bar.outline.set_linewidth(0.4)


def _draw_shapes(axes: Any, report: FileReport, frame: LocalFrame, colour: str) -> None:
    label: str | None = report.file.name
    for ring in report.rings:
        x, y = frame.from_lon_lat(ring).T
        if len(ring) == 1:
            axes.plot(x, y, "o", ms=3, color=colour, label=label)
        else:
            axes.plot(x, y, color=colour, lw=1.2, label=label)
        label = None
