"""Runtimes: the same agents stepped in one process or in many."""

from __future__ import annotations
