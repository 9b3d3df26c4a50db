"""``finemed validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from finemed.publish.checks.faults import Report, Result


@click.command()
@click.argument("dataset", metavar="PATH|REPO")
@click.option(
    "--previous",
    metavar="PATH|REPO",
    help="Earlier versions, or one: rows must keep their splits, and columns unless the major rises.",
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=3, show_default=True, help="Most examples of each kind of finding."
)
@click.option(
    "-b",
    "--benchmark",
    "benchmarks",
    multiple=True,
    help="Benchmark whose items may not occur in data that is no release: file, hf:// address or short name (medqa, "
    "medmcqa, pubmedqa, mmlu, mmlu_pro); several may be given.",
)
@click.option(
    "--expect-hash", metavar="HASH", help="Hash known from elsewhere: release_hash, or SHA-256 of manifest.json."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def validate(
    dataset: str,
    previous: str | None,
    limit: int,
    benchmarks: tuple[str, ...],
    expect_hash: str | None,
    as_json: bool,
) -> None:
    """Check a release, or anybody's instruction data, against the contract.

    PATH is the folder of a release, or a file or folder of JSONL or Parquet with `messages`, `conversations`,
    prompt/completion or prompt/chosen/rejected; REPO is a dataset on the Hub, hf://owner/name or
    hf://owner/name@revision. Every rule answers ok, failed, or not checked with the reason; of data that is no release,
    the content is looked at as well. Exits with 1 where a rule is broken.
    """
    import json

    from finemed.publish.checks.validate import validate_address
    from finemed.publish.inspect.status import printable

    report = validate_address(dataset, previous=previous, benchmarks=benchmarks, expect_hash=expect_hash)
    if as_json:
        click.echo(json.dumps(report.plain(limit), indent=2))
    else:
        for line in _lines(report, limit):
            indent = len(line) - len(line.lstrip())
            click.echo(" " * indent + printable(line))
    if not report.ok:
        raise SystemExit(1)


def _lines(report: Report, limit: int) -> Iterator[str]:
    from finemed.records.counts import how_many

    yield f"{report.path}: {report.kind}, {how_many(report.rows, 'row')}"
    for result in report.results().values():
        yield f"{result.rule}: {_answer(result)}"
        for finding in result.findings:
            indent = "  "
            if finding.kind:
                yield f"  {finding.kind}: {finding.count:,}, {_rate(finding.rate, finding.rate_low, finding.rate_high)}"
                indent = "    "
            yield from (f"{indent}- {fault}" for fault in finding.examples[:limit])
            shown = min(limit, len(finding.examples))
            if finding.count > shown and limit:
                yield f"{indent}- {finding.count - shown:,} more"
    yield from _stated(report)


def _answer(result: Result) -> str:
    from finemed.publish.checks.faults import percent
    from finemed.records.counts import how_many

    if result.state == "not_checked":
        return f"not checked: {result.why}"
    answer = "ok"
    if result.state == "failed":
        answer = f"failed, {how_many(result.count, 'finding')}"
    if result.share is not None:
        return (
            f"{answer} for {percent(result.share)} of rows; not checked for {percent(1 - result.share)}: {result.why}"
        )
    return f"{answer} ({result.holds})" + (f"; not checked for all: {result.why}" if result.why else "")


def _rate(rate: float, low: float, high: float) -> str:
    from finemed.publish.checks.faults import percent

    return f"{percent(rate)} of rows (95% interval {percent(low)} to {percent(high)})"


def _stated(report: Report) -> list[str]:
    """What a release says of itself and nothing in it proves, and its hashes."""
    from finemed.publish.checks.claims import FROM_INSIDE

    if report.kind != "release":
        return []
    lines = ["stated, not checked:"] if report.stated else []
    lines += [f"  - {name}: {told}" for name, told in report.stated.items()]
    lines += [f"{name}: {value}" for name, value in report.hashes.items()]
    return [*lines, f"note: {FROM_INSIDE}"]
