r"""Feed-forward of the closed-form law: what follows a goal that moves without lagging behind it.

The published problem holds its goal over the horizon and weights inputs and velocities, so a vehicle stays behind a
goal that moves. Let the goal move with the velocity v, and let :math:`\hat x_h, \hat u` be how the vehicle moves along:
:math:`\hat x_{h+1} = A \hat x_h + B \hat u`, :math:`C \hat x_h = g + h T v`. The problem of eq. (14) of [1]_ with these
goals, asked of :math:`x - \hat x` and :math:`u - \hat u`, is that of a goal at rest and has its gains, as Q weights no
position. So the first input is

.. math:: u = K^x x + K^g g + F v, \qquad F v = \hat u - K^x \hat x_0^v,

:math:`\hat x_0^v` being the moving part of :math:`\hat x_0`, whose position is zero.

References
----------
.. [1] S. Seo and K. Lee, IEEE Trans. SMC: Systems, 2025. :doi:`10.1109/TSMC.2025.3622075`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.d2oc import Team
from d2oc.control.law import Gains
from d2oc.density.moving import Moves
from d2oc.errors import ScenarioError
from d2oc.vehicles.linear import LinearModel

NOT_MOVING_ALONG = 1e-6
"""Largest residual of the equations of moving along, for one metre a second."""


@dataclass(frozen=True, eq=False)
class FeedForward:
    """What a team adds to the input of a goal at rest."""

    moves: Moves
    gain: Floats
    """F of each kind and step, shape (kinds, K, m, 2)."""

    def add(self, k: int, team: Team) -> None:
        """Add F v to the input of every active agent; v is the way of its goal in step k over its duration."""
        acting = np.flatnonzero(team.active)
        if len(acting):
            goal = team.goal[acting]
            velocity = (self.moves.between(goal, k, k + 1) - goal) / self.moves.time_step
            gain = self.gain[team.kind[acting], min(k, self.gain.shape[1] - 1)]
            team.input[acting] += np.einsum("aij,aj->ai", gain, velocity)

    def goals(self, goal: Floats, k: int, horizon: int) -> Floats:
        """Where a goal of step k is after the steps k to k + horizon - 1, shape (horizon, 2). [m]"""
        return self.moves.between(
            np.repeat(goal[None], horizon, axis=0), k, np.arange(k + 1, k + 1 + horizon, dtype=np.int32)
        )


def feed_forward(moves: Moves, models: Sequence[LinearModel], gains: Sequence[Gains], name: str) -> FeedForward:
    """Prepare the feed-forward of a team.

    Parameters
    ----------
    moves : Moves
        How goals move.
    models, gains : sequences, one entry a kind
        Vehicle and law of each kind.
    name : str
        Scenario, for messages.

    Raises
    ------
    ScenarioError
        If a vehicle cannot move at a constant velocity.
    """
    each = [_gains(model, law, name, moves.time_step) for model, law in zip(models, gains, strict=True)]
    steps = max(len(gain) for gain in each)
    m = max(gain.shape[1] for gain in each)
    padded = np.zeros((len(each), steps, m, 2))
    for kind, gain in enumerate(each):
        padded[kind, : len(gain), : gain.shape[1]] = gain
        padded[kind, len(gain) :, : gain.shape[1]] = gain[-1]
    return FeedForward(moves, padded)


def _gains(model: LinearModel, law: Gains, name: str, time_step: float) -> Floats:
    """F of one kind at each step, shape (K, m, 2); none for a rover, whose law is told where its goal goes."""
    if model.name == "unicycle":
        return np.zeros((1, model.n_inputs, 2))
    gains = []
    for k in range(len(law.state)):
        state, command = moving_along(model, k, time_step, name)
        gains.append(command - law.state[k] @ state)
    return np.array(gains)


def moving_along(model: LinearModel, k: int, time_step: float, name: str) -> tuple[Floats, Floats]:
    """State, its position apart, and input of a vehicle that moves at 1 m/s along x and along y.

    They solve (A - I) x + B u = T C' v, C x = 0, for the model of step k.

    Returns
    -------
    state, input : ndarray, shape (n, 2) and (m, 2)
    """
    a, b, c = model.A[min(k, len(model.A) - 1)], model.B[min(k, len(model.B) - 1)], model.C
    n, m = b.shape
    system = np.block([[a - np.eye(n), b], [c, np.zeros((2, m))]])
    right = np.vstack([time_step * c.T, np.zeros((2, 2))])
    solution = np.linalg.lstsq(system, right, rcond=None)[0]
    if np.abs(system @ solution - right).max() > NOT_MOVING_ALONG * time_step:
        raise ScenarioError(
            f"{name}: control.feed_forward = true needs a vehicle that can move at a constant velocity, "
            f"{model.name} cannot; set it to false"
        )
    return solution[:n], solution[n:]
