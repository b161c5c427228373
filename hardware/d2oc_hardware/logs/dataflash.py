"""DataFlash logs (.bin) that ArduPilot writes on board: messages whose layouts the file itself tells.

Every message begins with the bytes A3 95 and the number of its kind. Messages FMT say how long each kind is, and what
the columns are called; FMTU and MULT say by which power of ten some of them are to be multiplied. Documented in
https://ardupilot.org/dev/docs/code-overview-adding-a-new-log-message.html and AP_Logger/LogStructure.h of ArduPilot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.logs.vehicle_log import FIRST_SYSTEM, N_OUTPUTS, Floats, VehicleLog, changes, system_of

HEAD = b"\xa3\x95"
FMT = 128
"""Number of the kind that tells of kinds."""
FMT_BYTES = 89
TYPES = {
    "a": "(32,)<i2", "b": "i1", "B": "u1", "g": "<f2", "h": "<i2", "H": "<u2", "i": "<i4", "I": "<u4", "f": "<f4",
    "d": "<f8", "n": "S4", "N": "S16", "Z": "S64", "c": "<i2", "C": "<u2", "e": "<i4", "E": "<u4", "L": "<i4",
    "M": "u1", "q": "<i8", "Q": "<u8",
}  # fmt: skip
"""Letters of a format as NumPy types."""
HUNDREDTHS, DEGREES = "cCeE", "L"
"""Letters whose numbers count hundredths, and 1e-7 degrees."""
TEXTS = "anNZ"
"""Letters of what is no number."""
WANTED = {
    "POS": ("TimeUS", "Lat", "Lng", "Alt"),
    "GPS": ("TimeUS", "Status", "GMS", "GWk", "Spd", "GCrs", "VZ"),
    "XKF1": ("TimeUS", "VN", "VE", "VD"),
    "MODE": ("TimeUS", "ModeNum"),
    "ARM": ("TimeUS", "ArmState"),
    "EV": ("TimeUS", "Id"),
    "RCOU": ("TimeUS", "C1", "C2", "C3", "C4"),
    "RCO2": ("TimeUS", "C15", "C16"),
    "BAT": ("TimeUS", "RemPct"),
    "GUIP": ("TimeUS", "Type", "vX", "vY", "vZ"),
    "PARM": ("Name", "Value"),
    "FMTU": ("FmtType", "MultIds"),
    "MULT": ("Id", "Mult"),
}
"""Kinds that are read, and columns without which they are not."""
NAMES = ("Name", "MultIds")
"""Of those columns what holds text."""
GPS_EPOCH_S = 315_964_800
"""6 January 1980, from which satellites count weeks. [s]"""
LEAP_S = 18
"""Satellite time is ahead of UTC by this, since 2017. [s]"""
WEEK_S = 7 * 86_400
ARMED_EVENT, DISARMED_EVENT = 10, 11
FIX = 3
"""Status of a receiver that knows where it is in three dimensions."""
VELOCITY_TYPES = (3, 4)
"""GUIP that tells a velocity: with a place, and alone."""
SYSTEM = ("MAV_SYSID", "SYSID_THISMAV")
"""Parameters that hold the system id, the newer first."""
Table = Mapping[str, NDArray[Any]]


def is_dataflash(data: bytes) -> bool:
    """Whether a file that begins so is a DataFlash log."""
    return data.startswith(HEAD)


def read_dataflash(path: Path, data: bytes) -> VehicleLog:
    """What a DataFlash log tells of its vehicle; what is damaged or cut off in it is left out.

    Raises
    ------
    FlightError
        If nowhere in it the vehicle says where it is.
    """
    tables, n = _tables(data)
    pos = tables.get("POS", {})
    if not pos:
        raise FlightError(
            f"{path}: the log holds no position (POS); was it written before the vehicle knew where it was?"
        )
    time = _time(pos)
    places = np.column_stack([time, pos["Lat"], pos["Lng"], pos["Alt"], _velocity(tables, time)])
    parameters = {_text(name): float(value) for name, value in _rows(tables, "PARM", "Name", "Value")}
    told = next((parameters[name] for name in SYSTEM if name in parameters), FIRST_SYSTEM)
    return VehicleLog(
        system_of(told),
        path,
        packets=n,
        places=places,
        told=_told(tables),
        modes=changes(_time(tables.get("MODE", {})), _column(tables, "MODE", "ModeNum")),
        armed=_armed(tables, float(time[0])),
        outputs=_outputs(tables),
        battery=_battery(tables),
        parameters=parameters,
        onboard=True,
        utc=_utc(tables),
    )


def _tables(data: bytes) -> tuple[dict[str, dict[str, NDArray[Any]]], int]:
    """Columns of the wanted kinds by name, scaled to the units that they stand for; number of messages of all kinds."""
    kinds: dict[int, tuple[str, str, list[str]]] = {
        FMT: ("FMT", "BBnNZ", ["Type", "Length", "Name", "Format", "Columns"])
    }
    length: dict[int, int] = {FMT: FMT_BYTES}
    found: dict[int, list[bytes]] = {}
    at, n = 0, 0
    while at + 3 <= len(data):
        kind = data[at + 2]
        if data[at : at + 2] != HEAD or kind not in length or at + length[kind] > len(data):
            at = data.find(HEAD, at + 1)
            if at < 0:
                break
            continue
        n += 1
        if kind == FMT:
            number, size, name, form, names = _format(data[at + 3 : at + FMT_BYTES])
            if size > 3:
                kinds[number], length[number] = (name, form, names), size
                if name in WANTED:
                    found[number] = []
        elif kind in found:
            found[kind].append(data[at + 3 : at + length[kind]])
        at += length[kind]
    tables = {
        kinds[kind][0]: columns
        for kind, rows in found.items()
        if rows and (columns := _columns(kinds[kind], rows, length[kind] - 3))
    }
    _scale_told(tables, next((kind for kind in found if kinds[kind][0] == "GUIP"), -1))
    return tables, n


def _format(body: bytes) -> tuple[int, int, str, str, list[str]]:
    number, size = body[0], body[1]
    name, form, columns = (_text(text) for text in (body[2:6], body[6:22], body[22:86]))
    return number, size, name, form, columns.split(",")


def _columns(kind: tuple[str, str, list[str]], rows: list[bytes], size: int) -> dict[str, NDArray[Any]]:
    """Columns of one kind; none where its layout does not fit its messages, or lacks what is needed."""
    name, form, names = kind
    letters = dict(zip(names, form, strict=False))
    if len(form) != len(names) or len(letters) < len(names) or not set(form) <= set(TYPES):
        return {}
    needed = WANTED[name]
    if not set(needed) <= set(letters) or any((letters[c] in TEXTS) != (c in NAMES) for c in needed):
        return {}
    layout = np.dtype([(column, TYPES[letter]) for column, letter in letters.items()])
    if layout.itemsize != size:
        return {}
    table = np.frombuffer(b"".join(rows), layout)
    scale = {**dict.fromkeys(HUNDREDTHS, 1e2), **dict.fromkeys(DEGREES, 1e7)}
    return {
        column: table[column] / scale[letter] if letter in scale else table[column]
        for column, letter in letters.items()
    }


def _scale_told(tables: dict[str, dict[str, NDArray[Any]]], kind: int) -> None:
    """Velocities told, to metres a second: some versions write centimetres, and say so by FMTU and MULT."""
    factors = dict(_rows(tables, "MULT", "Id", "Mult"))
    told = tables.get("GUIP", {})
    for number, letters in _rows(tables, "FMTU", "FmtType", "MultIds"):
        if number == kind:
            for name, letter in zip(told, _text(letters), strict=False):
                if name in ("vX", "vY", "vZ"):
                    told[name] = told[name] * factors.get(ord(letter), 1.0)


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").split("\0")[0]


def _time(table: Table) -> Floats:
    return np.asarray(table["TimeUS"] / 1e6) if "TimeUS" in table else np.empty(0)


def _column(tables: Mapping[str, Table], kind: str, name: str) -> NDArray[Any]:
    return tables[kind][name] if kind in tables else np.empty(0)


def _rows(tables: Mapping[str, Table], kind: str, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(_column(tables, kind, name).tolist() for name in names), strict=True))


def _first_instance(table: Table) -> Table:
    """Rows of the first of several sensors."""
    number = next((table[name] for name in ("I", "C", "Inst", "Instance") if name in table), None)
    if number is None or number.ndim != 1 or not (number == 0).any():
        return table
    return {name: values[number == 0] for name, values in table.items()}


def _velocity(tables: Mapping[str, Table], time: Floats) -> Floats:
    """East, north and up at each time: as the autopilot reckoned, or as its receiver measured. [m/s]"""
    filtered = _first_instance(tables.get("XKF1", {}))
    if filtered:
        columns = filtered["VE"], filtered["VN"], -filtered["VD"]
        return _at(time, _time(filtered), columns)
    gps = _first_instance(tables.get("GPS", {}))
    if gps:
        course = np.radians(gps["GCrs"])
        return _at(time, _time(gps), (gps["Spd"] * np.sin(course), gps["Spd"] * np.cos(course), -gps["VZ"]))
    return np.zeros((len(time), 3))


def _at(time: Floats, moments: Floats, columns: tuple[NDArray[Any], ...]) -> Floats:
    if not len(moments):
        return np.zeros((len(time), len(columns)))
    return np.column_stack([np.interp(time, moments, values) for values in columns])


def _told(tables: Mapping[str, Table]) -> Floats:
    """Velocities that it was told in GUIDED."""
    table = tables.get("GUIP", {})
    if not table:
        return np.empty((0, 4))
    velocity = np.isin(table["Type"], VELOCITY_TYPES)
    east, north, up = (table[name][velocity] for name in ("vY", "vX", "vZ"))
    return np.column_stack([_time(table)[velocity], east, north, up])


def _armed(tables: Mapping[str, Table], begin: float) -> list[tuple[float, bool]]:
    """Every change; a log that is begun by arming tells of that by its end only."""
    if "ARM" in tables:
        told = changes(_time(tables["ARM"]), [bool(state) for state in tables["ARM"]["ArmState"]])
    else:
        events = zip(_time(tables.get("EV", {})), _column(tables, "EV", "Id"), strict=True)
        told = [(float(t), e == ARMED_EVENT) for t, e in events if e in (ARMED_EVENT, DISARMED_EVENT)]
    return [(begin, True), *told] if told and not told[0][1] and begin < told[0][0] else told


def _outputs(tables: Mapping[str, Table]) -> Floats:
    table = tables.get("RCOU", {})
    time, more = _time(table), tables.get("RCO2", {})
    columns = [time]
    for n in range(1, N_OUTPUTS + 1):
        if f"C{n}" in table:
            columns.append(table[f"C{n}"].astype(np.float64))
        elif f"C{n}" in more and len(time):
            columns.append(_at(time, _time(more), (more[f"C{n}"],))[:, 0])
        else:
            columns.append(np.full(len(time), np.nan))
    return np.column_stack(columns)


def _battery(tables: Mapping[str, Table]) -> Floats:
    table = _first_instance(tables.get("BAT", {}))
    if not table:
        return np.empty((0, 2))
    return np.column_stack([_time(table), table["RemPct"] / 100.0])


def _utc(tables: Mapping[str, Table]) -> float | None:
    """Seconds since 1970 at time 0, by satellites."""
    gps = _first_instance(tables.get("GPS", {}))
    if not gps:
        return None
    fixed = (gps["Status"] >= FIX) & (gps["GWk"] > 0)
    if not fixed.any():
        return None
    utc = GPS_EPOCH_S - LEAP_S + gps["GWk"].astype(np.float64) * WEEK_S + gps["GMS"] / 1e3
    return float(np.median((utc - _time(gps))[fixed]))
