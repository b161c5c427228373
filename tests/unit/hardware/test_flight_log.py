"""Logs that were written are read back, whatever their kind: places, commands, modes, the pump; also damaged ones.

The DataFlash and the ULog are written here by their published formats; pymavlink and pyulog read them as well.
"""

from __future__ import annotations

import json
import math
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from d2oc.columns import read_columns
from d2oc.errors import D2ocError
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import FieldDatum, Geodetic
from d2oc_hardware.logs.read import read_logs
from d2oc_hardware.logs.telemetry import packets_of
from d2oc_hardware.mavlink.codec import Codec, dialect

LATITUDE, LONGITUDE, ALTITUDE = 47.397742, 8.545594, 488.0
DATUM = FieldDatum(Geodetic(LATITUDE, LONGITUDE, ALTITUDE))
PER_EAST = 111_320.0 * math.cos(math.radians(LATITUDE))
BEGAN = 1_700_000_000
"""[s]"""
MOMENTS = [round(0.1 * k, 1) for k in range(101)]


def armed_at(time):
    return 2.0 <= time < 8.0


def pump_at(time):
    """Pulse width."""
    return 1500 if 3.0 <= time < 5.0 else 1000


def height_at(time):
    return 3.0 if armed_at(time) else 0.0


def longitude_at(time):
    """Two metres a second towards east."""
    return LONGITUDE + 2.0 * time / PER_EAST


def telemetry(path, *, key=None, system=3, boot=None, moments=MOMENTS, began=BEGAN):
    """A telemetry log of a vehicle that flies for ten seconds, told so ten times a second."""
    vehicle, ground = Codec(system, 1, key), Codec(255, 191, key)
    data = b""

    def note(time, codec, message):
        nonlocal data
        data += struct.pack(">Q", began * 1_000_000 + round(time * 1e6)) + codec.pack(message)

    for time in moments:
        mode, armed = (4, 128) if armed_at(time) else (9, 0)
        note(time, vehicle, dialect.MAVLink_heartbeat_message(2, 3, armed, mode, 4, 3))
        note(time, ground, dialect.MAVLink_heartbeat_message(18, 8, 0, 0, 4, 3))
        told = (0, 2.0, -0.5)  # north, east, down
        note(
            time, ground,
            dialect.MAVLink_set_position_target_local_ned_message(0, system, 1, 1, 0, 0, 0, 0, *told, 0, 0, 0, 0, 0),
        )  # fmt: skip
        outputs = [0, 0, 0, 0, pump_at(time), 0, 0, 0]
        note(time, vehicle, dialect.MAVLink_servo_output_raw_message(0, 0, *outputs))
        place = round(LATITUDE * 1e7), round(longitude_at(time) * 1e7), round((ALTITUDE + height_at(time)) * 1000)
        clock = 0 if boot is None else round(1000 * boot(time))
        note(time, vehicle, dialect.MAVLink_global_position_int_message(clock, *place, 3000, 0, 200, 0, 0))
    path.write_bytes(data)
    return path


LAYOUTS = {
    "POS": ("QLLfff", "TimeUS,Lat,Lng,Alt,RelHomeAlt,RelOriginAlt"),
    "GPS": ("QBBIHBcLLeffffB", "TimeUS,I,Status,GMS,GWk,NSats,HDop,Lat,Lng,Alt,Spd,GCrs,VZ,Yaw,U"),
    "MODE": ("QMBB", "TimeUS,Mode,ModeNum,Rsn"),
    "ARM": ("QBIBB", "TimeUS,ArmState,ArmChecks,Forced,Method"),
    "RCOU": ("Q" + 14 * "H", "TimeUS," + ",".join(f"C{n}" for n in range(1, 15))),
    "BAT": ("QBfffffcfB", "TimeUS,Inst,Volt,VoltR,Curr,CurrTot,EnrgTot,Temp,Res,RemPct"),
    "GUIP": ("QBfffbffffff", "TimeUS,Type,pX,pY,pZ,Terrain,vX,vY,vZ,aX,aY,aZ"),
    "PARM": ("QNff", "TimeUS,Name,Value,Default"),
    "FMTU": ("QBNN", "TimeUS,FmtType,UnitIds,MultIds"),
    "MULT": ("Qbd", "TimeUS,Id,Mult"),
}
LETTERS = {"L": "i", "c": "h", "C": "H", "e": "i", "E": "I", "M": "B", "N": "16s", "Z": "64s", "n": "4s"}
NUMBER = {name: 60 + i for i, name in enumerate(LAYOUTS)}


