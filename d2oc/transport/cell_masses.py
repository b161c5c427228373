"""Masses of all cells of a power diagram, and how they answer to the potentials."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Ints, Longs
from d2oc.compiled import compiled
from d2oc.transport.line_integrals import RowSums, edge_mass, edge_moments
from d2oc.transport.power_cells import (
    SEEDS,
    Polygon,
    Sites,
    block_tops,
    new_polygon,
    power_cell,
)
from d2oc.transport.rims import RIM, radius


class CellMasses(NamedTuple):
    """What one diagram measures; masses are shares of the grid's mass, areas of its area, lengths in cells."""

    mass: Floats
    """Shape (L,)."""
    area: Floats
    """Shape (L,)."""
    rim_density: Floats
    """Density integrated along the rim of each cell, shape (L,)."""
    rim_length: Floats
    """Length of the rim of each cell, over the grid's area, shape (L,)."""
    first: Ints
    """Lower site of each pair of neighbours, shape (room,)."""
    second: Ints
    """Higher site of each pair, shape (room,)."""
    density: Floats
    """Density integrated along their common edge, shape (room,)."""
    length: Floats
    """Length of that edge over the grid's area, shape (room,)."""
    pairs: Longs
    """Number of pairs, shape (1,)."""


class Workspace(NamedTuple):
    """Memory that is used again for every diagram."""

    polygon: Polygon
    tops: Floats
    """Largest offset of each block of sites."""
    seeds: Ints
    """Neighbours in the last diagram, shape (L, SEEDS)."""


@compiled
def new_masses(n: int) -> CellMasses:
    """Room for one diagram; a planar graph has fewer than 3 n links, the rest is for edges that rounding splits."""
    room = 8 * n + 64
    return CellMasses(
        np.empty(n), np.empty(n), np.empty(n), np.empty(n),
        np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room), np.empty(room), np.zeros(1, np.int64),
    )  # fmt: skip


@compiled
def new_workspace(sites: Sites) -> Workspace:
    """Memory for the diagrams of these sites."""
    n = len(sites.x)
    seeds = np.full((n, SEEDS), -1, np.int32)
    for i in range(n):  # the next in blocked order are likely neighbours
        k = 0
        for j in range(max(0, i - 2), min(n, i + 3)):
            if j != i:
                seeds[i, k] = j
                k += 1
    return Workspace(new_polygon(n), np.empty(len(sites.box)), seeds)


@compiled
def measure_cells(sums: RowSums, sites: Sites, offset: Floats, space: Workspace, found: CellMasses) -> None:
    """Build every cell of the diagram with these offsets and measure it.

    Parameters
    ----------
    sums : RowSums
        The density.
    sites : Sites
        The sites.
    offset : ndarray, shape (L,)
        Offsets b. [cells^2]
    space : Workspace
        Working memory.
    found : CellMasses
        Receives the result.
    """
    found.mass[:] = 0.0
    found.area[:] = 0.0
    found.rim_density[:] = 0.0
    found.rim_length[:] = 0.0
    found.pairs[0] = 0
    space.polygon.used[:] = -1
    block_tops(offset, space.tops)
    for i in range(len(offset)):
        now, n = power_cell(sites, offset, space.tops, i, space.seeds[i], space.polygon)
        for k in range(n):
            after = k + 1 if k + 1 < n else 0
            if 0 <= space.polygon.label[now, k] < i:
                continue  # counted with the other cell
            _count_edge(
                sums, sites, i, space.polygon.label[now, k],
                space.polygon.x[now, k] + sites.half_width, space.polygon.y[now, k] + sites.half_height,
                space.polygon.x[now, after] + sites.half_width, space.polygon.y[now, after] + sites.half_height, found,
            )  # fmt: skip


