"""The report: one page on one mission or several, with what was asked, what happened, numbers, figures and replay."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from d2oc.metrics import summarise
from d2oc.record import EVENT_CODES, Record, load_record
from d2oc_viz.drawing import save, styled
from d2oc_viz.figures import FIGURES, draw, figures_of
from d2oc_viz.page import KEYS, header, page, player, replay_data
from d2oc_viz.replay import MOST_BYTES, make_replay

SVG_UP_TO = 600_000
"""A figure that would be larger as a vector drawing is embedded as pixels. [byte]"""

METRICS = (
    ("w2_m", "Wasserstein distance W2", "m", 1.0),
    ("w2_lower_m", "W2 is certainly above", "m", 1.0),
    ("w2_upper_m", "W2 is certainly below", "m", 1.0),
    ("sliced_w2_m", "sliced W2", "m", 1.0),
    ("remaining_weight", "untreated", "%", 100.0),
    ("doubly_covered_weight", "treated twice", "%", 100.0),
    ("ergodic_metric", "ergodic metric", "", 1.0),
    ("duration_s", "duration", "s", 1.0),
    ("n_agents", "agents", "", 1.0),
    ("n_steps", "steps flown", "", 1.0),
    ("n_samples", "samples", "", 1.0),
    ("n_samples_removed", "samples removed", "", 1.0),
    ("planned_workload_gini", "Gini of planned work", "", 1.0),
    ("workload_gini", "Gini of work done", "", 1.0),
    ("min_separation_m", "smallest separation", "m", 1.0),
    ("path_length_m", "path flown, whole team", "m", 1.0),
    ("longest_path_m", "longest path of an agent", "m", 1.0),
    ("top_speed_m_s", "top speed", "m/s", 1.0),
    ("control_energy", "control energy", "(unit of the input)² s", 1.0),
    ("n_fallbacks", "steps flown on a fallback", "", 1.0),
    ("n_messages", "messages", "", 1.0),
    ("message_bytes", "on air", "B", 1.0),
    ("message_entries", "entries in messages", "", 1.0),
    ("model_error_rms_m", "error of the model, a step", "m", 1.0),
    ("least_charge", "least charge at the end", "%", 100.0),
    ("sprayed_l", "sprayed", "L", 1.0),
    ("litres", "liquid sprayed", "L", 1.0),
    ("saved_percent", "saved against uniform spraying", "%", 1.0),
    ("missed_percent", "missed infestation", "%", 1.0),
    ("survivors_percent", "survivors", "%", 1.0),
    ("underdosed_m2", "under-dosed", "m²", 1.0),
    ("overdosed_m2", "over-dosed", "m²", 1.0),
    ("cv_percent", "coefficient of variation over what needs it", "%", 1.0),
    ("off_target_litres", "off target", "L", 1.0),
    ("buffer_litres", "in zones and buffers", "L", 1.0),
    ("treated_ha", "treated", "ha", 1.0),
    ("hectares_per_hour", "treated per hour", "ha/h", 1.0),
    ("makespan_s", "makespan", "s", 1.0),
    ("energy_kwh", "energy", "kWh", 1.0),
    ("sorties", "sorties", "", 1.0),
    ("refills", "refills and swaps", "", 1.0),
    ("idle_percent", "idle", "%", 1.0),
)
"""Key of the summary, label, unit shown and factor; all else in the summary is listed behind, under its own name."""
ROUNDING = 1e-12
"""Smaller numbers are what rounding left of nothing."""
MAIN = {"w2_m", "remaining_weight"}
TOLD_ELSEWHERE = {"name", "seed", "status", "w2_method", "record_digest", "lost_agents"}


@dataclass(frozen=True)
class Flown:
    """A record, its metrics, and where it stands."""

    record: Record
    summary: dict[str, Any]
    title: str

    @property
    def scenario(self) -> dict[str, Any]:
        """The scenario as run."""
        return tomllib.loads(self.record.scenario_toml)


def write_report(
    run_folders: Sequence[str | Path], path: str | Path, *, on_progress: Callable[[str], None] | None = None
) -> Path:
    """Write the report on one mission or several.

    Parameters
    ----------
    run_folders : sequence of path
        Run folders; several are shown side by side.
    path : str or Path
        HTML file to write. It needs no other file and no network.
    on_progress : callable, optional
        Told in a few words what is done next.

    Returns
    -------
    path : Path

    Raises
    ------
    RecordError
        If a folder is no run folder.
    MissingExtraError
        If matplotlib is not installed.
    """
    tell = on_progress or (lambda what: None)
    with styled("the report"):
        flown = [_read(Path(folder), tell) for folder in run_folders]
        flown = [Flown(f.record, f.summary, title) for f, title in zip(flown, _titles(flown), strict=True)]
        figures = _figures(flown, tell)
    tell("replay")
    replays = [make_replay(f.record, most_bytes=MOST_BYTES * 3 // 5 // len(flown)) for f in flown]
    tell("page")
    title = (
        " and ".join(dict.fromkeys(f.record.header.name for f in flown))
        if len(flown) <= 3
        else f"{len(flown)} missions"
    )
    body = f"""{header(title, (("report", "Report"), ("replay", "Replay")))}
