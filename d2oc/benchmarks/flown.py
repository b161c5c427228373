"""How much worse a scenario comes out flown by rigid bodies in the wind than by its model.

Run it with ``python -m d2oc.benchmarks.flown SCENARIO N_SEEDS [KEY=VALUE ...]``: each seed once in the ideal world and
once in the bullet world at 0, 3 and 6 m/s of wind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from d2oc.mission import simulate
from d2oc.scenario import load_scenario

WINDS_M_S = (0.0, 3.0, 6.0)


@dataclass(frozen=True)
class Flight:
    """One mission."""

    seed: int
    wind_m_s: float | None
    """Mean wind; None: the ideal world."""
    w2_m: float
    """Distance between what was covered and the reference. [m]"""
    model_error_rms_m: float
    """Of the place after a step, model against flight. [m]"""
    top_speed_m_s: float
    n_lost: int


def flights(scenario: str, seeds: Sequence[int], overrides: Sequence[str] = ()) -> Iterator[Flight]:
    """Fly a scenario in both worlds.

    Parameters
    ----------
    scenario : str
        Name or path.
    seeds : sequence of int
        Seeds to fly.
    overrides : sequence of str
        Keys to change, ``key=value``.
    """
    for seed in seeds:
        yield _flight(scenario, seed, None, [*overrides, "world.kind=ideal"])
        for wind in WINDS_M_S:
            world = ["world.kind=bullet", f"world.wind.speed_m_s={wind}", "world.wind.toward_deg=30.0"]
            yield _flight(scenario, seed, wind, [*overrides, *world])


def _flight(scenario: str, seed: int, wind: float | None, overrides: Sequence[str]) -> Flight:
    summary = simulate(load_scenario(scenario, overrides=overrides, seed=seed)).summary()
    return Flight(
        seed,
        wind,
        summary["w2_m"],
        summary.get("model_error_rms_m", 0.0),
        summary["top_speed_m_s"],
        len(summary.get("lost_agents", ())),
    )


def _print_means(flown: Sequence[Flight]) -> None:
    ideal = np.array([f.w2_m for f in flown if f.wind_m_s is None])
    for wind in (None, *WINDS_M_S):
        group = [f for f in flown if f.wind_m_s == wind]
        w2 = np.array([f.w2_m for f in group])
        ratios = np.sort(w2 / ideal)
        print(
            f"{'ideal' if wind is None else f'{wind:.0f} m/s':8} W2 {w2.mean():7.3f} +- {w2.std(ddof=1):.3f} m"
            f"  ratio of means {w2.mean() / ideal.mean():.3f}, of a seed {ratios[0]:.2f} to {ratios[-1]:.2f}"
            f"  model error {np.mean([f.model_error_rms_m for f in group]):.4f} m"
            f"  top speed {max(f.top_speed_m_s for f in group):.2f} m/s  lost {sum(f.n_lost for f in group)}"
        )


if __name__ == "__main__":
    _all: list[Flight] = []
    for _flown in flights(sys.argv[1], range(1, int(sys.argv[2]) + 1), sys.argv[3:]):
        print(_flown, file=sys.stderr, flush=True)
        _all.append(_flown)
    _print_means(_all)
