"""A spraying mission, flown: what each drone does in every control period, as a runtime like any other.

With a radio that reaches everyone, all drones know the places of all, what each has sprayed until the last period and
what each will fly. In one period they act in the order of their numbers: a drone foresees what one with a lower number
is about to spray beside it, and leaves room for it. With a radio of limited range nobody counts on hearing anything in
the air: each keeps to what was reserved for it (`d2oc.spray.reservation`), and they tell each other on the ground.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.columns import Columns
from d2oc.control.d2oc import Team
from d2oc.control.stopping import stoppable_speed
from d2oc.control.ways import Ways, way_past
from d2oc.control.weight_sharing import Mail, empty_mail
from d2oc.phases import Phase
from d2oc.runtime.arrays import TeamSetup, locate_all, team_arrays
from d2oc.spray.deposit import lay_along, touched_space
from d2oc.spray.division import Leg, Route, Worker, divide, ends_of, times_of
from d2oc.spray.dose import DoseResponse
from d2oc.spray.logistics import Drone, Stations, load_for
from d2oc.spray.nozzles import OWED, PLANNED, Gear, Ground, Way, flow_at, new_consumed, spray
from d2oc.spray.passes import Passes, Segment
from d2oc.spray.plan import Plan, Task, lattice_for, missed_share, plan_by_density, plan_by_strips
from d2oc.spray.reservation import planned_deposit, reserved
from d2oc.spray.routes import hop_time
from d2oc.vehicles.motion import Motion, motion_arrays
from d2oc.world import World
from d2oc.world.bullet import BulletWorld
from d2oc.world.ideal import IdealWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.wind import Wind

ARRIVED_M = 0.5
"""A place is reached within this. [m]"""
BODY_LAG_S, BODY_ARRIVED_M = 0.5, 1.2
"""A body must tilt before it follows, which takes the first; it reaches a place within the second. [s, m]"""
SLOW_M_S = 1.0
"""And at most at this speed. [m/s]"""
HOP_M = 40.0
"""A hop to the next pass up to this is part of the mission, a longer one is transit. [m]"""
BRAKING_SHARE = 0.85
"""Of the largest acceleration, kept for braking and for staying on the line."""
LAYER_M = 2.5
"""Bodies fly between passes and stations so much higher than the one before them, so that no ways cross. [m]"""
NEAR_HEIGHT_M = 0.8
"""A body nearer than this to the height it was told may go on; on the ground its centre is half its size up. [m]"""
OPEN_M = 3.0
"""Working speed is held from so far before nozzles open until so far behind where they shut. [m]"""
NEWS_INTERVAL_S = 45.0
"""Plans are not made anew more often. [s]"""
WORTH_HELPING_S = 60.0
"""Who is done helps who still needs longer than this. [s]"""
TOUCH_UPS = 2
"""Times that a team goes out again for what was missed."""
MISSED_SHARE = 0.03
"""What may be missed, as far as the team knows, before it goes out again."""
SWEPT_SHARE = 0.01
"""A guide is done when less than this share of the litres owed is left."""
WORTH_TOUCHING_UP = 0.01
"""Share of the infestation for which a team goes out again."""
SPARE_LOAD, SPARE_L = 1.1, 0.3
"""A load is the litres planned for it, times the first and plus the second. [-, L]"""
HIGH_PHASES = (Phase.TAKE_OFF, Phase.TRANSIT, Phase.RETURN)
"""In which bodies fly in layers."""
SPARE_IN_PLAN = 1.05
"""Plans count on so much more liquid than is to come down, so that no tank is empty just before the last pass ends."""
GUST_CUT = 3.0
"""Gusts and errors of position beyond so many standard deviations do not happen; margins count on it."""
MARGIN_S = 15.0
"""Time kept for the way home. [s]"""


class Guide(Protocol):
    """A baseline that wishes velocities; see `d2oc.control.baselines`."""

    def steer(self, k: int, team: Team) -> None:
        """Fill the inputs of everybody."""


@dataclass(frozen=True, eq=False)
class Air:
    """What is not known exactly: wind and place."""

    wind: Wind
    mean: Floats
    """Mean wind, shape (2,). [m/s]"""
    gust_sigma: float
    """Standard deviation of gusts per axis. [m/s]"""
    receiver: SatelliteReceiver
    position_sigma: float
    """Standard deviation of the measured place per axis. [m]"""
    drift: float
    """Time that droplets are carried. [s]"""
    unseen: float
    """Share of a gust that a drone does not see by how it has to lean."""
    height: float
    """Above ground, on a pass. [m]"""

    @property
    def stray_sigma(self) -> float:
        """Standard deviation per axis between where liquid is believed to come down and where it does. [m]"""
        return math.hypot(self.unseen * self.drift * self.gust_sigma, self.position_sigma)

    @property
    def farthest_stray(self) -> float:
        """Liquid never comes down farther than this from where it is believed to. [m]"""
        return math.sqrt(2.0) * GUST_CUT * (self.unseen * self.drift * self.gust_sigma + self.position_sigma)

    def gust_shift(self, r: int) -> Floats:
        """By how much the gust at drone r carries its liquid beyond the mean drift, shape (2,). [m]"""
        limit = GUST_CUT * self.gust_sigma
        return np.asarray(self.drift * np.clip(self.wind.velocity[r, :2] - self.mean, -limit, limit))

    def seen_shift(self, r: int) -> Floats:
        """What the drone knows of it, shape (2,). [m]"""
        return np.asarray((1.0 - self.unseen) * self.gust_shift(r))

    def stray(self, r: int) -> Floats:
        """From where liquid of drone r is believed to come down to where it does, shape (2,). [m]"""
        limit = GUST_CUT * self.position_sigma
        return np.asarray(self.unseen * self.gust_shift(r) - np.clip(self.receiver.error[r, :2], -limit, limit))


class Stroke(NamedTuple):
    """What a drone is believed to have laid in one period: evenly along a straight way."""

    x: float
    y: float
    """Where it began to come down. [m]"""
    dx: float
    dy: float
    """From there to where it ended. [m]"""
    litres: float
    """[L]"""


class FarmRuntime:
    """Flies a spraying mission.

    Parameters
    ----------
    setup : TeamSetup
        The team; its samples are blocks of the dose wanted.
    task : Task
        Dose map and gear.
    drones : list of Drone
        At their stations.
    stations : Stations
    gear : Gear
    block : ndarray of int32, shape (cells,)
        Sample of each cell.
    air : Air
    time_step : float
        [s]
    ways : Ways or None
        Ways around no-fly zones; None where there are none.
    guide : Guide, optional
        For methods that steer by velocities.
    visits : ndarray, shape (L,), optional
        What the guide books of each drone a step; set to 0 while that is away.
    bodies : BulletWorld, optional
        What moves the drones as rigid bodies, in the wind and with the receivers of `air`; default: their models.
    plan : Plan, optional
        Passes that were planned before, for this very mission; default: plans them.
    flown : bool
        Bodies move the drones, but elsewhere: nothing is simulated, and they are steered as bodies are.
    """

    def __init__(
        self,
        setup: TeamSetup,
        task: Task,
        drones: list[Drone],
        stations: Stations,
        gear: Gear,
        block: Ints,
        air: Air,
        time_step: float,
        ways: Ways | None,
        guide: Guide | None = None,
        visits: Floats | None = None,
        bodies: BulletWorld | None = None,
        plan: Plan | None = None,
        *,
        flown: bool = False,
    ) -> None:
        n = len(drones)
        self.motion: Motion = motion_arrays(setup.models)
        self.team: Team = team_arrays(setup, self.motion)
        self.mail: Mail = empty_mail(0)
        self._bodies = bodies
        of_bodies = flown or bodies is not None
        self._lag, self._arrived = (BODY_LAG_S, BODY_ARRIVED_M) if of_bodies else (0.0, ARRIVED_M)
        self.world: World = IdealWorld(self.motion, self.team.kind) if bodies is None else bodies
        self.drones = drones
        self.task = task
        self.stations = stations
        self._method = task.spray.method
        self._mode = PLANNED if guide is None else OWED
        self._gear = gear
        self._dt = time_step
        self._n_steps = int(setup.n_steps.max())
        self._air = air
        self._ways = ways
        self._guide = guide
        self._visits = visits
        self._alpha = None if visits is None else visits.copy()
        grid = task.map.grid
        self.ground = Ground(
            deposit=np.zeros(grid.rows * grid.columns),
            known=np.zeros(grid.rows * grid.columns),
            target=np.ascontiguousarray(task.map.target.ravel()),
            most=np.ascontiguousarray(task.most.ravel()),
            inside=np.ascontiguousarray(task.map.inside.ravel()),
            block=block,
        )
        self._apart = guide is None and math.isfinite(setup.comm_range) and n > 1
        self._grounds = [self.ground] * n
        """What each drone knows; the same for all with a radio that reaches everyone."""
        self._lost_room = np.zeros(grid.rows * grid.columns)
        """What lost drones may have laid besides what is known. [L/ha]"""
        self._told = 0.0
        self._own_served = np.zeros(n)
        self._drawn_before = np.zeros(n)
        self._height = np.zeros(n)
        """What bodies were told. [m]"""
        self._owed = float(task.map.owed)
        self._space = touched_space(task.footprint, grid, 2.0 * grid.cell + 0.5 * time_step * 12.0)
        self._consumed = new_consumed(len(setup.weights))
        self._entries: list[tuple[int, Ints, Floats]] = []
        self._strokes: dict[int, Stroke] = {}
        self._samples = setup.points
        self._flow = np.zeros(n)
        self.loaded = 0.0
        self.sprayed = 0.0
        self.beyond = 0.0
        self.evaporated = 0.0
        self._served_share = 0.0
        self._lost_news = False
        self._replanned = -math.inf
        self._touch_ups = 0
        self._swept = False
        self.makespan = 0.0
        locate_all(self.team, self.motion)
        self.plan = self._first_plan() if plan is None else plan
        self._give_out(self.plan, self.drones)
        for drone in drones:
            self._load(drone)

    # What a runtime is

    def step(self, k: int) -> None:
        """Fly step k of the mission."""
        self.decide(k)
        before = self.team.state.copy()
        moving = np.array([d.phase in (Phase.TRANSIT, Phase.MISSION, Phase.RETURN) for d in self.drones])
        if self._bodies is None:
            self.world.advance(k, self.team.state, self.team.input, moving)
        else:
            self._steer_bodies(self._bodies, moving)
        self.settle(k, before, moving)

    def decide(self, k: int) -> None:
        """What everybody does in step k: phases, inputs and goals."""
        team = self.team
        if self._bodies is None:
            self._air.receiver.drift(self._dt)
        self._entries = []
        self._flow[:] = 0.0
        team.input[:] = 0.0
        team.goal[:] = np.nan
        team.consumed[:] = 0.0
        for drone in self.drones:
            self._act(drone, k)
        if self._guide is not None:
            self._steer_by_guide(k)

    def settle(
        self, k: int, before: Floats, moving: Flags, *, pumps: bool = True, duration: float | None = None
    ) -> None:
        """Account for step k, which has been flown: liquid, energy, service, news.

        Parameters
        ----------
        k : int
        before : ndarray, shape (L, n)
            States at its beginning.
        moving : ndarray of bool, shape (L,)
            Who moved.
        pumps : bool
            Whether the pumps ran where they were to.
        duration : float, optional
            How long the step took; default: a period. [s]
        """
        team, dt = self.team, self._dt
        team.active[:] = [d.phase == Phase.MISSION for d in self.drones]
        self._strokes.clear()
        for drone in self.drones:
            if pumps:
                self._spray(drone, before[drone.number], dt if duration is None else duration)
            self._draw(drone)
        if self._bodies is None:
            self._air.wind.blow(dt, np.column_stack([_velocities(team, self.motion), np.zeros(len(moving))]))
        locate_all(team, self.motion)
        self.stations.serve(dt, self._load)
        if any(d.flying or d.phase == Phase.SERVICE for d in self.drones):
            self.makespan = (k + 1) * dt
        self._look_for_news(k)

    def _steer_bodies(self, bodies: BulletWorld, moving: Flags) -> None:
        """Fly accelerations and heights; whoever is between ground and working height stays above its pad."""
        standing = np.array([not d.flying for d in self.drones])
        for drone in self.drones:
            r = drone.number
            if not moving[r] and not standing[r]:
                place, velocity = self._place(drone)
                pad = self.stations.pad(drone.station, r)
                self.team.input[r, :2] = (0.5 * (pad - place) - velocity) / 1.0
            size = math.hypot(*self.team.input[r, :2])
            self.team.input[r] *= min(1.0, drone.pace.acceleration / max(size, 1e-9))
        above = [LAYER_M * d.number if d.phase in HIGH_PHASES else 0.0 for d in self.drones]
        self._height[:] = np.array([d.height for d in self.drones]) + above
        bodies.carry(np.array([d.liquid for d in self.drones]))
        self._drawn_before[:] = bodies.drawn
        bodies.steer(self.team.state, self.team.input[:, :2], self._height, standing)
        for r in np.flatnonzero(bodies.lost).tolist():
            if self.drones[r].phase != Phase.LOST:
                self.lose(r)

    def _is_at_height(self, drone: Drone) -> bool:
        """Whether it is near the height that it was told; models always are."""
        if self._bodies is None:
            return True
        r = drone.number
        return abs(float(self._bodies.body[r, 2]) - float(self._height[r])) < NEAR_HEIGHT_M

    @property
    def time_step(self) -> float:
        """Control period. [s]"""
        return self._dt

    @property
    def finished(self) -> bool:
        """Whether everybody is on the ground and nothing is left to do."""
        down = all(d.phase in (Phase.GROUND, Phase.LOST) for d in self.drones)
        return down and not any(self._has_work(d) for d in self.drones if d.phase != Phase.LOST)

    @property
    def believed_remaining(self) -> Floats:
        """Share of the litres owed that is not on the ground as each knows, shape (L,)."""
        if self._apart:
            return np.maximum(0.0, 1.0 - self._told - self._own_served)
        return np.full(len(self.drones), max(0.0, 1.0 - self._served_share))

    @property
    def memory_bytes(self) -> int:
        """Rasters and plan. [byte]"""
        own = sum(ground.known.nbytes + ground.most.nbytes for ground in self._grounds) if self._apart else 0
        return own + sum(a.nbytes for a in self.ground) + sum(passes.flow.nbytes for passes in self.plan.passes)

    def consumption(self, k: int) -> tuple[Ints, Ints, Floats]:
        """Agent, sample and share of the litres owed that came down in step k."""
        if not self._entries:
            return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0)
        agent = np.concatenate([np.full(len(sample), r, np.int32) for r, sample, _ in self._entries])
        return agent, np.concatenate([e[1] for e in self._entries]), np.concatenate([e[2] for e in self._entries])

    @property
    def events(self) -> tuple[Ints, Ints]:
        """None of those of other laws."""
        return np.empty(0, np.int32), np.empty(0, np.int32)

    def snapshot(self) -> None:
        """None: a spraying mission is fast enough to begin anew."""

    def close(self) -> None:
        """Nothing runs that would have to be stopped."""

    def resume(self, laid: Floats, plan: Plan | None = None) -> None:
        """Before the first step: plan only what is still owed where something lies already, shape (cells,). [L/ha]

        A `plan` that was made for this is taken instead.
        """
        self.ground.known[:] = laid
        self.ground.deposit[:] = laid
        if plan is None:
            plan = self._by_density([self._worker(d) for d in self.drones])
            if self._believed_missed() - plan.missed < WORTH_TOUCHING_UP:
                plan = replace(plan, routes=[[] for _ in self.drones])
        self.plan = plan
        self._give_out(plan, self.drones)
        self.loaded = 0.0
        for drone in self.drones:
            drone.liquid = 0.0
            self._load(drone)

    def only(self, r: int) -> None:
        """Go on with drone r alone, along the route that it has: the others fly their own in programs of their own.

        Nothing is simulated that a flight brings by itself: gusts, errors of position.
        """
        for drone in self.drones:
            if drone.number != r:
                drone.phase, drone.route = Phase.LOST, []
        self._touch_ups = TOUCH_UPS
        n = len(self.drones)
        rngs = [np.random.default_rng(0)] * n  # never asked
        speed, toward = float(np.hypot(*self._air.mean)), math.atan2(self._air.mean[1], self._air.mean[0])
        self._air = replace(
            self._air, wind=Wind(speed, toward, None, rngs), gust_sigma=0.0,
            receiver=SatelliteReceiver(0.0, 0.0, rngs), position_sigma=0.0,
        )  # fmt: skip

    def call_home(self, r: int) -> None:
        """Drone r flies to a station now, to be served there and to go on."""
        if self.drones[r].phase in (Phase.TRANSIT, Phase.MISSION):
            self._send_home(self.drones[r])

    # Where every drone has a program of its own and hears what the others do

    @property
    def hears(self) -> bool:
        """Whether drones count on hearing each other in the air."""
        return not self._apart

    def under_way(self, r: int) -> tuple[Segment | None, Segment] | None:
        """What drone r has flown of the pass that it is on, None for nothing, and what is left; None on no pass."""
        drone = self.drones[r]
        return None if not drone.on_pass or drone.leg is None else self._parts(drone, drone.leg)

    def reroute(self, r: int, route: Route, *, at_once: bool) -> None:
        """Drone r flies this when it has flown the pass that it is on; `at_once` also if it is on its way home."""
        drone = self.drones[r]
        own = drone.route[:1] if drone.on_pass else []
        drone.route = [*own, *route]
        if drone.phase == Phase.RETURN and at_once and drone.route and self._can_go_on(drone):
            drone.phase, drone.way = Phase.TRANSIT, []
        elif not own and drone.phase != Phase.RETURN:
            drone.way = []

    def leave_pass(self, r: int) -> None:
        """Drone r flies the pass that it is on no farther, since somebody else is on it."""
        drone = self.drones[r]
        if drone.on_pass:
            self._cut_leg(drone)
            drone.route.pop(0)
            drone.on_pass, drone.way = False, []

    def laid_by_others(self, parts: Sequence[Segment]) -> None:
        """Count on the ground what somebody else was to lay on passes."""
        route = [Leg(part, True) for part in parts]
        self.ground.known[:] += planned_deposit(self.task.map.grid, self.task.footprint, self.plan.passes, route)

    def stroke(self, r: int) -> Stroke | None:
        """What drone r laid in the step that was settled last; None for nothing."""
        return self._strokes.get(r)

    def laid_along(self, stroke: Stroke) -> None:
        """Count on the ground what somebody else has laid."""
        lay_along(self.ground.known, self.task.map.grid, self.task.footprint, *stroke, self._space)

    def worker(self, drone: Drone, place: Floats) -> Worker:
        """What a drone that is at a place, shape (2,), can do from now on. [m]"""
        self.team.position[drone.number] = place
        return self._worker(drone)

    def time_left(self, drone: Drone) -> float:
        """What a drone needs for what it has to fly. [s]"""
        return self._time_left(drone)

    def has_work(self, drone: Drone) -> bool:
        """Whether there is something to spray for a drone, and liquid for it."""
        return self._has_work(drone)

    def divided(self, parts: Sequence[Segment], workers: Sequence[Worker]) -> list[Route]:
        """Routes of workers that fly parts of this plan."""
        return divide(self.plan.passes, parts, workers, -self.task.shift)[0]

    def wanted_flow(self, r: int, place: Floats, velocity: Floats) -> float:
        """What the nozzles of drone r should give at a place and a velocity, both of shape (2,). [L/s]"""
        drone = self.drones[r]
        leg = drone.leg
        if drone.phase != Phase.MISSION or not drone.on_pass or leg is None or drone.liquid <= 0.0:
            return 0.0
        at, forwards = place + self.task.shift, 1.0 if leg.forwards else -1.0
        passes = self.plan.passes[leg.segment.lattice]
        return flow_at(
            float(at[0]), float(at[1]), float(velocity[0]), float(velocity[1]), leg.segment.line, forwards,
            passes.flow, passes.lines, self.task.map.grid, self.task.footprint, self._gear, self._grounds[r],
            self._space,
        )  # fmt: skip

    def lose(self, r: int) -> None:
        """Drone r falls out; the others divide what it leaves."""
        self.drones[r].phase = Phase.LOST
        self.drones[r].height = 0.0
        self.stations.leave(self.drones[r])
        if self._apart:
            self._lost_room += self._grounds[r].most
            return
        self._replanned = -math.inf
        self._lost_news = True

    def telemetry(self) -> Mapping[str, Floats]:
        """Columns of the record besides those of every mission, each of shape (L,)."""
        drones = self.drones
        return {
            "phase": np.array([float(d.phase) for d in drones]),
            "spray_l_min": 60.0 * self._flow / self._dt,
            "liquid_l": np.array([d.liquid for d in drones]),
            "charge": np.array([max(0.0, d.energy / d.full_energy) for d in drones]),
            **({"height_m": np.array([d.height for d in drones])} if self._bodies is None else {}),
            "sorties": np.array([float(d.sorties) for d in drones]),
            "drawn_wh": np.array([d.drawn / 3600.0 for d in drones]),
        }

    def cells(self, response: DoseResponse | None) -> Columns:
        """The table `cells` of the record."""
        m, grid = self.task.map, self.task.map.grid
        centres = grid.centres
        deposit = self.ground.deposit.copy()
        survival = np.full(deposit.size, np.nan) if response is None else response.survival(deposit)
        effective = self.task.effective_share * m.needed
        return {
            "x_m": centres[:, 0].copy(), "y_m": centres[:, 1].copy(), "target_l_ha": m.target.ravel().copy(),
            "maximum_l_ha": m.maximum.ravel().copy(), "deposit_l_ha": deposit,
            "effective_l_ha": effective.ravel().copy(), "severity": m.severity.ravel().copy(),
            "survival": survival, "inside": m.inside.ravel().copy(),
        }  # fmt: skip

    # Plans

    def _first_plan(self) -> Plan:
        workers = [self._worker(d) for d in self.drones]
        if self._guide is not None:
            lines = lattice_for(self.task, self.task.map.inside)
            return Plan([Passes(lines, np.zeros((lines.lines, lines.slots)))], [[] for _ in workers])
        if self._method == "d2oc":
            plan = self._by_density(workers)
        else:
            plan = plan_by_strips(self.task, workers, self._method)
        return plan

    def _by_density(self, workers: list[Worker]) -> Plan:
        return plan_by_density(self.task, self._known, workers)

    @property
    def _known(self) -> Floats:
        """What the team believes to lie on the ground, shape (rows, columns). [L/ha]"""
        grid = self.task.map.grid
        return self.ground.known.reshape(grid.rows, grid.columns)

    def _give_out(self, plan: Plan, drones: list[Drone]) -> None:
        for drone, route in zip(drones, plan.routes, strict=True):
            drone.route = list(route)
            drone.on_pass = False
            drone.way = []
            drone.flown = []
        if self._apart:
            self._reserve(plan)

    def _reserve(self, plan: Plan) -> None:
        """Divide the room on the ground among the drones; what each lays counts from here on."""
        grid, footprint = self.task.map.grid, self.task.footprint
        room = np.maximum(self.ground.most - self.ground.known - self._lost_room, 0.0)
        laid = [planned_deposit(grid, footprint, plan.passes, drone.route) for drone in self.drones]
        self._grounds = [self.ground._replace(known=np.zeros_like(room), most=most) for most in reserved(room, laid)]

    def _tell_on_the_ground(self) -> None:
        """All that are there put together what they have laid."""
        for drone in self.drones:
            if drone.phase != Phase.LOST:
                self.ground.known[:] += self._grounds[drone.number].known
                self._grounds[drone.number].known[:] = 0.0
                self._told += self._own_served[drone.number]
                self._own_served[drone.number] = 0.0

    def _worker(self, drone: Drone) -> Worker:
        station, _ = self.stations.nearest(self.team.position[drone.number], drone.pace)
        table = self.stations.tables[station]
        service = 2 * drone.climb + table.handling_s + max(table.swap_s, 60.0 * drone.tank / table.fill_l_min)
        delay = self._delay(drone)
        arrives = (1.0 - self.task.spray.evaporated_share) / SPARE_IN_PLAN
        reserve = self.task.spray.reserve_share
        return Worker(
            place=self.team.position[drone.number].copy(),
            pace=drone.pace,
            tank=drone.tank * arrives,
            liquid=(drone.tank if delay > 0.0 else drone.liquid) * arrives,
            endurance=(1.0 - reserve) * drone.endurance,
            station=self.stations.places[station],
            service=service,
            delay=delay,
        )

    def _delay(self, drone: Drone) -> float:
        """Time until a drone that is on its way to be served, or is served, flies again; 0 in the air. [s]"""
        if drone.phase not in (Phase.SERVICE, Phase.GROUND, Phase.LANDING, Phase.RETURN):
            return 0.0
        if drone.phase == Phase.SERVICE or (drone.phase == Phase.GROUND and drone.served):
            return drone.timer + drone.climb
        if self._can_go_on(drone):
            return 0.0 if drone.phase == Phase.RETURN else 2.0 * drone.climb
        table = self.stations.tables[drone.station]
        return self._time_home(drone) + 2.0 * drone.climb + table.handling_s + table.swap_s

    def _look_for_news(self, k: int) -> None:
        """Share out anew when one is lost or done before the others; plan anew when all are done and much is missed."""
        if self._apart:
            self._look_for_news_on_the_ground(k)
            return
        if self._method != "d2oc":
            self._take_over_lost()
            return
        here = [d for d in self.drones if d.phase != Phase.LOST]
        if k * self._dt - self._replanned < NEWS_INTERVAL_S or not here or self._out_of_liquid:
            return
        left = np.array([self._time_left(d) for d in here])
        idle = [not d.route for d in here]
        if self._lost_news or (any(idle) and left.max() > WORTH_HELPING_S):
            self._share_out(here)
        elif all(idle) and self._touch_ups < TOUCH_UPS and self._believed_missed() > MISSED_SHARE:
            self._touch_ups += 1
            self._plan_owed(here)
        else:
            return
        self._replanned = k * self._dt
        self._lost_news = False
        for drone in here:
            if drone.route and drone.phase == Phase.RETURN and self._can_go_on(drone):
                drone.phase, drone.way = Phase.TRANSIT, []

    def _look_for_news_on_the_ground(self, k: int) -> None:
        """Once all are back, plan anew if much is missed."""
        here = [d for d in self.drones if d.phase != Phase.LOST]
        if any(d.phase != Phase.GROUND or self._has_work(d) for d in here) or not here:
            return
        self._tell_on_the_ground()
        if self._method != "d2oc" or self._touch_ups >= TOUCH_UPS or self._out_of_liquid:
            return
        for drone in self.drones:
            drone.route = []
        if self._believed_missed() > MISSED_SHARE:
            self._touch_ups += 1
            self._plan_owed(here)

    def _share_out(self, here: list[Drone]) -> None:
        """Divide the segments that are left anew; what a drone is flying stays with it."""
        under_way: list[Route] = []
        pool = []
        for drone in self.drones:
            if drone.phase == Phase.LOST:
                self._cut_leg(drone)
            own = drone.route[:1] if drone.on_pass and drone.phase != Phase.LOST else []
            pool += [leg.segment for leg in drone.route[len(own) :]]
            drone.route = []
            if drone.phase != Phase.LOST:
                under_way.append(own)
        routes, _ = divide(self.plan.passes, pool, [self._worker(d) for d in here], -self.task.shift)
        for drone, own, route in zip(here, under_way, routes, strict=True):
            drone.route = [*own, *route]
            if not own and drone.phase != Phase.RETURN:
                drone.way = []

    def _plan_owed(self, here: list[Drone]) -> None:
        """Plan what is still owed, if it is worth it."""
        plan = self._by_density([self._worker(d) for d in here])
        if self._believed_missed() - plan.missed >= WORTH_TOUCHING_UP:
            self.plan = plan
            self._give_out(plan, here)

    def _take_over_lost(self) -> None:
        """A lawnmower: the others take what a lost one has left, strip after strip."""
        for lost in (d for d in self.drones if d.phase == Phase.LOST and d.route):
            here = [d for d in self.drones if d.phase != Phase.LOST]
            if here:
                min(here, key=self._time_left).route += lost.route
            lost.route = []

    def _time_left(self, drone: Drone) -> float:
        return float(times_of(self.plan.passes, [leg.segment for leg in drone.route], drone.pace).sum()) + (
            self._delay(drone) if drone.route else 0.0
        )

    def _believed_missed(self) -> float:
        return missed_share(self.task, self._known)

    @property
    def _out_of_liquid(self) -> bool:
        return self.task.spray.budget_l - self.loaded < 0.1 and all(d.liquid < 0.1 for d in self.drones)

    # What a drone does

    def _act(self, drone: Drone, k: int) -> None:
        """Its phase, and its input where it flies a route."""
        dt, r = self._dt, drone.number
        if drone.phase == Phase.GROUND and not drone.served and self._has_work(drone):
            if self._can_go_on(drone):
                drone.served = True
            else:
                self.stations.wait(drone)
        elif drone.phase == Phase.GROUND and drone.served and not drone.held and self._may_begin(drone, k):
            drone.phase, drone.timer, drone.served = Phase.TAKE_OFF, drone.climb, False
            drone.sorties += 1
        elif drone.phase == Phase.TAKE_OFF:
            drone.timer -= dt
            if drone.timer <= 0.0 and self._is_at_height(drone):
                drone.phase = Phase.TRANSIT
        elif drone.phase == Phase.LANDING:
            drone.timer -= dt
            if drone.timer <= 0.0 and self._is_at_height(drone):
                drone.phase = Phase.GROUND
        elif drone.phase == Phase.RETURN:
            if self._fly_to(drone, drone.pace.transit):
                drone.phase, drone.timer = Phase.LANDING, drone.climb
        elif drone.phase in (Phase.TRANSIT, Phase.MISSION):
            if self._must_return(drone, k):
                self._send_home(drone)
            elif self._guide is None:
                self._fly_route(drone)
            elif drone.phase == Phase.TRANSIT:
                self._enter(drone)
        climbed = 1.0 - max(drone.timer, 0.0) / drone.climb
        share = {Phase.TAKE_OFF: climbed, Phase.LANDING: 1.0 - climbed}.get(drone.phase, 1.0 if drone.flying else 0.0)
        drone.height = self._air.height * share
        if drone.flying:
            self.team.goal[r] = self._goal(drone)

    def _has_work(self, drone: Drone) -> bool:
        if self._guide is not None:
            return not self._swept and (drone.liquid > 0.05 or self.task.spray.budget_l - self.loaded > 0.1)
        return bool(drone.route) and (drone.liquid > 0.05 or self._mode != PLANNED or self._wish(drone) > 0.05)

    def _may_begin(self, drone: Drone, k: int) -> bool:
        return self._has_work(drone) and self.time_is_left(drone, k)

    def time_is_left(self, drone: Drone, k: int) -> bool:
        """Whether a drone on the ground would be back before the mission is over."""
        return (self._n_steps - k) * self._dt > 4.0 * drone.climb + 2.0 * self._time_home(drone) + MARGIN_S

    def _time_home(self, drone: Drone) -> float:
        return self.stations.nearest(self.team.position[drone.number], drone.pace)[1]

    def _must_return(self, drone: Drone, k: int) -> bool:
        home = self._time_home(drone)
        needed = drone.power * (home + drone.climb + MARGIN_S)
        if drone.energy - needed < self.task.spray.reserve_share * drone.full_energy:
            return True
        if (self._n_steps - k) * self._dt < home + drone.climb + MARGIN_S:
            return True
        return drone.liquid <= self._gear.least * self._dt or not self._has_work(drone)

    def _can_go_on(self, drone: Drone) -> bool:
        """Whether it can fly what it still has to without being served."""
        enough = drone.liquid >= self._planned(drone) and drone.energy > 0.4 * drone.full_energy
        return self._guide is None and enough

    def _send_home(self, drone: Drone) -> None:
        self._cut_leg(drone)
        place = self.team.position[drone.number]
        drone.station, _ = self.stations.nearest(place, drone.pace)
        drone.phase, drone.on_pass, drone.pump = Phase.RETURN, False, 0.0
        drone.way = way_past(self._ways, place, self.stations.pad(drone.station, drone.number))

    def _cut_leg(self, drone: Drone) -> None:
        """What was flown of the leg under way need not be flown again."""
        if not drone.on_pass or drone.leg is None:
            return
        flown, rest = self._parts(drone, drone.leg)
        drone.route[0] = Leg(rest, drone.leg.forwards)
        if flown is not None:
            drone.flown.append(flown)

    def _parts(self, drone: Drone, leg: Leg) -> tuple[Segment | None, Segment]:
        """What a drone has flown of the leg under way, None for nothing, and what is left, the present slot in it."""
        segment, passes = leg.segment, self.plan.passes[leg.segment.lattice]
        at = self._slot_of(self.team.position[drone.number], segment)
        slot = min(max(math.floor(at), segment.first), segment.last)
        if leg.forwards:
            flown = passes.cut(segment, segment.first, slot - 1) if slot > segment.first else None
            return flown, passes.cut(segment, slot, segment.last)
        flown = passes.cut(segment, slot + 1, segment.last) if slot < segment.last else None
        return flown, passes.cut(segment, segment.first, slot)

    def _slot_of(self, place: Floats, segment: Segment) -> float:
        """How far along the line of a segment the liquid of a drone at a place comes down. [slots]"""
        lines = self.plan.passes[segment.lattice].lines
        at = place + self.task.shift - np.array([lines.x, lines.y])
        return float(at @ np.array([lines.cos, lines.sin])) / lines.slot

    def _speed_on(self, drone: Drone, leg: Leg) -> float:
        """Working speed; faster where nozzles are shut, as far as that is over before they open again. [m/s]"""
        passes, segment, pace = self.plan.passes[leg.segment.lattice], leg.segment, drone.pace
        on = np.flatnonzero(passes.on(segment)) + segment.first
        place, velocity = self._place(drone)
        slot = self._slot_of(place, segment)
        ahead = on + 1.0 - slot if leg.forwards else slot - on  # to the far end of each slot
        near = ahead[ahead > -OPEN_M / passes.lines.slot]
        if not len(near):
            return pace.transit
        room = (float(near.min()) - 1.0) * passes.lines.slot - OPEN_M
        if room <= 0.0:
            return pace.working
        brake, dt = BRAKING_SHARE * pace.acceleration, self._dt
        room += pace.working**2 / (2.0 * brake) - math.hypot(*velocity) * dt / 2.0
        fastest = brake * (-dt / 2.0 + math.sqrt(dt * dt / 4.0 + 2.0 * max(room, 0.0) / brake))
        return min(max(fastest, pace.working), pace.transit)

    def _fly_route(self, drone: Drone) -> None:
        leg = drone.leg
        if leg is None:
            return
        start, end = self._leg_ends(leg.segment, leg.forwards)
        if drone.on_pass:
            drone.phase = Phase.MISSION
            aside = self._air.seen_shift(drone.number)
            if self._fly_along(drone, start - aside, end - aside, self._speed_on(drone, leg)):
                drone.on_pass = False
                drone.flown.append(drone.route.pop(0).segment)
                self._fly_route(drone)
            return
        if not drone.way:
            drone.way = way_past(self._ways, self.team.position[drone.number], start)
            far = np.linalg.norm(start - self.team.position[drone.number]) > HOP_M
            drone.phase = Phase.TRANSIT if far else Phase.MISSION
        if self._fly_to(drone, drone.pace.transit):
            down = drone.phase == Phase.MISSION and self._is_at_height(drone)
            drone.phase = Phase.MISSION
            if self._bodies is None or down:
                drone.on_pass = True
                self._fly_route(drone)

    def _leg_ends(self, segment: Segment, forwards: bool) -> tuple[Floats, Floats]:
        """Where the drone enters and leaves a segment; with room to take up speed."""
        first, last = ends_of(self.plan.passes, [segment]) - self.task.shift
        return (first, last) if forwards else (last, first)

    def _fly_to(self, drone: Drone, speed: float) -> bool:
        """Fly to the end of the way; True when that is reached."""
        place, velocity = self._place(drone)
        while drone.way:
            goal = drone.way[0]
            away = goal - self.team.position[drone.number]
            if math.hypot(*away) > self._arrived or math.hypot(*velocity) > SLOW_M_S:
                self._fly_along(drone, place, goal, speed)
                return False
            drone.way.pop(0)
        return True

    def _place(self, drone: Drone) -> tuple[Floats, Floats]:
        """Where what is decided now acts, and its velocity there; `team.position` is where it is."""
        state = self.team.state[drone.number]
        kind = self.team.kind[drone.number]
        return state[self.motion.position_states[kind]], state[self.motion.velocity_states[kind]]

    def _fly_along(self, drone: Drone, start: Floats, end: Floats, speed: float) -> bool:
        """Input along a straight line to its end, at rest there; True when that is reached."""
        place, velocity = self._place(drone)
        dx, dy = float(end[0] - start[0]), float(end[1] - start[1])
        length = math.hypot(dx, dy)
        ux, uy = (dx / length, dy / length) if length > 1e-9 else (1.0, 0.0)
        left = (float(end[0]) - place[0]) * ux + (float(end[1]) - place[1]) * uy
        off = (place[0] - float(end[0])) * -uy + (place[1] - float(end[1])) * ux
        along = velocity[0] * ux + velocity[1] * uy
        x, y = self.team.position[drone.number]
        if (float(end[0]) - x) * ux + (float(end[1]) - y) * uy < self._arrived and abs(along) < SLOW_M_S:
            return True
        brake, dt = BRAKING_SHARE * drone.pace.acceleration, self._dt
        room = left - along * (dt / 2.0 + self._lag)
        wanted = min(speed, stoppable_speed(max(room, 0.0), brake, dt))
        sideways = -off / (2.0 * (dt + self._lag))
        vx, vy = wanted * ux - sideways * uy, wanted * uy + sideways * ux
        self.team.input[drone.number, :2] = (vx - velocity[0]) / dt, (vy - velocity[1]) / dt
        return False

    def _goal(self, drone: Drone) -> Floats:
        if drone.way:
            return drone.way[-1]
        if drone.on_pass and drone.leg is not None:
            return self._leg_ends(drone.leg.segment, drone.leg.forwards)[1]
        return self.team.position[drone.number]

    def _steer_by_guide(self, k: int) -> None:
        """Inputs of those on the mission; the visits of the others count nothing."""
        assert self._guide is not None
        assert self._visits is not None
        assert self._alpha is not None
        out = np.array([d.phase == Phase.MISSION for d in self.drones])
        if out.any():
            own = self.team.input.copy(), self.team.goal.copy()
            self._visits[:] = np.where(out, self._alpha, 0.0)
            self._guide.steer(k, self.team)
            self.team.input[~out], self.team.goal[~out] = own[0][~out], own[1][~out]
        self._swept = 1.0 - self._served_share < SWEPT_SHARE

    def _enter(self, drone: Drone) -> None:
        """Fly to the nearest sample; there the guide takes over."""
        if not drone.way:
            place = self.team.position[drone.number]
            nearest = int(np.linalg.norm(self._samples - place, axis=1).argmin())
            drone.way = way_past(self._ways, place, self._samples[nearest])
        if self._fly_to(drone, drone.pace.transit):
            drone.phase = Phase.MISSION

    # Liquid and energy

    def _spray(self, drone: Drone, before: Floats, dt: float) -> None:
        on = drone.phase == Phase.MISSION and (drone.on_pass or self._guide is not None) and drone.liquid > 0.0
        if not on:
            drone.pump = 0.0
            return
        r, kind = drone.number, self.team.kind[drone.number]
        position = before[self.motion.position_states[kind]]
        velocity = before[self.motion.velocity_states[kind]]
        acceleration = (self.team.state[r][self.motion.velocity_states[kind]] - velocity) / dt
        shift, stray = self.task.shift + self._air.seen_shift(r), self._air.stray(r)
        way = Way(
            float(position[0]), float(position[1]), float(velocity[0]), float(velocity[1]),
            float(acceleration[0]), float(acceleration[1]),
            float(shift[0]), float(shift[1]), float(shift[0] + stray[0]), float(shift[1] + stray[1]),
        )  # fmt: skip
        leg = drone.leg
        line, forwards = (leg.segment.line, 1.0 if leg.forwards else -1.0) if leg else (0, 1.0)
        passes = self.plan.passes[leg.segment.lattice if leg else 0]
        sprayed, beyond, evaporated, drone.pump, opened, shut = spray(
            self._mode, dt, way, line, forwards, passes.flow, passes.lines, self.task.map.grid,
            self.task.footprint, self._gear, self._grounds[r], drone.pump, drone.liquid, self._space, self._consumed,
        )  # fmt: skip
        drone.liquid -= sprayed
        self._flow[r] = sprayed
        if sprayed > 0.0:
            first, last = (position + shift + velocity * t + 0.5 * acceleration * t * t for t in (opened, shut))
            (x, y), (dx, dy) = first.tolist(), (last - first).tolist()
            self._strokes[r] = Stroke(x, y, dx, dy, sprayed - evaporated)
        self.sprayed += sprayed
        self.beyond += beyond
        self.evaporated += evaporated
        self._book(r)

    def _book(self, r: int) -> None:
        n = int(self._consumed.n[0])
        if not n:
            return
        sample = np.sort(self._consumed.sample[:n])
        amount = self._consumed.amount[sample] / self._owed
        self._entries.append((r, sample, amount))
        self.team.consumed[r] = amount.sum()
        self._served_share += float(amount.sum())
        self._own_served[r] += float(amount.sum())
        self._consumed.amount[sample] = 0.0
        self._consumed.n[0] = 0

    def _draw(self, drone: Drone) -> None:
        """Energy of one period."""
        if not drone.flying:
            return
        r = drone.number
        drawn = drone.power * self._dt if self._bodies is None else self._bodies.drawn[r] - self._drawn_before[r]
        drone.energy -= drawn
        drone.drawn += drawn
        if drone.energy <= 0.0:
            self.lose(drone.number)

    def _wish(self, drone: Drone) -> float:
        """What a drone is to have in its tank when it takes off. [L]"""
        left = max(self.task.spray.budget_l - self.loaded, 0.0)
        most = min(drone.tank, drone.liquid + self._share_of(drone, left))
        if self._mode != PLANNED:
            return most if self._has_route(drone) else drone.liquid
        if not drone.route:
            return drone.liquid
        return min(most, SPARE_LOAD * self._sprayed_on_one_battery(drone) + SPARE_L)

    def _share_of(self, drone: Drone, left: float) -> float:
        """What a drone may take of what is left: all that the others do not need, or its part if that is short. [L]"""
        if self._guide is not None or math.isinf(left):
            return left
        needed = np.array([max(0.0, self._planned(d) - d.liquid) for d in self.drones if d.phase != Phase.LOST])
        own = max(0.0, self._planned(drone) - drone.liquid)
        total = float(needed.sum())
        return max(left - (total - own), left * own / total if total > 0.0 else 0.0)

    def _planned(self, drone: Drone) -> float:
        """What a drone has to spray on its route. [L]"""
        return sum(leg.segment.litres for leg in drone.route) / (1.0 - self.task.spray.evaporated_share)

    def _sprayed_on_one_battery(self, drone: Drone) -> float:
        """Liquid for as much of its route as a drone can fly before it has to come back. [L]"""
        parts = [leg.segment for leg in drone.route]
        ends = ends_of(self.plan.passes, parts).reshape(-1, 2, 2) - self.task.shift
        turned = np.array([not leg.forwards for leg in drone.route])
        ends[turned] = ends[turned, ::-1]
        before = np.vstack([self.stations.places[drone.station], ends[:-1, 1]])
        hops = [
            hop_time(float(away), drone.pace.transit, drone.pace.acceleration)
            for away in np.linalg.norm(ends[:, 0] - before, axis=1)
        ]
        litres = np.array([part.litres for part in parts]) / (1.0 - self.task.spray.evaporated_share)
        seconds = times_of(self.plan.passes, parts, drone.pace) + hops
        farthest = np.linalg.norm(ends[:, 1] - self.stations.places[drone.station], axis=1).max()
        home = hop_time(float(farthest), drone.pace.transit, drone.pace.acceleration) + 2.0 * drone.climb + MARGIN_S
        return load_for(drone, litres, seconds, home, (1.0 - self.task.spray.reserve_share) * drone.full_energy)

    def _has_route(self, drone: Drone) -> bool:
        return bool(drone.route) if self._guide is None else not self._swept

    def _load(self, drone: Drone) -> float:
        """Fill the tank as far as it is needed, and give it a fresh battery; returns what was filled in. [L]"""
        more = max(0.0, self._wish(drone) - drone.liquid)
        drone.liquid += more
        self.loaded += more
        drone.energy = drone.full_energy
        if self._bodies is not None:
            self._bodies.change_battery(drone.number)
        return more


def _velocities(team: Team, motion: Motion) -> Floats:
    return np.take_along_axis(team.state, motion.velocity_states[team.kind], axis=1)
