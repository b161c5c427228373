"""The Wasserstein distance against closed forms and an independent linear program."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2oc.transport.wasserstein import c_transform, gather, sliced_wasserstein2, wasserstein2


def cloud(seed, n, low=0.0, high=100.0):
    """Points and masses that do not sum to one."""
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (n, 2)), rng.uniform(0.1, 3.0, n)


def linear_program(x, a, y, b):
    """W2 by HiGHS: the transport problem written out, none of the code under test."""
    from scipy.optimize import linprog
    from scipy.sparse import kron, vstack

    n, m = len(x), len(y)
    cost = ((x[:, None] - y[None]) ** 2).sum(axis=2).ravel()
    rows = kron(np.eye(n), np.ones((1, m)))
    columns = kron(np.ones((1, n)), np.eye(m))
    result = linprog(cost, A_eq=vstack([rows, columns]), b_eq=np.concatenate([a / a.sum(), b / b.sum()]))
    assert result.success
    return math.sqrt(result.fun)


@pytest.mark.parametrize("shift", [(3.0, 4.0), (0.0, 0.0), (-1e-3, 0.0), (1e4, -2e4)])
def test_a_shifted_set_is_as_far_as_the_shift(shift):
    x, a = cloud(1, 60)
    distance = wasserstein2(x, a, x + shift, 5 * a)
    assert distance.method == "exact"
    assert distance.value == distance.lower == distance.upper
    assert distance.value == pytest.approx(math.hypot(*shift), rel=1e-9, abs=1e-6)


def test_scaling_about_the_barycentre():
    """x and s x with x around 0: the monotone map is optimal, so W2 = (s - 1) sqrt(E |x|^2)."""
    x, a = cloud(2, 80)
    x = x - (x * a[:, None]).sum(axis=0) / a.sum()
    expected = 1.5 * math.sqrt((a * (x**2).sum(axis=1)).sum() / a.sum())
    assert wasserstein2(x, a, 2.5 * x, a).value == pytest.approx(expected, rel=1e-9)


def test_one_point_sees_the_second_moment():
    x, a = cloud(3, 70)
    point = np.array([[20.0, -5.0]])
    expected = math.sqrt((a * ((x - point) ** 2).sum(axis=1)).sum() / a.sum())
    assert wasserstein2(x, a, point, np.ones(1)).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_exact_distance_against_a_linear_program(seed):
    x, a = cloud(seed, 25)
    y, b = cloud(seed + 100, 35)
    assert wasserstein2(x, a, y, b).value == pytest.approx(linear_program(x, a, y, b), rel=1e-7)


@pytest.mark.parametrize(("seed", "n_cells"), [(0, 8), (1, 16), (2, 64), (3, 128)])
def test_the_interval_holds_the_exact_distance(seed, n_cells):
    x, a = cloud(seed, 300)
    y, b = cloud(seed + 50, 400, 20.0, 90.0)
    exact = wasserstein2(x, a, y, b).value
    between = wasserstein2(x, a, y, b, exact_up_to=0, n_cells=n_cells)
    assert between.method == "interval"
    assert between.lower <= exact <= between.upper
    assert between.value == (between.lower + between.upper) / 2


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4, 8]), st.booleans()
)  # fmt: skip
def test_the_interval_holds_the_exact_distance_of_any_sets(seed, n, m, n_cells, on_a_grid):
    """Also with repeated points, empty masses and sets of one point."""
    x, a = cloud(seed, n)
    y, b = cloud(seed + 1, m)
    if on_a_grid:
        x, y = np.round(x / 25) * 25, np.round(y / 25) * 25
    a[1::3] = 0.0
    exact = wasserstein2(x, a, y, b).value
    between = wasserstein2(x, a, y, b, exact_up_to=0, n_cells=n_cells)
    assert between.lower <= exact + 1e-9
    assert exact <= between.upper + 1e-9


def test_the_interval_narrows_with_more_cells_and_is_a_point_with_a_cell_each():
    x, a = cloud(4, 256)
    y, b = cloud(5, 256)
    widths = []
    for n_cells in (8, 32, 128, 256):
        distance = wasserstein2(x, a, y, b, exact_up_to=0, n_cells=n_cells)
        widths.append(distance.upper - distance.lower)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 1e-6


def test_large_sets_get_an_interval_that_holds_a_known_distance():
    x, a = cloud(6, 3000)
    distance = wasserstein2(x, a, x + np.array([6.0, 8.0]), a)
    assert distance.method == "interval"
    assert distance.lower <= 10.0 <= distance.upper
    assert distance.upper - distance.lower < 0.5


def test_symmetry_and_triangle_inequality():
    sets = [cloud(seed, 40) for seed in (7, 8, 9)]
    (ab, bc, ac) = (wasserstein2(*sets[i], *sets[j]).value for i, j in ((0, 1), (1, 2), (0, 2)))
    assert wasserstein2(*sets[1], *sets[0]).value == pytest.approx(ab, rel=1e-12)
    assert ac <= ab + bc
    assert wasserstein2(*sets[0], *sets[0]).value == pytest.approx(0.0, abs=1e-6)


def test_points_without_mass_do_not_count():
    x, a = cloud(10, 20)
    y, b = cloud(11, 20)
    far = np.array([[1e6, 1e6]])
    with_far = wasserstein2(np.vstack([x, far]), np.append(a, 0.0), y, b)
    assert with_far.value == pytest.approx(wasserstein2(x, a, y, b).value, rel=1e-12)


def test_a_set_without_mass_is_refused():
    x, a = cloud(12, 3)
    for points, masses in ((x, 0 * a), (np.empty((0, 2)), np.empty(0))):
        with pytest.raises(ValueError, match="without mass"):
            wasserstein2(points, masses, x, a)


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 2])
def test_sliced_distance_of_a_shift_is_its_length_over_root_two(angle):
    """The mean of (t cos)^2 over directions is t^2 / 2, exactly so for evenly spread ones."""
    x, a = cloud(13, 50)
    shift = 7.0 * np.array([math.cos(angle), math.sin(angle)])
    assert sliced_wasserstein2(x, a, x + shift, a) == pytest.approx(7.0 / math.sqrt(2), rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_sliced_distance_on_each_direction_is_that_of_pot_and_never_above_w2(seed):
    import ot

    x, a = cloud(seed, 30)
    y, b = cloud(seed + 9, 45)
    angles = np.arange(64) * np.pi / 64
    squares = [
        ot.emd2_1d(x @ d, y @ d, a / a.sum(), b / b.sum(), metric="sqeuclidean")
        for d in np.column_stack([np.cos(angles), np.sin(angles)])
    ]
    sliced = sliced_wasserstein2(x, a, y, b)
    assert sliced == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-9)
    assert sliced <= wasserstein2(x, a, y, b).value


@pytest.mark.parametrize("n_cells", [1, 4, 32, 256])
def test_cells_are_a_reordering_that_keeps_mass_and_moments(n_cells):
    x, a = cloud(14, 200)
    a = a / a.sum()
    cells = gather(x, a, n_cells)
    assert sorted(map(tuple, cells.point)) == sorted(map(tuple, x))
    assert cells.total.sum() == pytest.approx(1.0)
    assert cells.total @ cells.centre == pytest.approx(a @ x)
    # the law of total variance: inside the cells and between them
    mean = a @ x
    whole = a @ ((x - mean) ** 2).sum(axis=1)
    between = cells.total @ ((cells.centre - mean) ** 2).sum(axis=1)
    assert cells.variance + between == pytest.approx(whole)
    for c, (first, last) in enumerate(zip(cells.start[:-1], cells.start[1:], strict=True)):
        assert (cells.point[first:last] >= cells.box[c, :2]).all()
        assert (cells.point[first:last] <= cells.box[c, 2:]).all()


def test_c_transform_is_the_plain_minimum():
    x, a = cloud(15, 150)
    y, _ = cloud(16, 90, -50.0, 150.0)
    cells = gather(x, a, 16)
    potential = np.random.default_rng(17).normal(0, 500, len(x))
    plain = (((y[:, None] - cells.point[None]) ** 2).sum(axis=2) - potential).min(axis=1)
    assert c_transform(cells.point, potential, cells.start, cells.box, y) == pytest.approx(plain, rel=1e-12)
