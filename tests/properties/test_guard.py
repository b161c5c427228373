"""The guard against commands that mean harm: no vehicle leaves the fence, enters a zone or meets another.

The vehicle keeps its promise and no more: it answers as late, as slowly and as weakly as it may, or better, at random.
"""

from __future__ import annotations

import math
import random

import pytest

from d2oc_hardware.failsafe import Answer, Situation, Watch
from d2oc_hardware.frames import STANDSTILL, Place, Velocity
from d2oc_hardware.guard import Guard
from d2oc_hardware.keep_out import Area, Capsule, segments_apart
from d2oc_hardware.promise import Limits, Motion, Teammate

LIMITS = Limits()
FINE = Situation(
    ours=True, position_known=True, inside=True, telemetry_age=0.0, setpoint_age=0.0, operator_age=0.0, battery=1.0,
    tank=10.0, home_distance=0.0, height=5.0, wind=0.0,
)  # fmt: skip
SUBSTEPS = 4


class Vehicle:
    """Keeps the promise of `Limits`: late, slow and weak as it may be, by its own draw."""

    def __init__(self, place: Place, rng: random.Random, worst: bool = False) -> None:
        self.place, self.velocity, self.rng = place, STANDSTILL, rng
        share = 1.0 if worst else rng.uniform(0.2, 1.0)
        self.latency = share * LIMITS.latency
        self.response = share * LIMITS.response
        self.braking, self.vertical_braking = LIMITS.braking / share, LIMITS.vertical_braking / share
        self.now = 0.0
        self.waiting: list[tuple[float, Velocity]] = []
        self.command = STANDSTILL

    def move(self, command: Velocity, period: float) -> None:
        self.waiting.append((self.now + self.latency, command))
        dt = period / SUBSTEPS
        for _ in range(SUBSTEPS):
            while self.waiting and self.waiting[0][0] <= self.now + 1e-9:
                self.command = self.waiting.pop(0)[1]
            dx, dy = self.command.east - self.velocity.east, self.command.north - self.velocity.north
            gap = math.hypot(dx, dy)
            change = min(gap / self.response, self.braking) * dt if gap > 0 else 0.0
            share = min(1.0, change / gap) if gap > 0 else 0.0
            dz = self.command.up - self.velocity.up
            climb = math.copysign(min(abs(dz) / self.response, self.vertical_braking) * dt, dz)
            before = self.velocity
            self.velocity = Velocity(before.east + share * dx, before.north + share * dy, before.up + climb)
            middle = [(a + b) / 2 for a, b in zip(before, self.velocity, strict=True)]
            self.place = Place(*(p + v * dt for p, v in zip(self.place, middle, strict=True)))
            self.now += dt

    def motion(self) -> Motion:
        return Motion(self.place, self.velocity, 0.0)


def random_area(rng: random.Random) -> tuple[list, list]:
    """A star-shaped fence, often with corners that point inwards, and up to three zones."""
    n = rng.randint(3, 9)
    angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(n))
    if max(b - a for a, b in zip(angles, [*angles[1:], angles[0] + 2 * math.pi], strict=True)) > 3.0:
        angles = [2 * math.pi * i / n for i in range(n)]
    fence = [(r * math.cos(a), r * math.sin(a)) for a in angles for r in [rng.uniform(25, 80)]]
    zones = []
    for _ in range(rng.randint(0, 3)):
        x, y, size = rng.uniform(-40, 40), rng.uniform(-40, 40), rng.uniform(2, 12)
        corners = sorted(rng.uniform(0, 2 * math.pi) for _ in range(rng.randint(3, 5)))
        zones.append([(x + size * math.cos(a), y + size * math.sin(a)) for a in corners])
    return fence, zones


def start(area: Area, rng: random.Random) -> Place | None:
    for _ in range(200):
        x, y = rng.uniform(-60, 60), rng.uniform(-60, 60)
        if area.contains(x, y) and area.distance(x, y) > LIMITS.margin:
            return Place(x, y, rng.uniform(LIMITS.lowest + 0.1, LIMITS.highest - 0.1))
    return None


def towards(here: Place, target: Place) -> Velocity:
    """Full speed at something."""
    x, y = target.east - here.east, target.north - here.north
    far = math.hypot(x, y) + 1e-9
    return Velocity(9 * x / far, 9 * y / far, math.copysign(2.0, target.up - here.up))


