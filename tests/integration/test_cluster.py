"""A cluster of several nodes flies the same mission, also when one of them is taken away in flight."""

from __future__ import annotations

import importlib.util
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from d2oc import load_scenario, simulate

PROGRAM = Path(__file__).with_name("three_nodes.py")
OWN_NETWORK = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")


def own_network():
    """Whether this machine lets a program have a network of its own."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run([*OWN_NETWORK, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: extra 'ray'")
@pytest.mark.skipif(not own_network(), reason="no network of its own here, and Ray's nodes listen on all interfaces")
def test_three_nodes_of_which_one_is_lost_give_the_same_record():
    flown = subprocess.run(
        [*OWN_NETWORK, sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=400, check=False
    )
    assert flown.returncode == 0, flown.stderr
    digest, n_nodes, n_replaced = flown.stdout.split()[-3:]
    changes = runpy.run_path(str(PROGRAM))["SCENARIO"]
    assert digest == simulate(load_scenario("six_drones", overrides=changes), runtime="inline").digest()
    assert int(n_nodes) >= 2
    assert int(n_replaced) >= 1
