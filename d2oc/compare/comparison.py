"""`d2oc compare`: the same map, starts, limits and seeds for all methods; every finished flight is kept at once.

A kept flight is one small JSON file with its measures. It counts again only if scenario, program version and settings
are the same, so a comparison that was killed goes on where it stopped.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from d2oc import __version__
from d2oc.compare.methods import Method, default_methods, method_named, methods_of, overrides_of
from d2oc.errors import RecordError, ScenarioError
from d2oc.metrics import gini, min_separation, path_lengths, remaining_weight, time_to_w2, w2_at_share
from d2oc.mission import Progress, simulate
from d2oc.record import Record
from d2oc.runtime.choice import quickest_runtime
from d2oc.scenario import load_scenario, scenario_toml
from d2oc.scenario.schema import Scenario
from d2oc.sprayed import litres_by_drone, sprayed

FORMAT_VERSION = 1
LEVEL_SHARE = 0.05
"""Default W2 to be reached, as a share of the side of a square as large as the field."""
WARM_UP_STEPS = 3
"""A flight so short compiles a method before its time is taken."""

MEASURES = (
    "w2_m", "w2_at_25_percent_m", "w2_at_50_percent_m", "w2_at_75_percent_m", "time_to_w2_s", "ergodic_metric",
    "doubly_covered_weight", "remaining_weight", "min_separation_m", "n_messages", "message_bytes", "path_length_m",
    "top_speed_m_s", "compute_time_per_agent_step_us", "memory_mib",
)  # fmt: skip
"""What is measured of every flight, and averaged over the seeds."""

SPRAY_MEASURES = (
    "litres", "saved_percent", "missed_percent", "underdosed_m2", "overdosed_m2", "cv_percent", "off_target_litres",
    "buffer_litres", "survivors_percent", "hectares_per_hour", "makespan_s", "energy_kwh", "refills", "idle_percent",
    "workload_gini", "min_separation_m", "path_length_m", "remaining_weight",
)  # fmt: skip
"""The same of a spraying mission."""


@dataclass(frozen=True)
class Flight:
    """One method with one seed."""

    method: str
    seed: int
    scenario: Scenario

    @property
    def name(self) -> str:
        """Name of its file and in messages."""
        return f"{self.method}-seed{self.seed}"


@dataclass(frozen=True)
class ComparisonProgress:
    """How far a comparison is."""

    done: float
    """Flights flown; the fraction belongs to the one under way."""
    n_flights: int
    flight: str
    """Name of the flight under way."""


@dataclass(frozen=True)
class Comparison:
    """Methods side by side."""

    scenario: str
    seeds: tuple[int, ...]
    w2_level_m: float
    """The W2 of `time_to_w2_s`. [m]"""
    notes: tuple[str, ...]
    """Sentences on what was changed to make the comparison mean something."""
    methods: tuple[Mapping[str, Any], ...]
    """A row for each method: mean (plain key) and sample standard deviation (`_std`) over the seeds."""
    flights: tuple[Mapping[str, Any], ...]
    """The measures of every flight."""
    sprays: bool = False
    """Whether these are spraying missions, which have measures of their own."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "scenario": self.scenario,
            "seeds": list(self.seeds),
            "spread": "sample standard deviation over the seeds",
            "w2_level_m": self.w2_level_m,
            "sprays": self.sprays,
            "notes": list(self.notes),
            "methods": [dict(row) for row in self.methods],
            "flights": [dict(row) for row in self.flights],
        }


