"""Logs of a flight, whatever their kind: told apart by what they hold, and laid side by side in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.logs.dataflash import is_dataflash, read_dataflash
from d2oc_hardware.logs.telemetry import is_telemetry, read_telemetry
from d2oc_hardware.logs.ulog import is_ulog, read_ulog
from d2oc_hardware.logs.vehicle_log import VehicleLog

NO_PLACE = 1e-9
"""Latitude and longitude both this near to 0: an autopilot that did not know where it was."""
LONGEST_LOG_S = 86_400.0
"""A time that differs more than this from those around it is damaged."""


def read_logs(paths: Sequence[Path]) -> list[VehicleLog]:
    """What logs tell of the vehicles in them, ordered by system id; time 0 is the first moment of all.

    Logs that a vehicle wrote on board, one after the other, are put together. Two that were written at the same time
    are of two vehicles, whatever their system ids.

    Parameters
    ----------
    paths : sequence of Path
        Logs of one flight, of any kinds.

    Raises
    ------
    FlightError
        If one cannot be read, is no log, no vehicle in it says where it is, or it cannot be laid beside the others.
    """
    radio: list[Path] = []
    found: list[VehicleLog] = []
    for path in paths:
        data = _bytes(path)
        if is_ulog(data):
            found.append(read_ulog(path, data))
        elif is_dataflash(data):
            found.append(read_dataflash(path, data))
        elif is_telemetry(data):
            radio.append(path)
        else:
            raise FlightError(_no_log(path, data))
    heard = read_telemetry(radio) if radio else []
    if radio and not heard:
        raise FlightError(f"{', '.join(map(str, radio))}: no vehicle says where it is")
    return _together(_side_by_side([_known(log) for log in (*heard, *found)]))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FlightError(f"{path}: cannot be read ({error.strerror})") from None


def _no_log(path: Path, data: bytes) -> str:
    if not data:
        return f"{path}: is empty"
    if data.startswith(b"FMT,"):
        return f"{path}: is a DataFlash log turned into text; give the binary one (.bin)"
    return f"{path}: is no log of a flight: neither a telemetry log (.tlog), DataFlash (.bin) nor ULog (.ulg)"


def _known(log: VehicleLog) -> VehicleLog:
    """Without places that are none: zeros and the like from before the vehicle knew where it was, damaged times."""
    places = log.places
    good = np.isfinite(places).all(axis=1) & (np.abs(places[:, 1:3]).max(axis=1) > NO_PLACE)
    good &= (np.abs(places[:, 1]) <= 90.0) & (np.abs(places[:, 2]) <= 180.0)
    if not good.any():
        raise FlightError(f"{log.source}: vehicle {log.system} says nowhere in it where it is")
    places = places[good]
    places = places[np.abs(places[:, 0] - np.median(places[:, 0])) < LONGEST_LOG_S]
    return replace(log, places=places[np.argsort(places[:, 0], kind="stable")])


def _side_by_side(logs: list[VehicleLog]) -> list[VehicleLog]:
    """All times counted from the first moment."""
    if all(not log.onboard for log in logs):
        return logs  # of one listener, whose clock counts already
    if len(logs) == 1:
        return [logs[0].later(-logs[0].begin)]
    without = next((log for log in logs if log.utc is None), None)
    if without is not None:
        raise FlightError(
            f"{without.source}: does not say what time it was (no satellite time in it), so it cannot be laid beside "
            "other logs; give it alone"
        )
    begin = min(log.begin + (log.utc or 0.0) for log in logs)
    return [log.later((log.utc or 0.0) - begin) for log in logs]


def _together(logs: list[VehicleLog]) -> list[VehicleLog]:
    """One log a vehicle, by system id."""
    vehicles: list[VehicleLog] = []
    for log in sorted(logs, key=lambda log: (log.system, log.first)):
        same = [i for i, v in enumerate(vehicles) if v.system == log.system]
        before = next((i for i in same if vehicles[i].last < log.first), None)
        mixed = next((vehicles[i] for i in same if vehicles[i].onboard != log.onboard), None)
        if before is not None:
            vehicles[before] = vehicles[before].then(log)
        elif mixed is not None:
            raise FlightError(
                f"{mixed.source} and {log.source}: both tell of vehicle {log.system} at the same time; give one of them"
            )
        else:
            vehicles.append(log)
    return vehicles
