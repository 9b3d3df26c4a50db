"""Corpora on disk to raw records, bad ones included.

A raw record is a dict with `record_id`, the mapped fields, and `fault` (a reason code and a fact) where it cannot be
used; nothing here raises for a single bad row::

    {"record_id": "demo/corpus.jsonl:17", "fault": "not_json: Expecting value at column 1", "text": None, ...}
"""

from __future__ import annotations

import csv
import glob
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.records import content_id
from finemed.store.atomic import file_hash

FIELDS = ("text", "title", "id", "url", "language", "license", "attribution")
RAW_SCHEMA = pl.Schema(
    {
        "record_id": pl.String(),
        "fault": pl.String(),
        "document_id": pl.String(),
        "source": pl.String(),
        "text": pl.String(),
        "title": pl.String(),
        "url": pl.String(),
        "language": pl.String(),
        "license": pl.String(),
        "attribution": pl.String(),
    }
)
_SURROGATE = re.compile("[\ud800-\udfff]")
BATCH_CHARACTERS = 16_000_000
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


def find_files(source: SourceConfig, base: Path) -> list[InputFile]:
    """The files of a source, sorted by name.

    Raises:
        InputError: nothing matches, or a file's format cannot be told.
    """
    pattern = Path(base, source.path)
    if pattern.is_file():
        found, root = [pattern], pattern.parent
    elif pattern.is_dir():
        found, root = _below(pattern), pattern
    else:
        fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), Path(source.path).parts))
        root = Path(base, fixed)
        rest = Path(source.path).relative_to(fixed)
        matches = sorted(glob.glob(str(Path(glob.escape(str(root)), rest)), recursive=True))
        found = [Path(name) for name in matches if Path(name).is_file()]
    if not found:
        raise InputError(f"source `{source.name}`: {source.path} matches no file under {base}; check `sources.path`")
    files = []
    for path in found:
        kind = FORMATS.get(path.suffix.lower()) if source.format == "auto" else source.format
        if kind is None:
            raise InputError(
                f"source `{source.name}`: {path.name}: format unknown from its ending; set `format` to one of "
                "jsonl, parquet, csv, text"
            )
        files.append(InputFile(source, path, _writable(path.relative_to(root).as_posix()), kind))
    return files


def _below(folder: Path) -> list[Path]:
    """Corpus files of a folder; runs of ours and hidden folders in it are no corpus."""
    runs = {mark.parent for mark in folder.rglob("session.json") if (mark.parent / "stages").is_dir()}
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in FORMATS
        and path.is_file()
        and runs.isdisjoint(path.parents)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _writable(name: str) -> str:
    """A name from outside in a form that every file format takes."""
    return name.encode("utf-8", "backslashreplace").decode()


def read_records(file: InputFile) -> Iterator[dict[str, Any]]:
    """The records of one file with their fields mapped; broken ones carry `fault`."""
    reader = {"jsonl": _read_jsonl, "parquet": _read_parquet, "csv": _read_csv, "text": _read_text}[file.format]
    for number, (values, fault) in enumerate(reader(file), start=1):
        yield _record(file, number, values, fault)


