"""The package `sdot` on one problem, in an interpreter that has it: `python sdot_peer.py PROBLEM.npz RUNS`.

Run as a script and without d2oc, since `sdot` needs a newer Python than some; prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import numpy as np


def main(path: str, runs: int) -> dict[str, object]:
    """Solve the problem in a file several times, its own defaults, after one run that compiles."""
    from sdot import OtProblem, SumOfDiracs
    from sdot.distributions.Image import Image

    problem = np.load(path)
    values, sites = np.ascontiguousarray(problem["values"].T), problem["sites"]  # sdot's first axis is x
    times = []
    for _ in range(1 + runs):
        began = time.perf_counter()
        plan = OtProblem(SumOfDiracs(sites), Image(values)).solve()
        masses, cost = np.asarray(plan.cell_masses), float(np.asarray(plan.cost))
        times.append((time.perf_counter() - began) * 1e3)
    return {
        "milliseconds": min(times[1:]),
        "mass_error": float(np.abs(masses / masses.sum() - 1 / len(sites)).max()),
        "cost": cost,
        "note": f"sdot {version('sdot')}, {'converged' if plan.converged else 'not converged'}",
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