def compare(
    name_or_path: str,
    methods: Sequence[str],
    n_seeds: int,
    out: Path,
    *,
    equal_litres: bool = False,
    changes: Sequence[str] = (),
    w2_level_m: float | None = None,
    resume: bool = False,
    on_progress: Callable[[ComparisonProgress], None] | None = None,
) -> Comparison:
    """Fly a scenario with every method and seed.

    Parameters
    ----------
    name_or_path : str
        Shipped scenario, or path of a TOML file.
    methods : sequence of str
        Names from `METHODS` (`SPRAY_METHODS` of a spraying mission); none: the usual ones.
    n_seeds : int
        Seeds flown by each: the scenario's, and the numbers after it.
    out : Path
        Folder that keeps every finished flight.
    equal_litres : bool
        Of spraying missions: all but the first method have as much liquid as that sprayed with the same seed.
    changes : sequence of str
        `key=value`, for all methods alike.
    w2_level_m : float, optional
        W2 whose time is taken; default: 5 % of the side of a square as large as the field. [m]
    resume : bool
        Take what is kept in `out` instead of refusing a folder that holds flights.
    on_progress : callable, optional
        Called now and then.

    Returns
    -------
    comparison : Comparison

    Raises
    ------
    D2ocError
        One sentence, before anything is flown where that is possible.
    KeyboardInterrupt
        After Ctrl-C; what was finished is kept.
    """
    notes, changes = changes_for_seeds(name_or_path, changes, n_seeds)
    base = load_scenario(name_or_path, overrides=changes)
    methods = methods or default_methods(base)
    flights = list(_flights(name_or_path, methods, n_seeds, changes))
    level = w2_level_m or _default_level(flights[0].scenario)
    folder = _folder(out, resume)
    kept: list[dict[str, Any]] = []
    warm: set[str] = set()
    for i, planned in enumerate(flights):
        flight = _with_litres_of(kept, planned, methods[0]) if equal_litres else planned
        row = _kept(folder, flight, level)
        if row is None:
            if flight.method not in warm:
                _warm_up(flight.scenario)
                warm.add(flight.method)
            row = _fly(flight, level, _reporter(on_progress, i, len(flights), flight.name))
            _keep(folder, flight, level, row)
        kept.append(row)
    if on_progress is not None:
        on_progress(ComparisonProgress(len(flights), len(flights), ""))
    return Comparison(
        scenario=flights[0].scenario.name,
        seeds=tuple(sorted({flight.seed for flight in flights})),
        w2_level_m=level,
        notes=notes,
        methods=tuple(
            _row(name, methods_of(base)[name], [row for row in kept if row["method"] == name], measures_of(base))
            for name in dict.fromkeys(methods)
        ),
        flights=tuple(kept),
        sprays=base.spray is not None,
    )


def changes_for_seeds(name: str, changes: Sequence[str], n_seeds: int) -> tuple[tuple[str, ...], Sequence[str]]:
    """Where nothing depends on the seed, draw the starts; says so."""
    scenario = load_scenario(name, overrides=changes)
    fixed = scenario.team.start_m is not None or scenario.team.start == "line"
    if scenario.spray is not None:
        return (), changes  # drones start at their stations; wind and receivers are drawn from the seed
    if n_seeds == 1 or not fixed or scenario.sampling.method == "random":
        return (), changes
    if scenario.team.start_m is not None or any(text.startswith("team.start=") for text in changes):
        return (
            "starts and samples are the same for every seed, so the spread shows only a method's own chance",
        ), changes
    return ('team.start is "random" here, not "line" as in the scenario, so that every seed has starts of its own',), [
        *changes,
        "team.start=random",
    ]


def measures_of(scenario: Scenario) -> tuple[str, ...]:
    """Keys of what is measured of its flights."""
    return MEASURES if scenario.spray is None else SPRAY_MEASURES


def _with_litres_of(kept: Sequence[Mapping[str, Any]], flight: Flight, first: str) -> Flight:
    """The flight with as much liquid as the first method sprayed with its seed."""
    spray = flight.scenario.spray
    if spray is None or flight.method == first:
        return flight
    litres = next(row["litres"] for row in kept if row["method"] == first and row["seed"] == flight.seed)
    limited = spray.model_copy(update={"budget_l": float(litres)})
    return replace(flight, scenario=flight.scenario.model_copy(update={"spray": limited}))


def _flights(name: str, methods: Sequence[str], n_seeds: int, changes: Sequence[str]) -> Iterator[Flight]:
    base = load_scenario(name, overrides=changes)
    for method in dict.fromkeys(methods):
        overrides = [*changes, *overrides_of(method_named(method, methods_of(base)), base)]
        for seed in range(base.seed, base.seed + n_seeds):
            try:
                yield Flight(method, seed, load_scenario(name, overrides=overrides, seed=seed))
            except ScenarioError as error:
                raise ScenarioError(f"method {method} cannot fly this: {error}") from None


def _default_level(scenario: Scenario) -> float:
    from d2oc.density import build_density

    _, field = build_density(scenario.density, scenario.field)
    return float(f"{LEVEL_SHARE * field.area_m2**0.5:.3g}")


def _warm_up(scenario: Scenario) -> None:
    """Fly a few steps, so that compiling does not count as computing."""
    short = WARM_UP_STEPS * scenario.mission.time_step_s
    groups = tuple(group.model_copy(update={"duration_s": None}) for group in scenario.team.groups)
    simulate(
        scenario.model_copy(
            update={
                "mission": scenario.mission.model_copy(update={"duration_s": short}),
                "team": scenario.team.model_copy(update={"groups": groups}),
            }
        ),
        runtime=quickest_runtime(scenario),
    )


