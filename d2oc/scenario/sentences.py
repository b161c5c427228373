"""Turns validation errors into sentences: which key, which value, what is allowed."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from d2oc.scenario.schema import Scenario

Path = tuple[str | int, ...]

UNITS = {
    "_m_s2": "m/s^2", "_deg_s": "deg/s", "_kg_m2": "kg m^2", "_n_m": "N m", "_m_s": "m/s", "_deg": "deg",
    "_steps": "steps", "_m": "m", "_s": "s",
}  # fmt: skip
"""Unit of a key by its ending."""

FOREIGN_UNITS = (
    "_km", "_cm", "_mm", "_ft", "_feet", "_in", "_miles", "_mi", "_yd", "_min", "_minutes", "_h", "_hours", "_ms",
    "_sec", "_seconds", "_rad", "_km_h", "_kmh", "_kph", "_mph", "_kn", "_knots", "_px", "_ha", "_meters", "_metres",
)  # fmt: skip
"""Endings of keys with a unit that no key has."""


def sentences(error: ValidationError, data: Mapping[str, Any]) -> list[str]:
    """One sentence for each mistake, beginning with its key.

    Parameters
    ----------
    error : ValidationError
        Of `Scenario`.
    data : mapping
        What was validated.

    Returns
    -------
    sentences : list of str
    """
    by_path: dict[Path, list[dict[str, Any]]] = {}
    for item in error.errors():
        by_path.setdefault(_true_path(item, data), []).append(dict(item))
    return [_sentence(path, items, data) for path, items in by_path.items()]


def _true_path(item: Mapping[str, Any], data: Any) -> Path:
    """Way through the data; pydantic's location also names the alternatives of unions."""
    path: list[str | int] = []
    here = data
    for step in item["loc"]:
        inside = (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        )
        if inside:
            path.append(step)
            here = here[step]
        elif step == item["loc"][-1] and item["type"] == "missing" and isinstance(here, dict):
            path.append(step)
    return tuple(path)


