r"""Nearest-mass search: which samples fill a given mass, nearest first, without sorting them all.

Stages A and B of the method both walk through the samples in the order of a key (squared distance,
or squared distance over squared weight) until a mass is filled. Sorting all N samples costs
O(N log N) an agent-step; here a balanced k-d tree over the samples, shared by all agents, is searched best
first, so that only the neighbourhood of the answer is touched. What is found is exactly what a stable
full sort finds, ties included: the lower bound of a tree node is computed with the same rounding as
the keys and is never above the key of a sample inside the node.

Samples are stored in tree order; a position in that order is called a *slot*.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Counts, Floats, Ints
from d2oc.compiled import compiled

LEAF_BITS = 4
LEAF_SIZE = 1 << LEAF_BITS
"""Samples in a leaf; larger leaves make the tree cheaper to climb and dearer to open."""


class SampleTree(NamedTuple):
    """Balanced k-d tree over the samples; node 1 is the root, node i has children 2i and 2i + 1."""

    x: Floats
    """Coordinate towards east by slot, shape (N,). [m]"""
    y: Floats
    """Coordinate towards north by slot, shape (N,). [m]"""
    sample: Ints
    """Index of the sample in the caller's order by slot, shape (N,)."""
    box: Floats
    """Bounding box of each node (x min, y min, x max, y max), shape (2 * leaves, 4). [m]"""
    heaviest: Floats
    """Largest initial weight below each node, shape (2 * leaves,)."""
    leaves: int
    """Number of leaves, a power of two; leaf i holds the slots from i * LEAF_SIZE on; the last leaves may be empty."""


class SearchSpace(NamedTuple):
    """Working memory of one search, allocated once."""

    node_key: Floats
    node: Ints
    slot_key: Floats
    slot: Ints
    found: Ints
    """Slots found, in order of their key."""
    amount: Floats
    """Mass taken from each slot found."""


def sample_tree(points: Floats, weights: Floats) -> SampleTree:
    """Build the tree over all samples.

    Parameters
    ----------
    points : ndarray, shape (N, 2)
        Sample points, local ENU. [m]
    weights : ndarray, shape (N,)
        Initial weights; only used as an upper bound of all later ones.

    Returns
    -------
    tree : SampleTree
        Shared, read only.
    """
    n = len(points)
    leaves = 1
    while leaves * LEAF_SIZE < n:
        leaves *= 2
    order = np.arange(n, dtype=np.int32)
    box = np.empty((2 * leaves, 4))
    heaviest = np.zeros(2 * leaves)
    x = np.ascontiguousarray(points[:, 0], dtype=np.float64)
    y = np.ascontiguousarray(points[:, 1], dtype=np.float64)
    _split(x, y, order, leaves, box)
    _bound(x, y, weights.astype(np.float64), order, leaves, box, heaviest)
    tree = SampleTree(x[order], y[order], order, box, heaviest, leaves)
    for array in tree[:-1]:
        np.asarray(array).flags.writeable = False  # as in the memory that processes share: one machine code for both
    return tree


def search_space(tree: SampleTree) -> SearchSpace:
    """Working memory for searches in `tree`."""
    n = len(tree.x)
    nodes = 2 * tree.leaves
    return SearchSpace(
        np.empty(nodes), np.empty(nodes, np.int32),
        np.empty(n), np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n),
    )  # fmt: skip


@compiled
def nearest_mass(
    tree: SampleTree,
    weight: Floats,
    alive: Counts,
    x: float,
    y: float,
    mass: float,
    by_weight: bool,
    space: SearchSpace,
) -> tuple[int, float]:
    r"""Take samples in the order of their key until `mass` is filled, the last one partly.

    The key of sample j at distance d is :math:`d_j^2 / w_j^2` if `by_weight`, else :math:`d_j^2`;
    equal keys are ordered by sample index. Only samples with positive weight count.

    Parameters
    ----------
    tree : SampleTree
        The samples.
    weight : ndarray, shape (N,)
        Remaining weight by slot, at most the weight the tree was built with.
    alive : ndarray of uint8, shape (2 * leaves,)
        Samples with positive weight in each leaf, non-empty children of each inner node.
    x, y : float
        Where from, local ENU. [m]
    mass : float
        Mass to fill.
    by_weight : bool
        Near and heavy first (stage A) or near first (stage B).
    space : SearchSpace
        Receives in `found` and `amount` what is taken; the sample with the largest key stands last.

    Returns
    -------
    n : int
        Number of samples taken.
    left : float
        Mass that no sample was left for.
    """
    n_found = _gather(tree, weight, alive, x, y, mass, by_weight, space)
    _largest_last(tree.sample, space.slot_key, space.slot, n_found)
    left = mass
    for i in range(n_found):
        take = min(weight[space.slot[i]], left)
        space.found[i] = space.slot[i]
        space.amount[i] = take
        left -= take
    return n_found, left


