"""``finemed confusion``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from finemed.publish.inspect.confusion import Confusion


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False), default="run")
@click.option(
    "--against",
    required=True,
    metavar="NAME|CSV|RUN",
    help="What to compare with: `rules`, an embeddings backend of the configuration, a CSV of labels, another run.",
)
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration that the run was made with; needed for its backends and for a tree of your own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def confusion(run: Path, against: str, config_path: Path | None, as_json: bool) -> None:
    """Show where the classification of the run in folder RUN (default: run) and another one part.

    A CSV of labels has the column passage_id, document_id or record_id, and department, and may have subdepartment.
    """
    from finemed.config import load_config
    from finemed.pipeline.plan import Plan
    from finemed.publish.inspect.confusion import confusion_of
    from finemed.taxonomy import load_taxonomy

    plan = None if config_path is None else Plan(load_config(config_path), config_path.parent)
    found = confusion_of(run, against, plan, load_taxonomy() if plan is None else plan.taxonomy)
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
        return
    for line in _page(found):
        click.echo("".join(char if char.isprintable() else "\ufffd" for char in line))


def _page(found: Confusion) -> Iterator[str]:
    from finemed.records.counts import how_many

    yield f"{found.method} (columns) against {found.against} (rows): {how_many(found.compared, 'passage')} compared"
    if found.missing or found.unused:
        labels = how_many(found.unused, "label")
        yield f"{how_many(found.missing, 'passage')} of the run without a counterpart, {labels} without a passage"
    yield ""
    yield from _matrix(found)
    yield ""
    yield f"agreement on the department      {found.agreement:.3f}"
    yield f"Cohen's kappa                    {found.kappa:.3f}"
    if found.subdepartment_agreement is not None:
        yield f"agreement on both levels         {found.subdepartment_agreement:.3f}"
    yield f"answered none                    {found.abstained}; {found.against}: {found.against_abstained}"
    if found.scores is not None and found.macro_f1 is not None:
        yield f"macro-F1 over the departments    {found.macro_f1:.3f}"
        width = max(map(len, ["department", *found.scores]))
        yield ""
        yield f"{'department':<{width}}  precision  recall     F1  labelled"
        for label, score in found.scores.items():
            numbers = f"{score.precision:>9.3f}  {score.recall:>6.3f}  {score.f1:>5.3f}  {score.labelled:>8}"
            yield f"{label:<{width}}  {numbers}"
    if found.confusions:
        yield ""
        yield f"most frequent confusions ({found.against} -> {found.method})"
        for item in found.confusions:
            pair = " -> ".join(" / ".join(item[side]) for side in ("against", "method"))
            yield f"{item['passages']:>6}  {pair}  ({', '.join(item['examples'])})"


def _matrix(found: Confusion) -> Iterator[str]:
    width = max(map(len, found.classes)) + 4
    cell = max(6, len(str(found.compared)) + 2)
    yield f"{'':<{width}}" + "".join(f"{at:>{cell}}" for at in range(1, len(found.classes) + 1)) + f"{'all':>{cell}}"
    for at, (label, row) in enumerate(zip(found.classes, found.matrix, strict=True), start=1):
        yield f"{f'{at:>2}  {label}':<{width}}" + "".join(f"{count:>{cell}}" for count in [*row, sum(row)])
    totals = [sum(row[at] for row in found.matrix) for at in range(len(found.classes))]
    yield f"{'    all':<{width}}" + "".join(f"{count:>{cell}}" for count in [*totals, found.compared])
