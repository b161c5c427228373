"""Records made up by hand: a team on straight ways that treats a row of samples."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.record import AgentHeader, RecordHeader, RecordWriter, Tick

STEP_S = 0.5
SCENARIO = """name = "made-up"
description = "A team on straight ways"

[vehicle]
model = "quadrotor"
max_speed_m_s = 3.0
max_tilt_deg = 20.0
max_force_n = inf

[team]
separation_m = 2.0
"""
STATES = ("x_m", "vx_m_s", "theta_rad", "theta_rate_rad_s", "y_m", "vy_m_s", "phi_rad", "phi_rate_rad_s")


def header(n_agents, n_steps, n_samples, *, tilting):
    model, names = ("quadrotor", STATES) if tilting else ("single-integrator", ("x_m", "y_m"))
    agent = AgentHeader(model, names, ("a", "b"), n_steps, 1.0 / max(n_steps * n_agents, 1))
    return RecordHeader(
        name="made-up", seed=7, n_steps=n_steps, time_step_s=STEP_S, n_samples=n_samples, agents=(agent,) * n_agents,
        boundary_m=((0.0, 0.0), (100.0, 0.0), (100.0, 80.0), (0.0, 80.0)),
        no_fly_zones_m=(((40.0, 30.0), (50.0, 30.0), (50.0, 45.0)),),
        sampling={"n_requested": n_samples},
    )  # fmt: skip


def tick(k, head, *, tilting, telemetry, events):
    n = head.n_agents
    agent = np.arange(n, dtype=np.int32)
    position = np.column_stack([2.0 + k * STEP_S + 0 * agent, 80.0 * (agent + 0.5) / n])
    state = np.zeros((n, len(head.agents[0].state_names)))
    if tilting:
        state[:, 2] = 0.1
    taken = np.empty(0) if k == 0 else np.full(n, 0.6 / head.n_samples)
    sample = ((k - 1) * n + agent) // 2 % head.n_samples  # two agents each: what both give is more than there is
    none = np.empty(0, np.int32)
    pairs = (agent[:-1], agent[1:]) if k % 4 else (none, none)
    more = {
        "charge": np.full(n, 1.0 - k / 1000),
        "liquid_l": np.full(n, 10.0),
        "fault": np.full(n, float(k > 2)),
        "model_error_m": np.zeros(n),
    }
    return Tick(
        tick=k, position=position, state=state, input=np.zeros((n, 2)), goal=position + 1.0,
        consumed=np.full(n, taken.sum() / n), believed_remaining=np.full(n, max(0.0, 1 - k / 100)),
        active=np.full(n, k > 0), consumption=(agent[: len(taken)], sample[: len(taken)].astype(np.int32), taken),
        messages=(*pairs, np.ones(len(pairs[0]), np.int32), np.full(len(pairs[0]), 44, np.int32)),
        events=(agent[:1], np.ones(1, np.int32)) if events and k == 2 else (none, none),
        telemetry=more if telemetry else {},
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_record():
    def make(
        n_agents=3,
        n_steps=40,
        *,
        out=None,
        n_samples=80,
        tilting=True,
        telemetry=True,
        events=True,
        status="complete",
        planned=None,
    ):
        head = header(n_agents, planned or n_steps, n_samples, tilting=tilting)
        points = np.column_stack([np.linspace(1, 99, n_samples), np.linspace(1, 79, n_samples)])
        writer = RecordWriter(out, head, SCENARIO, points, np.full(n_samples, 1.0 / n_samples))
        for k in range(n_steps + 1):
            writer.append(tick(k, head, tilting=tilting, telemetry=telemetry, events=events))
        return writer.finish(status, {"wall_time_s": 1.0, "compute_time_s": 0.5, "agent_steps": n_agents * n_steps})

    return make


@pytest.fixture(scope="session")
def record(make_record, tmp_path_factory):
    return make_record(out=tmp_path_factory.mktemp("flown") / "made-up")


@pytest.fixture(scope="session")
def sprayed(make_record):
    """The same with a raster of 4 by 5 cells of 20 m, row 0 in the south."""
    from dataclasses import replace

    from d2oc.record import Record

    flown = make_record()
    raster = {"n_rows": 4, "n_columns": 5, "cell_m": 20.0, "origin_x_m": 0.0, "origin_y_m": 0.0}
    row, column = np.divmod(np.arange(20), 5)
    cells = {
        "x_m": 20.0 * column + 10.0,
        "y_m": 20.0 * row + 10.0,
        "target_l_ha": np.where(row == 0, 12.0, 0.0),
        "maximum_l_ha": np.full(20, 20.0),
        "deposit_l_ha": np.where(row == 0, 9.0, 0.0),
    }
    tables = {name: getattr(flown, name) for name in ("samples", "trajectory", "consumption", "messages", "events")}
    header = replace(flown.header, raster=raster)
    more = {"spray_l_min": np.full(len(tables["trajectory"]["tick"]), 0.5)}
    tables["trajectory"] = {**tables["trajectory"], **more}
    return Record(header, "complete", flown.scenario_toml, {**tables, "cells": cells}, flown.provenance)
