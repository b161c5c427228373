"""Whatever is done to the text of a scenario, it loads or is refused with a sentence."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2oc.errors import D2ocError
from d2oc.scenario import load_scenario, scenario_toml, shipped_scenarios

TEXTS = [info.path.read_bytes() for info in shipped_scenarios()]
TOKENS = (
    b"", b"[", b"]", b"=", b'"', b"\n", b"inf", b"nan", b"-", b"1e400", b"0", b".", b",", b"{", b"}", b"\xff", b"\0",
    b"#", b"'''", b"true", b"[[", b"a.b", b"1979-05-27", b"0x1F", b"\\u0000", b"\r", b"9" * 30,
)  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("text") / "mine.toml"


def loaded(file):
    """The scenario, or the sentence that refuses it."""
    try:
        return load_scenario(file), ""
    except D2ocError as error:
        return None, str(error)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(TEXTS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), st.sampled_from(TOKENS)), min_size=1, max_size=4),
)
def test_an_edited_text_loads_or_is_refused(file, text, edits):
    for place, n_removed, token in edits:
        at = int(place * len(text))
        text = text[:at] + token + text[at + n_removed :]
    file.write_bytes(text)
    scenario, sentence = loaded(file)
    if scenario is None:
        assert sentence.startswith(f"{file}: ")
        assert "must be valid (" not in sentence
    else:
        file.write_text(scenario_toml(scenario))
        assert load_scenario(file) == scenario
