"""What a sweep varies: a key of the scenario and its values, or a range of numbers within the text of its value."""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from d2oc.errors import ScenarioError

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})((?::\w+)*)")
FORMS = "KEY=1,2,5 for values, KEY=0.1..10 for a range, KEY=0.1..10:log:5 for 5 of it evenly spaced in the logarithm"

Value = int | float | str


@dataclass(frozen=True)
class Range:
    """Numbers from one bound to the other, both included."""

    low: float
    high: float
    log: bool = False
    integer: bool = False
    n_points: int | None = None
    """Points of a grid."""

    def points(self) -> tuple[Value, ...]:
        """Points of a grid, evenly spaced."""
        n = self.n_points or 1
        if n == 1:
            return (self.rounded(self.low),)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        numbers = [low + (high - low) * i / (n - 1) for i in range(1, n - 1)]
        inner = [math.exp(x) if self.log else x for x in numbers]
        return tuple(dict.fromkeys(self.rounded(x) for x in (self.low, *inner, self.high)))

    def rounded(self, number: float) -> int | float:
        """As it is written into the scenario: whole, or with six digits."""
        return round(number) if self.integer else float(f"{number:.6g}")


@dataclass(frozen=True)
class Parameter:
    """One key that a sweep varies.

    Its value in the scenario is the text `before`, then one of the values, then the text `after`.
    """

    key: str
    values: tuple[Value, ...] | None = None
    """Either values to choose from,"""
    range: Range | None = None
    """or a range."""
    before: str = ""
    after: str = ""

    def change(self, value: Value) -> str:
        """The change of the scenario, as for `--set`."""
        return f"{self.key}={self.before}{value}{self.after}"

    @property
    def label(self) -> str:
        """Its name, with an underscore where the value stands if that is only a part."""
        return f"{self.key}={self.before}_{self.after}" if self.before or self.after else self.key

    @property
    def grid(self) -> tuple[Value, ...]:
        """Values of a grid."""
        if self.values is not None:
            return self.values
        assert self.range is not None
        if self.range.n_points is None:
            raise ScenarioError(
                f"--param {self.key}: a grid needs to know how many points of the range it takes, such as "
                f"{self.key}={self.range.rounded(self.range.low)}..{self.range.rounded(self.range.high)}:5"
            )
        return self.range.points()

    @property
    def corners(self) -> tuple[Value, ...]:
        """Values that show whether the scenario takes this parameter."""
        if self.values is not None:
            return self.values
        assert self.range is not None
        return self.range.rounded(self.range.low), self.range.rounded(self.range.high)

    @property
    def is_logarithmic(self) -> bool:
        """Whether values are compared by their ratio."""
        return self.range is not None and self.range.log


def parameter_of(text: str) -> Parameter:
    """Read KEY=VALUES.

    Raises
    ------
    ScenarioError
        If it is neither values nor a range.
    """
    key, equals, content = (part.strip() for part in text.partition("="))
    if not key or not equals or not content:
        raise ScenarioError(f"--param {text}: must be {FORMS}")
    match = RANGE.search(content)
    if match is None:
        return Parameter(key, values=_values(text, content))
    before, after = content[: match.start()], content[match.end() :]
    if RANGE.search(after):
        raise ScenarioError(f"--param {text}: has two ranges; give one --param for each")
    return Parameter(key, range=_range(text, match), before=before, after=after)


def parameters_of(texts: Sequence[str]) -> tuple[Parameter, ...]:
    """Read the parameters of a sweep, each with a key of its own."""
    if not texts:
        raise ScenarioError(f"a sweep needs a --param: {FORMS}")
    parameters = tuple(parameter_of(text) for text in texts)
    keys = [parameter.key for parameter in parameters]
    for key in keys:
        if keys.count(key) > 1:
            raise ScenarioError(f"--param {key}: is given {keys.count(key)} times; once is enough")
    return parameters


def combinations(parameters: Sequence[Parameter]) -> list[dict[str, Value]]:
    """All points of a grid; the last parameter changes fastest."""
    keys = [parameter.key for parameter in parameters]
    return [dict(zip(keys, row, strict=True)) for row in itertools.product(*(p.grid for p in parameters))]


def _range(text: str, match: re.Match[str]) -> Range:
    low, high = float(match[1]), float(match[2])
    options = [option for option in match[3].split(":") if option]
    counts = [int(option) for option in options if option.isdecimal()]
    strange = [option for option in options if not option.isdecimal() and option != "log"]
    log = "log" in options
    if strange:
        raise ScenarioError(
            f"--param {text}: a range is followed by :log, by a number of points, or both, not {strange[0]}"
        )
    if not low < high:
        raise ScenarioError(f"--param {text}: the range must begin with the smaller number")
    if log and low <= 0:
        raise ScenarioError(f"--param {text}: a logarithmic range must begin above zero")
    if counts and counts[0] < 2:
        raise ScenarioError(f"--param {text}: a range has at least 2 points")
    integer = all(re.fullmatch(r"[-+]?\d+", bound) for bound in (match[1], match[2]))
    return Range(low, high, log, integer, counts[0] if counts else None)


def _values(text: str, content: str) -> tuple[Value, ...]:
    """Values as TOML, separated by commas outside brackets; what is no TOML is plain text."""
    pieces = [piece.strip() for piece in re.split(r",(?![^\[\]{}]*[\]}])", content)]
    if not all(pieces):
        raise ScenarioError(f"--param {text}: one of the values is empty")
    if len(set(pieces)) < len(pieces):
        raise ScenarioError(f"--param {text}: gives a value twice")
    return tuple(_value(piece) for piece in pieces)


def _value(piece: str) -> Value:
    """A number, or the text of anything else."""
    try:
        value = tomllib.loads(f"value = {piece}")["value"]
    except tomllib.TOMLDecodeError:
        return piece
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else piece
