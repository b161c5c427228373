"""The pages tell the truth: commands and programs run, links lead somewhere, tables of names are whole.

What is run, page by page, in an empty folder, in the order of the page:

- a line of a `sh` block that begins with `d2oc` (also behind `&&`), with `> FILE` if it has one;
- a `python` block; one that begins with `# needs: NAME` is only compiled where that package is not installed;
- a block whose paragraph begins with a file name in backticks is that file;
- a block behind the lone word "prints" is what the block before it prints.

A command or program that ends or begins with the comment "# not run by the tests" is only parsed.
"""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pytest
import typer.main
from typer.testing import CliRunner

import d2oc
from d2oc import load_scenario, simulate
from d2oc.cli import app, program
from d2oc.record import AgentHeader, RecordHeader
from d2oc.scenario import Scenario

ROOT = Path(__file__).parents[2]
PAGES = [
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.is_file()
]
NOT_RUN = "# not run by the tests"


class Block(NamedTuple):
    """A fenced block and the paragraph before it."""

    paragraph: str
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    fence = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.M | re.S)
    text = page.read_text(encoding="utf-8")
    end = 0
    for match in fence.finditer(text):
        indent, language, body = match.groups()
        paragraph = text[end : match.start()].strip().split("\n\n")[-1]
        end = match.end()
        yield Block(paragraph, language, re.sub(f"^{indent}", "", body, flags=re.M))


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(block: Block) -> Iterator[str]:
    """Commands of this program in a block, as a shell reads them."""
    if block.language == "sh":
        for line in block.text.replace("\\\n", " ").splitlines():
            marked = line.endswith(NOT_RUN)
            for part in line.removesuffix(NOT_RUN).split("&&"):
                command = part.strip().removeprefix(".venv/bin/")
                if command.startswith("d2oc"):
                    yield command + (NOT_RUN if marked else "")


def run(command: str) -> str:
    words = shlex.split(command)
    words, target = (words[: words.index(">")], Path(words[-1])) if ">" in words else (words, None)
    outcome = CliRunner().invoke(app, words[1:])
    assert outcome.exit_code == 0, f"{command}: {outcome.exception or outcome.output}"
    if target:
        target.write_text(outcome.stdout, encoding="utf-8")
    return str(outcome.stdout)


def parse(command: str) -> None:
    """Every word before the options names a command, every option exists."""
    here: click.Command = typer.main.get_command(app)
    words = shlex.split(command.removesuffix(NOT_RUN))[1:]
    while words and words[0] in getattr(here, "commands", {}):
        here = here.commands[words.pop(0)]  # type: ignore[attr-defined]
    here.make_context(here.name, words)


def installed(program: str) -> bool:
    needed = re.match(r"# needs: (.*)\n", program)
    return needed is None or all(importlib.util.find_spec(package) for package in needed[1].split(", "))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_programs_of_the_page_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    variables: dict[str, object] = {}
    printed = ""
    for block in blocks(page):
        if file := re.match(r"`([\w/]+\.\w+)`", block.paragraph):
            Path(file[1]).write_text(block.text, encoding="utf-8")
        elif block.paragraph == "prints":
            assert printed == block.text
        elif block.language == "sh":
            for command in commands(block):
                if NOT_RUN in command:
                    parse(command)
                else:
                    printed = run(command)
        elif block.language == "python":
            program = compile(block.text, name(page), "exec")
            if installed(block.text) and not block.text.startswith(NOT_RUN):
                capsys.readouterr()
                exec(program, variables)
                printed = capsys.readouterr().out


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name)
def test_relative_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name(page)}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{name(page)}: {link} names no heading"


def test_the_scenario_page_holds_what_the_schema_says():
    generator = runpy.run_path(str(ROOT / "docs" / "scenario_keys.py"))
    page = (ROOT / "docs" / "scenario.md").read_text(encoding="utf-8")
    _, inside, _ = generator["split"](page)
    assert inside == generator["reference"](), "run `python docs/scenario_keys.py`"


