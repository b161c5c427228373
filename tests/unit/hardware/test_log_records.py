"""A record made of the logs of a flight agrees with what the flight itself wrote down, and works as any other does."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from d2oc.errors import RecordError
from d2oc.export import ExportOptions, export_record
from d2oc.geo.frame import LocalFrame
from d2oc.record import load_record
from d2oc.scenario import load_scenario, scenario_toml
from d2oc.transport.wasserstein import wasserstein2
from d2oc_hardware.fleet import Fleet, simulated_fleet
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import FieldDatum, Place
from d2oc_hardware.logs.replay import record_of_logs
from d2oc_hardware.logs.telemetry import packets_of
from d2oc_hardware.mavlink.codec import Codec
from d2oc_hardware.resumed import prepared_for
from d2oc_hardware.simulated.protocol import GLOBAL_POSITION, HEARTBEAT, SERVO, Protocol
from d2oc_hardware.swarm import FlightPlan, Swarm
from d2oc_viz.report import write_report

RATES = {GLOBAL_POSITION: 0.1, SERVO: 0.1, HEARTBEAT: 0.5}
"""As this program asks for them. [s]"""
SMALL = str(Path(__file__).parents[2] / "small_patch.toml")
REAL = Path(__file__).with_name("arducopter_flight.bin")
"""See `test_flight_log.py`."""
WALL = 1_700_000_000
COVER = ("team.n_agents=2", "mission.duration_s=20", "control.law=closed-form", "sampling.n_samples=300")


@dataclass
class Logged:
    """A flight with the telemetry log of each of its vehicles."""

    scenario: Any
    fleet: Fleet
    logs: list[Any]
    flown: Any
    began: float
    """Of its clock. [s]"""

    def replayed(self, out=None, **more):
        return record_of_logs(self.logs, self.files[0], out, fleet=self.fleet, begin=self.began, **more)

    def rows(self, name):
        """Shape (ticks, agents, ...), of the ticks that all wrote down."""
        n = min(len(rows) for rows in self.flown.reports)
        return np.array([[rows[k][name] for rows in self.flown.reports] for k in range(n)])


def logged(fly, scenario, folder):
    """Fly a scenario on a clock that never waits, while somebody writes down what the vehicles say."""
    logs = [folder / f"drone-{number}.tlog" for number in range(2)]
    fleets, began = [], []

    async def listener(pilots, clock):
        homes = [pilot.task.home[:2] for pilot in pilots]
        fleet = simulated_fleet(homes, [14550] * len(homes), 6.0)
        fleets.append(fleet)
        files = [path.open("wb") for path in logs]
        protocols = []
        for number, pilot in enumerate(pilots):
            codec = Codec(number + 1, 1)

            def note(message, peer, codec=codec, file=files[number]):
                file.write(struct.pack(">Q", round((WALL + clock.now()) * 1e6)) + codec.pack(message))

            at = FieldDatum(fleet.datum.datum.geodetic(Place(*homes[number], 0.0)))
            protocol = Protocol(pilot._controller._autopilot, at, note)
            protocol._interval.update(RATES)
            protocols.append(protocol)
        began.append(-clock.now())  # times of a log count from its first packet
        while not all(pilot.is_down for pilot in pilots):
            for protocol, pilot in zip(protocols, pilots, strict=True):
                protocol.autopilot.advance(clock.now())
                protocol.speak()
                if hasattr(pilot, "serviced"):
                    pilot.serviced()
            await clock.sleep(0.05)
        for file in files:
            file.close()
        began[0] += min(pilot._begin for pilot in pilots)

    flown = fly(scenario, beside=listener)
    path = folder / "mission.toml"
    path.write_text(scenario_toml(scenario))
    (folder / "fleet.toml").write_text(tomli_w.dumps(fleets[0].model_dump(mode="json", exclude_none=True)))
    found = Logged(scenario, fleets[0], logs, flown, began[0])
    found.files = path, folder / "fleet.toml"
    return found


@pytest.fixture(scope="module")
def sprayed(fly, small, tmp_path_factory):
    return logged(fly, load_scenario(small), tmp_path_factory.mktemp("sprayed"))


@pytest.fixture(scope="module")
def covered(fly, tmp_path_factory):
    return logged(fly, load_scenario("six_drones", overrides=COVER), tmp_path_factory.mktemp("covered"))


def distances(flight, record):
    """From where the flight wrote that a vehicle was to where its log says so, shape (ticks, agents). [m]"""
    names = record.header.agents[0].state_names
    own = flight.rows("state")[:, :, [names.index("x_m"), names.index("y_m")]]
    n = min(len(own), record.n_ticks)
    assert n > 100
    return np.linalg.norm(own[:n] - record.by_tick("x_m", "y_m")[:n], axis=2)


def test_a_flight_that_covers_is_the_same_in_its_log(covered):
    record = covered.replayed()
    assert distances(covered, record).max() < 0.03  # coordinates are whole steps of 1.1 cm
    treated = np.array([[row["active"] for row in rows.values()] for rows in covered.flown.reports]).sum()
    assert record.trajectory["active"].sum() == pytest.approx(treated, abs=4)
    assert record.summary()["w2_m"] == pytest.approx(covered.flown.w2, rel=0.06)
    consumed = record.by_tick("consumed")[:, :, 0]
    assert consumed.max() == pytest.approx(record.header.agents[0].alpha, rel=1e-9)
    assert consumed.sum() == pytest.approx(1.0, abs=0.02)  # the team has just the capacity for all


def w2_of_litres(places, litres, samples, weights):
    on = litres > 0
    return wasserstein2(places[on], litres[on] / litres[on].sum(), samples, weights).value


def test_a_flight_that_sprays_is_the_same_in_its_log(sprayed):
    """Litres by what the output of the pump said; the flight's own account follows the plan."""
    record = sprayed.replayed()
    assert distances(sprayed, record).max() < 0.03
    summary, own = record.summary(), sprayed.flown.summaries
    assert summary["litres"] == pytest.approx(sum(s["litres_by_pump"] for s in own), rel=0.04)
    assert summary["litres"] == pytest.approx(sum(s["litres_by_plan"] for s in own), rel=0.04)
    assert summary["sorties"] == sum(s["sorties"] for s in own)
    assert summary["missed_percent"] == pytest.approx(sprayed.flown.missed, abs=2.0)
    laid, flown = record.cells["deposit_l_ha"], sprayed.flown.cells["deposit_l_ha"]
    assert laid.sum() == pytest.approx(flown.sum(), rel=0.04)
    assert np.abs(laid - flown).sum() < 0.25 * flown.sum()
    assert summary["energy_kwh"] is None
    samples = np.column_stack([record.samples["x_m"], record.samples["y_m"]])
    weights = record.samples["weight"]
    in_log = w2_of_litres(
        np.column_stack([record.trajectory[n] for n in ("x_m", "y_m")]),
        record.trajectory["spray_l_min"],
        samples,
        weights,
    )
    rows = [row for rows in sprayed.flown.reports for row in rows.values()]
    places = np.array([row["state"] for row in rows])[:, [0, 2]]
    in_flight = w2_of_litres(places, np.array([row["machine"]["spray_l_min"] for row in rows]), samples, weights)
    assert in_log == pytest.approx(in_flight, rel=0.08)


