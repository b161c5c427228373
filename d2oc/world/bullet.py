"""The bullet world: rigid bodies in PyBullet with rotors, an autopilot, wind, a tank and a battery.

The law's command reaches a body the way it reaches an aircraft: as a setpoint of its autopilot, which tilts the body
with its rotors. The law sees what a receiver measures; the record gets the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from d2oc.airframes.airframe import Airframe
from d2oc.airframes.payload import BoxTank
from d2oc.arrays import Flags, Floats, Ints
from d2oc.faults import Fault, find_faults
from d2oc.memory import copies
from d2oc.vehicles.linear import GRAVITY, LinearModel
from d2oc.vehicles.motion import Motion
from d2oc.world.air import feel_air, still_air
from d2oc.world.autopilot import ACCELERATION, HOLD, OFF, TILT, TILT_AND_THRUST, VELOCITY, Memory, Setpoint
from d2oc.world.bodies import Bodies
from d2oc.world.fleet import Fleet, fleet_arrays
from d2oc.world.flight import Layout, Wrench, fly, predict, tell_autopilots, write_states
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.terrain import Terrain, ground_at, level_ground, look_down
from d2oc.world.wind import Wind

LOOP_RATE = 48.0
"""Least rate of the autopilot's loops. [Hz]"""

PHYSICS_RATE = 240.0
"""Least rate of the engine's substeps. [Hz]"""

VELOCITY_MARGIN = 4.0
"""Standard deviations of the velocity error that autopilots stay below a speed limit, beside their other reserve."""

MASS_TOLERANCE = 1e-3
"""The engine is told a new mass when it has changed by this share."""

MODES = {
    "single-integrator": VELOCITY,
    "double-integrator": ACCELERATION,
    "lagged-integrator": ACCELERATION,
    "quadrotor": TILT,
    "loaded-quadrotor": TILT,
    "full-quadrotor": TILT_AND_THRUST,
}
"""What the input of each model is to an autopilot."""


@dataclass(frozen=True, eq=False)
class BulletSetup:
    """All that a fleet needs to fly."""

    models: Sequence[LinearModel]
    """One model for each kind of agent."""
    kind: Ints
    """Kind of each agent, shape (L,)."""
    airframes: Sequence[Airframe]
    """One an agent, length L."""
    liquid: Floats
    """Load of each tank at the start, shape (L,). [L]"""
    flow: Floats
    """Of each pump while on a mission, shape (L,). [L/s]"""
    place: Floats
    """Where each starts and which height above ground it holds, shape (L, 3). [m]"""
    time_step: float
    """Control period. [s]"""
    terrain: Terrain = field(default_factory=level_ground)
    """The ground."""
    ground_effect: bool = False
    """Whether rotors lift more near the ground."""
    downwash: bool = False
    """Whether drones feel the air that those above them blow down."""
    home: Floats | None = None
    """Where each stands at first, shape (L, 2); default: they start in the air, at their places. [m]"""


