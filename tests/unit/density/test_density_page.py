"""The example of docs/density.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "density.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/density.md is not beside the tests")
def test_the_worked_example_prints_what_the_page_prints(tmp_path, monkeypatch, capsys):
    counts, program, printed = re.findall(r"^```\w*\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    (tmp_path / "counts.csv").write_text(counts)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "docs/density.md", "exec"), {})
    assert capsys.readouterr().out == printed
