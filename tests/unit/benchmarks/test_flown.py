"""`d2oc bench flown`: its means, its verdict, and one mission of it."""

import numpy as np
import pytest

from d2oc.benchmarks.flown import WORLDS, Flight, fly, rows, tracking_rms
from d2oc.mission import simulate
from d2oc.scenario import load_scenario

SHORT = ["mission.duration_s=3", "sampling.n_samples=100", "control.law=closed-form"]


def flights(**changes):
    w2 = {None: (2.0, 4.0), 0.0: (3.0, 4.0), 3.0: (2.0, 6.0), 6.0: (4.0, 8.0)}
    base = {"tracking_rms_m": 1.0, "model_error_rms_m": 0.1, "top_speed_m_s": 5.0, "speed_limit_m_s": 5.0,
            "min_separation_m": 2.0, "n_lost": 0, **changes}  # fmt: skip
    return [Flight(seed, wind, w2[wind][seed], **base) for seed in (0, 1) for wind in WORLDS]


def test_ratios_are_to_the_ideal_world_of_the_same_seed():
    ideal, calm, windy, stormy = rows("x", flights())
    assert (ideal.w2_m, ideal.w2_ratio, ideal.least_ratio, ideal.largest_ratio) == (3.0, 1.0, 1.0, 1.0)
    assert (calm.w2_ratio, calm.least_ratio, calm.largest_ratio) == (pytest.approx(7 / 6), 1.0, 1.5)
    assert windy.w2_sd_m == pytest.approx(np.sqrt(8.0))
    assert stormy.w2_ratio == 2.0
    assert not any(row.breached for row in (ideal, calm, windy, stormy))


@pytest.mark.parametrize("change", [{"n_lost": 1}, {"top_speed_m_s": 5.01}])
def test_a_lost_drone_or_an_exceeded_limit_is_a_breach(change):
    assert all(row.breached for row in rows("x", flights(**change)))


def test_one_mission_in_the_wind():
    flown = fly("six_drones", 1, 3.0, SHORT)
    assert flown.n_lost == 0
    assert 0.0 < flown.model_error_rms_m < 0.3
    assert flown.speed_limit_m_s == 8.0
    record = simulate(load_scenario("six_drones", overrides=SHORT))
    off = record.by_tick("x_m", "y_m")[1:] - record.by_tick("goal_x_m", "goal_y_m")[1:]
    assert tracking_rms(record) == pytest.approx(np.sqrt(np.nanmean(np.sum(off**2, axis=2))))
