"""The table that `d2oc compare` prints."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROWS = (
    ("w2_m", "W2 at the end [m]", 1.0),
    ("w2_at_25_percent_m", "W2 at 25 % of the mission [m]", 1.0),
    ("w2_at_50_percent_m", "W2 at 50 % [m]", 1.0),
    ("w2_at_75_percent_m", "W2 at 75 % [m]", 1.0),
    ("time_to_w2_s", "time to W2 of {w2_level_m:g} m [s]", 1.0),
    ("ergodic_metric", "ergodic metric x 1000", 1e3),
    ("doubly_covered_weight", "treated twice [%]", 100.0),
    ("remaining_weight", "untreated [%]", 100.0),
    ("min_separation_m", "smallest separation [m]", 1.0),
    ("n_messages", "messages", 1.0),
    ("message_bytes", "on air [kB]", 1e-3),
    ("path_length_m", "path flown, whole team [m]", 1.0),
    ("top_speed_m_s", "top speed [m/s]", 1.0),
    ("compute_time_per_agent_step_us", "µs per agent-step", 1.0),
    ("memory_mib", "memory [MiB]", 1.0),
)
"""Key, label and factor of each line."""
SPRAY_ROWS = (
    ("litres", "liquid sprayed [L]", 1.0),
    ("saved_percent", "saved against uniform [%]", 1.0),
    ("missed_percent", "missed infestation [%]", 1.0),
    ("underdosed_m2", "under-dosed [m2]", 1.0),
    ("overdosed_m2", "over-dosed [m2]", 1.0),
    ("cv_percent", "CV over what needs it [%]", 1.0),
    ("off_target_litres", "off target [L]", 1.0),
    ("buffer_litres", "in zones and buffers [L]", 1.0),
    ("survivors_percent", "survivors [%]", 1.0),
    ("hectares_per_hour", "treated [ha/h]", 1.0),
    ("makespan_s", "makespan [s]", 1.0),
    ("energy_kwh", "energy [kWh]", 1.0),
    ("refills", "refills and swaps", 1.0),
    ("idle_percent", "idle [%]", 1.0),
    ("workload_gini", "workload Gini", 1.0),
    ("min_separation_m", "smallest separation [m]", 1.0),
    ("path_length_m", "path flown, whole team [m]", 1.0),
)
"""The same of spraying missions."""
LABEL_WIDTH = 34
CELL_WIDTH = 19
"""Characters of a column, its frame included."""
UNLIMITED = 1000
"""Width of output that is no terminal. [characters]"""


def show_comparison(content: dict[str, Any]) -> None:
    """Print a comparison: a column each method, mean ± standard deviation; as many side by side as fit.

    Parameters
    ----------
    content : dict
        What `Comparison.as_dict` gives.
    """
    seeds = content["seeds"]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    spread = ", mean ± sample standard deviation" if len(seeds) > 1 else ""
    title: str | None = f"{content['scenario']}, {which}{spread}"
    terminal = Console()
    width = terminal.width if terminal.is_terminal else UNLIMITED
    side_by_side = max(1, (width - LABEL_WIDTH) // CELL_WIDTH)
    console = Console(width=max(width, LABEL_WIDTH + CELL_WIDTH))
    for first in range(0, len(content["methods"]), side_by_side):
        rows = content["methods"][first : first + side_by_side]
        table = Table(title=title, title_justify="left")
        table.add_column("metric", width=LABEL_WIDTH - 4)
        for row in rows:
            table.add_column(row["name"], justify="right", width=CELL_WIDTH - 3)
        for key, label, factor in SPRAY_ROWS if content.get("sprays") else ROWS:
            table.add_row(escape(label.format(**content)), *(_mean_and_spread(row, key, factor) for row in rows))
        console.print(table)
        title = None
    for note in content["notes"]:
        print(f"note: {note}")


def _mean_and_spread(row: dict[str, Any], key: str, factor: float) -> str:
    if row[key] is None:
        return "never" if key == "time_to_w2_s" else "-"
    text = _short(factor * row[key])
    if row[f"{key}_std"] is not None:
        text += f" ± {_short(factor * row[f'{key}_std'], 2)}"
    if key == "time_to_w2_s" and row["n_reached_w2"] < row["n_seeds"]:
        text += f" ({row['n_reached_w2']} of {row['n_seeds']})"
    return text


def _short(value: float, digits: int = 3) -> str:
    """A few digits, large numbers whole, nothing below a thousandth, no exponents."""
    if abs(value) >= 10**digits - 0.5:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}" if abs(value) >= 1e-3 else "0" if value == 0 else "< 0.001"