class BulletWorld:
    """Moves a fleet as rigid bodies; see `d2oc.world.World`.

    Parameters
    ----------
    setup : BulletSetup
        The fleet.
    motion : Motion
        Its models as arrays, for the limits of the commands.
    wind : Wind
        What blows.
    receiver : SatelliteReceiver
        What the fleet knows of itself.
    """

    def __init__(self, setup: BulletSetup, motion: Motion, wind: Wind, receiver: SatelliteReceiver) -> None:
        n_agents = len(setup.kind)
        self._setup = setup
        self._motion = motion
        self._wind = wind
        self._receiver = receiver
        self._layout = _layout(setup)
        self.fleet: Fleet = fleet_arrays(
            setup.airframes, setup.liquid, _steered_speed(_max_speed(setup), receiver.velocity_sigma)
        )
        self._n_loops = math.ceil(setup.time_step * LOOP_RATE - 1e-9)
        self._dt = setup.time_step / self._n_loops
        substeps = math.ceil(self._dt * PHYSICS_RATE - 1e-9)
        size = [(a.radius_m, a.height_m) for a in setup.airframes]
        self.bodies = Bodies(
            _start(setup), self.fleet.mass, self.fleet.inertia, size, self._dt, substeps, setup.terrain
        )
        self.body: Floats = np.zeros((n_agents, 13))
        """Position, attitude, velocity and rate of each body, shape (L, 13)."""
        self.bodies.read(self.body)
        hover = self.fleet.mass * 9.81 / self.fleet.n_rotors
        self.thrust: Floats = np.where(
            np.arange(self.fleet.torque_of_thrust.shape[2]) < self.fleet.n_rotors[:, None], hover[:, None], 0.0
        )
        """Of each rotor, shape (L, R). [N]"""
        if setup.home is not None:
            self.thrust[:] = 0.0
        self._setpoint = _waiting(setup.place)
        look_down(setup.terrain, self.body, self._setpoint.ground, self._setpoint.climb)
        self.air = still_air(n_agents, ground_effect=setup.ground_effect, downwash=setup.downwash)
        """What drones and ground do to the air at each drone."""
        self._memory = Memory(np.zeros((n_agents, 3)))
        self._wrench = Wrench(np.zeros((n_agents, 3)), np.zeros((n_agents, 3)))
        self.liquid: Floats = setup.liquid.astype(np.float64)
        """Left in each tank, shape (L,). [L]"""
        self.drawn: Floats = np.zeros(n_agents)
        """Energy drawn from each battery, shape (L,). [J]"""
        self._half_height = np.array([a.height_m / 2 for a in setup.airframes])
        self._tanks = _tanks(setup.airframes)
        self._density = np.array([a.mass_with(1.0) - a.mass_kg for a in setup.airframes])
        self._dry_mass = np.array([a.mass_kg for a in setup.airframes])
        self._dry_inertia = np.array([a.inertia_kg_m2 for a in setup.airframes])
        self._engine_mass, self._engine_inertia = self.fleet.mass.copy(), self.fleet.inertia.copy()
        self._touched: set[tuple[int, int]] = set()
        self._may_land = False
        self.watcher: Callable[[Floats], None] | None = None
        """Shown the bodies after every control period."""
        self.model_error: Floats = np.zeros(n_agents)
        """Distance between where the model said each would be after the last step and where it is, shape (L,). [m]"""
        self.fault: Ints = np.zeros(n_agents, np.int32)
        """`Fault` of each vehicle, shape (L,)."""

    def advance(self, k: int, state: Floats, command: Floats, active: Flags) -> None:
        """Fly one control period; `state` becomes what the receivers measure afterwards."""
        on_mission = active & (self.fault == Fault.NONE)
        self._let_land(False)
        flies = np.where(self.fault != Fault.NONE, -1, on_mission).astype(np.int32)
        predicted = np.full((len(state), 2), np.nan)
        predict(k, self._motion, self._setup.kind, self.true_state(state), command, on_mission, predicted)
        tell_autopilots(
            k, self._setup.time_step, self._motion, self._setup.kind, self._layout, self.fleet, state, command, flies,
            self.body, self._setpoint,
        )  # fmt: skip
        self._fly_period()
        self._spray(on_mission)
        self._measure(state)
        self.model_error = np.nan_to_num(np.linalg.norm(self.body[:, :2] - predicted, axis=1))

    def guide(self, period: float, state: Floats, velocity: Floats, height: Floats, standing: Flags) -> None:
        """Fly one control period by velocities and heights; they may touch the ground. See `d2oc.world.World`."""
        self._fly_told(VELOCITY, state, velocity, height, standing)

    def steer(self, state: Floats, acceleration: Floats, height: Floats, standing: Flags) -> None:
        """Fly one control period by accelerations and heights; they may touch the ground.

        Parameters
        ----------
        state : ndarray, shape (L, n)
            States as the vehicles measure them; overwritten with the next ones.
        acceleration : ndarray, shape (L, 2)
            From the measured velocity on. [m/s^2]
        height : ndarray, shape (L,)
            Above ground. [m]
        standing : ndarray of bool, shape (L,)
            Whose motors are off.
        """
        velocity = [list(self._setup.models[kind].velocity_states or ()) for kind in self._setup.kind]
        self._setpoint.velocity[:] = [state[r, columns] for r, columns in enumerate(velocity)]
        self._fly_told(ACCELERATION, state, acceleration, height, standing)

    def _fly_told(self, mode: int, state: Floats, command: Floats, height: Floats, standing: Flags) -> None:
        self._let_land(True)
        self._setpoint.mode[:] = np.where(standing | (self.fault != Fault.NONE), OFF, mode)
        self._setpoint.command[:] = command
        self._setpoint.place[:, 2] = height
        self._fly_period()
        self._measure(state)
        self.model_error[:] = 0.0

    def carry(self, liquid: Floats) -> None:
        """Tanks hold so much from now on, shape (L,) [L]; mass and inertia follow."""
        if not np.array_equal(liquid, self.liquid):
            self.liquid[:] = liquid
            self._weigh()

    def change_battery(self, r: int) -> None:
        """Vehicle r gets a full one."""
        self.drawn[r] = 0.0

    @property
    def wind(self) -> Wind:
        """What blows."""
        return self._wind

    @property
    def receiver(self) -> SatelliteReceiver:
        """What the fleet knows of itself."""
        return self._receiver

    def _let_land(self, allowed: bool) -> None:
        """Whether touching the ground is no fault."""
        if allowed == self._may_land:
            return
        self._may_land = allowed
        for r in np.flatnonzero(self.fault == Fault.NONE).tolist():
            self.bodies.let_fall(r) if allowed else self.bodies.keep_off_ground(r)

    def _fly_period(self) -> None:
        self._place_bodies()
        for i in range(self._n_loops):
            self._loop(i * self._dt)

    def _measure(self, state: Floats) -> None:
        """What the receivers measure after a control period, and who is lost by then."""
        self._receiver.drift(self._setup.time_step)
        self._look_for_faults()
        write_states(self._layout, self.body, self._receiver.error, self._height, state)
        if self.watcher is not None:
            self.watcher(self.body)

    @property
    def _height(self) -> Floats:
        """Height that each should hold, shape (L,). [m]"""
        return self._setpoint.ground + self._setpoint.place[:, 2]

    def hold_height(self, r: int, height: float) -> None:
        """Let the autopilot of vehicle r hold another height from now on. [m]"""
        self._setpoint.place[r, 2] = height

    def true_state(self, measured: Floats) -> Floats:
        """States without the receivers' errors, shape (L, n)."""
        state = measured.copy()
        write_states(self._layout, self.body, np.zeros_like(self._receiver.error), self._height, state)
        return state

    @property
    def lost(self) -> Flags:
        """Who has crashed, flipped or emptied its battery, shape (L,)."""
        lost: Flags = self.fault != Fault.NONE
        return lost

    def telemetry(self) -> Mapping[str, Floats]:
        """More columns of the record, each of shape (L,)."""
        level = np.ptp(self._setup.terrain.height) == 0.0
        return {
            **({} if level else {"ground_m": self._setpoint.ground.copy()}),
            "height_m": self.body[:, 2].copy(),
            "wind_x_m_s": self._wind.velocity[:, 0].copy(),
            "wind_y_m_s": self._wind.velocity[:, 1].copy(),
            "liquid_l": self.liquid.copy(),
            "charge": np.maximum(0.0, 1.0 - self.drawn / self.fleet.battery_energy),
            "model_error_m": self.model_error.copy(),
            "fault": self.fault.astype(np.float64),
        }

    def cut_power(self, agents: Ints) -> None:
        """These fall from now on, whatever they are told."""
        for r in agents.tolist():
            if self.fault[r] == Fault.NONE:
                self.fault[r] = Fault.CRASH
                self.bodies.let_fall(r)

    def remembered(self) -> Any:
        """All that moves, as plain data, as long as nothing touches anything; see `d2oc.world.Remembering`."""
        if self.bodies.any_contact:
            return None
        return [
            self.body, self.thrust, self._setpoint, self._memory, self.liquid, self.drawn, self.fleet.mass,
            self.fleet.inertia, self._engine_mass, self._engine_inertia, self.model_error, self.fault,
            self._wind.remembered(), self._receiver.remembered(),
        ]  # fmt: skip

    def remember(self, kept: Any) -> None:
        """Go on from what `remembered` gave; see `d2oc.world.Remembering`."""
        *arrays, wind, receiver = kept
        self._wind.remember(wind)
        self._receiver.remember(receiver)
        body, thrust, setpoint, memory, liquid, drawn, mass, inertia, *engine, error, fault = arrays
        self.body, self.thrust, self.liquid, self.drawn = copies([body, thrust, liquid, drawn])
        self._setpoint, self._memory = Setpoint(*copies(setpoint)), Memory(*copies(memory))
        self.fleet.mass[:], self.fleet.inertia[:] = mass, inertia
        self._engine_mass, self._engine_inertia, self.model_error, self.fault = copies([*engine, error, fault])
        for r in range(len(self.fault)):
            if self.fault[r] != Fault.NONE:
                self.bodies.let_fall(r)
            self.bodies.set_mass(r, float(self._engine_mass[r]), self._engine_inertia[r])

    def _place_bodies(self) -> None:
        """Put every body where it was read to be: the engine knows more digits, which no memory of ours could hold."""
        for r, now in enumerate(self.body.tolist()):
            self.bodies.place(r, now[:3], now[3:7])
            self.bodies.set_motion(r, now[7:10], now[10:])

    def _loop(self, since: float) -> None:
        """One pass of all autopilots and the physics that follows."""
        wind = self._wind.blow(self._dt, self.body[:, 7:10])
        feel_air(self.fleet, self.body, self._setpoint.ground, self.thrust, wind, self.air)
        fly(
            self._dt, since, self.fleet, self._setpoint, self._memory, self.body, self._receiver.error, self.air,
            self.thrust, self.drawn, self._wrench,
        )  # fmt: skip
        self.bodies.push(self.body[:, :3], self._wrench.force, self._wrench.torque)
        self.bodies.step()
        self.bodies.read(self.body)
        look_down(self._setup.terrain, self.body, self._setpoint.ground, self._setpoint.climb)
        self._touched.update(self.bodies.touching())

    def _look_for_faults(self) -> None:
        left = self.fleet.battery_energy - self.drawn
        lowest = np.where(self._may_land, -np.inf, self._setpoint.ground + self._half_height)
        for r in find_faults(self.fault, self.body, lowest, left, self._touched).tolist():
            self.bodies.let_fall(r)
        self._touched.clear()

    def _spray(self, on_mission: Flags) -> None:
        """Drain the tanks of those on a mission; mass and inertia follow."""
        sprayed = np.where(on_mission, np.minimum(self._setup.flow * self._setup.time_step, self.liquid), 0.0)
        self.liquid -= sprayed
        self._weigh((sprayed > 0.0) & (self.liquid == 0.0))

    def _weigh(self, certainly: Flags | bool = False) -> None:
        """Mass and inertia of all by what is in their tanks; the engine hears of small changes where `certainly`."""
        load = self._density * self.liquid
        self.fleet.mass[:] = self._dry_mass + load
        self.fleet.inertia[:] = self._dry_inertia + np.stack(self._tanks.inertia(load), axis=1)
        changed = np.abs(self.fleet.mass - self._engine_mass) > MASS_TOLERANCE * self._engine_mass
        for r in np.flatnonzero(changed | certainly).tolist():
            self.bodies.set_mass(r, float(self.fleet.mass[r]), self.fleet.inertia[r])
            self._engine_mass[r], self._engine_inertia[r] = self.fleet.mass[r], self.fleet.inertia[r]


