"""The ``finemed`` command.

Command modules import nothing heavy at their top, so that every ``--help`` answers at once. Errors raised on purpose
become one message on stderr and an exit code: 0 ok, 1 a finding, 2 usage or configuration, 3 budget spent, 4 bad input,
5 a failure of ours, which comes with what a bug report needs. `FINEMED_TRACEBACK=1` shows the traceback as well.
"""

from __future__ import annotations

import importlib
import io
import os
import platform
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

from finemed import __version__
from finemed.cli.options import refuse_empty
from finemed.cli.streams import printable
from finemed.errors import ConfigError, FineMedError, InternalError

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
        _mark_examples(command)
        refuse_empty(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (EOFError, OSError, KeyboardInterrupt) as error:
            raise Carried(error) from error


def _mark_examples(command: click.Command) -> None:
    """Makes of a backslash and a b, as raw docstrings have them, click's mark to leave the lines below as they are."""
    command.help = (command.help or "").replace("\\b\n", "\b\n") or None
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _mark_examples(inner)


class Carried(Exception):
    """Takes an error past click, to which a file that ends too soon is an interruption, and a broken pipe a failure."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


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
        _usage(error)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _interrupted()
    except Carried as carried:
        _failed(carried.error)
    except Exception as error:
        _failed(error)
    sys.exit(code if isinstance(code, int) else 0)


def _failed(error: BaseException) -> NoReturn:
    if isinstance(error, FineMedError):
        _leave(str(error), error.exit_code)
    if isinstance(error, OSError):
        _leave(_of_the_system(error), FineMedError.exit_code)
    if any(isinstance(before, KeyboardInterrupt) for before in _chain(error)):  # a library made an error of Ctrl-C
        _interrupted()
    _leave(bug_report(error), InternalError.exit_code)


def _of_the_system(error: OSError) -> str:
    """A fault of a file, a disk or a connection in one line."""
    place = error.filename if error.filename is not None else "input or output"
    try:
        Path.cwd()
    except OSError:
        return "the current folder does not exist any more; change to another one and run the same command again"
    return f"{place}: {error.strerror or error}; mend it and run the same command again"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__


def _usage(error: click.ClickException) -> NoReturn:
    """What is wrong with the command as it was typed, in click's words."""
    shown = io.StringIO()
    error.show(file=shown)
    click.echo(printable(shown.getvalue()), err=True, nl=False)
    sys.exit(ConfigError.exit_code)


def _interrupted() -> NoReturn:
    if sys.stderr is not None and sys.stderr.isatty():
        click.echo(err=True)  # after the terminal's own ^C
    _leave("interrupted; run the same command again to go on", 130)


def bug_report(error: BaseException) -> str:
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


def _leave(message: str, code: int) -> NoReturn:
    """Says a message, without marks that steer a terminal: it may hold names of files and replies of servers."""
    click.echo(f"finemed: {printable(message)}", err=True)
    sys.exit(code)
