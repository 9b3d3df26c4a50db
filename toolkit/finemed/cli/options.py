"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

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
    return tuple(dict.fromkeys(name for each in given for part in each.split(",") if (name := part.strip())))


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