def _start(setup: BulletSetup) -> Floats:
    """Where the bodies start, shape (L, 3). [m]"""
    place = setup.place.astype(np.float64)
    if setup.home is not None:
        place[:, :2] = setup.home
        place[:, 2] = [a.height_m / 2 for a in setup.airframes]
    place[:, 2] += [ground_at(setup.terrain, x, y)[0] for x, y in place[:, :2]]
    return place


def _tanks(airframes: Sequence[Airframe]) -> BoxTank:
    """The tanks of a fleet as one tank of arrays; who has none has an empty one of a metre."""
    tanks = [a.box_tank or BoxTank(1.0, 1.0, 0.0, 1000.0) for a in airframes]
    return BoxTank(
        length=np.array([tank.length for tank in tanks]),
        width=np.array([tank.width for tank in tanks]),
        offset=np.array([tank.offset for tank in tanks]),
        density=np.array([tank.density for tank in tanks]),
    )


def _layout(setup: BulletSetup) -> Layout:
    column = np.full((len(setup.kind), 10), -1, np.int32)
    mode = np.zeros(len(setup.kind), np.int32)
    for r, kind in enumerate(setup.kind):
        model = setup.models[kind]
        mode[r] = MODES[model.name]
        column[r, 0:2] = model.position_states
        if model.velocity_states is not None:
            column[r, 2:4] = model.velocity_states
        if mode[r] == TILT:
            column[r, 4:6] = [axis[2] for axis in model.axes]
            column[r, 6:8] = [axis[3] for axis in model.axes]
        elif len(model.axes[0]) == 3:
            column[r, 8:10] = [axis[2] for axis in model.axes]
    return Layout(mode, column)


