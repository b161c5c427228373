"""The agents of a team as Ray actors: one process an agent, or one a shard of agents; the same agents either way.

The only module that imports Ray. The team moves in lock-step: one call an actor and tick, all under way at once.
Samples and tree lie once in Ray's object store, where every actor of a machine reads them in place.

An actor that dies is replaced. Agents do nothing but answer to what they are given, so the replacement gets the last
snapshot of their memory and then everything they were given since, and stands where the lost one stood; nobody else
notices, and the record is the same.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import shutil
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from d2oc.agent import AgentSetup, Ground
from d2oc.arrays import Flags, Floats
from d2oc.errors import MissingExtraError, RuntimeUnavailableError
from d2oc.memory import packed
from d2oc.runtime.shard import DistantShard, Inboxes, Outcomes, Shard, joined, outcomes_of

MOST_SINGLE_AGENTS = 16
"""Teams up to this size get one actor an agent, larger ones one shard a processor."""
SNAPSHOT_TICKS = 50
"""The memory of all agents is kept this often."""
PATIENCE_S = 120.0
"""An actor that has not answered for so long is held for dead. [s]"""
START_PATIENCE_S = 600.0
"""The first answer may take longer: on a busy machine processes start, and load what was compiled, for minutes. [s]"""
CONNECT_S = 10.0
"""A cluster that cannot be connected to in so long is not there. [s]"""
LOCAL_STARTS = 3
"""Tries to start a local cluster."""
OBJECT_STORE_BYTES = 80_000_000
"""Ray refuses less than 75 MB."""

REPLACEMENTS = 8
"""A lost actor is replaced at most so often in a row."""

REPLACEMENT_PAUSE_S = 2.0
"""Time between two replacements; together longer than a cluster takes to notice that a node is gone. [s]"""


class RayHost:
    """Agents in Ray actors; see `d2oc.runtime.agents.Host`.

    Parameters
    ----------
    setups : sequence of AgentSetup
        The agents.
    ground : Ground
        What is to be treated.
    agents_per_actor : int, optional
        Agents that share a process; default: 1 up to 16 agents, then as many as make one actor a processor.
    address : str, optional
        Cluster to use; default: a local one, started and stopped here.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    RuntimeUnavailableError
        If the cluster does not answer.
    """

    def __init__(
        self,
        setups: Sequence[AgentSetup],
        ground: Ground,
        agents_per_actor: int | None = None,
        address: str | None = None,
    ) -> None:
        n_bytes = sum(np.asarray(array).nbytes for array in (*ground.tree[:-1], ground.weights, ground.slot))
        size = agents_per_actor or default_agents_per_actor(len(setups))
        self._shards = [slice(first, min(first + size, len(setups))) for first in range(0, len(setups), size)]
        self._setups = setups
        self._connection = connect(address, len(self._shards), OBJECT_STORE_BYTES + 2 * n_bytes)
        self._ray = self._connection.ray
        self._lost = (self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError)
        options = {"num_cpus": 0, "max_restarts": 0, "scheduling_strategy": "SPREAD"}  # over the nodes of a cluster
        self._actor_class = self._ray.remote(**options)(DistantShard)
        self._ground = self._ray.put(ground)
        self._actors = [self._started(shard) for shard in self._shards]
        compile_agents(setups, ground)  # while the actors start, which find it in the cache on disk
        self._memories: list[list[bytes] | None] = [None] * len(self._shards)
        self._given: list[tuple[int, Floats, Flags, Inboxes]] = []
        self._patience = START_PATIENCE_S
        self.n_replaced = 0
        """Actors lost and replaced so far."""

    @property
    def pids(self) -> list[int]:
        """Process of every actor."""
        return [int(pid) for pid in self._ray.get([actor.pid.remote() for actor in self._actors])]

    def step(self, tick: int, state: Floats, fix: Flags, inboxes: Inboxes) -> Outcomes:
        """Step every agent once, all actors at the same time; see `d2oc.runtime.shard.Shard.step`."""
        if len(self._given) >= SNAPSHOT_TICKS:
            self._keep()
        self._given.append((tick, state.copy(), fix, inboxes))
        calls = [self._call(i, *self._given[-1]) for i in range(len(self._actors))]
        return joined([outcomes_of(answer) for answer in self._answers(calls)])

    def snapshot(self) -> list[bytes]:
        """Memory of every agent; see `d2oc.runtime.agents.Host`."""
        self._keep()
        return [memory for memories in self._memories for memory in memories or ()]

    def restore(self, memories: Sequence[bytes]) -> None:
        """Give memories; see `d2oc.runtime.agents.Host`."""
        self._memories = [list(memories[shard]) for shard in self._shards]
        self._ray.get([actor.restore.remote(kept) for actor, kept in zip(self._actors, self._memories, strict=True)])

    def close(self) -> None:
        """Stop the actors, and the local cluster if it was started here."""
        for actor in self._actors:
            self._ray.kill(actor)
        # A reference that outlives its cluster would, when it goes, count as one of the next cluster of this process.
        self._actors.clear()
        self._ground = None
        self._connection.close()

    def _started(self, shard: slice) -> Any:
        return self._actor_class.remote(pickle.dumps(self._setups[shard]), self._ground)

    def _call(self, i: int, tick: int, state: Floats, fix: Flags, inboxes: Inboxes) -> Any:
        part = self._shards[i]
        return self._actors[i].step.remote(packed([tick, state[part], fix[part], inboxes[part]]))

    def _answers(self, calls: list[Any]) -> list[Any]:
        """Results of calls, one an actor; by a replacement where the actor is lost."""
        try:
            answers = list(self._ray.get(calls, timeout=self._patience))
        except self._lost:
            answers = [self._answer(i, call) for i, call in enumerate(calls)]
        self._patience = PATIENCE_S
        return answers

    def _answer(self, i: int, call: Any) -> Any:
        try:
            return self._ray.get(call, timeout=PATIENCE_S)
        except self._lost:
            return self._replace(i)

    def _replace(self, i: int) -> Any:
        """Put another in the place of actor i; returns its last answer.

        A node that has just died is held for alive for some seconds, and so may be given the new actor, too.
        """
        for _ in range(REPLACEMENTS - 1):
            try:
                return self._begin_anew(i)
            except self._lost:
                time.sleep(REPLACEMENT_PAUSE_S)
        return self._begin_anew(i)

    def _begin_anew(self, i: int) -> Any:
        """Start actor i from its last snapshot, and give it all it was given since; returns its last answer."""
        self._ray.kill(self._actors[i])
        self.n_replaced += 1
        actor = self._actors[i] = self._started(self._shards[i])
        if (memories := self._memories[i]) is not None:
            actor.restore.remote(memories)
        calls = [self._call(i, *given) for given in self._given]
        answers = self._ray.get(calls or [actor.pid.remote()], timeout=START_PATIENCE_S)
        return answers[-1]

    def _keep(self) -> None:
        """Keep the memory of all agents; what they were given before is not needed any more."""
        calls = [actor.snapshot.remote() for actor in self._actors]
        for i, call in enumerate(calls):
            try:
                memories = self._ray.get(call, timeout=PATIENCE_S)
            except self._lost:
                self._replace(i)
                memories = self._ray.get(self._actors[i].snapshot.remote())
            self._memories[i] = memories
        self._given.clear()


def compile_agents(setups: Sequence[AgentSetup], ground: Ground) -> None:
    """Compile here, once, what agents will need: two of them fly three steps on the spot and hear each other."""
    shard = Shard(setups[:2], ground)
    n_states = setups[0].law.state_gain.shape[3]
    state, fix = np.zeros((len(shard.agents), n_states)), np.ones(len(shard.agents), np.bool_)
    inboxes: Inboxes = [[] for _ in shard.agents]
    for tick in range(3):
        said = shard.step(tick, state, fix, inboxes).outboxes
        inboxes = said[::-1]


def default_agents_per_actor(n_agents: int) -> int:
    """One agent an actor in small teams; then one actor a processor."""
    return 1 if n_agents <= MOST_SINGLE_AGENTS else -(-n_agents // _processors())


def installed() -> bool:
    """Whether Ray can be imported."""
    from importlib.util import find_spec

    return find_spec("ray") is not None


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Connection(NamedTuple):
    """Ray with a cluster; `close` undoes what `connect` did."""

    ray: Any
    mine: bool
    """Whether this process was not connected before."""
    folder: str | None
    """Logs and sockets of a local cluster started here."""

    def close(self) -> None:
        """Stop a cluster started here, leave one that was there."""
        if self.mine:
            self.ray.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def connect(address: str | None = None, n_actors: int = 1, object_store: int = OBJECT_STORE_BYTES) -> Connection:
    """Ray with a cluster: the one this process uses already, the one at `address`, or a new local one.

    Parameters
    ----------
    address : str, optional
        An existing cluster.
    n_actors : int
        Actors that a new one should be ready for.
    object_store : int
        Memory of a new one for what processes share. [byte]

    Returns
    -------
    connection : Connection
    """
    ray = _imported(local=address is None)
    if ray.is_initialized():
        return Connection(ray, False, None)
    if address and ":" in address:
        _require_answer(address)
    if address:
        return _connected(ray, address, n_actors, object_store)
    for _ in range(LOCAL_STARTS - 1):
        try:
            return _connected(ray, None, n_actors, object_store)
        except RuntimeUnavailableError:  # on a busy machine Ray now and then gives up on its own server
            continue
    return _connected(ray, None, n_actors, object_store)


def _connected(ray: Any, address: str | None, n_actors: int, object_store: int) -> Connection:
    """One try of `connect`."""
    connection = Connection(ray, True, None if address else tempfile.mkdtemp(prefix="d2oc-ray-"))
    local: dict[str, Any] = {
        "include_dashboard": False,
        "object_store_memory": object_store,
        "num_cpus": n_actors,  # so many processes are started ahead
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": connection.folder,
    }
    try:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, configure_logging=False,
            **({} if address else local),
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        connection.close()
        _stop_remains(connection.folder)
        reason = " ".join(str(error).split())[:200]
        raise RuntimeUnavailableError(f"no Ray cluster answers at {address or 'this machine'}: {reason}") from None
    _silence(ray)
    return connection


def _stop_remains(folder: str | None) -> None:
    """Stop the processes of a local cluster that did not start, which Ray leaves behind."""
    if folder is None:
        return
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if folder.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                os.kill(int(path.parent.name), signal.SIGKILL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # its handles of them, never closed
        gc.collect()


def _silence(ray: Any) -> None:
    """Keep Ray's own events off standard output, where `log_to_driver` leaves them and `--json` promises JSON."""
    worker: Any = getattr(getattr(ray, "_private", None), "worker", None)
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def _require_answer(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise RuntimeUnavailableError(f"no Ray cluster answers at {address}: {error}") from None


ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, Ray would build the environment anew for every job
    "RAY_AUTH_MODE": "token",  # whoever cannot read this user's token cannot talk to the cluster
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the default warns
}
"""Must be set before Ray is imported; what the user has set stays."""


def _imported(local: bool) -> Any:
    """Ray, told beforehand how to behave."""
    if "ray" in sys.modules:  # too late: half of Ray has read its environment
        import ray

        return ray
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if local:  # the switch that makes Ray listen on the loopback interface only works everywhere despite its name
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtraError("the runtime 'ray'", "ray") from None
    return ray
