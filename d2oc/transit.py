"""Take-off and the way to the start before a mission, the way home and the landing after it.

Outside the mission no control law flies: the autopilots are told velocities and heights, and nothing is sprayed. The
team acts as one, so that nobody crosses the column of air in which another climbs or descends: no one sets out before
everyone is at its height, and no one lands before everyone is over its home. In between each flies at its own height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.control.d2oc import Team
from d2oc.control.fence import fence_of
from d2oc.control.stopping import stoppable_speed
from d2oc.control.ways import Ways, way_past
from d2oc.control.weight_sharing import Mail, empty_mail
from d2oc.errors import ScenarioError
from d2oc.field import Field
from d2oc.phases import Phase
from d2oc.runtime.arrays import TeamSetup, locate_all, positions
from d2oc.runtime.choice import Runtime
from d2oc.scenario.schema import Scenario, TransitTable
from d2oc.vehicles.motion import Motion, motion_arrays
from d2oc.world import World
from d2oc.worlds import home_places, start_heights, start_places

ACCELERATION = 2.0
"""To and from the speed of transit. [m/s^2]"""
APPROACH = 0.8
"""Speed towards a place near by, per distance. [1/s]"""
APPROACH_S = 8.0
"""Time of that: from 5 m/s to a centimetre. [s]"""
ARRIVED_M = 0.3
"""Over its home, or at a corner of its way, a drone is within this. [m]"""
SETTLE_S = 3.0
"""Time for the bodies to follow what their autopilots were told. [s]"""
CLEARANCE_M = 3.0
"""Kept from no-fly zones. [m]"""
ALLOWANCE = 1.5
"""Time allowed for transit, over that without wind."""
SAME_PLACE_M = 1e-6
"""A drone so near to its start begins exactly there. [m]"""


@dataclass(frozen=True, eq=False)
class TransitPlan:
    """What is flown around a mission."""

    home: Floats
    """Where each takes off and lands, shape (L, 2). [m]"""
    start: Floats
    """Where each begins its mission, shape (L, 2). [m]"""
    height: Floats
    """Above ground, of each, shape (L,). [m]"""
    speed: Floats
    """Of each in transit, shape (L,). [m/s]"""
    climb: float
    """[m/s]"""
    descent: float
    """[m/s]"""
    time_step: float
    """[s]"""
    n_mission: int
    """Steps of the mission."""
    ways: Ways | None
    """Around the no-fly zones; None: there are none."""
    reach: float
    """No way home is longer than this. [m]"""

    @cached_property
    def n_out(self) -> int:
        """Steps before the mission: it begins on time, so that its length is known."""
        longest = max(self._length(a, b) for a, b in zip(self.home, self.start, strict=True))
        return self._steps(float(self.height.max()) / self.climb + self._time(longest))

    @cached_property
    def n_steps(self) -> int:
        """Most steps of everything."""
        descent = float(self.height.max()) / self.descent
        return self.n_out + self.n_mission + self._steps(self._time(self.reach) + descent)

    def _length(self, start: Floats, end: Floats) -> float:
        corners = np.array([start, *way_past(self.ways, start, end)])
        return float(np.linalg.norm(np.diff(corners, axis=0), axis=1).sum())

    def _time(self, length: float) -> float:
        if length == 0.0:
            return 0.0
        slowest = float(self.speed.min())
        return ALLOWANCE * (length / slowest + slowest / ACCELERATION) + APPROACH_S

    def _steps(self, duration: float) -> int:
        return math.ceil((duration + 2.0 * SETTLE_S) / self.time_step)


class TransitRuntime:
    """Flies a mission of another runtime between take-off and landing; see `d2oc.runtime.choice.Runtime`.

    Parameters
    ----------
    mission : Runtime
        Flies the mission itself.
    plan : TransitPlan
        What is flown around it.
    """

    def __init__(self, mission: Runtime, plan: TransitPlan) -> None:
        self._mission = mission
        self._plan = plan
        self.team: Team = mission.team
        self.motion: Motion = mission.motion
        self.world: World = mission.world
        n_agents = len(plan.height)
        self._initial = self.team.state.copy()
        np.put_along_axis(self.team.state, self.motion.position_states[self.team.kind], plan.home, axis=1)
        self.team.state[:] = self.world.true_state(self.team.state)
        locate_all(self.team, self.motion)
        self._phase = Phase.GROUND
        """Of everyone: the team acts as one."""
        self._height: Floats = np.zeros(n_agents)
        self._velocity: Floats = np.zeros((n_agents, 2))
        self._settled = 0.0
        self._ways: list[list[Floats]] = []
        self._over = False
        self._in_mission = False

    def step(self, k: int) -> None:
        """Fly step k, counted from take-off."""
        n_out = self._plan.n_out
        self._over = self._over or k >= n_out + self._plan.n_mission or (k > n_out and self._mission.finished)
        self._in_mission = k >= n_out and not self._over
        if not self._in_mission:
            self._home() if self._over else self._out()
            return
        if k == n_out:
            self._begin()
        self._mission.step(k - n_out)

    def _begin(self) -> None:
        """Who is at its start begins exactly as without a way there."""
        self._phase = Phase.MISSION
        place = positions(self.team.state, self.team.kind, self.motion)
        there = np.linalg.norm(place - self._plan.start, axis=1) < SAME_PLACE_M
        self.team.state[there] = self._initial[there]
        locate_all(self.team, self.motion)

    def _out(self) -> None:
        if (self._height < self._plan.height).any():
            self._phase = Phase.TAKE_OFF
            self._height = np.minimum(self._plan.height, self._height + self._plan.climb * self._plan.time_step)
            self._ways = [[home] for home in self._plan.home]
        elif self._settles() and self._phase != Phase.TRANSIT:
            self._set_out(Phase.TRANSIT, self._plan.start)
        self._fly()

    def _home(self) -> None:
        flying = ~self.world.lost
        if self._phase == Phase.MISSION:
            self._velocity[:] = 0.0
            self._set_out(Phase.RETURN, self._plan.home)
        elif self._phase == Phase.RETURN and (self._arrived(self._plan.home) | ~flying).all():
            self._phase, self._settled = Phase.LANDING, 0.0
        if self._phase == Phase.LANDING:
            self._height = np.maximum(0.0, self._height - self._plan.descent * self._plan.time_step)
            if not (self._height[flying] > 0.0).any() and self._settles():
                self._phase = Phase.GROUND
        self._fly()

    def _settles(self) -> bool:
        """Whether the bodies have had their time."""
        self._settled += self._plan.time_step
        return self._settled >= SETTLE_S

    def _set_out(self, phase: Phase, to: Floats) -> None:
        place = positions(self.team.state, self.team.kind, self.motion)
        self._phase, self._settled = phase, 0.0
        self._ways = [way_past(self._plan.ways, here, end) for here, end in zip(place, to, strict=True)]

    def _arrived(self, at: Floats) -> Flags:
        place = positions(self.team.state, self.team.kind, self.motion)
        there: Flags = np.linalg.norm(place - at, axis=1) < ARRIVED_M
        return there

    def _fly(self) -> None:
        """One control period by velocities and heights."""
        plan, team = self._plan, self.team
        place = positions(team.state, team.kind, self.motion)
        stands = self._phase == Phase.GROUND
        for r, way in enumerate(self._ways):
            if len(way) > 1 and math.dist(place[r], way[0]) < ARRIVED_M:
                way.pop(0)
            self._velocity[r] = towards(place[r], way[0], self._velocity[r], float(plan.speed[r]), plan.time_step)
        if stands:
            self._velocity[:] = 0.0
        standing: Flags = np.full(len(place), stands)
        self.world.guide(plan.time_step, team.state, self._velocity, self._height, standing)
        locate_all(team, self.motion)
        team.active[:] = False
        team.consumed[:] = 0.0
        team.input[:] = np.nan
        team.goal[:] = [way[-1] for way in self._ways]

    @property
    def mail(self) -> Mail:
        """Messages of the last step: outside the mission there are none."""
        return self._mission.mail if self._in_mission else empty_mail(0)

    @property
    def finished(self) -> bool:
        """Whether everyone stands on the ground again, or is lost."""
        return self._over and (self._phase == Phase.GROUND or bool(self.world.lost.all()))

    @property
    def believed_remaining(self) -> Floats:
        """Remaining weight each agent believes in, shape (L,)."""
        return self._mission.believed_remaining

    @property
    def memory_bytes(self) -> int:
        """As the mission's."""
        return self._mission.memory_bytes

    def consumption(self, k: int) -> tuple[Ints, Ints, Floats]:
        """Agent, sample and amount of what was consumed in step k, the last one."""
        if self._in_mission:
            return self._mission.consumption(k - self._plan.n_out)
        return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0)

    @property
    def events(self) -> tuple[Ints, Ints]:
        """Agent and code of what happened in the last step."""
        return self._mission.events if self._in_mission else (np.empty(0, np.int32), np.empty(0, np.int32))

    def telemetry(self) -> dict[str, Floats]:
        """Phase of each drone, and its height where the world knows none."""
        phase = np.where(self.world.lost, float(Phase.LOST), float(self._phase))
        told = {"phase": phase}
        return told if "height_m" in self.world.telemetry() else {**told, "height_m": self._height.copy()}

    def snapshot(self) -> None:
        """None: such a flight begins anew."""

    def close(self) -> None:
        """Leave nothing running."""
        self._mission.close()


