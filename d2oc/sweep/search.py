"""Which setting is flown next, and which is given up: Optuna decides, and keeps a journal. The one home of Optuna."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from d2oc.errors import MissingExtraError, RecordError
from d2oc.sweep.parameters import Parameter, Value
from d2oc.sweep.plan import Plan, Setting, State

JOURNAL = "sweep.journal"
FREE_SETTINGS = 4
"""So many settings are flown with all seeds before any is given up."""


@dataclass
class Candidate:
    """A setting under way."""

    values: dict[str, Value]
    trial: Any
    """Optuna's name for it."""
    flights: list[dict[str, float]] = field(default_factory=list)


class Search:
    """Chooses settings and remembers how they did.

    Parameters
    ----------
    plan : Plan
        What is swept.
    fingerprint : str
        A sweep goes on only with the same.
    folder : Path
        Holds the journal.
    points : sequence of dict, optional
        The settings of a grid; None: they are drawn.
    resume : bool
        Go on with the journal instead of refusing one.

    Raises
    ------
    MissingExtraError
        If Optuna is not installed.
    RecordError
        If the journal is of another sweep, or the folder cannot be written.
    """

    def __init__(
        self,
        plan: Plan,
        fingerprint: str,
        folder: Path,
        points: Sequence[dict[str, Value]] | None,
        *,
        resume: bool,
    ) -> None:
        try:
            import optuna
        except ImportError:
            raise MissingExtraError("d2oc sweep", "sweep") from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._plan = plan
        self._states = optuna.trial.TrialState
        self._study: Any = _opened(optuna, plan, fingerprint, folder, resume)
        self._distributions = {p.key: _distribution(optuna, p) for p in plan.parameters}
        self._again = self._forget_unfinished()
        known = [setting.values for setting in self.settings()]
        self._points = None if points is None else [p for p in points if p not in known and p not in self._again]

    @property
    def n_done(self) -> int:
        """Settings that are done."""
        return len(self.settings())

    def next(self) -> Candidate | None:
        """The next setting to fly; None where a grid has no more."""
        values = self._again.pop(0) if self._again else None
        if values is None and self._points is not None:
            if not self._points:
                return None
            values = self._points.pop(0)
        if values is not None:
            self._study.enqueue_trial({p.key: _stored(p, values[p.key]) for p in self._plan.parameters})
        trial = self._study.ask(self._distributions)
        return Candidate(values or self._values(trial.params), trial)

    def tell(self, candidate: Candidate, measures: dict[str, float]) -> bool:
        """A flight of a setting has ended; returns whether the next seed shall be flown."""
        number = len(candidate.flights)
        candidate.flights.append(measures)
        candidate.trial.set_user_attr(f"flight {number}", measures)
        mean = statistics.fmean(flight[self._plan.metric] for flight in candidate.flights)
        candidate.trial.report(mean, number)
        if number + 1 == len(self._plan.seeds):
            self._study.tell(candidate.trial, mean)
            return False
        if self._plan.give_up and candidate.trial.should_prune():
            self._study.tell(candidate.trial, state=self._states.PRUNED)
            return False
        return True

    def fail(self, candidate: Candidate, problem: str) -> None:
        """A setting cannot be flown."""
        candidate.trial.set_user_attr("problem", problem)
        self._study.tell(candidate.trial, state=self._states.FAIL)

    def settings(self) -> tuple[Setting, ...]:
        """All settings that are done."""
        states: dict[Any, State] = {
            self._states.COMPLETE: "complete", self._states.PRUNED: "given up", self._states.FAIL: "failed",
        }  # fmt: skip
        done = [t for t in self._study.get_trials(deepcopy=False) if t.state in states and not _was_cut_off(t)]
        return tuple(
            Setting(number, self._values(t.params), states[t.state], _flights(t), t.user_attrs.get("problem"))
            for number, t in enumerate(done)
        )

    def _values(self, params: dict[str, Any]) -> dict[str, Value]:
        return {p.key: _value(p, params[p.key]) for p in self._plan.parameters}

    def _forget_unfinished(self) -> list[dict[str, Value]]:
        """Settings that were under way when the program was killed; they are flown anew."""
        running = [t for t in self._study.get_trials(deepcopy=False) if t.state == self._states.RUNNING]
        for trial in running:
            self._study.tell(trial.number, state=self._states.FAIL)
        # A trial that was killed before all its parameters were written down says nothing.
        return [self._values(t.params) for t in running if len(t.params) == len(self._plan.parameters)]


def _opened(optuna: Any, plan: Plan, fingerprint: str, folder: Path, resume: bool) -> Any:
    path = folder / JOURNAL
    if path.exists() and not resume:
        raise RecordError(f"{folder}: holds a sweep; add --resume to go on, or choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
        study = optuna.create_study(
            storage=storage,
            study_name="sweep",
            load_if_exists=True,
            direction="maximize" if plan.maximise else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=FREE_SETTINGS),
        )
    except OSError as error:
        raise RecordError(f"{folder}: cannot be written ({error.strerror})") from None
    except (ValueError, KeyError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); choose another folder") from None
    if study.user_attrs.setdefault("fingerprint", fingerprint) != fingerprint:
        raise RecordError(
            f"{folder}: holds a sweep of another scenario, of other parameters, seeds or metric, or of another version "
            "of this program; choose another folder"
        )
    study.set_user_attr("fingerprint", fingerprint)
    study.sampler = _sampler(optuna, plan, len(study.get_trials(deepcopy=False)))
    return study


def _sampler(optuna: Any, plan: Plan, n_asked: int) -> Any:
    """Another seed after each interruption, lest the same settings are drawn again."""
    seed = plan.seeds[0] + n_asked
    if plan.method == "bayesian":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, constant_liar=True)
    return optuna.samplers.RandomSampler(seed=seed)


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    kinds = optuna.distributions
    if parameter.values is not None:
        return kinds.CategoricalDistribution([str(value) for value in parameter.values])
    span = parameter.range
    assert span is not None
    if span.integer:
        return kinds.IntDistribution(int(span.low), int(span.high), log=span.log)
    return kinds.FloatDistribution(span.low, span.high, log=span.log)


def _stored(parameter: Parameter, value: Value) -> Any:
    return value if parameter.values is None else str(value)


def _value(parameter: Parameter, stored: Any) -> Value:
    if parameter.values is not None:
        return next(value for value in parameter.values if str(value) == stored)
    assert parameter.range is not None
    return parameter.range.rounded(stored)


def _was_cut_off(trial: Any) -> bool:
    return trial.state.name == "FAIL" and "problem" not in trial.user_attrs


def _flights(trial: Any) -> tuple[dict[str, float], ...]:
    found: list[dict[str, float]] = []
    while (measures := trial.user_attrs.get(f"flight {len(found)}")) is not None:
        found.append({key: float(value) if value is not None else math.nan for key, value in measures.items()})
    return tuple(found)
