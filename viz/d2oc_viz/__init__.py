"""Pictures of d2oc records; this package draws and never runs a controller."""

from __future__ import annotations

from d2oc_viz.coverage import draw_coverage

__all__ = ["draw_coverage"]
