"""`d2oc bench`: this machine measured, beside a peer in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from d2oc.cli.printing import AsJson, print_json
from d2oc.cli.program import CHECK_FAILED, app

bench_app = typer.Typer(help="Measure this machine, beside a peer in the same run.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")


@bench_app.command("core")
def bench_core(
    quick: Annotated[bool, typer.Option("--quick", help="One run each, up to 100,000 samples.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cost of an agent-step, beside the same work done with full sorts and a dense KKT system in NumPy."""
    from d2oc.benchmarks.agent_step import Row, measure

    def on_row(row: Row) -> None:
        if not as_json:
            print(_bench_line(row.as_dict()), flush=True)

    if not as_json:
        print(f"{'name':22}{'samples':>10}{'agents':>8}{'horizon':>9}{'us/agent-step':>15}{'NumPy us':>12}{'ratio':>9}")
    rows = measure(quick=quick, on_row=on_row)
    if as_json:
        print_json({"rows": [row.as_dict() for row in rows]})


@bench_app.command("transport")
def bench_transport(
    full: Annotated[bool, typer.Option("--full", help="10 maps x 3 starts instead of 4 x 1.")] = False,
    as_json: AsJson = False,
) -> None:
    """Coverage of the mission plan beside the published loop; cost of dividing maps and of limits in the optimiser."""
    from d2oc.benchmarks.transport import line, measure

    rows = measure(full=full, on_row=None if as_json else lambda row: print(line(row), flush=True))
    if as_json:
        print_json({"rows": rows})


@bench_app.command("stress")
def bench_stress(
    missions: Annotated[int, typer.Option(help="Seeded missions.", min=1)] = 200,
    as_json: AsJson = False,
) -> None:
    """Fly narrow passages and crossing ways with limits inside the optimiser; exit code 1 if anything is breached."""
    from d2oc.benchmarks.stress import Row, measure, total

    def on_row(row: Row) -> None:
        if not as_json:
            print(", ".join(f"{key} {value}" for key, value in row.as_dict().items()), flush=True)

    rows = measure(missions, on_row=on_row)
    summed = total(rows)
    if as_json:
        print_json({"rows": [row.as_dict() for row in rows], "total": summed})
    else:
        print("total:", ", ".join(f"{key} {value}" for key, value in summed.items()))
    if summed["n_safe"] < len(rows):
        raise typer.Exit(CHECK_FAILED)


@bench_app.command("coverage")
def bench_coverage(
    methods: Annotated[str, typer.Option(help="Names, separated by commas, as for compare.")] = "lawnmower,smc,hedac",
    maps: Annotated[int, typer.Option(help="Random maps.", min=1)] = 3,
    comm_range: Annotated[float, typer.Option(help="Radio range [m].", min=0)] = float("inf"),
    as_json: AsJson = False,
) -> None:
    """W2 on CoverageControl's default task (32 robots, 1024 m, 2000 s), for any methods of compare."""
    from d2oc.benchmarks.coverage_task import TaskRow, measure_task

    def on_row(row: TaskRow) -> None:
        if not as_json:
            by_map = ", ".join(f"{value:.1f}" for value in row.w2_by_map_m)
            reached = "never on some map" if row.time_to_50_m_s is None else f"{row.time_to_50_m_s:.0f} s"
            print(
                f"{row.name:12} W2 {row.w2_m:6.1f} m ({by_map}), below 50 m after {reached}, "
                f"{row.microseconds_per_agent_step:.0f} us per agent-step",
                flush=True,
            )

    names = [name.strip() for name in methods.split(",") if name.strip()]
    rows = measure_task(names, maps, comm_range_m=comm_range, on_row=on_row)
    if as_json:
        print_json({"rows": [row.as_dict() for row in rows]})


@bench_app.command("swarm")
def bench_swarm(
    quick: Annotated[bool, typer.Option("--quick", help="Only 4 agents.")] = False,
    as_json: AsJson = False,
) -> None:
    """Agents as Ray actors: start-up, a step of the team and memory, beside the same agents in one process."""
    from d2oc.benchmarks.swarm import SwarmRow, measure

    def on_row(row: SwarmRow) -> None:
        if not as_json:
            print(
                f"{row.n_agents:7}{row.n_actors:7}{row.ready_s:9.1f}{row.tick_ms:10.1f}{row.inline_tick_ms:10.1f}"
                f"{row.arrays_tick_ms:11.2f}{row.ratio_to_inline:8.2f}{row.overhead_ms:13.1f}{row.actor_mib:11.0f}"
                f"{row.idle_percent:8.1f}{row.bytes_per_message:11.0f}",
                flush=True,
            )

    if not as_json:
        print(
            f"{'agents':>7}{'actors':>7}{'ready s':>9}{'tick ms':>10}{'inline ms':>10}{'arrays ms':>11}{'ratio':>8}"
            f"{'overhead ms':>13}{'MiB/actor':>11}{'idle %':>8}{'B/message':>11}"
        )
    start_s, rows = measure(quick=quick, on_row=on_row)
    if as_json:
        print_json({"ray_start_s": round(start_s, 2), "rows": [row.as_dict() for row in rows]})
    else:
        print(f"an empty local Ray was there after {start_s:.1f} s")


def _bench_line(row: dict[str, Any]) -> str:
    def cell(key: str, width: int) -> str:
        value = row[key]
        return f"{'-' if value is None else format(value, ',')!s:>{width}}"

    return (
        f"{row['name']:22}{cell('n_samples', 10)}{cell('n_agents', 8)}{cell('horizon_steps', 9)}"
        f"{cell('microseconds_per_agent_step', 15)}{cell('numpy_microseconds', 12)}{cell('ratio_to_numpy', 9)}"
    )


