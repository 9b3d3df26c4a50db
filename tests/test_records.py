from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import jsonschema
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from finemed import records
from finemed.records import (
    ID_PREFIX,
    PUBLISHED,
    SCHEMAS,
    ChatRow,
    ClassifiedPassage,
    Drop,
    Instruction,
    JudgedInstruction,
    JudgementReply,
    LedgerRow,
    Message,
    Passage,
    PreferenceRow,
    Row,
    Span,
    content_id,
    frame,
    frame_schema,
    json_schema,
)

ROWS = sorted(
    (kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, Row) and kind is not Row),
    key=lambda kind: kind.__name__,
)
ANY: dict[Any, Any] = {pl.String(): "x", pl.Int64(): 1, pl.Float64(): 1.5, pl.Boolean(): True}
TURNS = [{"role": "user", "content": "What causes croup?"}, {"role": "assistant", "content": "A virus.\n“Barking” 肺"}]


def row_of(kind: type[Row], **values: Any) -> dict[str, Any]:
    """A row with some value in every column, and these ones."""
    filled = {name: value_of(kind.model_fields[name].annotation, dtype) for name, dtype in frame_schema(kind).items()}
    return filled | values


def value_of(annotation: Any, dtype: pl.DataType) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    return [{"start": 0, "end": 5}] if annotation == list[Span] else ANY.get(dtype, TURNS)


# --- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "parts", "expected"),
    [
        ("document", ("demo", "", "Croup."), "d96b7e0e8fc9dbe454a89"),
        ("passage", ("dabc", 0, 10), "pf8a2ecbf3fde78beae6a"),
        ("instruction", ("p1", "Why?"), "i9d24ae064a25b525b475"),
        ("response", ("i1", "ordinary", "é"), "rfe0ea2f8800d24dac71f"),
        ("row", (), "s6fa1d8fcfd719046d762"),
    ],
)
def test_content_ids_are_pinned(kind: str, parts: tuple[str | int, ...], expected: str) -> None:
    assert content_id(kind, *parts) == expected


def test_every_kind_has_its_own_letter() -> None:
    assert len(set(ID_PREFIX.values())) == len(ID_PREFIX)


@settings(deadline=None)
@given(st.lists(st.text("ab\x00\x1f", max_size=3), max_size=4), st.lists(st.text("ab\x00\x1f", max_size=3), max_size=4))
def test_ids_tell_parts_apart_wherever_they_are_cut(left: list[str], right: list[str]) -> None:
    assert (content_id("row", *left) == content_id("row", *right)) == (left == right)


def test_half_a_surrogate_pair_has_an_id() -> None:
    assert content_id("document", "\ud83d") != content_id("document", "\ud83e")


# --- polars schemas --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_columns_are_the_ancestors_then_ones_own(kind: type[Row]) -> None:
    (parent,) = kind.__bases__
    inherited = list(frame_schema(parent)) if parent is not Row else []
    own = [name for name in kind.__annotations__ if name not in inherited]
    assert list(frame_schema(kind)) == inherited + own


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_every_row_class_has_a_dtype_for_every_column(kind: type[Row]) -> None:
    schema = frame_schema(kind)
    assert frame(kind, []).schema == schema
    assert frame(kind, [row_of(kind)]).schema == schema


def test_dtypes() -> None:
    turns = pl.List(pl.Struct({"role": pl.String(), "content": pl.String()}))
    schema = frame_schema(ChatRow)
    assert schema["messages"] == schema["prompt"] == schema["completion"] == turns
    assert (schema["license"], schema["quality"], schema["extractive"]) == (pl.String(), pl.Int64(), pl.Boolean())
    assert schema["response_score"] == pl.Float64()
    assert frame_schema(LedgerRow) == {"row_id": pl.String, "drop_reason": pl.String, "detail": pl.String} | {
        "stage": pl.String
    }


def test_a_row_carries_its_ancestors_ids_and_its_licence() -> None:
    assert list(frame_schema(Passage))[:2] == ["passage_id", "document_id"]
    assert list(frame_schema(ClassifiedPassage))[: len(frame_schema(Passage))] == list(frame_schema(Passage))
    for kind in PUBLISHED.values():
        columns = set(frame_schema(kind))
        assert {"document_id", "passage_id", "instruction_id", "span_start", "span_end"} <= columns
        assert {"license", "attribution", "url", "source", "extractive"} <= columns
        assert {"instruction_model", "judge_model", "answer_judge_model"} <= columns


