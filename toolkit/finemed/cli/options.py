"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

EMPTY = "is empty; give a value, or leave it out"


def refuse_empty(command: click.Command) -> None:
    """Makes an empty value of any option or argument of a command a usage error.

    A script whose variable is not set says ``--to "$TARGET"``; without this, that would mean the default place.
    """
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        refuse_empty(inner)
    for parameter in command.params:
        if not isinstance(cast := parameter.type_cast_value, _NotEmpty):
            parameter.type_cast_value = _NotEmpty(parameter, cast)  # type: ignore[method-assign]


class _NotEmpty:
    """Reads the value of a parameter, and refuses empty text before a type makes the current folder of it."""

    def __init__(self, parameter: click.Parameter, cast: Callable[[click.Context, Any], Any]) -> None:
        self._parameter, self._cast = parameter, cast

    def __call__(self, ctx: click.Context, value: Any) -> Any:
        given = value if isinstance(value, tuple | list) else (value,)
        if "" in given and self._parameter.default != "":
            raise click.BadParameter(EMPTY, ctx=ctx, param=self._parameter)
        return self._cast(ctx, value)


CONFIG = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default="finemed.yaml",
    show_default=True,
    help="Configuration file; its folder is where relative paths start.",
)
RUN = click.option(
    "--run", "run", type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.  [default: `run_dir`]"
)
OVERRIDES = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting, such as route.top_share=0.1."
)
SECTION_CONFIG = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration whose section is used.  [default: the default settings]",
)
SECTION_SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting of the section, such as threshold=0.9.",
)


def _names(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """The names in lists that are parted by commas."""
    names = tuple(dict.fromkeys(name for each in given for part in each.split(",") if (name := part.strip())))
    if given and not names:
        raise click.BadParameter(EMPTY)
    return names


TABLE_ON = click.option(
    "--on",
    "--text",
    "on",
    multiple=True,
    metavar="PART,...",
    callback=_names,
    help="Columns to look at, or turns such as messages[0], each by itself; --text is the same.  [default: all that a "
    "trainer would see]",
)
TABLE_ID = click.option(
    "--id", "row_id", metavar="COLUMN", help="Column of the ids.  [default: id and the like, or file and row number]"
)
PREVIOUS = click.option(
    "--previous",
    multiple=True,
    metavar="TARGET",
    help="Earlier versions whose rows keep their splits: a folder of versions, or hf://owner/name; repeatable.",
)