@compiled
def _gather(
    tree: SampleTree,
    weight: Floats,
    alive: Counts,
    x: float,
    y: float,
    mass: float,
    by_weight: bool,
    space: SearchSpace,
) -> int:
    """Gather in `space.slot` the samples that fill the mass, in any order; all samples if they do not.

    Nodes are opened in the order of their lower bounds. As soon as the samples gathered hold the mass, the key
    within which they do so is known, and whatever lies beyond it is dropped; it shrinks until no node can hide
    a smaller key.
    """
    keys, nodes, box, heaviest = space.node_key, space.node, tree.box, tree.heaviest
    n_nodes = 0
    n_slots = 0
    within = np.inf
    gathered = 0.0
    enough = mass
    node = 1 if alive[1] > 0 else 0
    while node > 0:
        if node < tree.leaves:
            # Walk on to the nearer child; the other one waits.
            near, far = 2 * node, 2 * node + 1
            near_key = _lower_bound(box[near], heaviest[near], x, y, by_weight) if alive[near] > 0 else np.inf
            far_key = _lower_bound(box[far], heaviest[far], x, y, by_weight) if alive[far] > 0 else np.inf
            if far_key < near_key:
                near, far = far, near
                near_key, far_key = far_key, near_key
            if far_key <= within and far_key < np.inf:
                _push_node(keys, nodes, n_nodes, far_key, far)
                n_nodes += 1
            if n_nodes == 0 or near_key <= keys[0]:
                node = near if near_key <= within else 0
                continue
            if near_key <= within:
                _push_node(keys, nodes, n_nodes, near_key, near)
                n_nodes += 1
        else:
            n_before = n_slots
            n_slots = _open_leaf(
                tree.x, tree.y, weight, node - tree.leaves, x, y, by_weight, within, space.slot_key, space.slot, n_slots
            )
            for i in range(n_before, n_slots):
                gathered += weight[space.slot[i]]
            if gathered >= enough:
                n_slots = _fill(tree.sample, weight, space.slot_key, space.slot, n_slots, mass) + 1
                within = space.slot_key[n_slots - 1]
                gathered = mass
                enough = 2.0 * mass
        node = 0
        if n_nodes > 0 and keys[0] <= within:
            node = nodes[0]
            n_nodes = _pop_node(keys, nodes, n_nodes)
    if gathered > mass and within < np.inf:
        n_slots = _fill(tree.sample, weight, space.slot_key, space.slot, n_slots, mass) + 1
    return n_slots


@compiled
def _fill(rank: Ints, weight: Floats, keys: Floats, slots: Ints, n_slots: int, mass: float) -> int:
    """Weighted quickselect: order the slots so that a run from the front fills the mass.

    Returns the position of the last slot of that run: all before it have smaller keys, all behind
    it larger ones.
    """
    low = 0
    high = n_slots - 1
    left = mass
    while low < high:
        i = _partition_slots(keys, slots, rank, low, high)
        below = 0.0
        for j in range(low, i):
            below += weight[slots[j]]
        if below >= left:
            high = i - 1
        else:
            left -= below
            low = i
    return low


@compiled
def _largest_last(rank: Ints, keys: Floats, slots: Ints, n_slots: int) -> None:
    for i in range(n_slots - 1):
        if _before(keys, slots, rank, n_slots - 1, i):
            _swap(keys, slots, n_slots - 1, i)


@compiled
def _partition_slots(keys: Floats, slots: Ints, rank: Ints, low: int, high: int) -> int:
    """Split low..high in two non-empty runs, smaller keys first; returns where the second starts."""
    middle = (low + high) // 2
    # Median of three, which also puts guards at both ends.
    if _before(keys, slots, rank, middle, low):
        _swap(keys, slots, middle, low)
    if _before(keys, slots, rank, high, low):
        _swap(keys, slots, high, low)
    if _before(keys, slots, rank, high, middle):
        _swap(keys, slots, high, middle)
    pivot = keys[middle]
    pivot_rank = rank[slots[middle]]
    i = low
    j = high
    while True:
        while keys[i] < pivot or (keys[i] == pivot and rank[slots[i]] < pivot_rank):
            i += 1
        while keys[j] > pivot or (keys[j] == pivot and rank[slots[j]] > pivot_rank):
            j -= 1
        if i >= j:
            break
        _swap(keys, slots, i, j)
        i += 1
        j -= 1
    return max(i, low + 1)


@compiled
def _before(keys: Floats, slots: Ints, rank: Ints, a: int, b: int) -> bool:
    return keys[a] < keys[b] or (keys[a] == keys[b] and rank[slots[a]] < rank[slots[b]])


@compiled
def _swap(keys: Floats, slots: Ints, a: int, b: int) -> None:
    keys[a], keys[b] = keys[b], keys[a]
    slots[a], slots[b] = slots[b], slots[a]


@compiled
def count_alive(tree: SampleTree, weight: Floats, alive: Counts) -> None:
    """Fill `alive` from the weights: samples per leaf, non-empty children per inner node."""
    n = len(weight)
    for leaf in range(tree.leaves):
        count = 0
        for slot in range(leaf << LEAF_BITS, min((leaf + 1) << LEAF_BITS, n)):
            if weight[slot] > 0.0:
                count += 1
        alive[tree.leaves + leaf] = count
    for node in range(tree.leaves - 1, 0, -1):
        alive[node] = int(alive[2 * node] > 0) + int(alive[2 * node + 1] > 0)


