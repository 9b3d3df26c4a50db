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
