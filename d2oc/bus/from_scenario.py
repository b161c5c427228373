"""The simulated radio that a scenario describes."""

from __future__ import annotations

from d2oc.bus.radio import JammingZone, Outage, Partition, RadioModel, Span
from d2oc.scenario.schema import JammingTable, OutageTable, PartitionTable, Scenario


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
        outages=tuple(Outage(outage.agents, _span(outage)) for outage in table.outages),
        partitions=tuple(Partition(partition.groups, _span(partition)) for partition in table.partitions),
    )


def _span(table: JammingTable | OutageTable | PartitionTable) -> Span:
    return Span(table.from_s, table.until_s)
