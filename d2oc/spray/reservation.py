"""What each drone may lay where, when it does not hear in flight what the others lay.

Before take-off the room that is left on every cell is divided among the drones, in proportion to what the passes of
each are planned to lay there. A drone that keeps to its part, whatever it meets, cannot exceed a maximum together with
the others, and needs no radio for that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2oc.arrays import Floats
from d2oc.spray.deposit import Footprint, touched_space
from d2oc.spray.division import Route
from d2oc.spray.passes import Passes, lay_flows
from d2oc.spray.raster import Grid

STRAYING = 0.5
"""Added to what is planned: liquid strays a little from where it was planned to come down. [L/ha]"""


def planned_deposit(grid: Grid, footprint: Footprint, passes: Sequence[Passes], route: Route) -> Floats:
    """What a route is planned to lay.

    Parameters
    ----------
    grid : Grid
    footprint : Footprint
    passes : sequence of Passes
        Lattices of the plan.
    route : list of Leg

    Returns
    -------
    deposit : ndarray, shape (rows * columns,)
        [L/ha]
    """
    deposit = np.zeros(grid.rows * grid.columns)
    for k, own in enumerate(passes):
        flow = np.zeros_like(own.flow)
        for part in (leg.segment for leg in route if leg.segment.lattice == k):
            slots = slice(part.first, part.last + 1)
            flow[part.line, slots] = own.flow[part.line, slots]
        lay_flows(grid, own.lines, footprint, flow, deposit, touched_space(footprint, grid, own.lines.slot))
    return deposit


def reserved(room: Floats, planned: Sequence[Floats]) -> list[Floats]:
    """Divide the room of every cell among drones.

    Parameters
    ----------
    room : ndarray, shape (cells,)
        What may still be laid there. [L/ha]
    planned : sequence of ndarray, shape (cells,)
        What each is planned to lay. [L/ha]

    Returns
    -------
    parts : list of ndarray, shape (cells,)
        One a drone; they sum to the room. [L/ha]
    """
    claims = [own + STRAYING for own in planned]
    per_claim = room / np.sum(claims, axis=0)
    return [np.asarray(claim * per_claim) for claim in claims]