def test_a_type_without_a_dtype_is_an_error() -> None:
    class Odd(Row):
        when: complex

    with pytest.raises(TypeError, match=r"no polars type for .*complex"):
        frame_schema(Odd)


def test_frame_refuses_a_missing_column() -> None:
    row = row_of(Drop)
    del row["detail"]
    with pytest.raises(KeyError, match="detail"):
        frame(Drop, [row_of(Drop), row])


def test_frame_takes_columns_by_name_and_leaves_others_out() -> None:
    rows = [{"detail": "c", "stage": "filter", "drop_reason": "b", "row_id": "a"}]
    assert frame(Drop, rows).rows() == [("a", "b", "c")]


def test_rows_refuse_unknown_columns_and_bad_scores() -> None:
    whole = row_of(JudgedInstruction)
    assert JudgedInstruction(**whole).quality == 1
    with pytest.raises(ValidationError, match="extra"):
        Drop(**row_of(Drop), extra=1)
    with pytest.raises(ValidationError, match="quality"):
        JudgedInstruction(**{**whole, "quality": 11})
    with pytest.raises(ValidationError, match="relevance"):
        JudgedInstruction(**{**whole, "relevance": 7})
    with pytest.raises(ValidationError, match="frozen"):
        Drop(**row_of(Drop)).detail = "y"  # type: ignore[misc]


@pytest.mark.parametrize("kind", [ChatRow, PreferenceRow, Instruction], ids=lambda kind: kind.__name__)
def test_parquet_round_trip(tmp_path: Path, kind: type[Row]) -> None:
    rows = [
        row_of(kind),
        row_of(kind, license=None, url=None, language="und"),
        row_of(kind, source="nul\x00 \U0001f600"),
    ]
    if kind is not Instruction:
        rows.append(row_of(kind, prompt=TURNS[:1]) | {"prompt": []})
    written = frame(kind, rows)
    written.write_parquet(tmp_path / "a.parquet")
    read = pl.read_parquet(tmp_path / "a.parquet")
    assert read.schema == frame_schema(kind)
    assert read.equals(written, null_equal=True)
    assert read.to_dicts() == rows
    assert [kind(**row) for row in read.to_dicts()] == [kind(**row) for row in rows]


def test_messages_keep_role_and_text() -> None:
    (row,) = frame(ChatRow, [row_of(ChatRow)]).to_dicts()
    assert row["messages"] == TURNS
    assert Message(**row["messages"][1]).role == "assistant"
    with pytest.raises(ValidationError):
        Message(role="tool", content="x")  # type: ignore[arg-type]


# --- JSON Schemas ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMAS)
def test_published_schemas_are_draft_2020_12(name: str) -> None:
    schema = json_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", [name for name, kind in SCHEMAS.items() if issubclass(kind, Row)])
def test_row_schemas_take_a_row_and_refuse_another_column(name: str) -> None:
    kind: type[BaseModel] = SCHEMAS[name]
    assert issubclass(kind, Row)
    literals = {"route": "complex", "pool": "sft", "split": "train", "kind": "ordinary"}
    row = row_of(kind)
    row |= {key: value for key, value in literals.items() if key in row}
    row |= {key: int(value) for key, value in row.items() if value == 1.5 and "score" in key}
    check = jsonschema.Draft202012Validator(json_schema(name))
    check.validate(row)
    assert not check.is_valid({**row, "other": 1})
    for column in row:
        assert not check.is_valid({key: value for key, value in row.items() if key != column})


def test_reply_schemas_bound_the_scores() -> None:
    reply = {
        "rationale": "r",
        "quality": 10,
        "difficulty": 1,
        "relevance_to_medicine": 6,
        "mention_specific_details": False,
    }
    check = jsonschema.Draft202012Validator(json_schema("reply-judgement"))
    check.validate(reply)
    for name, value in (("quality", 11), ("difficulty", 0), ("relevance_to_medicine", 7)):
        assert not check.is_valid({**reply, name: value})
        with pytest.raises(ValidationError):
            JudgementReply(**{**reply, name: value})


@pytest.mark.parametrize("kind", [kind for kind in ROWS if kind is not Message], ids=lambda kind: kind.__name__)
def test_every_column_is_described(kind: type[Row]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []
