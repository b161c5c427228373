"""What is varied: values, or a range within the text of a value."""

from __future__ import annotations

import pytest

from d2oc.errors import ScenarioError
from d2oc.sweep.parameters import combinations, parameter_of, parameters_of


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=1,2,5", (1, 2, 5)),
        ("a.b=0.5, 1e-3", (0.5, 0.001)),
        ("a.b=none,dare", ("none", "dare")),
        ("a.b=[1, 2],[3,4]", ("[1, 2]", "[3,4]")),
        ("a.b={x = 1, y = 2},{x = 3}", ("{x = 1, y = 2}", "{x = 3}")),
        ("a.b=true,false", ("true", "false")),
        ("a.b=inf,25", ("inf", 25)),
        ("a.b=7", (7,)),
    ],
)
def test_values(text, values):
    parameter = parameter_of(text)
    assert (parameter.key, parameter.values, parameter.range) == ("a.b", values, None)
    assert parameter.change(values[0]) == f"a.b={values[0]}"


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("k=1..9:5", (1, 3, 5, 7, 9)),
        ("k=0..1.0:3", (0.0, 0.5, 1.0)),
        ("k=0.01..100:log:5", (0.01, 0.1, 1.0, 10.0, 100.0)),
        ("k=0.01..100:5:log", (0.01, 0.1, 1.0, 10.0, 100.0)),
        ("k=1..3:9", (1, 2, 3)),
        ("k=-2..2:2", (-2, 2)),
    ],
)
def test_points_of_a_range(text, points):
    assert parameter_of(text).grid == points


def test_a_range_within_a_value():
    parameter = parameter_of("control.state_weight=[1, 0.1..10:log:3, 0]")
    assert parameter.grid == (0.1, 1.0, 10.0)
    assert parameter.change(0.25) == "control.state_weight=[1, 0.25, 0]"
    assert parameter.label == "control.state_weight=[1, _, 0]"
    assert parameter.is_logarithmic


def test_all_combinations():
    parameters = parameters_of(["a=1,2", "b=x,y"])
    assert combinations(parameters) == [{"a": a, "b": b} for a in (1, 2) for b in "xy"]


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ([], "a sweep needs a --param: KEY=1,2,5 for values"),
        (["a"], "--param a: must be KEY=1,2,5 for values, KEY=0.1..10 for a range"),
        (["=1"], "--param =1: must be KEY="),
        (["a=1,,2"], "--param a=1,,2: one of the values is empty"),
        (["a=1,1"], "--param a=1,1: gives a value twice"),
        (["a=5..1"], "--param a=5..1: the range must begin with the smaller number"),
        (["a=0..1:log"], "--param a=0..1:log: a logarithmic range must begin above zero"),
        (["a=0..1:lin"], "--param a=0..1:lin: a range is followed by :log, by a number of points, or both, not lin"),
        (["a=0..1:1"], "--param a=0..1:1: a range has at least 2 points"),
        (["a=[0..1,0..2]"], "--param a=[0..1,0..2]: has two ranges; give one --param for each"),
        (["a=1", "a=2"], "--param a: is given 2 times; once is enough"),
    ],
)
def test_sentences(texts, sentence):
    with pytest.raises(ScenarioError) as caught:
        parameters_of(texts)
    assert str(caught.value).startswith(sentence)


def test_a_grid_needs_points():
    with pytest.raises(ScenarioError, match=r"--param a: a grid needs to know how many points .* such as a=1\.\.9:5"):
        combinations(parameters_of(["a=1..9"]))
