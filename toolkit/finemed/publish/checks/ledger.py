"""Ids of the ledger and the notes: each of its kind, dropped once, and not published all the same.

::

    check_ledger(shipped, faults)
    # ledger.parquet: the passage 'p92c2bc...' is dropped by `dedup_passages`, and sft/train holds it; ...
"""

from __future__ import annotations

from functools import reduce
from operator import or_

import polars as pl

from finemed.errors import FineMedError
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.recount import REMEDY
from finemed.publish.checks.shipped import Shipped
from finemed.publish.pools import pool_of
from finemed.publish.versions.folder import columns_of
from finemed.records import ID_PREFIX
from finemed.stages.contamination import COLUMN, REASON

_PASSAGES = ("filter", "phi", "dedup_passages", "classify", "quota", "generate")
_QUESTIONS = ("judge", "select", "dedup_instructions", "decontaminate", "route", "reason", "respond", "split")
_ANSWERS = ("decontaminate_answers", "judge_answers", "rank")
KINDS = {
    "ingest": "record",
    **dict.fromkeys(_PASSAGES, "passage"),
    **dict.fromkeys(_QUESTIONS, "instruction"),
    **dict.fromkeys(_ANSWERS, "response"),
}
"""Stage -> what the ids of its drops and remarks name."""
_COLUMNS = {
    "passage": ("passage_id",),
    "instruction": ("instruction_id",),
    "response": ("response_id", "chosen_id", "rejected_id"),
}
_ID = r"^[0-9a-f]{20}$"
_SHOWN = 5


def check_ledger(shipped: Shipped, faults: Faults) -> None:
    """`stages`: the ids of what was dropped and remarked."""
    try:
        ledger, notes = (pl.read_parquet(shipped.path / f"{name}.parquet", glob=False) for name in ("ledger", "notes"))
        published = {kind: _published(shipped, columns) for kind, columns in _COLUMNS.items()}
        _forms(ledger, "ledger.parquet", faults)
        _forms(notes, "notes.parquet", faults)
        _once(ledger, faults)
        for kind, ids in published.items():
            stages = [stage for stage, of in KINDS.items() if of == kind]
            back = ledger.filter(pl.col("stage").is_in(stages)).join(ids, left_on="row_id", right_on="id", how="semi")
            for row_id, stage in back.select("row_id", "stage").head(_SHOWN).iter_rows():
                fact = f"the {kind} {row_id[:60]!a} is dropped by `{stage[:40]}`, and a row of the pools has it"
                faults.add("stages", "ledger.parquet", fact, REMEDY)
        _marked(shipped, notes, faults)
    except (FineMedError, OSError, pl.exceptions.PolarsError, AttributeError, TypeError) as error:
        faults.add("stages", "ledger.parquet", f"its ids cannot be looked at: {type(error).__name__}", REMEDY)


def _published(shipped: Shipped, columns: tuple[str, ...]) -> pl.DataFrame:
    """Ids that rows of the pools have in these columns."""
    found = [pl.DataFrame({"id": pl.Series([], dtype=pl.String())})]
    for (config, _), path in shipped.data.items():
        if pool_of(config) == config:
            there = [name for name in columns if name in columns_of(path)]
            rows = pl.read_parquet(path, columns=there, glob=False)
            found += [rows.select(pl.col(name).alias("id")) for name in there]
    return pl.concat(found).drop_nulls().unique()


def _forms(table: pl.DataFrame, name: str, faults: Faults) -> None:
    """Ids are content ids of their kind; of records, places in a source."""
    kind = pl.col("stage").replace_strict(KINDS, default=None, return_dtype=pl.String())
    sound = {
        of: pl.col("row_id").str.starts_with(letter) & pl.col("row_id").str.slice(1).str.contains(_ID)
        for of, letter in ID_PREFIX.items()
        if of in _COLUMNS
    }
    record = (kind == "record") & pl.col("row_id").str.contains(r":\d+$|/")
    known = reduce(or_, ((kind == of) & rule for of, rule in sound.items()), record)
    wrong = table.filter(kind.is_not_null() & ~known.fill_null(value=False))
    for row_id, stage in wrong.select("row_id", "stage").head(_SHOWN).iter_rows():
        fact = f"{str(row_id)[:60]!a} is no id of a {KINDS[stage]}, as the stage `{stage}` has them"
        faults.add("stages", name, fact, REMEDY)


def _once(ledger: pl.DataFrame, faults: Faults) -> None:
    """A stage drops a row once."""
    twice = ledger.group_by("stage", "row_id", maintain_order=True).len().filter(pl.col("len") > 1)
    for stage, row_id, count in twice.head(_SHOWN).iter_rows():
        fact = f"{str(row_id)[:60]!a} is dropped {count} times by `{str(stage)[:40]}`"
        faults.add("stages", "ledger.parquet", fact, REMEDY)


def _marked(shipped: Shipped, notes: pl.DataFrame, faults: Faults) -> None:
    """A row with a remark about a benchmark item is marked; one whose question is marked has a remark.

    Marks of an ordinary answer stand on the long answer's row too, whose own ids have no remark.
    """
    noted = notes.filter(pl.col("remark") == REASON).select(pl.col("row_id").alias("id")).unique()["id"]
    for (config, split), path in shipped.data.items():
        there = columns_of(path)
        ids = [name for name in ("instruction_id", "response_id", "chosen_id", "rejected_id") if name in there]
        if pool_of(config) != config or COLUMN not in there or "instruction_id" not in ids:
            continue
        rows = pl.read_parquet(path, columns=[*ids, COLUMN], glob=False).with_row_index("row", 1)
        named = pl.any_horizontal(pl.col(name).is_in(noted.implode()) for name in ids)
        asked = pl.col(COLUMN).str.contains(r"(?m)^instruction: ") & ~pl.col("instruction_id").is_in(noted.implode())
        wrong = {"has a remark and no mark": named & pl.col(COLUMN).is_null(), "has a mark and no remark": asked}
        for fact, rule in wrong.items():
            for row in rows.filter(rule.fill_null(value=False))["row"].head(_SHOWN):
                faults.add("stages", f"{config}/{split}:{row}", f"{fact} of a benchmark item in notes.parquet", REMEDY)
