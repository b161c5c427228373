"""State-space models of the vehicles: what the controller believes about how they move."""

from __future__ import annotations
