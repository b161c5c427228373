"""`d2oc scenarios`, `d2oc schema` and `d2oc verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from d2oc.cli.printing import AsJson, print_json
from d2oc.cli.program import CHECK_FAILED, app

scenarios_app = typer.Typer(help="List and print the scenarios that come with the program.", add_completion=False)
app.add_typer(scenarios_app, name="scenarios", invoke_without_command=True)


@scenarios_app.callback()
def scenarios(context: typer.Context, as_json: AsJson = False) -> None:
    """List the scenarios that come with the program."""
    if context.invoked_subcommand is not None:
        return
    from d2oc.scenario import shipped_scenarios

    infos = shipped_scenarios()
    if as_json:
        print_json(
            [
                {"name": i.name, "description": i.description, "n_agents": i.n_agents, "duration_s": i.duration_s}
                for i in infos
            ]
        )
        return
    width = max(len(info.name) for info in infos)
    for info in infos:
        print(f"{info.name:{width}}  {info.n_agents:3d} agents  {info.duration_s:5.0f} s  {info.description}")


@scenarios_app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a shipped scenario.")]) -> None:
    """Print a scenario as TOML: a commented file to start your own from."""
    from d2oc.scenario.catalogue import shipped_text

    print(shipped_text(name), end="")


@app.command()
def schema() -> None:
    """Print the JSON schema of a scenario file, for editors that complete and check."""
    from d2oc.scenario.schema import json_schema

    print_json(json_schema())


@app.command(epilog="Example: d2oc verify case_a.npz")
def verify(
    case: Annotated[Path, typer.Argument(help="Reference case (.npz), in the format of docs/verify.md.")],
    as_json: AsJson = False,
) -> None:
    """Replay a reference case in official mode and report the largest deviation; exit code 1 above 1e-9."""
    from dataclasses import asdict

    from d2oc.verify import verify_case

    result = verify_case(case)
    if as_json:
        print_json({**asdict(result), "agrees": result.agrees})
    else:
        verdict = "agrees" if result.agrees else f"DEVIATES, most at step {result.worst_step}"
        print(f"{result.case}: {result.n_agents} agents, {result.n_steps} steps, {result.n_samples} samples")
        print(
            f"largest deviation of any state {result.max_deviation_m:.3g} (allowed {result.tolerance_m:g}): {verdict}"
        )
    if not result.agrees:
        raise typer.Exit(CHECK_FAILED)
