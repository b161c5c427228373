"""The entry point of `d2oc` and of `python -m d2oc`: imports the command line only once Ctrl-C is taken care of."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from d2oc.cli import main as command_line
    except KeyboardInterrupt:
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