@compiled
def drop_slot(alive: Counts, leaves: int, slot: int) -> None:
    """Note that the weight of `slot` is no longer positive."""
    node = leaves + (slot >> LEAF_BITS)
    alive[node] -= 1
    while node > 1 and alive[node] == 0:
        node //= 2
        alive[node] -= 1


@compiled
def revive_slot(alive: Counts, leaves: int, slot: int) -> None:
    """Note that the weight of `slot` is positive again: the reverse of `drop_slot`."""
    node = leaves + (slot >> LEAF_BITS)
    alive[node] += 1
    while node > 1 and alive[node] == 1:
        node //= 2
        alive[node] += 1


@compiled
def _lower_bound(box: Floats, heaviest: float, x: float, y: float, by_weight: bool) -> float:
    dx = max(box[0] - x, 0.0, x - box[2])
    dy = max(box[1] - y, 0.0, y - box[3])
    key = dx * dx + dy * dy
    if by_weight:
        key /= heaviest * heaviest
    return key


@compiled
def _open_leaf(
    sample_x: Floats,
    sample_y: Floats,
    weight: Floats,
    leaf: int,
    x: float,
    y: float,
    by_weight: bool,
    within: float,
    keys: Floats,
    slots: Ints,
    n_slots: int,
) -> int:
    """Append the samples of a leaf whose key is not beyond `within`."""
    for slot in range(leaf << LEAF_BITS, min((leaf + 1) << LEAF_BITS, len(weight))):
        w = weight[slot]
        if w > 0.0:
            dx = sample_x[slot] - x
            dy = sample_y[slot] - y
            key = dx * dx + dy * dy
            if by_weight:
                key /= w * w
            if key <= within:
                keys[n_slots] = key
                slots[n_slots] = slot
                n_slots += 1
    return n_slots


@compiled
def _push_node(keys: Floats, items: Ints, n: int, key: float, item: int) -> None:
    i = n
    while i > 0:
        parent = (i - 1) >> 1
        if keys[parent] <= key:
            break
        keys[i] = keys[parent]
        items[i] = items[parent]
        i = parent
    keys[i] = key
    items[i] = item


@compiled
def _pop_node(keys: Floats, items: Ints, n: int) -> int:
    n -= 1
    key = keys[n]
    item = items[n]
    i = 0
    child = 1
    while child < n:
        if child + 1 < n and keys[child + 1] < keys[child]:
            child += 1
        if key <= keys[child]:
            break
        keys[i] = keys[child]
        items[i] = items[child]
        i = child
        child = 2 * i + 1
    keys[i] = key
    items[i] = item
    return n


@compiled
def _split(x: Floats, y: Floats, order: Ints, leaves: int, box: Floats) -> None:
    """Order the samples so that every node holds one run of slots, halved along its wider side."""
    n = len(order)
    width = leaves
    node = 1
    while width > 1:
        for first in range(0, leaves, width):
            start = min(first << LEAF_BITS, n)
            middle = min((first + width // 2) << LEAF_BITS, n)
            stop = min((first + width) << LEAF_BITS, n)
            _measure(x, y, order, start, stop, box[node])
            if box[node, 2] - box[node, 0] >= box[node, 3] - box[node, 1]:
                _partition(x, order, start, middle, stop)
            else:
                _partition(y, order, start, middle, stop)
            node += 1
        width //= 2


@compiled
def _measure(x: Floats, y: Floats, order: Ints, start: int, stop: int, box: Floats) -> None:
    box[0] = box[1] = np.inf
    box[2] = box[3] = -np.inf
    for i in range(start, stop):
        j = order[i]
        box[0] = min(box[0], x[j])
        box[1] = min(box[1], y[j])
        box[2] = max(box[2], x[j])
        box[3] = max(box[3], y[j])


@compiled
def _partition(values: Floats, order: Ints, start: int, middle: int, stop: int) -> None:
    """Quickselect: slots below `middle` get values not above those from `middle` on."""
    low = start
    high = stop - 1
    while low < high:
        pivot = values[order[(low + high) // 2]]
        i = low
        j = high
        while i <= j:
            while values[order[i]] < pivot:
                i += 1
            while values[order[j]] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@compiled
def _bound(x: Floats, y: Floats, weights: Floats, order: Ints, leaves: int, box: Floats, heaviest: Floats) -> None:
    n = len(order)
    for leaf in range(leaves):
        start = min(leaf << LEAF_BITS, n)
        stop = min((leaf + 1) << LEAF_BITS, n)
        _measure(x, y, order, start, stop, box[leaves + leaf])
        for i in range(start, stop):
            heaviest[leaves + leaf] = max(heaviest[leaves + leaf], weights[order[i]])
    for node in range(leaves - 1, 0, -1):
        heaviest[node] = max(heaviest[2 * node], heaviest[2 * node + 1])


def by_sample(tree: SampleTree, by_slot: Floats) -> Floats:
    """Bring values from slot order back to the caller's sample order."""
    result = np.empty_like(by_slot)
    result[..., tree.sample] = by_slot
    return result
