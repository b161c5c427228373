"""A summary as a table."""

from __future__ import annotations

from typing import Any

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

FARM_ROWS = (
    ("litres", "liquid sprayed", "L"),
    ("saved_percent", "saved against uniform spraying", "percent"),
    ("missed_percent", "missed infestation", "percent"),
    ("survivors_percent", "survivors", "percent"),
    ("underdosed_m2", "under-dosed", "m2"),
    ("overdosed_m2", "over-dosed", "m2"),
    ("cv_percent", "CV over what needs it", "percent"),
    ("off_target_litres", "off target", "L"),
    ("buffer_litres", "in zones and buffers", "L"),
    ("treated_ha", "treated", "ha"),
    ("hectares_per_hour", "treated per hour", "ha/h"),
    ("makespan_s", "makespan", "s"),
    ("energy_kwh", "energy", "kWh"),
    ("sorties", "sorties", ""),
    ("refills", "refills and swaps", ""),
    ("idle_percent", "idle", "percent"),
    ("workload_gini", "workload Gini", ""),
    ("min_separation_m", "smallest separation on the mission", "m"),
    ("path_length_m", "path flown, whole team", "m"),
)
"""The same of a spraying mission."""


def show_summary(summary: dict[str, Any]) -> None:
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
    for key, label, unit in FARM_ROWS if "litres" in summary else ROWS:
        table.add_row(label, _number(summary, key, unit), "%" if unit == "percent" else unit)
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
