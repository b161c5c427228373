"""What commands print: sentences on standard error, JSON for machines on standard output."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output, nothing else.")]


def say(text: str) -> None:
    """Print a sentence for a person on standard error."""
    print(text, file=sys.stderr)


def print_json(content: object) -> None:
    """Print for machines."""
    print(json.dumps(content, indent=2, allow_nan=False, default=str))


def as_file_name(name: str) -> str:
    """Turn a scenario's name into one that every file system takes."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "run"
