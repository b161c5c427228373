"""The law that knows the draining tank is stable at every payload."""

import numpy as np
import pytest

from d2oc.airframes.airframe import load_preset
from d2oc.benchmarks.payload import ALPHA, CONTROL, TIME_STEP_S, stable_at_every_payload
from d2oc.control.law import spectral_radius, tracking_problem
from d2oc.vehicles.linear import GRAVITY, loaded_quadrotor


def test_stable_over_the_mission_that_empties_the_tank():
    assert stable_at_every_payload() < 0.97


@pytest.mark.parametrize("liquid", [0.0, 10.0, 20.0, 30.0, 40.0])
@pytest.mark.parametrize("retrims", [True, False])
def test_stable_at_each_payload_held(liquid, retrims):
    frame = load_preset("sprayer")
    mass = np.array([frame.mass_with(liquid)])
    thrust = None if retrims else np.array([frame.mass_with(40.0) * GRAVITY])
    model = loaded_quadrotor(
        TIME_STEP_S,
        mass,
        np.array([frame.inertia_with(liquid)[0]]),
        drag_n_s_m=frame.drag.linear_n_s_m,
        thrust_n=thrust,
    )
    assert spectral_radius(tracking_problem(model, CONTROL, ALPHA), CONTROL.horizon_steps, 1) < 0.97
