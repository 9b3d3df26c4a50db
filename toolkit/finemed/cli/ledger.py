"""``finemed ledger``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False), default="run")
@click.option("--stage", help="Only those of this stage.")
@click.option("--reason", help="Only those with this reason or remark.")
@click.option("--id", "row_id", help="Only this row.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Most rows to print; 0 prints all."
)
@click.option("--kept", is_flag=True, help="List the rows that were kept with a remark, such as clinical variants.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def ledger(
    run: Path, stage: str | None, reason: str | None, row_id: str | None, limit: int, kept: bool, as_json: bool
) -> None:
    """List the rows that the run in folder RUN (default: run) dropped, with stage, reason and detail.

    With --kept those that it kept with a remark: near-duplicates that differ clinically, marked overlaps.
    """
    import json

    from finemed.publish.inspect.status import printable, read_drops

    rows, total = read_drops(run, stage=stage, reason=reason, row_id=row_id, limit=limit, kept=kept)
    for row in rows:
        click.echo(json.dumps(row) if as_json else "\t".join(printable(value) for value in row.values()))
    if total == 0:
        click.echo(f"no {'remark' if kept else 'dropped row'} matches", err=True)
    if len(rows) < total:
        click.echo(f"{len(rows):,} of {total:,} rows shown; --limit 0 shows all", err=True)
