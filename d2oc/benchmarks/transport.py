"""`d2oc bench transport`: coverage of the mission plan, division of maps, the constrained control step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from d2oc.benchmarks import constrained_step, coverage, semi_discrete

RowData = dict[str, Any]

COLUMNS = {
    "n_runs": "runs",
    "official_w2_m": "official W2 m",
    "plan_w2_m": "plan W2 m",
    "lower_bound_w2_m": "bound m",
    "median_w2_ratio": "ratio",
    "ratio_of_medians": "of medians",
    "worst_w2_ratio": "worst",
    "median_bound_ratio": "ratio of the bound",
    "density": "map",
    "n_sites": "sites",
    "milliseconds": "ms",
    "mass_error": "mass error",
    "horizon_steps": "H",
    "n_half_planes": "half-planes",
    "microseconds_per_agent_step": "us",
    "ratio_to_cvxpy": "times cvxpy",
    "max_deviation": "deviation",
}
"""What the printed lines show of a row, and how it is called there."""


def measure(*, full: bool = False, on_row: Callable[[RowData], None] | None = None) -> list[RowData]:
    """Measure everything; about three minutes, much longer in full.

    Parameters
    ----------
    full : bool
        10 maps x 3 starts instead of 4 x 1, and all runs of the timings.
    on_row : callable, optional
        Called with each row as soon as it is there.

    Returns
    -------
    rows : list of dict
        Plain data, each with a `name`.
    """
    rows = []
    for row in _rows(full):
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return rows


def line(row: RowData) -> str:
    """A row for people."""
    shown = (f"{title} {_short(row[key])}" for key, title in COLUMNS.items() if row.get(key) is not None)
    return f"{row['name']:48}{', '.join(shown)}"


def _rows(full: bool) -> Iterator[RowData]:
    for cover in coverage.rows(full=full):
        yield cover.as_dict()
    for division in semi_discrete.measure(quick=not full):
        yield division.as_dict()
    for step in constrained_step.measure(quick=not full):
        yield step.as_dict()


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
