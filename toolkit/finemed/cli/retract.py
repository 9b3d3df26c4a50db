"""``finemed retract``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option(
    "--to", "to", metavar="TARGET", required=True, help="The dataset: a folder of versions, or hf://owner/name."
)
@click.option(
    "--id", "ids", metavar="ID", multiple=True, help="Row, answer, question, passage or document; repeatable."
)
@click.option("--source", "sources", metavar="NAME", multiple=True, help="All rows of this source; repeatable.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is published, so name no patient in it.")
@click.option("--version", "version", metavar="X.Y.Z", help="Take this version.  [default: the next patch, or major]")
@click.option("--date", metavar="YYYY-MM-DD", help="Day of the release.  [default: today, UTC]")
@click.option(
    "--index",
    "indexes",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help="Dedup index to purge the rows from; repeatable.",
)
@click.option("--onto-head", is_flag=True, help="On the Hub, commit on top of changes that somebody made by hand.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def retract(
    to: str,
    ids: tuple[str, ...],
    sources: tuple[str, ...],
    reason: str,
    version: str | None,
    date: str | None,
    indexes: tuple[Path, ...],
    onto_head: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take rows, and everything derived from them, out of a published dataset, and keep them out.

    The id of a document or passage takes out all that was made of it, the id of a question, answer or row all rows of
    the question. Makes a patch version with a list of tombstones, which every later version heeds; a major one where
    a config or a pool's split is empty afterwards. Versions that are out already still hold the rows:
    docs/versions.md says how to delete them.
    """
    from finemed.cli.publish import show_draft, told
    from finemed.publish.targets.target import open_target
    from finemed.publish.versions.retract import retract as retract_rows
    from finemed.records.counts import how_many

    done = retract_rows(
        open_target(to, onto_head=onto_head),
        ids=ids,
        sources=sources,
        reason=reason,
        version=version,
        date=date,
        indexes=indexes,
        dry_run=dry_run,
    )
    published = done.publication
    if as_json:
        click.echo(json.dumps(done.plain(), indent=2))
    elif dry_run and published.version:
        show_draft(published)
    elif published.ref:
        click.echo(published.ref)
    if done.already:
        click.echo(f"Retracted before: {', '.join(done.already)}.", err=True)
    if done.only_older:
        click.echo(f"Only in versions before the last one: {', '.join(done.only_older)}.", err=True)
    for path, rows in done.purged.items():
        click.echo(f"{path}: {how_many(rows, 'row')} {'would be ' if dry_run else ''}purged.", err=True)
    click.echo(told(published, to, dry_run=dry_run), err=True)
    if published.ref:
        click.echo("Older versions still hold the rows; docs/versions.md says how to delete them.", err=True)
