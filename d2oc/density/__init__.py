"""The reference density: what is to be covered, from a formula, scouting counts, a picture or an array, as samples.

::

    table ── build_density ──> Density, Field ── sample_density ──> SampleSet
"""

from __future__ import annotations

from d2oc.density.build import build_density
from d2oc.density.grid import GridDensity
from d2oc.density.mixture import Mixture, Patch
from d2oc.density.points import ScoutedPoints
from d2oc.density.protocol import Density
from d2oc.density.sampling import SampleSet, sample_density
from d2oc.density.uniform import Uniform

__all__ = [
    "Density",
    "GridDensity",
    "Mixture",
    "Patch",
    "SampleSet",
    "ScoutedPoints",
    "Uniform",
    "build_density",
    "sample_density",
]
