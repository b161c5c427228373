r"""The one place that names daqp: convex quadratic programs by a dual active-set method [1]_, started warm.

.. math::
    \min_z \tfrac12 z^T W z + w^T z + \gamma \sum_{i\ \mathrm{soft}} \left(\sigma_i + \tfrac12 \sigma_i^2\right)
    \quad l - \sigma \le (z, G z) \le h + \sigma

with :math:`\sigma = 0` on hard constraints. The linear part makes the penalty exact: a soft constraint whose
multiplier stays below :math:`\gamma` is met; the quadratic part shares out what cannot be met.

References
----------
.. [1] D. Arnström, A. Bemporad and D. Axehill, "A dual active-set solver for embedded quadratic programming using
   recursive LDL^T updates", IEEE Trans. Automatic Control 67(8), 2022. :doi:`10.1109/TAC.2022.3176430`
"""

from __future__ import annotations

from typing import NamedTuple

import daqp
import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.control.constraint_rows import SOFT

FEASIBILITY_TOLERANCE = 1e-9
"""Largest violation of a constraint, its row scaled to length one in the metric of the cost."""
MOST_ITERATIONS = 2000

NOT_CONVEX = "the cost is not convex"

REASONS = {
    -1: "no input keeps all hard limits",
    -2: "the active-set method went round in circles",
    -3: "the cost has no minimum",
    -4: f"no solution within {MOST_ITERATIONS} iterations",
    -5: NOT_CONVEX,
    -6: "the constraints taken to be active contradict each other",
}


class Quadratic(NamedTuple):
    """A quadratic program of N inputs and r rows, in memory that is filled anew for each solution."""

    hessian: Floats
    """W, shape (N, N)."""
    gradient: Floats
    """w, shape (N,)."""
    matrix: Floats
    """G, shape (r, N)."""
    high: Floats
    """h, shape (N + r,); 1e30: no bound."""
    low: Floats
    """l, shape (N + r,)."""
    sense: Ints
    """0 hard, 8 soft; plus 1 to begin with the upper, 3 with the lower bound active; shape (N + r,)."""


class Solution(NamedTuple):
    """What came out."""

    inputs: Floats
    """Minimiser, shape (H m,)."""
    multiplier: Floats
    """Multipliers of bounds and rows; negative where the lower bound is active."""
    iterations: int
    reason: str
    """Empty if solved, else why not."""


class ActiveSetSolver:
    """A workspace for one program; it keeps no memory of the last solution that would change the next."""

    def __init__(self, program: Quadratic, penalty: float) -> None:
        n, bounds = len(program.gradient), len(program.high)
        self._program = program
        self._matrix = program.matrix if len(program.matrix) else None
        self._model = daqp.Model()
        self._model.settings = {"primal_tol": FEASIBILITY_TOLERANCE, "iter_limit": MOST_ITERATIONS}
        any_matrix = np.ones_like(program.matrix)
        self._model.setup(np.eye(n), program.gradient, any_matrix, program.high, program.low, program.sense)
        weight, share = np.full(bounds, penalty), np.full(bounds, 1.0 / penalty)
        self._model.soft_weights(rho_l=share, rho_u=share, w_l=weight, w_u=weight)

    def solve(self) -> Solution:
        """Solve from the active set marked in `sense`; from none if that does not work."""
        sense = self._program.sense
        solution = self._attempt(sense)
        if solution.reason and (sense & 1).any():
            return self._attempt(sense & np.int32(SOFT))
        return solution

    def _attempt(self, sense: Ints) -> Solution:
        program = self._program
        flag = self._model.update(program.hessian, program.gradient, self._matrix, program.high, program.low, sense)
        if flag < 0:
            return Solution(program.gradient, program.high, 0, _reason(flag))
        inputs, _, flag, info = self._model.solve()
        return Solution(inputs, info["lam"], info["iterations"], "" if flag > 0 else _reason(flag))


def _reason(flag: int) -> str:
    return REASONS.get(flag, f"the solver stopped with code {flag}")
