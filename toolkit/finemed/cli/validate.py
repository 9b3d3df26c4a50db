"""``finemed validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from finemed.publish.checks.faults import Report


@click.command()
@click.argument("dataset", metavar="PATH|REPO")
@click.option(
    "--previous",
    metavar="PATH|REPO",
    help="Earlier versions, or one: rows must keep their splits, and columns unless the major rises.",
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=3, show_default=True, help="Most faults to print of each rule."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def validate(dataset: str, previous: str | None, limit: int, as_json: bool) -> None:
    """Check a release, or anybody's instruction data, against the contract.

    PATH is the folder of a release, or a file or folder of JSONL or Parquet with `messages`, `conversations`,
    prompt/completion or prompt/chosen/rejected; REPO is a dataset on the Hub, hf://owner/name or
    hf://owner/name@revision. Of data that is no release, the rules that apply are checked, and the others named.
    Exits with 1 where a rule is broken.
    """
    import json

    from finemed.publish.checks.validate import validate_address
    from finemed.publish.inspect.status import printable

    report = validate_address(dataset, previous=previous)
    if as_json:
        click.echo(json.dumps(report.plain(), indent=2))
    else:
        for line in _lines(report, limit):
            indent = len(line) - len(line.lstrip())
            click.echo(" " * indent + printable(line))
    if not report.ok:
        raise SystemExit(1)


def _lines(report: Report, limit: int) -> list[str]:
    from finemed.publish.checks.faults import RULES

    lines = [f"{report.path}: {report.kind}, {report.rows:,} rows"]
    for rule, holds in RULES.items():
        number, why = report.counts.get(rule), report.skipped.get(rule)
        if number is None:
            lines.append(f"{rule}: not applied, {why or 'there is nothing to apply it to'}")
            continue
        told = f"broken, {number:,} {'fault' if number == 1 else 'faults'}" if number else "ok"
        lines.append(f"{rule}: {told} ({holds})")
        faults = [fault for fault in report.faults if fault.rule == rule][:limit]
        lines += [f"  - {fault}" for fault in faults]
        if number > len(faults) and limit:
            lines.append(f"  - {number - len(faults):,} more")
        if why:
            lines.append(f"  (not applied to all: {why})")
    return lines
