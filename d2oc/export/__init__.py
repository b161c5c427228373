"""Files out of a record: dose maps, zones, flight plans, task data and the papers of an application.

Each format is a file of this package; `FORMATS` lists them by the name that `d2oc export --format` takes.
"""

from __future__ import annotations

from d2oc.export.formats import FORMATS, export_record
from d2oc.export.options import ExportOptions

__all__ = ["FORMATS", "ExportOptions", "export_record"]
