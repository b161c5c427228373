"""`d2oc certificates`, `d2oc agent` and `d2oc join`: a team in processes of their own, over a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from d2oc.cli.printing import AsJson, print_json, say
from d2oc.cli.program import INTERRUPTED, app
from d2oc.cli.progress import mission_progress
from d2oc.cli.run import summarise_into
from d2oc.cli.summary import show_summary

if TYPE_CHECKING:
    from d2oc.bus.zenoh import ZenohBus


@app.command(epilog="Example: d2oc certificates keys --agents 6")
def certificates(
    folder: Annotated[Path, typer.Argument(help="Folder; what is there already is kept.")],
    agents: Annotated[int, typer.Option(help="Size of the team.", min=1)],
    days: Annotated[float, typer.Option(help="How long they are valid.", min=0.01)] = 365.0,
) -> None:
    """Make an authority of the team's own, and a certificate and key for each agent.

    An agent needs authority.pem and the two files with its number. Keep authority.key at home: whoever has it can make
    further agents.
    """
    from d2oc.bus.certificates import make_certificates

    made = make_certificates(folder, agents, days)
    print(f"{folder}: {len(made)} files made")


@app.command(epilog="Example: d2oc agent six_drones --agent 0 --set control.law=closed-form --out parts/0")
def agent(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or path of a TOML file.")],
    number: Annotated[int, typer.Option("--agent", help="Which agent of the team, from 0 on.", min=0)],
    out: Annotated[Path, typer.Option(help="Folder for this agent's part of the record.")],
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where it can be called; default 127.0.0.1, port 7447 + I.")
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT,...", help="Whom it calls; default: the default addresses of all others."),
    ] = None,
    certificates: Annotated[
        Path | None, typer.Option(help="Folder made by `d2oc certificates`; needed beyond this machine.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the scenario's seed.", min=0)] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key; repeatable.")
    ] = None,
    gather: Annotated[float, typer.Option(help="How long to wait for the team to come together. [s]", min=0.0)] = 60.0,
    patience: Annotated[
        float, typer.Option(help="How long to wait in a step for an agent that is there but silent. [s]", min=0.0)
    ] = 10.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a part that stands in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fly one agent of a mission in this process, in step with the others over the network.

    Start one for each agent of the team with the same scenario, seed and changes; `d2oc join` makes one record of their
    parts.
    """
    from d2oc.bus.certificates import credentials_in
    from d2oc.bus.zenoh import ZenohBus, address_of, local_address
    from d2oc.networked import fly_agent
    from d2oc.runtime.network import Patience
    from d2oc.scenario import load_scenario

    credentials = None if certificates is None else credentials_in(certificates, number)
    here = local_address(number) if listen is None else address_of(listen)
    called = None if peers is None else [address_of(text) for text in peers.split(",") if text.strip()]

    def join_team(mission: str, n_agents: int) -> ZenohBus:
        others = [local_address(r) for r in range(n_agents) if r != number] if called is None else called
        return ZenohBus(mission, number, n_agents, here, others, credentials)

    loaded = load_scenario(scenario, overrides=changes or (), seed=seed)
    waiting = Patience(gather_s=gather, tick_s=patience)
    with mission_progress(f"{loaded.name} agent {number}", silent=as_json) as on_progress:
        part = fly_agent(loaded, number, join_team, out, overwrite=overwrite, patience=waiting, on_progress=on_progress)
    steps = part.record.n_ticks - 1
    if as_json:
        print_json(
            {"agent": number, "n_steps": steps, "missed": part.missed, "dropped": dict(part.dropped), "part": str(out)}
        )
    else:
        dropped = ", ".join(f"{count} {reason}" for reason, count in part.dropped.items() if count) or "none"
        print(f"agent {number} flew {steps} steps; part {out}; messages missed: {part.missed}, dropped: {dropped}")
    if part.record.status == "interrupted":
        say(f"interrupted after {steps} of {part.record.header.n_steps} steps; the part holds them")
        raise typer.Exit(INTERRUPTED)


@app.command(epilog="Example: d2oc join parts/0 parts/1 parts/2 --out runs/flown")
def join(
    parts: Annotated[list[Path], typer.Argument(help="The folders that `d2oc agent` wrote, one of each agent.")],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a record that stands in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make one record from the parts of a mission."""
    from d2oc.networked import join_parts

    record = join_parts(parts, out, overwrite=overwrite)
    summary = summarise_into(out, record)
    if as_json:
        print_json(summary)
    else:
        show_summary(summary)
        print(f"record   {out}")
