r"""What the team has consumed, and what each agent knows of it: stages B and C as a replicated data type.

Every agent keeps an append-only *log* of its own consumption: one batch (samples and amounts) per step. What an
agent knows of the team is a *version vector*: how many batches of each writer's log it has seen. Its belief of the
remaining weight is

.. math:: w_j = \max\Bigl(0,\; \beta_j - \sum_{o} L_{o,j}\Bigr)

with :math:`L_o` the sum over the known batches of writer o. Merging two version vectors by their elementwise
maximum makes this a state-based grow-only CRDT [1]_: merges are idempotent, commutative, associative and monotone,
so loss, repetition, reordering and multi-hop delivery cannot corrupt it.

Two choices keep it small and exact. Logs are immutable prefixes, so agents in one process share one copy of them and
memory does not grow as agents times samples times agents. And weights and amounts are whole multiples of one
*quantum*, a power of two: every sum is exact in floating point, so two agents that know the same have the same belief
to the last bit, whatever the order in which the news came.

Slots are positions in the order of `d2oc.transport.nearest_mass.SampleTree`.

References
----------
.. [1] M. Shapiro et al., Conflict-free replicated data types, SSS 2011. :doi:`10.1007/978-3-642-24550-3_29`
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from d2oc.arrays import Counts, Floats, Ints, Longs
from d2oc.compiled import compiled
from d2oc.transport.nearest_mass import SampleTree, count_alive, drop_slot

SMALLEST_QUANTUM = 2.0**-62
"""Keeps the total weight, counted in quanta, inside 64-bit integers."""

WEIGHT_BITS = 52
"""Bits that hold the largest sum of consumption of one sample, in quanta."""

Rule = Literal["sum", "minimum"]


class Belief(NamedTuple):
    """What each agent believes remains; the first axis counts agents of this process."""

    weight: Floats
    """Remaining weight by slot, shape (agents, N); negative where the team consumed too much."""
    alive: Counts
    """Samples left below each node of the tree, shape (agents, 2 * leaves)."""
    total: Longs
    """Sum of the positive weights, shape (agents,). [quanta]"""
    version: Ints
    """Batches known of each writer, shape (agents, writers)."""


class Logs(NamedTuple):
    """Consumption logs of all writers, as one pool of entries; a batch is a run of entries."""

    slot: Ints
    """Slot of each entry, shape (capacity,)."""
    amount: Floats
    """Amount consumed by each entry, shape (capacity,)."""
    remaining: Floats
    """What the writer believed to remain afterwards, shape (capacity,); empty unless the rule is `minimum`."""
    first: Longs
    """First entry of each batch, shape (writers, steps)."""
    length: Ints
    """Entries of each batch, shape (writers, steps)."""
    used: Longs
    """Entries in the pool, shape (1,)."""


def quantum_of(weights: Floats, n_agents: int) -> float:
    """Power of two of which all weights and amounts are multiples, so that sums are exact.

    Each agent consumes a sample at most once over, so a sum of consumption is at most n_agents times the
    largest weight; it must fit `WEIGHT_BITS` quanta.
    """
    largest = n_agents * float(weights.max())
    return max(2.0 ** (math.ceil(math.log2(largest)) - WEIGHT_BITS), SMALLEST_QUANTUM)


def quantised(values: Floats, quantum: float) -> Floats:
    """Values rounded to the nearest multiple of the quantum."""
    rounded: Floats = np.round(values / quantum) * quantum
    return rounded


def new_belief(tree: SampleTree, weights: Floats, quantum: float, n_agents: int) -> Belief:
    """Every agent believes that everything remains.

    Parameters
    ----------
    tree : SampleTree
        The samples.
    weights : ndarray, shape (N,)
        Quantised weights by slot.
    quantum : float
        Unit of `Belief.total`.
    n_agents : int
        Agents in this process; all of them are writers.

    Returns
    -------
    belief : Belief
    """
    alive = np.zeros(2 * tree.leaves, np.uint8)
    count_alive(tree, weights, alive)
    total = int((weights / quantum).astype(np.int64).sum())
    return Belief(
        weight=np.tile(weights, (n_agents, 1)),
        alive=np.tile(alive, (n_agents, 1)),
        total=np.full(n_agents, total, np.int64),
        version=np.zeros((n_agents, n_agents), np.int32),
    )


def new_logs(n_writers: int, n_steps: int, capacity: int, rule: Rule) -> Logs:
    """Empty logs with room for `capacity` entries."""
    return Logs(
        slot=np.empty(capacity, np.int32),
        amount=np.empty(capacity),
        remaining=np.empty(capacity if rule == "minimum" else 0),
        first=np.zeros((n_writers, n_steps), np.int64),
        length=np.zeros((n_writers, n_steps), np.int32),
        used=np.zeros(1, np.int64),
    )


def with_capacity(logs: Logs, capacity: int) -> Logs:
    """The same logs with room for `capacity` entries."""
    used = int(logs.used[0])
    new = new_logs(1, 1, capacity, "minimum" if len(logs.remaining) else "sum")
    new.slot[:used] = logs.slot[:used]
    new.amount[:used] = logs.amount[:used]
    new.remaining[: min(used, len(new.remaining))] = logs.remaining[:used]
    return logs._replace(slot=new.slot, amount=new.amount, remaining=new.remaining)


@compiled
def open_batch(logs: Logs, writer: int, step: int) -> None:
    """Begin the batch of `writer` at `step`; entries follow by `write_entry`."""
    logs.first[writer, step] = logs.used[0]
    logs.length[writer, step] = 0


@compiled
def write_entry(logs: Logs, writer: int, step: int, slot: int, amount: float, remaining: float) -> None:
    """Append one consumption to the open batch."""
    entry = logs.used[0]
    logs.slot[entry] = slot
    logs.amount[entry] = amount
    if len(logs.remaining) > 0:
        logs.remaining[entry] = remaining
    logs.used[0] = entry + 1
    logs.length[writer, step] += 1


@compiled
def lower_weight(weight: Floats, alive: Counts, slot: int, to: float) -> float:
    """Lower one agent's weight of one slot; returns by how much its remaining weight fell."""
    before = weight[slot]
    weight[slot] = to
    if before <= 0.0:
        return 0.0
    if to <= 0.0:
        drop_slot(alive, len(alive) // 2, slot)
        return before
    return before - to


@compiled
def learn(
    tree: SampleTree, belief: Belief, logs: Logs, agent: int, known: Ints, quantum: float
) -> tuple[int, int, int]:
    """Merge what another agent knows into the belief of `agent`.

    Parameters
    ----------
    tree : SampleTree
        The samples.
    belief : Belief
        Changed in place.
    logs : Logs
        Consumption logs.
    agent : int
        Who learns.
    known : ndarray of int32, shape (writers,)
        Version vector of the other.
    quantum : float
        Unit of weights.

    Returns
    -------
    writers, batches, entries : int
        How much of it was news.
    """
    n_writers = 0
    n_batches = 0
    n_entries = 0
    fallen = 0
    per_quantum = 1.0 / quantum
    by_minimum = len(logs.remaining) > 0
    weight = belief.weight[agent]
    alive = belief.alive[agent]
    version = belief.version[agent]
    for writer in range(len(known)):
        if known[writer] <= version[writer]:
            continue
        n_writers += 1
        for step in range(version[writer], known[writer]):
            first = logs.first[writer, step]
            count = logs.length[writer, step]
            n_batches += count > 0
            n_entries += count
            for entry in range(first, first + count):
                slot = logs.slot[entry]
                if by_minimum:
                    after = min(weight[slot], logs.remaining[entry])
                else:
                    after = weight[slot] - logs.amount[entry]
                fallen += int(lower_weight(weight, alive, slot, after) * per_quantum)
        version[writer] = known[writer]
    belief.total[agent] -= fallen
    return n_writers, n_batches, n_entries
