"""`d2oc fly`, `d2oc preflight` and `d2oc sim-vehicle`."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from d2oc.cli.live import live_view
from d2oc.cli.printing import AsJson, as_file_name, print_json, say
from d2oc.cli.program import CHECK_FAILED, INTERRUPTED, app
from d2oc.cli.summary import show_summary

if TYPE_CHECKING:
    from d2oc.mission import Prepared, Watch
    from d2oc.scenario.schema import Scenario
    from d2oc_hardware.fleet import Fleet
    from d2oc_hardware.preflight import Check
    from d2oc_hardware.swarm import FlightPlan, Swarm

ScenarioArgument = Annotated[str, typer.Argument(help="Name of a shipped scenario, or path of a TOML file.")]
FleetOption = Annotated[Path | None, typer.Option(help="Fleet file: drones, links, homes, limits.")]
SimOption = Annotated[int | None, typer.Option(help="Instead of a fleet: start so many simulated vehicles.", min=1)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the scenario; repeatable.")
]
SpeedupOption = Annotated[
    float, typer.Option(help="Seconds of the flight in one of the wall; simulated only.", min=0.1)
]
ArducopterOption = Annotated[
    Path | None, typer.Option(metavar="BINARY", help="Run this real ArduCopter, built for the host.")
]
BetaflightOption = Annotated[
    Path | None, typer.Option(metavar="BINARY", help="Run this real Betaflight, built for the host.")
]


class BusName(StrEnum):
    """What carries words between the drones; see docs/flying.md."""

    udp = "udp"
    zenoh = "zenoh"


BusOption = Annotated[
    BusName, typer.Option(help="What carries words between simulated drones: udp on this machine, or the network bus.")
]
CertificatesOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Certificates of the drones, for --bus zenoh.")
]
NOT_BEGUN = "not begun"
KEYS = "keys: p pause, r resume, h all home, l all land, x stop spraying, g served: go on, Ctrl-C all home"


@app.command(epilog="Example: d2oc fly six_drones --sim 4 --speedup 2")
def fly(
    scenario: Annotated[
        str | None, typer.Argument(help="Name of a shipped scenario, or path of a TOML file; not with --resume.")
    ] = None,
    fleet: FleetOption = None,
    sim: SimOption = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run folder of a flight that ended early: fly what it left.")
    ] = None,
    speedup: SpeedupOption = 1.0,
    changes: SetOption = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the scenario's seed.", min=0)] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/NAME-flown.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a record that stands in --out.")] = False,
    physics: Annotated[str, typer.Option(help="Of simulated vehicles: ideal, bullet or auto.")] = "ideal",
    arducopter: ArducopterOption = None,
    betaflight: BetaflightOption = None,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="DRONE:KIND@S[:DURATION]", help="Something that goes wrong; --sim only.")
    ] = None,
    upload_fence: Annotated[bool, typer.Option("--upload-fence", help="Write the fence into the autopilots.")] = False,
    bus: BusOption = BusName.udp,
    certificates: CertificatesOption = None,
    live: Annotated[bool, typer.Option("--live", help="Serve a page, to this machine only, that follows it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fly a scenario with real flight controllers or simulated ones; every command passes the guard."""
    if (scenario is None) == (resume is None):
        raise typer.BadParameter("give either a scenario or --resume RUN")
    if resume is not None:
        if changes or seed is not None:
            raise typer.BadParameter("--resume flies the scenario of that run: leave out --set and --seed")
        if out is not None and out.resolve() == resume.resolve():
            raise typer.BadParameter("--resume writes a record of its own: give another folder as --out")
        overwrite = overwrite or out is None
        out = out or resume.with_name(f"{resume.name}-resumed")
    what = scenario or str(_scenario_of(resume))
    plan = _plan(
        what, fleet, sim, speedup, changes, seed, out, overwrite, physics, fault, upload_fence, resume, arducopter, bus,
        certificates, betaflight,
    )  # fmt: skip
    from d2oc_hardware.swarm import require_rung

    require_rung(plan.fleet, simulated=plan.simulated)
    with live_view(live) as watch:
        summary, failed, interrupted = asyncio.run(_fly(plan, watch))
    if failed is not None:
        print_json({"checks": failed}) if as_json else None
        raise typer.Exit(CHECK_FAILED)
    (plan.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    began = summary["status"] != NOT_BEGUN
    if as_json:
        print_json(summary)
    else:
        if began:
            show_summary(summary)
        print(
            f"landed {'yes' if summary['landed'] else 'NO'}, fence breaches {summary['fence_breaches']}, "
            f"sprayed outside the mission {summary['spray_outside_mission_s']} s\n"
            + (f"record {plan.out}" if began else "the mission did not begin, so there is no record")
        )
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if not began:
        raise typer.Exit(CHECK_FAILED)


@app.command(epilog="Example: d2oc preflight six_drones --fleet fleet.toml")
def preflight(
    scenario: ScenarioArgument,
    fleet: FleetOption = None,
    sim: SimOption = None,
    speedup: SpeedupOption = 1.0,
    changes: SetOption = None,
    bus: BusOption = BusName.udp,
    certificates: CertificatesOption = None,
    as_json: AsJson = False,
) -> None:
    """Connect to every drone, read and compare, print a checklist; exit code 1 if it must not fly."""
    plan = _plan(
        scenario,
        fleet,
        sim,
        speedup,
        changes,
        None,
        None,
        True,
        "ideal",
        None,
        False,
        bus=bus,
        certificates=certificates,
    )
    checks = asyncio.run(_check(plan))
    failed = _show_checks(checks, silent=as_json)
    if as_json:
        print_json({"passed": not failed, "drones": [[c._asdict() for c in own] for own in checks]})
    if failed:
        raise typer.Exit(CHECK_FAILED)


@app.command("sim-vehicle", epilog="Example: d2oc sim-vehicle --port 14580 --to 127.0.0.1:14550 --speedup 2")
def sim_vehicle(
    system_id: Annotated[int, typer.Option(help="MAVLink system id.", min=1, max=250)] = 1,
    port: Annotated[int, typer.Option(help="UDP port on 127.0.0.1; 0: any.", min=0, max=65535)] = 0,
    to: Annotated[list[str] | None, typer.Option(metavar="HOST:PORT", help="Speak to it first; repeatable.")] = None,
    at: Annotated[str, typer.Option(metavar="LAT,LON,ALT", help="Where it stands, WGS84.")] = "47.397742,8.545594,488",
    speedup: SpeedupOption = 1.0,
    physics: Annotated[str, typer.Option(help="ideal, bullet, or auto: bullet where PyBullet is installed.")] = "auto",
    airframe: Annotated[str, typer.Option(help="Preset that flies where physics is bullet.")] = "research-quadrotor",
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a parameter; repeatable.")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="KIND@S[:DURATION]", help="Goes wrong so long after take-off.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="File with the key for signing.")] = None,
    report: Annotated[Path | None, typer.Option(help="File that is to hold the truth, every second.")] = None,
    arducopter: ArducopterOption = None,
    betaflight: BetaflightOption = None,
    epoch: Annotated[float | None, typer.Option(hidden=True)] = None,
    clock_file: Annotated[str | None, typer.Option("--clock", hidden=True)] = None,
) -> None:
    """Simulate a vehicle that speaks MAVLink 2 over UDP on the loopback interface, until Ctrl-C."""
    from d2oc_hardware.clock import Clock
    from d2oc_hardware.frames import FieldDatum, Geodetic
    from d2oc_hardware.mavlink.codec import read_key
    from d2oc_hardware.simulated.process import VehicleSetup, fly_vehicles, parse_fault
    from d2oc_hardware.waiting_clock import WaitingClock

    try:
        latitude, longitude, altitude = map(float, at.split(","))
        parameters = {name: float(value) for name, _, value in (text.partition("=") for text in param or ())}
        peers = tuple((host, int(number)) for host, _, number in (text.rpartition(":") for text in to or ()))
    except ValueError:
        raise typer.BadParameter("--at is LAT,LON,ALT, --param NAME=VALUE and --to HOST:PORT") from None
    setup = VehicleSetup(
        FieldDatum(Geodetic(latitude, longitude, altitude)),
        system=system_id,
        port=port,
        peers=peers,
        physics=physics,
        airframe=airframe,
        parameters=parameters,
        key=read_key(key) if key else None,
        faults=tuple(map(parse_fault, fault or ())),
        report=report,
    )
    clock = Clock(speedup) if epoch is None else Clock(speedup, epoch)
    if clock_file is not None:
        path, _, number_of_turn = clock_file.rpartition(":")
        clock = WaitingClock.in_file(Path(path), int(number_of_turn), speedup)
    if arducopter is not None:
        from d2oc_hardware.simulated.arducopter import fly_arducopter

        asyncio.run(fly_arducopter(setup, arducopter, clock))
        return
    if betaflight is not None:
        from d2oc_hardware.simulated.betaflight import fly_betaflight

        asyncio.run(fly_betaflight(setup, betaflight, clock))
        return
    asyncio.run(fly_vehicles([setup], clock))


