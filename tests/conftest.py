"""What several test folders share."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, settings

# A busy machine that compiles on the way is slow, not wrong.
settings.register_profile("d2oc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("d2oc")


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
