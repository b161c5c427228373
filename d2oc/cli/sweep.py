"""`d2oc sweep`."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from d2oc.cli.printing import AsJson, as_file_name, print_json, say
from d2oc.cli.program import INTERRUPTED, app
from d2oc.cli.progress import sweep_progress
from d2oc.errors import MissingExtraError


class MethodName(StrEnum):
    """How settings are chosen; see docs/sweep.md."""

    grid = "grid"
    random = "random"
    bayesian = "bayesian"


@app.command(
    "sweep",
    epilog="Example: d2oc sweep six_drones --set control.law=closed-form --param control.horizon_steps=5,15,30",
)
def sweep_settings(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or path of a TOML file.")],
    params: Annotated[
        list[str],
        typer.Option(
            "--param",
            metavar="KEY=VALUES",
            help="What is varied: KEY=1,2,5, a range KEY=0.1..10 or KEY=0.1..10:log, with :5 for 5 points of a grid; "
            "repeatable.",
        ),
    ],
    seeds: Annotated[
        int, typer.Option(help="Seeds flown with each setting: the scenario's and those after it.", min=1)
    ] = 1,
    method: Annotated[
        MethodName, typer.Option(help="All combinations, settings drawn evenly, or drawn where good ones were found.")
    ] = MethodName.grid,
    trials: Annotated[int, typer.Option(help="Settings that random and bayesian draw.", min=1)] = 30,
    metric: Annotated[str, typer.Option(help="Number of the summary that counts; a wrong name lists all.")] = "w2_m",
    maximise: Annotated[bool, typer.Option("--maximise", help="Larger is better.")] = False,
    give_up: Annotated[
        bool | None,
        typer.Option(
            "--give-up/--all-seeds",
            help="Whether a setting worse than half of the others is flown with its remaining seeds; "
            "default: a grid flies all.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key for all; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Flights at the same time, each in a process of its own.", min=1)] = 1,
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster that flies, --jobs at a time; `local` starts one here.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that keeps the sweep; default runs/sweep-NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what --out keeps.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fly a scenario with many settings and find those that serve a metric best."""
    from d2oc.sweep.study import sweep
    from d2oc.sweep.table import show_sweep

    folder = out or Path("runs") / f"sweep-{as_file_name(Path(scenario).stem)}"
    try:
        with sweep_progress(silent=as_json) as on_progress:
            found = sweep(
                scenario, params, folder,
                n_seeds=seeds, method=method.value, n_settings=trials, metric=metric, maximise=maximise,
                give_up=give_up, changes=changes or (), n_at_once=jobs, ray_address=ray_address, resume=resume,
                on_progress=on_progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        say(f"interrupted; what was flown is kept in {folder}: the same command with --resume goes on")
        raise typer.Exit(INTERRUPTED) from None
    content = found.as_dict()
    picture = _draw_sweep(content, folder)
    if as_json:
        print_json(content)
        return
    show_sweep(content)
    words = [word for change in content["best"]["changes"] for word in ("--set", shlex.quote(change))]
    print(f"best     d2oc run {shlex.quote(scenario)} {' '.join(words)}")
    print(f"kept in  {folder}\npicture  {picture}")


def _draw_sweep(content: dict[str, Any], folder: Path) -> str:
    """Path of the picture, or a sentence why there is none."""
    try:
        from d2oc_viz.sweep import draw_sweep

        return str(draw_sweep(content, folder / "sweep.png"))
    except MissingExtraError as error:
        return f"none: {error}"