@app.command(name="replay-log", epilog="Example: d2oc replay-log flight.bin --scenario field.toml --out runs/flown")
def replay_log(
    files: Annotated[
        list[Path], typer.Argument(metavar="LOG...", help="Logs of one flight: telemetry (tlog), DataFlash or ULog.")
    ],
    scenario: Annotated[
        str | None, typer.Option(help="What there was to treat: makes a run folder, for reports, metrics and exports.")
    ] = None,
    fleet: Annotated[Path | None, typer.Option(help="Fleet file: where the field stands, who is which agent.")] = None,
    changes: SetOption = None,
    begin: Annotated[
        float | None, typer.Option(metavar="S", help="Tick 0, after the logs' first word; default: the first take-off.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; without --scenario a table, .csv or .parquet, of where each was.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a record that stands in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the logs of a flight back, whoever flew it: what each vehicle did; with a scenario, as a record."""
    from d2oc_hardware.fleet import load_fleet

    the_fleet = None if fleet is None else load_fleet(fleet)
    if scenario is not None:
        _record_logs(files, scenario, the_fleet, changes or [], begin, out, overwrite, as_json)
        return
    if changes or begin is not None:
        raise typer.BadParameter("--set and --begin are for --scenario, which makes a record")
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise typer.BadParameter(f"--out {out} must end in .csv or .parquet, or be a run folder with --scenario")
    _tell_logs(files, the_fleet, out, as_json)


def _record_logs(
    files: list[Path],
    scenario: str,
    fleet: Fleet | None,
    changes: list[str],
    begin: float | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    from d2oc.cli.run import summarise_into
    from d2oc_hardware.logs.replay import record_of_logs

    folder = out or Path("runs") / f"{as_file_name(Path(scenario).stem)}-from-log"
    record = record_of_logs(
        files, scenario, folder, fleet=fleet, changes=changes, begin=begin, overwrite=overwrite or out is None
    )
    summary = summarise_into(folder, record)
    unseen = record.by_tick("seen")[:, :, 0] == 0.0
    if unseen.any():
        say(f"note: for {unseen.sum() * record.header.time_step_s:.1f} s of flight no log says where a vehicle was")
    if as_json:
        print_json(summary)
        return
    show_summary(summary)
    print(f"record {folder}")


def _tell_logs(files: list[Path], fleet: Fleet | None, out: Path | None, as_json: bool) -> None:
    import numpy as np

    from d2oc_hardware.logs.read import read_logs

    vehicles = read_logs(files)
    output = None if fleet is None else fleet.pump_output
    summaries = [vehicle.summary(output) for vehicle in vehicles]
    if out is not None:
        tables = [vehicle.table(None if fleet is None else fleet.datum.datum, output) for vehicle in vehicles]
        _write_table(out, {name: np.concatenate([table[name] for table in tables]) for name in tables[0]})
    if as_json:
        print_json({"vehicles": summaries})
        return
    for summary in summaries:
        print(f"vehicle {summary.pop('system')}")
        for name, value in summary.items():
            print(f"  {name}: {value}")


def _write_table(path: Path, columns: Mapping[str, Any]) -> None:
    from d2oc.columns import write_columns

    if path.suffix == ".parquet":
        write_columns(path, columns)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _plan(
    scenario: str,
    fleet: Path | None,
    sim: int | None,
    speedup: float,
    changes: list[str] | None,
    seed: int | None,
    out: Path | None,
    overwrite: bool,
    physics: str,
    faults: list[str] | None,
    upload_fence: bool,
    resumed: Path | None = None,
    arducopter: Path | None = None,
    bus: BusName = BusName.udp,
    certificates: Path | None = None,
    betaflight: Path | None = None,
) -> FlightPlan:
    from d2oc.scenario import load_scenario
    from d2oc_hardware.fleet import load_fleet
    from d2oc_hardware.resumed import prepared_for
    from d2oc_hardware.swarm import FlightPlan, with_addresses

    if (fleet is None) == (sim is None):
        raise typer.BadParameter("give either --fleet FILE or --sim N")
    for option, binary in (("--arducopter", arducopter), ("--betaflight", betaflight)):
        if sim is None and binary is not None:
            raise typer.BadParameter(f"{option} is for --sim N")
        if binary is not None and not os.access(binary, os.X_OK):
            raise typer.BadParameter(f"{option} {binary} is no program that can be started")
    if arducopter is not None and betaflight is not None:
        raise typer.BadParameter("give either --arducopter or --betaflight")
    if betaflight is not None and speedup != 1.0:
        raise typer.BadParameter("--betaflight flies at the wall's pace only: leave out --speedup")
    if betaflight is not None and any(":process-killed@" not in fault for fault in faults or ()):
        raise typer.BadParameter("--betaflight knows one --fault only, process-killed")
    if sim is None and (speedup != 1.0 or faults):
        raise typer.BadParameter("--speedup and --fault are for --sim N: real vehicles have a time of their own")
    if sim is None and bus is BusName.zenoh:
        raise typer.BadParameter("--bus is for --sim N: a fleet file gives drones addresses")
    if certificates is not None and (sim is None or bus is BusName.udp):
        raise typer.BadParameter("--certificates is for --sim N with --bus zenoh: a fleet file names its own")
    loaded = load_scenario(scenario, overrides=changes or (), seed=seed)
    if sim is not None and sim != loaded.team.size:
        loaded = load_scenario(scenario, overrides=[*(changes or ()), f"team.n_agents={sim}"], seed=seed)
    prepared = prepared_for(loaded, resumed)
    if betaflight is not None:
        from d2oc.airframes.airframe import load_preset
        from d2oc_hardware.simulated.betaflight_frame import require_quadrotor

        for kind in prepared[0].kinds:
            require_quadrotor(load_preset(kind.vehicle.preset))
    the_fleet = (
        load_fleet(fleet)
        if fleet is not None
        else _simulated_fleet(loaded, prepared[0], physics, arducopter, betaflight)
    )
    if sim is not None and bus is BusName.zenoh:
        the_fleet = with_addresses(the_fleet, None if certificates is None else certificates.resolve())
    folder = out or Path("runs") / f"{as_file_name(loaded.name)}-flown"
    return FlightPlan(
        loaded, the_fleet, folder, speedup, sim is not None, physics, arducopter, betaflight,
        tuple(map(_fault, faults or ())),
        upload_fence, overwrite or out is None, resumed, prepared,
    )  # fmt: skip


def _scenario_of(run: Path | None) -> Path:
    assert run is not None
    path = run / "scenario.toml"
    if not path.is_file():
        raise typer.BadParameter(f"{run} is no run folder: it has no scenario.toml")
    return path


def _fault(text: str) -> tuple[int, str]:
    from d2oc_hardware.simulated.process import parse_fault

    number, _, fault = text.partition(":")
    if not number.isdigit():
        raise typer.BadParameter("--fault is DRONE:KIND@SECONDS, such as 1:gps-loss@20")
    if not fault.startswith("process-killed@"):
        parse_fault(fault)
    return int(number), fault


def _simulated_fleet(
    scenario: Scenario,
    prepared: Prepared,
    physics: str,
    arducopter: Path | None,
    betaflight: Path | None,
) -> Fleet:
    from d2oc_hardware.fleet import simulated_fleet
    from d2oc_hardware.simulated.plant import ARDUCOPTER_LAG, BETAFLIGHT_LAG, PUMP_OUTPUTS, chosen, lag_of
    from d2oc_hardware.swarm import free_ports

    setup = prepared.setup
    states = zip(setup.kind, setup.initial_states, strict=True)
    homes = [
        (float(x[m.position_states[0]]), float(x[m.position_states[1]])) for k, x in states for m in [setup.models[k]]
    ]
    boundary = [(float(x), float(y)) for x, y in prepared.field.boundary]
    speed = min(getattr(scenario.vehicle, "max_speed_m_s", 6.0), 8.0)
    pump_output = PUMP_OUTPUTS.get(("arducopter-" if arducopter else "") + chosen(physics), 5)
    lag = max(lag_of(physics, kind.vehicle.preset) for kind in prepared.kinds)
    lag = ARDUCOPTER_LAG if arducopter else BETAFLIGHT_LAG if betaflight else lag
    link = "msp:tcp" if betaflight else "udp"
    return simulated_fleet(homes, free_ports(len(homes)), speed, boundary, lag, pump_output, link)


async def _check(plan: FlightPlan) -> list[list[Check]]:
    from d2oc_hardware.swarm import Swarm

    swarm = Swarm(plan, say)
    try:
        return await swarm.check()
    finally:
        await swarm.close()


async def _fly(plan: FlightPlan, watch: Watch | None) -> tuple[dict[str, Any], list[Any] | None, bool]:
    from d2oc_hardware.swarm import Swarm

    swarm = Swarm(plan, say, watch)
    loop = asyncio.get_running_loop()
    presses = 0

    def stop() -> None:
        nonlocal presses
        presses += 1
        say("all return home; once more: all land where they are" if presses == 1 else "all land")
        swarm.return_all() if presses == 1 else swarm.land_all()

    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGTERM, stop)
    with _Keyboard(loop, swarm):
        try:
            checks = await swarm.check()
            if _show_checks(checks, silent=True):
                failed = [{"drone": n, **c._asdict()} for n, own in enumerate(checks) for c in own if not c.passed]
                for line in failed:
                    say(f"drone {line['drone']}: {line['name']}: {line['sentence']}")
                return {}, failed, False
            record, ended = await swarm.fly()
            measured = {"status": NOT_BEGUN} if record is None else record.summary()
            return {**measured, **ended}, None, swarm.interrupted
        finally:
            await swarm.close()


def _show_checks(checks: list[list[Check]], *, silent: bool) -> bool:
    """Print the checklists; whether something failed."""
    if not silent:
        for number, own in enumerate(checks):
            print(f"drone {number}")
            for check in own:
                print(f"  [{'x' if check.passed else ' '}] {check.name}: {check.sentence}")
        bad = sum(not check.passed for own in checks for check in own)
        print("ready to fly" if not bad else f"do NOT fly: {bad} checks failed")
    return any(not check.passed for own in checks for check in own)


class _Keyboard:
    """Keys of the operator, where the terminal is one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, swarm: Swarm) -> None:
        self._loop = loop
        self._actions: dict[str, Callable[[], None]] = {
            "p": swarm.pause,
            "r": swarm.resume,
            "h": swarm.return_all,
            "l": swarm.land_all,
            "g": swarm.serviced,
            "x": lambda: swarm.order("spray", on=False),
        }
        self._settings: Any = None

    def __enter__(self) -> None:
        if not sys.stdin.isatty():
            return
        import termios
        import tty

        self._settings = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        self._loop.add_reader(sys.stdin, self._read)
        say(KEYS)

    def _read(self) -> None:
        for key in os.read(sys.stdin.fileno(), 16).decode("utf-8", "ignore"):
            action = self._actions.get(key)
            if action is not None:
                action()

    def __exit__(self, *_: object) -> None:
        if self._settings is not None:
            import termios

            self._loop.remove_reader(sys.stdin)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._settings)
