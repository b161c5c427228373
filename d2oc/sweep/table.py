"""The table that `d2oc sweep` prints."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

SHOWN = 10
"""Settings in the table."""
UNLIMITED = 1000
"""Width of output that is no terminal. [characters]"""


def show_sweep(content: dict[str, Any]) -> None:
    """Print the best settings.

    Parameters
    ----------
    content : dict
        What `Sweep.as_dict` gives.
    """
    settings, seeds = content["settings"], content["seeds"]
    complete = [row for row in settings if row["state"] == "complete"]
    complete.sort(key=lambda row: row["mean"], reverse=content["maximise"])
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}, mean ± standard deviation"
    table = Table(title=f"{content['scenario']}, {content['metric']}, {which}", title_justify="left")
    table.add_column("", justify="right")
    for parameter in content["parameters"]:
        table.add_column(escape(parameter["label"]), justify="right")
    table.add_column(content["metric"], justify="right")
    for place, row in enumerate(complete[:SHOWN], 1):
        spread = "" if row["std"] is None else f" ± {row['std']:.2g}"
        values = [escape(str(row["values"][p["key"]])) for p in content["parameters"]]
        table.add_row(str(place), *values, f"{row['mean']:.4g}{spread}")
    console = Console()
    (console if console.is_terminal else Console(width=UNLIMITED)).print(table)
    print(_what_became_of(settings, len(complete)))
    for note in content["notes"]:
        print(f"note: {note}")
    failed = next((row for row in settings if row["problem"]), None)
    if failed is not None:
        print(f"note: a setting that failed: {failed['problem']}")


def _what_became_of(settings: list[dict[str, Any]], n_complete: int) -> str:
    told = [f"{n_complete} of {len(settings)} settings flown with all seeds"]
    for state in ("given up", "failed"):
        n = sum(row["state"] == state for row in settings)
        if n:
            told.append(f"{n} {state}")
    return "; ".join(told)
