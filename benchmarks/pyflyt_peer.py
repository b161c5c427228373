"""PyFlyt as a peer of `d2oc bench world`: how much faster than real time it steps as many drones.

PyFlyt is no dependency of d2oc and needs an environment of its own::

    python3 -m venv /tmp/pyflyt && /tmp/pyflyt/bin/pip install PyFlyt
    /tmp/pyflyt/bin/python benchmarks/pyflyt_peer.py --python .venv/bin/python 10 100

steps each number of its `primitive_drone` (motor lag, drag, cascaded PID on velocity at 120 Hz, physics at 240 Hz) for
some simulated seconds, and with ``--python`` runs `d2oc bench world --json` with that interpreter right before and
after, so that both see the same machine. It prints the best of its runs in wall and in processor time, and the load.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import time

import numpy as np
from PyFlyt.core import Aviary

CONTROL_PERIOD_S = 0.1
MODE_VELOCITY = 6  # ground velocity vx, vy, yaw rate, height


def factors(n_drones: int, seconds: float, runs: int) -> tuple[float, float]:
    """Simulated time over wall time and over processor time, the best of some runs."""
    columns = int(np.ceil(np.sqrt(n_drones)))
    place = np.array([[5.0 * (r % columns), 5.0 * (r // columns), 4.0] for r in range(n_drones)])
    with contextlib.redirect_stdout(io.StringIO()):
        world = Aviary(place, np.zeros((n_drones, 3)), render=False, drone_type="quadx", physics_hz=240, seed=1)
    world.set_mode(MODE_VELOCITY)
    period = world.step_period
    steps_a_period = max(1, round(CONTROL_PERIOD_S / period))
    rng = np.random.default_rng(3)
    wall, processor = [], []
    for _ in range(runs):
        began = time.perf_counter(), time.process_time()
        for _ in range(max(1, round(seconds / CONTROL_PERIOD_S))):
            for r in range(n_drones):
                world.set_setpoint(r, np.array([*rng.uniform(-1, 1, 2), 0.0, 4.0]))
            for _ in range(steps_a_period):
                world.step()
        wall.append(time.perf_counter() - began[0])
        processor.append(time.process_time() - began[1])
    flown = max(1, round(seconds / CONTROL_PERIOD_S)) * steps_a_period * period
    world.disconnect()
    return flown / min(wall), flown / min(processor)


def ours(python: str) -> dict[int, tuple[float, float]]:
    """`bullet_world` rows of d2oc by number of drones: wall and processor factor."""
    answer = subprocess.run(
        [python, "-m", "d2oc", "bench", "world", "--quick", "--json"], check=True, capture_output=True, text=True
    )
    rows = json.loads(answer.stdout)["rows"]
    return {
        row["n_agents"]: (row["real_time_factor"], row["processor_real_time_factor"])
        for row in rows
        if row["name"] == "bullet_world"
    }


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    words.add_argument("n_drones", type=int, nargs="*", default=[10, 100])
    words.add_argument("--python", help="interpreter with d2oc, measured before and after")
    words.add_argument("--runs", type=int, default=3)
    told = words.parse_args()
    before = ours(told.python) if told.python else {}
    rows = {n: factors(n, max(0.5, 20.0 / n), told.runs) for n in told.n_drones}
    after = ours(told.python) if told.python else {}
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for n, (wall, processor) in rows.items():
        print(f"PyFlyt {n:5} drones: {wall:8.2f} x real time, {processor:8.2f} x in processor time")
        if n in before:
            best = [max(pair) for pair in zip(before[n], after[n], strict=True)]
            print(f"d2oc   {n:5} drones: {best[0]:8.2f} x real time, {best[1]:8.2f} x in processor time")


if __name__ == "__main__":
    main()
