"""Optimal transport: nearest mass, Wasserstein distances."""

from __future__ import annotations
