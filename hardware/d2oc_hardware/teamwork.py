"""What machines of a spraying mission tell each other, and how what one leaves is shared out among the others.

In every period each machine says where it is, what it has flown, what it is on and what it will fly. The living one
with the lowest number looks after the whole: when nobody is going to fly some part of the plan any more, or one is done
long before the others, it divides what is left, as the simulation does, and the others take from that what is theirs.
Nothing depends on one word being heard: all that was said is said again, and what was flown stays flown.

A machine is lost when it says that it ends. One that says nothing is lost when the ground station does not hear it
either: two that cannot hear each other must not both fly the same pass.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from d2oc.arrays import Floats
from d2oc.phases import Phase
from d2oc.spray.division import Leg, Route
from d2oc.spray.farm import NEWS_INTERVAL_S, WORTH_HELPING_S, FarmRuntime, Stroke
from d2oc.spray.logistics import Drone
from d2oc.spray.passes import Segment
from d2oc.spray.work import Slots, is_of, left_of, legs_left
from d2oc_hardware.flight_controller import MOST_LEASE

VERSION = 2
"""Of a word; others are not understood."""
SILENT_S = 5.0
"""A machine that was not heard for so long may be lost. [s]"""
AGAIN_S = 10.0
"""What nobody is going to fly although it was shared out is shared out again after so long. [s]"""
MISSED_WORDS = 2
"""The last words of a lost machine that may not have been heard; after them its pump has run for a lease."""

KEPT_WORDS = 16
"""A word tells what was laid in so many periods, so that as many words before it may be lost."""
CM, TENTH_ML = 100.0, 10_000.0
"""Units of what words tell, to one metre and to one litre."""
FARTHEST_CM, MOST_TENTH_ML = 10_000_000, 1_000_000
"""Larger numbers are nonsense."""

Laid = tuple[int, int, int, int, int, int]
"""Period; where it began to come down, and from there to where that ended, in cm; how much, in tenths of a mL."""
Part = tuple[int, int, int, int]
"""Lattice, line, first and last slot."""
Way = tuple[int, int, int, int, bool]
"""A part, and whether it is flown forwards."""


class Share(msgspec.Struct, frozen=True, array_like=True):
    """What everybody flies from now on, beside the pass that each is on."""

    number: int
    by: int
    """Who made it; of two with one number that of the higher one counts."""
    gone: tuple[int, ...]
    """Who was lost by then."""
    routes: tuple[tuple[Way, ...], ...]
    """One a machine."""

    @property
    def rank(self) -> tuple[int, int]:
        """The higher one counts."""
        return self.number, self.by


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What a machine says of itself in one period; SI units."""

    version: int
    sender: int
    tick: int
    place: tuple[float, float]
    station: int
    phase: int
    timer: float
    served: bool
    liquid: float
    energy: float
    idle: bool
    """On the ground, with nothing to do."""
    waits: bool
    """On the ground, until a person lets it go."""
    ended: bool
    """It will not fly any more, or only home."""
    flown: tuple[Part, ...]
    """All that it has flown."""
    laid: tuple[Laid, ...]
    """What it has laid in the last `KEPT_WORDS` periods."""
    of_pass: tuple[Part | None, Part, bool] | None
    """What it has flown of the pass that it is on, the rest, and whether it flies forwards."""
    route: tuple[Way, ...]
    """What it flies after that."""
    share: Share | None


