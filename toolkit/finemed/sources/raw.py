"""The records of a file as they stand in it, before their fields are mapped, and what a source's records are.

::

    for number, line, values, fault in raw_records(file):  # (17, 18, {"text": "Croup ...", "topic": "Croup"}, None)
        ...
    layout_of(source, files)  ->  "documents"
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from finemed.config import Columns, SourceConfig
from finemed.sources.conversations import detect
from finemed.sources.csv import read_csv
from finemed.sources.files import EMPTY, MAX_RECORD, UNKNOWN, InputFile, Raw
from finemed.sources.jsonl import read_json, read_jsonl
from finemed.sources.parquet import read_parquet, schema_names
from finemed.sources.streams import BreakError, chunks, too_large, unreadable
from finemed.sources.where import keeps

LOOKED_AT = 20
"""Files of a source, and records of a file, that tell what the source holds."""


def read_text(file: InputFile) -> Raw:
    """A whole text file as one record, its first line as the title."""
    content = bytearray()
    try:
        for chunk in chunks(file):
            content += chunk
            if len(content) > MAX_RECORD:
                yield 1, None, {}, too_large(None)
                return
        text = content.decode("utf-8-sig")
    except BreakError as broken:
        yield 1, None, {}, str(broken)
    except UnicodeDecodeError as error:
        yield 1, None, {}, f"not_utf8: byte {error.start} of the file"
    else:
        title = next((line.strip() for line in text.splitlines() if line.strip()), "")
        columns = file.source.columns
        yield 1, None, {columns.text: text, columns.title or "title": title[:200]}, None


def refuse(file: InputFile) -> Raw:
    """A file of no known format, or a folder that cannot be looked into."""
    try:
        file.place.open().close()
    except OSError as error:
        yield 1, None, {}, unreadable(file, error)
        return
    ending = PurePosixPath(file.name).suffix
    yield 1, None, {}, f"unknown_format: {ending} files are not read; convert it, or leave it out of `sources.path`"


READERS: dict[str, Callable[[InputFile], Raw]] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
    "text": read_text,
    UNKNOWN: refuse,
}


def raw_records(file: InputFile) -> Raw:
    """The records that `where` asks for, and those that are broken; a file without any record is a fault itself."""
    where = file.source.where
    kept = keeps(where)
    record = None
    added = file.partitions
    for record in read_parquet(file, where) if file.format == "parquet" else READERS[file.format](file):
        number, line, values, fault = record
        if added and fault is None:
            values = added | values
        if not where or fault is not None or kept(values):
            yield number, line, values, fault
    if record is None and file.format != "parquet":  # of a Parquet file, rows may have been passed over
        yield 1, None, {}, EMPTY


def sample(file: InputFile, most: int = LOOKED_AT) -> Iterator[dict[str, Any]]:
    """The first sound records of a file, whatever `where` asks for."""
    records = read_parquet(file, {}, at_once=most) if file.format == "parquet" else READERS[file.format](file)
    return itertools.islice((file.partitions | values for _, _, values, fault in records if fault is None), most)


def column_names(file: InputFile, records: Sequence[dict[str, Any]]) -> set[str]:
    """The columns of a file, as its schema or its first records have them."""
    if file.format == "parquet":
        return {*schema_names(file), *file.partitions}
    return {str(name) for values in records for name in values}


def layout_of(source: SourceConfig, files: Sequence[InputFile]) -> str:
    """What the records of a source are: its setting, or what its first readable file looks like."""
    if source.layout != "auto":
        return source.layout
    if source.columns.text != Columns().text:
        return "documents"
    for file in files[:LOOKED_AT]:
        if file.format == "text":
            return "documents"
        records = list(sample(file))
        names = column_names(file, records)
        if names:
            return detect(names, records)
    return "documents"