@bench_app.command("world")
def bench_world(
    quick: Annotated[bool, typer.Option("--quick", help="Two short runs each, up to 100 drones.")] = False,
    as_json: AsJson = False,
) -> None:
    """How much faster than real time a fleet flies as rigid bodies, the whole loop included."""
    from d2oc.benchmarks.world import Row, measure

    def on_row(row: Row) -> None:
        if not as_json:
            print(
                f"{row.name:16}{row.n_agents:8}{row.real_time_factor:12}{row.slowest_real_time_factor:10}"
                f"{row.processor_real_time_factor:14}",
                flush=True,
            )

    if not as_json:
        print(f"{'name':16}{'agents':>8}{'x real time':>12}{'slowest':>10}{'x processor':>14}")
    rows = measure(quick=quick, on_row=on_row)
    if as_json:
        print_json({"rows": [row.as_dict() for row in rows]})


@bench_app.command("farm")
def bench_farm(
    made: Annotated[int, typer.Option(help="Made fields.", min=0)] = 10,
    fields: Annotated[str, typer.Option(help="Names, separated by commas, instead of all.")] = "",
    seeds: Annotated[int, typer.Option(help="Flights of each method on each field.", min=1)] = 5,
    wind: Annotated[float, typer.Option(help="Mean wind. [m/s]", min=0.0)] = 3.0,
    data: Annotated[Path, typer.Option(help="Folder with the counted fields.")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="Folder that keeps every finished flight.")] = Path("runs/bench-farm"),
    as_json: AsJson = False,
) -> None:
    """Spraying methods on counted and made fields: at equal efficacy, and with the litres that d2oc sprayed."""
    from d2oc.benchmarks.farm import field_names, line, measure

    names = [name.strip() for name in fields.split(",") if name.strip()] or field_names(made, data)
    rows = measure(names, seeds, wind, data, out, on_row=None if as_json else lambda row: print(line(row), flush=True))
    if as_json:
        print_json({"rows": rows})


@bench_app.command("flown")
def bench_flown(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or path of a TOML file.")] = "six_drones",
    seeds: Annotated[int, typer.Option(help="Seeds 1 to this one.", min=1)] = 5,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fly a scenario as its model says, and as rigid bodies in 0, 3 and 6 m/s of wind; exit code 1 if one is lost."""
    from d2oc.benchmarks.flown import Flight, measure

    def on_flight(flight: Flight) -> None:
        if not as_json:
            print(f"seed {flight.seed}, {_world_name(flight.wind_m_s)}: W2 {flight.w2_m:.2f} m", flush=True)

    rows = measure(scenario, seeds, changes or (), on_flight=on_flight)
    if as_json:
        print_json({"rows": [row.as_dict() for row in rows]})
    else:
        print(
            f"{'world':16}{'W2 m':>8}{'s.d.':>7}{'ratio':>7}{'of a seed':>14}{'tracking m':>12}{'model m':>9}"
            f"{'top m/s':>9}{'limit':>7}{'apart m':>9}{'lost':>6}"
        )
        for row in rows:
            of_a_seed = f"{row.least_ratio:.2f} to {row.largest_ratio:.2f}"
            apart = "-" if row.min_separation_m is None else f"{row.min_separation_m:.2f}"
            print(
                f"{_world_name(row.wind_m_s):16}{row.w2_m:8.2f}{row.w2_sd_m:7.2f}{row.w2_ratio:7.2f}{of_a_seed:>14}"
                f"{row.tracking_rms_m:12.2f}{row.model_error_rms_m:9.3f}{row.top_speed_m_s:9.2f}"
                f"{row.speed_limit_m_s:7.1f}{apart:>9}{row.n_lost:6}"
            )
    if any(row.breached for row in rows):
        raise typer.Exit(CHECK_FAILED)


def _world_name(wind_m_s: float | None) -> str:
    return "ideal" if wind_m_s is None else f"bullet, {wind_m_s:.0f} m/s"


@bench_app.command("payload")
def bench_payload(
    seeds: Annotated[int, typer.Option(help="Tours, each flown by one drone.", min=2)] = 10,
    as_json: AsJson = False,
) -> None:
    """Empty a tank with a law that predicts mass and inertia, and with one frozen at the full tank."""
    from d2oc.benchmarks.payload import measure

    rows = [row.as_dict() for row in measure(seeds)]
    if as_json:
        print_json({"rows": rows})
        return
    for row in rows:
        print(
            f"{row['law']:22} tracking RMS {row['tracking_rms_m']:.3f} +- {row['tracking_rms_sd_m']:.3f} m, effort "
            f"{row['effort_n2_m2']:.1f} +- {row['effort_sd_n2_m2']:.1f} N^2 m^2, largest spectral radius "
            f"{row['largest_spectral_radius']:.4f}"
        )


@bench_app.command("guard")
def bench_guard(as_json: AsJson = False) -> None:
    """What the guard adds to a command of a drone, beside packing and signing that; exit code 1 above 50 us."""
    from d2oc_hardware.guard_cost import measure

    def on_row(row: dict[str, Any]) -> None:
        if not as_json:
            print("".join(f"{row[key]:>{width}}" for key, width in columns.items()), flush=True)

    columns = {
        "teammates": 10,
        "edges": 7,
        "flight": 8,
        "microseconds": 14,
        "slowest_microseconds": 22,
        "ratio_to_packing": 18,
    }
    if not as_json:
        print("".join(f"{key:>{width}}" for key, width in columns.items()))
    rows = measure(on_row=on_row)
    if as_json:
        print_json({"rows": rows})
    if not all(row["within"] for row in rows):
        raise typer.Exit(CHECK_FAILED)
