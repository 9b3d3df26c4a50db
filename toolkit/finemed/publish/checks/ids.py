"""The rule `ids`, beyond ids that occur twice: every id follows from what it names.

::

    check_ids(Batch("sft", "train", 0, table), faults)
    # sft/train:17, id s3f0...: `response_id` does not follow from the answer; ...

Ids are content ids (`records.content_id`), so that a text cannot change under its id. The id of a document is made of
the source's own text, which no release holds; it is taken as stated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import polars as pl

from finemed.publish.checks.faults import Faults
from finemed.publish.checks.rules import REBUILD, RETRACT, Batch
from finemed.publish.pools import pool_of
from finemed.records import POOLS, content_id
from finemed.stages.given import GIVEN
from finemed.stages.respond import STYLES

_REMEDY = f"the row was changed after the build: {RETRACT}, or {REBUILD}"
_KEYS = ("document_id", "passage_id", "span_start", "span_end", "instruction_id", "component_id")
_FORMS = {name: re.compile(rf"{letter}[0-9a-f]{{20}}") for name, letter in (("document_id", "d"), ("id", "s"))}
"""Ids that are made of what no row holds; the others are made again."""
_ORDINARY = tuple(("ordinary", style) for style in (GIVEN, *STYLES))
_LONG = (("reasoning", "reasoning"),)
_SIDES = {
    "sft": (("completion", "response_id", _ORDINARY),),
    "sft_reasoning": (("completion", "response_id", _LONG),),
    "ttt": (("completion", "response_id", _LONG),),
    "dpo": (("chosen", "chosen_id", _LONG), ("rejected", "rejected_id", _ORDINARY)),
}
"""Pool -> its columns of answers, their ids, and the kinds and styles that such an answer can have."""


def check_ids(batch: Batch, faults: Faults) -> None:
    """Makes the ids of passage, question, answers and row again; views repeat rows of `sft`."""
    if batch.config not in POOLS:
        return
    sides = _SIDES[pool_of(batch.config)]
    columns = [*_KEYS, "id", *(name for _, name, _ in sides)]
    if not batch.has(faults, "ids", *columns, "prompt", *(name for name, _, _ in sides)):
        return
    frame = batch.frame.select(columns)
    texts = {name: batch.turns(name).last_contents() for name in ("prompt", *(side for side, _, _ in sides))}
    for number, row in enumerate(frame.iter_rows(named=True)):
        wrong = _wrong(batch.config, row, {name: values[number] for name, values in texts.items()})
        if wrong:
            faults.add("ids", batch.place(number), " and ".join(wrong), _REMEDY)


def _wrong(config: str, row: dict[str, Any], texts: dict[str, str | None]) -> list[str]:
    """Ids of a row that do not follow from it."""
    wrong = [
        f"`{name}` has not the form of an id" for name, form in _FORMS.items() if not form.fullmatch(str(row[name]))
    ]
    if row["passage_id"] != content_id("passage", str(row["document_id"]), row["span_start"], row["span_end"]):
        wrong.append("`passage_id` does not follow from document and span")
    if row["instruction_id"] != content_id("instruction", str(row["passage_id"]), texts["prompt"] or ""):
        wrong.append("`instruction_id` does not follow from passage and question")
    for side, name, styles in _SIDES[config]:
        text = texts[side] or ""
        if all(row[name] != content_id("response", str(row["instruction_id"]), *how, text) for how in styles):
            wrong.append(f"`{name}` does not follow from question and answer")
    if str(row["component_id"]) > str(row["instruction_id"]):
        wrong.append("`component_id` is not the smallest of its component")
    expected = _ROW_IDS.get(config)
    if expected is not None and row["id"] != expected(row):
        wrong.append("`id` does not follow from pool and answers")
    return wrong


_ROW_IDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "sft": lambda row: content_id("row", "sft", str(row["response_id"]), ""),
    "dpo": lambda row: content_id("row", "dpo", str(row["rejected_id"]), str(row["chosen_id"])),
}
"""Pools whose rows hold all that their ids are made of; those of the others are made of an answer that `dpo` has."""


def partner_ids(pairs: pl.DataFrame) -> pl.Series:
    """Ids of the rows of `sft_reasoning` that belong to rows of `dpo`."""
    answers = pairs.select("rejected_id", "chosen_id").iter_rows()
    ids = [content_id("row", "sft_reasoning", str(rejected), str(chosen)) for rejected, chosen in answers]
    return pl.Series("id", ids, dtype=pl.String())
