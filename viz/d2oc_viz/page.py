"""Web pages that need nothing but themselves: style, program and data inside, and a policy that forbids any network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from d2oc_viz.replay import Replay, as_text

HERE = Path(__file__).parent


def page(title: str, body: str, data: str = "", *, live: bool = False) -> str:
    """Whole HTML page.

    Parameters
    ----------
    title : str
        Of the window.
    body : str
        HTML of header and main part.
    data : str
        Elements that hold data.
    live : bool
        Whether the page may ask the server it came from for more; otherwise it can reach nothing.

    Returns
    -------
    text : str
    """
    program = (HERE / "player.js").read_text(encoding="utf-8")
    policy = _policy(program, "connect-src 'self'" if live else "connect-src 'none'")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{(HERE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
{body}
{data}
<script>{program}</script>
</body>
</html>
"""


def _policy(program: str, connections: str) -> str:
    """Only this very program runs; styles and pictures stand inside the page."""
    fingerprint = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{fingerprint}'; style-src 'unsafe-inline'; "
        f"img-src data:; {connections}; base-uri 'none'; form-action 'none'"
    )


def header(title: str, tabs: Sequence[tuple[str, str]] = ()) -> str:
    """Head of a page: its title, tabs (id of the part, label), and the switch between light and dark."""
    buttons = "".join(
        f'<button role="tab" id="tab-{part}" aria-controls="{part}" aria-selected="{"false" if i else "true"}"'
        f"{' tabindex=-1' if i else ''}>{escape(label)}</button> "
        for i, (part, label) in enumerate(tabs)
    )
    choice = f'<nav role="tablist" aria-label="Parts of the page">{buttons}</nav>' if tabs else ""
    return f"""<header class="page-head"><h1 class="mission-name">{escape(title)}</h1>{choice}<span class="fill"></span>
<button class="theme" aria-label="Switch between light and dark">◐</button></header>"""


def player(run: int | str, title: str) -> str:
    """Skeleton of a player; ``player.js`` fills it."""
    skeleton = Template((HERE / "player.html").read_text(encoding="utf-8"))
    return skeleton.substitute(run=run, title=escape(title, quote=True))


KEYS = """<p class="keys soft">Keys: space plays and pauses; ← → a frame (with shift ten); ↑ ↓ speed; Home and End;
+ - 0 zoom; Esc selects no drone. The wheel zooms the map once it was clicked, two fingers do always, a double click
shows all. Warm colours: what remains to be treated, or a dose; grey: what was treated, or is to get a dose; &times;: a
goal; dashed: who hears whom.</p>"""


def replay_data(run: int, replay: Replay) -> str:
    """Elements that hold a replay."""
    head = _element(run, "head", json_text(replay.head), "application/json")
    return head + "".join(_element(run, name, text, "text/plain") for name, text in as_text(replay.streams))


def _element(run: int, name: str, text: str, kind: str) -> str:
    return f'<script type="{kind}" data-run="{run}" data-name="{name}">{text}</script>\n'


def json_text(content: Mapping[str, Any]) -> str:
    """JSON that may stand inside an HTML page."""
    return json.dumps(content, allow_nan=False).replace("<", "\\u003c")


def replay_page(replay: Replay) -> str:
    """Page that plays one record."""
    name = str(replay.head["name"])
    title = f"{name}, seed {replay.head['seed']}"
    body = header(name) + f'<main><div id="replay">{player(0, title)}{KEYS}</div></main>'
    return page(f"{name}, replay", body, replay_data(0, replay))