def dataflash_message(name, *values):
    form = "<" + "".join(LETTERS.get(letter, letter) for letter in LAYOUTS[name][0])
    return b"\xa3\x95" + bytes([NUMBER[name]]) + struct.pack(form, *values)


def dataflash(path, *, system=3, week=2288, moments=MOMENTS, late=0.0):
    """The same flight as ArduPilot writes it on board; `late` seconds later."""
    data = b"\xa3\x95\x80" + struct.pack("<BB4s16s64s", 128, 89, b"FMT", b"BBnNZ", b"Type,Length,Name,Format,Columns")
    for name, (form, columns) in LAYOUTS.items():
        size = 3 + struct.calcsize("<" + "".join(LETTERS.get(letter, letter) for letter in form))
        data += b"\xa3\x95\x80" + struct.pack(
            "<BB4s16s64s", NUMBER[name], size, name.encode(), form.encode(), columns.encode()
        )
    data += dataflash_message("MULT", 0, ord("B"), 0.01)
    data += dataflash_message("FMTU", 0, NUMBER["GUIP"], b"s-mmm-nnnooo", b"F-BBB-BBBBBB")
    for parameter, value in (("MAV_SYSID", system), ("SERVO5_FUNCTION", 33), ("SERVO9_FUNCTION", 59)):
        data += dataflash_message("PARM", 0, parameter.encode(), value, value)
    mode = armed = None
    for time in moments:
        us = round(time * 1e6) + 50_000_000  # since it was switched on
        place = round(LATITUDE * 1e7), round(longitude_at(time) * 1e7)
        height = height_at(time)
        if week is not None:
            ms = round(1000 * (time + late)) + 100_000
            data += dataflash_message("GPS", us, 0, 3, ms, week, 14, 80, *place, 48_800, 2.0, 90.0, 0.0, 0.0, 1)
        data += dataflash_message("POS", us, *place, ALTITUDE + height, height, height)
        new = 4 if armed_at(time) else 9
        data += dataflash_message("MODE", us, new, new, 1) if new != mode else b""
        data += dataflash_message("ARM", us, int(armed_at(time)), 0, 0, 0) if armed_at(time) != armed else b""
        mode, armed = new, armed_at(time)
        outputs = [1000] * 14
        outputs[8] = pump_at(time)
        data += dataflash_message("RCOU", us, *outputs)
        data += dataflash_message("BAT", us, 0, 22.0, 22.0, 9.0, 100.0, 2.0, 2500, 0.01, 88)
        data += dataflash_message("GUIP", us, 4, 0, 0, 0, 0, 0, 200, 50, 0, 0, 0)  # north, east, up [cm/s]
    path.write_bytes(data)
    return path


TOPICS = {
    "vehicle_global_position": "uint64_t timestamp;double lat;double lon;float alt;",
    "vehicle_local_position": "uint64_t timestamp;float vx;float vy;float vz;",
    "vehicle_gps_position": "uint64_t timestamp;uint64_t time_utc_usec;",
    "vehicle_status": "uint64_t timestamp;uint8_t arming_state;uint8_t nav_state;",
    "actuator_outputs": "uint64_t timestamp;float[16] output;",
    "battery_status": "uint64_t timestamp;float remaining;",
    "trajectory_setpoint": "uint64_t timestamp;float[3] velocity;",
}


def ulog_message(kind, body):
    return struct.pack("<HB", len(body), ord(kind)) + body


