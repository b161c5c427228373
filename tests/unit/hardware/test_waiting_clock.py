"""The clock that all processes of a simulated flight share: it waits for who is late, but not for ever."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from d2oc_hardware.waiting_clock import ALONE_S, HOLD_S, LATE_S, Pacemaker, WaitingClock

SPEEDUP = 20.0
AT_MOST_LATE = LATE_S + 2.0 * HOLD_S * SPEEDUP
"""What a beat has room for, and how far readers go on by themselves."""


@pytest.fixture
def pacemaker():
    pacemaker = Pacemaker(2, SPEEDUP)
    yield pacemaker
    pacemaker.close()


def clocks(pacemaker):
    return [WaitingClock.in_file(pacemaker.path, number, SPEEDUP) for number in range(2)]


def test_without_anybody_to_wait_for_it_goes_at_its_speed(pacemaker):
    began, wall = pacemaker.clock.now(), time.monotonic()
    time.sleep(0.5)
    gone, could = pacemaker.clock.now() - began, SPEEDUP * (time.monotonic() - wall)
    assert 0.0 < gone <= could + AT_MOST_LATE
    assert pacemaker.pace == SPEEDUP


def test_it_does_not_go_beyond_a_turn_that_was_not_taken(pacemaker):
    slow, quick = clocks(pacemaker)
    quick.expect(math.inf)
    for turn in range(1, 6):
        slow.expect(float(turn))
        time.sleep(0.2)  # four seconds of the flight, if nobody waited
        assert quick.now() <= turn + AT_MOST_LATE
    assert quick.now() >= 5.0
    assert pacemaker.pace < 0.5 * SPEEDUP


def test_who_says_nothing_is_not_waited_for_until_it_speaks_again(pacemaker):
    one, other = clocks(pacemaker)
    one.expect(1.0)
    end = time.monotonic() + 30.0
    while other.now() < 10.0 and time.monotonic() < end:
        time.sleep(0.01)
    assert other.now() >= 10.0
    moment = other.now() + 3.0
    one.expect(moment)
    time.sleep(0.5)
    assert moment <= other.now() <= moment + AT_MOST_LATE


def test_it_never_falls_and_all_read_the_same(pacemaker):
    one, other = clocks(pacemaker)
    over, fell = threading.Event(), []

    def look(clock):
        before = clock.now()
        while not over.is_set():
            now = clock.now()
            if now < before:
                fell.append((before, now))
            before = now

    threads = [threading.Thread(target=look, args=(clock,)) for clock in (one, other, pacemaker.clock)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        one.expect(float(turn))
        time.sleep(0.02)
    over.set()
    for thread in threads:
        thread.join()
    assert fell == []
    wall = time.monotonic()
    assert one.at(wall) == pytest.approx(other.at(wall), abs=AT_MOST_LATE)


def test_without_a_ground_station_it_goes_on_alone():
    """As in a flight whose ground station was killed: its clock stands in the file, and nobody writes any more."""
    keeper = (
        "import sys, time; from d2oc_hardware.waiting_clock import Pacemaker; "
        f"print(Pacemaker(1, {SPEEDUP}).path, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", keeper], stdout=subprocess.PIPE, text=True) as process:
        path = Path(process.stdout.readline().strip())
        clock = WaitingClock.in_file(path, 0, SPEEDUP)
        process.kill()
        process.wait()
    path.unlink()
    now = clock.now()
    time.sleep(ALONE_S + 0.5)
    assert clock.now() >= now + 0.4 * SPEEDUP


def test_sleeping_ends_at_its_moment_of_the_flight(pacemaker):
    slow, sleeper = clocks(pacemaker)
    slow.expect(1.0)

    async def sleep():
        sleeping = asyncio.ensure_future(sleeper.sleep_until(2.0))
        await asyncio.sleep(0.3)
        assert not sleeping.done()
        slow.expect(math.inf)
        await sleeping
        return sleeper.now()

    assert asyncio.run(sleep()) >= 2.0
