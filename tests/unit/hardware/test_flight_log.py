"""A telemetry log that was written is read back: places, commands, modes, the pump; also one that was cut off."""

from __future__ import annotations

import json
import math
import struct

import pytest

from d2oc.columns import read_columns
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import FieldDatum, Geodetic
from d2oc_hardware.mavlink.codec import Codec, dialect
from d2oc_hardware.mavlink.flight_log import packets_of, read_logs

DATUM = FieldDatum(Geodetic(47.397742, 8.545594, 488.0))


def written(path, *, key=None, system=3):
    """A log of a vehicle that flies 2 m/s towards east for ten seconds, told so ten times a second."""
    vehicle, ground = Codec(system, 1, key), Codec(255, 191, key)
    data = b""

    def note(time, codec, message):
        nonlocal data
        data += struct.pack(">Q", 1_700_000_000_000_000 + round(time * 1e6)) + codec.pack(message)

    for k in range(101):
        time = 0.1 * k
        mode, armed = (4, True) if 2.0 - 1e-9 <= time < 8.0 - 1e-9 else (9, False)
        note(time, vehicle, dialect.MAVLink_heartbeat_message(2, 3, 128 if armed else 0, mode, 4, 3))
        note(time, ground, dialect.MAVLink_heartbeat_message(18, 8, 0, 0, 4, 3))
        told = (0, 2.0, -0.5)  # north, east, down
        note(
            time, ground,
            dialect.MAVLink_set_position_target_local_ned_message(0, system, 1, 1, 0, 0, 0, 0, *told, 0, 0, 0, 0, 0),
        )  # fmt: skip
        pulse = 1500 if 3.0 - 1e-9 <= time < 5.0 - 1e-9 else 1000
        outputs = [0, 0, 0, 0, pulse, 0, 0, 0]
        note(time, vehicle, dialect.MAVLink_servo_output_raw_message(0, 0, *outputs))
        east = 111_320.0 * math.cos(math.radians(47.397742))
        lon = round((8.545594 + 2.0 * time / east) * 1e7)
        note(
            time, vehicle,
            dialect.MAVLink_global_position_int_message(0, 473977420, lon, 491_000, 3000, 0, 200, 0, 0),
        )  # fmt: skip
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("key", [None, bytes(range(32))])
def test_what_was_written_is_read_back(tmp_path, key):
    (vehicle,) = read_logs([written(tmp_path / "a.tlog", key=key)])
    assert vehicle.system == 3
    assert vehicle.packets == 303
    table = vehicle.table(DATUM)
    assert len(table["time_s"]) == 101
    assert table["x_m"][-1] == pytest.approx(20.0, abs=0.1)
    assert table["y_m"] == pytest.approx(0.0, abs=0.02)
    assert table["height_m"] == pytest.approx(3.0, abs=1e-6)
    assert set(table["vx_m_s"]) == {2.0}
    assert table["told_vx_m_s"][1:] == pytest.approx(2.0)
    assert table["told_climb_m_s"][1:] == pytest.approx(0.5)
    assert table["mode"][[0, 25, 100]].tolist() == [9, 4, 9]
    assert table["armed"].sum() == 60
    assert table["pump"][[29, 31, 52]].tolist() == [0.0, 0.5, 0.0]
    summary = vehicle.summary()
    assert summary["pump_s"] == pytest.approx(2.0)
    assert summary["armed_s"] == pytest.approx(6.0)
    assert summary["way_m"] == pytest.approx(12.0, abs=0.1)
    assert summary["setpoints"] == 101
    assert summary["setpoint_period_median_s"] == pytest.approx(0.1)
    assert summary["modes"] == [[0.0, "LAND"], [2.0, "GUIDED"], [8.0, "LAND"]]


def test_a_log_that_was_cut_off_or_damaged_is_read_as_far_as_it_goes(tmp_path):
    path = written(tmp_path / "a.tlog")
    whole = path.read_bytes()
    n = sum(1 for _ in packets_of(path))
    path.write_bytes(whole[:-5])
    assert sum(1 for _ in packets_of(path)) == n - 1
    damaged = bytearray(whole)
    damaged[8 + 12] ^= 0xFF  # in the first packet
    path.write_bytes(damaged)
    assert sum(1 for _ in packets_of(path)) == n - 1


def test_several_logs_count_time_from_the_first_packet_of_all(tmp_path):
    logs = [written(tmp_path / "b.tlog", system=7), written(tmp_path / "a.tlog", system=3)]
    assert [vehicle.system for vehicle in read_logs(logs)] == [3, 7]


def test_what_is_no_log_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "notes.tlog"
    path.write_text("this is not a log", encoding="utf-8")
    with pytest.raises(FlightError, match=r"notes.tlog: no packet stands at byte 8, so this is no telemetry log"):
        read_logs([path])
    path.write_bytes(b"")
    with pytest.raises(FlightError, match="no vehicle says where it is"):
        read_logs([path])
    with pytest.raises(FlightError, match="cannot be read"):
        read_logs([tmp_path / "absent.tlog"])


def test_the_command_writes_the_table(tmp_path, d2oc):
    written(tmp_path / "a.tlog")
    done = d2oc("replay-log", "a.tlog", "--out", "a.parquet", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["vehicles"][0]["setpoints"] == 101
    assert len(read_columns(tmp_path / "a.parquet")["x_m"]) == 101
    done = d2oc("replay-log", "a.tlog", "--out", "a.csv", cwd=tmp_path)
    assert "vehicle 3" in done.stdout
    assert (tmp_path / "a.csv").read_text().splitlines()[0].startswith("time_s,system,latitude_deg")
    assert d2oc("replay-log", "a.tlog", "--out", "a.xls", cwd=tmp_path).returncode == 2
