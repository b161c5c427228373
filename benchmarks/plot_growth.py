"""Draws docs/images/growth.png from the rows of `d2oc bench core --json`.

d2oc bench core --json > rows.json
python benchmarks/plot_growth.py rows.json docs/images/growth.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

BLUE, GREY = "#0072B2", "#777777"


def main(rows_file: str, picture: str) -> None:
    rows = json.loads(Path(rows_file).read_text())["rows"]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    by_samples, by_agents = figure.subplots(1, 2)
    official = [row for row in rows if row["name"] == "agent_step"]
    n_samples = [row["n_samples"] for row in official]
    by_samples.loglog(n_samples, [row["numpy_microseconds"] for row in official], "s--", color=GREY)
    by_samples.loglog(n_samples, [row["microseconds_per_agent_step"] for row in official], "o-", color=BLUE)
    by_samples.annotate("full sort and dense KKT, NumPy", (n_samples[0], 1.6e3), color=GREY)
    by_samples.annotate("d2oc", (n_samples[0], 9), color=BLUE)
    by_samples.set(xlabel="samples N", ylabel="microseconds per agent-step", title="official mode, L = 6, H = 15")
    parallel = [row for row in rows if row["name"] == "agent_step_parallel"]
    by_agents.semilogx(
        [row["n_agents"] for row in parallel],
        [row["microseconds_per_agent_step"] for row in parallel],
        "o-",
        color=BLUE,
    )
    by_agents.set(
        xlabel="agents L", ylabel="microseconds per agent-step", title="parallel mode, N = 100,000", ylim=(0, None)
    )
    for axes in (by_samples, by_agents):
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