def evil(rng: random.Random, vehicle: Vehicle, target: Place | None) -> Velocity:
    """A command: anything, full speed at something, back and forth, or no number at all."""
    kind = rng.randrange(8)
    if kind == 0:
        return Velocity(rng.choice([math.nan, math.inf, -math.inf, 1e300]), rng.uniform(-9, 9), rng.uniform(-3, 3))
    if kind == 1:
        return Velocity(rng.gauss(0, 3), rng.gauss(0, 3), rng.gauss(0, 1))
    if kind in (2, 3) and target is not None:
        return towards(vehicle.place, target)
    if kind == 4:
        return Velocity(-2 * vehicle.velocity.east, -2 * vehicle.velocity.north, -vehicle.velocity.up)
    angle = vehicle.rng.random() * 2 * math.pi if kind == 5 else math.atan2(vehicle.place.north, vehicle.place.east)
    return Velocity(8 * math.cos(angle), 8 * math.sin(angle), rng.choice([-2.0, 0.0, 2.0]))


def test_a_hundred_thousand_evil_commands_never_take_it_out_of_the_fence_or_into_a_zone():
    rng = random.Random(8)
    flown = farthest = 0
    while flown < 100_000:
        fence, zones = random_area(rng)
        area = Area(fence, zones)
        place = start(area, rng)
        if place is None:
            continue
        guard, vehicle = Guard(LIMITS, Watch(), area), Vehicle(place, rng, worst=rng.random() < 0.5)
        mean = Place(rng.uniform(-90, 90), rng.uniform(-90, 90), rng.uniform(0, 30))
        for k in range(400):
            if k % 40 == 0:
                mean = Place(rng.uniform(-90, 90), rng.uniform(-90, 90), rng.uniform(0, 30))
            wish = evil(rng, vehicle, mean)
            verdict = guard.judge(vehicle.now, vehicle.motion(), wish, FINE)
            assert verdict.answer == Answer.FLY
            asked = wish.horizontal if math.isfinite(wish.horizontal) else math.inf
            assert verdict.velocity.horizontal <= min(asked, LIMITS.max_speed) + 1e-9
            assert abs(verdict.velocity.up) <= LIMITS.max_climb
            vehicle.move(verdict.velocity, LIMITS.period)
            flown += 1
            farthest = max(farthest, math.hypot(vehicle.place.east - place.east, vehicle.place.north - place.north))
            x, y, up = vehicle.place
            assert area.contains(x, y), (flown, vehicle.place, fence, zones)
            assert area.distance(x, y) > 0.9 * LIMITS.margin
            assert LIMITS.lowest - 1e-6 <= up <= LIMITS.highest + 1e-6
    assert farthest > 30  # it flew, rather than stood


