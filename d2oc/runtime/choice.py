"""Which runtime flies a mission: all agents on shared arrays, or agents that know only what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from d2oc.arrays import Floats, Ints
from d2oc.bus.from_scenario import gps_ends, radio_model
from d2oc.bus.perfect import PerfectBus
from d2oc.bus.radio import Radio
from d2oc.control.baselines import BASELINES
from d2oc.control.d2oc import Team
from d2oc.control.weight_sharing import Mail
from d2oc.errors import RuntimeUnavailableError
from d2oc.runtime.agents import AgentsRuntime, Host, LocalHost, agent_setups, ground_of_team
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.scenario.schema import Scenario
from d2oc.vehicles.motion import Motion
from d2oc.world import World

Name = Literal["auto", "arrays", "inline", "ray"]

LARGEST_INLINE = 16
"""Agents that are stepped one by one where the radio is perfect; larger teams are stepped as arrays."""
WORTH_RAY = 50_000_000
"""Samples times agents from which Ray's processes gain more than they cost."""


class Runtime(Protocol):
    """What flies a team step by step; its arrays hold the outcome of the last step."""

    team: Team
    motion: Motion
    world: World

    def step(self, k: int) -> None:
        """Fly step k of the mission."""

    @property
    def mail(self) -> Mail:
        """Messages of the last step."""

    @property
    def finished(self) -> bool:
        """Whether nobody has anything left to treat, as far as each knows."""

    @property
    def believed_remaining(self) -> Floats:
        """Remaining weight each agent believes in, shape (L,)."""

    @property
    def memory_bytes(self) -> int:
        """Memory of beliefs, ledgers, search tree and law. [byte]"""

    def consumption(self, k: int) -> tuple[Ints, Ints, Floats]:
        """Agent, sample and amount of what was consumed in step k, the last one."""

    @property
    def events(self) -> tuple[Ints, Ints]:
        """Agent and code of what happened in the last step, see `d2oc.record.EVENT_CODES`."""

    def snapshot(self) -> bytes | None:
        """All that the flight remembers, None if it must begin anew."""

    def close(self) -> None:
        """Leave nothing running."""


@dataclass(frozen=True)
class RuntimeChoice:
    """What was asked for."""

    name: Name = "auto"
    """`auto`: `inline`, or `ray` where that is installed and worth it; with a perfect radio `arrays` for large teams
    and for what agents that know only what they are told cannot fly."""
    agents_per_actor: int | None = None
    """Runtime `ray`: agents that share a process."""
    ray_address: str | None = None
    """Runtime `ray`: an existing cluster."""


def build_runtime(
    scenario: Scenario,
    setup: TeamSetup,
    choice: RuntimeChoice,
    world: World | None = None,
    memory: bytes | None = None,
) -> tuple[Name, Runtime]:
    """Get a team ready to fly.

    Parameters
    ----------
    scenario : Scenario
        What is flown.
    setup : TeamSetup
        Its team.
    choice : RuntimeChoice
        What was asked for.
    world : World, optional
        What moves the vehicles; default: their model equations.
    memory : bytes, optional
        What `Runtime.snapshot` gave: the flight goes on from there.

    Returns
    -------
    name : str
        What was taken.
    runtime : Runtime

    Raises
    ------
    RuntimeUnavailableError
        If this runtime cannot fly this scenario, or its processes cannot be started.
    MissingExtraError
        If Ray is asked for and not installed.
    """
    name = _chosen(scenario, setup, choice)
    if name == "arrays":
        if not _without_faults(scenario):
            raise RuntimeUnavailableError(
                f"{scenario.name}: the runtime 'arrays' has a perfect radio and no GPS that fails, "
                "but [radio] or [[faults]] ask for faults; use the runtime 'inline' or 'ray'"
            )
        return name, ArraysRuntime(setup, PerfectBus(scenario.radio.comm_range_m), world)
    require_fit(scenario)
    return name, _agents_runtime(scenario, setup, name, choice, world, memory)


def require_fit(scenario: Scenario) -> None:
    """Refuse a scenario that agents which know only what they are told cannot fly."""
    for key, value, needed in unfit(scenario):
        raise RuntimeUnavailableError(
            f'{scenario.name}: {key} = "{value}" is not for agents that know only what they are told; '
            f"it must be {needed}, or use the runtime 'arrays'"
        )


def unfit(scenario: Scenario) -> list[tuple[str, str, str]]:
    """Keys that only the runtime `arrays` obeys: key, value and what the others need."""
    keys: list[tuple[str, str, str]] = [
        ("mission.order", scenario.mission.order, "parallel"),
        ("ledger.rule", scenario.ledger.rule, "sum"),
    ]
    found = [(key, value, f'"{needed}"') for key, value, needed in keys if value != needed]
    if scenario.control.law in BASELINES:
        found.append(("control.law", scenario.control.law, '"mission-plan" or "closed-form"'))
    vehicles = [scenario.vehicle, *(group.vehicle for group in scenario.team.groups if group.vehicle)]
    if any(vehicle.model == "unicycle" for vehicle in vehicles):
        found.append(("vehicle.model", "unicycle", "a linear model"))
    if scenario.team.keep_connected:
        found.append(("team.keep_connected", "true", "false"))
    return found


def _chosen(scenario: Scenario, setup: TeamSetup, choice: RuntimeChoice) -> Name:
    if choice.name != "auto":
        return choice.name
    if choice.agents_per_actor is not None or choice.ray_address is not None:
        return "ray"
    if _without_faults(scenario) and (len(setup.kind) > LARGEST_INLINE or unfit(scenario)):
        return "arrays"
    from d2oc.runtime.ray_actors import installed

    return "ray" if installed() and len(setup.kind) * len(setup.weights) >= WORTH_RAY else "inline"


def quickest_runtime(scenario: Scenario) -> Name:
    """`arrays` where the radio is perfect: for comparisons, which fly many missions."""
    return "arrays" if _without_faults(scenario) else "auto"


def _without_faults(scenario: Scenario) -> bool:
    """Whether every message in range arrives at once, and everybody knows where it is."""
    return radio_model(scenario).perfect and all(fault.what == "crash" for fault in scenario.faults)


def _agents_runtime(
    scenario: Scenario,
    setup: TeamSetup,
    name: Name,
    choice: RuntimeChoice,
    world: World | None,
    memory: bytes | None,
) -> AgentsRuntime:
    ground = ground_of_team(setup)
    model = radio_model(scenario)
    setups = agent_setups(setup, ground, model.time_step, model.message_limit, give_way=scenario.mission.give_way)
    radio = Radio(model, len(setups), scenario.seed)
    host: Host
    if name == "ray":
        from d2oc.runtime.ray_actors import RayHost

        host = RayHost(setups, ground, choice.agents_per_actor, choice.ray_address)
    else:
        host = LocalHost(setups, ground)
    try:
        fix_ends = gps_ends(scenario, len(setups))
        return AgentsRuntime(setup, host, radio, ground.quantum, world, memory, fix_ends)
    except BaseException:
        host.close()
        raise
