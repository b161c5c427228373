"""Samples to their nearest sites, and from site to site until every capacity is met."""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.compiled import compiled
from d2oc.transport.power_cells import Sites, block_tops, highest


@compiled
def nearest_sites(points: Floats, sites: Sites, offset: Floats) -> tuple[Ints, Floats]:
    """Site with the highest level at each sample, and that level.

    The cells of sites are convex (and so are they inside a rim), so a square whose four corners have the same owner
    belongs to it altogether, and its samples need no search.

    Parameters
    ----------
    points : ndarray, shape (N, 2)
        Samples from the grid's centre. [cells]
    sites : Sites
        The sites.
    offset : ndarray, shape (L,)
        Their offsets. [cells^2]

    Returns
    -------
    owner : ndarray of int32, shape (N,)
        L for samples beyond every reach.
    level : ndarray, shape (N,)
        [cells^2]
    """
    tops = np.empty(len(sites.box))
    block_tops(offset, tops)
    unused = np.full(len(offset), -1, np.int32)
    owner, level = np.empty(len(points), np.int32), np.empty(len(points))
    w, h = sites.half_width, sites.half_height
    corner = np.empty((int(np.ceil(2.0 * h)) + 1, int(np.ceil(2.0 * w)) + 1), np.int32)
    i = 0
    for r in range(corner.shape[0]):
        for c in range(corner.shape[1]):
            i, _ = _nearest(sites, offset, tops, unused, c - w, r - h, i)
            corner[r, c] = i
    for k in range(len(points)):
        px, py = points[k, 0], points[k, 1]
        c = min(max(int(px + w), 0), corner.shape[1] - 2)
        r = min(max(int(py + h), 0), corner.shape[0] - 2)
        i = corner[r, c]
        if i < len(offset) and i == corner[r, c + 1] == corner[r + 1, c] == corner[r + 1, c + 1]:
            owner[k], level[k] = i, px * sites.x[i] + py * sites.y[i] + offset[i]
        else:
            owner[k], level[k] = _nearest(sites, offset, tops, unused, px, py, i)
    return owner, level


@compiled
def _nearest(
    sites: Sites, offset: Floats, tops: Floats, unused: Ints, px: float, py: float, guess: int
) -> tuple[int, float]:
    i = guess if guess < len(offset) else 0
    level = px * sites.x[i] + py * sites.y[i] + offset[i]
    better = highest(sites, offset, tops, px, py, level, unused, 0)
    if better >= 0:
        i = better
        level = px * sites.x[i] + py * sites.y[i] + offset[i]
    half = 0.5 * (px * px + py * py)
    if sites.limited and level < half:
        return len(offset), half
    return i, level


@compiled
def tally(
    points: Floats, places: Floats, sample: Ints, site: Ints, amount: Floats
) -> tuple[Floats, Floats, float, float]:
    """What parcels add up to.

    Parameters
    ----------
    points, places : ndarray, shape (N, 2) and (L, 2)
        Samples and sites. [m]
    sample, site : ndarray of int32, shape (P,)
        Each parcel's sample and site, -1 for unserved.
    amount : ndarray, shape (P,)
        Its weight.

    Returns
    -------
    masses : ndarray, shape (L,)
    sums : ndarray, shape (L, 2)
        Weight times position. [weight m]
    cost : float
        [weight m^2]
    unserved : float
    """
    masses, sums = np.zeros(len(places)), np.zeros((len(places), 2))
    cost = unserved = 0.0
    for k in range(len(site)):
        i, x, y = site[k], points[sample[k], 0], points[sample[k], 1]
        if i < 0:
            unserved += amount[k]
            continue
        masses[i] += amount[k]
        sums[i, 0] += amount[k] * x
        sums[i, 1] += amount[k] * y
        cost += amount[k] * ((x - places[i, 0]) ** 2 + (y - places[i, 1]) ** 2)
    return masses, sums, cost, unserved


@compiled
def lower_levels(
    points: Floats, weights: Floats, wanted: Floats, places: Floats, offset: Floats, owner: Ints, level: Floats
) -> float:
    r"""Value of the dual, :math:`\sum_q w_q \min_i (|q - y_i|^2 - \psi_i) + \sum_i c_i \psi_i`. [weight cells^2]"""
    value = 0.0
    for k in range(len(points)):
        value += weights[k] * (points[k, 0] ** 2 + points[k, 1] ** 2 - 2.0 * level[k])
    for i in range(len(offset)):
        value += wanted[i] * (2.0 * offset[i] + places[i, 0] ** 2 + places[i, 1] ** 2)
    return value