def _max_speed(setup: BulletSetup) -> Floats:
    """Speed limit of each agent's model; an integrator's own input or state limit, the quadrotor's per axis."""
    limits = [setup.models[kind].limits for kind in setup.kind]
    velocity_input = [setup.models[kind].velocity_states is None for kind in setup.kind]
    return np.array(
        [
            min(limit.speed_norm, limit.speed_each, limit.input_norm if is_input else math.inf)
            for limit, is_input in zip(limits, velocity_input, strict=True)
        ]
    )


def _steered_speed(limit: Floats, velocity_sigma: float) -> Floats:
    """What the autopilots may measure so that the true speed stays below its limit; at least half of it."""
    steered: Floats = np.maximum(limit - VELOCITY_MARGIN * velocity_sigma, 0.5 * limit)
    return steered


def _waiting(place: Floats) -> Setpoint:
    n_agents = len(place)
    return Setpoint(
        mode=np.full(n_agents, HOLD, np.int32),
        command=np.zeros((n_agents, 2)),
        velocity=np.zeros((n_agents, 2)),
        tilt=np.zeros((n_agents, 2)),
        tilt_rate=np.zeros((n_agents, 2)),
        place=place.astype(np.float64),
        ground=np.zeros(n_agents),
        climb=np.zeros(n_agents),
        thrust=np.full(n_agents, GRAVITY),
    )
