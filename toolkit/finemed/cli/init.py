"""``finemed init``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default="finemed.yaml")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(path: Path, force: bool) -> None:
    """Write a commented configuration to PATH (default: finemed.yaml)."""
    from finemed.assets import demo_file
    from finemed.errors import ConfigError
    from finemed.store.atomic import write_atomic

    if path.exists() and not force:
        raise ConfigError(f"{path}: exists already; choose another name or give --force")
    write_atomic(path, demo_file("template.yaml").read_bytes())
    click.echo(str(path))
    click.echo("Set `sources`, then try `finemed build --dry-run` and `finemed build`.", err=True)