<main>
<div id="report" role="tabpanel" aria-labelledby="tab-report">
<div class="side-by-side">{_asked_and_happened(flown)}</div>
<h2>Numbers</h2>
{_numbers(flown)}
<h2>Figures</h2>
{figures}
<h2>How to repeat it</h2>
<div class="side-by-side">{_each(flown, _repeat)}</div>
<h2>Provenance</h2>
{_provenance(flown)}
</div>
<div id="replay" class="away" role="tabpanel" aria-labelledby="tab-replay">
{"".join(player(i, f.title) for i, f in enumerate(flown))}
{KEYS}
</div>
</main>"""
    data = "".join(replay_data(i, replay) for i, replay in enumerate(replays))
    Path(path).write_text(page(f"{title}, report", body, data), encoding="utf-8")
    return Path(path)


def _read(folder: Path, tell: Callable[[str], None]) -> Flown:
    tell(f"metrics of {folder.name}")
    record = load_record(folder)
    return Flown(record, summary_of(record), folder.name)


def summary_of(record: Record) -> dict[str, Any]:
    """The metrics in the run folder if they are of this very record, else computed anew."""
    stored = _stored_summary(record.path)
    if record.complete and stored.get("record_digest") == record.digest():
        return stored
    return summarise(record)


def _stored_summary(folder: Path | None) -> dict[str, Any]:
    try:
        content = json.loads((folder / "summary.json").read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _titles(flown: Sequence[Flown]) -> list[str]:
    """A name for each mission: its scenario and seed, with the folder where that is not enough."""
    names = [f"{f.record.header.name}, seed {f.record.header.seed}" for f in flown]
    count = Counter(names)
    return [name if count[name] == 1 else f"{f.title}: {name}" for name, f in zip(names, flown, strict=True)]


def _each(flown: Sequence[Flown], write: Callable[[Flown], str]) -> str:
    if len(flown) == 1:
        return f"<div>{write(flown[0])}</div>"
    return "".join(f"<div><h3>{escape(f.title)}</h3>{write(f)}</div>" for f in flown)


def _asked_and_happened(flown: Sequence[Flown]) -> str:
    """A column each mission; one mission alone has the two parts beside each other."""
    parts = [(f"<h2>What was asked</h2>{_asked(f)}", f"<h2>What happened</h2>{_happened(f)}") for f in flown]
    if len(flown) == 1:
        return "".join(f"<div>{part}</div>" for part in parts[0])
    return "".join(f"<div><h3>{escape(f.title)}</h3>{a}{h}</div>" for f, (a, h) in zip(flown, parts, strict=True))


def _asked(f: Flown) -> str:
    scenario, header = f.scenario, f.record.header
    radio = scenario.get("radio", {})
    reach = float(radio.get("comm_range_m", math.inf))
    corners = np.array(header.boundary_m)
    x, y = corners.T
    hectares = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2 / 1e4
    models = Counter(agent.model for agent in header.agents)
    rows = [
        ("field", f"{hectares:.3g} ha, {np.ptp(x):.5g} m by {np.ptp(y):.5g} m"),
        ("zones", f"{len(header.no_fly_zones_m)} no-fly, {len(header.no_spray_zones_m)} no-spray"),
        ("density", f"{scenario.get('density', {}).get('kind', 'unknown')}, {header.n_samples:,} samples"),
        ("team", ", ".join(f"{n:,} of {model}" for model, n in models.items())),
        ("time", f"{header.n_steps * header.time_step_s:g} s in steps of {header.time_step_s:g} s"),
        _way_of_working(scenario),
        ("radio", f"{reach:g} m" if math.isfinite(reach) else "unlimited"),
    ]
    return f"<p>{escape(str(scenario.get('description', '')))}</p>{_table(rows)}"


def _way_of_working(scenario: Mapping[str, Any]) -> tuple[str, str]:
    """What decided where drones fly: of a spraying mission its method, else the law."""
    if "spray" in scenario:
        return "method", str(scenario["spray"].get("method", "d2oc"))
    control = scenario.get("control", {})
    return "law", f"{control.get('law', 'unknown')}, limits {control.get('limits', 'applied')}"


def _happened(f: Flown) -> str:
    summary, record = f.summary, f.record
    distance = "no step was flown" if summary["w2_m"] is None else f"W2 {summary['w2_m']:.3g} m from the density"
    text = (
        f"<p>{summary['n_steps']:,} of {record.header.n_steps:,} steps, {summary['duration_s']:g} s; "
        f"{100 * summary['remaining_weight']:.2f} % left untreated; {distance}.</p>"
    )
    warnings = list(_warnings(f))
    if not warnings:
        return text + '<p class="fine">Nothing out of the ordinary was recorded.</p>'
    return text + "".join(f'<p class="warning">{escape(warning)}</p>' for warning in warnings)


def _warnings(f: Flown) -> Iterable[str]:
    """What a reader must know, in sentences."""
    record, summary = f.record, f.summary
    if record.status == "interrupted":
        yield f"The mission was interrupted after {summary['n_steps']} of {record.header.n_steps} steps."
    if record.status == "running":
        yield "The mission did not end: it still runs, or it was killed. The record holds what was written until then."
    yield from record.problems
    for lost in summary.get("lost_agents", ()):
        yield f"Agent {lost['agent']} was lost at {lost['time_s']:.1f} s: it {lost['reason']}."
    codes = Counter(record.events["code"].tolist())
    for code, count in sorted(codes.items()):
        steps = "one agent-step" if count == 1 else f"{count:,} agent-steps"
        yield f"In {steps}: {EVENT_CODES.get(code, f'event {code}')}."
    removed = record.header.sampling.get("removed_share", 0.0)
    if removed >= 0.005:
        yield f"{100 * removed:.1f} % of the density's mass lies outside the field or in zones; it was left out."
    if record.header.sampling.get("nodata_share", 0.0) > 0:
        yield f"About {100 * record.header.sampling['nodata_share']:.1f} % of the field the data say nothing."
    yield from record.header.sampling.get("notes", ())


def _numbers(flown: Sequence[Flown]) -> str:
    head = "".join(f'<th class="number">{escape(f.title)}</th>' for f in flown)
    return (
        f'<div class="scroll"><table class="metrics"><thead><tr><th>metric</th>{head}<th>unit</th></tr></thead>'
        f"<tbody>{''.join(_metric_rows(flown))}</tbody></table></div>"
        "<p class='soft'>Point at a number to see it exactly, as it stands in summary.json of the run folder.</p>"
    )


def _metric_rows(flown: Sequence[Flown]) -> Iterable[str]:
    known = [row for row in METRICS if any(row[0] in f.summary for f in flown)]
    told = {key for key, *_ in METRICS} | TOLD_ELSEWHERE
    others = dict.fromkeys(
        key for f in flown for key, value in f.summary.items() if key not in told and _is_number(value)
    )
    for key, label, unit, factor in (*known, *((key, key, "", 1.0) for key in others)):
        cells = "".join(_cell(key, f.summary.get(key), factor) for f in flown)
        row = f'<th>{escape(label)}</th>{cells}<td class="unit">{unit}</td>'
        yield f"<tr{' class=main' if key in MAIN else ''}>{row}</tr>"
    for key, label, unit in (
        ("wall_time_s", "wall time", "s"),
        ("compute_time_per_agent_step_us", "computing", "µs per agent-step"),
    ):
        cells = "".join(_cell(f"timing.{key}", f.summary.get("timing", {}).get(key), 1.0) for f in flown)
        yield f'<tr><th>{label}</th>{cells}<td class="unit">{unit}</td></tr>'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(key: str, value: Any, factor: float) -> str:
    """A value to read, with the exact one behind it."""
    exact = escape(json.dumps(value), quote=True)
    return f'<td class="number" data-key="{key}" data-value="{exact}" title="{exact}">{_short(value, factor)}</td>'


def _short(value: Any, factor: float) -> str:
    if not _is_number(value):
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    scaled = factor * value
    if abs(scaled) < ROUNDING:
        return "0"
    return f"{scaled:,.0f}" if abs(scaled) >= 10_000 else f"{scaled:.4g}"


def _figures(flown: Sequence[Flown], tell: Callable[[str], None]) -> str:
    """All figures that apply; of several missions the same figure stands side by side."""
    applying = [figures_of(f.record) for f in flown]
    rows = []
    for name, kind in FIGURES.items():
        drawn = []
        for i, f in enumerate(flown):
            if name in applying[i]:
                tell(f"figure {name}")
                title = f"<h3>{escape(f.title)}</h3>" if len(flown) > 1 else ""
                drawn.append(
                    f"<figure{' class=wide' if kind.wide else ''}>{title}{_picture(f.record, name, i)}"
                    f"<figcaption>{escape(kind.caption)}</figcaption></figure>"
                )
        if drawn and len(flown) > 1:
            rows.append(f'<div class="side-by-side">{"".join(drawn)}</div>')
        else:
            rows += drawn
    return f'<div class="figures{" compared" if len(flown) > 1 else ""}">{"".join(rows)}</div>'


def _picture(record: Record, name: str, run: int) -> str:
    """A figure as vector drawing in the colours of the page, or as pixels where that would be too heavy."""
    figure = draw(record, name)
    vector = _saved(figure, "svg")
    if len(vector) <= SVG_UP_TO:
        return _inline(vector.decode("utf-8"), FIGURES[name].caption, prefix=f"{name}{run}-")
    figure.set_facecolor("white")
    pixels = base64.b64encode(_saved(figure, "png", transparent=False)).decode("ascii")
    return f'<img src="data:image/png;base64,{pixels}" alt="{escape(FIGURES[name].caption, quote=True)}">'


def _saved(figure: Any, kind: str, *, transparent: bool = True) -> bytes:
    file = io.BytesIO()
    save(figure, file, kind=kind, transparent=transparent)
    return file.getvalue()


def _inline(svg: str, caption: str, prefix: str) -> str:
    """An SVG file as an element: its ink in the page's colour, no head, and only names that are used, unlike others."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.S)
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'((?:href="|url\()#)', rf"\g<1>{prefix}", svg)
    svg = svg.replace("#000000", "currentColor")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption, quote=True)}" ', 1)