def ulog(path, *, system=3, moments=MOMENTS, late=0.0):
    """The same flight as PX4 writes it on board."""
    data = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", 50_000_000) + ulog_message("B", bytes(40))
    for name, fields in TOPICS.items():
        data += ulog_message("F", f"{name}:{fields}".encode())
    for parameter, value in (("MAV_SYS_ID", system), ("PWM_MAIN_FUNC6", 407)):
        key = f"int32_t {parameter}".encode()
        data += ulog_message("P", bytes([len(key)]) + key + struct.pack("<i", value))
    for number, name in enumerate(TOPICS):
        data += ulog_message("A", struct.pack("<BH", 0, number) + name.encode())
    number = {name: i for i, name in enumerate(TOPICS)}

    def note(name, form, *values):
        nonlocal data
        data += ulog_message("D", struct.pack("<HQ" + form, number[name], us, *values))

    for time in moments:
        us = round(time * 1e6) + 50_000_000
        note("vehicle_global_position", "ddf", LATITUDE, longitude_at(time), ALTITUDE + height_at(time))
        note("vehicle_local_position", "fff", 0.0, 2.0, 0.0)
        note("vehicle_gps_position", "Q", round((BEGAN + time + late) * 1e6))
        note("vehicle_status", "BB", 2 if armed_at(time) else 1, 14 if armed_at(time) else 18)
        outputs = [1500.0] * 16
        outputs[5] = 1750.0 if pump_at(time) > 1000 else 1500.0
        note("actuator_outputs", "16f", *outputs)
        note("battery_status", "f", 0.88)
        note("trajectory_setpoint", "3f", 0.0, 2.0, -0.5)
    path.write_bytes(data)
    return path


KINDS = {"tlog": telemetry, "bin": dataflash, "ulg": ulog}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_read_back(tmp_path, kind):
    (vehicle,) = read_logs([KINDS[kind](tmp_path / "a.log")])  # by what it holds, not by its name
    assert vehicle.system == 3
    table = vehicle.table(DATUM)
    assert table["time_s"] == pytest.approx(MOMENTS, abs=1e-6)
    assert table["x_m"] == pytest.approx(2.0 * table["time_s"], abs=0.1)
    assert table["y_m"] == pytest.approx(0.0, abs=0.02)
    assert table["height_m"] == pytest.approx([height_at(time) for time in MOMENTS], abs=1e-4)
    assert table["vx_m_s"] == pytest.approx(2.0)
    assert table["told_vx_m_s"][1:] == pytest.approx(2.0)
    assert table["told_vy_m_s"][1:] == pytest.approx(0.0)
    assert table["told_climb_m_s"][1:] == pytest.approx(0.5)
    assert table["armed"].tolist() == [armed_at(time) for time in MOMENTS]
    assert table["pump"].tolist() == [0.5 if pump_at(time) > 1000 else 0.0 for time in MOMENTS]
    assert vehicle.battery[:, 1] == pytest.approx(0.88 if kind != "tlog" else [])
    summary = vehicle.summary()
    assert summary["pump_s"] == pytest.approx(2.0)
    assert summary["armed_s"] == pytest.approx(6.0)
    assert summary["way_m"] == pytest.approx(12.0, abs=0.1)
    assert summary["setpoints"] == 101
    assert summary["setpoint_period_median_s"] == pytest.approx(0.1)
    modes = ["LAND", "GUIDED", "LAND"] if kind != "ulg" else ["AUTO_LAND", "OFFBOARD", "AUTO_LAND"]
    assert summary["modes"] == [[time, mode] for time, mode in zip((0.0, 2.0, 8.0), modes, strict=True)]


def test_a_signed_telemetry_log_is_read_without_its_key(tmp_path):
    (vehicle,) = read_logs([telemetry(tmp_path / "a.tlog", key=bytes(range(32)))])
    assert vehicle.packets == 303


