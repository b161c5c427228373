"""A program that flies a mission on a Ray cluster of three nodes on this machine, of which one is taken away in flight.

Run in a network of its own, as Ray's nodes listen on all interfaces. Prints the digest of the record, the number of
nodes that actors stood on at first, and the number of actors replaced.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from pathlib import Path

from d2oc import load_scenario, simulate
from d2oc.runtime import ray_actors
from d2oc.runtime.choice import RuntimeChoice

SCENARIO = {
    "team.n_agents": 7,
    "mission.duration_s": 16.0,
    "sampling.n_samples": 300,
    "control.plan_routes": 2,
    "control.plan_rounds": 1,
    "radio.comm_range_m": 60.0,
    "radio.loss": 0.3,
}
LOST_AT_TICK = 25


def take_away(cluster, node) -> None:
    """Remove a node as if its power had failed: its actors would otherwise go on for a second, or until the landing."""
    keeper = node.all_processes["raylet"][0].process.pid
    actors = [pid for pid, parent in parents().items() if parent == keeper]
    cluster.remove_node(node, allow_graceful=False)
    for pid in actors:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def parents() -> dict[int, int]:
    """Parent of every process of this machine."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return found


def main() -> None:
    os.environ["RAY_AUTH_MODE"] = "disabled"  # nobody else can reach this network
    ray = ray_actors._imported(local=True)
    from ray.cluster_utils import Cluster

    node = {
        "num_cpus": 2,
        "include_dashboard": False,
        "node_ip_address": "127.0.0.1",
        "object_store_memory": 80_000_000,
    }
    # A node is lost after 6 s of silence: soon, but not so soon that a busy machine loses its nodes.
    impatient = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 1000,
        "health_check_failure_threshold": 6,
    }
    cluster = Cluster(initialize_head=True, head_node_args={**node, "_system_config": impatient})
    others = [cluster.add_node(**node) for _ in range(2)]
    hosts, nodes = [], set()

    class ThinnedHost(ray_actors.RayHost):
        def _started(self, shard):
            """Node by node in turn: where Ray itself puts small actors depends on what it has heard of the nodes."""
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as OnNode

            alive = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
            there = OnNode(alive[self._shards.index(shard) % len(alive)], soft=True)
            return self._actor_class.options(scheduling_strategy=there).remote(
                pickle.dumps(self._setups[shard]), self._ground
            )

        def step(self, tick, state, fix, inboxes):
            if tick == LOST_AT_TICK:
                hosts.append(self)
                nodes.update(ray.get([actor.node.remote() for actor in self._actors]))
                used = [other for other in others if str(other.all_processes["raylet"][0].process.pid) in nodes]
                take_away(cluster, used[0])
            return super().step(tick, state, fix, inboxes)

    ray_actors.RayHost, ray_actors.SNAPSHOT_TICKS = ThinnedHost, 10
    choice = RuntimeChoice("ray", 2, cluster.address)
    record = simulate(load_scenario("six_drones", overrides=SCENARIO), runtime=choice)
    print(record.digest(), len(nodes), hosts[0].n_replaced)
    cluster.shutdown()


if __name__ == "__main__":
    main()
