"""Boundaries and zones from vector files: repaired, turned to local metres, and made simple rings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d2oc.arrays import Floats
from d2oc.errors import MapFileError
from d2oc.geo.frame import LocalFrame, transform
from d2oc.geo.vector import Layer, read_layer, to_lon_lat

__all__ = ["NamedRing", "Outline", "read_boundary", "read_zones", "repaired_shapes", "simple_polygons"]

LARGEST_EXTENT_M = 100_000.0
"""No field is wider. [m]"""
SMALLEST_AREA_M2 = 1.0
"""No field is smaller. [m^2]"""
SLIVER = 0.01
"""A part that is smaller than this share of the largest is taken for a mistake of digitising."""
GRAIN_M = 0.001
"""Corners are rounded to this. [m]"""
MANY_CORNERS = 500
TOLERANCE_M = 0.05
"""Rings of more corners than that are simplified: no corner left out is farther than this from the new ring. [m]"""
MOST_CORNERS = 5_000
MOST_CROSSINGS = 10_000
"""A ring that crosses itself more often is no polygon with a slip, but a scribble."""
QUARTER_CIRCLE = 4
"""Edges that a buffer makes of a quarter of a circle."""


@dataclass(frozen=True, eq=False)
class NamedRing:
    """A zone.

    Attributes
    ----------
    name : str
    ring : ndarray, shape (v, 2)
        Corners, local, the first not repeated. [m]
    """

    name: str
    ring: Floats


@dataclass(frozen=True, eq=False)
class Outline:
    """A field's boundary as it stands in a file.

    Attributes
    ----------
    frame : LocalFrame
    ring : ndarray, shape (v, 2)
        Corners, local. [m]
    holes : tuple of NamedRing
        What the boundary leaves out.
    notes : tuple of str
        Sentences on what was repaired and left out.
    """

    frame: LocalFrame
    ring: Floats
    holes: tuple[NamedRing, ...]
    notes: tuple[str, ...]


def read_boundary(file: Path, frame: LocalFrame | None = None, part: int | None = None) -> Outline:
    """Read the boundary of a field.

    Polygons that touch are joined. Rings that cross themselves are repaired, parts smaller than 1 % of the largest are
    left out, and both is told.

    Parameters
    ----------
    file : Path
        Shapefile, GeoPackage, GeoJSON or KML with one polygon, with or without holes, or with several that touch.
    frame : LocalFrame, optional
        Where the local coordinates begin; default: the south-west corner of the boundary, in whole metres of the UTM
        zone in which its centroid lies.
    part : int, optional
        Which of several polygons that do not touch, counted from 1, the largest first.

    Returns
    -------
    outline : Outline

    Raises
    ------
    MapFileError
        In one sentence, whatever is wrong with the file.
    """
    layer = read_layer(file)
    import shapely

    shapes, notes = _polygons_in(layer)
    frame = frame or _frame_around(layer, shapes)
    local = _local(layer, shapes, frame)
    parts, more = _parts(file, shapely.set_precision(shapely.union_all(local), GRAIN_M))
    polygon = _chosen(file, parts, part)
    polygon, simplified = _simplified(file, polygon)
    holes = tuple(
        NamedRing(f"hole {i + 1}", _corners(hole))
        for i, hole in enumerate(polygon.interiors)
        if shapely.Polygon(hole).area > SMALLEST_AREA_M2
    )
    return Outline(frame, _corners(polygon.exterior), holes, (*layer.notes, *notes, *more, *simplified))


def read_zones(
    file: Path, frame: LocalFrame, ring: Floats, buffer_m: float = 0.0
) -> tuple[tuple[NamedRing, ...], tuple[str, ...]]:
    """Read the zones of a field.

    Parameters
    ----------
    file : Path
        Shapefile, GeoPackage, GeoJSON or KML: polygons, or lines and points with a buffer.
    frame : LocalFrame
        Local coordinates of the field.
    ring : ndarray, shape (v, 2)
        Boundary of the field; zones that do not reach into it are left out. [m]
    buffer_m : float
        Every zone is made wider by this. [m]

    Returns
    -------
    zones : tuple of NamedRing
        A hole in a zone is filled: what is inside a closed zone cannot be reached, or is too near to it.
    notes : tuple of str

    Raises
    ------
    MapFileError
        In one sentence, whatever is wrong with the file.
    """
    layer = read_layer(file)
    import shapely

    repaired, notes = repaired_shapes(layer)
    if buffer_m == 0 and layer.kinds() != {"polygons"}:
        others = " and ".join(sorted(layer.kinds() - {"polygons"}))
        raise MapFileError(f"{file}: holds {others}, which are zones only with a buffer: give one in metres")
    _require_near(layer, frame, ring)
    field = shapely.Polygon(ring)
    zones, remarks, n_elsewhere = [], [], 0
    for name, shape in zip(layer.names, _local(layer, repaired, frame), strict=True):
        wide = shape.buffer(buffer_m, quad_segs=QUARTER_CIRCLE) if buffer_m else shape
        parts = [part for part in _polygons(shapely.set_precision(wide, GRAIN_M)) if part.area > 0]
        inside = [part for part in parts if part.intersection(field).area > 1e-9 * part.area]
        n_elsewhere += not inside
        for part in inside:
            if len(part.interiors):
                remarks.append(f"{file.name}: the hole in zone '{name}' counts as part of the zone")
            polygon, simplified = _simplified(file, shapely.Polygon(part.exterior))
            remarks += simplified
            zones.append(NamedRing(name, _corners(polygon.exterior)))
    if n_elsewhere:
        remarks.append(f"{file.name}: zones that do not reach into the field, left out: {n_elsewhere}")
    return tuple(zones), (*layer.notes, *notes, *remarks)


def _polygons_in(layer: Layer) -> tuple[Any, tuple[str, ...]]:
    """Polygons of a layer in its own coordinates, rings that cross themselves repaired, and sentences on that."""
    kinds = layer.kinds()
    if kinds != {"polygons"}:
        held = " and ".join(sorted(kinds)) or "shapes of another kind"
        raise MapFileError(f"{layer.file}: holds {held}; a boundary is one polygon, so save that alone in a file")
    return repaired_shapes(layer)


def repaired_shapes(layer: Layer) -> tuple[Any, tuple[str, ...]]:
    """Shapes of a layer in its own coordinates, rings that cross themselves repaired, and sentences on that."""
    import shapely

    shapes = layer.shapes.copy()
    wrong = np.flatnonzero(~shapely.is_valid(shapes))
    notes = []
    for i in wrong:
        why = str(shapely.is_valid_reason(shapes[i])).split("[")[0].lower()
        _require_few_crossings(layer.file, shapes[i])
        before = shapes[i]
        shapes[i] = shapely.make_valid(before, method="structure", keep_collapsed=False)
        if shapely.is_empty(shapes[i]):
            shapes[i] = shapely.make_valid(before)
        notes.append(f"{layer.file.name}: shape '{layer.names[i]}' was repaired ({why})")
    return shapes, (*notes[:5], *([f"{layer.file.name}: and {len(notes) - 5} more were repaired"] if notes[5:] else ()))


def _require_few_crossings(file: Path, shape: Any) -> None:
    """Refuse rings whose repair would take very long: its cost grows with the number of crossings."""
    import shapely

    corners = shapely.get_coordinates(shape)
    edges = shapely.linestrings(np.stack([corners[:-1], corners[1:]], axis=1))
    tree = shapely.STRtree(edges)
    n_meeting = 0
    for first in range(0, len(edges), 200):
        n_meeting += tree.query(edges[first : first + 200]).shape[1]
        if n_meeting > 3 * (first + 200) + 20 * MOST_CROSSINGS:
            raise MapFileError(f"{file}: a ring crosses itself so often that no field can be made of it; draw it anew")


def _frame_around(layer: Layer, shapes: Any) -> LocalFrame:
    import shapely

    x_min, y_min, x_max, y_max = shapely.total_bounds(shapes)
    corners = to_lon_lat(layer.file, np.array([[x_min, y_min], [x_max, y_max]]), layer.crs)
    if np.ptp(corners[:, 0]) > 180:
        raise MapFileError(
            f"{layer.file}: its longitudes go from {corners[0, 0]:g} to {corners[1, 0]:g}: a field across the 180th "
            "meridian cannot be read; shift it or split it there"
        )
    parts = [part for shape in shapes for part in _polygons(shape)]
    centre = shapely.centroid(shapely.multipolygons(parts)) if parts else shapely.Point()
    if shapely.is_empty(centre) or not np.isfinite(shapely.get_coordinates(centre)).all():
        raise MapFileError(f"{layer.file}: its polygons have no area")
    place = to_lon_lat(layer.file, shapely.get_coordinates(centre), layer.crs)[0]
    zone = LocalFrame.at(float(place[0]), float(place[1]))
    corner = np.floor(transform(shapely.get_coordinates(shapes), layer.crs, zone.crs).min(axis=0))
    if not np.isfinite(corner).all():
        raise MapFileError(f"{layer.file}: reaches too far from its centre for one UTM zone; is it one field?")
    return LocalFrame(zone.crs, float(corner[0]), float(corner[1]))


def _local(layer: Layer, shapes: Any, frame: LocalFrame) -> Any:
    """Shapes in local metres; what reprojection makes invalid is repaired without a word (it moves by nanometres)."""
    import shapely

    local = shapely.transform(shapes, lambda places: frame.to_local(places, layer.crs))
    if not np.isfinite(shapely.get_coordinates(local)).all():
        raise MapFileError(f"{layer.file}: has places that UTM zone {frame.crs} does not reach")
    wrong = ~shapely.is_valid(local)
    local[wrong] = shapely.make_valid(local[wrong])
    return local


def simple_polygons(layer: Layer, shapes: Any, frame: LocalFrame) -> list[Any]:
    """All polygons of shapes in local metres; never none.

    Raises
    ------
    MapFileError
        If they have no area.
    """
    parts = [part for shape in _local(layer, shapes, frame) for part in _polygons(shape) if part.area > 0]
    if not parts:
        raise MapFileError(f"{layer.file}: its polygons have no area")
    return parts


def _parts(file: Path, shape: Any) -> tuple[list[Any], tuple[str, ...]]:
    """Polygons of a shape, the largest first; slivers are left out."""
    parts = sorted(_polygons(shape), key=lambda part: -part.area)
    if not parts or parts[0].area < SMALLEST_AREA_M2:
        area = parts[0].area if parts else 0.0
        raise MapFileError(
            f"{file}: covers {area:.3g} square metres, which is no field; are its coordinates degrees though it "
            "declares metres?"
        )
    x_min, y_min, x_max, y_max = shape.bounds
    if max(x_max - x_min, y_max - y_min) > LARGEST_EXTENT_M:
        raise MapFileError(
            f"{file}: is {(x_max - x_min) / 1000:,.0f} x {(y_max - y_min) / 1000:,.0f} km large; a field is at most "
            f"{LARGEST_EXTENT_M / 1000:.0f} km"
        )
    kept = [part for part in parts if part.area >= SLIVER * parts[0].area]
    lost = parts[len(kept) :]
    if not lost:
        return kept, ()
    area = sum(part.area for part in lost)
    return kept, (f"{file.name}: parts below 1 % of the largest, left out: {len(lost)} ({area:.3g} m2)",)


def _chosen(file: Path, parts: list[Any], number: int | None) -> Any:
    areas = ", ".join(f"{part.area / 1e4:.3g}" for part in parts[:8]) + (", ..." if parts[8:] else "")
    if number is None and len(parts) > 1:
        raise MapFileError(
            f"{file}: has {len(parts)} separate polygons ({areas} ha), a field is one; choose it by "
            f"boundary_part = 1 (the largest) to {len(parts)}, or save it alone"
        )
    if number is not None and number > len(parts):
        raise MapFileError(
            f"{file}: has {len(parts)} polygons ({areas} ha), so boundary_part = {number} is none of them"
        )
    return parts[(number or 1) - 1]


def _simplified(file: Path, polygon: Any) -> tuple[Any, tuple[str, ...]]:
    import shapely

    n = int(shapely.get_num_coordinates(polygon))
    if n <= MANY_CORNERS:
        return polygon, ()
    simple = shapely.simplify(polygon, TOLERANCE_M, preserve_topology=True)
    left = int(shapely.get_num_coordinates(simple))
    if left > MOST_CORNERS:
        raise MapFileError(f"{file}: has {left:,} corners, more than {MOST_CORNERS:,}; simplify it")
    if left == n:
        return polygon, ()
    return simple, (f"{file.name}: {n:,} corners simplified to {left:,}, within {100 * TOLERANCE_M:.0f} cm",)


def _require_near(layer: Layer, frame: LocalFrame, ring: Floats) -> None:
    """Refuse zones in another part of the world: their coordinate system or the order of their axes must be wrong."""
    import shapely

    corners = shapely.get_coordinates(layer.shapes)
    places = to_lon_lat(layer.file, corners[[0]], layer.crs)[0]
    field = frame.to_lon_lat(ring.mean(axis=0))[0]
    apart = np.abs(places - field)
    if apart.max() > 5:
        swapped = np.abs(places[::-1] - field).max() < 1
        hint = "longitude and latitude look swapped" if swapped else "check its coordinate system"
        raise MapFileError(
            f"{layer.file}: begins at longitude {places[0]:.4f}, latitude {places[1]:.4f}, but the field is at "
            f"{field[0]:.4f}, {field[1]:.4f}; {hint}"
        )


def _polygons(shape: Any) -> list[Any]:
    """Polygons in a shape, whatever it is a collection of."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shape))
    return [part for part in parts if shapely.get_type_id(part) == 3 and not shapely.is_empty(part)]


def _corners(ring: Any) -> Floats:
    """Corners of a ring, the first not repeated, shape (v, 2). [m]"""
    import shapely

    corners: Floats = shapely.get_coordinates(ring)[:-1]
    return corners
