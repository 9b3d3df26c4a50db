"""The ``finemed`` command.

Command modules import nothing heavy at their top, so that every ``--help`` answers at once. Errors raised on purpose
become one message on stderr and an exit code: 0 ok, 1 a finding, 2 usage or configuration, 3 budget spent, 4 bad input,
5 a failure of ours, which comes with what a bug report needs. `FINEMED_TRACEBACK=1` shows the traceback as well.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
import traceback
from pathlib import Path

import click

from finemed import __version__
from finemed.errors import FineMedError, InternalError

COMMANDS = (
    "init",
    "plan",
    "trial",
    "build",
    "demo",
    "status",
    "filter",
    "dedup",
    "decontaminate",
    "split",
    "coverage",
    "confusion",
    "ledger",
    "journal",
    "reparse",
    "validate",
    "publish",
    "versions",
    "retract",
    "train",
    "ttt",
)


class LazyGroup(click.Group):
    """Finds commands in modules of the same name when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"finemed.cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="finemed")
def cli() -> None:
    """Build medical instruction datasets and train on them.

    Start with `finemed demo`, then `finemed init` and `finemed build` for a corpus of your own.
    """


def main() -> None:
    """Runs the command line; the only place where errors become exit codes."""
    try:
        code = cli.main(prog_name="finemed", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        _fail("interrupted; run the same command again to go on", 130)
    except FineMedError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        _fail(
            f"{error.filename or 'input or output'}: {error.strerror or error}; mend it and run the same command again",
            4,
        )
    except Exception as error:
        _fail(bug_report(error), InternalError.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def bug_report(error: Exception) -> str:
    """What a bug report needs: the error, where it arose in FineMed, and the versions; no text of the user's."""
    if os.environ.get("FINEMED_TRACEBACK"):
        traceback.print_exception(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "finemed" in Path(frame.filename).parts]
    place = " < ".join(f"{Path(frame.filename).stem}.{frame.name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    return (
        f"this is a fault of FineMed's, not of your data: {type(error).__name__}: {str(error)[:300]}\n"
        f"at {place or 'the command line'}; finemed {__version__}, Python {platform.python_version()}; nothing "
        "that was stored is lost; please report it with these lines (FINEMED_TRACEBACK=1 shows more)"
    )


def _fail(message: str, code: int) -> None:
    lines = message.split("\n")  # names of files and replies of servers may hold marks that steer a terminal
    shown = "\n".join("".join(char if char.isprintable() else "\ufffd" for char in line) for line in lines)
    click.echo(f"finemed: {shown}", err=True)
    sys.exit(code)
