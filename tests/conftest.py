"""What several test folders share."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test marked `alone` has the machine to itself, however many workers run tests."""
    with turn(item):
        return (yield)


@contextmanager
def turn(item):
    """Wait until a test may run: those that run alone hold a lock by themselves, the others share it.

    Who waits for the lock holds the gate, so that nobody comes in between.
    """
    workers = getattr(item.config, "workerinput", None)
    if workers is None:
        yield
        return
    import fcntl

    name = Path(tempfile.gettempdir()) / f"d2oc-tests-{workers['testrunuid']}"
    with open(f"{name}.gate", "w") as gate, open(f"{name}.machine", "w") as machine:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
