"""What `--live` adds to `d2oc run` and `d2oc fly`: a page that follows the mission."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from d2oc.cli.printing import say

if TYPE_CHECKING:
    from d2oc.mission import Watch


@contextmanager
def live_view(wanted: bool) -> Iterator[Watch | None]:
    """What a mission tells its ticks to while a page is served; None where that is not wanted."""
    if not wanted:
        yield None
        return
    from d2oc_viz.live import LiveView

    view = LiveView()
    say(f"live page: {view.url}")
    _open_browser(view.url)
    try:
        yield view.watch
    finally:
        view.end("see the summary of the run")


def _open_browser(url: str) -> None:
    """Open the page where a person can see it."""
    if sys.platform not in ("darwin", "win32") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    import webbrowser

    webbrowser.open(url)
