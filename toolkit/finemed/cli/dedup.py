"""``finemed dedup``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finemed.cli.options import SECTION_CONFIG, SECTION_SET, TABLE_ID, TABLE_ON

if TYPE_CHECKING:
    from finemed.standalone.dedup_explain import Explanation


@click.command()
@click.argument("target", metavar="FILE|FOLDER|hf://OWNER/NAME")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the kept rows (.parquet, .jsonl)."
)
@click.option(
    "--dropped",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what was dropped, and why (.parquet, .jsonl).",
)
@TABLE_ON
@TABLE_ID
@click.option("--title", help="Column that names what a row is about, such as a disease, for the clinical guard.")
@click.option("--quality", help="Column of numbers; of two repeats the row with the higher one stays.")
@click.option("--source", help="Column of groups, none of which may lose more than `max_source_loss` of its rows.")
@SECTION_CONFIG
@SECTION_SET
@click.option(
    "--index",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of an index: its rows win, and the kept rows are added to it.",
)
@click.option("--rebuild-index", is_flag=True, help="Make a damaged index.json again from its segments first.")
@click.option("--no-update", is_flag=True, help="Compare with the index, but add nothing to it.")
@click.option("--explain", "wanted", metavar="ID", help="Show why this row goes or stays; writes nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def dedup(
    target: str,
    out: Path | None,
    dropped: Path | None,
    on: tuple[str, ...],
    row_id: str | None,
    title: str | None,
    quality: str | None,
    source: str | None,
    config_path: Path | None,
    overrides: tuple[str, ...],
    index: Path | None,
    rebuild_index: bool,
    no_update: bool,
    wanted: str | None,
    as_json: bool,
) -> None:
    r"""Remove near-duplicates from any dataset.

    A row repeats another if every part of it does: question, answer, system prompt, context, each turn, each by itself.
    Each dropped row repeats a kept one that is named, with the exact similarity of their least similar part. Rows that
    differ in a number, a unit, a negation, a side, or in the disease or drug they are about are kept and counted apart.
    Without --out nothing is written.

    \b
      finemed dedup train.parquet --out deduped.parquet --dropped why.jsonl
      finemed dedup train.parquet --on question --out one_answer_each.parquet
      finemed dedup tomorrow.jsonl --index published/ --out new.jsonl
      finemed dedup train.parquet --title focus --explain r17
    """
    import json

    from finemed.config import load_section
    from finemed.publish.inspect.status import printable
    from finemed.records.counts import how_many
    from finemed.standalone.dedup import dedup_table, rebuild
    from finemed.standalone.dedup_explain import explain
    from finemed.standalone.reading import check_whole, open_parts, read_lines, shared_lines
    from finemed.standalone.table import check_endings, write_table

    check_endings(out, dropped)
    config = load_section("dedup_instructions", config_path, overrides)
    if index is not None:
        config = config.model_copy(update={"index": str(index.absolute())})
    base = config_path.parent if config_path else Path()
    if rebuild_index:
        count = rebuild(config, base)
        click.echo(f"index.json made again from {how_many(count, 'segment')}", err=True)
    table = open_parts(target, on=on, row_id=row_id)
    update = config.index is not None and not no_update and wanted is None
    columns = {"title": title, "quality": quality, "source": source}
    found = dedup_table(table, config, **columns, base=base, update=update, limits=wanted is None)
    if wanted is not None:
        told = explain(found, wanted)
        click.echo(json.dumps(told.plain(), indent=2) if as_json else "\n".join(_lines(told, printable)))
        return
    if out is not None:
        table.write(out, found.keep)
    if dropped is not None:
        write_table(dropped, found.ledger())
    summary = found.summary()
    lines = [*map(printable, read_lines(summary)), *map(printable, _summary(summary))]
    lines += map(printable, shared_lines(summary, "lead to no comparison"))
    click.echo(json.dumps(summary, indent=2) if as_json else "\n".join(lines))
    check_whole(table)


def _summary(counts: dict[str, Any]) -> list[str]:
    from finemed.records.counts import how_many

    gone = sum(counts["dropped"].values())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts["dropped"].items())
    rows = how_many(counts["rows"], "row")
    lines = [f"{rows}, {counts['kept']:,} kept, {gone:,} dropped" + (f" ({reasons})" if gone else "")]
    if counts["quarantined"]:
        lines[0] += f", {counts['quarantined']:,} not read"
    if counts["clinical_variants"]:
        kept = how_many(counts["clinical_variants"], "kept as a clinical variant", "kept as clinical variants")
        lines.append(f"{kept} of another row")
    if counts["already_indexed"]:
        lines.append(f"{how_many(counts['already_indexed'], 'was', 'were')} in the index already")
    if counts["not_comparable"]:
        told = how_many(counts["not_comparable"], "row of the index has", "rows of the index have")
        lines.append(f"{told} other parts and {'was' if counts['not_comparable'] == 1 else 'were'} not compared")
    if counts["not_compared"]:
        lines.append(f"{how_many(counts['not_compared'], 'comparison')} left out for size (raise max_bucket)")
    return lines


def _lines(told: Explanation, printable: Any) -> list[str]:
    from finemed.records.counts import how_many

    lines = [f"{printable(told.row_id)}: {printable(told.verdict)}"]
    for part in told.parts:
        shared = f" ({part.rows:,} rows have it)" if part.rows > 1 else ""
        lines.append(f"  {printable(part.part)}{shared}: {printable(part.text)[:400]}")
    if told.keeps_out:
        shown = ", ".join(map(printable, told.keeps_out[:10]))
        more = " ..." if len(told.keeps_out) > 10 else ""
        lines.append(f"{how_many(len(told.keeps_out), 'row repeats', 'rows repeat')} it: {shown}{more}")
    lines.append("Most similar rows:" if told.nearest else "No other row shares a word sequence with it.")
    for row in told.nearest:
        apart = f"  differs: {printable(row.difference)}" if row.difference else ""
        lines.append(f"  {row.similarity:.4f}  {printable(row.row_id)}  {printable(row.state)}{apart}")
        if len(told.parts) > 1:
            lines.append("          " + ", ".join(f"{printable(name)} {each:.4f}" for name, each in row.parts.items()))
        lines.append(f"          {printable(row.text)[:200]}")
    return lines
