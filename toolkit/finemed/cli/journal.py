"""``finemed journal``: what a run's journal of replies holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from finemed.store.journal import Journal

RUN = click.argument("run", type=click.Path(path_type=Path, file_okay=False), default="run")
TASK = click.option("--task", help="Only replies to this prompt: `judge`, or one version of it: `judge@2`.")
SHOWN = 20
MODEL = click.option("--model", help="Only replies of this model, as rows carry it: `openai:NAME`.")


def _open(run: Path) -> Journal:
    from finemed.store.journal import Journal

    return Journal.of(run, lambda message: click.echo(message, err=True))


@click.group()
def journal() -> None:
    """Look at the stored replies of a run: paid for once, read as often as needed."""


@journal.command()
@RUN
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def stats(run: Path, as_json: bool) -> None:
    """Count replies and tokens by prompt and model in the run RUN (default: run)."""
    found = _open(run).stats()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{'prompt':<18} {'model':<40} {'replies':>9} {'tokens in':>12} {'tokens out':>12}")
    for line in found:
        sent, received = line["prompt_tokens"] or 0, line["completion_tokens"] or 0
        click.echo(f"{line['task']:<18} {line['model']:<40} {line['replies']:>9,} {sent:>12,} {received:>12,}")


@journal.command()
@RUN
def verify(run: Path) -> None:
    """Check the file and every reply's checksum; exits with 1 where something is damaged.

    A file that cannot be read at all is refused; `finemed journal salvage` is for it.
    """
    from finemed.records.counts import how_many

    opened = _open(run)
    count, faults = opened.verify()
    aside = opened.damaged()
    for fault in faults[:SHOWN]:
        click.echo(f"{fault.key or 'file'}\t{fault.fact}")
    if len(faults) > SHOWN:
        click.echo(f"and {len(faults) - SHOWN:,} more")
    if aside:
        told = how_many(aside, "damaged reply was", "damaged replies were")
        click.echo(f"{told} set aside before; `finemed journal prune --damaged` removes them")
    if not faults:
        click.echo(f"{how_many(count, 'reply', 'replies')}, all sound")
        return
    if any(not fault.key for fault in faults):
        remedy = f"`finemed journal salvage {run}` takes out every reply that can be read and keeps the old file"
    else:
        remedy = (
            "the next build sets them aside and makes their calls again; `finemed journal prune --damaged` removes them"
        )
    told = f"{how_many(len(faults), 'fault')} in {how_many(count, 'reply', 'replies')}"
    click.echo(f"finemed: {run / 'journal.sqlite'}: {told}; {remedy}", err=True)
    raise click.exceptions.Exit(1)


@journal.command()
@RUN
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def salvage(run: Path, as_json: bool) -> None:
    """Put a journal of all readable replies in the place of a damaged one.

    The old file is kept as journal.damaged-N.sqlite. Replies that are lost are asked for, and paid, again by the next
    build that needs them. Does nothing where all replies are sound.
    """
    from finemed.records.counts import how_many
    from finemed.store.salvage import salvage as take_out

    result = take_out(run)
    if as_json:
        click.echo(json.dumps(result.plain(), indent=2))
    elif result.kept is None:
        click.echo(f"{how_many(result.recovered, 'reply', 'replies')}, all sound; nothing to salvage")
    else:
        click.echo(
            f"{how_many(result.recovered, 'reply', 'replies')} recovered, {result.bad:,} bad, "
            f"{how_many(result.unreadable, 'page')} unreadable; the old file is {result.kept}"
        )


@journal.command()
@RUN
@TASK
@MODEL
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: stdout.")
def export(run: Path, task: str | None, model: str | None, output: Path | None) -> None:
    """Write the raw replies as JSON lines: key, prompt, model, time, text, reasoning, how it ended, tokens."""
    from finemed.store.atomic import write_atomic

    lines = (json.dumps(entry, sort_keys=True) + "\n" for entry in _open(run).entries(task=task, model=model))
    if output is None:
        for line in lines:
            click.echo(line, nl=False)
    else:
        write_atomic(output, "".join(lines).encode())
        click.echo(str(output))


@journal.command()
@RUN
@TASK
@MODEL
@click.option("--before", metavar="DATE", help="Only replies stored before this time (UTC), such as 2026-11-01.")
@click.option("--damaged", is_flag=True, help="Only replies whose checksum does not fit.")
@click.option("--yes", is_flag=True, help="Really remove them; without it, nothing but a count is told.")
def prune(run: Path, task: str | None, model: str | None, before: str | None, damaged: bool, yes: bool) -> None:
    """Remove stored replies. What a stage still needs will be asked, and paid, again."""
    from finemed.records.counts import how_many

    if not (task or model or before or damaged):
        raise click.UsageError("say which: --task, --model, --before or --damaged")
    if damaged and (task or model or before):
        raise click.UsageError("--damaged goes alone")
    found = _open(run)
    if damaged:
        count = sum(1 for fault in found.verify()[1] if fault.key) + found.damaged()
        told = how_many(count, "damaged reply", "damaged replies")
    else:
        count, tokens = found.count(task=task, model=model, before=before)
        told = f"{how_many(count, 'reply', 'replies')} that cost {how_many(tokens, 'token')}"
    if not yes:
        click.echo(f"would remove {told}; add --yes to do it")
        return
    if damaged:
        found.discard_damaged()
    else:
        found.prune(task=task, model=model, before=before)
    click.echo(f"removed {told}")
