"""The perfect bus links exactly the pairs closer than the range."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.bus.perfect import PerfectBus


@pytest.mark.parametrize("comm_range", [0.0, 3.0, 5.0, np.inf])
@pytest.mark.parametrize("n_agents", [1, 2, 30])
def test_links_are_the_pairs_in_range(comm_range, n_agents):
    rng = np.random.default_rng(n_agents)
    position = rng.integers(0, 10, (n_agents, 2)).astype(float)  # many pairs at exactly 3 or 5 m
    on_air = rng.random(n_agents) < 0.8
    sender, receiver = PerfectBus(comm_range).links(position, on_air)
    expected = [
        (q, r)
        for r in range(n_agents)
        for q in range(n_agents)
        if q != r and on_air[q] and on_air[r] and np.hypot(*(position[q] - position[r])) < comm_range
    ]
    assert list(zip(sender.tolist(), receiver.tolist(), strict=True)) == expected
