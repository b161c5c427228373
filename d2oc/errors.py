"""Every error this program raises on purpose; nothing else reaches a user.

::

    D2ocError                 base; its text is one sentence for the user
    ├── ScenarioError         a scenario file, key or value
    ├── FieldError            a boundary or no-fly zone
    ├── MapFileError          a file with a boundary, zones, counts or a map on the globe
    ├── DensityError          a reference density or its data file
    ├── TransportError        sites, capacities or masses that cannot be matched
    ├── UnstableLoopError     a control law whose closed loop diverges
    ├── RecordError           a run folder or a reference case
    ├── BusError              an address, a certificate or an agent on the network
    ├── ExportError           a record that cannot be written in a format
    ├── RuntimeUnavailableError   processes that a runtime needs cannot be reached
    ├── DisplayError          a window is wanted where there is no display
    └── MissingExtraError     an optional package that is not installed
"""

from __future__ import annotations

__all__ = [
    "BusError",
    "D2ocError",
    "DensityError",
    "DisplayError",
    "ExportError",
    "FieldError",
    "MapFileError",
    "MissingExtraError",
    "RecordError",
    "RuntimeUnavailableError",
    "ScenarioError",
    "TransportError",
    "UnstableLoopError",
]


class D2ocError(Exception):
    """Base of all errors raised on purpose; its text is one sentence for the user."""


class ScenarioError(D2ocError):
    """A scenario file, a key in it or a value of it cannot be used."""


class FieldError(D2ocError):
    """A field boundary or a no-fly zone cannot be used."""


class MapFileError(D2ocError):
    """A file with a boundary, zones, counts or a map on the globe cannot be used."""


class DensityError(D2ocError):
    """A reference density, or the data file behind it, cannot be used."""


class TransportError(D2ocError):
    """Sites, capacities or masses between which no transport can be computed."""


class UnstableLoopError(D2ocError):
    """The chosen control law would make the closed loop diverge."""


class RecordError(D2ocError):
    """A run folder or a reference case cannot be read."""


class BusError(D2ocError):
    """An address, a certificate or an agent that the network bus cannot work with."""


class ExportError(D2ocError):
    """A record cannot be written in a format."""


class RuntimeUnavailableError(D2ocError):
    """A runtime does not fit the scenario, or processes that it needs cannot be reached."""


class DisplayError(D2ocError):
    """A window is wanted where none can be opened."""

    def __init__(self) -> None:
        super().__init__("no window can be opened, since there is no display here (is DISPLAY set?); leave --gui away")


class MissingExtraError(D2ocError):
    """An optional package is needed that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': pip install 'd2oc[{extra}]'")
