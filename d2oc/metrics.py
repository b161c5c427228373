"""Metrics of a mission: pure functions of its record."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from d2oc.arrays import Floats
from d2oc.density.moving import Moves, motion_from_mapping
from d2oc.faults import SENTENCE, Fault
from d2oc.record import Record
from d2oc.sprayed import litres_by_drone, sprayed
from d2oc.transport.wasserstein import sliced_wasserstein2, wasserstein2

ERGODIC_MODES = 10
"""Cosine modes per axis of the ergodic metric."""
TIMES_LOOKED_AT = 40
"""Evenly spaced moments of a mission at which it is asked whether W2 is low enough."""
CHEAP_PAIRS = 65_536
"""Pairs of points up to which the exact W2 is as cheap as an interval on cells."""
ROUGH_CELLS = (256, 1024)
"""Cells of the certified intervals tried before an exact W2."""
CLOSE_ENOUGH = 0.02
"""Width of a certified interval, as a share of W2, that is taken for the value on the way."""


def summarise(record: Record) -> dict[str, Any]:
    """All metrics of a record, as plain data with the unit in each name.

    Parameters
    ----------
    record : Record
        Complete or not.

    Returns
    -------
    summary : dict
        What ``summary.json`` holds. Everything but ``timing`` follows from the record's content.
    """
    header = record.header
    n_ticks = record.n_ticks
    messages = record.messages
    return {
        "name": header.name,
        "seed": header.seed,
        "status": record.status,
        "n_agents": header.n_agents,
        "n_samples": header.n_samples,
        "n_samples_removed": int(header.sampling.get("n_requested", header.n_samples)) - header.n_samples,
        "n_steps": n_ticks - 1,
        "duration_s": (n_ticks - 1) * header.time_step_s,
        **coverage_distance(record),
        "remaining_weight": remaining_weight(record),
        "doubly_covered_weight": doubly_covered_weight(record),
        "ergodic_metric": ergodic_metric(record),
        "planned_workload_gini": gini(planned_work(record)),
        "workload_gini": gini(work_done(record)),
        "min_separation_m": min_separation(record),
        "path_length_m": float(path_lengths(record).sum()),
        "longest_path_m": float(path_lengths(record).max()),
        "top_speed_m_s": top_speed(record),
        "control_energy": control_energy(record),
        "n_fallbacks": n_fallbacks(record),
        "n_messages": len(messages["tick"]),
        "message_bytes": int(messages["bytes"].sum(dtype=np.int64)),
        "message_entries": int(messages["entries"].sum(dtype=np.int64)),
        **flight(record),
        **sprayed(record),
        "record_digest": record.digest(),
        "timing": timing(record),
    }


def visited(record: Record, until: int | None = None) -> tuple[Floats, Floats]:
    """Where the team was, as a measure: every position after a step flown, with the mass of that step.

    Over a density that moves, every position is carried back with the density to the start of the mission: it is where
    what the agent was over stood then.

    Parameters
    ----------
    record : Record
    until : int, optional
        Last tick that counts; default: all.

    Returns
    -------
    points : ndarray, shape (n, 2)
        Local ENU. [m]
    masses : ndarray, shape (n,)
        Mass of each, not scaled.
    """
    trajectory = record.trajectory
    acted = trajectory["active"]
    if until is not None:
        acted = acted & (trajectory["tick"] <= until)
    alpha = np.array([agent.alpha for agent in record.header.agents])
    points = np.column_stack([trajectory["x_m"][acted], trajectory["y_m"][acted]])
    if record.header.motion is not None:
        moves = Moves(motion_from_mapping(record.header.motion), record.header.time_step_s)
        points = moves.between(points, trajectory["tick"][acted], 0)
    return points, alpha[trajectory["agent"][acted]]


def coverage_distance(record: Record) -> dict[str, Any]:
    """W2 and sliced W2 between where the team was and the reference density, both scaled to mass one. [m]

    Returns
    -------
    distances : dict
        ``w2_m`` with the interval that is certain to hold it, ``w2_method`` and ``sliced_w2_m``; None for a mission
        without a single step.
    """
    points, masses = visited(record)
    if len(points) == 0:
        names = ("w2_m", "w2_lower_m", "w2_upper_m", "w2_method", "sliced_w2_m")
        return dict.fromkeys(names)
    samples, weights = _reference(record)
    distance = wasserstein2(points, masses, samples, weights)
    return {
        "w2_m": distance.value,
        "w2_lower_m": distance.lower,
        "w2_upper_m": distance.upper,
        "w2_method": distance.method,
        "sliced_w2_m": sliced_wasserstein2(points, masses, samples, weights),
    }


def w2_at_share(record: Record, share: float) -> float | None:
    """W2 of what had been flown after a share of the planned mission, scaled to mass one. [m]

    Parameters
    ----------
    record : Record
    share : float
        Of the steps planned, 0 to 1.

    Returns
    -------
    distance : float or None
        Within 1 % (the middle of a certified interval), or as `wasserstein2` gives it; None before the first step.
    """
    points, masses = visited(record, round(share * record.header.n_steps))
    if len(points) == 0:
        return None
    samples, weights = _reference(record)
    for n_cells in ROUGH_CELLS:
        rough = wasserstein2(points, masses, samples, weights, exact_up_to=CHEAP_PAIRS, n_cells=n_cells)
        if rough.upper - rough.lower <= CLOSE_ENOUGH * rough.value:
            return rough.value
    return wasserstein2(points, masses, samples, weights).value


def time_to_w2(record: Record, level: float) -> float | None:
    """First of 40 evenly spaced moments at which W2 of what had been flown is at most `level`. [s]

    The sliced distance is a lower bound, and certified intervals on few cells decide nearly always; only where the
    level lies inside them W2 is computed as `wasserstein2` does.

    Parameters
    ----------
    record : Record
    level : float
        [m]

    Returns
    -------
    time : float or None
        None where it never got so low.
    """
    samples, weights = _reference(record)
    for i in range(1, TIMES_LOOKED_AT + 1):
        until = round(i / TIMES_LOOKED_AT * record.header.n_steps)
        points, masses = visited(record, until)
        if len(points) and _is_within(points, masses, samples, weights, level):
            return until * record.header.time_step_s
    return None


def _is_within(points: Floats, masses: Floats, samples: Floats, weights: Floats, level: float) -> bool:
    if sliced_wasserstein2(points, masses, samples, weights, n_directions=16) > level:
        return False
    for n_cells in ROUGH_CELLS:
        rough = wasserstein2(points, masses, samples, weights, exact_up_to=CHEAP_PAIRS, n_cells=n_cells)
        if rough.lower > level or rough.upper <= level:
            return rough.upper <= level
    return wasserstein2(points, masses, samples, weights).value <= level


def _reference(record: Record) -> tuple[Floats, Floats]:
    """Samples and weights of the reference density, shape (N, 2) [m] and (N,)."""
    return np.column_stack([record.samples["x_m"], record.samples["y_m"]]), record.samples["weight"]


def consumed_by_sample(record: Record, until: int | None = None) -> Floats:
    """Mass all agents together consumed from each sample up to a tick, or in all, shape (N,)."""
    consumption = record.consumption
    counts = slice(None) if until is None else consumption["tick"] <= until
    consumed = np.bincount(consumption["sample"][counts], consumption["amount"][counts], record.header.n_samples)
    return consumed.astype(np.float64)  # without any entry they come as integers


def weight_left(record: Record, until: int | None = None) -> Floats:
    """Weight of each sample that nobody consumed up to a tick, or at all, shape (N,): max(0, beta - consumption)."""
    return np.maximum(0.0, record.samples["weight"] - consumed_by_sample(record, until))


def sample_places(record: Record, tick: int) -> Floats:
    """Where the samples are at a tick, shape (N, 2), local ENU. [m]"""
    start, _ = _reference(record)
    if record.header.motion is None:
        return start
    return Moves(motion_from_mapping(record.header.motion), record.header.time_step_s).between(start, 0, tick)


def remaining_weight(record: Record) -> float:
    """Share of the reference mass that nobody consumed."""
    return float(weight_left(record).sum())


def doubly_covered_weight(record: Record) -> float:
    """Mass consumed beyond a sample's weight, by agents that did not know of each other."""
    return float(np.maximum(0.0, consumed_by_sample(record) - record.samples["weight"]).sum())


