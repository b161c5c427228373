"""One machine of a spraying mission: the runtime that flies it in the simulation, told what its vehicle really does.

Every drone's program has the same plan before take-off and flies its own part of it; the others' parts are theirs,
until one is lost or done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.phases import Phase
from d2oc.spray.farm import FarmRuntime
from d2oc_hardware.flight_controller import MOST_LEASE
from d2oc_hardware.teamwork import Teamwork

SPARE = 1.05
"""A tank must hold this times what is to be sprayed: what is counted and what is pumped differ a little."""
INSTANT = 0.01
"""A shorter step is no step. [s]"""


class Machine:
    """A machine in the hands of its pilot.

    Parameters
    ----------
    runtime : FarmRuntime
        The whole mission, just planned.
    number : int
        Which machine.
    largest_flow : float
        Of its pump. [L/s]
    """

    def __init__(self, runtime: FarmRuntime, number: int, largest_flow: float) -> None:
        parts = [leg.segment for drone in runtime.drones for leg in drone.route]
        runtime.only(number)
        runtime.ground.deposit[:] = 0.0  # its own alone
        self._runtime = runtime
        self._drone = runtime.drones[number]
        self.largest_flow = largest_flow
        """[L/s]"""
        self.team = Teamwork(runtime, number, parts)
        """What the others say, and what of theirs becomes its own."""
        self._before: NDArray[Any] | None = None
        self._moved = False
        self._k = 0
        self.entries: tuple[list[int], list[float]] = ([], [])
        """Samples that were served in the last step, and shares of what is owed."""
        self.takes_over = False
        """Whether what it is to fly was changed in the last step."""
        self.told: Mapping[str, float] = self._telemetry()
        """What the record keeps of the last step."""

    @property
    def phase(self) -> Phase:
        """What it is to do."""
        return self._drone.phase

    @property
    def is_done(self) -> bool:
        """Whether it stands on the ground, nothing is left to do, and nobody will need it any more."""
        if self._drone.phase == Phase.GROUND and not self._runtime.time_is_left(self._drone, self._k):
            return True
        return self._runtime.finished and self.team.is_over(self._k)

    @property
    def is_idle(self) -> bool:
        """Whether it stands on the ground and nothing is left to do for it at this moment."""
        return self.team.is_idle

    @property
    def pad(self) -> tuple[float, float]:
        """Where it lands. [m]"""
        x, y = self._runtime.stations.pad(self._drone.station, self._drone.number)
        return float(x), float(y)

    @property
    def litres(self) -> float:
        """What has left its nozzles, as it believes. [L]"""
        return self._runtime.sprayed

    @property
    def deposit(self) -> NDArray[Any]:
        """What it has laid, as it believes, shape (cells,). [L/ha]"""
        return self._runtime.ground.deposit

    def call_home(self) -> None:
        """Let it fly to its station now, to be served and to go on."""
        self._runtime.call_home(self._drone.number)

    def share(self, place: NDArray[Any], velocity: NDArray[Any]) -> float:
        """Share of its largest flow that the pump should give now."""
        return self._runtime.wanted_flow(self._drone.number, place, velocity) / self.largest_flow

    def step(
        self,
        k: int,
        state: NDArray[Any],
        ahead: NDArray[Any],
        *,
        up: bool,
        landed: bool,
        may_rise: bool,
        tank: float | None,
        pumped: bool,
        elapsed: float,
        charge: float | None,
        may_turn: bool = True,
    ) -> NDArray[Any]:
        """Account for the step that ends, then decide on the next.

        Parameters
        ----------
        k : int
            Number of the step that begins.
        state : ndarray, shape (n,)
            Of its model, as flown.
        ahead : ndarray, shape (n,)
            The same as far ahead as the vehicle lags behind its commands: what is decided next acts from there on.
        up, landed : bool
            Whether it is at its height; on the ground with its motors off.
        may_rise : bool
            Whether its battery is full and somebody has allowed it to take off again.
        tank : float or None
            What its tank holds, None where it does not say. [L]
        pumped : bool
            Whether the pump was seen to run in the step that ends.
        elapsed : float
            How long the step took that ends: a process that stood still makes up for periods one after the other. [s]
        charge : float or None
            Of the battery, 0 to 1.
        may_turn : bool
            Whether on its way home it may turn round for something that it is to take over.

        Returns
        -------
        input : ndarray, shape (2,)
            Acceleration for the step that begins. [m/s^2]
        """
        drone, team, r = self._drone, self._runtime.team, self._drone.number
        self._k = k
        self._place(state)
        if self._before is not None:
            moving = np.zeros(len(team.kind), np.bool_)
            moving[r] = self._moved
            duration = min(elapsed, self._runtime.time_step + MOST_LEASE)
            pumps = pumped and duration > INSTANT
            self._runtime.settle(k - 1, self._before, moving, pumps=pumps, duration=duration)
            self.team.note(k - 1, self._runtime.stroke(r))
            _, samples, amounts = self._runtime.consumption(k - 1)
            self.entries = samples.tolist(), amounts.tolist()
            self.told = self._telemetry()
        if charge is not None:
            drone.energy = charge * drone.full_energy
        # What takes as long as it takes: no clock of the plan decides when the machine is up, down or filled.
        dt = self._runtime.time_step
        served = may_rise and (tank is None or tank >= SPARE * drone.liquid)
        done = {Phase.TAKE_OFF: up, Phase.LANDING: landed, Phase.SERVICE: served}.get(drone.phase)
        if done is not None:
            drone.timer = 0.0 if done else 2.0 * dt
        drone.held = drone.sorties > 0 and not may_rise
        self.takes_over = self.team.obey(k, at_once=may_turn)
        self._before = team.state.copy()
        # It is steered from where that acts; what it has sprayed and where it has arrived, it is where it is.
        team.state[r, : len(state)] = ahead
        self._runtime.decide(k)
        team.state[r, : len(state)] = state
        self._moved = drone.phase in (Phase.TRANSIT, Phase.MISSION, Phase.RETURN)
        return np.asarray(team.input[r, :2].copy())

    def _place(self, state: NDArray[Any]) -> None:
        """Tell the runtime where it is."""
        team, r = self._runtime.team, self._drone.number
        team.state[r, : len(state)] = state
        team.position[r] = state[list(self._runtime.motion.position_states[team.kind[r]])]

    def _telemetry(self) -> Mapping[str, float]:
        return {name: float(column[self._drone.number]) for name, column in self._runtime.telemetry().items()}

    @property
    def goal(self) -> list[float] | None:
        """Where it flies to. [m]"""
        goal = self._runtime.team.goal[self._drone.number]
        return goal.tolist() if np.isfinite(goal).all() else None

    @property
    def remaining(self) -> float:
        """Share of all that is owed which it has not served."""
        return float(self._runtime.believed_remaining[self._drone.number])
