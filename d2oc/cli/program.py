"""The command `d2oc` as a program: its exit codes, and one sentence for each way it can end."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import Annotated, Any

import typer

from d2oc import __version__
from d2oc.cli.printing import say
from d2oc.errors import D2ocError

CHECK_FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
BUG = 70

EXIT_CODES = """Exit codes: 0 done; 1 a check failed (verify); 2 bad input or usage; 70 a fault of this program;
130 interrupted by Ctrl-C (what was computed is kept)."""

app = typer.Typer(
    name="d2oc",
    help="Density-driven optimal control for teams of drones: from an infestation map to who sprays where.\n\n"
    "Start with: d2oc run six_drones",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def global_options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Take the options that stand before any command."""
    if version:
        print(f"d2oc {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: no traceback ever reaches a user."""
    sys.exit(_exit_code())


def _exit_code() -> int:
    """Run the command line; every end of it, expected or not, becomes an exit code and at most one sentence."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except D2ocError as error:
        say(f"error: {error}")
        return BAD_INPUT
    except (BrokenPipeError, SystemExit):  # the reader of our output went away; typer makes an exit of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except OSError as error:
        say(f"error: {error.filename or 'a file'}: cannot be read or written ({error.strerror or error})")
        return BAD_INPUT
    except Exception as error:
        if hasattr(error, "format_message"):  # of click, which newer typers carry inside: it has no public name
            return _explain_usage(error)
        say(f"error: a fault of this program, not of your input: {error!r}; details are in {_save_traceback()}")
        return BUG
    return code if isinstance(code, int) else 0


def _explain_usage(error: Any) -> int:
    """One sentence on a command line that cannot be; the help text when it is empty."""
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, end="")  # nothing, where typer has printed it already
        return BAD_INPUT
    context = getattr(error, "ctx", None)
    command = context.command_path.removeprefix("python -m ") if context is not None else "d2oc"
    message = " ".join(message.split()).rstrip(".")
    say(f"error: {message}{'' if message.endswith('?') else ';'} see `{command} --help`")
    return BAD_INPUT


def _save_traceback() -> str:
    with tempfile.NamedTemporaryFile("w", prefix="d2oc-fault-", suffix=".txt", delete=False) as file:
        traceback.print_exc(file=file)
    return file.name