REAL = Path(__file__).with_name("arducopter_flight.bin")
"""Of a real ArduCopter V4.7.0-dev that flew tests/small_patch.toml in the bullet world, a part of its messages."""


def test_a_log_of_the_real_firmware_is_read():
    """It begins when the vehicle is armed, so only the end of that stands in it."""
    (vehicle,) = read_logs([REAL])
    summary = vehicle.summary()
    assert summary["firmware"] == "ArduPilot"
    assert summary["system"] == 2
    assert summary["armed_s"] == pytest.approx(76.0, abs=0.1)
    assert summary["way_m"] == pytest.approx(142.8, abs=0.5)  # in its telemetry log, too
    assert summary["pump_s"] == pytest.approx(14.7, abs=0.3)  # by its own SERVO9_FUNCTION
    assert summary["modes"] == [[0.0, "GUIDED"], [61.46, "LAND"]]
    assert vehicle.utc == pytest.approx(1795977084, abs=5)
    speed = np.hypot(vehicle.told[:, 1], vehicle.told[:, 2])
    assert 5.0 < speed.max() < 6.5


@pytest.mark.parametrize("is_real", [False, True])
def test_pymavlink_reads_the_same_numbers_in_a_dataflash_log(tmp_path, request, is_real):
    """An independent reader; it knows nothing of FMTU."""
    from pymavlink.DFReader import DFReader_binary

    path = REAL if is_real else dataflash(tmp_path / "a.bin")
    other = DFReader_binary(str(path))
    (vehicle,) = read_logs([path])
    seen = []
    for close in (other.data_map.close, other.filehandle.close):
        request.addfinalizer(close)
    while (message := other.recv_match(type=["POS"])) is not None:
        seen.append((message.TimeUS / 1e6, message.Lat, message.Lng, message.Alt))
    seen = np.array(seen) - [seen[0][0] - vehicle.first, 0.0, 0.0, 0.0]
    assert vehicle.places[:, :4] == pytest.approx(seen, rel=1e-12, abs=1e-7)


def test_times_are_the_vehicles_own_where_it_tells_them(tmp_path):
    """A radio that is late by up to a second, and a simulated vehicle that flies three times as fast as the wall."""
    chance = random.Random(1)
    late = {time: time + chance.random() for time in MOMENTS}
    moments = sorted(late.values())
    own = dict(zip(moments, sorted(late), strict=True))
    (vehicle,) = read_logs([telemetry(tmp_path / "late.tlog", boot=own.__getitem__, moments=moments)])
    assert np.diff(vehicle.places[:, 0]) == pytest.approx(0.1, abs=1e-6)
    (fast,) = read_logs([telemetry(tmp_path / "fast.tlog", boot=lambda time: 7.0 + 3.0 * time)])
    assert fast.places[-1, 0] == pytest.approx(30.0)
    assert [time for time, _ in fast.modes] == pytest.approx([0.0, 6.0, 24.0], abs=1e-3)


def test_a_log_that_was_cut_off_or_damaged_is_read_as_far_as_it_goes(tmp_path):
    path = telemetry(tmp_path / "a.tlog")
    whole = path.read_bytes()
    n = sum(1 for _ in packets_of(path))
    path.write_bytes(whole[:-5])
    assert sum(1 for _ in packets_of(path)) == n - 1
    damaged = bytearray(whole)
    damaged[8 + 12] ^= 0xFF  # in the first packet
    path.write_bytes(damaged)
    assert sum(1 for _ in packets_of(path)) == n - 1


