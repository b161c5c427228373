"""Benchmarks that any user can run: `d2oc bench`. Each measures a peer in the same run and reports the ratio."""

from __future__ import annotations