def record_batches(files: list[InputFile], batch_rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """All records as numbered frames of `RAW_SCHEMA`.

    A record whose document id was already seen is marked `repeated_record`. Of the ids 60 bits are kept, 8 bytes a row;
    two of ten million documents share them with a probability of 4e-5.
    """
    seen = np.empty(0, dtype=np.int64)
    records = _all_records(files)
    for index in itertools.count():
        batch = _batch(records, batch_rows)
        if not batch:
            return
        seen = _mark_repeated(batch, seen)
        yield index, pl.DataFrame({name: [r[name] for r in batch] for name in RAW_SCHEMA}, schema=RAW_SCHEMA)


def _mark_repeated(batch: list[dict[str, Any]], seen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Gives repeated records their fault; returns the sorted ids seen so far."""
    sound = [record for record in batch if record["fault"] is None]
    ids = np.array([int(record["document_id"][1:16], 16) for record in sound], dtype=np.int64)
    _, first = np.unique(ids, return_index=True)
    fresh = np.zeros(len(sound), dtype=bool)
    fresh[first] = True
    if seen.size:
        nearest = np.minimum(np.searchsorted(seen, ids), seen.size - 1)
        fresh &= seen[nearest] != ids
    for record, new in zip(sound, fresh, strict=True):
        if not new:
            record["fault"] = "repeated_record: same source, id and text as an earlier record"
    return np.union1d(seen, ids[fresh])


def _batch(records: Iterator[dict[str, Any]], batch_rows: int) -> list[dict[str, Any]]:
    """The next records: `batch_rows` of them, or fewer where their texts are long."""
    batch: list[dict[str, Any]] = []
    characters = 0
    while len(batch) < batch_rows and characters < BATCH_CHARACTERS:
        record = next(records, None)
        if record is None:
            break
        batch.append(record)
        characters += len(record["text"] or "")
    return batch


def _all_records(files: list[InputFile]) -> Iterator[dict[str, Any]]:
    for _, group in itertools.groupby(files, key=lambda file: file.source.name):
        of_source = list(group)
        records = itertools.chain.from_iterable(read_records(file) for file in of_source)
        yield from itertools.islice(records, of_source[0].source.limit)


def _record(file: InputFile, number: int, values: dict[str, Any], fault: str | None) -> dict[str, Any]:
    source = file.source
    fields: dict[str, str | None] = {}
    for field in FIELDS:
        column = getattr(source.columns, field) or ("title" if (file.format, field) == ("text", "title") else None)
        value = values.get(column) if column is not None else None
        if value is not None and not isinstance(value, str):
            if field == "text":
                fault = fault or f"text_not_string: `{column}` is {type(value).__name__}"
            value = str(value)
        if value is not None and _SURROGATE.search(value):
            fault = fault or f"not_utf8: `{column}` holds half of a surrogate pair"
            value = None
        fields[field] = value
    if fault is None:
        fault = _text_fault(source.columns.text, values, fields["text"])
    key = fields.pop("id")
    text = fields.pop("text")
    return {
        "record_id": f"{source.name}/{file.name}:{number}",
        "fault": fault,
        "document_id": None if fault else content_id("document", source.name, key or "", text or ""),
        "source": source.name,
        "text": None if fault else text,
        "title": fields["title"] or None,
        "url": fields["url"] or source.url,
        "language": fields["language"] or None,
        "license": fields["license"] or source.license,
        "attribution": fields["attribution"] or source.attribution,
    }


def _text_fault(column: str, values: dict[str, Any], text: str | None) -> str | None:
    if column not in values:
        return _missing(column, list(values))
    if text is None or not text.strip():
        return f"empty_text: `{column}` holds nothing"
    if "\x00" in text:
        return "nul_byte: the text holds NUL characters"
    if "\ufffd" in text:
        return "not_utf8: the text holds replacement characters"
    return None


def _missing(column: str, names: list[str]) -> str:
    return f"missing_column: no `{column}` among {_writable(', '.join(sorted(map(str, names)))[:120])}"


_Raw = Iterator[tuple[dict[str, Any], str | None]]


def _read_jsonl(file: InputFile) -> _Raw:
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


def _read_parquet(file: InputFile) -> _Raw:
    import pyarrow.parquet as pq

    wanted = [getattr(file.source.columns, field) for field in FIELDS]
    try:
        with pq.ParquetFile(file.path) as parquet:
            names = parquet.schema_arrow.names
            present = [name for name in names if name in wanted]
            fault = None if file.source.columns.text in present else _missing(file.source.columns.text, names)
            for batch in parquet.iter_batches(batch_size=1000, columns=present):
                for row, broken in _rows_of(batch):
                    yield row, broken or fault
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        yield {}, _unreadable(file, error)


def _rows_of(batch: Any) -> _Raw:
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


def _read_csv(file: InputFile) -> _Raw:
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


def _read_text(file: InputFile) -> _Raw:
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