FILES_OUT = {
    "applied-cog": "applied.tif",
    "track-gpkg": "track.gpkg",
    "qgc-plan": "plans",
    "mix-sheet": "mix.csv",
    "record-json": "paper.json",
}


def test_the_command_makes_a_run_folder_on_which_everything_works(sprayed, tmp_path, d2oc):
    mission, fleet = sprayed.files
    words = ("--scenario", str(mission), "--fleet", str(fleet), "--out", "flown", "--json")
    done = d2oc("replay-log", *map(str, sprayed.logs), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    record = load_record(tmp_path / "flown")
    assert record.digest() == summary["record_digest"]
    assert record.status == "complete"
    assert record.provenance["runtime"] == "log"
    assert len(record.provenance["logs_sha256"]) == 2
    assert record.provenance["tick_0"].startswith("2023-11-14T22:13:")
    write_report([tmp_path / "flown"], tmp_path / "report.html")  # with the player in it
    assert "L/min" in (tmp_path / "report.html").read_text()
    for form, out in FILES_OUT.items():
        export_record(record, form, tmp_path / out, ExportOptions())
    paper = json.loads((tmp_path / "paper.json").read_text())
    assert paper["date"] == "2023-11-14"
    assert paper["latitude_deg"] == pytest.approx(47.397742, abs=1e-3)
    assert "simulated" in paper["to_fill_in"]
    assert len(list((tmp_path / "plans").iterdir())) == summary["sorties"]
    with pytest.raises(RecordError, match="holds a record already"):
        sprayed.replayed(tmp_path / "flown")
    rest = prepared_for(sprayed.scenario, tmp_path / "flown")[1]
    litres = sum(leg.segment.litres for drone in rest.runtime.drones for leg in drone.route)
    assert 0.0 < litres < 0.6 * summary["litres"]  # d2oc fly --resume sprays what is missing, no more


@pytest.mark.parametrize("simulated", [False, True])
def test_a_flight_of_a_fleet_file_stands_where_its_datum_is(covered, tmp_path, simulated):
    """One of simulated vehicles is nowhere, unless its field says where."""
    swarm = Swarm(FlightPlan(covered.scenario, covered.fleet, tmp_path, simulated=simulated), print)
    place = LocalFrame.of_record(swarm._header().georeference)
    if simulated:
        assert place is None
    else:
        assert place.to_lon_lat([(0.0, 0.0)])[0] == pytest.approx([8.545594, 47.397742], abs=1e-9)


def test_a_log_of_the_real_firmware_becomes_a_record():
    """One of two machines; the flight's own program counted 0.76 L, in the slower seconds of a busy machine."""
    fleet = simulated_fleet([(30.0, -6.0)], [14550], 6.0)
    fleet = fleet.model_copy(
        update={"drones": (fleet.drones[0].model_copy(update={"system_id": 2}),), "pump_output": 9}
    )
    record = record_of_logs([REAL], SMALL, None, fleet=fleet)
    summary = record.summary()
    assert summary["litres"] == pytest.approx(0.72, abs=0.02)
    assert summary["sorties"] == 1
    assert summary["overdosed_m2"] == 0.0
    assert summary["path_length_m"] == pytest.approx(142.5, abs=0.5)
    sprays = record.trajectory["spray_l_min"] > 0
    assert set(record.trajectory["phase"][sprays]) == {3.0}
    assert record.trajectory["y_m"][sprays].min() > 0.0
    assert record.trajectory["height_m"][sprays] == pytest.approx(6.0, abs=0.5)


def placed(flight, at=(8.545594, 47.397742)):
    return [f"field.origin_lon_lat_deg=[{at[0]},{at[1]}]"]


def test_the_field_itself_may_say_where_it_stands(covered):
    """Its x is grid east, which differs from true east by the meridian's convergence."""
    by_fleet = covered.replayed().by_tick("x_m", "y_m")
    record = record_of_logs(covered.logs, covered.files[0], None, changes=placed(covered), begin=covered.began)
    assert record.header.georeference["crs"] == "EPSG:32632"
    turned = np.deg2rad((8.545594 - 9.0) * np.sin(np.deg2rad(47.397742)))
    back = by_fleet @ np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
    assert np.abs(record.by_tick("x_m", "y_m") - back).max() < 0.06  # a metre of the grid is 0.9996 m


def test_where_no_pump_is_who_flies_over_the_field_treats(covered, tmp_path):
    """As in flights by other means."""
    pumpless = []
    for path in covered.logs:
        kept = tmp_path / path.name
        kept.write_bytes(without(path, "SERVO_OUTPUT_RAW"))
        pumpless.append(kept)
    record = record_of_logs(pumpless, covered.files[0], None, fleet=covered.fleet)
    active = record.by_tick("active")[:, :, 0] > 0
    assert active.sum() > 200  # on the ways there and back, too
    assert (record.by_tick("height_m")[:, :, 0][active] > 2.0).all()
    with pytest.raises(FlightError, match="no pump runs in these logs"):
        record_of_logs(pumpless, SMALL, None, fleet=covered.fleet)


def without(path, kind=None, *, between=None):
    """A telemetry log without messages of a kind, or of some seconds."""
    kept, first = b"", None
    for stamp, message in packets_of(path):
        first = stamp if first is None else first
        time = (stamp - first) / 1e6
        if message.get_type() != kind and not (between and between[0] < time < between[1]):
            kept += struct.pack(">Q", stamp) + bytes(message.get_msgbuf())
    return kept


def test_a_gap_is_marked_and_a_log_of_gaps_refused(covered, tmp_path):
    begin = covered.began
    gap = tmp_path / "gap.tlog"
    gap.write_bytes(without(covered.logs[0], between=(begin + 4.0, begin + 9.0)))
    record = record_of_logs([gap, covered.logs[1]], covered.files[0], None, fleet=covered.fleet, begin=begin)
    trajectory = {name: values.reshape(2, -1)[0] for name, values in record.trajectory.items()}
    unseen = trajectory["seen"] == 0.0
    assert trajectory["time_s"][unseen].min() == pytest.approx(4.0, abs=0.3)
    assert trajectory["time_s"][unseen].max() == pytest.approx(9.0, abs=0.3)
    assert set(trajectory["phase"][unseen]) == {7.0}
    assert not trajectory["active"][unseen].any()
    assert np.diff(trajectory["x_m"][unseen]) == pytest.approx(np.diff(trajectory["x_m"][unseen])[0], abs=1e-6)
    gap.write_bytes(without(covered.logs[0], between=(begin + 1.0, begin + 40.0)))
    with pytest.raises(FlightError, match="% of its time in the air vehicle 1 does not say where it was"):
        record_of_logs([gap, covered.logs[1]], covered.files[0], None, fleet=covered.fleet)


def test_logs_that_do_not_fit_are_refused_in_a_sentence(covered, tmp_path):
    mission = covered.files[0]

    def refused(sentence, logs=covered.logs, **more):
        with pytest.raises(FlightError, match=sentence):
            record_of_logs(logs, mission, None, **more)

    refused(r"the field has no place on the globe; give --fleet FILE.* or --set field.origin_lon_lat_deg")
    refused(
        r"nobody was over the field; the nearest that anyone came to it is \d+\.\d km", changes=placed(covered, (9, 47))
    )
    one = covered.fleet.model_copy(update={"drones": covered.fleet.drones[:1]})
    refused("the logs tell of the vehicles 1, 2, and the fleet file of 1", fleet=one)
    ground = tmp_path / "ground.tlog"
    ground.write_bytes(without(covered.logs[0], between=(0.3, 1e9)))
    refused("vehicle 1 never left the ground", logs=[ground], changes=placed(covered))
    late = tmp_path / "late.tlog"
    late.write_bytes(
        b"".join(
            struct.pack(">Q", stamp + 3_600_000_000) + bytes(message.get_msgbuf())
            for stamp, message in packets_of(covered.logs[1])
        )
    )
    refused("took off .* s after all others had landed, so these logs are not of one flight",
            logs=[covered.logs[0], late], fleet=covered.fleet)  # fmt: skip
    refused("it begins 9999 s after the first word of the logs", fleet=covered.fleet, begin=9999.0)
