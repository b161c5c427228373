"""Half-planes never allow what they are there to forbid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2oc.control.convex_pieces import convex_pieces, hull_edges, pockets
from d2oc.control.fence import fence_of, keep_out, segment_meets, support
from d2oc.control.half_planes import between_steps, keep_apart, reach, stay_within
from d2oc.control.law import tracking_problem
from d2oc.field import Field, NoFlyZone, ring_area, ring_contains
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import double_integrator, quadrotor

SEEDS = st.integers(0, 2**32 - 1)
SPEED, PERIOD = 8.0, 0.25


def star(rng, centre, corners, inner, outer):
    """A simple polygon: corners at growing angles, convex or not."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners)) + np.linspace(0, 1e-3, corners)
    gaps = np.diff(np.append(angle, angle[0] + 2 * np.pi))
    if gaps.max() > 0.9 * np.pi:
        angle = 2 * np.pi * np.arange(corners) / corners
    return centre + rng.uniform(inner, outer, corners)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def farm(rng):
    """A field that is not convex with two zones that are not convex."""
    boundary = star(rng, np.zeros(2), 9, 60, 100)
    zones = tuple(NoFlyZone(str(i), star(rng, centre, 7, 4, 14)) for i, centre in enumerate(([20.0, 5], [-25.0, -8])))
    return Field(boundary, zones)


def random_path(rng, field, horizon):
    """A start inside and a predicted path that may run into anything."""
    while True:
        start = rng.uniform(-60, 60, 2)
        if field.contains(start[None])[0]:
            return start, start + np.cumsum(rng.normal(0, 1.5, (horizon, 2)) + rng.normal(0, 1.5, 2), axis=0)


def push_into(planes, h, point):
    """The nearest point that meets all half-planes of a step, by cyclic projection; None if there is none."""
    for _ in range(400):
        worst = planes.normal[h] @ point - planes.offset[h]
        i = int(worst.argmax())
        if worst[i] <= 1e-12:
            return point
        point = point - worst[i] * planes.normal[h, i] * (1 + 1e-12)
    return point if (planes.normal[h] @ point - planes.offset[h]).max() <= 1e-9 else None


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_a_flight_between_positions_that_meet_the_fence_stays_in_the_field(seed):
    """Also between the steps, on any curve not faster than the speed of the margin."""
    rng = np.random.default_rng(seed)
    field = farm(rng)
    fence, margin = fence_of(field), between_steps(SPEED, PERIOD)
    start, path = random_path(rng, field, 6)
    everything = len(fence.normal) + len(fence.first) - 1
    planes = keep_out(fence, start, path, margin, everything)
    at = [push_into(planes, h, path[h] + rng.normal(0, 2, 2)) for h in range(len(path))]
    for one, other in itertools.pairwise(at):
        if one is None or other is None or np.linalg.norm(other - one) > SPEED * PERIOD:
            continue
        # Points reachable at time t of the step: within v t of one and v (T - t) of the other.
        for t in np.linspace(0, PERIOD, 7):
            middle = one + (other - one) * t / PERIOD
            sideways = rng.normal(size=2)
            slack = min(SPEED * t - np.linalg.norm(middle - one), SPEED * (PERIOD - t) - np.linalg.norm(middle - other))
            curve = middle + max(0.0, slack) * sideways / np.linalg.norm(sideways) * rng.uniform(0, 1)
            nudge = 1e-7 * (field.boundary.mean(axis=0) - curve)
            assert field.contains((curve + nudge)[None])[0] or field.contains((curve - nudge)[None])[0]


def test_without_the_margin_a_flight_cuts_the_corner():
    """Why the margin is there: both positions meet their half-planes, the way between them does not."""
    field = Field.rectangle(-50, -50, 50, 50)
    field = Field(field.boundary, (NoFlyZone("barn", np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])),))
    fence = fence_of(field)
    path = np.array([[-0.5, 3.0], [-0.5, 4.5], [1.0, 4.5]])
    flown = np.array([[-1.0, 3.05], [1.0, 4.05]])

    def allows(planes):
        return all((planes.normal[h] @ p <= planes.offset[h]).all() for h, p in zip((1, 2), flown, strict=True))

    assert segment_meets(field.no_fly_zones[0].boundary, *flown)
    assert allows(keep_out(fence, path[0], path, 0.0, 5))
    assert not allows(keep_out(fence, path[0], path, np.linalg.norm(flown[1] - flown[0]) / 2, 5))


