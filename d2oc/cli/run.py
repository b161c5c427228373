"""`d2oc run` and `d2oc metrics`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from d2oc.cli.live import live_view
from d2oc.cli.printing import AsJson, as_file_name, print_json, say
from d2oc.cli.program import INTERRUPTED, app
from d2oc.cli.progress import mission_progress
from d2oc.cli.summary import show_summary
from d2oc.errors import MissingExtraError

if TYPE_CHECKING:
    from d2oc.record import Record
    from d2oc.scenario import Scenario


class RuntimeName(StrEnum):
    """What flies a team; see docs/swarm.md."""

    auto = "auto"
    inline = "inline"
    ray = "ray"
    arrays = "arrays"


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
        RuntimeName,
        typer.Option(help="Agents that exchange messages, inline or as Ray actors; or shared arrays."),
    ] = RuntimeName.auto,
    agents_per_actor: Annotated[int | None, typer.Option(help="Agents that share one Ray actor.", min=1)] = None,
    ray_address: Annotated[str | None, typer.Option(help="Existing Ray cluster; default: a local one.")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with the mission of a run folder whose program was killed."),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Serve a page, to this machine only, that follows the mission; prints its address."
        ),
    ] = False,
    gui: Annotated[
        bool, typer.Option("--gui", help="Watch the bullet world in PyBullet's window; closing it ends the mission.")
    ] = False,
    gui_speed: Annotated[float, typer.Option(help="How many times real time is watched.", min=0.1)] = 5.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fly a scenario: writes a run folder with the record, summary.json and a picture, prints a summary."""
    from d2oc.mission import flies_anew, simulate
    from d2oc.mission import resume as fly_on
    from d2oc.runtime.choice import RuntimeChoice
    from d2oc.scenario import load_scenario
    from d2oc.worlds import watched_world

    choice = RuntimeChoice(runtime.value, agents_per_actor, ray_address)
    if resume is not None:
        if scenario is not None or seed is not None or out is not None or changes or overwrite or gui:
            raise typer.BadParameter("it takes scenario, seed and folder from the run: give none of them, nor --gui")
        folder = resume
        flown_by = None if choice == RuntimeChoice() else choice
        if flies_anew(folder):
            say(f"{folder}: is flown anew from its beginning, which gives the record that it would have written")
        with mission_progress(folder.name, silent=quiet or as_json) as on_progress, live_view(live) as watch:
            record = fly_on(folder, runtime=flown_by, on_progress=on_progress, watch=watch)
    elif scenario is None:
        raise typer.BadParameter("give a scenario, or --resume RUN; `d2oc scenarios` lists those that come along")
    else:
        loaded = load_scenario(scenario, overrides=changes or (), seed=seed)
        folder = out or _run_folder(loaded)
        watched = watched_world(loaded, gui_speed) if gui else nullcontext()
        with (
            watched as world_of,
            mission_progress(loaded.name, silent=quiet or as_json) as on_progress,
            live_view(live) as watch,
        ):
            record = simulate(
                loaded,
                out=folder,
                overwrite=overwrite,
                runtime=choice,
                on_progress=on_progress,
                watch=watch,
                world_of=world_of,
            )
    summary = summarise_into(folder, record)
    picture = _draw(record, folder, summary)
    if as_json:
        print_json(summary)
    elif not quiet:
        show_summary(summary)
        print(f"record   {folder}\npicture  {picture}")
    if record.status == "interrupted":
        say(f"interrupted after {summary['n_steps']} of {record.header.n_steps} steps; the record holds them")
        raise typer.Exit(INTERRUPTED)


def _run_folder(scenario: Scenario) -> Path:
    """Folder of a run that asks for none: named after scenario and seed, numbered when that exists."""
    base = Path("runs") / f"{as_file_name(scenario.name)}-seed{scenario.seed}"
    folder, number = base, 2
    while folder.exists():
        folder = base.with_name(f"{base.name}-{number}")
        number += 1
    return folder


def summarise_into(folder: Path, record: Record) -> dict[str, Any]:
    """Write summary.json."""
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


@app.command()
def metrics(
    run_folder: Annotated[Path, typer.Argument(help="Run folder, of a finished, killed or running mission.")],
    as_json: AsJson = False,
) -> None:
    """Compute the metrics of a record anew, also of a mission that was killed."""
    from d2oc.record import load_record

    record = load_record(run_folder)
    for problem in record.problems:
        say(f"note: {problem}")
    summary = record.summary()
    print_json(summary) if as_json else show_summary(summary)
