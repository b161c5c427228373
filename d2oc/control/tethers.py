r"""A team that stays connected: which pairs of agents keep in radio range, and where each may be for that.

Every agent flies along a proven way that ends at rest (`d2oc.control.limits_inside`), and those in range know each
other's. The *length* of a pair is how far its two ways ever are apart. A pair may be *tethered* if that is at most the
reach D, a little below the radio range. It is tethered if no third agent is nearer to both than they are to each other,
in this length: the relative neighbourhood graph [1]_. Both agents of a pair, and all that could be such a third one,
are in range of each other, so the two decide alike without a message.

Each of a tethered pair plans its new way within the disc of radius D / 2 around the middle of the two old ways, at
every step. The old ways are in there, and so new ones, old ones or one of each are never more than D apart.

*Why the team stays connected.* Take the graph of all pairs that may be tethered, and let it be connected. A pair that
is dropped is the longest of a triangle, so, ties being broken by numbers, it is in no minimum spanning tree; what is
left holds that tree and is connected too. All tethered pairs may be tethered in the next step again. By induction the
graph is connected at every step, if it is at the start. No bound on what the neighbour could reach is needed, as its
way is known.

References
----------
.. [1] G. T. Toussaint, "The relative neighbourhood graph of a finite planar set", Pattern Recognition 12(4), 1980.
   :doi:`10.1016/0031-3203(80)90066-7`
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.control.half_planes import HalfPlanes
from d2oc.errors import ScenarioError

CORNERS = 8
"""The optimisation knows a disc as the regular polygon in it."""

PLANES = 6
"""Sides of those polygons given to the optimisation at each step: those that the goals lie beyond the most."""

SLACK_M = 0.03
"""The reach is so much below the radio range: drift of both, and rounding. [m]"""

ROUNDING_M = 1e-6
"""Ways may be longer apart by this. [m]"""


def reach_of(comm_range: float) -> float:
    """How far tethered agents may be apart. [m]"""
    return comm_range - SLACK_M


def middles(r: int, own: Floats, number: Ints, others: Floats, reach: float) -> Floats:
    """Middle of the ways of each tethered pair.

    Parameters
    ----------
    r : int
        The agent.
    own : ndarray, shape (P, 2)
        Its way. [m]
    number : ndarray, shape (n,)
        Numbers of the others it hears.
    others : ndarray, shape (n, P, 2)
        Their ways. [m]
    reach : float
        D. [m]

    Returns
    -------
    middle : ndarray, shape (tethers, P, 2)
    """
    length = _lengths(others, own[None])[:, 0]
    able = length <= reach + ROUNDING_M
    number, others, length = number[able], others[able], length[able]
    between = _lengths(others, others)
    kept = [not _is_dropped(i, r, number, length, between) for i in range(len(number))]
    middle: Floats = (others[kept] + own) / 2
    return middle


def _is_dropped(i: int, r: int, number: Ints, length: Floats, between: Floats) -> bool:
    """Whether a third agent is nearer to both; equal lengths are ordered by the numbers of the pair."""
    pair = (length[i], *sorted((int(number[i]), r)))
    return any(
        (length[w], *sorted((int(number[w]), r))) < pair
        and (between[i, w], *sorted((int(number[i]), int(number[w])))) < pair
        for w in range(len(number))
        if w != i
    )


def _lengths(ways: Floats, others: Floats) -> Floats:
    """How far ways are ever apart, shape (len(ways), len(others)). [m]"""
    return np.sqrt(((ways[:, None] - others[None]) ** 2).sum(axis=3)).max(axis=2, initial=0.0)


def keeps_to(positions: Floats, middle: Floats, reach: float) -> bool:
    """Whether a way, shape (P, 2), stays in the discs around all middles."""
    return bool((((positions - middle) ** 2).sum(axis=2) <= (reach / 2) ** 2).all())


def sides(path: Floats, goals: Floats, middle: Floats, reach: float) -> HalfPlanes:
    """Half-planes for the optimisation, which leave the old way allowed.

    Parameters
    ----------
    path : ndarray, shape (H, 2)
        The old way. [m]
    goals : ndarray, shape (H, 2)
        Where the agent wants to be. [m]
    middle : ndarray, shape (tethers, P, 2)
        What `middles` gave.
    reach : float
        D. [m]
    """
    horizon = len(path)
    angle = 2 * np.pi * np.arange(CORNERS) / CORNERS
    normal = np.column_stack([np.cos(angle), np.sin(angle)])
    centre = middle[:, :horizon].transpose(1, 0, 2)
    offset = centre @ normal.T + reach / 2 * np.cos(np.pi / CORNERS) - ROUNDING_M
    offset = np.maximum(offset, (path @ normal.T)[:, None]).reshape(horizon, -1)
    every = np.tile(normal, (len(middle), 1))
    beyond = ((goals @ normal.T)[:, None] - offset.reshape(horizon, len(middle), CORNERS)).max(axis=0).ravel()
    taken = np.sort(np.argsort(-beyond, kind="stable")[:PLANES])
    normals = np.ascontiguousarray(np.broadcast_to(every[taken], (horizon, len(taken), 2)))
    return HalfPlanes(normals, np.ascontiguousarray(offset[:, taken]), np.zeros(len(taken), np.bool_))


def is_connected(place: Floats, reach: float) -> bool:
    """Whether agents at places, shape (L, 2), form one graph of pairs at most `reach` apart."""
    found: Flags = np.zeros(len(place), np.bool_)
    found[:1] = True
    fresh = [0]
    while fresh:
        r = fresh.pop()
        near = ~found & (np.linalg.norm(place - place[r], axis=1) <= reach)
        found |= near
        fresh += np.flatnonzero(near).tolist()
    return bool(found.all())


def require_connected(name: str, starts: Floats, comm_range: float) -> None:
    """Refuse a team that is not connected at the start.

    Raises
    ------
    ScenarioError
    """
    if not is_connected(starts, reach_of(comm_range)):
        raise ScenarioError(
            f"{name}: team.keep_connected = true needs a team that is connected at the start, with less than "
            f"{reach_of(comm_range):g} m from one drone to the next; set team.start_m, or raise radio.comm_range_m [m]"
        )
