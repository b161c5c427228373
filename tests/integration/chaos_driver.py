"""A program that flies or resumes a mission on a Ray cluster and kills itself and its actors on the way.

Arguments: run folder, address of the cluster, file with the kills still to come. A kill is done once: it is taken off
the list before it happens.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from d2oc import load_scenario, mission
from d2oc.runtime import ray_actors
from d2oc.runtime.choice import RuntimeChoice

SCENARIO = {
    "control.law": "closed-form",
    "team.n_agents": 4,
    "mission.duration_s": 24.0,
    "sampling.n_samples": 200,
    "radio.loss": 0.3,
    "radio.jitter_s": 0.5,
}


class DeadlyHost(ray_actors.RayHost):
    """Kills before a step what the list has for its tick: the number of an actor, or -1 for this program."""

    def step(self, tick, state, fix, inboxes):
        while KILLS and KILLS[0][0] <= tick:
            _, victim = KILLS.pop(0)
            LIST.write_text(json.dumps(KILLS))
            os.kill(os.getpid() if victim < 0 else self.pids[victim], signal.SIGKILL)
        return super().step(tick, state, fix, inboxes)


if __name__ == "__main__":
    folder, address, LIST = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    KILLS = json.loads(LIST.read_text())
    ray_actors.RayHost, ray_actors.SNAPSHOT_TICKS = DeadlyHost, 10
    mission.MARK_INTERVAL_S = 0.0
    choice = RuntimeChoice("ray", 2, address)
    if (folder / "run.json").exists():
        record = mission.resume(folder, runtime=choice)
    else:
        record = mission.simulate(load_scenario("six_drones", overrides=SCENARIO), out=folder, runtime=choice)
    print(record.digest())
