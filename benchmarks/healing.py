"""How many steps after a partition all agents know what was known when it healed, at several losses.

python benchmarks/healing.py [seeds]
"""

from __future__ import annotations

import statistics
import sys

import numpy as np

from d2oc.agent import AgentSetup, ground_of
from d2oc.bus.radio import Partition, Radio, RadioModel, Span
from d2oc.control.d2oc import Law
from d2oc.control.published_pilot import PublishedBrief
from d2oc.runtime.shard import Shard

TIME_STEP_S, N_STEPS, N_SAMPLES, MOST_TICKS = 0.5, 600, 2500, 500
SPLIT = Span(5.0, 65.0)


def heal(loss: float, seed: int, n_agents: int) -> tuple[int, float, float]:
    """Steps until all know, and bytes an agent and step meanwhile and before."""
    points = np.random.default_rng(7).uniform(0, 100, (N_SAMPLES, 2))
    ground = ground_of(points, np.full(N_SAMPLES, 1 / N_SAMPLES), n_agents)
    gain = 0.4 * np.eye(2)[None, None]
    law, alpha = Law(-gain, gain, np.ones(1, np.int32)), 1 / (0.8 * n_agents * N_STEPS)
    shard = Shard(
        [
            AgentSetup(r, N_STEPS, alpha, law, (0, 1), TIME_STEP_S, 0, PublishedBrief(r, give_way=True))
            for r in range(n_agents)
        ],
        ground,
    )
    group = tuple(range(2 * n_agents // 5))
    radio = Radio(RadioModel(np.inf, TIME_STEP_S, loss=loss, partitions=(Partition((group,), SPLIT),)), n_agents, seed)
    state = np.random.default_rng(3).uniform(0, 100, (n_agents, 2))
    healed, then, before = int(SPLIT.end / TIME_STEP_S), {}, 0
    for tick in range(MOST_TICKS):
        if tick == healed:
            then = {agent.number: agent.known[agent.number] for agent in shard.agents}
            before = radio.bytes_on_air
        outcomes = shard.step(tick, state, np.ones(n_agents, np.bool_), radio.deliver(tick))
        radio.post(tick, state, outcomes.outboxes)
        state = state + TIME_STEP_S * outcomes.command
        if then and all(agent.known.get(log, 0) >= n for agent in shard.agents for log, n in then.items()):
            break
    steps = tick + 1 - healed
    return steps, (radio.bytes_on_air - before) / steps / n_agents, before / healed / n_agents


for n_agents in (5, 12):
    for loss in (0.0, 0.3, 0.6, 0.9):
        runs = [heal(loss, seed, n_agents) for seed in range(int((sys.argv[1:] or ["10"])[0]))]
        steps, meanwhile, before = zip(*runs, strict=True)
        print(
            f"{n_agents} agents, {loss:.0%} lost: {statistics.median(steps):g} steps ({min(steps)} to {max(steps)}), "
            f"bytes an agent and step {statistics.mean(meanwhile):.0f} meanwhile, {statistics.mean(before):.0f} before"
        )
