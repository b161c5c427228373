r"""The guard: every command passes through it, and it can only make a command safer.

It imports nothing of the planner and believes nothing of it. What it relies on is the promise of the vehicle
(:class:`~d2oc_hardware.promise.Limits`): from speed v it stands within :math:`v (\tau + v / 2 a)` once it is told to.

**Why it holds.** Let w be any velocity between the present one, the commands that may still act, and the new one. Until
the next command can act, the vehicle moves by at most w (period + latency), and stopping from there takes
:math:`w (\tau + |w| / 2 a)`. All of that lies in a capsule along the new command, and the command passes only if the
capsule keeps its margin from the fence, the zones and the teammates. What goes towards an obstacle
is halved until the command passes, or it is at last replaced by standing still; standing still keeps the vehicle
inside the capsule of the command that passed before it. So, by induction, it never leaves what was found clear. How
two guards share a gap is told in :mod:`d2oc_hardware.separation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from d2oc_hardware.failsafe import OUTSIDE, Answer, Row, Situation, Watch, is_number, rows_that_hold
from d2oc_hardware.frames import STANDSTILL, Velocity
from d2oc_hardware.keep_out import Area, Obstacle, Seen
from d2oc_hardware.promise import GRAVITY, Limits, Motion, Teammate, heights, way_over_ground
from d2oc_hardware.separation import Beside, band_left, is_far, too_near
from d2oc_hardware.separation import beside as seen_beside

ATTEMPTS = 8
"""A command is made slower at most so often before the drone stands still."""
STILL = 0.02
"""A slower command is none. [m/s]"""


class Verdict(NamedTuple):
    """What the guard says to a wish."""

    answer: Answer
    velocity: Velocity
    """To be sent where the answer is to fly, to brake or to return."""
    spray: bool
    """Whether the pump may run."""
    rows: tuple[Row, ...]
    """Rows of the table that hold."""
    changed_by: tuple[str, ...]
    """What made the wish safer."""


class Guard:
    """Watches one drone.

    Parameters
    ----------
    limits : Limits
        What it may do and what it promises.
    watch : Watch
        When the table of failsafes applies.
    area : Area
        Where it may be.
    spray_area : Area, optional
        Where it may spray; default: nowhere.
    """

    def __init__(self, limits: Limits, watch: Watch, area: Area, spray_area: Area | None = None) -> None:
        self.limits = limits
        self.watch = watch
        self.area = area
        self._spray_area = spray_area
        self._acting: list[tuple[Velocity, float]] = []
        self.last = STANDSTILL
        """What it let pass last."""
        self.latched = Answer.FLY
        """An answer that stays: to return, until `release`; to land, for ever."""
        self.causes: list[str] = []
        """Why, in the order in which the causes came up."""

    def release(self) -> None:
        """The operator lets the drone fly on after a return; a landing stays."""
        if self.latched != Answer.LAND:
            self.latched = Answer.FLY

    def judge(
        self,
        now: float,
        motion: Motion,
        wish: Velocity,
        situation: Situation,
        teammates: Sequence[Teammate] = (),
        *,
        on_mission: bool = True,
    ) -> Verdict:
        """What may happen now.

        Parameters
        ----------
        now : float
            [s]
        motion : Motion
            Of the vehicle.
        wish : Velocity
            What the planner, or the way home, asks for.
        situation : Situation
            What else is known; `inside` is looked at anew.
        teammates : sequence of Teammate
            What was last heard of the others.
        on_mission : bool
            Whether this is the mission; False on transit and on the way home, where nothing is sprayed.
        """
        known = is_number(*motion.place, *motion.velocity, motion.age)
        inside = known and self.area.contains(motion.place.east, motion.place.north)
        situation = situation._replace(
            inside=inside or not known,  # where it is not known, that is the graver news
            position_known=situation.position_known and known,
        )
        rows = tuple(rows_that_hold(situation, self.watch))
        answer = self._latch(rows)
        velocity: Velocity = STANDSTILL
        changed_by: tuple[str, ...] = ()
        if known and inside and _may_move(answer, rows):
            velocity, changed_by = self._safer(now, motion, wish, teammates)
        self._remember(now, velocity)
        spray = on_mission and answer == Answer.FLY and known and self._may_spray(motion)
        return Verdict(answer, velocity, spray, rows, changed_by)

    def _latch(self, rows: Sequence[Row]) -> Answer:
        """The gravest answer, of now or of before."""
        answer = max((row.answer for row in rows), default=Answer.FLY)
        self.causes += [r.cause for r in rows if r.answer >= Answer.RETURN and r.cause not in self.causes]
        if Answer.RETURN <= answer <= Answer.LAND:
            self.latched = max(self.latched, answer)
        return max(answer, self.latched)

    def _may_spray(self, motion: Motion) -> bool:
        place = motion.place
        return self._spray_area is not None and self._spray_area.contains(place.east, place.north)

    def _remember(self, now: float, velocity: Velocity) -> None:
        """Keep what was sent before for as long as it may still act."""
        acting = [(w, until) for w, until in self._acting if until > now]
        if self.last != STANDSTILL:
            acting.append((self.last, now + self.limits.latency))
        self._acting, self.last = acting, velocity

    # Making a command safer

    def _safer(
        self, now: float, motion: Motion, wish: Velocity, teammates: Sequence[Teammate]
    ) -> tuple[Velocity, tuple[str, ...]]:
        if not is_number(*wish):
            return STANDSTILL, ("the command is no number",)
        changed: list[str] = []
        acting = [motion.velocity, self.last, *(w for w, until in self._acting if until > now)]
        wish = self._within_limits(motion.velocity, wish, changed)
        near = [mate for mate in teammates if not is_far(motion, mate, self.limits)]
        beside: list[Teammate] = []
        up = self._climb(motion, wish.up, acting, near, beside, changed)
        around = self.area.seen_from(motion.place.east, motion.place.north)
        mates = [seen_beside(motion, mate, self.limits) for mate in beside]
        for _ in range(ATTEMPTS):
            obstacle = self._obstacle(motion, wish, acting, around, mates)
            if obstacle is None:
                return wish._replace(up=up), tuple(changed)
            changed.append(obstacle.name)
            wish = _slower(wish, obstacle)
            if wish.horizontal < STILL:
                break
        return Velocity(0.0, 0.0, up), tuple(changed)

    def _within_limits(self, velocity: Velocity, wish: Velocity, changed: list[str]) -> Velocity:
        """Cut speed, and the tilt that a sudden change would ask for; slowing down is never cut."""
        limits, (x, y, up) = self.limits, wish
        speed = math.hypot(x, y)
        if speed > limits.max_speed:
            changed.append("speed limit")
            x, y = x * limits.max_speed / speed, y * limits.max_speed / speed
        most = GRAVITY * math.tan(limits.max_tilt) * limits.response
        jump = math.hypot(x - velocity.east, y - velocity.north)
        if jump > most:
            share = most / jump
            tilted_x, tilted_y = (
                velocity.east + (x - velocity.east) * share,
                velocity.north + (y - velocity.north) * share,
            )
            if math.hypot(tilted_x, tilted_y) < math.hypot(x, y):  # never faster than was asked for
                changed.append("tilt limit")
                x, y = tilted_x, tilted_y
        if abs(up) > limits.max_climb:
            changed.append("climb limit")
            up = math.copysign(limits.max_climb, up)
        return Velocity(x, y, up)

    def _climb(
        self,
        motion: Motion,
        up: float,
        acting: Sequence[Velocity],
        near: Sequence[Teammate],
        beside: list[Teammate],
        changed: list[str],
    ) -> float:
        """Climb rate that keeps to the band and heights apart; lists teammates `beside` which no height is left."""
        limits = self.limits
        rates = [w.up for w in acting]
        low, high = limits.lowest, limits.highest
        for mate in near:
            left = band_left(motion, self.last, mate, limits)
            if left is None:  # they part over ground; until they have, neither comes nearer in height
                beside.append(mate)
                here, there = motion.place.up, mate.motion.place.up
                left = (here, math.inf) if there < here else (-math.inf, here)
            low, high = max(low, left[0]), min(high, left[1])
        for _ in range(ATTEMPTS):
            fastest = max(abs(up), *map(abs, rates))
            time = limits.period + limits.latency + motion.age + limits.vertical_stopping_time(fastest)
            bottom, top = heights(motion.place, [*rates, up], time)
            if (up <= 0.0 or top <= high) and (up >= 0.0 or bottom >= low):
                return up
            changed.append("altitude band")
            up *= 0.5
        return 0.0

    def _obstacle(
        self,
        motion: Motion,
        command: Velocity,
        acting: Sequence[Velocity],
        around: Sequence[Seen],
        mates: Sequence[Beside],
    ) -> Obstacle | None:
        """What is in the way of a command."""
        limits = self.limits
        fastest = max(command.horizontal, *(w.horizontal for w in acting))
        time = limits.period + limits.latency + motion.age + limits.stopping_time(fastest)
        capsule = way_over_ground(motion.place, command, acting, time)
        obstacle = self.area.obstacle(capsule, limits.margin, around)
        if obstacle is not None:
            return obstacle
        for mate in mates:
            obstacle = too_near(capsule, mate, limits)
            if obstacle is not None:
                return obstacle
        return None


def _may_move(answer: Answer, rows: Sequence[Row]) -> bool:
    """Whether a velocity is sent at all: also on the way home, as long as commands and telemetry are fresh."""
    if answer not in (Answer.FLY, Answer.RETURN):
        return False
    return all(row.answer not in (Answer.BRAKE, Answer.HOLD) and row is not OUTSIDE for row in rows)


def _slower(wish: Velocity, obstacle: Obstacle) -> Velocity:
    """With half the part that goes towards an obstacle; half as fast altogether where that part is small."""
    toward = wish.east * obstacle.normal[0] + wish.north * obstacle.normal[1]
    if toward > 0.1 * wish.horizontal:
        less = 0.5 * toward
        return Velocity(wish.east - less * obstacle.normal[0], wish.north - less * obstacle.normal[1], wish.up)
    return Velocity(0.5 * wish.east, 0.5 * wish.north, wish.up)
