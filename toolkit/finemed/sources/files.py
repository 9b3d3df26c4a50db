"""The files of a source: what format their endings say, where their bytes come from, what the manifest says of them.

::

    format_of("part-00017.jsonl.gz"), compression_of("part-00017.jsonl.gz")  ->  ("jsonl", "gzip")
    InputFile(source, LocalFile(Path("corpus/a.jsonl")), "a.jsonl", "jsonl").facts()
    ->  {"source": "demo", "file": "a.jsonl", "bytes": 5120, "sha256": "ba7816bf..."}
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, Protocol

from finemed.config import SourceConfig
from finemed.sources.conversations import columns_of
from finemed.store.atomic import file_hash

FIELDS = ("text", "title", "id", "url", "language", "license", "attribution")
FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "text",
    ".md": "text",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
UNKNOWN = "unknown"
"""Format of a file whose ending says none; its one record is a fault."""
_DOCUMENTS = (
    ".pdf .doc .docx .odt .rtf .epub .html .htm .xml .xls .xlsx "
    ".arrow .feather .avro .orc .bz2 .xz .zip .7z .tar .tgz .gz .zst"
)
DOCUMENTS = frozenset(_DOCUMENTS.split())
"""Endings of what may hold text and is not read; in a folder such a file is named in the ledger."""
SIDECARS = frozenset(("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "croissant.json"))
"""What dataset libraries lay beside the data."""
EMPTY = "empty_file: it holds no record"
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
MAX_RECORD = 16_000_000
"""Longest record in bytes: the most of one that is held in memory."""

Raw = Iterator[tuple[int, int | None, dict[str, Any], str | None]]
"""Number of a record in its file, its line where it has one, its columns, and its fault."""


class Quarantined(NamedTuple):
    """What cannot be used: where it stands, why, and how many rows are lost with it."""

    place: str
    fact: str
    rows: int = 1


class Place(Protocol):
    """Where a file's bytes come from."""

    def open(self) -> BinaryIO:
        """The file from its first byte on; it can be sought in.

        Raises:
            OSError: it is here, but cannot be read.
            InputError: it is elsewhere, and cannot be reached.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """Its size and what tells one version of it from another."""
        ...


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine."""

    path: Path

    def open(self) -> BinaryIO:
        return self.path.open("rb")

    def facts(self) -> dict[str, Any]:
        try:
            return {"bytes": self.path.stat().st_size, "sha256": file_hash(self.path)}
        except OSError as error:
            return {"bytes": None, "sha256": None, "unreadable": error.strerror}


@dataclass(frozen=True)
class InputFile:
    """One file of a source: its name is relative to the source's folder, so no machine's path gets into a run."""

    source: SourceConfig
    place: Place
    name: str
    format: str
    layout: str = "documents"
    """What its records are; `auto` only while that is being found out."""
    whole: bool = False
    """All columns are read, not just those that documents or exchanges are made of."""

    def facts(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"source": self.source.name, "file": self.name, **self.place.facts()}

    @cached_property
    def partitions(self) -> dict[str, str | None]:
        """The columns that the names of its folders hold, as in `lang=en/part-0.parquet`."""
        named = (folder.partition("=") for folder in PurePosixPath(self.name).parts[:-1])
        told = {urllib.parse.unquote(name): urllib.parse.unquote(value) for name, sign, value in named if name and sign}
        return {name: None if value == _NO_PARTITION else value for name, value in told.items()}

    @cached_property
    def mapped(self) -> list[tuple[str, str]]:
        """The fields that have a column, each with it; the text of an exchange is in other columns."""
        columns = self.source.columns.model_dump()
        if self.format == "text":
            columns["title"] = columns["title"] or "title"
        if self.layout not in ("documents", "auto"):
            del columns["text"]
        return [(field, columns[field]) for field in FIELDS if columns.get(field) is not None]

    @cached_property
    def extra(self) -> dict[str, str]:
        """The source's own columns that are published too: published name -> column of the file."""
        return {name: told.column or name for name, told in self.source.columns.extra.items()}

    def wanted(self) -> set[str]:
        """The columns that its documents are made of or chosen by; those of an exchange are known by its layout."""
        return {*self.source.where, *self.extra.values(), *(column for _, column in self.mapped)}


def format_of(name: str) -> str | None:
    """Format that a file's ending says."""
    path = PurePosixPath(name.lower())
    if path.suffix in COMPRESSIONS:
        inner = FORMATS.get(path.with_suffix("").suffix)
        return None if inner == "parquet" else inner
    return FORMATS.get(path.suffix)


def compression_of(name: str) -> str | None:
    """Compression that a file's ending says."""
    return COMPRESSIONS.get(PurePosixPath(name.lower()).suffix)


def is_tabbed(name: str) -> bool:
    """Whether a file's ending says that tabs stand between its fields."""
    path = PurePosixPath(name.lower())
    return (path.with_suffix("") if path.suffix in COMPRESSIONS else path).suffix in (".tsv", ".tab")


def writable(name: str) -> str:
    """A name from outside in a form that every file format takes."""
    return name.encode("utf-8", "backslashreplace").decode()


def missing_column(column: str, names: list[str]) -> str:
    """The fault of a record without its text column."""
    return f"missing_column: no `{column}` among {writable(', '.join(sorted(map(str, names)))[:120])}"


def duplicate_column(file: InputFile, names: list[str]) -> str | None:
    """The fault of all records of a file that has a column twice, where that column is read."""
    doubled = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    read = doubled if file.whole else doubled & file.wanted()
    if file.layout not in ("documents", "auto"):
        read |= set(columns_of(doubled))
    twice = sorted(read)
    return f"duplicate_column: `{writable(twice[0])}` stands twice among the columns" if twice else None
