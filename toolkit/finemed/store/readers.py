"""Corpora on disk to raw records, bad ones included.

A raw record is a dict with `record_id`, the mapped fields, and `fault` (a reason code and a fact) where it cannot be
used; nothing here raises for a single bad row::

    {"record_id": "demo/corpus.jsonl:17", "fault": "not_json: Expecting value at column 1", "text": None, ...}
"""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.records import content_id
from finemed.store.formats import FIELDS, FORMATS, READERS, InputFile, missing_column, writable

BATCH_CHARACTERS = 16_000_000
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
        "given_instruction": pl.String(),
        "given_response": pl.String(),
        "given_chosen": pl.String(),
    }
)
_SURROGATE = re.compile("[\ud800-\udfff]")


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
        files.append(InputFile(source, path, writable(path.relative_to(root).as_posix()), kind))
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


def read_records(file: InputFile) -> Iterator[dict[str, Any]]:
    """The records of one file with their fields mapped; broken ones carry `fault`."""
    for number, (values, fault) in enumerate(READERS[file.format](file), start=1):
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
        "given_instruction": None,
        "given_response": None,
        "given_chosen": None,
    }


def _text_fault(column: str, values: dict[str, Any], text: str | None) -> str | None:
    if column not in values:
        return missing_column(column, list(values))
    if text is None or not text.strip():
        return f"empty_text: `{column}` holds nothing"
    if "\x00" in text:
        return "nul_byte: the text holds NUL characters"
    if "\ufffd" in text:
        return "not_utf8: the text holds replacement characters"
    return None
