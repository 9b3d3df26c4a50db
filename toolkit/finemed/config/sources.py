"""The settings of a source: where a corpus lies and what its columns hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finemed.config.base import VOLATILE, Name, Settings

Layout = Literal[
    "auto", "documents", "alpaca", "sharegpt", "messages", "prompt_completion", "question_answer", "preference"
]


class Columns(Settings):
    """Which column of a source holds what; null where the source has none."""

    text: str = "text"
    """The document."""
    title: str | None = None
    """Its title or topic; questions get better with one."""
    id: str | None = None
    """The source's own id; it enters the document's id, so equal texts with different ids stay apart until dedup."""
    url: str | None = None
    """Its address, where it differs by row."""
    language: str | None = None
    """Its language code; without one the language is identified."""
    license: str | None = None
    """Its licence, where it differs by row."""
    attribution: str | None = None
    """Whom the licence wants named, where it differs by row."""


class SourceConfig(Settings):
    """One corpus: files of one format with one meaning of columns."""

    name: Name
    """Short name; it is part of the documents' ids, so keep it."""
    path: str = Field(json_schema_extra=VOLATILE)
    """File, folder or glob, relative to the configuration file; or a URL (`https://`, `s3://`, `hf://owner/dataset`)."""
    format: Literal["auto", "jsonl", "json", "parquet", "csv", "text"] = "auto"
    """Format of the files; `auto` goes by their endings."""
    columns: Columns = Columns()
    """Which column holds what."""
    license: str | None = None
    """SPDX identifier or the licence's name; null means unknown, which the card says."""
    attribution: str | None = None
    """Whom the licence wants named."""
    url: str | None = None
    """Address of the source, for rows without one of their own."""
    where: dict[str, list[str | int | bool]] = {}
    """Read only records whose columns hold one of these values, such as `{domain: [medical], language: [en]}`."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Read at most this many records, for trying a configuration out."""
    layout: Layout = "auto"
    """What a record is: a document, or a question with answers in a usual form; `auto` looks at the columns."""
    multi_turn: Literal["drop", "first"] = "drop"
    """Conversations of several exchanges: drop them, or keep the first exchange."""