@pytest.mark.parametrize("layers", [False, True], ids=["one height", "anywhere"])
def test_drones_that_are_told_to_ram_each_other_keep_apart(layers):
    rng = random.Random(11 + layers)
    nearest = math.inf
    for _ in range(25):
        area = Area([(-60.0, -60.0), (60.0, -60.0), (60.0, 60.0), (-60.0, 60.0)])
        places = [
            Place(12.0 * (i % 3) - 12, 12.0 * (i // 3) - 6, rng.uniform(3, 18) if layers else 5.0) for i in range(5)
        ]
        vehicles = [Vehicle(place, rng, worst=rng.random() < 0.5) for place in places]
        guards = [Guard(LIMITS, Watch(), area) for _ in vehicles]
        prey = [rng.choice([j for j in range(5) if j != i]) for i in range(5)]
        for _ in range(150):
            mates = [
                Teammate(str(i), vehicle.motion(), guard.last, (0.0, math.inf))
                for i, (vehicle, guard) in enumerate(zip(vehicles, guards, strict=True))
            ]
            verdicts = []
            for i, (vehicle, guard) in enumerate(zip(vehicles, guards, strict=True)):
                target = vehicles[prey[i]].place
                wish = towards(vehicle.place, target) if rng.random() < 0.8 else evil(rng, vehicle, target)
                if not layers:
                    wish = wish._replace(up=0.0)
                others = mates[:i] + mates[i + 1 :]
                verdicts.append(guard.judge(vehicle.now, vehicle.motion(), wish, FINE, others))
            for vehicle, verdict in zip(vehicles, verdicts, strict=True):
                vehicle.move(verdict.velocity, LIMITS.period)
            for i in range(5):
                for j in range(i):
                    a, b = vehicles[i].place, vehicles[j].place
                    flat = math.hypot(a.east - b.east, a.north - b.north)
                    nearest = min(nearest, flat)
                    assert flat >= LIMITS.separation - 1e-3 or abs(a.up - b.up) >= LIMITS.height_separation - 1e-3
    assert nearest < (LIMITS.separation + 1.0 if not layers else 2.0)  # they tried


def test_news_that_is_late_by_some_tenths_of_a_second_is_not_enough_to_meet():
    rng = random.Random(5)
    area = Area([(-60.0, -60.0), (60.0, -60.0), (60.0, 60.0), (-60.0, 60.0)])
    for _ in range(20):
        vehicles = [Vehicle(Place(20.0 * i - 20, 0.0, 5.0), rng, worst=True) for i in range(3)]
        guards = [Guard(LIMITS, Watch(), area) for _ in vehicles]
        history: list[list[Teammate]] = []
        for k in range(150):
            history.append([Teammate(str(i), v.motion(), guards[i].last, (4.0, 6.0)) for i, v in enumerate(vehicles)])
            verdicts = []
            for i, vehicle in enumerate(vehicles):
                others = []
                for j in range(3):
                    late = rng.randint(0, min(k, 4))
                    mate = history[-1 - late][j]
                    if j != i:
                        others.append(mate._replace(motion=mate.motion._replace(age=late * LIMITS.period)))
                wish = evil(rng, vehicle, vehicles[rng.choice([j for j in range(3) if j != i])].place)
                verdicts.append(guards[i].judge(vehicle.now, vehicle.motion(), wish._replace(up=0.0), FINE, others))
            for vehicle, verdict in zip(vehicles, verdicts, strict=True):
                vehicle.move(verdict.velocity, LIMITS.period)
            for i in range(3):
                for j in range(i):
                    a, b = vehicles[i].place, vehicles[j].place
                    assert math.hypot(a.east - b.east, a.north - b.north) >= LIMITS.separation


def test_every_situation_there_is_gives_an_answer_no_milder_than_the_table_and_no_spray_unless_it_flies():
    """Exhaustive over good and bad values of all inputs: 3,072 situations."""
    area = Area([(-60.0, -60.0), (60.0, -60.0), (60.0, 60.0), (-60.0, 60.0)])
    counted = 0
    for ours in (True, False):
        for known in (True, False):
            for telemetry in (0.0, 1.0, 5.0, math.nan):
                for setpoint in (0.0, 1.0, 5.0, 20.0):
                    for operator in (0.0, 60.0):
                        for battery in (None, 1.0, 0.25, 0.05, math.nan, 0.205):
                            for tank in (None, 5.0, 0.0):
                                for wind in (None, 30.0):
                                    situation = Situation(
                                        ours, known, True, telemetry, setpoint, operator, battery, tank, 30.0, 5.0, wind
                                    )  # fmt: skip
                                    guard = Guard(LIMITS, Watch(), area, area)
                                    motion = Motion(Place(0.0, 0.0, 5.0), Velocity(1.0, 0.0, 0.0), 0.0)
                                    verdict = guard.judge(0.0, motion, Velocity(3.0, 0.0, 0.0), situation)
                                    gravest = max((row.answer for row in verdict.rows), default=Answer.FLY)
                                    assert verdict.answer == gravest
                                    assert verdict.spray == (gravest == Answer.FLY)
                                    assert gravest in (Answer.FLY, Answer.RETURN) or verdict.velocity == STANDSTILL
                                    counted += 1
    assert counted == 4608


def test_geometry_agrees_with_sampling():
    rng = random.Random(3)
    for _ in range(300):
        first = (rng.uniform(-5, 5), rng.uniform(-5, 5), rng.uniform(-5, 5), rng.uniform(-5, 5))
        second = (rng.uniform(-5, 5), rng.uniform(-5, 5), rng.uniform(-5, 5), rng.uniform(-5, 5))
        sampled = min(
            math.dist(
                (first[0] + s / 60 * first[2], first[1] + s / 60 * first[3]),
                (second[0] + t / 60 * second[2], second[1] + t / 60 * second[3]),
            )
            for s in range(61)
            for t in range(61)
        )  # fmt: skip
        apart = segments_apart(first, second)
        assert apart <= sampled + 1e-9
        assert sampled - apart < 0.2
    area = Area([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)], [[(4.0, 4.0), (6.0, 4.0), (5.0, 6.0)]])
    assert not area.contains(5.0, 5.0)
    assert area.obstacle(Capsule(2.0, 2.0, 6.0, 6.0, 0.0), 0.5) is not None
    assert area.obstacle(Capsule(2.0, 2.0, 0.0, 6.0, 0.0), 0.5) is None