def test_every_key_of_the_schema_stands_in_the_scenario_page():
    page = (ROOT / "docs" / "scenario.md").read_text(encoding="utf-8")
    schema = Scenario.model_json_schema()
    keys = {key for table in (schema, *schema["$defs"].values()) for key in table["properties"]}
    assert {key for key in keys if f"| `{key}` |" not in page} == set()


def test_the_unit_in_a_docstring_is_the_unit_in_the_name():
    unit = runpy.run_path(str(ROOT / "docs" / "scenario_keys.py"))["unit"]
    schema = Scenario.model_json_schema()
    for table in (schema, *schema["$defs"].values()):
        for key, prop in table["properties"].items():
            told = re.search(r" \[([^][`]+)\]$", prop.get("description", ""))
            assert told is None or told[1] == unit(key), f"{table.get('title')}.{key}"


@pytest.fixture(scope="module")
def record():
    """A short mission of two kinds of agents: the record with the most columns."""
    changes = {
        "mission.duration_s": 2.0,
        "team": {"groups": [{"n_agents": 2}, {"n_agents": 1, "vehicle": {"model": "quadrotor"}}]},
    }
    return simulate(load_scenario("six_drones", overrides=changes))


def names_in(page: str) -> set[str]:
    return set(re.findall(r"`([\w.]+)`", (ROOT / "docs" / page).read_text(encoding="utf-8")))


def test_every_column_of_the_record_stands_in_its_page(record):
    tables = (record.samples, record.trajectory, record.consumption, record.messages)
    columns = {re.sub(r"^(state|input)_\d+$", r"\1_i", column) for table in tables for column in table}
    assert columns - names_in("record.md") == set()


def test_every_state_and_input_of_a_vehicle_stands_in_the_record_page():
    from d2oc.vehicles import linear

    models = (
        linear.single_integrator(1.0),
        linear.double_integrator(1.0),
        linear.quadrotor(1.0, np.array([1.0])),
    )
    needed = {name for model in models for name in (model.name, *model.state_names, *model.input_names)}
    page = (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
    assert {name for name in needed if f"`{name}`" not in page} == set()


def test_every_key_of_the_summary_stands_in_the_record_page(record):
    summary = record.summary()
    keys = (set(summary) - {"timing"}) | {f"timing.{key}" for key in summary["timing"]}
    assert keys - names_in("record.md") == set()


def test_every_key_of_the_header_and_the_provenance_stands_in_the_record_page(record):
    keys = set(RecordHeader.__dataclass_fields__) | set(AgentHeader.__dataclass_fields__) | {"status"}
    keys |= set(record.header.sampling) | set(record.provenance) | set(record.provenance["timing"])
    assert keys - names_in("record.md") == set()


def test_every_file_of_a_run_folder_stands_in_the_record_page(tmp_path):
    run(f"d2oc run six_drones --set mission.duration_s=2 --quiet --out {tmp_path / 'run'}")
    assert {path.name for path in (tmp_path / "run").iterdir()} - names_in("record.md") == set()


def all_commands(command: click.Command, words: str = "d2oc") -> Iterator[str]:
    inner = getattr(command, "commands", {})
    if not inner or getattr(command, "invoke_without_command", False):
        yield words
    for word, deeper in inner.items():
        yield from all_commands(deeper, f"{words} {word}")


def test_every_command_stands_in_some_page():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [command for command in all_commands(typer.main.get_command(app)) if command not in text] == []


def test_every_exit_code_stands_in_the_page_on_commands():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.M)}
    assert told == {0, program.CHECK_FAILED, program.BAD_INPUT, program.BUG, program.INTERRUPTED}


def test_version_and_licence_agree_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {d2oc.__version__}\n" in citation
    assert "\nlicense: MIT\n" in citation
    assert f"## [{d2oc.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
