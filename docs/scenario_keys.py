"""Writes the tables of keys in docs/scenario.md from the docstrings of d2oc/scenario/schema.py.

Run from the checkout after every change of the schema: python docs/scenario_keys.py
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from d2oc.scenario.schema import Scenario
from d2oc.scenario.sentences import UNITS

PAGE = Path(__file__).with_name("scenario.md")
BEGIN = "<!-- written by docs/scenario_keys.py: change the docstrings of d2oc/scenario/schema.py instead -->\n"
END = "<!-- end of what docs/scenario_keys.py writes -->\n"

TYPES = {"string": "text", "boolean": "true, false", "number": "number", "integer": "whole number"}
BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}

Json = Mapping[str, Any]


def main() -> None:
    """Rewrite the page."""
    before, _, after = split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + reference() + after, encoding="utf-8")


def split(page: str) -> tuple[str, str, str]:
    """The page before, inside and after the marks, the marks belonging to the outside."""
    before, rest = page.split(BEGIN)
    inside, after = rest.split(END)
    return before + BEGIN, inside, END + after


def reference() -> str:
    """All tables of the scenario file as Markdown."""
    schema = Scenario.model_json_schema()
    sections = ["\n### Top of the file\n", _keys(schema)]
    at_the_top = {name for prop in schema["properties"].values() for name in _tables(prop)}
    for key, prop in schema["properties"].items():
        sections += _sections(schema["$defs"], key, prop, at_the_top)
    return "\n".join(sections) + "\n"


def _sections(defs: Json, key: str, prop: Json, written: set[str]) -> Iterator[str]:
    """The tables that one key may hold, and the tables inside those."""
    for name in _tables(prop):
        table = defs[name]
        yield f"### {_heading(key, prop, table)}\n"
        yield _sentence(table["description"]) + "\n"
        yield _keys(table)
        for inner_key, inner in table["properties"].items():
            if not written.intersection(_tables(inner)):
                yield from _sections(defs, f"{key}.{inner_key}", inner, written)
                if inner_key == "motion":  # the same in every kind of density
                    written.update(_tables(inner))


def _heading(key: str, prop: Json, table: Json) -> str:
    tagged = [k for k in table.get("required", ()) if k in ("kind", "model")]
    tag = "".join(f' with `{k} = "{table["properties"][k]["const"]}"`' for k in tagged)
    return (f"`[[{key}]]`" if prop.get("type") == "array" else f"`[{key}]`") + tag


def _sentence(description: str) -> str:
    """What stands after the table's name in its docstring, as a sentence."""
    text = " ".join(description.split("`: ", 1)[-1].split())
    return text[0].upper() + text[1:]


def _tables(prop: Json) -> list[str]:
    """Names of the tables that a key may hold."""
    parts = [prop, prop.get("items", {}), *prop.get("anyOf", ()), *prop.get("oneOf", ())]
    parts += [deeper for part in prop.get("anyOf", ()) for deeper in part.get("oneOf", ())]
    return [part["$ref"].split("/")[-1] for part in parts if "$ref" in part]


def _keys(table: Json) -> str:
    required = table.get("required", ())
    lines = ["| key | unit | default | allowed | meaning |", "|---|---|---|---|---|"]
    for key, prop in table["properties"].items():
        meaning = re.sub(
            r" *\[[^][`]+\]$", "", " ".join(prop.get("description", "which of the tables this is").split())
        )
        cells = (f"`{key}`", unit(key), _default(prop, key in required), _allowed(prop), meaning.replace("|", "\\|"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def unit(key: str) -> str:
    """Unit of a key, by its ending."""
    return next((unit for ending, unit in UNITS.items() if key.endswith(ending)), "")


def _default(prop: Json, required: bool) -> str:
    if required:
        return "must be given"
    value = prop.get("default")
    if isinstance(value, dict):
        return "its defaults"
    if value is None or value in ((), []):
        return "left out"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"`[{', '.join(f'{item:g}' for item in value)}]`"
    return f'`"{value}"`' if isinstance(value, str) else f"{value:g}"


def _allowed(prop: Json) -> str:
    if _tables(prop):
        return "tables" if prop.get("type") == "array" else "a table"
    if "const" in prop or "enum" in prop:
        return ", ".join(f'`"{value}"`' for value in prop.get("enum", [prop.get("const")]))
    if "anyOf" in prop:
        parts = [_allowed(part) for part in prop["anyOf"] if part.get("type") != "null"]
        return parts[0] if all(part.startswith("number") for part in parts) else " or ".join(parts)
    if prop.get("type") == "array":
        return _list(prop)
    if prop.get("format") == "path":
        return "path"
    bounds = [f"{word} {_limit(prop[bound])}" for bound, word in BOUNDS.items() if bound in prop]
    no_limit = ", or inf" if prop.get("default") == math.inf else ""
    return " ".join([TYPES[prop["type"]], ", ".join(bounds)]).strip() + no_limit


def _limit(value: float) -> str:
    return "2^63" if value == 2**63 else f"{value:,}".removesuffix(".0")


def _list(prop: Json) -> str:
    if "prefixItems" in prop:
        inner = _allowed(prop["prefixItems"][0])
        return f"{len(prop['prefixItems'])} numbers" + inner.removeprefix("number")
    at_least = f"at least {prop['minItems']} " if "minItems" in prop else ""
    inner = prop["items"]
    if "prefixItems" in inner:
        return f"list of {at_least}points `[x, y]`"
    return f"list of {at_least}{_allowed(inner)}".replace("of number", "of numbers")


if __name__ == "__main__":
    main()