def planned_work(record: Record) -> Floats:
    """Mass each agent has the capacity for in its operation time, shape (L,)."""
    return np.array([agent.alpha * agent.n_steps for agent in record.header.agents])


def work_done(record: Record) -> Floats:
    """Mass each agent consumed, shape (L,); of a spraying mission the litres it sprayed."""
    if record.cells:
        return litres_by_drone(record)
    consumption = record.consumption
    done = np.bincount(consumption["agent"], consumption["amount"], record.header.n_agents)
    return done.astype(np.float64)


def gini(work: Floats) -> float:
    r"""Gini coefficient :math:`\sum_{ij} |x_i - x_j| / (2 n \sum_i x_i)`: 0 when all do the same.

    References
    ----------
    .. [1] C. Gini, Variabilita e mutabilita, 1912.
    """
    ordered = np.sort(work)
    n, total = len(work), work.sum()
    if total <= 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def ergodic_metric(record: Record) -> float | None:
    r"""Distance of time averages from space averages over cosine modes.

    .. math:: \sum_k \Lambda_k (c_k - \mu_k)^2, \quad \Lambda_k = (1 + |k|^2)^{-3/2}

    with the modes :math:`\cos(k_1 \pi x) \cos(k_2 \pi y)`, scaled to unit norm, on the field's bounding box
    mapped to the unit square, :math:`k_1, k_2 < 10`: eq. (6) to (8) of [1]_. Without unit.

    References
    ----------
    .. [1] G. Mathew and I. Mezic, Physica D 240, 2011. :doi:`10.1016/j.physd.2010.10.010`
    """
    points, masses = visited(record)
    if len(points) == 0:
        return None
    corners = np.array(record.header.boundary_m)
    low, high = corners.min(axis=0), corners.max(axis=0)
    samples = np.column_stack([record.samples["x_m"], record.samples["y_m"]])
    difference = _modes((points - low) / (high - low), masses) - _modes(
        (samples - low) / (high - low), record.samples["weight"]
    )
    k = np.arange(ERGODIC_MODES)
    weight = (1.0 + k[:, None] ** 2 + k[None, :] ** 2) ** -1.5
    return float((weight * difference**2).sum())


