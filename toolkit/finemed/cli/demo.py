"""``finemed demo``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="finemed-demo")
def demo(folder: Path) -> None:
    """Build a small release from bundled text in FOLDER (default: finemed-demo).

    Needs no network, key or GPU. The folder then holds the configuration and the corpus, to play with.
    """
    from finemed.cli.progress import shown_progress
    from finemed.publish.demo import build_demo

    with shown_progress() as progress:
        outcome = build_demo(folder, progress)
    click.echo(str(outcome.path))
    click.echo(outcome.explain(), err=True)