class Teamwork:
    """What one machine knows of its team.

    Parameters
    ----------
    runtime : FarmRuntime
        Of this machine alone.
    number : int
        Which machine.
    parts : sequence of Segment
        All passes of the plan.
    """

    def __init__(self, runtime: FarmRuntime, number: int, parts: Sequence[Segment]) -> None:
        self.number = number
        self.gone: frozenset[int] = frozenset()
        """Whom the ground station does not hear."""
        self._runtime = runtime
        self._passes = runtime.plan.passes
        self._whole = tuple(parts)
        self._flown = Slots(self._passes)
        self._own_noted = 0
        self._laid: deque[Laid] = deque(maxlen=KEPT_WORDS)
        self._words: dict[int, Word] = {}
        self._heard: dict[int, int] = {}
        self._buried: set[int] = set()
        self.own_waits = False
        """Whether a person has to let this machine go."""
        self._share: Share | None = None
        self._obeyed: Share | None = None
        self._shared_at = -math.inf

    # Saying and hearing

    def word(self, k: int, *, ended: bool) -> bytes:
        """What it has to say in period k."""
        drone = self._drone
        word = Word(
            version=VERSION,
            sender=self.number,
            tick=k,
            place=(float(self._place[0]), float(self._place[1])),
            station=drone.station,
            phase=int(drone.phase),
            timer=float(drone.timer),
            served=drone.served,
            liquid=float(drone.liquid),
            energy=float(drone.energy),
            idle=self.is_idle,
            waits=self.own_waits,
            ended=ended,
            flown=tuple(map(_part, drone.flown)),
            laid=tuple(own for own in self._laid if own[0] >= k - KEPT_WORDS),
            of_pass=self._own_pass(),
            route=_ways(self._ahead),
            share=self._share,
        )
        return msgspec.msgpack.encode(word)

    def _own_pass(self) -> tuple[Part | None, Part, bool] | None:
        on, leg = self._runtime.under_way(self.number), self._drone.leg
        if on is None or leg is None:
            return None
        return None if on[0] is None else _part(on[0]), _part(on[1]), leg.forwards

    def hear(self, data: bytes, k: int) -> None:
        """Take in what another machine said; what is no word of this mission is dropped."""
        try:
            word = msgspec.msgpack.decode(data, type=Word)
        except msgspec.MsgspecError:
            return
        if not self._is_sound(word):
            return
        before = self._words.get(word.sender)
        if before is not None and word.tick < before.tick:
            return
        self._words[word.sender] = word
        self._heard[word.sender] = k
        self._learn(word, 0 if before is None else before.tick)
        if word.share is not None and (self._share is None or word.share.rank > self._share.rank):
            self._share, self._shared_at = word.share, k

    def note(self, k: int, stroke: Stroke | None) -> None:
        """Remember what this machine has laid in period k, to tell it."""
        if stroke is not None:
            places = (round(CM * at) for at in stroke[:4])
            self._laid.append((k, *places, math.ceil(TENTH_ML * stroke.litres)))  # type: ignore[arg-type]

    def _learn(self, word: Word, since: int) -> None:
        """Count what somebody has laid since the period in which it was heard before.

        It was laid where it says. What is no longer told, since too many words were lost, was laid as it was planned.
        """
        for tick, x, y, dx, dy, amount in word.laid:
            if tick >= since:
                self._runtime.laid_along(Stroke(x / CM, y / CM, dx / CM, dy / CM, amount / TENTH_ML))
        flown = [*word.flown, *([word.of_pass[0]] if word.of_pass and word.of_pass[0] else [])]
        new = [part for part in map(_segment, flown) if not self._flown.holds(part)]
        if word.tick - since > KEPT_WORDS:
            self._runtime.laid_by_others([p for part in new for p in left_of(self._passes, part, self._flown)])
        self._flown.add(new)

    def _is_sound(self, word: Word) -> bool:
        n = len(self._runtime.drones)
        share, on = word.share, word.of_pass
        parts = [*word.flown, *(way[:4] for way in word.route)]
        parts += [] if on is None else [part for part in on[:2] if part is not None]
        if share is not None:
            parts += [way[:4] for route in share.routes for way in route]
        return (
            word.version == VERSION
            and 0 <= word.sender < n
            and word.sender != self.number
            and 0 <= word.station < len(self._runtime.stations.tables)
            and word.phase in set(Phase)
            and all(map(math.isfinite, (*word.place, word.timer, word.liquid, word.energy)))
            and (share is None or len(share.routes) == n)
            and all(is_of(self._passes, _segment(part)) for part in parts)
            and all(max(map(abs, own[1:5])) < FARTHEST_CM and 0 <= own[5] < MOST_TENTH_ML for own in word.laid)
            and len(word.laid) <= KEPT_WORDS
        )

    # Who is there, and what is left

    @property
    def _drone(self) -> Drone:
        return self._runtime.drones[self.number]

    @property
    def _place(self) -> Floats:
        return self._runtime.team.position[self.number]

    @property
    def _ahead(self) -> Route:
        """What it is to fly after the pass that it is on."""
        return self._drone.route[1:] if self._drone.on_pass else self._drone.route

    @property
    def is_idle(self) -> bool:
        """Whether it stands on the ground with nothing to do."""
        return self._drone.phase == Phase.GROUND and not self._runtime.has_work(self._drone)

    def lost(self, k: int) -> frozenset[int]:
        """Who will not fly any more."""
        return frozenset(m for m in range(len(self._runtime.drones)) if m != self.number and self._is_lost(m, k))

    def _is_lost(self, m: int, k: int) -> bool:
        word = self._words.get(m)
        if m in self._buried or (word is not None and word.ended):
            return True
        return m in self.gone and (k - self._heard.get(m, 0)) * self._runtime.time_step > SILENT_S

    def is_over(self, k: int) -> bool:
        """Whether nobody of the team will need this machine any more."""
        if not self._runtime.hears:
            return True
        lost = self.lost(k)
        others = [m for m in range(len(self._runtime.drones)) if m != self.number and m not in lost]
        if not all(m in self._words and self._words[m].idle for m in others):
            return False
        return not lost or not self._orphans([self.number, *others])

    def _bury(self, m: int) -> None:
        """A lost machine may have sprayed on for a while after what it said."""
        word = self._words.get(m)
        if word is None or word.of_pass is None:
            return
        _, rest, forwards = word.of_pass
        part, passes = _segment(rest), self._passes[rest[0]]
        doubt = MISSED_WORDS * self._runtime.time_step + MOST_LEASE
        n = math.ceil(doubt * self._runtime.drones[m].pace.working / passes.lines.slot)
        first = part.first if forwards else max(part.first, part.last - n)
        last = min(part.last, part.first + n) if forwards else part.last
        self._runtime.laid_by_others([passes.cut(part, first, last)])

    def _note_own(self) -> None:
        self._flown.add(self._drone.flown[self._own_noted :])
        self._own_noted = len(self._drone.flown)

    def _on(self, here: Iterable[int]) -> Slots:
        """The passes that machines are on."""
        parts = []
        for m in here:
            on = self._own_pass() if m == self.number else self._words[m].of_pass
            parts += [] if on is None else [_segment(part) for part in on[:2] if part is not None]
        return Slots(self._passes, parts)

    def _route_of(self, m: int) -> Route:
        return self._ahead if m == self.number else _route(self._words[m].route)

    def _orphans(self, here: Sequence[int]) -> list[Segment]:
        """What nobody is going to fly."""
        self._note_own()
        ahead = Slots(self._passes, [leg.segment for m in here for leg in self._route_of(m)])
        on = self._on(here)
        return [rest for part in self._whole for rest in left_of(self._passes, part, self._flown, on, ahead)]

    # Sharing out

    def to_divide(self, k: int) -> Callable[[], Share] | None:
        """What makes a new share, which may take a second; None where there is no need, or it is another's to do."""
        if not self._runtime.hears:
            return None
        lost = self.lost(k)
        for m in sorted(lost - self._buried):
            self._bury(m)
            self._buried.add(m)
        here = [m for m in range(len(self._runtime.drones)) if m not in lost]
        if here[0] != self.number or not all(m in self._words for m in here if m != self.number):
            return None
        if not self._is_time(k, here, lost):
            return None
        on = self._on(here)
        pool = [rest for part in self._whole for rest in left_of(self._passes, part, self._flown, on)]
        workers = [self._runtime.worker(self._as_drone(m), self._place_of(m)) for m in here]
        number = 1 if self._share is None else self._share.number + 1
        n = len(self._runtime.drones)
        self._shared_at = k

        def divide() -> Share:
            routes = dict(zip(here, self._runtime.divided(pool, workers), strict=True))
            gone, ways = tuple(sorted(lost)), tuple(_ways(routes.get(m, [])) for m in range(n))
            return Share(number, self.number, gone, ways)

        return divide

    def _is_time(self, k: int, here: Sequence[int], lost: frozenset[int]) -> bool:
        since = (k - self._shared_at) * self._runtime.time_step
        known = frozenset() if self._share is None else frozenset(self._share.gone)
        if (lost - known or (lost and since > AGAIN_S)) and self._orphans(here):
            return True
        return since > NEWS_INTERVAL_S and self._somebody_could_help(here)

    def _somebody_could_help(self, here: Sequence[int]) -> bool:
        """Whether one is done that nobody has to let go, and another needs long still."""
        drones = [self._as_drone(m) for m in here]
        free = [not d.route and not self._waits(d.number) for d in drones]
        return any(free) and max(map(self._runtime.time_left, drones)) > WORTH_HELPING_S

    def _waits(self, m: int) -> bool:
        return self.own_waits if m == self.number else self._words[m].waits

    def _as_drone(self, m: int) -> Drone:
        """A machine as it last said to be."""
        if m == self.number:
            return self._drone
        word = self._words[m]
        own = [] if word.of_pass is None else [Leg(_segment(word.of_pass[1]), word.of_pass[2])]
        route = legs_left(self._passes, [*own, *_route(word.route)], self._flown)
        return replace(
            self._runtime.drones[m], phase=Phase(word.phase), timer=word.timer, station=word.station,
            served=word.served, liquid=word.liquid, energy=word.energy, route=route, on_pass=False, way=[],
        )  # fmt: skip

    def _place_of(self, m: int) -> Floats:
        return self._place.copy() if m == self.number else np.array(self._words[m].place)

    def take(self, share: Share) -> None:
        """Tell the others of a share that was made here."""
        if self._share is None or share.rank > self._share.rank:
            self._share = share

    @property
    def is_given_up(self) -> bool:
        """Whether the others have shared out what was this machine's: then it must not spray on."""
        return self._share is not None and self.number in self._share.gone

    def obey(self, k: int, *, at_once: bool) -> bool:
        """Fly what is this machine's by the last share, and nothing that others fly or have flown; whether that is new.

        `at_once` lets a machine on its way home turn round.
        """
        self._note_own()
        share = self._share
        if share is None or self.is_given_up:
            return False
        new = share is not self._obeyed
        self._obeyed = share
        lost = self.lost(k)
        others = [m for m in self._words if m not in lost]
        self._give_way(others)
        now = _route(share.routes[self.number]) if new else self._ahead
        wanted = legs_left(self._passes, now, self._flown, self._on([self.number, *others]))
        if _ways(wanted) != _ways(self._ahead):
            self._runtime.reroute(self.number, wanted, at_once=at_once)
        return new

    def _give_way(self, others: Sequence[int]) -> None:
        """Of two on one pass the one with the higher number leaves it."""
        on = self._runtime.under_way(self.number)
        lower = self._on([m for m in others if m < self.number])
        if on is not None and lower.of(on[1]).any():
            self._runtime.leave_pass(self.number)


def _part(segment: Segment) -> Part:
    return int(segment.lattice), int(segment.line), int(segment.first), int(segment.last)


def _segment(part: Sequence[int]) -> Segment:
    lattice, line, first, last = part[:4]
    return Segment(line, first, last, 0.0, lattice)


def _ways(route: Route) -> tuple[Way, ...]:
    return tuple((*_part(leg.segment), bool(leg.forwards)) for leg in route)


def _route(ways: Sequence[Way]) -> Route:
    return [Leg(_segment(way), way[4]) for way in ways]
