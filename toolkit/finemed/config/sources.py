"""The settings of a source: where a corpus lies and what its columns hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from finemed.config.base import VOLATILE, Name, Settings
from finemed.records import PUBLISHED
from finemed.records.extra import ExtraType

Layout = Literal[
    "auto", "documents", "alpaca", "sharegpt", "messages", "prompt_completion", "question_answer", "preference"
]


OURS = frozenset(name for row in PUBLISHED.values() for name in row.model_fields) | {"split", "pool"}
"""Names of columns that a published row has already, or that readers make of its place."""


class ExtraColumn(Settings):
    """A column of a source's own that is published with its rows."""

    type: ExtraType
    """What it holds; a record with something else is quarantined as `extra_type`, null is allowed."""
    column: str | None = None
    """Its name in the source, where it is published under another."""
    description: Annotated[str | None, Field(max_length=300)] = None
    """What it means, for the card."""


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
    extra: dict[Annotated[str, Field(pattern=r"^[^\W\d][\w -]*$", max_length=64)], ExtraColumn] = {}
    """Further columns that are published with every row, each with its type (`string`, `integer`, `number`, `boolean`),
    such as `{evidence_level: string, year: {type: integer, column: Publication Year}}`; scanned for personal data like
    the text."""

    @field_validator("extra", mode="before")
    @classmethod
    def _written_short(cls, given: Any) -> Any:
        """`year: integer` is `year: {type: integer}`."""
        if not isinstance(given, dict):
            return given
        return {name: {"type": told} if isinstance(told, str) else told for name, told in given.items()}

    @field_validator("extra")
    @classmethod
    def _own_names(cls, given: dict[str, ExtraColumn]) -> dict[str, ExtraColumn]:
        """Refuses names that a published row has already; readers do not all tell upper from lower case."""
        seen: dict[str, str] = {}
        for name in given:
            if name.casefold() in OURS:
                raise ValueError(
                    f"`{name}` is a column that every published row has already; publish yours under another name: "
                    f"`own_{name}: {{type: {given[name].type}, column: {given[name].column or name}}}`"
                )
            if name != name.strip() or seen.setdefault(name.casefold(), name) != name:
                raise ValueError(f"`{name}` differs from another only in blanks or upper case; name it otherwise")
        return given


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