@compiled
def _count_edge(
    sums: RowSums, sites: Sites, i: int, label: int, x0: float, y0: float, x1: float, y1: float, found: CellMasses
) -> None:
    if label < 0 and label != RIM and (y0 == y1 or (x0 == 0.0 and x1 == 0.0)):
        return  # walls that F dy does not see
    per_area = 0.25 / (sites.half_width * sites.half_height)
    flux, line = edge_mass(sums.mass, x0, y0, x1, y1)
    flux /= sums.total
    line /= sums.total
    area = 0.5 * (x0 + x1) * (y1 - y0) * per_area
    length = np.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2) * per_area
    found.mass[i] += flux
    found.area[i] += area
    if label == RIM:
        found.rim_density[i] += line
        found.rim_length[i] += length
    elif label >= 0:
        found.mass[label] -= flux
        found.area[label] -= area
        pair = found.pairs[0]
        if length > 0.0 and pair < len(found.first):
            found.first[pair], found.second[pair] = i, label
            found.density[pair], found.length[pair] = line, length
            found.pairs[0] = pair + 1


@compiled
def links(sites: Sites, found: CellMasses, background: float) -> Floats:
    r"""How much mass a unit of potential moves across each common edge, shape (pairs,).

    :math:`-\partial m_i / \partial \psi_j = \int_{e_{ij}} \rho\,ds / (2 |y_i - y_j|)`, eq. (1.5) of [1]_, for the
    density mixed with an even background.

    References
    ----------
    .. [1] J. Kitagawa, Q. Merigot and B. Thibert, J. Eur. Math. Soc. 21, 2019. :doi:`10.4171/JEMS/889`
    """
    weight = np.empty(found.pairs[0])
    for k in range(len(weight)):
        i, j = found.first[k], found.second[k]
        distance = np.sqrt((sites.x[i] - sites.x[j]) ** 2 + (sites.y[i] - sites.y[j]) ** 2)
        weight[k] = ((1.0 - background) * found.density[k] + background * found.length[k]) / (2.0 * distance)
    return weight


@compiled
def ground(sites: Sites, offset: Floats, found: CellMasses, background: float) -> Floats:
    """How much unserved mass a unit of potential draws in over each rim, shape (L,)."""
    weight = np.zeros(len(offset))
    if sites.limited:
        for i in range(len(offset)):
            line = (1.0 - background) * found.rim_density[i] + background * found.rim_length[i]
            if line > 0.0:
                weight[i] = line / (2.0 * radius(sites, offset, i))
    return weight


@compiled
def moments(sums: RowSums, sites: Sites, offset: Floats, space: Workspace) -> Floats:
    """Mass, first moments in x and y and second moment of every cell, in grid units from its lower left corner.

    Shape (L, 4).
    """
    space.polygon.used[:] = -1
    total = np.zeros((len(offset), 4))
    block_tops(offset, space.tops)
    for i in range(len(offset)):
        now, n = power_cell(sites, offset, space.tops, i, space.seeds[i], space.polygon)
        x, y = space.polygon.x[now], space.polygon.y[now]
        for k in range(n):
            after = k + 1 if k + 1 < n else 0
            edge_moments(
                sums, x[k] + sites.half_width, y[k] + sites.half_height,
                x[after] + sites.half_width, y[after] + sites.half_height, total[i],
            )  # fmt: skip
    return total


@compiled
def corners(sites: Sites, offset: Floats, space: Workspace) -> tuple[Longs, Floats]:
    """Corners of every cell: those of cell i are start[i] to start[i + 1]; in grid units from the centre."""
    space.polygon.used[:] = -1
    block_tops(offset, space.tops)
    start = np.zeros(len(offset) + 1, np.int64)
    corner = np.empty((16 * len(offset) + 64, 2))
    for i in range(len(offset)):
        now, n = power_cell(sites, offset, space.tops, i, space.seeds[i], space.polygon)
        start[i + 1] = start[i] + n
        if start[i + 1] > len(corner):
            larger = np.empty((2 * start[i + 1], 2))
            larger[: start[i]] = corner[: start[i]]
            corner = larger
        for k in range(n):
            corner[start[i] + k, 0] = space.polygon.x[now, k]
            corner[start[i] + k, 1] = space.polygon.y[now, k]
    return start, corner[: start[-1]].copy()
