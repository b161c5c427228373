"""Where the field is on the globe: local frame, boundaries and zones from files, rasters; home of the extra `geo`."""

from __future__ import annotations

from d2oc.geo.boundary import NamedRing, Outline, read_boundary, read_zones
from d2oc.geo.frame import LocalFrame

__all__ = ["LocalFrame", "NamedRing", "Outline", "read_boundary", "read_zones"]