def _sentence(path: Path, items: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> str:
    key = dotted(path)
    first = items[0]
    kind = first["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path, data)
    if kind == "missing" and not _holds(data, path):
        return f"{key} is missing{_unit_note(path)}: {_description(path, data)}"
    if kind == "union_tag_not_found":
        tag = first["ctx"]["discriminator"].strip("'")
        return f"{key}.{tag} is missing: one of {', '.join(_tags(path, data))}"
    if kind == "union_tag_invalid":
        tag = first["ctx"]["discriminator"].strip("'")
        value = _value_at(data, path)[tag]
        return f"{key}.{tag} = {_show(value)} must be one of {_choices(value, _tags(path, data))}"
    value = _value_at(data, path)
    return f"{key} = {_show(value)} must be {_allowed(path, items, value)}"


def _allowed(path: Path, items: Sequence[Mapping[str, Any]], value: Any) -> str:
    unit = _unit_of(path)
    kinds = {item["type"] for item in items}
    if len(items) > 1 and not isinstance(value, int | float):
        return f"a positive number or a pair of them{_in(unit)}"
    context = items[0].get("ctx", {})
    match items[0]["type"]:
        case "greater_than":
            return ("positive" if context["gt"] == 0 else f"above {context['gt']:g}") + _in(unit)
        case "greater_than_equal":
            return f"at least {context['ge']:g}" + _in(unit)
        case "less_than_equal" | "less_than":
            return f"at most {context.get('le', context.get('lt')):g}" + _in(unit)
        case "finite_number":
            return "a finite number" + _in(unit)
        case "float_type" | "float_parsing":
            plain = f"a plain number{' in ' + unit if unit else ''}"
            return plain + (", without quotes" if isinstance(value, str) else "")
        case "int_type" | "int_from_float" | "int_parsing":
            return "a whole number"
        case "bool_type" | "bool_parsing":
            return "true or false"
        case "string_type" | "path_type":
            return "text in quotes"
        case "literal_error":
            return "one of " + _choices(value, _literals(context["expected"]))
        case "model_type" | "model_attributes_type" | "dict_type":
            return "a table of keys"
        case "tuple_type" | "list_type":
            return "an array" + _in(unit)
        case "too_short":
            return f"an array of at least {context['min_length']}" + _in(unit)
        case "too_long" | "missing":
            return "an array of 2 numbers" + _in(unit)
    return f"valid ({', '.join(sorted(kinds))})"


def _unknown_key(path: Path, data: Mapping[str, Any]) -> str:
    name = str(path[-1])
    known = _keys_of(_model_at(path[:-1], data))
    sentence = f"{dotted(path)} is not a known key"
    foreign = next((ending for ending in sorted(FOREIGN_UNITS, key=len, reverse=True) if name.endswith(ending)), None)
    if foreign:
        stem = name.removesuffix(foreign)
        for candidate in known:
            unit = _unit_of((candidate,))
            if unit and candidate == stem + next(e for e, u in UNITS.items() if u == unit):
                return f"{sentence}; the unit is {unit}: use {candidate}"
    near = difflib.get_close_matches(name, known, 1, 0.6)
    if near:
        return f"{sentence}; did you mean {near[0]}?"
    elsewhere = [place for place in _all_keys() if place.split(".")[-1] == name]
    if elsewhere:
        return f"{sentence}; did you mean {elsewhere[0]}?"
    where = f"[{dotted(path[:-1])}] has" if len(path) > 1 else "known are"
    return f"{sentence}; {where} {', '.join(known)}"


def dotted(path: Sequence[str | int]) -> str:
    """Name of a key as in the file, with the number of an array's entry in brackets."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _show(value: Any) -> str:
    text = json.dumps(value, default=str)
    text = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}.get(text, text)
    return text if len(text) <= 60 else text[:57] + "..."


def _choices(value: Any, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(value), names, 1)
    return ", ".join(names) + (f"; did you mean {near[0]}?" if near else "")


def _literals(expected: str) -> list[str]:
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _unit_of(path: Sequence[str | int]) -> str | None:
    name = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), None)


def _in(unit: str | None) -> str:
    return f" [{unit}]" if unit else ""


def _unit_note(path: Path) -> str:
    return _in(_unit_of(path))


def _holds(data: Any, path: Path) -> bool:
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _value_at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _description(path: Path, data: Mapping[str, Any]) -> str:
    model = _model_at(path[:-1], data)
    field = model.model_fields.get(str(path[-1])) if model else None
    text = (field.description or "it has no default") if field else "it has no default"
    return text.split(" [")[0].split(";")[0].rstrip(".")


def _tags(path: Path, data: Mapping[str, Any]) -> list[str]:
    models = list(_models_in(_annotation_at(path, data)))
    return [get_args(model.model_fields[_tag_field(model)].annotation)[0] for model in models]


def _tag_field(model: type[BaseModel]) -> str:
    return "kind" if "kind" in model.model_fields else "model"


def _keys_of(model: type[BaseModel] | None) -> list[str]:
    return list(model.model_fields) if model else []


def _model_at(path: Sequence[str | int], data: Mapping[str, Any]) -> type[BaseModel] | None:
    models = list(_models_in(_annotation_at(path, data)))
    if len(models) == 1:
        return models[0]
    here = _value_at(data, tuple(path))
    for model in models:
        field = _tag_field(model)
        if isinstance(here, dict) and here.get(field) in get_args(model.model_fields[field].annotation):
            return model
    return None


def _annotation_at(path: Sequence[str | int], data: Mapping[str, Any]) -> Any:
    annotation: Any = Scenario
    for i, step in enumerate(path):
        if isinstance(step, str):
            model = _model_at(path[:i], data)
            field = model.model_fields.get(step) if model else None
            annotation = field.annotation if field else None
    return annotation


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Tables that a key may hold, whatever they are wrapped in."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, types.UnionType, tuple):
        for part in get_args(annotation):
            yield from _models_in(part)


def _all_keys(model: type[BaseModel] = Scenario, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner in _models_in(field.annotation):
            yield from _all_keys(inner, f"{prefix}{name}.")
