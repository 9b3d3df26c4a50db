"""``finemed dedup``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finemed.cli.options import SECTION_CONFIG, SECTION_SET, TABLE_ID, TABLE_TEXT

if TYPE_CHECKING:
    from finemed.standalone.dedup import Explanation


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
@TABLE_TEXT
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
@click.option("--no-update", is_flag=True, help="Compare with the index, but add nothing to it.")
@click.option("--explain", "wanted", metavar="ID", help="Show why this row goes or stays; writes nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def dedup(
    target: str,
    out: Path | None,
    dropped: Path | None,
    text: tuple[str, ...],
    row_id: str | None,
    title: str | None,
    quality: str | None,
    source: str | None,
    config_path: Path | None,
    overrides: tuple[str, ...],
    index: Path | None,
    no_update: bool,
    wanted: str | None,
    as_json: bool,
) -> None:
    r"""Remove near-duplicates from any dataset.

    Rows are compared by their text; each dropped row repeats a kept one that is named, with their exact similarity.
    Rows that differ in a number, a unit, a negation, a side, or in the disease or drug they are about are kept and
    counted apart. Without --out nothing is written.

    \b
      finemed dedup train.parquet --out deduped.parquet --dropped why.jsonl
      finemed dedup tomorrow.jsonl --index published/ --out new.jsonl
      finemed dedup train.parquet --title focus --explain r17
    """
    import json

    from finemed.config import load_section
    from finemed.publish.inspect.status import printable
    from finemed.standalone.dedup import dedup_table, explain
    from finemed.standalone.table import check_endings, open_table, write_table

    check_endings(out, dropped)
    config = load_section("dedup_instructions", config_path, overrides)
    if index is not None:
        config = config.model_copy(update={"index": str(index.absolute())})
    table = open_table(target, on=text, row_id=row_id)
    base = config_path.parent if config_path else Path()
    update = config.index is not None and not no_update and wanted is None
    columns = {"title": title, "quality": quality, "source": source}
    found = dedup_table(table, config, **columns, base=base, update=update, limits=wanted is None)
    if wanted is not None:
        told = explain(found, wanted)
        click.echo(json.dumps(told.plain(), indent=2) if as_json else "\n".join(_lines(told, printable)))
        return
    if out is not None:
        table.write(out, found.kept)
    if dropped is not None:
        write_table(dropped, found.ledger())
    click.echo(json.dumps(found.summary(), indent=2) if as_json else "\n".join(_summary(found.summary())))


def _summary(counts: dict[str, Any]) -> list[str]:
    gone = sum(counts["dropped"].values())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts["dropped"].items())
    lines = [f"{counts['rows']:,} rows, {counts['kept']:,} kept, {gone:,} dropped" + (f" ({reasons})" if gone else "")]
    if counts["clinical_variants"]:
        lines.append(f"{counts['clinical_variants']:,} kept as clinical variants of another row")
    if counts["already_indexed"]:
        lines.append(f"{counts['already_indexed']:,} were in the index already")
    if counts["not_compared"]:
        lines.append(f"{counts['not_compared']:,} comparisons left out for size (raise max_bucket)")
    return lines


def _lines(told: Explanation, printable: Any) -> list[str]:
    lines = [f"{printable(told.id)}: {printable(told.verdict)}", f"  {printable(told.text)[:400]}"]
    if told.keeps_out:
        shown = ", ".join(map(printable, told.keeps_out[:10]))
        lines.append(f"{len(told.keeps_out)} rows repeat it: {shown}{' ...' if len(told.keeps_out) > 10 else ''}")
    lines.append("Most similar rows:" if told.nearest else "No other row shares a word sequence with it.")
    for row in told.nearest:
        apart = f"  differs: {printable(row.difference)}" if row.difference else ""
        lines.append(f"  {row.similarity:.4f}  {printable(row.id)}  {printable(row.state)}{apart}")
        lines.append(f"          {printable(row.text)[:200]}")
    return lines
