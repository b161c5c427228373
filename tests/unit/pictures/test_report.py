"""The report: its numbers are those of summary.json, its warnings those of the record, and it reaches for nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from d2oc_viz.page import replay_page
from d2oc_viz.replay import make_replay
from d2oc_viz.report import METRICS, write_report


class Page(HTMLParser):
    """What stands in a page: metric cells, addresses, ids, text."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.addresses, self.ids, self.text = {}, [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "data-key" in attributes:
            self.cells.setdefault(attributes["data-key"], []).append(json.loads(attributes["data-value"]))
        self.addresses += [attributes[name] for name in ("src", "href", "xlink:href") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page(record):
    (record.path / "summary.json").write_text(json.dumps(record.summary()), encoding="utf-8")
    return Page(write_report([record.path], record.path / "report.html").read_text(encoding="utf-8"))


def test_the_numbers_are_those_of_the_summary(record, page):
    summary = json.loads((record.path / "summary.json").read_text(encoding="utf-8"))
    numbers = {key: value for key, value in summary.items() if isinstance(value, int | float) and key != "seed"}
    assert {key: values for key, values in page.cells.items() if not key.startswith("timing")} == {
        key: [value] for key, value in numbers.items()
    }
    assert page.cells["timing.wall_time_s"] == [summary["timing"]["wall_time_s"]]


def test_every_metric_has_a_name_and_a_unit_of_its_own(record):
    known = {key for key, *_ in METRICS}
    assert {key for key, value in record.summary().items() if isinstance(value, int | float)} - known == {"seed"}


def test_warnings_are_sentences(page):
    text = " ".join(page.text)
    assert "Agent 1 was lost at 1.5 s" in text
    assert "In one agent-step: no plan" in text


def test_nothing_is_fetched(page):
    assert [a for a in page.addresses if not a.startswith(("data:", "#"))] == []


def test_the_policy_forbids_the_network(record):
    text = (record.path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "connect-src 'none'" in text
    assert not re.search(r"url\((?!#)", text.split("<script")[0])


def test_ids_are_unique(page):
    assert len(page.ids) == len(set(page.ids))


def test_a_stale_summary_is_not_believed(make_record, tmp_path):
    record = make_record(n_steps=4, out=tmp_path / "run")
    (record.path / "summary.json").write_text(json.dumps({**record.summary(), "record_digest": "old", "w2_m": 1e9}))
    page = Page(write_report([record.path], tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.cells["w2_m"] == [record.summary()["w2_m"]]


def test_several_missions_stand_side_by_side(make_record, tmp_path):
    records = [make_record(n_agents=n, n_steps=6, out=tmp_path / f"run{n}") for n in (1, 2)]
    text = write_report([r.path for r in records], tmp_path / "both.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.cells["n_agents"] == [1, 2]
    assert "run1: made-up, seed 7" in "".join(page.text)
    assert text.count('class="player"') == 2


def test_an_interrupted_mission_of_no_step_has_a_report(make_record, tmp_path):
    record = make_record(n_steps=0, planned=9, status="interrupted", out=tmp_path / "run")
    page = Page(write_report([record.path], tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "The mission was interrupted after 0 of 9 steps." in " ".join(page.text)
    assert page.cells["w2_m"] == [None]


def test_no_text_of_a_scenario_becomes_a_program(make_record):
    replay = make_replay(make_record(n_steps=1))
    evil = "</script><script>alert(1)</script>"
    text = replay_page(type(replay)({**replay.head, "name": evil}, replay.streams))
    assert evil not in text
