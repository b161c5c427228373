"""`d2oc bench payload`: a law that knows the draining tank beside one frozen at the full tank.

Sprayers fly the same random tours of goals in the bullet world
while they empty their tanks; every seed is one drone of one world, far from the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2oc.airframes.airframe import load_preset
from d2oc.arrays import Floats
from d2oc.control.law import Gains, first_gains, spectral_radius, tracking_problem
from d2oc.scenario.schema import ControlTable, LoadedQuadrotor
from d2oc.vehicles.from_scenario import vehicle_model
from d2oc.vehicles.linear import LinearModel
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.bullet import BulletSetup, BulletWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.wind import Wind, low_altitude_gusts

TIME_STEP_S = 0.1
N_STEPS = 1800
LEG_STEPS = 60
LEG_M = 3.0
SPACING_M = 1000.0
LIQUID_L = 40.0
ALPHA = 1.0 / 3600
CONTROL = ControlTable(horizon_steps=30, terminal_cost="dare", scale_input_weight_with_inertia=True, input_weight=10.0)
"""Ten times the published input weight: with one, the rotor lag of a sprayer leaves so little margin that far goals,
which saturate the tilt, end in a limit cycle."""


@dataclass(frozen=True)
class Row:
    """How one law flew all tours; each array has one entry a seed."""

    law: str
    """`predicts payload` or `frozen at full tank`."""
    tracking_rms_m: Floats
    """Root mean square distance to the goal over the whole tour. [m]"""
    effort: Floats
    """Mean of the squared torque commands. [N^2 m^2]"""
    largest_spectral_radius: float
    """Of the law's gains on the true plant, over the whole mission."""

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "law": self.law,
            "n_seeds": len(self.effort),
            "tracking_rms_m": float(self.tracking_rms_m.mean()),
            "tracking_rms_sd_m": float(self.tracking_rms_m.std(ddof=1)),
            "effort_n2_m2": float(self.effort.mean()),
            "effort_sd_n2_m2": float(self.effort.std(ddof=1)),
            "largest_spectral_radius": self.largest_spectral_radius,
        }


def measure(n_seeds: int = 10, wind_m_s: float = 3.0) -> list[Row]:
    """Fly the tours with both laws."""
    true_model = _model(predicts=True)
    return [
        _fly(label, _model(predicts), true_model, n_seeds, wind_m_s)
        for label, predicts in (("predicts payload", True), ("frozen at full tank", False))
    ]


def _model(predicts: bool) -> LinearModel:
    table = LoadedQuadrotor(
        model="loaded-quadrotor", preset="sprayer", liquid_l=LIQUID_L, predicts_payload=predicts, max_speed_m_s=8.0
    )
    return vehicle_model(table, TIME_STEP_S, N_STEPS)


def _fly(label: str, model: LinearModel, true_model: LinearModel, n_seeds: int, wind_m_s: float) -> Row:
    problem = tracking_problem(model, CONTROL, ALPHA)
    gains = first_gains(problem, CONTROL.horizon_steps, N_STEPS)
    world, state, home = _world(model, n_seeds, wind_m_s)
    goals = _tours(n_seeds) + home
    active = np.ones(n_seeds, np.bool_)
    error, effort = np.zeros(n_seeds), np.zeros(n_seeds)
    for k in range(N_STEPS):
        g = goals[k // LEG_STEPS]
        at = min(k, len(gains.state) - 1)
        command = state @ gains.state[at].T + g @ gains.goal[at].T
        world.advance(k, state, command, active)
        error += np.sum((world.body[:, :2] - g) ** 2, axis=1) / N_STEPS
        effort += np.sum(command**2, axis=1) / N_STEPS
    if world.lost.any():
        raise RuntimeError(f"{label}: lost {np.flatnonzero(world.lost)}")
    return Row(label, np.sqrt(error), effort, _radius(gains, true_model))


def _radius(gains: Gains, plant: LinearModel) -> float:
    steps = np.unique(np.linspace(0, N_STEPS - 1, 40).astype(int))
    law = np.minimum(steps, len(gains.state) - 1)
    return float(np.abs(np.linalg.eigvals(plant.A[steps] + plant.B[steps] @ gains.state[law])).max())


def _tours(n_seeds: int) -> Floats:
    """Goals by leg and seed, shape (legs, seeds, 2). [m]"""
    tours = [np.random.default_rng([11, s]).uniform(-LEG_M, LEG_M, (N_STEPS // LEG_STEPS, 2)) for s in range(n_seeds)]
    return np.stack(tours, axis=1)


def _world(model: LinearModel, n_seeds: int, wind_m_s: float) -> tuple[BulletWorld, Floats, Floats]:
    home = np.column_stack([SPACING_M * np.arange(n_seeds), np.zeros(n_seeds)])
    setup = BulletSetup(
        models=[model],
        kind=np.zeros(n_seeds, np.int32),
        airframes=[load_preset("sprayer")] * n_seeds,
        liquid=np.full(n_seeds, LIQUID_L),
        flow=np.full(n_seeds, LIQUID_L / (N_STEPS * TIME_STEP_S)),
        place=np.column_stack([home, np.full(n_seeds, 4.0)]),
        time_step=TIME_STEP_S,
    )
    wind = Wind(
        wind_m_s, 0.5, low_altitude_gusts(4.0, wind_m_s), [np.random.default_rng([12, s]) for s in range(n_seeds)]
    )
    receiver = SatelliteReceiver(0.0, 0.0, [np.random.default_rng([13, s]) for s in range(n_seeds)])
    state = np.zeros((n_seeds, model.n_states))
    state[:, model.position_states[0]] = home[:, 0]
    return BulletWorld(setup, motion_arrays([model]), wind, receiver), state, home


def stable_at_every_payload() -> float:
    """Largest spectral radius of the predicting law over the mission."""
    return spectral_radius(tracking_problem(_model(predicts=True), CONTROL, ALPHA), CONTROL.horizon_steps, N_STEPS)
