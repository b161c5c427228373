"""What several tests of whole programs share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def drones_of():
    """Finds the processes of drones that a ground station has started."""

    def find(process):
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended meanwhile
                continue
            if b"d2oc_hardware.drone_process" in words and parent == process.pid:
                found.append(int(entry.name))
        return found

    return find
