"""The command `d2oc`: parses, calls, prints; all work is done elsewhere."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from d2oc import __version__
from d2oc.errors import D2ocError, MissingExtraError

if TYPE_CHECKING:
    from d2oc.mission import Progress
    from d2oc.record import Record
    from d2oc.scenario import Scenario

CHECK_FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
BUG = 70

EXIT_CODES = """Exit codes: 0 done; 1 a check failed (verify); 2 bad input or usage; 70 a fault of this program;
130 interrupted by Ctrl-C (what was computed is kept)."""

app = typer.Typer(
    name="d2oc",
    help="Density-driven optimal control for teams of drones: from an infestation map to who sprays where.\n\n"
    "Start with: d2oc run six_drones",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
scenarios_app = typer.Typer(help="List and print the scenarios that come with the program.", add_completion=False)
bench_app = typer.Typer(help="Measure this machine, beside a peer in the same run.", no_args_is_help=True)
app.add_typer(scenarios_app, name="scenarios", invoke_without_command=True)
app.add_typer(bench_app, name="bench")


class RuntimeName(StrEnum):
    """What flies a team; see docs/swarm.md."""

    auto = "auto"
    inline = "inline"
    agents = "agents"
    ray = "ray"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output, nothing else.")]


def main() -> None:
    """Entry point: no traceback ever reaches a user."""
    sys.exit(_exit_code())


def _exit_code() -> int:
    """Run the command line; every end of it, expected or not, becomes an exit code and at most one sentence."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except D2ocError as error:
        _say(f"error: {error}")
        return BAD_INPUT
    except (BrokenPipeError, SystemExit):  # the reader of our output went away; typer makes an exit of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except OSError as error:
        _say(f"error: {error.filename or 'a file'}: cannot be read or written ({error.strerror or error})")
        return BAD_INPUT
    except Exception as error:
        if hasattr(error, "format_message"):  # of click, which newer typers carry inside: it has no public name
            return _explain_usage(error)
        _say(f"error: a fault of this program, not of your input: {error!r}; details are in {_save_traceback()}")
        return BUG
    return code if isinstance(code, int) else 0


def _explain_usage(error: Any) -> int:
    """One sentence on a command line that cannot be; the help text when it is empty."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, end="")  # nothing, where typer has printed it already
        return BAD_INPUT
    context = getattr(error, "ctx", None)
    command = context.command_path.removeprefix("python -m ") if context is not None else "d2oc"
    message = " ".join(message.split()).rstrip(".")
    _say(f"error: {message}{'' if message.endswith('?') else ';'} see `{command} --help`")
    return BAD_INPUT


def _save_traceback() -> str:
    with tempfile.NamedTemporaryFile("w", prefix="d2oc-fault-", suffix=".txt", delete=False) as file:
        traceback.print_exc(file=file)
    return file.name


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _print_json(content: object) -> None:
    print(json.dumps(content, indent=2, allow_nan=False, default=str))


@app.callback(invoke_without_command=True)
def _global(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"d2oc {__version__}")
        raise typer.Exit


@app.command(epilog="Example: d2oc run six_drones --seed 3 --set radio.comm_range_m=25 --out runs/short-radio")
def run(
    scenario: Annotated[
        str | None, typer.Argument(help="Name of a shipped scenario, or path of a TOML file.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the scenario's seed.", min=0)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; default runs/NAME-seedN, numbered when that exists.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key, such as mission.duration_s=60; repeatable."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a record that stands in --out.")] = False,
    runtime: Annotated[
        RuntimeName, typer.Option(help="Agents on shared arrays, agents that only exchange messages, or as Ray actors.")
    ] = RuntimeName.auto,
    agents_per_actor: Annotated[int | None, typer.Option(help="Agents that share one Ray actor.", min=1)] = None,
    ray_address: Annotated[str | None, typer.Option(help="Existing Ray cluster; default: a local one.")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with the mission of a run folder whose program was killed."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fly a scenario: writes a run folder with the record, summary.json and a picture, prints a summary."""
    from d2oc.mission import resume as fly_on
    from d2oc.mission import simulate
    from d2oc.runtime.choice import RuntimeChoice
    from d2oc.scenario import load_scenario

    choice = RuntimeChoice(runtime.value, agents_per_actor, ray_address)
    if resume is not None:
        if scenario is not None or seed is not None or out is not None or changes or overwrite:
            raise typer.BadParameter("it takes scenario, seed and folder from the run: give none of them")
        folder = resume
        with _progress(folder.name, silent=quiet or as_json) as on_progress:
            record = fly_on(folder, runtime=None if choice == RuntimeChoice() else choice, on_progress=on_progress)
    elif scenario is None:
        raise typer.BadParameter("give a scenario, or --resume RUN; `d2oc scenarios` lists those that come along")
    else:
        loaded = load_scenario(scenario, overrides=changes or (), seed=seed)
        folder = out or _run_folder(loaded)
        with _progress(loaded.name, silent=quiet or as_json) as on_progress:
            record = simulate(loaded, out=folder, overwrite=overwrite, runtime=choice, on_progress=on_progress)
    summary = _summarise_into(folder, record)
    picture = _draw(record, folder, summary)
    if as_json:
        _print_json(summary)
    elif not quiet:
        _show(summary)
        print(f"record   {folder}\npicture  {picture}")
    if record.status == "interrupted":
        _say(f"interrupted after {summary['n_steps']} of {record.header.n_steps} steps; the record holds them")
        raise typer.Exit(INTERRUPTED)


