"""`python -m d2oc` is the command `d2oc`."""

from __future__ import annotations

from d2oc.cli import main

if __name__ == "__main__":
    main()