def _fly(flight: Flight, level: float, on_progress: Callable[[Progress], None] | None) -> dict[str, Any]:
    record = simulate(flight.scenario, runtime=quickest_runtime(flight.scenario), on_progress=on_progress)
    if record.status == "interrupted":
        raise KeyboardInterrupt
    return {"method": flight.method, "seed": flight.seed, **measures(record, level)}


def measures(record: Record, w2_level_m: float) -> dict[str, Any]:
    """What is compared of one flight.

    Parameters
    ----------
    record : Record
        Complete.
    w2_level_m : float
        W2 whose time is taken. [m]

    Returns
    -------
    measures : dict
        The keys of `MEASURES`, the starts, and the digest of the record.
    """
    if record.cells:
        return spray_measures(record)
    summary = record.summary()
    timing = record.provenance.get("timing", {})
    found = {
        **summary,
        **{f"w2_at_{percent}_percent_m": w2_at_share(record, percent / 100) for percent in (25, 50, 75)},
        "time_to_w2_s": time_to_w2(record, w2_level_m),
        "compute_time_per_agent_step_us": summary["timing"]["compute_time_per_agent_step_us"],
        "memory_mib": timing.get("memory_bytes", 0.0) / 2**20,
    }
    return {
        **{key: found[key] for key in MEASURES},
        "starts_m": record.by_tick("x_m", "y_m")[0].tolist(),
        "record_digest": summary["record_digest"],
    }


def spray_measures(record: Record) -> dict[str, Any]:
    """The same of a spraying mission; W2 is not among them, and it would take longer than the flight."""
    found = {
        **sprayed(record),
        "workload_gini": gini(litres_by_drone(record)),
        "min_separation_m": min_separation(record),
        "path_length_m": float(path_lengths(record).sum()),
        "remaining_weight": remaining_weight(record),
    }
    return {
        **{key: found[key] for key in SPRAY_MEASURES},
        "litres_by_drone": litres_by_drone(record).tolist(),
        "record_digest": record.digest(),
    }


def _row(name: str, method: Method, flights: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, Any]:
    """Mean and spread of one method."""
    row: dict[str, Any] = {"name": name, "method": name}
    row |= {"title": method.title, "knows": method.knows, "n_seeds": len(flights)}
    for key in keys:
        values = [flight[key] for flight in flights if flight[key] is not None]
        row[key] = statistics.fmean(values) if values else None
        row[f"{key}_std"] = statistics.stdev(values) if len(values) > 1 else None
    if "time_to_w2_s" in keys:
        row["n_reached_w2"] = sum(flight["time_to_w2_s"] is not None for flight in flights)
    return row


def write_csv(comparison: Comparison, path: Path) -> None:
    """One line a method, with the keys of the rows as header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(comparison.methods[0]))
        writer.writeheader()
        writer.writerows(comparison.methods)


def _folder(out: Path, resume: bool) -> Path:
    folder = out / "flights"
    if not resume and folder.is_dir() and any(folder.glob("*.json")):
        raise RecordError(f"{out}: holds flights of a comparison; add --resume to go on, or choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"{out}: cannot be written ({error.strerror})") from None
    return folder


def _kept(folder: Path, flight: Flight, level: float) -> dict[str, Any] | None:
    """The measures of a flight that was finished before, if it is the same."""
    try:
        content = json.loads((folder / f"{flight.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("fingerprint") != _fingerprint(flight, level):
        return None
    row: dict[str, Any] = content["flight"]
    return row


def _keep(folder: Path, flight: Flight, level: float, row: Mapping[str, Any]) -> None:
    """Write whole or not at all."""
    text = json.dumps({"fingerprint": _fingerprint(flight, level), "flight": row}, indent=2, allow_nan=False)
    unfinished = folder / f"{flight.name}.unfinished"
    unfinished.write_text(text + "\n", encoding="utf-8")
    os.replace(unfinished, folder / f"{flight.name}.json")


def _fingerprint(flight: Flight, level: float) -> str:
    text = f"{FORMAT_VERSION} {__version__} {level!r}\n{scenario_toml(flight.scenario)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _reporter(
    on_progress: Callable[[ComparisonProgress], None] | None, done: int, n_flights: int, name: str
) -> Callable[[Progress], None] | None:
    if on_progress is None:
        return None

    def report(progress: Progress) -> None:
        on_progress(ComparisonProgress(done + progress.step / max(1, progress.n_steps), n_flights, name))

    return report
