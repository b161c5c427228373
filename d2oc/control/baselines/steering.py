"""From wished velocities to the inputs of a vehicle: the same limits, walls and dynamics for every baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.control.baselines.carried import Carried
from d2oc.control.baselines.guidance import CoverageTask, Guidance
from d2oc.control.baselines.walls import Braking, kept_inside, walls_of
from d2oc.control.d2oc import Team
from d2oc.control.law import Gains
from d2oc.vehicles.linear import GRAVITY, LinearModel

BRAKING_SHARE = 0.4
"""Share of the largest acceleration counted on before a wall; the rest is left for turning."""
SETTLING_STEPS = 400
"""Steps over which the stop of a quadrotor is simulated."""


class Steering:
    """Replaces stage A: asks a guidance for velocities and turns them into inputs.

    - single integrator: the velocity itself;
    - double integrator: the acceleration that takes it up within one step;
    - quadrotor: the gains of the closed-form law with a goal that moves ahead, at the distance at which this
      law flies steadily at the wished velocity.

    `Motion` then applies the vehicle's limits as for every other law.
    """

    def __init__(
        self, guidance: Guidance, task: CoverageTask, models: Sequence[LinearModel], gains: Sequence[Gains], kind: Ints
    ) -> None:
        self._guidance = guidance
        self._task = task
        self._walls = walls_of(task.field)
        self._models = models
        self._gains = gains
        self._kind = kind
        per_kind = [braking_of(model, gain, task.time_step) for model, gain in zip(models, gains, strict=True)]
        brake, delay, change = np.array(per_kind)[kind].T
        self._braking = Braking(brake.copy(), delay.copy(), change.copy(), task.speed)
        self._inside: Floats | None = None

    def steer(self, k: int, team: Team) -> None:
        """Stage A of everyone in step k: fills `input`, `goal`, `active`, `consumed` and `reach` of the team."""
        velocity = self._velocities(team.state)
        wanted = self._guidance.velocities(k, team.position, velocity)
        allowed = kept_inside(
            self._walls, self._braking, team.position, velocity, self._back(team.position, wanted), self._task.time_step
        )
        team.active[:] = k < self._task.n_steps
        team.goal[:] = np.where(team.active[:, None], team.position + self._task.response[:, None] * allowed, np.nan)
        team.consumed[:] = 0.0
        team.reach[:] = np.inf  # whom it competes with is not known: it gives way to every neighbour heard
        team.input[:] = 0.0
        for r in np.flatnonzero(team.active):
            model = self._models[self._kind[r]]
            team.input[r, : model.n_inputs] = self._input(int(r), k, team, velocity[r], allowed[r])

    @property
    def memory_bytes(self) -> int:
        """Arrays that the guidance keeps, without the samples. [byte]"""
        guidance = self._guidance.inner if isinstance(self._guidance, Carried) else self._guidance
        return sum(value.nbytes for value in vars(guidance).values() if isinstance(value, np.ndarray))

    def _input(self, r: int, k: int, team: Team, velocity: Floats, allowed: Floats) -> Floats:
        model = self._models[self._kind[r]]
        if model.name == "single-integrator":
            return allowed
        if model.name == "double-integrator":
            return (allowed - velocity) / self._task.time_step
        gains = self._gains[self._kind[r]]
        step = min(k, len(gains.state) - 1)
        lead = lead_time(model, gains, step)
        goal = team.position[r] + lead * allowed
        return np.asarray(gains.state[step] @ team.state[r, : model.n_states] + gains.goal[step] @ goal)

    def _velocities(self, state: Floats) -> Floats:
        velocity = np.zeros((len(state), 2))
        for kind, model in enumerate(self._models):
            if model.velocity_states is not None:
                own = self._kind == kind
                velocity[own] = state[own][:, model.velocity_states]
        return velocity

    def _back(self, position: Floats, wanted: Floats) -> Floats:
        """An agent that slipped out (only a quadrotor can) flies back to where it last was inside."""
        inside = self._task.field.contains(position)
        if self._inside is None:
            self._inside = position.copy()
        self._inside[inside] = position[inside]
        return np.where(inside[:, None], wanted, (self._inside - position) / self._task.response[:, None])


def response_of(model: LinearModel, gains: Gains, time_step: float) -> float:
    """Time in which a vehicle takes up a velocity, at least one step. [s]"""
    if model.name == "single-integrator":
        return time_step
    if model.name == "double-integrator":
        limits = model.limits
        slow = limits.speed_norm / limits.input_norm if np.isfinite(limits.speed_norm * limits.input_norm) else 0.0
        return max(time_step, float(slow))
    return stopping_time(model, gains)


def braking_of(model: LinearModel, gains: Gains, time_step: float) -> tuple[float, float, float]:
    """Deceleration to count on [m/s^2], delay [s] and largest change of velocity in a step [m/s]; see `walls`."""
    if model.name == "single-integrator":
        return np.inf, 2 * time_step, np.inf
    if model.name == "double-integrator":
        return BRAKING_SHARE * model.limits.input_norm, time_step, model.limits.input_norm * time_step
    tilt = np.inf if model.limits.state_each is None else float(model.limits.state_each[2])
    brake = BRAKING_SHARE * GRAVITY * np.tan(tilt) if tilt < np.pi / 2 else np.inf
    return brake, 2 * stopping_time(model, gains), np.inf


def lead_time(model: LinearModel, gains: Gains, step: int) -> float:
    """How far ahead, in time, the closed-form law's goal is while it flies steadily. [s]

    In steady flight at velocity v the input is zero: K^g (p + t v) + K^x (p, v, 0, 0) = 0, and K^g = -K^x on p.
    """
    states = model.axes[0]
    row = int(np.abs(gains.goal[step][:, 0]).argmax())
    return float(-gains.state[step][row, states[1]] / gains.goal[step][row, 0])


def stopping_time(model: LinearModel, gains: Gains) -> float:
    """Longest way flown after the command to stop, over the speed before it. [s]"""
    a, b, k = model.A[0], model.B[0], gains.state[0]
    first, second = model.axes[0][:2]
    loop = a + b @ k
    state = np.zeros(model.n_states)
    state[second] = 1.0
    farthest = 0.0
    place = 0.0
    for _ in range(SETTLING_STEPS):
        goal_at_place = np.zeros(model.n_states)
        goal_at_place[first] = state[first]
        # The command to stop puts the goal where the vehicle is: only what is not position feeds back.
        state = loop @ (state - goal_at_place) + goal_at_place
        place = state[first]
        farthest = max(farthest, float(place))
    return farthest
