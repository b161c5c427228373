"""`d2oc report` and `d2oc replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from d2oc.cli.printing import AsJson, print_json, say
from d2oc.cli.program import app
from d2oc.cli.progress import stage_progress

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, of a finished, killed or running mission.")]


@app.command(epilog="Example: d2oc report runs/six_drones-seed1 && open runs/six_drones-seed1/report.html")
def report(
    run_folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders; several are shown side by side.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="HTML file; default report.html in the run folder, or here for several runs.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file on a mission, or on several side by side: numbers, figures, replay. It works offline."""
    from d2oc_viz.report import write_report

    path = out or (run_folders[0] / "report.html" if len(run_folders) == 1 else Path("report.html"))
    with stage_progress("report", silent=as_json) as tell:
        write_report(run_folders, path, on_progress=tell)
    _told(path, as_json=as_json)


@app.command(epilog="Example: d2oc replay runs/six_drones-seed1 --out six_drones.html")
def replay(
    run_folder: RunFolder,
    out: Annotated[Path | None, typer.Option(help="HTML file; default replay.html in the run folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file that plays a mission: play, scrub, zoom, click a drone. It works offline."""
    from d2oc.record import load_record
    from d2oc_viz.page import replay_page
    from d2oc_viz.replay import make_replay

    path = out or run_folder / "replay.html"
    with stage_progress("replay", silent=as_json) as tell:
        tell("reading")
        record = load_record(run_folder)
        for problem in record.problems:
            say(f"note: {problem}")
        tell("packing")
        path.write_text(replay_page(make_replay(record)), encoding="utf-8")
    _told(path, as_json=as_json)


def _told(path: Path, *, as_json: bool) -> None:
    """Print which file was written."""
    if as_json:
        print_json({"file": str(path), "bytes": path.stat().st_size})
    else:
        print(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)")
