"""Sites and capacities as a caller gives them, made ready for the solver."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from d2oc.arrays import Floats, Longs
from d2oc.compiled import compiled
from d2oc.errors import TransportError
from d2oc.transport.power_cells import blocked_order

SAME_PLACE = 4e-6
"""Sites nearer than this share of the grid's diagonal count as one place."""
SPREAD = 1e-6
"""They are moved apart by up to this share of it."""
GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))
NOTHING = 1e-7
"""A capacity below this share of the mass is none."""
ALL = 1e-9
"""Capacities that miss the mass by no more than this share of it fill it."""


class Demand(NamedTuple):
    """The sites that take part, in the solver's order and units."""

    live: Longs
    """Which sites of the caller, shape (L',)."""
    points: Floats
    """From the grid's centre, coincident ones moved apart, shape (L', 2). [cells]"""
    share: Floats
    """Capacities as shares of the mass; they sum to one unless `limited`, shape (L',)."""
    limited: bool
    """Whether the capacities leave mass unserved."""
    crowds: Floats
    """Places with several sites, shape (places, 2). [cells]"""
    crowd_sizes: Longs
    """Sites at each of them."""
    crowd_radius: float
    """How far these were moved apart. [cells]"""


def checked_sites(sites: ArrayLike, capacities: ArrayLike) -> tuple[Floats, Floats]:
    """Sites, shape (L, 2), and capacities, shape (L,), as arrays, or one sentence on what is wrong."""
    points, amounts = np.array(sites, dtype=np.float64), np.array(capacities, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise TransportError(f"sites have shape {points.shape}, expected (number of sites, 2) and at least one")
    if amounts.shape != (len(points),):
        raise TransportError(f"capacities have shape {amounts.shape}, expected one for each of {len(points)} sites")
    if not np.isfinite(points).all():
        raise TransportError("a site is not finite; positions must be numbers in metres")
    if not (amounts >= 0).all() or not np.isfinite(amounts).all():
        raise TransportError("a capacity is negative or not finite; capacities must be 0 or more")
    return points, amounts


def demand_of(points: Floats, capacities: Floats, mass: float, diagonal: float) -> Demand:
    """Who takes part, and with which share of the mass.

    Parameters
    ----------
    points : ndarray, shape (L, 2)
        From the grid's centre. [cells]
    capacities : ndarray, shape (L,)
        In the unit of `mass`. More than the mass in all is scaled down in proportion.
    mass : float
        Mass to serve.
    diagonal : float
        Diagonal of the grid. [cells]

    Returns
    -------
    demand : Demand
    """
    share = capacities / max(mass, capacities.sum())
    live = np.flatnonzero(share > NOTHING)
    dropped = NOTHING * np.count_nonzero((share > 0) & (share <= NOTHING))
    limited = bool(share[live].sum() < 1.0 - ALL - dropped)
    if not limited and len(live):
        share = share / share[live].sum()
    place = _same_place(points[live], SAME_PLACE * diagonal)
    crowds, sizes = np.unique(place, return_counts=True)
    crowds, sizes = crowds[sizes > 1], sizes[sizes > 1]
    apart = _moved_apart(points[live], place, crowds, SPREAD * diagonal)
    order = blocked_order(apart) if len(live) else live
    return Demand(
        live[order], apart[order], share[live][order], limited, points[live][crowds], sizes, SPREAD * diagonal
    )


def _moved_apart(points: Floats, place: Longs, crowds: Longs, radius: float) -> Floats:
    """Coincident sites on a sunflower around their place.

    Power cells of one place cannot be told apart, and any division of the place's cell costs the same. The cells of
    sites that are moved apart a little divide it into compact parts, whatever the distance.
    """
    apart = points.copy()
    for first in crowds:
        group = np.flatnonzero(place == first)
        k = np.arange(len(group))
        reach = radius * np.sqrt((k + 0.5) / len(group))
        turn = np.column_stack([np.cos(k * GOLDEN_ANGLE), np.sin(k * GOLDEN_ANGLE)])
        apart[group] = points[first] + reach[:, None] * turn
    return apart


@compiled
def _same_place(points: Floats, distance: float) -> Longs:
    """For each site the first one that it is not farther from than `distance`; itself if there is none before it."""
    order = np.argsort(points[:, 0], kind="mergesort")
    place = np.arange(len(points))
    for a in range(len(order)):
        i = order[a]
        b = a - 1
        while b >= 0 and points[i, 0] - points[order[b], 0] <= distance:
            j = order[b]
            if place[j] == j and abs(points[i, 1] - points[j, 1]) <= distance:
                place[i] = j
                break
            b -= 1
    return place
