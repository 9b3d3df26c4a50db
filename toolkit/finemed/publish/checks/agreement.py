"""Rows that come from one document, passage or question say the same of it, in every pool.

::

    marks(Batch("dpo", "train", 0, table))      columns `about_document`, `about_passage`, `about_question`, `answer`
    disagreements(rows, read)
    # dpo/train:3, id 's6d...': `license` is another than in sft_reasoning/train:3, a row of the same document

A question of `dpo` stands in `sft_reasoning` too, with the chosen answer: whatever both say of it must agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from finemed.publish.checks.ids import partner_ids
from finemed.publish.checks.rules import Batch, properties
from finemed.records import ChatRow, Origin, PreferenceRow

_OF_DOCUMENT = ("source", "source_id", "license", "attribution", "url")
_OF_PASSAGE = (
    *("document_id", "span_start", "span_end", "language", "phi_state", "phi_kinds"),
    *("department", "subdepartment", "classify_model"),
)
_OF_QUESTION = tuple(name for name in Origin.model_fields if name not in (*_OF_DOCUMENT, *_OF_PASSAGE))
KEYS = {"document": "document_id", "passage": "passage_id", "question": "instruction_id"}
_ANSWERS = {
    "dpo": {"chosen": "chosen", "chosen_id": "id", "chosen_model": "model", "chosen_score": "score"},
    "sft_reasoning": {"completion": "chosen", "response_id": "id", "model_name": "model", "response_score": "score"},
}
_SPANS = {"dpo": "chosen_spans", "sft_reasoning": "answer_spans"}
_PARTNERS = {
    "chosen": "completion",
    "chosen_id": "response_id",
    "chosen_model": "model_name",
    "chosen_score": "response_score",
    "chosen_spans": "answer_spans",
}
"""Columns of `dpo` and those of `sft_reasoning` with the same values."""
MARKS = (*(f"about_{level}" for level in KEYS), "answer")


def _columns(batch: Batch, level: str) -> list[str]:
    """Columns that rows of one document, passage or question have in common."""
    known = properties(batch.config)
    own = [name for name in batch.frame.columns if name not in known]
    wanted = {"document": (*_OF_DOCUMENT, *own), "passage": _OF_PASSAGE, "question": _OF_QUESTION}[level]
    return sorted(name for name in wanted if name in batch.frame.columns)


def marks(batch: Batch) -> pl.DataFrame:
    """What each row says of its document, passage, question and chosen answer, as hashes; of other pools, null."""
    frame = batch.frame
    found = {}
    for level in KEYS:
        columns = _columns(batch, level)
        found[f"about_{level}"] = frame.select(columns).hash_rows() if columns else _nothing(batch)
    found["answer"] = _answer(batch) if batch.config in _ANSWERS else _nothing(batch)
    return pl.DataFrame(found)


def _nothing(batch: Batch) -> pl.Series:
    """A null for each row, of a file without one column of ours too."""
    return pl.Series([None] * batch.table.num_rows, dtype=pl.UInt64())


def _answer(batch: Batch) -> pl.Series:
    names, frame = _ANSWERS[batch.config], batch.frame
    needed = {*names, "id", _SPANS[batch.config], *(("rejected_id",) if batch.config == "dpo" else ())}
    if not needed <= set(frame.columns):
        return _nothing(batch)
    text = batch.turns(next(iter(names))).last_contents()
    ids = partner_ids(frame) if batch.config == "dpo" else frame["id"]
    return pl.DataFrame(
        {
            "text": text,
            "spans": frame[_SPANS[batch.config]].cast(pl.List(pl.Struct({"start": pl.Int64, "end": pl.Int64}))),
            "row": ids,
            **{new: frame[old] for old, new in names.items() if new != "chosen"},
        }
    ).hash_rows()


@dataclass(frozen=True)
class Disagreement:
    """Two rows of one document, passage or question that say different things of it."""

    level: str
    one: tuple[str, str, int]
    """Config, split and row."""
    other: tuple[str, str, int]


def disagreements(rows: pl.DataFrame) -> Iterator[Disagreement]:
    """Rows that say something else than the first row of their document, passage or question.

    Args:
        rows: of the pools: `config`, `split`, `row`, a hash under each name of `KEYS`, and the columns of `MARKS`.
    """
    for level in KEYS:
        yield from _differing(rows, level, level, f"about_{level}")
    yield from _differing(rows.filter(pl.col("answer").is_not_null()), "answer", "question", "answer")
    yield from _differing(rows, "questions", "passage", "question")


def _differing(rows: pl.DataFrame, level: str, key: str, mark: str) -> Iterator[Disagreement]:
    known = rows.filter(pl.col(key).is_not_null() & pl.col(mark).is_not_null())
    several = known.group_by(key).agg(pl.col(mark).min().alias("low"), pl.col(mark).max().alias("high"))
    several = several.filter(pl.col("low") != pl.col("high"))
    if several.is_empty():
        return
    place = ("config", "split", "row")
    first = [pl.col(name).first().over(key).alias(f"first_{name}") for name in (*place, mark)]
    shared = known.join(several, on=key, how="semi", maintain_order="left").with_columns(first)
    wrong = shared.filter(pl.col(mark) != pl.col(f"first_{mark}"))
    for one in wrong.select(*place, *(f"first_{name}" for name in place)).iter_rows():
        yield Disagreement(level, one[:3], one[3:])


def differing_columns(level: str, one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of the columns in which two rows, with all their values, say different things."""
    if level == "answer":
        pair, long = (one, other) if "chosen" in one else (other, one)
        return [name for name, partner in _PARTNERS.items() if pair.get(name) != long.get(partner)] or ["id"]
    both = one.keys() & other.keys()
    shared = {"document": _OF_DOCUMENT, "passage": _OF_PASSAGE, "question": _OF_QUESTION}.get(level, ())
    own = both - ChatRow.model_fields.keys() - PreferenceRow.model_fields.keys() if level == "document" else set()
    return [name for name in sorted({*shared, *own} & both) if one[name] != other[name]]
