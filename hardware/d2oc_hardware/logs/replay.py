"""The record of a flight made by other means: its logs, and a scenario that says what there was to treat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from d2oc.as_flown import prepare_as_flown, record_as_flown
from d2oc.field import Field
from d2oc.geo.frame import LocalFrame
from d2oc.record import Record, as_utc, sha256_of
from d2oc.scenario import load_scenario
from d2oc.scenario.schema import Scenario
from d2oc_hardware.fleet import Fleet
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.logs.read import read_logs
from d2oc_hardware.logs.track import Locate, track_of
from d2oc_hardware.logs.vehicle_log import Floats, VehicleLog, local_places
from d2oc_hardware.resumed import LAID_BEFORE, keep_laid


def record_of_logs(
    logs: Sequence[Path],
    scenario: str | Path,
    out: Path | None,
    *,
    fleet: Fleet | None = None,
    changes: Sequence[str] = (),
    begin: float | None = None,
    overwrite: bool = False,
) -> Record:
    """Make a record of logs.

    Parameters
    ----------
    logs : sequence of Path
        Of one flight, of any kinds.
    scenario : str or Path
        Name or file: field, density, vehicles, spray settings; its team becomes as large as the logs have vehicles.
    out : Path or None
        Run folder; None keeps the record in memory.
    fleet : Fleet, optional
        Says where the field stands, and who is which agent; default: the field's own place on the globe, and agents
        in the order of system ids.
    changes : sequence of str
        Keys of the scenario to change.
    begin : float, optional
        Moment of the logs that is tick 0 [s]; default: just before the first take-off.
    overwrite : bool
        Replace a record that stands there.

    Raises
    ------
    D2ocError
        If no record can be made of them; one sentence.
    """
    vehicles = read_logs(logs)
    if fleet is not None:
        vehicles = in_order(vehicles, fleet)
    loaded = _for_team(scenario, changes, len(vehicles))
    prepared, farm = prepare_as_flown(loaded)
    locate = in_fleet(fleet) if fleet is not None else on_globe(loaded, prepared.field)
    track, began = track_of(
        vehicles, locate, prepared.field, loaded.mission.time_step_s,
        sprays=farm is not None, pump_output=None if fleet is None else fleet.pump_output, begin=begin,
    )  # fmt: skip
    if fleet is not None:
        place = LocalFrame.around(fleet.datum.longitude_deg, fleet.datum.latitude_deg)
        prepared = prepared._replace(header=replace(prepared.header, georeference=place.as_mapping()))
    utc = vehicles[0].utc
    known = {
        "logs_sha256": {str(path): sha256_of(path) for path in logs},
        "simulated": None,
        **({} if utc is None else {"tick_0": as_utc(utc + began)}),
    }
    record = record_as_flown(loaded, (prepared, farm), track, out, overwrite=overwrite, known=known)
    if farm is not None and out is not None:  # so that `d2oc fly --resume` sprays what this flight has left
        keep_laid(out / LAID_BEFORE, farm.runtime.ground.deposit)
    return record


def in_order(vehicles: Sequence[VehicleLog], fleet: Fleet) -> list[VehicleLog]:
    """The vehicles as the fleet file orders them.

    Raises
    ------
    FlightError
        If logs and file do not tell of the same ones.
    """
    found = sorted(vehicle.system for vehicle in vehicles)
    wanted = [drone.system_id for drone in fleet.drones]
    if found != sorted(wanted):
        raise FlightError(
            f"the logs tell of the vehicles {', '.join(map(str, found))}, and the fleet file of "
            f"{', '.join(map(str, sorted(wanted)))}: give a log of each, and of no other"
        )
    return sorted(vehicles, key=lambda vehicle: wanted.index(vehicle.system))


def in_fleet(fleet: Fleet) -> Locate:
    """Places in the field frame of a fleet file, heights above its datum."""
    return lambda log: local_places(log.places, fleet.datum.datum)


def on_globe(scenario: Scenario, field: Field) -> Locate:
    """Places on the field's own grid, heights above where each vehicle was first.

    Raises
    ------
    FlightError
        If the field has no place on the globe.
    """
    frame = field.frame
    if frame is None:
        raise FlightError(
            f"{scenario.name}: the field has no place on the globe; give --fleet FILE, whose datum says where it "
            "stands, or --set field.origin_lon_lat_deg=[LONGITUDE,LATITUDE]"
        )

    def locate(log: VehicleLog) -> Floats:
        places = log.places
        return np.column_stack([frame.from_lon_lat(places[:, [2, 1]]), places[:, 3] - places[0, 3]])

    return locate


def _for_team(scenario: str | Path, changes: Sequence[str], n_vehicles: int) -> Scenario:
    """The scenario with as many agents as there are vehicles."""
    loaded = load_scenario(scenario, overrides=changes)
    if loaded.team.size == n_vehicles:
        return loaded
    if loaded.team.groups:
        raise FlightError(
            f"{loaded.name}: its team has {loaded.team.size} agents in groups, and the logs {n_vehicles} vehicles"
        )
    return load_scenario(scenario, overrides=[*changes, f"team.n_agents={n_vehicles}"])
