"""`d2oc report`, `d2oc replay`, `d2oc plot` and `d2oc animate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from d2oc.cli.printing import AsJson, print_json, say
from d2oc.cli.program import app
from d2oc.cli.progress import count_progress, stage_progress


class Format(StrEnum):
    """What figures are written as."""

    svg = "svg"
    pdf = "pdf"
    png = "png"


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


@app.command(epilog="Example: d2oc plot runs/six_drones-seed1 --figure flown --figure speed --format pdf")
def plot(
    run_folder: RunFolder,
    figures: Annotated[
        list[str] | None,
        typer.Option("--figure", metavar="NAME", help="One figure; repeatable. An unknown name lists all."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default figures in the run folder.")] = None,
    kind: Annotated[Format, typer.Option("--format", help="Vector drawings (svg, pdf) or pixels (png).")] = Format.svg,
    as_json: AsJson = False,
) -> None:
    """Write the figures of a mission, all that apply or those named, a file each."""
    from d2oc.record import load_record
    from d2oc_viz.figures import figures_of, save_figure

    record = load_record(run_folder)
    folder = out or run_folder / "figures"
    paths = []
    with stage_progress("plot", silent=as_json) as tell:
        for name in figures or figures_of(record):
            tell(name)
            folder.mkdir(parents=True, exist_ok=True)
            paths.append(str(save_figure(record, name, folder / f"{name}.{kind.value}")))
    if as_json:
        print_json({"files": paths})
    else:
        print("\n".join(paths))


@app.command(epilog="Example: d2oc animate runs/six_drones-seed1 --seconds 10 --out six_drones.gif")
def animate(
    run_folder: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(help="File, .mp4 or .gif; default animation.mp4 in the run folder, .gif where ffmpeg is missing."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Duration of the film, however long the mission.", min=0.1)] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Film a mission: 30 seconds of MP4 or GIF, however long it took."""
    from d2oc.record import load_record
    from d2oc_viz import animation

    path = out or run_folder / f"animation{animation.default_ending()}"
    with count_progress("pictures", silent=as_json) as on_progress:
        animation.animate(load_record(run_folder), path, seconds=seconds, on_progress=on_progress)
    _told(path, as_json=as_json)


def _told(path: Path, *, as_json: bool) -> None:
    """Print which file was written."""
    if as_json:
        print_json({"file": str(path), "bytes": path.stat().st_size})
    else:
        print(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)")
