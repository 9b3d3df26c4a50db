"""``finemed publish``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from finemed.publish.versions.publish import Publication


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False), default="run")
@click.option(
    "--to", "to", metavar="TARGET", help="A folder, or hf://owner/name.  [default: `releases` beside the run]"
)
@click.option("--version", "version", metavar="X.Y.Z", help="Take this version; refused if too low for what changed.")
@click.option("--message", default="", metavar="TEXT", help="Your words for the changelog.")
@click.option("--date", metavar="YYYY-MM-DD", help="Day of the release.  [default: today, UTC]")
@click.option("--public", is_flag=True, help="Make a repository that is created public; without it, it is private.")
@click.option("--onto-head", is_flag=True, help="On the Hub, commit on top of changes that somebody made by hand.")
@click.option(
    "--adopt", is_flag=True, help="Go on from the versions there although this release has another name or origin."
)
@click.option("--reshuffle", is_flag=True, help="Let rows change splits; makes a major version that says so.")
@click.option("--dry-run", is_flag=True, help="Show version, changes, files and card, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def publish(
    run: Path,
    to: str | None,
    version: str | None,
    message: str,
    date: str | None,
    public: bool,
    onto_head: bool,
    adopt: bool,
    reshuffle: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish the release of RUN (default: run), or a release folder, as the next version of a dataset.

    The version follows from what changed since the last one: columns are major, rows minor, card or metadata patch.
    Rows that were retracted there never come back. A release appears whole or not at all; an unchanged one makes no
    version. Another dataset's release is refused. Prints the folder or the tag, and says the release hash, which
    `finemed validate --expect-hash` takes.

    A row that is in another split than it, or its like, was in any earlier version is refused: build with --previous,
    so that rows keep their splits, or reshuffle them on purpose.
    """
    from finemed.publish.targets.target import open_target
    from finemed.publish.versions.publish import default_target, release_of
    from finemed.publish.versions.publish import publish as publish_release

    source = release_of(run)
    name = to or default_target(source)
    target = open_target(name, private=not public, onto_head=onto_head)
    done = publish_release(
        source,
        target,
        version=version,
        date=date,
        message=message,
        adopt=adopt,
        dry_run=dry_run,
        reshuffle=reshuffle,
    )
    if as_json:
        click.echo(json.dumps(done.plain(), indent=2))
    elif dry_run and done.version:
        show_draft(done)
    elif done.ref:
        click.echo(done.ref)
    click.echo(told(done, name, dry_run=dry_run), err=True)


def show_draft(done: Publication) -> None:
    """Prints what a push would do, and the card."""
    from finemed.publish.cards.markdown import unescape

    lines = [f"version {done.version}, after {done.parent.version if done.parent else 'none'}\n", unescape(done.entry)]
    width = max((len(file.name) for file in done.files), default=0)
    lines += [f"{file.action:<8} {file.name:<{width}} {file.bytes:>14,} bytes" for file in done.files]
    click.echo(shown("\n".join([*lines, "", done.card])))


def shown(text: str) -> str:
    """Text of a dataset without marks that steer a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def told(done: Publication, name: str, *, dry_run: bool) -> str:
    """The outcome in a few lines."""
    lines = []
    if done.taken_out:
        rows = ", ".join(f"{config} {count}" for config, count in done.taken_out.items())
        lines.append(f"Retracted rows left out: {rows}.")
    if done.not_held:
        lines.append(
            f"The build was not given {', '.join(done.not_held)} of {name}, so it did not hold its splits against them "
            f"(no row changed sides all the same); build with `finemed build --previous {name}`."
        )
    if done.warning:
        lines.append(done.warning)
    if done.version is None:
        last = done.parent.version if done.parent else "the last version"
        lines.append(f"Nothing differs from {last} of {name}; no version was made.")
    elif dry_run:
        lines.append(f"Would publish {done.version} to {name}; nothing was written.")
    else:
        lines.append(f"Published {done.version} to {name}" + (f", commit {done.commit}." if done.commit else "."))
        lines.append(f"Its hash, for `finemed validate --expect-hash`: {done.release_hash}")
    return "\n".join(lines)
