"""Corpora to raw records, bad ones included.

A raw record is a dict with `record_id`, the mapped fields, and `fault` (a reason code and a fact) where it cannot be
used; nothing here raises for a single bad row::

    {"record_id": "demo/corpus.jsonl:17", "fault": "not_json: Expecting value at character 1", "text": None, ...}
"""

from __future__ import annotations

import dataclasses
import glob
import itertools
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.sources.beside import without_papers
from finemed.sources.files import (
    DOCUMENTS,
    SIDECARS,
    UNKNOWN,
    InputFile,
    LocalFile,
    Place,
    Quarantined,
    format_of,
    writable,
)
from finemed.sources.mapping import map_record
from finemed.sources.raw import LOOKED_AT, layout_of, raw_records, sample
from finemed.sources.remote import find_remote, is_url

SPECIAL = "not_data: no regular file, but a pipe, a socket or a device"
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
        "source_id": pl.String(),
        "extra": pl.String(),
        "given_instruction": pl.String(),
        "given_response": pl.String(),
        "given_chosen": pl.String(),
    }
)


def find_files(source: SourceConfig, base: Path, *, passed_over: list[Quarantined] | None = None) -> list[InputFile]:
    """The files of a source, sorted by name, with the layout of its records.

    Args:
        source: its settings.
        base: folder that its path starts from.
        passed_over: gets the files of a folder that lie beside its data and are none, with the rule.

    Raises:
        InputError: nothing matches, a file's format cannot be told, or a URL cannot be reached.
    """
    named = source.format != "auto"
    remote = is_url(source.path)
    found = find_remote(source.name, source.path, any_ending=named) if remote else _find_local(source, base)
    special = [] if remote else [name for name, place in found if _is_special(place)]
    if special and len(special) == len(found):
        raise InputError(
            f"source `{source.name}`: {source.path} is no regular file but a pipe, a socket or a device; write its "
            "content to a file and name that"
        )
    if special:
        found = [(name, place) for name, place in found if name not in special]
        if passed_over is not None:
            passed_over += [Quarantined(writable(name), SPECIAL, 0) for name in special]
    files = [
        InputFile(source, place, writable(name), source.format if named else format_of(name) or UNKNOWN)
        for name, place in found
    ]
    if not named and not (remote or Path(base, source.path).is_file()):
        files, others = without_papers(files)
        if passed_over is not None:
            passed_over += others
    if all(file.format == UNKNOWN for file in files):
        raise InputError(f"source `{source.name}`: {files[0].name}: {_advice(files[0])}")
    layout = layout_of(source, files)
    return [dataclasses.replace(file, layout=layout) for file in files]


def _advice(file: InputFile) -> str:
    """What to do with a file of no known format."""
    ending = PurePosixPath(file.name.lower()).suffix
    if ending in (".arrow", ".feather"):
        place = file.place.path if isinstance(file.place, LocalFile) else Path(file.name)
        saved = ending == ".arrow" and any(
            (place.parent / name).exists() for name in ("state.json", "dataset_info.json")
        )
        if saved:
            call = f'datasets.load_from_disk("{place.parent.as_posix()}").to_parquet("{place.parent.name}.parquet")'
        elif ending == ".arrow":
            call = f'datasets.Dataset.from_file("{place.name}").to_parquet("{place.stem}.parquet")'
        else:
            call = f'polars.read_ipc("{place.name}").write_parquet("{place.stem}.parquet")'
        return f"Arrow files are not read; write it as Parquet, in Python with `{writable(call)}`, and name that"
    if ending in (".bz2", ".xz", ".lzma", ".zip", ".7z", ".rar", ".tar", ".tgz"):
        return f"{ending} files are not read; decompress it, and name what is in it (.gz and .zst are read as they are)"
    if ending in (".xls", ".xlsx", ".ods"):
        return "spreadsheets are not read; save it as `CSV UTF-8`, or as Parquet, and name that"
    return "format unknown from its ending; set `format` to one of jsonl, json, parquet, csv, text"


def _find_local(source: SourceConfig, base: Path) -> list[tuple[str, Place]]:
    """Names, from the source's folder on, and places of what `path` matches."""
    pattern = Path(base, source.path)
    if (pattern.exists() or pattern.is_symlink()) and not pattern.is_dir():
        found, root = [pattern], pattern.parent
    elif pattern.is_dir():
        found, root = sorted(_below(pattern, source.format)), pattern
    else:
        fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), Path(source.path).parts))
        root = Path(base, fixed)
        rest = Path(source.path).relative_to(fixed)
        matches = map(Path, sorted(glob.glob(str(Path(glob.escape(str(root)), rest)), recursive=True)))
        found = [path for path in matches if not path.is_dir()]
    if not found:
        raise InputError(f"source `{source.name}`: {source.path} matches no file under {base}; check `sources.path`")
    return [(path.relative_to(root).as_posix(), LocalFile(path)) for path in found]


def _is_special(place: Place) -> bool:
    """Whether reading could wait for ever; a link to what is not there will be a fault instead."""
    path = place.path if isinstance(place, LocalFile) else None
    return path is not None and path.exists() and not path.is_file() and not path.is_dir()


def _below(folder: Path, kind: str) -> Iterator[Path]:
    """Corpus files of a folder, and subfolders that cannot be read; runs of ours and what is hidden are no corpus."""
    told = DOCUMENTS if kind == "auto" else frozenset()
    closed: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=closed.append):
        here = Path(parent)
        if "session.json" in names and "stages" in folders:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            known = name not in SIDECARS and (format_of(name) or PurePosixPath(name.lower()).suffix in told)
            if known and not name.startswith("."):
                yield here / name
    yield from (Path(error.filename) for error in closed)


def read_records(file: InputFile) -> Iterator[dict[str, Any]]:
    """The records of one file with their fields mapped; broken ones carry `fault`."""
    for number, line, values, fault in raw_records(file):
        yield map_record(file, number, line, values, fault)


def record_batches(files: list[InputFile], batch_rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """All records as numbered frames of `RAW_SCHEMA`.

    A record whose document id was already seen is marked `repeated_record`. Of the ids 60 bits are kept, 8 bytes a row;
    two of ten million documents share them with a probability of 4e-5.

    Raises:
        InputError: a source's `where` fits no record, or a file that is not on this machine cannot be read to its end.
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
        yield from itertools.islice(_records_of(of_source), of_source[0].source.limit)


def _records_of(files: list[InputFile]) -> Iterator[dict[str, Any]]:
    """The records of one source."""
    source, found = files[0].source, False
    for file in files:
        for number, line, values, fault in raw_records(file):
            found = found or fault is None
            yield map_record(file, number, line, values, fault)
    if source.where and not found:
        wanted = "; ".join(f"`{column}` of {', '.join(map(str, values))}" for column, values in source.where.items())
        raise InputError(
            f"source `{source.name}`: no record has {writable(wanted)[:300]}; check `sources.where` against "
            f"{_seen(files, list(source.where))}"
        )


def _seen(files: list[InputFile], columns: list[str]) -> str:
    """Values of the columns in the first records."""
    seen: dict[str, dict[str, None]] = {column: {} for column in columns}
    for file in files[:LOOKED_AT]:
        for values in sample(file):
            for column in columns:
                seen[column].setdefault(str(values.get(column)))
    return writable("; ".join(f"`{column}`: {', '.join(list(found)[:8])}" for column, found in seen.items()))[:300]
