"""How each format of corpus gives up its records; a broken record is a fault, never an error.

::

    for values, fault in read_jsonl(file):      # ({"text": "Croup ..."}, None), ({}, "not_json: Expecting value: ...")
        ...
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.store.atomic import file_hash

FIELDS = ("text", "title", "id", "url", "language", "license", "attribution")
FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".csv": "csv", ".txt": "text", ".md": "text"}


@dataclass(frozen=True)
class InputFile:
    """One file of a source: its name is relative to the source's folder, so no machine's path gets into a run."""

    source: SourceConfig
    path: Path
    name: str
    format: str

    def facts(self) -> dict[str, Any]:
        """What the manifest says of it.

        Raises:
            InputError: the file cannot be read at all.
        """
        try:
            size, sha256 = self.path.stat().st_size, file_hash(self.path)
        except OSError as error:
            raise InputError(
                f"source `{self.source.name}`: {self.name} cannot be read ({error.strerror}); mend its permissions or "
                "leave it out of `sources.path`"
            ) from None
        return {"source": self.source.name, "file": self.name, "bytes": size, "sha256": sha256}


def writable(name: str) -> str:
    """A name from outside in a form that every file format takes."""
    return name.encode("utf-8", "backslashreplace").decode()


def missing_column(column: str, names: list[str]) -> str:
    """The fault of a record without its text column."""
    return f"missing_column: no `{column}` among {writable(', '.join(sorted(map(str, names)))[:120])}"


Raw = Iterator[tuple[dict[str, Any], str | None]]
"""Columns of a record, or a fault."""


def read_jsonl(file: InputFile) -> Raw:
    """One JSON object per line."""
    try:
        with file.path.open("rb") as lines:
            for line in lines:
                if line.strip():
                    yield _json_line(line)
    except OSError as error:
        yield {}, f"unreadable_file: {error.strerror or type(error).__name__}"


def _json_line(line: bytes) -> tuple[dict[str, Any], str | None]:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return {}, f"not_utf8: byte {error.start} of the line"
    except (ValueError, RecursionError) as error:
        return {}, f"not_json: {error}"
    if not isinstance(value, dict):
        return {}, f"not_an_object: the line holds {type(value).__name__}"
    return value, None


def read_parquet(file: InputFile) -> Raw:
    """Rows of a Parquet file; only mapped columns are read."""
    import pyarrow.parquet as pq

    wanted = [getattr(file.source.columns, field) for field in FIELDS]
    try:
        with pq.ParquetFile(file.path) as parquet:
            names = parquet.schema_arrow.names
            present = [name for name in names if name in wanted]
            fault = None if file.source.columns.text in present else missing_column(file.source.columns.text, names)
            for batch in parquet.iter_batches(batch_size=1000, columns=present):
                for row, broken in _rows_of(batch):
                    yield row, broken or fault
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        yield {}, _unreadable(file, error)


def _rows_of(batch: Any) -> Raw:
    """The batch's rows; where one holds text that is no text, that one alone is broken."""
    try:
        yield from ((row, None) for row in batch.to_pylist())
    except UnicodeDecodeError:
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0], None
            except UnicodeDecodeError as error:
                yield {}, f"not_utf8: byte {error.start} of a value"


def _unreadable(file: InputFile, error: Exception) -> str:
    """The fault without the folder that the file lies in, which is this machine's affair."""
    return f"unreadable_file: {' '.join(str(error).replace(str(file.path), file.name).split())[:200]}"


def read_csv(file: InputFile) -> Raw:
    """Rows of a CSV file with a header."""
    try:
        csv.field_size_limit(1 << 27)
        with file.path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            for row in csv.DictReader(lines):
                if None in row:
                    yield {}, "extra_fields: more fields than the header has"
                elif None in row.values():
                    yield {}, "fewer_fields: fewer fields than the header has"
                else:
                    yield dict(row), None
    except (OSError, csv.Error) as error:
        yield {}, _unreadable(file, error)


def read_text(file: InputFile) -> Raw:
    """A whole text file as one record, its first line as the title."""
    try:
        text = file.path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        yield {}, _unreadable(file, error)
        return
    except UnicodeDecodeError as error:
        yield {}, f"not_utf8: byte {error.start} of the file"
        return
    title = next((line.strip() for line in text.splitlines() if line.strip()), "")
    columns = file.source.columns
    yield {columns.text: text, columns.title or "title": title[:200]}, None


READERS: dict[str, Callable[[InputFile], Raw]] = {
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "csv": read_csv,
    "text": read_text,
}