def towards(place: Floats, goal: Floats, velocity: Floats, speed: float, dt: float) -> Floats:
    """Velocity for the next period on the way to a place, at rest there, shape (2,). [m/s]

    Parameters
    ----------
    place, goal : ndarray, shape (2,)
        [m]
    velocity : ndarray, shape (2,)
        Of the last period. [m/s]
    speed : float
        Largest. [m/s]
    dt : float
        Period. [s]
    """
    gap = goal - place
    distance = math.hypot(*gap)
    if distance <= ACCELERATION * dt * dt:  # one period to get there, one to stop
        wanted = gap / dt
    else:
        allowed = stoppable_speed(distance, ACCELERATION, dt)
        wanted = gap / distance * min(speed, allowed, APPROACH * distance)
    change = wanted - velocity
    size = math.hypot(*change)
    most = ACCELERATION * dt
    return np.asarray(wanted if size <= most else velocity + change * most / size)


def transit_plan(scenario: Scenario, table: TransitTable, field: Field, team: TeamSetup) -> TransitPlan:
    """What is flown around the mission of a scenario.

    Raises
    ------
    ScenarioError
        If there is not one home for each agent, or one lies outside the field.
    """
    motion = motion_arrays(team.models)
    start = start_places(team)
    x_min, y_min, x_max, y_max = field.bounds
    limits = [np.minimum(motion.speed_norm, motion.speed_each)[kind] for kind in team.kind]
    return TransitPlan(
        home=_require_homes(scenario, field, home_places(table, team), len(start)),
        start=start,
        height=start_heights(scenario, team),
        speed=np.minimum(table.speed_m_s, limits),
        climb=table.climb_m_s,
        descent=table.descent_m_s,
        time_step=scenario.mission.time_step_s,
        n_mission=int(team.n_steps.max()),
        ways=Ways(fence_of(field), CLEARANCE_M) if field.no_fly_zones else None,
        reach=2.0 * math.hypot(x_max - x_min, y_max - y_min),
    )


def _require_homes(scenario: Scenario, field: Field, home: Floats, n_agents: int) -> Floats:
    if len(home) != n_agents:
        raise ScenarioError(
            f"{scenario.name}: transit.home_m has {len(home)} places, but the team has {n_agents} agents"
        )
    outside = np.flatnonzero(~field.contains(home))
    if len(outside):
        x, y = home[outside[0]]
        raise ScenarioError(
            f"{scenario.name}: transit.home_m[{outside[0]}] = [{x:g}, {y:g}] must be inside the field "
            "and outside its no-fly zones [m]"
        )
    return home