@pytest.mark.parametrize("kind", ["bin", "ulg"])
def test_a_damaged_log_of_the_vehicle_gives_what_is_whole_or_a_sentence(tmp_path, kind, capsys):
    whole, chance = KINDS[kind](tmp_path / "whole").read_bytes(), random.Random(3)
    path = tmp_path / "damaged"
    places, refused = [], []
    for _ in range(40):
        data = bytearray(whole[: chance.randrange(len(whole) // 4, len(whole))])
        for _ in range(chance.choice((0, 3, 30, 300))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            places.append(sum(len(vehicle.places) for vehicle in read_logs([path])))
        except D2ocError as error:
            refused.append(str(error))
    assert not any("\n" in sentence for sentence in refused)
    assert len(places) > 15
    assert max(places) > 50
    assert capsys.readouterr().out == ""


def test_several_logs_are_laid_side_by_side_in_time(tmp_path):
    logs = [telemetry(tmp_path / "b.tlog", system=7), telemetry(tmp_path / "a.tlog", system=3)]
    assert [vehicle.system for vehicle in read_logs(logs)] == [3, 7]
    of_two = [ulog(tmp_path / "a.ulg"), ulog(tmp_path / "b.ulg", late=4.0)]
    early, late = read_logs(of_two)  # at the same time, so two vehicles, though both say that they are 3
    assert (early.first, late.first) == pytest.approx((0.0, 4.0), abs=1e-3)
    (one,) = read_logs([ulog(tmp_path / "a.ulg"), ulog(tmp_path / "b.ulg", late=60.0)])  # one after the other
    assert one.last == pytest.approx(70.0, abs=1e-3)
    assert not one.is_armed(np.array([30.0]))[0]
    gps_week = (BEGAN - 315_964_800 + 18) // 604_800
    late = BEGAN - (315_964_800 - 18 + gps_week * 604_800) - 100.0 + 2.0
    mixed = [ulog(tmp_path / "a.ulg", system=1), dataflash(tmp_path / "a.bin", week=gps_week, late=late)]
    assert [vehicle.first for vehicle in read_logs(mixed)] == pytest.approx([0.0, 2.0], abs=1e-3)


def test_what_is_no_log_is_refused_in_a_sentence(tmp_path):
    def refused(data, sentence, name="notes.bin"):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(FlightError, match=sentence):
            read_logs([path])

    refused(b"this is not a log", r"notes.bin: is no log of a flight: neither")
    refused(b"", "notes.bin: is empty")
    refused(b"FMT, 128, 89, FMT", r"turned into text; give the binary one \(.bin\)")
    refused(dataflash(tmp_path / "a").read_bytes()[:900], r"holds no position \(POS\)")
    refused(ulog(tmp_path / "a").read_bytes()[:600], "holds no position")
    refused(ulog(tmp_path / "a").read_bytes()[:12], r"begins as a log of PX4 \(ULog\), but cannot be read")
    with pytest.raises(FlightError, match="cannot be read"):
        read_logs([tmp_path / "absent.tlog"])
    silent = tmp_path / "silent.tlog"
    silent.write_bytes(struct.pack(">Q", 1) + Codec(3, 1).pack(dialect.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)))
    with pytest.raises(FlightError, match="no vehicle says where it is"):
        read_logs([silent])
    both = [telemetry(tmp_path / "a.tlog"), ulog(tmp_path / "a.ulg")]
    with pytest.raises(FlightError, match="both tell of vehicle 3 at the same time; give one of them"):
        read_logs(both)
    timeless = [dataflash(tmp_path / "a.bin", week=None), ulog(tmp_path / "a.ulg", system=1)]
    with pytest.raises(FlightError, match="does not say what time it was"):
        read_logs(timeless)


def test_the_command_writes_the_table(tmp_path, d2oc):
    telemetry(tmp_path / "a.tlog")
    done = d2oc("replay-log", "a.tlog", "--out", "a.parquet", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["vehicles"][0]["setpoints"] == 101
    assert len(read_columns(tmp_path / "a.parquet")["x_m"]) == 101
    dataflash(tmp_path / "a.bin")
    done = d2oc("replay-log", "a.bin", "--out", "a.csv", cwd=tmp_path)
    assert "vehicle 3" in done.stdout
    assert (tmp_path / "a.csv").read_text().splitlines()[0].startswith("time_s,system,latitude_deg")
    assert d2oc("replay-log", "a.tlog", "--out", "a.xls", cwd=tmp_path).returncode == 2
