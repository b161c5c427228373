"""Turns validation errors into sentences: which key, which value, what is allowed."""

from __future__ import annotations

import difflib
import json
import math
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from d2oc.scenario.schema import Scenario

Path = tuple[str | int, ...]

UNITS = {
    "_m_s2": "m/s^2", "_deg_s": "deg/s", "_kg_m2": "kg m^2", "_n_m": "N m", "_m_s": "m/s", "_deg": "deg",
    "_bytes_per_s": "byte/s", "_bytes": "byte", "_steps": "steps", "_m": "m", "_s": "s", "_l": "L",
    "_l_ha": "L/ha", "_l_min": "L/min", "_m2": "m2", "_percent": "%",
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
    meant = {(*path[:-1], _meant_key(path, data)) for path, items in by_path.items() if _is_unknown(items)}
    return [
        _sentence(path, items, data)
        for path, items in by_path.items()
        if not _follows_from(path, items, by_path) and not (path in meant and _is_missing(path, items, data))
    ]


def _follows_from(path: Path, items: Sequence[Mapping[str, Any]], others: Iterable[Path]) -> bool:
    """Whether a mistake further inside explains this one: a table with a mistake is not counted in its array."""
    return not _is_unknown(items) and any(len(other) > len(path) and other[: len(path)] == path for other in others)


def _is_unknown(items: Sequence[Mapping[str, Any]]) -> bool:
    return bool(items[0]["type"] == "extra_forbidden")


def _is_missing(path: Path, items: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> bool:
    return bool(items[0]["type"] == "missing") and not _holds(data, path)


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
    if _is_missing(path, items, data):
        return f"{key} is missing: {_description(path, data)}{_in(_unit_of(path))}"
    if kind == "union_tag_not_found":
        tag = first["ctx"]["discriminator"].strip("'")
        return f"{key}.{tag} is missing: one of {', '.join(_tags(path, data))}"
    if kind == "union_tag_invalid":
        tag = first["ctx"]["discriminator"].strip("'")
        value = _value_at(data, path)[tag]
        return f"{key}.{tag} = {_show(value)} must be {_choices(value, _tags(path, data))}"
    value = _value_at(data, path)
    return f"{key} = {_show(value)} must be {_allowed(path, items, value)}"


def _allowed(path: Path, items: Sequence[Mapping[str, Any]], value: Any) -> str:
    unit = _unit_of(path)
    kinds = {item["type"] for item in items}
    if len(items) > 1 and not isinstance(value, int | float):  # of the keys only sigma_m takes either
        return f"a positive number or a pair of them{_in(unit)}"
    context = items[0].get("ctx", {})
    match items[0]["type"]:
        case "greater_than":
            return ("positive" if context["gt"] == 0 else f"above {context['gt']:g}") + _in(unit)
        case "greater_than_equal":
            return f"at least {context['ge']:g}" + _in(unit)
        case "less_than_equal":
            return f"at most {context['le']:,}" + _in(unit)
        case "less_than":
            return f"below {context['lt']:,}" + _in(unit)
        case "finite_number":
            return "a finite number" + _in(unit)
        case "float_type" | "float_parsing":
            return f"a number{' in ' + unit if unit else ''}{_without_quotes(value)}"
        case "int_type" | "int_from_float" if isinstance(value, float) and value.is_integer():
            return f"a whole number: write {value:.0f}"
        case "int_type" | "int_from_float" | "int_parsing":
            return f"a whole number{_without_quotes(value)}"
        case "bool_type" | "bool_parsing":
            return "true or false"
        case "string_type" | "path_type":
            return "text in quotes"
        case "string_too_short":
            return "text of at least one character"
        case "string_too_long":
            return f"text of at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            return '"local-m", "lon-lat" or a coordinate system such as "EPSG:32633"'
        case "literal_error":
            return _choices(value, _literals(context["expected"]))
        case "model_type" | "model_attributes_type" | "dict_type" if isinstance(value, list):
            return f"one table: write [{dotted(path)}] once, with single brackets"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "a table of keys"
        case "tuple_type" | "list_type":
            return "an array" + _in(unit)
        case "too_short":
            return f"an array of at least {context['min_length']} {_entries(path)}" + _in(unit)
        case "too_long" | "missing":
            return "an array of 2 numbers" + _in(unit)
    return f"valid ({', '.join(sorted(kinds))})"


def _unknown_key(path: Path, data: Mapping[str, Any]) -> str:
    name = str(path[-1])
    known = _keys_of(_model_at(path[:-1], data))
    sentence = f"{dotted(path)} is not a known key"
    converted = _in_known_unit(name, known)
    if converted:
        return f"{sentence}; the unit is {_unit_of((converted,))}: use {converted}"
    owner = _other_alternative(path, data)
    if owner:
        return f"{dotted(path)} is no key of {_tag_of(path[:-1], data)}; it belongs to {owner}"
    near = difflib.get_close_matches(name, known, 1, 0.6)
    if near:
        return f"{sentence}; did you mean {near[0]}?"
    elsewhere = [place for place in _all_keys() if place.split(".")[-1] == name]
    if elsewhere:
        return f"{sentence}; did you mean {elsewhere[0]}?"
    where = f"[{dotted(path[:-1])}] has" if len(path) > 1 else "known are"
    return f"{sentence}; {where} {', '.join(known)}"


def _meant_key(path: Path, data: Mapping[str, Any]) -> str | None:
    """Known key of the same table that an unknown one seems to stand for."""
    name, known = str(path[-1]), _keys_of(_model_at(path[:-1], data))
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return _in_known_unit(name, known) or (near[0] if near else None)


def _in_known_unit(name: str, known: Sequence[str]) -> str | None:
    """Known key that says the same in the unit that is used here."""
    endings = [ending for ending in (*FOREIGN_UNITS, *UNITS) if name.endswith(ending)]
    stems = [name.removesuffix(ending) for ending in sorted(endings, key=len, reverse=True)]
    return next((stem + own for stem in stems for own in UNITS if stem and stem + own in known), None)


def _other_alternative(path: Path, data: Mapping[str, Any]) -> str | None:
    """Alternative of a union, such as another vehicle model, that does have this key."""
    models = list(_models_in(_annotation_at(path[:-1], data)))
    owners = [model for model in models if path[-1] in model.model_fields]
    if len(models) < 2 or not owners:
        return None
    return f'{_tag_field(owners[0])} = "{_tag_values(owners[0])[0]}"'


def _tag_of(path: Path, data: Mapping[str, Any]) -> str:
    model = _model_at(path, data)
    return f'{_tag_field(model)} = "{_tag_values(model)[0]}"' if model else dotted(path)


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
    if len(names) == 1:
        return f'"{names[0]}"'
    near = difflib.get_close_matches(str(value), names, 1)
    return f"one of {', '.join(names)}" + (f"; did you mean {near[0]}?" if near else "")


def _without_quotes(value: Any) -> str:
    """Hint for a number that was written as text."""
    try:
        return ", without quotes" if isinstance(value, str) and math.isfinite(float(value)) else ""
    except ValueError:
        return ""


def _entries(path: Path) -> str:
    name = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    return "corners" if name == "boundary_m" else "entry"


def _literals(expected: str) -> list[str]:
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _unit_of(path: Sequence[str | int]) -> str | None:
    name = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), None)


def _in(unit: str | None) -> str:
    return f" [{unit}]" if unit else ""


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
    if field is None:
        return "it has no default"
    tables = list(_models_in(field.annotation))
    if tables:
        is_array = get_origin(field.annotation) is tuple
        return f"add the table {'[[' if is_array else '['}{dotted(path)}{']]' if is_array else ']'}"
    text = (field.description or "it has no default").split(" [")[0].split(";")[0].rstrip(".")
    return text[:1].lower() + text[1:]


def _tags(path: Path, data: Mapping[str, Any]) -> list[str]:
    models = list(_models_in(_annotation_at(path, data)))
    return [_tag_values(model)[0] for model in models]


def _tag_values(model: type[BaseModel]) -> tuple[str, ...]:
    return get_args(model.model_fields[_tag_field(model)].annotation)


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
        if isinstance(here, dict) and here.get(_tag_field(model)) in _tag_values(model):
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
