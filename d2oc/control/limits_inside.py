r"""Any law, flown with its limits inside the optimisation, and with a way to stop that is proven at every step.

The inner law says where to go, `ConstrainedStep` decides the command, and nothing is flown unproven:

- Every agent holds a *proven way*: the positions of its next steps up to where it has come to rest. It starts at rest.
- At each step half-planes are laid around the proven ways of the agent and of the agents it heard; the agent plans
  within them. The new way is the plan, or its first steps, and braking from there. It is proven when it keeps *all*
  half-planes, at *every* step until it rests, and crosses no zone.
- If it does not, the agent flies on along the way proven before, which ends at rest: an event is noted.

Half-planes between two agents are chosen so that two ways that both keep theirs are apart, whatever the two agents do
within them; the ways of before keep them as well. So by induction proven ways are apart and clear of zones at all
times: this is the recursive feasibility of model predictive control [1]_, with agents planning at the same time.

Who is out of radio range cannot tell its way. No way leads farther than half the range, less half the distance to keep,
from where it was posted: so two agents that do not hear each other cannot meet.

An agent whose time or work is over brakes along its proven way, then hovers; its beacon tells where.

References
----------
.. [1] D. Q. Mayne, J. B. Rawlings, C. V. Rao, P. O. M. Scokaert, "Constrained model predictive control: stability and
   optimality", Automatica 36(6), 2000. :doi:`10.1016/S0005-1098(99)00214-9`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from d2oc.arrays import Flags, Floats, Ints, Longs
from d2oc.compiled import compiled
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.constrained import ConstrainedStep, Infeasible, StepResult
from d2oc.control.controller import Controller, Crew
from d2oc.control.convexified_flight import ConvexifiedFlight
from d2oc.control.d2oc import Team
from d2oc.control.fence import Fence, keep_out, segment_meets
from d2oc.control.half_planes import HalfPlanes, between_steps, during, together
from d2oc.control.pilot import Brief
from d2oc.control.stopping import scale_of, stopping_problem
from d2oc.control.tethers import keeps_to, middles, reach_of, sides
from d2oc.control.ways import Ways, along, length_of, while_advancing
from d2oc.errors import ScenarioError
from d2oc.record import DRIFTED, NO_PLAN, UNPROVEN
from d2oc.transport.nearest_mass import SampleTree
from d2oc.vehicles.linear import LinearModel, top_speed_of

SPEED_TOLERANCE = 1e-3
"""A plan may exceed soft limits by this share; margins allow for ten times as much."""

INSIDE_M = 1e-6
"""Plans are asked to stay this much inside what is checked, so that rounding fails no check. [m]"""

DRIFT_M = 0.01
"""An agent may be this far from its proven way; every distance is larger by this. [m]"""

AT_REST = 1e-3
"""A vehicle is at rest when every moving state is below this share of its limit; its way ends there."""

BRAKING_EFFORT = 1e-5
"""Weight of the inputs when braking: the shortest way to rest matters, not the effort."""

LONGEST_BRAKING = 256
"""Steps within which a vehicle must be able to stop from top speed."""

FREE_WHILE_BRAKING = 12
"""Steps of the way to rest of a full quadrotor whose inputs are optimised; a linear law has the rest."""

NEAREST_PIECES = 4
NEAREST_AGENTS = 5
"""Half-planes given to the optimisation at each step; all are checked afterwards."""

MEMORY_STEPS = 8
"""An agent not heard for this long is beyond reach."""


class Step(Protocol):
    """A control step within limits: `ConstrainedStep` of linear vehicles, `ConvexifiedFlight` of full quadrotors."""

    horizon: int
    n_half_planes: int

    def solve(
        self, k: int, state: Floats, goals: Floats, half_planes: HalfPlanes | None = None, start: Any = None
    ) -> StepResult:
        """See `d2oc.control.constrained.ConstrainedStep.solve`."""


def step_of(
    problem: TrackingProblem, model: LinearModel, horizon: int, n_half_planes: int, free: int | None = None
) -> Step:
    """The control step of a kind of vehicle; of a full quadrotor with so many free inputs."""
    if model.body is not None:
        return ConvexifiedFlight(problem, model, horizon, n_half_planes, free=free)
    return ConstrainedStep(problem, model, horizon, n_half_planes)


@dataclass(frozen=True, eq=False)
class Braking:
    """What one kind of agent needs to plan within its limits and to stop."""

    model: LinearModel
    step: Step
    stop: Step
    scale: Floats
    """Size of each state that must be small at rest, inf for positions, shape (n,)."""
    way_of_one_step: float
    """Longest way of one step. [m]"""
    stopping_distance: float
    """Way to rest from top speed. [m]"""
    origin: tuple[LinearModel, TrackingProblem, int, float, str, int]
    """What `braking_of` made it from; another process makes its own, as solvers cannot travel."""

    def __reduce__(self) -> tuple[object, ...]:
        """A copy is made anew."""
        return braking_of, self.origin

    def start(self, inputs: Floats) -> Floats | None:
        """What a step may begin with: inputs planned before for a full quadrotor, others need nothing."""
        return None if self.model.body is None else inputs

    def position(self, states: Floats) -> Floats:
        """Positions in states, shape (..., 2)."""
        return np.ascontiguousarray(states[..., list(self.model.position_states)])

    def is_at_rest(self, state: Floats) -> bool:
        """Whether hardly anything moves."""
        return bool((np.abs(state) <= AT_REST * self.scale).all())


def braking_of(
    model: LinearModel, problem: TrackingProblem, horizon: int, time_step_s: float, name: str, more_planes: int = 0
) -> Braking:
    """Prepare one kind of agent.

    Parameters
    ----------
    model : LinearModel
        Vehicle.
    problem : TrackingProblem
        Model and weights.
    horizon : int
        Steps looked ahead.
    time_step_s : float
        Control period. [s]
    name : str
        Scenario, for messages.
    more_planes : int
        Half-planes at each step beside those of zones and other agents.

    Raises
    ------
    ScenarioError
        If the vehicle has no top speed, or cannot stop.
    """
    longest = way_of_one_step(model, time_step_s)
    if not np.isfinite(longest):
        raise ScenarioError(
            f'{name}: control.limits = "optimised" needs a finite vehicle.max_speed_m_s [m/s]: without one no distance '
            "keeps a drone out of a zone between two steps"
        )
    origin = (model, problem, horizon, time_step_s, name, more_planes)
    stopping = stopping_problem(problem, model, BRAKING_EFFORT)
    scale = np.full(model.n_states, np.inf)
    moving = [i for i in range(model.n_states) if i not in model.position_states]
    scale[moving] = scale_of(model)[moving]
    step = step_of(problem, model, horizon, NEAREST_PIECES + NEAREST_AGENTS + more_planes)
    length = 4
    while length <= LONGEST_BRAKING:
        stop = step_of(stopping, model, length, step.n_half_planes, FREE_WHILE_BRAKING)
        ready = Braking(model, step, stop, scale, longest, 0.0, origin)
        tracks = [brake(ready, 0, _at_speed(model, direction)) for direction in _DIRECTIONS]
        if all(track is not None and ready.is_at_rest(track[1][-1]) for track in tracks):
            far = max(float(np.linalg.norm(ready.position(track[1][-1]))) for track in tracks if track is not None)
            return Braking(model, step, stop, scale, longest, far, origin)
        length = round(1.5 * length)
    raise ScenarioError(
        f'{name}: control.limits = "optimised" needs a vehicle that can stop: {model.name} is not at rest '
        f"{LONGEST_BRAKING} steps after its top speed; raise its limits on the input"
    )


_DIRECTIONS = (np.array([1.0, 0.0]), np.array([0.0, -1.0]), np.array([0.6, 0.8]))


def _at_speed(model: LinearModel, direction: Floats) -> Floats:
    """At the origin, at top speed."""
    state = np.zeros(model.n_states)
    if model.velocity_states is not None:
        limits = model.limits
        factor = min(limits.speed_norm, limits.speed_each / float(np.abs(direction).max()))
        state[list(model.velocity_states)] = factor * direction
    return state


def brake(
    kind: Braking, k: int, state: Floats, planes: HalfPlanes | None = None, start: Floats | None = None
) -> tuple[Floats, Floats] | None:
    """Inputs and states on the way to rest, within half-planes if it can be, None if there are none."""
    result = kind.stop.solve(k, state, np.zeros((kind.stop.horizon, 2)), planes, start)
    if isinstance(result, Infeasible) or result.excess > SPEED_TOLERANCE:
        return None
    return result.inputs, result.predicted_states


@dataclass(frozen=True, eq=False)
class ProvenWay:
    """Inputs of the next steps, and where they lead: at rest at the end."""

    inputs: Floats
    """Shape (P, m)."""
    positions: Floats
    """Shape (P, 2); the last one holds for ever. [m]"""
    left: int
    """Steps to rest."""

    def one_step_on(self) -> ProvenWay:
        """What is left after a step."""
        return ProvenWay(
            np.concatenate([self.inputs[1:], np.zeros_like(self.inputs[:1])]),
            np.concatenate([self.positions[1:], self.positions[-1:]]),
            max(0, self.left - 1),
        )


@dataclass(frozen=True, eq=False)
class Rules:
    """What all agents keep to, known to all before take-off."""

    fence: Fence
    """The field's edge and zones."""
    ways: Ways
    """Ways around zones."""
    distance: float
    """That ways of agents keep from each other at the steps; 0: they do not care. [m]"""
    comm_range: float
    """Radio range. [m]"""
    radius: float
    """No way leads farther than this from where it was posted. [m]"""
    length: int
    """Steps of a proven way, P."""
    longest_step: float
    """Longest way of one step of anybody. [m]"""
    certain: bool
    """Whether every message in range arrives in the next tick."""
    reach: float = np.inf
    """Tethered agents stay within this of each other; inf: nobody is tethered. [m]"""

    @property
    def could_meet(self) -> float:
        """Agents farther apart than this cannot meet within the length of their ways. [m]"""
        return self.distance + 2 * self.length * self.longest_step

    @property
    def n_pieces(self) -> int:
        """Lines and pieces of the fence."""
        return len(self.fence.normal) + len(self.fence.first) - 1

    def for_agents(self, shortest: float) -> Rules:
        """The same rules for agents that learn one step later who was in range.

        Parameters
        ----------
        shortest : float
            Radius that they need at least. [m]
        """
        unheard = 1 if self.certain else 1 + MEMORY_STEPS
        radius = self.radius - unheard * self.longest_step
        if radius < shortest:
            needed = self.comm_range + 2 * (shortest - radius)
            raise ScenarioError(
                f"radio.comm_range_m = {self.comm_range:g} m must be at least {needed:.1f} m for team.separation_m > 0 "
                "and agents that know only what they are told: two that do not hear each other must be able to stop"
            )
        return replace(self, radius=radius)

    def resting(self, place: Floats, n_inputs: int) -> ProvenWay:
        """Staying at a place."""
        return ProvenWay(np.zeros((self.length, n_inputs)), np.tile(place, (self.length, 1)), 0)


