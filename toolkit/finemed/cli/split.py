"""``finemed split``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from finemed.cli.options import PREVIOUS, SECTION_CONFIG, SECTION_SET, TABLE_ID, TABLE_ON


@click.command()
@click.argument("target", metavar="FILE|FOLDER|hf://OWNER/NAME")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for train, validation and test."
)
@click.option(
    "--format",
    "ending",
    type=click.Choice(["parquet", "jsonl"]),
    default="parquet",
    show_default=True,
    help="Of the files.",
)
@click.option(
    "--dropped",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write which rows lie in no split or could not be read, and why (.parquet, .jsonl).",
)
@click.option("--answer", help="Column of answers, where its name does not say so.")
@click.option("--group", help="Column whose equal values stay together, such as a document or a patient.")
@click.option("--stratify", help="Column along which the splits are drawn evenly.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which rows are drawn.")
@TABLE_ON
@TABLE_ID
@SECTION_CONFIG
@SECTION_SET
@PREVIOUS
@click.option("--explain", "wanted", metavar="ID", help="Show what this row is kept together with; writes nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def split(
    target: str,
    out: Path | None,
    ending: str,
    dropped: Path | None,
    answer: str | None,
    group: str | None,
    stratify: str | None,
    seed: int,
    on: tuple[str, ...],
    row_id: str | None,
    config_path: Path | None,
    overrides: tuple[str, ...],
    previous: tuple[str, ...],
    wanted: str | None,
    as_json: bool,
) -> None:
    r"""Split any dataset so that no near-duplicate lies on both sides.

    Rows with one similar question, answer or passage form a component with the rows of their group; a component lies in
    one split. What very many rows share, such as a system prompt, joins nothing. Without --out nothing is written.

    With --previous rows of earlier versions keep their splits, and so does what is like them: TARGET is the folder that
    an earlier `finemed split --out` wrote, a folder of such folders, or versions that `finemed publish` made. Rows that
    are like rows of two splits go to `bridges_splits` instead.

    \b
      finemed split chats.jsonl --out splits/ --dropped why.jsonl --set test=0.1 --set validation=0
      finemed split train.parquet --group patient --stratify department --explain r17
    """
    import json

    from finemed.config import load_section
    from finemed.publish.inspect.status import printable
    from finemed.publish.versions.previous import earlier_versions
    from finemed.records.counts import how_many
    from finemed.stages.split import LARGE_SHARE
    from finemed.standalone.earlier import together
    from finemed.standalone.reading import check_whole, open_parts, read_lines, shared_lines
    from finemed.standalone.split import earlier_tables, split_table
    from finemed.standalone.table import check_endings, write_table

    check_endings(dropped)
    config = load_section("split", config_path, overrides)
    table = open_parts(target, on=on, also=answer, row_id=row_id)
    before = {name: earlier_tables(name, on=on, answer=answer, group=group) for name in previous}
    base = config_path.parent if config_path else Path()
    own = [name if name.startswith("hf://") else str(base / name) for name in config.previous]
    published = [*own, *(name for name, tables in before.items() if tables is None)]
    versions = click.get_current_context().with_resource(earlier_versions(published))
    earlier = together([each for each in (*before.values(), versions) if each is not None])
    found = split_table(table, config, seed, answer=answer, group=group, stratify=stratify, earlier=earlier)
    if wanted is not None:
        told = found.explain(wanted)
        click.echo(json.dumps(told, indent=2) if as_json else "\n".join(_lines(told, printable)))
        return
    if out is not None:
        found.write(out, ending)
    if dropped is not None:
        write_table(dropped, found.ledger())
    report = found.summary()
    for name in ("validation", "test"):
        if getattr(config, name) and not report["splits"][name]:
            click.echo(
                f"{name} has no row: no component is small enough for a tenth of it; raise `{name}`, or drop --group",
                err=True,
            )
    if as_json:
        click.echo(json.dumps(report, indent=2))
        check_whole(table)
        return
    for line in read_lines(report):
        click.echo(printable(line))
    click.echo(", ".join(f"{name} {rows:,}" for name, rows in report["splits"].items()))
    click.echo(how_many(report["components"], "component"))
    if earlier is not None:
        held = report["previous"]
        rows = how_many(held["pinned"], "row")
        click.echo(f"held against earlier versions: {rows} pinned, {held['bridges']:,} between splits")
        for name, detail in list(found.parts.gone.items())[:20]:
            click.echo(f"  {printable(name)}: bridges_splits, {printable(detail)}", err=True)
    total = sum(report["splits"].values())
    for part in report["largest"]:
        if part["rows"] > max(1, LARGE_SHARE * total):
            click.echo(
                f"  {printable(part['component'])}: {how_many(part['rows'], 'row')}, {part['rows'] / total:.1%} of all"
            )
    for line in shared_lines(report, "say too little to join rows"):
        click.echo(printable(line))
    if report["joined_unverified"]:
        click.echo(f"{how_many(report['joined_unverified'], 'row')} joined a large bucket without being compared")
    check_whole(table)


def _lines(told: dict[str, Any], printable: Any) -> list[str]:
    lines = [f"{printable(key)}: {printable(str(value))}" for key, value in told.items() if not isinstance(value, list)]
    for key, values in told.items():
        if isinstance(values, list):
            lines.append(f"{printable(key)}: {len(values)}")
            lines += [f"  {printable(_shown(value))}" for value in values[:20]]
    return lines


def _shown(value: Any) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)
