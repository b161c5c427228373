"""Records made by hand, for the tests of records and metrics."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.record import AgentHeader, RecordHeader, RecordWriter, Tick


def by_hand(positions, *, points=None, weights=None, consumption=(), alpha=None, active=None, out=None, clock=None):
    """Record of a team that was at `positions`, shape (ticks, agents, 2), on a field of 100 m by 100 m.

    `consumption` lists (tick, agent, sample, amount); `active`, shape (ticks, agents), says who acted.
    """
    positions = np.asarray(positions, dtype=np.float64)
    n_ticks, n_agents, _ = positions.shape
    points = np.array([[50.0, 50.0]]) if points is None else np.asarray(points, dtype=np.float64)
    weights = np.full(len(points), 1 / len(points)) if weights is None else np.asarray(weights, dtype=np.float64)
    alpha = np.full(n_agents, 1 / (n_agents * max(1, n_ticks - 1))) if alpha is None else alpha
    if active is None:
        active = np.ones((n_ticks, n_agents), dtype=np.bool_)
        active[0] = False
    header = RecordHeader(
        name="by hand",
        seed=1,
        n_steps=n_ticks - 1,
        time_step_s=0.5,
        n_samples=len(points),
        agents=tuple(AgentHeader("double-integrator", ("a", "b"), ("c",), n_ticks - 1, a) for a in alpha),
        boundary_m=((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)),
        no_fly_zones_m=(((10.0, 10.0), (20.0, 10.0), (20.0, 20.0)),),
        sampling={"n_requested": len(points) + 2, "notes": ["by hand"]},
    )
    writer = RecordWriter(out, header, 'name = "by hand"\n', points, weights, **({"clock": clock} if clock else {}))
    for k in range(n_ticks):
        writer.append(tick(k, positions[k], active[k], [entry[1:] for entry in consumption if entry[0] == k]))
    return writer


def tick(k, position, active, eaten):
    n_agents = len(position)
    agent, sample, amount = zip(*sorted(eaten), strict=True) if eaten else ((), (), ())
    consumed = np.bincount(np.array(agent, dtype=np.int64), np.array(amount, dtype=np.float64), n_agents)
    ends = np.arange(n_agents, dtype=np.int32)
    return Tick(
        tick=k,
        position=position,
        state=np.column_stack([position[:, 0], np.full(n_agents, float(k))]),
        input=np.full((n_agents, 1), np.nan if k == 0 else 2.0),
        goal=np.where(active[:, None], position + 1.0, np.nan),
        consumed=consumed.astype(np.float64),
        believed_remaining=np.full(n_agents, 1.0 - 0.01 * k),
        active=np.asarray(active, dtype=np.bool_),
        consumption=(np.array(agent, np.int32), np.array(sample, np.int32), np.array(amount, np.float64)),
        messages=(ends[:-1], ends[1:], np.full(n_agents - 1, k, np.int32), np.full(n_agents - 1, 8 * k, np.int32)),
    )


@pytest.fixture
def write_by_hand():
    """Writer of a record made by hand, see `by_hand`; its `finish` gives the record."""
    return by_hand


@pytest.fixture
def record_by_hand():
    """Record made by hand, see `by_hand`."""
    return lambda *args, **kwargs: by_hand(*args, **kwargs).finish("complete", {})
