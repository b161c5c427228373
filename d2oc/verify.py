"""Replay a reference case: the same samples, start, model and settings, compared state by state."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2oc.arrays import Floats
from d2oc.bus.perfect import PerfectBus
from d2oc.control.closed_form import tracking
from d2oc.control.law import first_gains
from d2oc.errors import RecordError
from d2oc.runtime.arrays import ArraysRuntime, TeamSetup
from d2oc.vehicles.linear import Limits, quadrotor

TOLERANCE_M = 1e-9
"""A faithful implementation stays below this deviation. [m, m/s, rad, rad/s]"""

TIME_STEP_S = 0.1
"""Control period of the reference cases. [s]"""

_NEEDED = {
    "samples": 2, "initial_states": 2, "n_steps": 0, "horizon": 0, "comm_range": 0, "Q": 2, "R": 2, "u_max": 0,
    "v_max": 0, "tilt_max": 0, "tilt_rate_max": 0, "states": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Verification:
    """How far this implementation is from a reference case."""

    case: str
    n_agents: int
    n_steps: int
    n_samples: int
    max_deviation_m: float
    """Largest absolute deviation of any state at any step (positions in m; velocities, tilts and rates in SI)."""
    max_position_deviation_m: float
    worst_step: int
    """Step of the largest deviation."""
    max_input_deviation: float | None
    """Largest deviation of an input, if the case has inputs. [N m]"""
    max_goal_deviation_m: float | None
    """Largest deviation of a goal, if the case has goals. [m]"""
    max_remaining_weight_deviation: float | None
    """Largest deviation of a final belief, if the case has them."""
    tolerance_m: float = TOLERANCE_M

    @property
    def agrees(self) -> bool:
        """Whether every state at every step is within the tolerance."""
        return self.max_deviation_m <= self.tolerance_m


def verify_case(path: str | Path) -> Verification:
    """Fly a reference case in official mode and compare.

    Parameters
    ----------
    path : str or Path
        `.npz` file with the arrays `samples (N, 2)`, `initial_states (L, 8)`, `states (steps + 1, L, 8)`, the scalars
        `n_steps`, `horizon`, `comm_range`, `u_max`, `v_max`, `tilt_max`, `tilt_rate_max`, the weights `Q (8, 8)` and
        `R (2, 2)`, and optionally `inputs`, `goals`, `remaining_weight`.

    Returns
    -------
    verification : Verification

    Raises
    ------
    RecordError
        If the file cannot be read or an array is missing or of the wrong shape.
    """
    case = _read_case(Path(path))
    runtime = case_runtime(case)
    n_steps, n_agents = int(case["n_steps"]), len(case["initial_states"])
    states = np.empty((n_steps + 1, n_agents, 8))
    inputs = np.empty((n_steps, n_agents, 2))
    goals = np.empty((n_steps, n_agents, 2))
    states[0] = runtime.team.state
    for k in range(n_steps):
        runtime.step(k)
        states[k + 1], inputs[k], goals[k] = runtime.team.state, runtime.team.input, runtime.team.goal
    deviation = np.abs(states - case["states"])
    return Verification(
        case=Path(path).name,
        n_agents=n_agents,
        n_steps=n_steps,
        n_samples=len(case["samples"]),
        max_deviation_m=float(deviation.max()),
        max_position_deviation_m=float(deviation[:, :, [0, 4]].max()),
        worst_step=int(deviation.max(axis=(1, 2)).argmax()),
        max_input_deviation=_deviation(case, "inputs", inputs),
        max_goal_deviation_m=_deviation(case, "goals", goals),
        max_remaining_weight_deviation=_deviation(case, "remaining_weight", runtime.remaining_weight()),
    )


def case_runtime(case: dict[str, Floats]) -> ArraysRuntime:
    """Team of a reference case: official mode, equal masses, weights 1/N."""
    n_agents, n_steps = len(case["initial_states"]), int(case["n_steps"])
    alpha = 1.0 / (n_agents * n_steps)
    tilt, rate = float(case["tilt_max"]), float(case["tilt_rate_max"])
    axis = [np.inf, np.inf, tilt, rate]
    limits = Limits(input_each=float(case["u_max"]), speed_each=float(case["v_max"]), state_each=np.array(axis + axis))
    model = quadrotor(TIME_STEP_S, np.array([0.0075]), limits)
    problem = tracking(model.A, model.B, model.C, case["Q"], case["R"][None], alpha)
    comm_range = float(case["comm_range"])
    setup = TeamSetup(
        points=case["samples"],
        weights=np.full(len(case["samples"]), 1.0 / len(case["samples"])),
        models=[model],
        gains=[first_gains(problem, int(case["horizon"]), n_steps)],
        kind=np.zeros(n_agents, np.int32),
        n_steps=np.full(n_agents, n_steps, np.int32),
        alpha=np.full(n_agents, alpha),
        initial_states=list(case["initial_states"]),
        comm_range=comm_range,
        order="sequential",
    )
    return ArraysRuntime(setup, PerfectBus(comm_range))


def _deviation(case: dict[str, Floats], name: str, ours: Floats) -> float | None:
    if name not in case:
        return None
    if case[name].shape != ours.shape:
        raise RecordError(f"array {name} has shape {case[name].shape}, but the case asks for {ours.shape}")
    known = ~np.isnan(case[name])  # an agent that has ended has no goal
    return float(np.abs(case[name] - ours)[known].max(initial=0.0))


def _read_case(path: Path) -> dict[str, Floats]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            case = {name: np.asarray(archive[name], dtype=np.float64) for name in archive.files}
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; a reference case is a .npz file") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise RecordError(f"{path}: not a readable .npz file of numbers ({error})") from None
    for name, ndim in _NEEDED.items():
        if name not in case:
            raise RecordError(f"{path}: array {name} is missing; a case needs {', '.join(_NEEDED)}")
        if case[name].ndim != ndim:
            raise RecordError(f"{path}: array {name} has {case[name].ndim} dimensions, needs {ndim}")
    _check_shapes(path, case)
    return case


def _check_shapes(path: Path, case: dict[str, Floats]) -> None:
    n_steps, n_agents = int(case["n_steps"]), len(case["initial_states"])
    wanted = {
        "samples": (len(case["samples"]), 2),
        "initial_states": (n_agents, 8),
        "states": (n_steps + 1, n_agents, 8),
        "Q": (8, 8),
        "R": (2, 2),
    }
    for name, shape in wanted.items():
        if case[name].shape != shape or 0 in shape:
            raise RecordError(f"{path}: array {name} has shape {case[name].shape}, needs {shape}")
    for name in (*wanted, "R"):
        if not np.isfinite(case[name]).all():
            raise RecordError(f"{path}: array {name} holds values that are not finite numbers")
    if n_steps < 1 or case["horizon"] < 1:
        raise RecordError(f"{path}: n_steps and horizon must be at least 1")
