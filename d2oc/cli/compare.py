"""`d2oc compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from d2oc.cli.printing import AsJson, as_file_name, print_json, say
from d2oc.cli.program import INTERRUPTED, app
from d2oc.cli.progress import comparison_progress
from d2oc.errors import MissingExtraError


@app.command("compare", epilog="Example: d2oc compare six_drones --methods mission-plan,official,smc --seeds 3")
def compare_methods(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or path of a TOML file.")],
    methods: Annotated[
        str,
        typer.Option(help="Names, separated by commas; an unknown name lists them all; default: the usual ones."),
    ] = "",
    seeds: Annotated[
        int, typer.Option(help="Seeds flown by each method: the scenario's and those after it.", min=1)
    ] = 3,
    equal_litres: Annotated[
        bool,
        typer.Option("--equal-litres", help="Spraying: the others have as much liquid as the first method sprayed."),
    ] = False,
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

    folder = out or Path("runs") / f"compare-{as_file_name(Path(scenario).stem)}"
    names = [name.strip() for name in methods.split(",") if name.strip()]
    try:
        with comparison_progress(silent=as_json) as on_progress:
            comparison = compare(
                scenario, names, seeds, folder,
                equal_litres=equal_litres, changes=changes or (), w2_level_m=w2_level, resume=resume,
                on_progress=on_progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        say(f"interrupted; finished flights are kept in {folder}: the same command with --resume goes on")
        raise typer.Exit(INTERRUPTED) from None
    content = comparison.as_dict()
    (folder / "comparison.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_csv(comparison, folder / "comparison.csv")
    if csv is not None:
        write_csv(comparison, csv)
    picture = "none: the table has it all" if comparison.sprays else _draw_comparison(content, folder)
    if as_json:
        print_json(content)
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
