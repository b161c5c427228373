"""Random waypoints: each agent flies at cruise speed to a random place of the field, then to the next.

Knows: the field and its own position; nothing of the density or of the other agents (fully local). The floor that
any method has to beat.

References
----------
.. [1] T. Camp, J. Boleng and V. Davies, "A survey of mobility models for ad hoc network research", Wireless
   Communications and Mobile Computing 2, 2002, sec. 2.2. :doi:`10.1002/wcm.72`
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.baselines.guidance import CoverageTask

PATIENCE = 1.5
"""A place not reached within this many times the time of the straight way is given up."""


class RandomWaypoints:
    """The random waypoint model of [1] without pauses."""

    def __init__(self, task: CoverageTask) -> None:
        self._task = task
        self._goal = task.start.copy()
        self._until = np.zeros(task.n_agents)

    def velocities(self, k: int, position: Floats, velocity: Floats) -> Floats:
        """See `Guidance`."""
        task = self._task
        reached = np.linalg.norm(self._goal - position, axis=1) <= task.speed * task.response
        for r in np.flatnonzero(reached | (k * task.time_step >= self._until)):
            self._goal[r] = self._somewhere(int(r))
            way = float(np.linalg.norm(self._goal[r] - position[r]))
            self._until[r] = k * task.time_step + PATIENCE * way / task.speed[r] + task.response[r]
        towards = self._goal - position
        return towards / np.linalg.norm(towards, axis=1, keepdims=True).clip(1e-9) * task.speed[:, None]

    def _somewhere(self, r: int) -> Floats:
        """A place inside the field, evenly distributed, outside every zone."""
        x_min, y_min, x_max, y_max = self._task.field.bounds
        while True:
            places = self._task.rngs[r].uniform((x_min, y_min), (x_max, y_max), (16, 2))
            inside = places[self._task.field.contains(places)]
            if len(inside):
                place: Floats = inside[0]
                return place
