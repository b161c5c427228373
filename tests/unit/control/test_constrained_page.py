"""The example of docs/constrained.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "constrained.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/constrained.md is not beside the tests")
def test_the_worked_example_prints_what_the_page_prints(capsys):
    program, printed, *_ = re.findall(r"^```\w*\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile(program, "docs/constrained.md", "exec"), {})
    assert capsys.readouterr().out == printed
