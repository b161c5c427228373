"""The command `d2oc`: parses, calls, prints; all work is done elsewhere. A file for each group of commands."""

# Each adds its commands, in the order in which `d2oc --help` lists them.
# isort: off
from d2oc.cli import run, new, field, pictures, scenarios, compare, sweep, network, fly, export, bench  # noqa: F401

# isort: on
from d2oc.cli.program import app, main

__all__ = ["app", "main"]