@compiled
def meet_capacities(
    points: Floats,
    weights: Floats,
    sites: Sites,
    offset: Floats,
    owner: Ints,
    wanted: Floats,
    first: Ints,
    second: Ints,
) -> tuple[Ints, Ints, Floats]:
    """Move samples along a spanning tree of neighbours until each site has what it should.

    On a tree the amount that must cross each edge is known: what the part behind it has too much. Amounts towards the
    root are moved from the leaves up, then those away from it from the root down, so nothing is given before it is
    there.

    Parameters
    ----------
    points, weights : ndarray, shape (N, 2) and (N,)
        Samples from the grid's centre [cells] and their weights.
    sites : Sites
        The sites.
    offset : ndarray, shape (L,)
        Their offsets. [cells^2]
    owner : ndarray of int32, shape (N,)
        Where each sample is; L for unserved.
    wanted : ndarray, shape (L + 1,)
        What each site should have, the unserved last; the same sum as the weights.
    first, second : ndarray of int32, shape (links,)
        Neighbours; L for the unserved region.

    Returns
    -------
    sample, site : ndarray of int32, shape (P,)
        Each parcel's sample and site, L for unserved.
    amount : ndarray, shape (P,)
        Its weight.
    """
    n, nodes = len(points), len(wanted)
    sample, site, amount = np.empty(n + nodes, np.int32), np.empty(n + nodes, np.int32), np.empty(n + nodes)
    head, after = np.full(nodes, -1, np.int32), np.empty(n + nodes, np.int32)
    surplus = -wanted
    for k in range(n - 1, -1, -1):
        sample[k], site[k], amount[k] = k, owner[k], weights[k]
        after[k] = head[owner[k]]
        head[owner[k]] = k
        surplus[owner[k]] += weights[k]
    parcels = n
    order, parent = _tree(nodes, first, second)
    for k in range(nodes - 1, 0, -1):
        surplus[parent[order[k]]] += surplus[order[k]]
    for k in range(nodes - 1, 0, -1):
        i = order[k]
        if surplus[i] > 0.0:
            parcels = _move(points, sites, offset, i, parent[i], surplus[i], sample, site, amount, head, after, parcels)
    for k in range(1, nodes):
        i = order[k]
        if surplus[i] < 0.0:
            parcels = _move(
                points, sites, offset, parent[i], i, -surplus[i], sample, site, amount, head, after, parcels
            )
    return sample[:parcels], site[:parcels], amount[:parcels]


@compiled
def _tree(nodes: int, first: Ints, second: Ints) -> tuple[Ints, Ints]:
    """Spanning tree, breadth first from the unserved region if it has neighbours, else from node 0.

    Nodes without a link hang on the root.
    """
    start = np.zeros(nodes + 1, np.int32)
    for k in range(len(first)):
        start[first[k] + 1] += 1
        start[second[k] + 1] += 1
    for i in range(nodes):
        start[i + 1] += start[i]
    filled = start[:-1].copy()
    other = np.empty(2 * len(first), np.int32)
    for k in range(len(first)):
        i, j = first[k], second[k]
        other[filled[i]] = j
        other[filled[j]] = i
        filled[i] += 1
        filled[j] += 1
    order, parent = np.zeros(nodes, np.int32), np.full(nodes, -1, np.int32)
    root = nodes - 1 if start[nodes - 1] < start[nodes] else 0
    order[0], parent[root] = root, root
    end, k = 1, 0
    for stray in range(nodes):
        while k < end:
            i = order[k]
            for link in range(start[i], start[i + 1]):
                j = other[link]
                if parent[j] < 0:
                    parent[j] = i
                    order[end] = j
                    end += 1
            k += 1
        if parent[stray] < 0:
            parent[stray] = root
            order[end] = stray
            end += 1
    return order, parent


@compiled
def _loss(points: Floats, sites: Sites, offset: Floats, sample: int, i: int) -> float:
    """Half of |q|^2 less the level of site i; the unserved region has the level |q|^2 / 2."""
    px, py = points[sample, 0], points[sample, 1]
    half = 0.5 * (px * px + py * py)
    return 0.0 if i == len(offset) else half - (px * sites.x[i] + py * sites.y[i] + offset[i])


@compiled
def _move(
    points: Floats,
    sites: Sites,
    offset: Floats,
    giver: int,
    taker: int,
    wanted: float,
    sample: Ints,
    site: Ints,
    amount: Floats,
    head: Ints,
    after: Ints,
    parcels: int,
) -> int:
    """Give parcels away, those first for which it costs least, the last in part; returns the number of parcels."""
    count = 0
    parcel = head[giver]
    while parcel >= 0:
        count += 1
        parcel = after[parcel]
    held, extra = np.empty(count, np.int32), np.empty(count)
    parcel = head[giver]
    for k in range(count):
        held[k] = parcel
        extra[k] = _loss(points, sites, offset, sample[parcel], taker)
        extra[k] -= _loss(points, sites, offset, sample[parcel], giver)
        parcel = after[parcel]
    left = count
    for top in range(count // 2 - 1, -1, -1):
        _sink(extra, held, top, count)
    while wanted > 0.0 and left > 0:
        parcel = held[0]
        left -= 1
        held[0], extra[0] = held[left], extra[left]
        _sink(extra, held, 0, left)
        if amount[parcel] > wanted and parcels < len(amount):
            rest = parcels
            parcels += 1
            sample[rest], site[rest], amount[rest] = sample[parcel], giver, amount[parcel] - wanted
            held[left] = rest  # the place of the one just taken
            left += 1
            amount[parcel] = wanted
            wanted = 0.0
        else:
            wanted -= amount[parcel]
        site[parcel] = taker
        after[parcel] = head[taker]
        head[taker] = parcel
    head[giver] = -1
    for k in range(left):
        after[held[k]] = head[giver]
        head[giver] = held[k]
    return parcels


@compiled
def _sink(key: Floats, item: Ints, top: int, n: int) -> None:
    """Restore the order of a heap, smallest key first, below one place; equal keys by item."""
    while True:
        least = top
        for child in range(2 * top + 1, min(2 * top + 3, n)):
            if key[child] < key[least] or (key[child] == key[least] and item[child] < item[least]):
                least = child
        if least == top:
            return
        key[top], key[least] = key[least], key[top]
        item[top], item[least] = item[least], item[top]
        top = least
