"""Progress bars with the time left, on standard error, for work over a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from d2oc.cli.printing import say

if TYPE_CHECKING:
    from d2oc.mission import Progress


@contextmanager
def mission_progress(name: str, *, silent: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Progress bar with the time left, on standard error, for work over a second."""
    if silent:
        yield None
        return
    from time import monotonic

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if _is_first():
        say("first run on this machine: compiling takes about half a minute")
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


@contextmanager
def comparison_progress(*, silent: bool) -> Iterator[Callable[[Any], None] | None]:
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


@contextmanager
def stage_progress(name: str, *, silent: bool) -> Iterator[Callable[[str], None]]:
    """What is being done now, in a few words, on standard error."""
    from rich.console import Console

    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield lambda what: None
        return
    with console.status(name) as status:
        yield lambda what: status.update(f"{name}: {what}")


@contextmanager
def count_progress(name: str, *, silent: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Progress bar over a known number, with the time left, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield None
        return
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def sweep_progress(*, silent: bool) -> Iterator[Callable[[Any], None] | None]:
    """Progress bar over all settings, on standard error."""
    if silent:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("settings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("settings", total=None)
        yield lambda progress: bar.update(task, completed=progress.done, total=progress.n_settings)
