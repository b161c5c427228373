"""The simulated radio that a scenario describes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2oc.arrays import Longs
from d2oc.bus.radio import JammingZone, Outage, Partition, RadioModel, Span
from d2oc.scenario.schema import FaultTable, JammingTable, OutageTable, PartitionTable, Scenario

NEVER = 1 << 40
"""A tick that no mission reaches."""


def radio_model(scenario: Scenario) -> RadioModel:
    """Links of a scenario."""
    table = scenario.radio
    return RadioModel(
        comm_range=table.comm_range_m,
        time_step=scenario.mission.time_step_s,
        loss=table.loss,
        loss_at_range=table.loss_at_range,
        delay=table.delay_s,
        jitter=table.jitter_s,
        bandwidth=table.bandwidth_bytes_per_s,
        message_limit=table.message_limit_bytes,
        jamming=tuple(JammingZone(zone.centre_m, zone.radius_m, _span(zone)) for zone in table.jamming),
        outages=(
            *(Outage(outage.agents, _span(outage)) for outage in table.outages),
            *(Outage(fault.agents, Span(fault.at_s)) for fault in scenario.faults if fault.what == "radio"),
        ),
        partitions=tuple(Partition(partition.groups, _span(partition)) for partition in table.partitions),
    )


def gps_ends(scenario: Scenario, n_agents: int) -> Longs:
    """Tick from which on each agent knows no more where it is, shape (L,)."""
    return first_ticks(
        [fault for fault in scenario.faults if fault.what == "gps"], scenario.mission.time_step_s, n_agents
    )


def first_ticks(faults: Sequence[FaultTable], time_step: float, n_agents: int) -> Longs:
    """Tick of the first of some faults of each agent, shape (L,); `NEVER` if it has none."""
    ticks = np.full(n_agents, NEVER, np.int64)
    for fault in faults:
        agents = list(fault.agents)
        ticks[agents] = np.minimum(ticks[agents], round(fault.at_s / time_step))
    return ticks


def _span(table: JammingTable | OutageTable | PartitionTable) -> Span:
    return Span(table.from_s, table.until_s)
