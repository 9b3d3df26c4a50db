"""``finemed filter``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from finemed.publish.inspect.explain import Explanation
    from finemed.publish.inspect.filter import SourceCount


@click.command("filter")
@click.argument("targets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN|FILE...")
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration whose `filter` section is used.  [default: the run's own; for files the default settings]",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting of the configuration.")
@click.option("--explain", "wanted", metavar="ID", help="Show every rule for this passage, document or record.")
@click.option("--text", help="Column of the files to look at.  [default: text, or question and answer]")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the kept rows as Parquet.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def filter(
    targets: tuple[Path, ...],
    config_path: Path | None,
    overrides: tuple[str, ...],
    wanted: str | None,
    text: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show what each rule of the filter drops in a run, or in files.

    RUN is the folder of a run: its ingested passages are judged with the settings of its filter stage, nothing is
    changed. FILES are JSONL, Parquet, CSV or text; their rows are judged whole, where a build would cut long ones.
    Per source and rule: passages that fail it, that are dropped by it (it is the first that they fail), and that fail
    it alone.
    """
    import json

    from finemed.publish.inspect.explain import explain
    from finemed.publish.inspect.filter import open_targets, write_kept
    from finemed.publish.inspect.status import printable
    from finemed.records.counts import how_many

    found = open_targets(targets, config_path, overrides, text)
    if found.note:
        click.echo(found.note, err=True)
    if wanted is not None:
        explanations = explain(found, wanted)
        if as_json:
            click.echo(json.dumps({"passages": [item.plain() for item in explanations]}, indent=2))
        else:
            click.echo("\n\n".join("\n".join(_lines(item, printable)) for item in explanations))
        return
    table = found.table
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
    else:
        for line in _table(table):
            click.echo(line)
    if found.faults:
        click.echo(
            "not read: " + ", ".join(f"{fault} {count}" for fault, count in sorted(found.faults.items())), err=True
        )
    if out is not None:
        click.echo(f"{how_many(write_kept(found, out), 'row')} written to {out}", err=True)


def _table(table: dict[str, SourceCount]) -> list[str]:
    from finemed.records.counts import how_many

    lines = []
    for source, count in table.items():
        lines.append(f"{source}: {how_many(count.rows, 'passage')}, {count.kept:,} kept")
        lines.append(f"  {'rule':<16}{'fails':>10}{'dropped by':>12}{'only this':>11}")
        lines += [
            f"  {rule:<16}{own.fails:>10,}{own.dropped:>12,}{own.alone:>11,}"
            for rule, own in count.rules.items()
            if own.fails
        ]
    return lines


def _lines(item: Explanation, printable: Callable[[str], str]) -> list[str]:
    record = printable(item.record_id)
    lines = [
        f"{item.passage_id}  document {item.document_id}  record {record}  language {printable(item.language)}",
        f"dropped: {item.reason}" if item.reason else "kept",
        printable(item.text),
    ]
    for check in item.checks:
        value = f"{check.value:.2f}" if isinstance(check.value, float) else printable(str(check.value))
        limit = " ".join(check.limit) if isinstance(check.limit, list) else str(check.limit)
        verdict = "fails" if check.fails else "ok"
        evidence = printable("; ".join(check.evidence))
        lines.append(f"  {check.rule:<15} {verdict:<6} {value:>8}  limit {limit:<8} {evidence}".rstrip())
    return lines
