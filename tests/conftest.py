"""What several test folders share."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def d2oc():
    """The command line as a user calls it, in a process of its own."""

    def call(*arguments, cwd, timeout=120):
        return subprocess.run(
            [sys.executable, "-m", "d2oc", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call