def _modes(unit_points: Floats, masses: Floats) -> Floats:
    k = np.arange(ERGODIC_MODES)
    norm = np.where(k == 0, 1.0, math.sqrt(2.0))
    along_x = np.cos(np.pi * unit_points[:, :1] * k) * norm
    along_y = np.cos(np.pi * unit_points[:, 1:] * k) * norm
    return np.asarray((along_x * (masses / masses.sum())[:, None]).T @ along_y)


def min_separation(record: Record) -> float | None:
    """Smallest distance between two acting agents at any tick; None if there never were two. [m]

    In the plane, and in space where the record has heights.
    """
    from scipy.spatial import cKDTree

    has_height = "height_m" in record.trajectory
    position = record.by_tick("x_m", "y_m", *(["height_m"] if has_height else []))
    active = record.by_tick("active")[:, :, 0]
    active[0] = True  # at the start everyone stands there
    smallest = math.inf
    for here, acts in zip(position, active, strict=True):
        if acts.sum() > 1:
            distance, _ = cKDTree(here[acts]).query(here[acts], k=2)
            smallest = min(smallest, float(distance[:, 1].min()))
    return None if math.isinf(smallest) else smallest


def flight(record: Record) -> dict[str, Any]:
    """How rigid bodies flew the mission; empty for the ideal world, which has none.

    Parameters
    ----------
    record : Record

    Returns
    -------
    metrics : dict
        ``lost_agents``: agent, time and reason of each; ``model_error_rms_m``: root mean square distance between where
        the law's model said an agent would be after a step and where it was; ``least_charge``: of any battery at the
        end; ``sprayed_l``: liquid given by all tanks.
    """
    if "fault" not in record.trajectory:
        return {}
    fault = record.by_tick("fault")[:, :, 0].astype(int)
    lost = [
        {
            "agent": int(r),
            "time_s": float((fault[:, r] > 0).argmax() * record.header.time_step_s),
            "reason": SENTENCE[Fault(fault[-1, r])],
        }
        for r in np.flatnonzero(fault[-1])
    ]
    if "model_error_m" not in record.trajectory:  # the ideal world knows crashes and nothing else
        return {"lost_agents": lost}
    active = record.by_tick("active")[:, :, 0].astype(bool)
    error = record.by_tick("model_error_m")[:, :, 0][active]
    liquid = record.by_tick("liquid_l")[:, :, 0]
    if record.cells:  # tanks are filled again and again, batteries changed; see d2oc.sprayed
        return {"lost_agents": lost}
    return {
        "lost_agents": lost,
        "model_error_rms_m": float(np.sqrt(np.mean(error**2))) if len(error) else 0.0,
        "least_charge": float(record.by_tick("charge")[-1].min()),
        "sprayed_l": float((liquid[0] - liquid[-1]).sum()),
    }


def path_lengths(record: Record) -> Floats:
    """Length of the way of each agent, shape (L,). [m]"""
    return np.asarray(_legs(record).sum(axis=0))


def top_speed(record: Record) -> float:
    """Longest way flown in one step, over its duration. [m/s]"""
    legs = _legs(record)
    return float(legs.max() / record.header.time_step_s) if len(legs) else 0.0


def _legs(record: Record) -> Floats:
    """Distance flown in each step, shape (steps, L). [m]"""
    return np.asarray(np.linalg.norm(np.diff(record.by_tick("x_m", "y_m"), axis=0), axis=2))


def control_energy(record: Record) -> float:
    """Sum of |u|^2 T over all agents and steps, in the square of the input's unit times seconds."""
    inputs = [values for name, values in record.trajectory.items() if name.startswith("input_")]
    return float(sum(np.nansum(values**2) for values in inputs) * record.header.time_step_s)


def n_fallbacks(record: Record) -> int:
    """Agent-steps in which the optimal command was not flown, whatever the reasons."""
    events = record.events
    return len(np.unique(np.column_stack([events["tick"], events["agent"]]), axis=0))


def timing(record: Record) -> dict[str, float]:
    """Wall time of the run and compute time per agent-step, as measured while it ran."""
    measured = record.provenance.get("timing", {})
    steps = measured.get("agent_steps", 0.0)
    return {
        "wall_time_s": measured.get("wall_time_s", 0.0),
        "compute_time_per_agent_step_us": 1e6 * measured.get("compute_time_s", 0.0) / steps if steps else 0.0,
    }