def _run_folder(scenario: Scenario) -> Path:
    """Folder of a run that asks for none: named after scenario and seed, numbered when that exists."""
    base = Path("runs") / f"{_as_file_name(scenario.name)}-seed{scenario.seed}"
    folder, number = base, 2
    while folder.exists():
        folder = base.with_name(f"{base.name}-{number}")
        number += 1
    return folder


def _as_file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "run"


def _summarise_into(folder: Path, record: Record) -> dict[str, Any]:
    summary = record.summary()
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return summary


def _draw(record: Record, folder: Path, summary: dict[str, Any]) -> str:
    """Path of the picture, or a sentence why there is none."""
    try:
        from d2oc_viz import draw_coverage

        return str(draw_coverage(record, folder / "coverage.png", summary=summary))
    except MissingExtraError as error:
        return f"none: {error}"


@contextmanager
def _progress(name: str, *, silent: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Progress bar with the time left, on standard error, for work over a second."""
    if silent:
        yield None
        return
    from time import monotonic

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if _is_first():
        _say("first run on this machine: compiling takes about half a minute")
    if not console.is_terminal:
        yield None
        return
    bar = Progress(
        TextColumn(name), BarColumn(), TextColumn("step {task.completed:.0f}"),
        TimeRemainingColumn(), TextColumn("{task.fields[left]}"), console=console, transient=True,
    )  # fmt: skip
    task = bar.add_task(name, total=None, left="preparing")
    began = monotonic()

    def on_progress(progress: Any) -> None:
        if monotonic() - began > 1.0 or progress.planning:
            bar.start()
        left = "planning" if progress.planning else f"{100 * progress.remaining_weight:.0f} % untreated"
        bar.update(task, completed=progress.step, total=progress.n_steps, left=left)

    try:
        yield on_progress
    finally:
        bar.stop()


def _is_first() -> bool:
    from d2oc.compiled import nothing_compiled_yet

    return nothing_compiled_yet()


ROWS = (
    ("w2_m", "Wasserstein distance W2", "m"),
    ("sliced_w2_m", "sliced W2", "m"),
    ("remaining_weight", "untreated", "%"),
    ("doubly_covered_weight", "treated twice", "%"),
    ("ergodic_metric", "ergodic metric", ""),
    ("min_separation_m", "smallest separation", "m"),
    ("path_length_m", "path flown, whole team", "m"),
    ("top_speed_m_s", "top speed", "m/s"),
    ("n_fallbacks", "steps flown on a fallback", ""),
    ("n_messages", "messages", ""),
    ("message_bytes", "bytes on air", "B"),
)


def _show(summary: dict[str, Any]) -> None:
    """Table of a summary."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{summary['name']}, seed {summary['seed']}, {summary['status']}", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_row("agents, steps", f"{summary['n_agents']}, {summary['n_steps']}", "")
    removed = summary["n_samples_removed"]
    table.add_row("samples", f"{summary['n_samples']:,}", f"{removed:,} outside the field removed" if removed else "")
    for key, label, unit in ROWS:
        table.add_row(label, _number(summary, key, unit), unit)
    for lost in summary.get("lost_agents", ()):
        table.add_row("LOST", f"agent {lost['agent']}", f"at {lost['time_s']:.1f} s: {lost['reason']}")
    timing = summary["timing"]
    table.add_row("computed in", f"{timing['compute_time_per_agent_step_us']:.1f}", "µs per agent-step")
    table.add_row("wall time", f"{timing['wall_time_s']:.2f}", "s")
    Console().print(table)


def _number(summary: dict[str, Any], key: str, unit: str) -> str:
    value = summary[key]
    if value is None:
        return "-"
    if key == "w2_m" and summary["w2_method"] == "interval":
        return f"{summary['w2_lower_m']:.3f} to {summary['w2_upper_m']:.3f}"
    if unit == "%":
        return f"{100 * value:.2f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


@scenarios_app.callback()
def scenarios(context: typer.Context, as_json: AsJson = False) -> None:
    """List the scenarios that come with the program."""
    if context.invoked_subcommand is not None:
        return
    from d2oc.scenario import shipped_scenarios

    infos = shipped_scenarios()
    if as_json:
        _print_json(
            [
                {"name": i.name, "description": i.description, "n_agents": i.n_agents, "duration_s": i.duration_s}
                for i in infos
            ]
        )
        return
    width = max(len(info.name) for info in infos)
    for info in infos:
        print(f"{info.name:{width}}  {info.n_agents:3d} agents  {info.duration_s:5.0f} s  {info.description}")


@scenarios_app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a shipped scenario.")]) -> None:
    """Print a scenario as TOML: a commented file to start your own from."""
    from d2oc.scenario.catalogue import shipped_text

    print(shipped_text(name), end="")


@app.command()
def schema() -> None:
    """Print the JSON schema of a scenario file, for editors that complete and check."""
    from d2oc.scenario.schema import json_schema

    _print_json(json_schema())


@app.command(epilog="Example: d2oc verify case_a.npz")
def verify(
    case: Annotated[Path, typer.Argument(help="Reference case (.npz), in the format of docs/verify.md.")],
    as_json: AsJson = False,
) -> None:
    """Replay a reference case in official mode and report the largest deviation; exit code 1 above 1e-9."""
    from dataclasses import asdict

    from d2oc.verify import verify_case

    result = verify_case(case)
    if as_json:
        _print_json({**asdict(result), "agrees": result.agrees})
    else:
        verdict = "agrees" if result.agrees else f"DEVIATES, most at step {result.worst_step}"
        print(f"{result.case}: {result.n_agents} agents, {result.n_steps} steps, {result.n_samples} samples")
        print(
            f"largest deviation of any state {result.max_deviation_m:.3g} (allowed {result.tolerance_m:g}): {verdict}"
        )
    if not result.agrees:
        raise typer.Exit(CHECK_FAILED)


@app.command("compare", epilog="Example: d2oc compare six_drones --methods mission-plan,official,smc --seeds 3")
def compare_methods(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or path of a TOML file.")],
    methods: Annotated[
        str,
        typer.Option(help="Names, separated by commas; an unknown name lists them all."),
    ] = "mission-plan,d2oc-cells,d2oc,official,lawnmower,smc,hedac",
    seeds: Annotated[
        int, typer.Option(help="Seeds flown by each method: the scenario's and those after it.", min=1)
    ] = 3,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key for all methods; repeatable.")
    ] = None,
    w2_level: Annotated[
        float | None,
        typer.Option("--w2-level", help="W2 whose time is taken; default 5 % of the field's side. [m]", min=1e-9),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder that keeps every finished flight; default runs/compare-NAME.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what --out keeps.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fly a scenario with several methods: same map, starts, limits and seeds; one table with mean and spread."""
    from d2oc.compare.comparison import compare, write_csv
    from d2oc.compare.table import show_comparison

    folder = out or Path("runs") / f"compare-{_as_file_name(Path(scenario).stem)}"
    names = [name.strip() for name in methods.split(",") if name.strip()]
    try:
        with _comparison_progress(silent=as_json) as on_progress:
            comparison = compare(
                scenario, names, seeds, folder,
                changes=changes or (), w2_level_m=w2_level, resume=resume, on_progress=on_progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        _say(f"interrupted; finished flights are kept in {folder}: the same command with --resume goes on")
        raise typer.Exit(INTERRUPTED) from None
    content = comparison.as_dict()
    (folder / "comparison.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_csv(comparison, folder / "comparison.csv")
    if csv is not None:
        write_csv(comparison, csv)
    picture = _draw_comparison(content, folder)
    if as_json:
        _print_json(content)
    else:
        show_comparison(content)
        print(f"kept in  {folder}\npicture  {picture}")


def _draw_comparison(content: dict[str, Any], folder: Path) -> str:
    """Path of the picture, or a sentence why there is none."""
    try:
        from d2oc_viz.comparison import draw_comparison

        return str(draw_comparison(content, folder / "comparison.png"))
    except MissingExtraError as error:
        return f"none: {error}"


@contextmanager
def _comparison_progress(*, silent: bool) -> Iterator[Callable[[Any], None] | None]:
    """Progress bar over all flights, on standard error."""
    if silent:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("preparing", total=None)
        yield lambda progress: bar.update(
            task, completed=progress.done, total=progress.n_flights, description=progress.flight
        )


@app.command()
def metrics(
    run_folder: Annotated[Path, typer.Argument(help="Run folder, of a finished, killed or running mission.")],
    as_json: AsJson = False,
) -> None:
    """Compute the metrics of a record anew, also of a mission that was killed."""
    from d2oc.record import load_record

    record = load_record(run_folder)
    for problem in record.problems:
        _say(f"note: {problem}")
    summary = record.summary()
    _print_json(summary) if as_json else _show(summary)


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
        _print_json({"rows": [row.as_dict() for row in rows]})


@bench_app.command("transport")
def bench_transport(
    full: Annotated[bool, typer.Option("--full", help="10 maps x 3 starts instead of 4 x 1.")] = False,
    as_json: AsJson = False,
) -> None:
    """Coverage of the mission plan beside the published loop; cost of dividing maps and of limits in the optimiser."""
    from d2oc.benchmarks.transport import line, measure

    rows = measure(full=full, on_row=None if as_json else lambda row: print(line(row), flush=True))
    if as_json:
        _print_json({"rows": rows})


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
        _print_json({"rows": [row.as_dict() for row in rows], "total": summed})
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
        _print_json({"rows": [row.as_dict() for row in rows]})


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
                f"{row.n_agents:7}{row.n_actors:7}{row.ready_s:9.1f}{row.tick_ms:10.1f}{row.local_tick_ms:10.1f}"
                f"{row.inline_tick_ms:11.2f}{row.ratio_to_local:8.2f}{row.actor_mib:11.0f}{row.bytes_per_message:10.0f}",
                flush=True,
            )

    if not as_json:
        print(
            f"{'agents':>7}{'actors':>7}{'ready s':>9}{'tick ms':>10}{'local ms':>10}{'inline ms':>11}{'ratio':>8}"
            f"{'MiB/actor':>11}{'B/message':>10}"
        )
    start_s, rows = measure(quick=quick, on_row=on_row)
    if as_json:
        _print_json({"ray_start_s": round(start_s, 2), "rows": [row.as_dict() for row in rows]})
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
        _print_json({"rows": [row.as_dict() for row in rows]})


if __name__ == "__main__":
    main()