def rules_for(
    kinds: Sequence[Braking],
    fence: Fence,
    separation: float,
    comm_range: float,
    *,
    certain: bool = True,
    connected: bool = False,
) -> Rules:
    """Rules of a team.

    Parameters
    ----------
    kinds : sequence of Braking
        All kinds in it.
    fence : Fence
        The field's edge and zones.
    separation : float
        Distance that agents keep from each other; 0: they do not care. [m]
    comm_range : float
        Radio range. [m]
    certain : bool
        Whether every message in range arrives in the next tick.
    connected : bool
        Whether the team stays connected, see `d2oc.control.tethers`.
    """
    distance = distance_between_ways(kinds, separation) if separation > 0 else 0.0
    longest = [kind.way_of_one_step for kind in kinds]
    return Rules(
        fence=fence,
        ways=ways_for(fence, longest),
        distance=distance,
        comm_range=comm_range,
        radius=(comm_range - distance) / 2 if separation > 0 else np.inf,
        length=max(kind.step.horizon + kind.stop.horizon for kind in kinds),
        longest_step=max(longest),
        certain=certain,
        reach=reach_of(comm_range) if connected else np.inf,
    )


class LimitsInside:
    """Flies another law with its limits inside the optimisation; see `d2oc.control.controller.Controller`.

    Parameters
    ----------
    inner : Controller
        Says where to go and what is consumed.
    kinds : sequence of Braking
        One an agent; agents of a kind share one.
    starts : ndarray, shape (L, 2)
        Where everyone starts, at rest, known to all. [m]
    rules : Rules
        Of the team.
    """

    def __init__(self, inner: Controller, kinds: Sequence[Braking], starts: Floats, rules: Rules) -> None:
        n_agents = len(kinds)
        self._inner = inner
        self._kinds = kinds
        self._rules = rules
        self._starts = starts
        self._acts: Flags = np.zeros(n_agents, np.bool_)
        self._way = [rules.resting(place, kind.model.n_inputs) for kind, place in zip(kinds, starts, strict=True)]
        self._expected = starts.copy()
        self._posted: list[Floats] = [np.stack([way.positions for way in self._way])]
        """Ways left after each of the last steps, newest first, each shape (L, P, 2)."""
        self._silent: Ints = np.zeros((n_agents, n_agents), np.int32)
        """Rounds of messages since agent r heard agent q, shape (L, L)."""
        self.events: list[tuple[int, int]] = []
        """Agent and code of what happened in the last step, see `d2oc.record.EVENT_CODES`."""

    def briefs(self, tree: SampleTree, weight: Floats, team: Team) -> list[Brief] | None:
        """What each agent is told before take-off; see `d2oc.control.controller.Controller`."""
        from d2oc.control.limits_pilot import LimitsBrief  # which needs this module

        inner = self._inner.briefs(tree, weight, team)
        if inner is None:
            return None
        rules = self._rules.for_agents(max(kind.stopping_distance + kind.way_of_one_step for kind in self._kinds))
        return [
            LimitsBrief(number, brief, kind, self._starts, rules)
            for number, (brief, kind) in enumerate(zip(inner, self._kinds, strict=True))
        ]

    def decide(self, k: int, crew: Crew) -> None:
        """Stage A: the inner law's goal, then the optimal command within the limits if it is proven."""
        self._inner.decide(k, crew)
        self._acts = crew.team.active.copy()
        self.events = []
        team = crew.team
        self._way = [
            self._plan(r, k, crew) if team.active[r] else self._come_to_rest(r, k, crew)
            for r in range(len(self._kinds))
        ]
        for r, way in enumerate(self._way):
            team.input[r, : way.inputs.shape[1]] = way.inputs[0]
        self._expected = np.stack([way.positions[0] for way in self._way])

    def account(self, k: int, first: int, crew: Crew) -> int:
        """Stage B of the inner law; who only comes to rest consumes nothing."""
        if first == 0:
            crew.team.active[:] &= self._acts
        return self._inner.account(k, first, crew)

    def hear(self, k: int, sender: Ints, receiver: Ints, before: Floats, crew: Crew) -> None:
        """Take note of the ways posted after step k; see `d2oc.control.controller.Controller`."""
        self._inner.hear(k, sender, receiver, before, crew)
        self._way = [way.one_step_on() for way in self._way]
        self._posted = [np.stack([way.positions for way in self._way]), *self._posted[: MEMORY_STEPS - 1]]
        self._silent += 1
        self._silent[receiver, sender] = 0
        position = crew.team.position
        for q in np.flatnonzero(k >= crew.team.n_steps):  # only the beacon is on: ways are told and heard, no more
            near = np.linalg.norm(position - position[q], axis=1) < self._rules.comm_range
            self._silent[near, q] = self._silent[q, near] = 0

    def preview(self, r: int, k: int, horizon: int, crew: Crew) -> Floats:
        """Where the inner law wants to be; see `d2oc.control.controller.Controller`."""
        return self._inner.preview(r, k, horizon, crew)

    @property
    def flies_to_the_end(self) -> bool:
        """As the inner law."""
        return self._inner.flies_to_the_end

    @property
    def memory_bytes(self) -> int:
        """Memory of ways and of the inner law; see `Controller`."""
        return self._inner.memory_bytes + self._silent.nbytes + sum(ways.nbytes for ways in self._posted)

    def _come_to_rest(self, r: int, k: int, crew: Crew) -> ProvenWay:
        """An agent whose time or work is over brakes at once if that is proven, else along its way."""
        kind, way = self._kinds[r], self._way[r]
        crew.team.active[r] = way.left > 0
        if way.left == 0:
            return way
        state = crew.team.state[r, : kind.model.n_states]
        here = kind.position(state)
        stopping = self._stopping_now(kind, k, state)
        normal, allowed = self._half_planes(r, here, way)
        tethers = self._tethers(r, way)
        return stopping if stopping.left < way.left and self._proves(here, stopping, normal, allowed, tethers) else way

    def _proves(self, here: Floats, way: ProvenWay, normal: Floats, allowed: Floats, tethers: Floats) -> bool:
        corner, first = self._rules.fence.corner, self._rules.fence.first
        return keeps_to(way.positions, tethers, self._rules.reach) and bool(
            _is_proven(here, way.positions, normal, allowed, corner, first, self._rules.radius)
        )

    def _plan(self, r: int, k: int, crew: Crew) -> ProvenWay:
        kind = self._kinds[r]
        state = crew.team.state[r, : kind.model.n_states]
        here = kind.position(state)
        way = self._way[r]
        if np.linalg.norm(here - self._expected[r]) > DRIFT_M:
            self.events.append((r, DRIFTED))
            way = self._stopping_now(kind, k, state)
        normal, allowed = self._half_planes(r, here, way)
        horizon = kind.step.horizon
        goals = self._led(here, self._inner.preview(r, k, horizon, crew), kind.way_of_one_step)
        planes = _nearest(normal, allowed, way.positions, self._rules.n_pieces)
        tethers = self._tethers(r, way)
        if len(tethers):
            wanted = goals[np.minimum(np.arange(self._rules.length), horizon - 1)]
            planes = together(planes, sides(way.positions, wanted, tethers, self._rules.reach))
        result = kind.step.solve(k, state, goals, during(planes, 0, horizon), kind.start(way.inputs[:horizon]))
        if isinstance(result, Infeasible) or result.excess > SPEED_TOLERANCE:
            self.events.append((r, NO_PLAN))
            return self._fly_on(kind, k, state, way)
        for steps in (horizon, horizon // 2, 1):
            start = kind.start(way.inputs[steps : max(steps, way.left)])
            new = self._followed_by_braking(kind, k, result.inputs, result.predicted_states, steps, planes, start)
            if new is not None and self._proves(here, new, normal, allowed, tethers):
                return new
        self.events.append((r, UNPROVEN))
        return self._fly_on(kind, k, state, way)

    def _followed_by_braking(
        self,
        kind: Braking,
        k: int,
        inputs: Floats,
        states: Floats,
        steps: int,
        planes: HalfPlanes,
        start: Floats | None,
    ) -> ProvenWay | None:
        """The first steps of a plan, and braking from there; None if that does not end at rest.

        What slides along a half-plane would cross it if it braked without knowing it, as its axes stop one by one.
        """
        rest = brake(kind, k + steps, states[steps - 1], during(planes, steps, kind.stop.horizon), start)
        if rest is None or not kind.is_at_rest(rest[1][-1]):
            return None
        positions = np.vstack([kind.position(states[:steps]), kind.position(rest[1])])
        return self._padded(np.vstack([inputs[:steps], rest[0]]), positions)

    def _padded(self, inputs: Floats, positions: Floats) -> ProvenWay:
        """A way at its full length, the last position held."""
        more = self._rules.length - len(positions)
        return ProvenWay(
            np.vstack([inputs, np.zeros((more, inputs.shape[1]))]),
            np.vstack([positions, np.repeat(positions[-1:], more, axis=0)]),
            len(positions),
        )

    def _fly_on(self, kind: Braking, k: int, state: Floats, way: ProvenWay) -> ProvenWay:
        """The proven way; at its end, hold still."""
        if way.left > 0:
            return way
        rest = brake(kind, k, state)
        return way if rest is None else replace(way, inputs=self._padded(*self._shape_of(kind, rest)).inputs)

    def _shape_of(self, kind: Braking, rest: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        return rest[0], kind.position(rest[1])

    def _stopping_now(self, kind: Braking, k: int, state: Floats) -> ProvenWay:
        """Braking at once, from wherever the agent is."""
        rest = brake(kind, k, state)
        if rest is None:
            return self._rules.resting(kind.position(state), kind.model.n_inputs)
        return self._padded(*self._shape_of(kind, rest))

    def _half_planes(self, r: int, here: Floats, way: ProvenWay) -> tuple[Floats, Floats]:
        """All half-planes of the next P steps: pieces first, then agents; never stricter than the proven way."""
        margin = margin_of(self._kinds[r].way_of_one_step)
        fence = keep_out(self._rules.fence, here, way.positions, margin, self._rules.n_pieces)
        normal, offset = fence.normal, fence.offset
        if self._rules.distance > 0.0:
            others = self._expected_ways(r, here)
            n, o = _apart(way.positions, others, self._rules.distance)
            normal, offset = np.concatenate([normal, n], axis=1), np.concatenate([offset, o], axis=1)
        kept = (normal * way.positions[:, None]).sum(axis=2)
        return normal, np.maximum(offset, kept)

    def _tethers(self, r: int, way: ProvenWay) -> Floats:
        """Middles of the ways of agent r and of those it is tethered to, shape (tethers, P, 2)."""
        others = np.flatnonzero(self._silent[r] == 0) if np.isfinite(self._rules.reach) else np.empty(0, np.intp)
        others = others[others != r].astype(np.int32)
        if not len(others):
            return np.zeros((0, self._rules.length, 2))
        return middles(r, way.positions, others, self._posted[0][others], self._rules.reach)

    def _expected_ways(self, r: int, here: Floats) -> Floats:
        """Ways of those that agent r has heard of late and could meet, shape (others, P, 2)."""
        silent = self._silent[r].copy()
        silent[r] = MEMORY_STEPS
        ways = []
        for q in np.flatnonzero(silent < len(self._posted)):
            posted = self._posted[silent[q]][q]
            ahead = np.minimum(np.arange(self._rules.length) + silent[q], self._rules.length - 1)
            ways.append(posted[ahead])
        if not ways:
            return np.zeros((0, self._rules.length, 2))
        stacked = np.stack(ways)
        return stacked[np.linalg.norm(stacked[:, 0] - here, axis=1) < self._rules.could_meet]

    def _led(self, here: Floats, goals: Floats, longest: float) -> Floats:
        """Goals themselves, or places on the way around what stands between."""
        if not np.isfinite(goals).all() or self._rules.ways.is_clear(np.vstack([here, goals])):
            return goals
        way = self._rules.ways.between(here, goals[-1])
        step = longest
        if not (goals == goals[0]).all():  # a plan of its own pace
            step = min(longest, length_of(way) / len(goals))
        return along(while_advancing(way), step, len(goals))


def way_of_one_step(model: LinearModel, time_step_s: float) -> float:
    """Longest way of one step, a soft speed limit slightly exceeded. [m]"""
    speed = top_speed_of(model)
    if model.velocity_states is not None and model.limits.speed_each < model.limits.speed_norm:
        speed *= np.sqrt(2.0)  # along a diagonal
    return float(speed * time_step_s * (1 + 10 * SPEED_TOLERANCE))


def margin_of(longest_step: float) -> float:
    """Distance to zones and the field's edge at the steps, so that none is touched between. [m]"""
    return between_steps(longest_step, 1.0) + DRIFT_M


def ways_for(fence: Fence, longest_steps: Sequence[float]) -> Ways:
    """Ways around zones that every kind can fly, by the longest way of one step of each. [m]"""
    return Ways(fence, margin_of(max(longest_steps)) + DRIFT_M)


def distance_between_ways(kinds: Sequence[Braking], separation: float) -> float:
    """Distance of agents at the steps that keeps them `separation` apart between the steps too. [m]"""
    return separation + max(kind.way_of_one_step for kind in kinds) + 2 * DRIFT_M


def require_room(name: str, kinds: Sequence[Braking], starts: Floats, separation: float, comm_range: float) -> None:
    """Refuse starts too close to each other, and a radio that does not reach as far as separation needs.

    Raises
    ------
    ScenarioError
        One sentence with the distances.
    """
    distance = distance_between_ways(kinds, separation)
    for r in range(len(starts)):
        gaps = np.linalg.norm(starts[r + 1 :] - starts[r], axis=1)
        if len(gaps) and gaps.min() < distance:
            q = r + 1 + int(np.argmin(gaps))
            raise ScenarioError(
                f"{name}: agents {r} and {q} start {gaps.min():.2f} m apart, must be at least {distance:.2f} m: "
                f"team.separation_m = {separation:g} m and the way of one step; set team.start_m, or fewer agents"
            )
    needed = distance + 2 * max(kind.stopping_distance + kind.way_of_one_step for kind in kinds)
    if len(starts) > 1 and comm_range < needed:
        raise ScenarioError(
            f"{name}: radio.comm_range_m = {comm_range:g} m must be at least {needed:.1f} m for "
            f"team.separation_m = {separation:g} m: two drones that do not hear each other must be able to stop"
        )


def _nearest(normal: Floats, allowed: Floats, path: Floats, n_pieces: int) -> HalfPlanes:
    """Half-planes for the optimisation: the nearest pieces and the nearest agents, and a little stricter."""
    room = (allowed - (normal * path[:, None]).sum(axis=2)).min(axis=0)
    pieces = np.argsort(room[:n_pieces], kind="stable")[:NEAREST_PIECES]
    agents = n_pieces + np.argsort(room[n_pieces:], kind="stable")[:NEAREST_AGENTS]
    taken = np.sort(np.concatenate([pieces, agents]))
    return HalfPlanes(normal[:, taken], allowed[:, taken] - INSIDE_M, np.zeros(len(taken), np.bool_))


def _apart(path: Floats, others: Floats, distance: float) -> tuple[Floats, Floats]:
    """Half-planes halfway to other ways less half the distance, shape (P, others, 2) and (P, others).

    Buffered Voronoi cells as in `d2oc.control.half_planes.keep_apart`, but always square to the line between the two:
    proven ways never come so near that it turns round.
    """
    between = others.transpose(1, 0, 2) - path[:, None]
    gap = np.sqrt((between**2).sum(axis=2))
    normal = between / np.maximum(gap, 1e-9)[:, :, None]
    middle = path[:, None] + between / 2
    return normal, (normal * middle).sum(axis=2) - distance / 2


@compiled
def _is_proven(
    here: Floats, positions: Floats, normal: Floats, allowed: Floats, corner: Floats, first: Longs, radius: float
) -> bool:
    """Whether a way keeps all half-planes, crosses no piece and stays near where it is posted from.

    It is posted first from here, and from each of its places if it is flown on.
    """
    for h in range(len(positions)):
        dx, dy = positions[h, 0] - here[0], positions[h, 1] - here[1]
        if dx * dx + dy * dy > radius * radius:
            return False
        for p in range(allowed.shape[1]):
            if normal[h, p, 0] * positions[h, 0] + normal[h, p, 1] * positions[h, 1] > allowed[h, p]:
                return False
        before = positions[h - 1] if h else here
        for z in range(len(first) - 1):
            if segment_meets(corner[first[z] : first[z + 1]], before, positions[h]):
                return False
        for i in range(h):
            dx, dy = positions[h, 0] - positions[i, 0], positions[h, 1] - positions[i, 1]
            if dx * dx + dy * dy > radius * radius:
                return False
    return True
