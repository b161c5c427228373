"""What a record does not know, but a file needs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from d2oc.errors import ExportError

__all__ = ["DETAILS", "ExportOptions", "read_details"]

DETAILS = {
    "customer": "for whom",
    "field_name": "name of the field",
    "crop": "crop",
    "target": "weed, pest or disease",
    "product": "plant protection product",
    "authorisation_number": "its authorisation or registration number",
    "product_ml_per_l": "millilitres of product in a litre of mix",
    "operator": "who is responsible",
    "pilot": "who flew",
    "pilot_certificate": "number of the pilot's certificate",
    "date": "day of the application, such as 2026-05-14",
    "start_time": "local time of the first take-off",
    "wind_m_s": "wind measured",
    "temperature_c": "air temperature measured",
}
"""What the papers of an application ask for and a record does not hold, by key."""


@dataclass(frozen=True)
class ExportOptions:
    """How files are written.

    Attributes
    ----------
    tolerance_m : float
        Waypoints may leave the way flown by this much. [m]
    fence_margin_m : float
        The fence is wider than the field by this. [m]
    spray_command : {"sprayer", "servo"}
        Spraying is switched by MAV_CMD_DO_SPRAYER, or by a servo output.
    servo : int
        Number of that output.
    servo_on_us, servo_off_us : int
        Its pulse widths. [us]
    details : mapping
        Values by the keys of `DETAILS`.
    """

    tolerance_m: float = 0.5
    fence_margin_m: float = 5.0
    spray_command: Literal["sprayer", "servo"] = "sprayer"
    servo: int = 9
    servo_on_us: int = 1900
    servo_off_us: int = 1100
    details: Mapping[str, str] = field(default_factory=dict)


def read_details(texts: Iterable[str]) -> dict[str, str]:
    """Details from `key=value` texts.

    Raises
    ------
    ExportError
        If a key is not known.
    """
    details = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in DETAILS:
            near = difflib.get_close_matches(key, DETAILS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(DETAILS)}"
            raise ExportError(f"--detail {text}: give key=value with a known key; {hint}")
        details[key] = value.strip()
    if "product_ml_per_l" in details:
        _require_number("product_ml_per_l", details["product_ml_per_l"])
    return details


def _require_number(key: str, text: str) -> None:
    try:
        if 0 <= float(text) < 1e6:
            return
    except ValueError:
        pass
    raise ExportError(f"--detail {key}={text}: must be a number of at least 0")
