"""Density-driven optimal control: the three stages of the method, a file each, and `d2oc.py` that joins them."""

from __future__ import annotations
