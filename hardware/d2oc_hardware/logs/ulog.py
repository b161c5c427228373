"""ULog files (.ulg) that PX4 writes on board, read by pyulog."""

from __future__ import annotations

import contextlib
import io
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.errors import MissingExtraError
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.logs.vehicle_log import FIRST_SYSTEM, N_OUTPUTS, PX4, Floats, VehicleLog, changes, system_of

MAGIC = b"ULog\x01\x12\x35"
TOPICS = {
    "vehicle_global_position": ("lat", "lon", "alt"),
    "vehicle_local_position": ("vx", "vy", "vz"),
    "vehicle_gps_position": ("time_utc_usec",),
    "sensor_gps": ("time_utc_usec",),
    "vehicle_status": ("arming_state", "nav_state"),
    "actuator_outputs": ("output[0]",),
    "battery_status": ("remaining",),
    "trajectory_setpoint": ("velocity[0]", "velocity[1]", "velocity[2]"),
    "vehicle_local_position_setpoint": ("vx", "vy", "vz"),
}
"""What is read, and columns besides `timestamp` without which it is not."""
SPARE_READS = 10_000
"""A whole log takes half as many reads as it has bytes, at most."""
ARMED = 2
"""Of `arming_state`."""
Table = Mapping[str, NDArray[Any]]


def is_ulog(data: bytes) -> bool:
    """Whether a file that begins so is a ULog."""
    return data.startswith(MAGIC)


def read_ulog(path: Path, data: bytes) -> VehicleLog:
    """What a ULog tells of its vehicle; what is damaged or cut off in it is left out.

    Raises
    ------
    FlightError
        If it cannot be read, or nowhere in it the vehicle says where it is.
    MissingExtraError
        If pyulog is not installed.
    """
    log = _parsed(path, data)
    topics = {
        d.name: d.data for d in log.data_list if d.multi_id == 0 and {"timestamp", *TOPICS[d.name]} <= set(d.data)
    }
    place = _places(topics)
    if place is None:
        raise FlightError(
            f"{path}: the log holds no position (vehicle_global_position or vehicle_gps_position); "
            "was it written before the vehicle knew where it was?"
        )
    status = topics.get("vehicle_status", {})
    parameters = {name: float(v) for name, v in log.initial_parameters.items() if isinstance(v, int | float)}
    armed = _column(status, "arming_state")
    return VehicleLog(
        system_of(parameters.get("MAV_SYS_ID", FIRST_SYSTEM)),
        path,
        firmware=PX4,
        packets=sum(len(table["timestamp"]) for table in topics.values()),
        places=np.column_stack([place, _velocity(topics, place[:, 0])]),
        told=_told(topics),
        modes=changes(_time(status), _column(status, "nav_state").tolist()),
        armed=changes(_time(status), (armed == ARMED).tolist()) if len(armed) else [],
        outputs=_outputs(topics),
        battery=_battery(topics),
        parameters=parameters,
        onboard=True,
        utc=_utc(topics),
    )


class _ReadOnce(io.BytesIO):
    """A file of which no byte is read again and again: damage near the end sends pyulog 1.3 back for ever."""

    def __init__(self, path: Path, data: bytes) -> None:
        super().__init__(data)
        self._path = path
        self._reads = len(data) + SPARE_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """As every file, but not for ever."""
        self._reads -= 1
        if self._reads < 0:
            raise FlightError(f"{self._path}: is a log of PX4 (ULog), but too damaged to be read")
        return super().read(size)


def _parsed(path: Path, data: bytes) -> Any:
    try:
        from pyulog import ULog
        from pyulog.exceptions import ULogException
    except ImportError:
        raise MissingExtraError("a log of PX4", "hardware") from None
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it makes of damage
            return ULog(_ReadOnce(path, data), list(TOPICS))
    except (ULogException, ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error) as error:
        raise FlightError(f"{path}: begins as a log of PX4 (ULog), but cannot be read ({error})") from None


def _time(table: Table) -> Floats:
    return np.asarray(table["timestamp"] / 1e6) if "timestamp" in table else np.empty(0)


def _column(table: Table, name: str) -> NDArray[Any]:
    return table.get(name, np.empty(0))


def _places(topics: Mapping[str, Table]) -> Floats | None:
    """Time, latitude, longitude and altitude: as the autopilot reckoned, or as its receiver measured; None: nowhere."""
    reckoned = topics.get("vehicle_global_position", {})
    if reckoned:
        return np.column_stack([_time(reckoned), reckoned["lat"], reckoned["lon"], reckoned["alt"].astype(np.float64)])
    gps = _receiver(topics)
    if {"latitude_deg", "longitude_deg", "altitude_msl_m"} <= set(gps):
        columns = [gps["latitude_deg"], gps["longitude_deg"], gps["altitude_msl_m"].astype(np.float64)]
    elif {"lat", "lon", "alt"} <= set(gps):
        columns = [gps["lat"] / 1e7, gps["lon"] / 1e7, gps["alt"] / 1e3]
    else:
        return None
    return np.column_stack([_time(gps), *columns])


def _receiver(topics: Mapping[str, Table]) -> Table:
    return topics.get("vehicle_gps_position") or topics.get("sensor_gps") or {}


def _velocity(topics: Mapping[str, Table], time: Floats) -> Floats:
    """East, north and up at each time. [m/s]"""
    local, gps = topics.get("vehicle_local_position", {}), _receiver(topics)
    for table, names in ((local, ("vy", "vx", "vz")), (gps, ("vel_e_m_s", "vel_n_m_s", "vel_d_m_s"))):
        if set(names) <= set(table):
            east, north, down = (np.nan_to_num(np.interp(time, _time(table), table[name])) for name in names)
            return np.column_stack([east, north, -down])
    return np.zeros((len(time), 3))


def _told(topics: Mapping[str, Table]) -> Floats:
    """Velocities that its position loop was told, where that was so."""
    new, old = topics.get("trajectory_setpoint"), topics.get("vehicle_local_position_setpoint")
    if new:
        columns = [_time(new), new["velocity[1]"], new["velocity[0]"], -new["velocity[2]"]]
    elif old:
        columns = [_time(old), old["vy"], old["vx"], -old["vz"]]
    else:
        return np.empty((0, 4))
    told = np.column_stack([column.astype(np.float64) for column in columns])
    return told[np.isfinite(told).all(axis=1)]


def _outputs(topics: Mapping[str, Table]) -> Floats:
    table = topics.get("actuator_outputs", {})
    time = _time(table)
    widths = [table.get(f"output[{n}]", np.full(len(time), math.nan)) for n in range(N_OUTPUTS)]
    return np.column_stack([time, *(np.asarray(width, np.float64) for width in widths)])


def _battery(topics: Mapping[str, Table]) -> Floats:
    table = topics.get("battery_status", {})
    if not table:
        return np.empty((0, 2))
    return np.column_stack([_time(table), table["remaining"].astype(np.float64)])


def _utc(topics: Mapping[str, Table]) -> float | None:
    """Seconds since 1970 at time 0, by satellites."""
    gps = _receiver(topics)
    utc = _column(gps, "time_utc_usec").astype(np.float64)
    known = utc > 0
    return float(np.median(utc[known] / 1e6 - _time(gps)[known])) if known.any() else None
