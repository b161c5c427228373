"""Where the flights of a sweep are flown: in this process, in a pool of processes, or on a Ray cluster."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import NamedTuple

from d2oc.errors import D2ocError, RuntimeUnavailableError
from d2oc.mission import simulate
from d2oc.scenario.schema import Scenario


class Flown(NamedTuple):
    """How one flight ended."""

    measures: dict[str, float]
    """Numbers of the summary, without times; empty if it could not be flown."""
    problem: str | None = None
    """Why it could not be flown."""


Submit = Callable[[Scenario], "Future[Flown]"]


def fly(scenario: Scenario) -> Flown:
    """Fly once and measure."""
    try:
        record = simulate(scenario)
        if record.status == "interrupted":
            raise KeyboardInterrupt
        summary = record.summary()
    except D2ocError as error:
        return Flown({}, str(error))
    return Flown({key: value for key, value in summary.items() if type(value) in (int, float)})


@contextmanager
def flights(n_at_once: int, ray_address: str | None = None) -> Iterator[Submit]:
    """What takes scenarios and flies them.

    Parameters
    ----------
    n_at_once : int
        Flights at the same time.
    ray_address : str, optional
        A Ray cluster that flies them; default: this machine.
    """
    if ray_address is not None:
        with _on_ray(n_at_once, ray_address) as submit:
            yield submit
    elif n_at_once == 1:
        yield _here
    else:
        with ProcessPoolExecutor(n_at_once, get_context("spawn"), _leave_interrupts_to_the_driver) as pool:
            try:
                yield lambda scenario: pool.submit(fly, scenario)
            except BrokenProcessPool:
                raise RuntimeUnavailableError(
                    "a process that flew a part of the sweep was killed, perhaps for want of memory; "
                    "--resume goes on, with a smaller --jobs"
                ) from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _here(scenario: Scenario) -> Future[Flown]:
    """Fly at once, in this process."""
    future: Future[Flown] = Future()
    future.set_result(fly(scenario))
    return future


def _leave_interrupts_to_the_driver() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _on_ray(n_at_once: int, address: str) -> Iterator[Submit]:
    from d2oc.runtime.ray_actors import connect

    connection = connect(None if address == "local" else address, n_at_once)
    try:
        task = connection.ray.remote(fly)
        yield lambda scenario: task.remote(scenario).future()
    finally:
        connection.close()
