"""``finemed decontaminate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finemed.cli.options import SECTION_CONFIG, SECTION_SET, TABLE_ID, TABLE_ON

if TYPE_CHECKING:
    from finemed.standalone.decontaminate import OverlapExplanation


@click.command()
@click.argument("target", metavar="FILE|FOLDER|hf://OWNER/NAME")
@click.option(
    "-b",
    "--benchmark",
    "benchmarks",
    multiple=True,
    help="File, hf:// address or short name (medqa, medmcqa, pubmedqa, mmlu, mmlu_pro); several may be given.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the rows without a hit (.parquet, .jsonl).",
)
@click.option(
    "--mark", is_flag=True, help="Write all rows, with a column `contamination`, instead of leaving rows out."
)
@click.option(
    "--dropped",
    "--hits",
    "dropped",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write which rows hold an item, and in which part; --hits is the same (.parquet, .jsonl).",
)
@TABLE_ON
@TABLE_ID
@SECTION_CONFIG
@SECTION_SET
@click.option("--explain", "wanted", metavar="ID", help="Show what comes into question for this row; writes nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def decontaminate(
    target: str,
    benchmarks: tuple[str, ...],
    out: Path | None,
    mark: bool,
    dropped: Path | None,
    on: tuple[str, ...],
    row_id: str | None,
    config_path: Path | None,
    overrides: tuple[str, ...],
    wanted: str | None,
    as_json: bool,
) -> None:
    r"""Find benchmark items in any dataset, and leave those rows out or mark them.

    Every part of a row is looked at by itself: system prompt, each turn, context, options, both answers of a pair. An
    item is its question and its options whatever their order; wording that many items share counts for nothing. Without
    --out nothing is written.

    \b
      finemed decontaminate train.parquet -b medqa -b mmlu --out clean.parquet --dropped why.jsonl
      finemed decontaminate train.jsonl -b my_exam.jsonl --explain train.jsonl:17
    """
    import json

    from finemed.config import load_section
    from finemed.publish.inspect.status import printable
    from finemed.records.counts import how_many
    from finemed.stages.decontaminate import BenchmarkIndex
    from finemed.standalone.decontaminate import decontaminate_table, explain
    from finemed.standalone.reading import check_whole, open_parts, read_lines
    from finemed.standalone.table import check_endings, write_table

    check_endings(out, dropped)
    config = load_section("decontaminate", config_path, overrides)
    base = config_path.parent if config_path else Path()
    if benchmarks:
        config, base = config.model_copy(update={"benchmarks": list(benchmarks)}), Path()
    index = BenchmarkIndex.load(config, base)
    found = decontaminate_table(open_parts(target, on=on, row_id=row_id), index)
    if wanted is not None:
        told = explain(found, wanted)
        click.echo(json.dumps(told.plain(), indent=2) if as_json else "\n".join(_lines(told, printable)))
        return
    if out is not None:
        found.write(out, mark=mark or config.action == "mark")
    if dropped is not None:
        write_table(dropped, found.ledger())
    summary = found.summary()
    if as_json:
        click.echo(json.dumps(summary, indent=2))
        check_whole(found.table)
        return
    for line in read_lines(summary):
        click.echo(printable(line))
    held = how_many(summary["contaminated"], "holds", "hold")
    click.echo(f"{how_many(summary['rows'], 'row')}, {held} a benchmark item")
    if summary["parts"]:
        click.echo("  found in " + ", ".join(f"{printable(part)} {rows:,}" for part, rows in summary["parts"].items()))
    for name, counts in summary["benchmarks"].items():
        click.echo(f"  {printable(name)}: {how_many(counts['rows'], 'row')} ({how_many(counts['items'], 'item')})")
    if summary["unmatchable_items"]:
        click.echo(f"{how_many(summary['unmatchable_items'], 'item says', 'items say')} too little to be ever found")
    check_whole(found.table)


def _lines(told: OverlapExplanation, printable: Any) -> list[str]:
    lines = [f"{printable(told.row_id)}: {printable(told.verdict)}", f"  {printable(told.text)[:400]}"]
    if not told.candidates:
        lines.append("No item comes into question.")
    for item in told.candidates:
        mark = "hit " if item.flagged else "near"
        lines.append(
            f"  {mark} {printable(item.item)}  {item.kind}  score {item.score:.2f} of {item.needed:.2f} needed"
        )
        lines.append(f"       in {printable(item.part)}: {printable(item.stretch)[:200]}")
        lines.append(f"       the item:   {printable(item.question)[:200]}")
    return lines
