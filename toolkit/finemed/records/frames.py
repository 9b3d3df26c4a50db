"""Content ids, and the polars and JSON schemas of rows::

content_id("passage", "d1", 0, 420)   ->  "p..."
frame(Passage, [{...}])               ->  a DataFrame with every column of `Passage`
"""

from __future__ import annotations

import hashlib
import types
from typing import Any, Literal, Union, get_args, get_origin

import polars as pl
from pydantic import BaseModel

from finemed.records.replies import AnswerJudgementReply, ClassificationReply, JudgementReply, QuestionsReply
from finemed.records.rows import (
    ChatRow,
    JudgedInstruction,
    JudgedResponse,
    LedgerRow,
    NoteRow,
    Passage,
    PooledSample,
    PreferenceRow,
    Row,
)

ID_PREFIX = {"document": "d", "passage": "p", "instruction": "i", "response": "r", "row": "s"}


ADDED_LATER = ("source_id", "extra")
"""Columns that runs and releases from before them lack; there they are null."""


def content_id(kind: str, *parts: str | int) -> str:
    """Id derived from content alone: a letter for the kind and 80 bits of BLAKE2b in hexadecimal.

    Parts are joined with an unprintable separator and their lengths, so that ("ab", "c") and ("a", "bc") differ. With
    80 bits, ten million rows collide with a probability below 1e-10.
    """
    digest = hashlib.blake2b(digest_size=10)
    for part in parts:
        raw = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return ID_PREFIX[kind] + digest.hexdigest()


_SCALARS: dict[Any, pl.DataType] = {str: pl.String(), int: pl.Int64(), float: pl.Float64(), bool: pl.Boolean()}


def _dtype(annotation: Any) -> pl.DataType:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin = get_origin(annotation)
    if origin is Literal:
        return pl.String()
    if origin in (Union, types.UnionType):
        (inner,) = [arg for arg in get_args(annotation) if arg is not type(None)]
        return _dtype(inner)
    if origin is list:
        return pl.List(_dtype(get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pl.Struct({name: _dtype(field.annotation) for name, field in annotation.model_fields.items()})
    raise TypeError(f"no polars type for {annotation!r}")


def frame_schema(row: type[Row]) -> pl.Schema:
    """The polars schema of a row class, columns in the order of declaration (ancestors first)."""
    return pl.Schema({name: _dtype(field.annotation) for name, field in row.model_fields.items()})


def frame(row: type[Row], rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A DataFrame of `row`'s schema from plain dicts; a missing column is an error, an empty list is fine."""
    schema = frame_schema(row)
    return pl.DataFrame({name: [r[name] for r in rows] for name in schema}, schema=schema)


PUBLISHED: dict[str, type[Row]] = {"sft": ChatRow, "sft_reasoning": ChatRow, "dpo": PreferenceRow, "ttt": ChatRow}
SCHEMAS: dict[str, type[BaseModel]] = {
    "passage": Passage,
    "instruction": JudgedInstruction,
    "response": JudgedResponse,
    "sample": PooledSample,
    "chat": ChatRow,
    "preference": PreferenceRow,
    "ledger": LedgerRow,
    "note": NoteRow,
    "reply-classification": ClassificationReply,
    "reply-questions": QuestionsReply,
    "reply-judgement": JudgementReply,
    "reply-answer-judgement": AnswerJudgementReply,
}


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema that is published as ``schemas/<name>.schema.json``."""
    schema = SCHEMAS[name].model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