def _repeat(f: Flown) -> str:
    text = f.record.scenario_toml
    address = "data:text/plain;base64," + base64.b64encode(text.encode()).decode("ascii")
    file = f"{re.sub(r'[^A-Za-z0-9_-]+', '-', f.record.header.name)}.toml"
    return f"""<p>Save <a download="{file}" href="{address}">{file}</a>, the scenario as run, and fly it:</p>
<pre>d2oc run {file} --out again</pre>
<p>On the same machine with the same versions the record has this digest again:</p>
<pre>{f.summary["record_digest"]}</pre>
<details><summary>{file}</summary><pre>{escape(text)}</pre></details>"""


def _provenance(flown: Sequence[Flown]) -> str:
    rows: dict[str, list[str]] = {}
    for i, f in enumerate(flown):
        known = {key: value for key, value in f.record.provenance.items() if key not in ("versions", "timing")}
        known |= {f"version of {name}": version for name, version in f.record.provenance.get("versions", {}).items()}
        known |= {"run folder": str(f.record.path), "record digest": f.summary["record_digest"]}
        for key, value in known.items():
            rows.setdefault(key, ["-"] * len(flown))[i] = str(value)
    head = "".join(f"<th>{escape(f.title)}</th>" for f in flown)
    body = "".join(
        f"<tr><th>{escape(key)}</th>{''.join(f'<td class=long>{escape(value)}</td>' for value in values)}</tr>"
        for key, values in rows.items()
    )
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows) + "</table>"
