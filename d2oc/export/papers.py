"""Papers of an application: the record that rules ask for, and what to mix for each load."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from d2oc.errors import ExportError
from d2oc.export.maps import frame_of
from d2oc.export.options import DETAILS, ExportOptions
from d2oc.field import Field, NoFlyZone, NoSprayZone
from d2oc.phases import Phase
from d2oc.record import Record

__all__ = ["loads_of", "spray_record", "write_mix_sheet", "write_record_csv", "write_record_json"]

TYPED_IN = [key for key in DETAILS if key != "product_ml_per_l"]


def spray_record(record: Record, options: ExportOptions) -> dict[str, Any]:
    """The application as rules ask for it [1]_ [2]_: who, where, when, what, how much, on how much ground.

    What a record cannot know is taken from the details, or null; `to_fill_in` lists those.

    References
    ----------
    .. [1] Regulation (EC) 1107/2009, article 67, and Implementing Regulation (EU) 2023/564.
    .. [2] United States, 7 CFR 110.3: records of restricted-use pesticides.
    """
    details = options.details
    field = _field(record)
    (longitude, latitude), crs = _middle(record)
    litres = _litres(record)
    sprayed = record.header.raster is not None
    treated = _treated_ha(record) if sprayed else None
    total = None if litres is None else float(litres.sum())
    per_litre = details.get("product_ml_per_l")
    content: dict[str, Any] = {
        **{key: details.get(key) or None for key in TYPED_IN},
        **_begun(record, details),
        "longitude_deg": longitude,
        "latitude_deg": latitude,
        "crs": crs,
        "field_ha": round(field.area_m2 / 1e4, 4),
        "treated_ha": treated,
        "mix_l": None if total is None else round(total, 3),
        "rate_l_ha": round(total / treated, 3) if total is not None and treated else None,
        "product_l": round(total * float(per_litre) / 1000, 4) if total is not None and per_litre else None,
        "duration_min": round(record.trajectory["time_s"].max() / 60, 2),
        "no_spray_zones": len(field.no_spray_zones),
        "simulated": _simulated(record),
        "record_digest": record.digest(),
        "status": record.status,
    }
    content["drones"] = [
        {"drone": agent + 1, "mix_l": None if litres is None else round(float(litres[agent]), 3)}
        for agent in range(record.header.n_agents)
    ]
    content["to_fill_in"] = [key for key, value in content.items() if value is None]
    return content


def _simulated(record: Record) -> bool | None:
    """Whether nothing was flown; None for logs, which do not say."""
    simulated = record.provenance.get("simulated", True)
    return None if simulated is None else bool(simulated)


def _begun(record: Record, details: Mapping[str, str]) -> dict[str, str]:
    """Day and time of the first take-off, in UTC, where the record knows them and nobody gives them."""
    begun = record.provenance.get("tick_0")
    if not isinstance(begun, str) or details.get("date") or details.get("start_time"):
        return {}
    return {"date": begun[:10], "start_time": f"{begun[11:16]} UTC"}


def write_record_json(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """The spray record as JSON."""
    out.write_text(json.dumps(spray_record(record, options), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return [out]


def write_record_csv(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """The spray record as CSV: one row a drone, and one for all."""
    content = spray_record(record, options)
    drones = content.pop("drones")
    content.pop("to_fill_in")
    rows = [{"drone": "all", **content}]
    for drone in drones:
        of_all = ("treated_ha", "rate_l_ha", "product_l")
        rows.append({**content, **dict.fromkeys(of_all), "drone": drone["drone"], "mix_l": drone["mix_l"]})
    _write_csv(out, rows)
    return [out]


def loads_of(record: Record) -> list[dict[str, Any]]:
    """Litres of each load of each drone, in the order of filling; what was left in the tank is not filled anew.

    Raises
    ------
    ExportError
        If nothing was sprayed.
    """
    flown = record.trajectory
    if "spray_l_min" not in flown or "phase" not in flown:
        raise ExportError(
            f"{record.path or record.header.name}: has no liquid in it, since nothing was sprayed; loads need a "
            "scenario with a [spray] table"
        )
    loads = []
    for agent in range(record.header.n_agents):
        rows = np.flatnonzero(flown["agent"] == agent)
        phase, flow, time_s = (flown[name][rows] for name in ("phase", "spray_l_min", "time_s"))
        serviced = phase == Phase.SERVICE
        # a load ends where the next service begins
        number = np.concatenate([[0], np.cumsum(serviced[1:] & ~serviced[:-1])])
        litres = np.bincount(number, weights=np.nan_to_num(flow)) * record.header.time_step_s / 60
        in_tank = flown["liquid_l"][rows] if "liquid_l" in flown else None
        left = 0.0
        for load, used in enumerate(litres):
            own = number == load
            filled = None
            if in_tank is not None:
                filled, left = max(0.0, float(np.nanmax(in_tank[own])) - left), float(in_tank[own][-1])
            if used > 0:
                loads.append(
                    {
                        "drone": agent + 1,
                        "load": load + 1,
                        "from_s": float(time_s[own][0]),
                        "filled_l": filled,
                        "used_l": float(used),
                        "left_l": left,
                    }
                )
    return loads


def write_mix_sheet(record: Record, out: Path, options: ExportOptions) -> list[Path]:
    """What to mix for each load, as CSV; product where `product_ml_per_l` is known."""
    per_litre = options.details.get("product_ml_per_l")
    rows = []
    for load in loads_of(record):
        mix = load["filled_l"] if load["filled_l"] is not None else load["used_l"]
        product = float(per_litre) * mix / 1000 if per_litre else None
        rows.append(
            {
                "drone": load["drone"],
                "load": load["load"],
                "from_min": f"{load['from_s'] / 60:.1f}",
                "mix_l": f"{mix:.2f}",
                "product": options.details.get("product", ""),
                "product_ml": "" if product is None else f"{1000 * product:.0f}",
                "water_l": "" if product is None else f"{mix - product:.2f}",
                "used_l": f"{load['used_l']:.2f}",
                "left_l": f"{load['left_l']:.2f}",
            }
        )
    if not rows:
        raise ExportError(f"{record.path or record.header.name}: nothing was sprayed, so there is no load to mix")
    _write_csv(out, rows)
    return [out]


def _write_csv(out: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    out.write_text(text.getvalue(), encoding="utf-8")


def _field(record: Record) -> Field:
    header = record.header
    return Field(
        np.array(header.boundary_m),
        tuple(NoFlyZone(f"zone {i + 1}", np.array(zone)) for i, zone in enumerate(header.no_fly_zones_m)),
        tuple(NoSprayZone(f"zone {i + 1}", np.array(zone)) for i, zone in enumerate(header.no_spray_zones_m)),
    )


def _middle(record: Record) -> tuple[tuple[float, float], str]:
    """Longitude and latitude of the middle of the field, and the system of its coordinates."""
    frame = frame_of(record)
    corners = np.array(record.header.boundary_m)
    ((longitude, latitude),) = frame.to_lon_lat([(corners.min(axis=0) + corners.max(axis=0)) / 2])
    return (round(float(longitude), 7), round(float(latitude), 7)), frame.crs


def _litres(record: Record) -> Any:
    """Litres out of the nozzles of each drone, shape (L,); None where nothing is sprayed."""
    flown = record.trajectory
    if "spray_l_min" not in flown:
        return None
    flow = np.nan_to_num(flown["spray_l_min"])
    return np.bincount(flown["agent"], weights=flow, minlength=record.header.n_agents) * record.header.time_step_s / 60


def _treated_ha(record: Record) -> float:
    raster = record.header.raster
    assert raster is not None
    cells = int((np.nan_to_num(record.cells["deposit_l_ha"]) > 0).sum())
    return round(cells * float(raster["cell_m"]) ** 2 / 1e4, 4)
