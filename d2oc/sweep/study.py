"""`d2oc sweep`: fly a scenario with many settings, and find those that serve a metric best.

A setting is flown with one seed after the other; one that does worse than half of the others so far may be given up
before its last seed. Everything is kept in a journal as it comes, so a sweep that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d2oc import __version__
from d2oc.columns import Columns, write_columns
from d2oc.compare.comparison import changes_for_seeds
from d2oc.errors import D2ocError, RecordError, ScenarioError
from d2oc.scenario import load_scenario, scenario_toml
from d2oc.scenario.schema import Scenario
from d2oc.sweep.flights import Flown, Submit, flights, fly
from d2oc.sweep.parameters import Parameter, combinations, parameters_of
from d2oc.sweep.plan import Method, Plan, Sweep
from d2oc.sweep.search import Candidate, Search

FORMAT_VERSION = 1
TRY_STEPS = 3
"""A flight so short tells which metrics there are, and compiles."""
STATES = ("complete", "given up", "failed")
"""Their numbers stand in `sweep.parquet`."""


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is."""

    done: float
    """Settings done; the fraction counts flights of those under way."""
    n_settings: int


def sweep(
    name_or_path: str,
    params: Sequence[str],
    out: Path,
    *,
    n_seeds: int = 1,
    method: Method = "grid",
    n_settings: int = 30,
    metric: str = "w2_m",
    maximise: bool = False,
    give_up: bool | None = None,
    changes: Sequence[str] = (),
    n_at_once: int = 1,
    ray_address: str | None = None,
    resume: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> Sweep:
    """Fly a scenario with many settings.

    Parameters
    ----------
    name_or_path : str
        Shipped scenario, or path of a TOML file.
    params : sequence of str
        What is varied; see `d2oc.sweep.parameters.parameter_of`.
    out : Path
        Folder that keeps the sweep: `sweep.journal`, `sweep.parquet` and `sweep.json`.
    n_seeds : int
        Seeds flown with each setting: the scenario's, and the numbers after it.
    method : {"grid", "random", "bayesian"}
        All combinations; settings drawn evenly; or drawn where good ones were found, by a tree-structured Parzen
        estimator.
    n_settings : int
        How many settings are drawn; a grid has as many as it has.
    metric : str
        Number of the summary that counts.
    maximise : bool
        Larger is better.
    give_up : bool, optional
        Do not fly the remaining seeds of a setting worse than half of the others so far; default: not for a grid.
    changes : sequence of str
        `key=value`, for all settings alike.
    n_at_once : int
        Flights at the same time.
    ray_address : str, optional
        A Ray cluster that flies, `local` for one of this machine.
    resume : bool
        Go on with what `out` keeps.
    on_progress : callable, optional
        Called after every flight.

    Returns
    -------
    sweep : Sweep

    Raises
    ------
    D2ocError
        One sentence, before anything is flown where that is possible.
    KeyboardInterrupt
        After Ctrl-C; what was finished is kept.
    """
    parameters = parameters_of(params)
    points = combinations(parameters) if method == "grid" else None
    notes, changes = changes_for_seeds(name_or_path, changes, n_seeds)
    base = load_scenario(name_or_path, overrides=changes)
    _require_taken(name_or_path, changes, parameters)
    _require_metric(base, metric)
    plan = Plan(
        scenario=name_or_path,
        seeds=tuple(range(base.seed, base.seed + n_seeds)),
        changes=tuple(changes),
        parameters=parameters,
        method=method,
        metric=metric,
        maximise=maximise,
        give_up=method != "grid" if give_up is None else give_up,
    )
    search = Search(plan, _fingerprint(plan, base), out, points, resume=resume)
    total = n_settings if points is None else len(points)
    with flights(n_at_once, ray_address) as submit:
        _Flying(plan, search, total, submit, on_progress).run(n_at_once)
    found = Sweep(plan, notes, search.settings())
    if not found.ranked:
        raise ScenarioError(f"none of {total} settings could be flown; the last: {found.settings[-1].problem}")
    _write(out, found)
    return found


class _Flying:
    """Keeps so many flights under way until all settings are done."""

    def __init__(
        self,
        plan: Plan,
        search: Search,
        total: int,
        submit: Submit,
        on_progress: Callable[[SweepProgress], None] | None,
    ) -> None:
        self._plan = plan
        self._search = search
        self._total = total
        self._submit = submit
        self._on_progress = on_progress
        self._under_way: dict[Future[Flown], Candidate] = {}

    def run(self, n_at_once: int) -> None:
        """Fly all settings."""
        self._report()
        more = True
        while True:
            while more and len(self._under_way) < n_at_once:
                more = self._begin()
            if not self._under_way:
                return
            ended, _ = wait(self._under_way, return_when=FIRST_COMPLETED)
            for future in ended:
                self._end(self._under_way.pop(future), future.result())
            self._report()

    def _begin(self) -> bool:
        """Begin the next setting; returns whether there was one."""
        if self._search.n_done + len(self._under_way) >= self._total:
            return False
        candidate = self._search.next()
        if candidate is None:
            return False
        self._fly(candidate)
        return True

    def _fly(self, candidate: Candidate) -> None:
        """Fly the next seed of a setting."""
        seed = self._plan.seeds[len(candidate.flights)]
        try:
            overrides = self._plan.changes_of(candidate.values)
            scenario = load_scenario(self._plan.scenario, overrides=overrides, seed=seed)
        except D2ocError as error:
            self._search.fail(candidate, str(error))
            return
        self._under_way[self._submit(scenario)] = candidate

    def _end(self, candidate: Candidate, flown: Flown) -> None:
        problem = flown.problem
        if problem is None and self._plan.metric not in flown.measures:
            problem = f"{self._plan.metric} has no value for this flight"
        if problem is not None:
            self._search.fail(candidate, problem)
        elif self._search.tell(candidate, flown.measures):
            self._fly(candidate)

    def _report(self) -> None:
        if self._on_progress is not None:
            begun = sum(len(candidate.flights) for candidate in self._under_way.values())
            self._on_progress(SweepProgress(self._search.n_done + begun / len(self._plan.seeds), self._total))


def _require_taken(name: str, changes: Sequence[str], parameters: Sequence[Parameter]) -> None:
    """Refuse a parameter that the scenario does not take, before anything is flown."""
    usual = {parameter.key: parameter.corners[0] for parameter in parameters}
    for parameter in parameters:
        for value in parameter.corners:
            chosen = usual | {parameter.key: value}
            load_scenario(name, overrides=[*changes, *(p.change(chosen[p.key]) for p in parameters)])


def _require_metric(scenario: Scenario, metric: str) -> None:
    """Refuse a metric that summaries do not have."""
    short = TRY_STEPS * scenario.mission.time_step_s
    groups = tuple(group.model_copy(update={"duration_s": None}) for group in scenario.team.groups)
    changes = {
        "mission": scenario.mission.model_copy(update={"duration_s": short}),
        "team": scenario.team.model_copy(update={"groups": groups}),
    }
    flown = fly(scenario.model_copy(update=changes))
    if flown.problem is not None:
        raise ScenarioError(flown.problem)
    if metric not in flown.measures:
        raise ScenarioError(f"--metric {metric}: must be one of {', '.join(sorted(flown.measures))}")


def _fingerprint(plan: Plan, base: Scenario) -> str:
    what = (FORMAT_VERSION, __version__, plan.parameters, plan.seeds, plan.method, plan.metric, plan.maximise)
    return hashlib.sha256(f"{what!r}\n{scenario_toml(base)}".encode()).hexdigest()


def _write(folder: Path, found: Sweep) -> None:
    write_columns(folder / "sweep.parquet", table(found))
    try:
        text = json.dumps(found.as_dict(), indent=2, allow_nan=False) + "\n"
        (folder / "sweep.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{folder}: cannot be written ({error.strerror})") from None


def table(found: Sweep) -> Columns:
    """One row a flight: setting, state, seed, values of the parameters, numbers of the summary.

    A value that is no number stands as its place among the values in `sweep.json`.
    """
    rows = [(setting, i) for setting in found.settings for i in range(len(setting.flights))]
    columns: Columns = {
        "setting": np.array([setting.number for setting, _ in rows], np.int32),
        "state": np.array([STATES.index(setting.state) for setting, _ in rows], np.int32),
        "seed": np.array([found.plan.seeds[i] for _, i in rows], np.int64),
    }
    for parameter in found.plan.parameters:
        values = [setting.values[parameter.key] for setting, _ in rows]
        numbers = [value if not isinstance(value, str) else (parameter.values or ()).index(value) for value in values]
        columns[parameter.key] = np.array(numbers, np.float64)
    names = sorted({name for setting, i in rows for name in setting.flights[i]} - {"seed"})
    for name in names:
        columns[name] = np.array([setting.flights[i].get(name, np.nan) for setting, i in rows], np.float64)
    return columns
