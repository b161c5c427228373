"""Maps of a record: the dose wanted and what was applied, or shares of the whole where nothing is sprayed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d2oc.arrays import Floats
from d2oc.errors import ExportError
from d2oc.export.grids import grid_for, grid_of, of_cells, sum_in_cells
from d2oc.export.options import ExportOptions
from d2oc.geo import LocalFrame
from d2oc.geo.write import Grid, points, squares, write_cog, write_features
from d2oc.record import Record

__all__ = ["applied_map", "frame_of", "rate_map", "write_applied_cog", "write_cells", "write_dose_cog", "write_track"]

MOST_CELLS_AS_POLYGONS = 200_000
MOST_TRACK_POINTS = 2_000_000


def frame_of(record: Record) -> LocalFrame:
    """Where the record is on the globe.

    Raises
    ------
    ExportError
        If it is nowhere.
    """
    frame = LocalFrame.of_record(record.header.georeference)
    if frame is None:
        raise ExportError(
            f"{record.path or record.header.name}: has no place on the globe; fly it with field.origin_lon_lat_deg or "
            "field.boundary_file"
        )
    return frame


def rate_map(record: Record) -> tuple[dict[str, Floats], Grid, str]:
    """Dose wanted, or the share of the whole that there was to treat, where nothing is sprayed.

    Returns
    -------
    bands : dict of str to ndarray, shape (rows, columns)
        Row 0 to the south.
    grid : Grid
    unit : str
    """
    if record.header.raster is not None:
        bands = {name: of_cells(record, name) for name in ("target_l_ha", "maximum_l_ha")}
        return bands, grid_of(record), "L/ha"
    samples = record.samples
    grid, shape = grid_for(record)
    share = sum_in_cells(np.column_stack([samples["x_m"], samples["y_m"]]), samples["weight"], grid, shape)
    return {"wanted_percent_per_ha": 100 * share / (grid.cell_m**2 / 1e4)}, grid, "%/ha"


def applied_map(record: Record) -> tuple[dict[str, Floats], Grid, str]:
    """Dose deposited, or the time that drones spent treating, where nothing is sprayed; see `rate_map`."""
    if record.header.raster is not None:
        return {"deposit_l_ha": of_cells(record, "deposit_l_ha")}, grid_of(record), "L/ha"
    grid, shape = grid_for(record)
    flown = record.trajectory
    treating = flown["consumed"] > 0
    where = np.column_stack([flown["x_m"], flown["y_m"]])[treating]
    seconds = sum_in_cells(where, np.full(len(where), record.header.time_step_s), grid, shape)
    return {"treating_s_per_ha": seconds / (grid.cell_m**2 / 1e4)}, grid, "s/ha"


def write_dose_cog(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """Dose wanted as a cloud-optimised GeoTIFF."""
    return _write_cog(out, *rate_map(record), frame_of(record))


def write_applied_cog(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """What was applied as a cloud-optimised GeoTIFF."""
    return _write_cog(out, *applied_map(record), frame_of(record))


def _write_cog(out: Path, bands: dict[str, Floats], grid: Grid, unit: str, frame: LocalFrame) -> list[Path]:
    write_cog(out, bands, grid, frame, unit)
    return [out]


def write_cells(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """Cells with something wanted or applied as polygons of a GeoPackage, in the UTM zone of the field."""
    wanted, grid, _ = rate_map(record)
    applied, _, _ = applied_map(record)
    bands = {**wanted, **applied}
    some = np.any([np.nan_to_num(values) > 0 for name, values in bands.items() if name != "maximum_l_ha"], axis=0)
    if some.sum() > MOST_CELLS_AS_POLYGONS:
        raise ExportError(
            f"{out}: {int(some.sum()):,} cells are too many for polygons (at most {MOST_CELLS_AS_POLYGONS:,}); use the "
            "format dose-cog"
        )
    if not some.any():
        raise ExportError(f"{out}: nothing was wanted or applied anywhere, so there is no cell to write")
    row, column = np.nonzero(some)
    origin = frame_of(record).to_utm([grid.origin])[0]
    low = origin + grid.cell_m * np.column_stack([column, row])
    columns = {name: values[some] for name, values in bands.items()}
    write_features(out, squares(low, grid.cell_m), columns, frame_of(record).crs, layer="cells")
    return [out]


def write_track(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """Where every drone was at every step and what it applied there, as points of a GeoPackage."""
    flown = record.trajectory
    if len(flown["tick"]) > MOST_TRACK_POINTS:
        raise ExportError(f"{out}: {len(flown['tick']):,} points are more than {MOST_TRACK_POINTS:,}")
    places = frame_of(record).to_utm(np.column_stack([flown["x_m"], flown["y_m"]]))
    names = ("agent", "tick", "time_s", "height_m", "phase", "spray_l_min", "liquid_l", "consumed")
    columns = {name: flown[name] for name in names if name in flown}
    if "spray_l_min" in flown:
        columns["litres"] = flown["spray_l_min"] * record.header.time_step_s / 60
    write_features(out, points(places), columns, frame_of(record).crs, layer="track")
    return [out]