def test_a_path_through_a_zone_is_held_back_in_front_of_it():
    field = Field(
        Field.rectangle(-50, -50, 50, 50).boundary, (NoFlyZone("barn", np.array([[2.0, -3], [6, -3], [6, 3], [2, 3]])),)
    )
    path = np.column_stack([np.arange(1.0, 11.0), np.zeros(10)])
    planes = keep_out(fence_of(field), np.zeros(2), path, 0.5, 1)
    ahead = planes.normal[:, 0] @ [1.0, 0.0] > 0.99
    assert ahead[:3].all()
    # Far behind the zone its half-plane may no longer be the nearest; where it is, it still points the same way.
    all_planes = keep_out(fence_of(field), np.zeros(2), path, 0.5, 5)
    assert np.allclose(all_planes.normal[:, 4], [1.0, 0.0])
    assert np.allclose(all_planes.offset[:, 4], 1.5)


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_pieces_cover_exactly_the_polygon(seed):
    rng = np.random.default_rng(seed)
    ring = star(rng, rng.normal(size=2), int(rng.integers(3, 12)), 2, 10)
    pieces = convex_pieces(ring)
    assert sum(ring_area(piece) for piece in pieces) == pytest.approx(ring_area(ring), rel=1e-9)
    points = rng.uniform(-11, 11, (300, 2))
    inside = np.any([ring_contains(piece, points) for piece in pieces], axis=0)
    assert np.array_equal(inside, ring_contains(ring, points))
    normal, offset = hull_edges(ring)
    in_hull = (points @ normal.T <= offset).all(axis=1)
    in_pocket = np.any([ring_contains(pocket, points) for pocket in pockets(ring)] or [points[:, 0] > 99], axis=0)
    assert np.array_equal(in_hull & ~in_pocket, ring_contains(ring, points))


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_a_supporting_line_has_the_piece_behind_it_and_the_point_in_front(seed):
    rng = np.random.default_rng(seed)
    normal_ring = star(rng, np.zeros(2), 8, 3, 5)
    for piece in convex_pieces(normal_ring):
        point = rng.uniform(-8, 8, 2)
        nx, ny, distance = support(piece, point)
        assert np.hypot(nx, ny) == pytest.approx(1.0)
        assert (piece @ [nx, ny]).max() <= distance + 1e-9
        if not ring_contains(piece, point[None])[0]:
            assert point @ [nx, ny] >= distance - 1e-9


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_drones_that_both_obey_stay_apart(seed):
    """At the steps by the distance, between them by the wanted separation."""
    rng = np.random.default_rng(seed)
    separation = 3.0
    distance = separation + 2 * between_steps(SPEED, PERIOD)
    start, other_start = rng.normal(0, 4, (2, 2))
    path, other = (p + np.cumsum(rng.normal(0, 1.5, (5, 2)), axis=0) for p in (start, other_start))
    mine = keep_apart(start, path, other_start[None], other[None], distance)
    theirs = keep_apart(other_start, other, start[None], path[None], distance)
    assert np.allclose(mine.normal, -theirs.normal)
    a = [push_into(mine, h, path[h] + rng.normal(0, 2, 2)) for h in range(5)]
    b = [push_into(theirs, h, other[h] + rng.normal(0, 2, 2)) for h in range(5)]
    gaps = [np.linalg.norm(p - q) for p, q in zip(a, b, strict=True)]
    assert min(gaps) >= distance - 1e-9
    for h in range(4):
        if max(np.linalg.norm(a[h + 1] - a[h]), np.linalg.norm(b[h + 1] - b[h])) <= SPEED * PERIOD:
            for t in np.linspace(0, 1, 9):
                assert np.linalg.norm((1 - t) * (a[h] - b[h]) + t * (a[h + 1] - b[h + 1])) >= separation - 1e-9


def test_each_of_a_pair_does_half_of_what_is_needed():
    path, other = np.array([[0.0, 0.0]]), np.array([[2.0, 0.0]])
    planes = keep_apart(path[0], path, other, other[None], 5.0)
    assert planes.normal[0, 0] == pytest.approx([1.0, 0.0])
    assert planes.offset[0, 0] == pytest.approx(-1.5)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_polygon_for_the_radio_range_lies_in_the_disc(seed):
    rng = np.random.default_rng(seed)
    centre, radius = rng.normal(0, 20, (4, 2)), rng.uniform(1, 30, 4)
    planes = stay_within(centre, radius, 16)
    for h in range(4):
        point = push_into(planes, h, centre[h] + rng.normal(0, 40, 2))
        assert np.linalg.norm(point - centre[h]) <= radius[h] * (1 + 1e-9)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_no_input_leaves_the_reachable_disc(seed):
    rng = np.random.default_rng(seed)
    model = quadrotor(0.1, np.linspace(0.0075, 0.004, 30))
    problem = tracking_problem(model, ControlTable(), 1 / 900)
    largest = np.array([0.03, 0.05])
    radius = reach(problem, 4, 12, largest)
    state = drift = rng.normal(size=8)
    extreme = rng.random() < 0.5
    for h in range(12):
        share = rng.choice([-1.0, 1.0], 2) if extreme else rng.uniform(-1, 1, 2)
        state = model.A[4 + h] @ state + model.B[4 + h] @ (share * largest)
        drift = model.A[4 + h] @ drift
        assert np.linalg.norm(model.C @ (state - drift)) <= radius[h] * (1 + 1e-12)


def test_the_largest_column_norm_is_no_bound_on_the_reachable_set():
    """One axis at full acceleration reaches the sum of the column norms, well beyond the largest of them."""
    model = double_integrator(0.5)
    problem = tracking_problem(model, ControlTable(), 1 / 900)
    radius = reach(problem, 0, 8, np.array([2.0, 0.0]))
    state, columns = np.zeros(4), np.zeros((4, 0))
    for _ in range(8):
        state = model.A[0] @ state + model.B[0] @ [2.0, 0.0]
        columns = np.hstack([model.A[0] @ columns, model.B[0]])
    assert state[0] == pytest.approx(radius[-1], rel=1e-12)
    assert state[0] > 2 * np.linalg.norm(model.C @ columns, axis=0).max() * 2.0
