"""Writes golden_case.npz: a small official-mode run of the slow NumPy peer, in the format of `d2oc verify`.

Run from the checkout: python tests/reference/make_golden_case.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d2oc.benchmarks.agent_step import official_problem
from d2oc.benchmarks.published_way import PublishedTeam

N_AGENTS, N_STEPS, N_SAMPLES, HORIZON, COMM_RANGE = 3, 120, 300, 15, 30.0


def main() -> None:
    rng = np.random.default_rng(20)
    samples = np.round(rng.normal((40, 60), (12, 20), (N_SAMPLES, 2)), 3)
    start = np.zeros((N_AGENTS, 8))
    start[:, [0, 4]] = np.round(rng.uniform(0, 100, (N_AGENTS, 2)), 3)
    problem = official_problem(1.0 / (N_AGENTS * N_STEPS))
    team = PublishedTeam(samples, start, problem, HORIZON, COMM_RANGE)
    states = np.empty((N_STEPS + 1, N_AGENTS, 8))
    states[0] = team.state
    for k in range(N_STEPS):
        for r in range(N_AGENTS):
            team.step_agent(r)
        states[k + 1] = team.state
    infinite = dict.fromkeys(("u_max", "v_max", "tilt_max", "tilt_rate_max"), np.inf)
    np.savez_compressed(
        Path(__file__).with_name("golden_case.npz"),
        samples=samples, initial_states=start, states=states, remaining_weight=team.weight, n_steps=N_STEPS,
        horizon=HORIZON, comm_range=COMM_RANGE, Q=problem.Q, R=problem.R[0], **infinite,
    )  # fmt: skip


if __name__ == "__main__":
    main()
