"""The output of a stage on disk: numbered shards of Parquet files, each sealed with the hashes of its files.

::

    run/stages/02-filter/begun.json            whose output this is: the stage's fingerprint
                         drop-00000.parquet    what left, with reasons (the ledger's part)
                         note-00000.parquet    remarks on kept rows, where there are any
                         mark-00000.json       fingerprint, number and SHA-256 of the shard's files
                         kept-00000.parquet    what goes on; renamed last, so it tells that the shard is done
                         stage.json            counts and hashes; written last, tells that the stage is done

Nothing is read but what ``stage.json`` or, before there is one, a mark lists, and no row is used before the hash of its
file was compared: bytes are read once, hashed, and parsed from memory. Any other file in the folder is left alone.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import StoreError
from finemed.records import ADDED_LATER, Drop, frame_schema
from finemed.store.atomic import TEMPORARY, plain, remove, remove_temporaries, write_atomic, write_with
from finemed.store.sealed import DamagedFileError, is_counts, read_bytes, read_sealed, write_sealed
from finemed.store.shard_names import by_number, lists_shards, number_of

DROP_SCHEMA = frame_schema(Drop)
AGAIN = "run `finemed build` again, which makes it anew"
_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "statistics": True,
    "row_group_size": 50_000,
}

Say = Callable[[str], None]


def unheard(message: str) -> None:
    """Where nobody listens."""


def write_parquet(path: Path, rows: pl.DataFrame) -> None:
    """Writes a Parquet file atomically; equal rows give equal bytes."""
    write_with(path, lambda temporary: _write(temporary, rows))


def _write(path: Path, rows: pl.DataFrame) -> None:
    try:
        rows.write_parquet(path, **_OPTIONS)
    except pl.exceptions.PolarsError as error:
        raise OSError(str(error)) from None


def _encoded(rows: pl.DataFrame) -> bytes:
    """The bytes that `write_parquet` would write."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer, **_OPTIONS)
    return buffer.getvalue()


def read_parquet(path: Path, schema: pl.Schema | None = None) -> pl.DataFrame:
    """Reads a Parquet file that this package wrote.

    Raises:
        StoreError: damaged, or with other columns than expected.
    """
    try:
        rows = pl.read_parquet(plain(path), memory_map=False, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise StoreError(f"{path}: damaged ({error}); remove its folder and run the same command again") from None
    return _fitted(path, rows, schema)


def _fitted(path: Path, rows: pl.DataFrame, schema: pl.Schema | None) -> pl.DataFrame:
    """Rows with the columns of the schema; those that rows got later are null in a file from before."""
    if schema is None or rows.schema == schema:
        return rows
    if absent := [name for name in ADDED_LATER if name in schema and name not in rows.schema]:
        nulls = [pl.lit(None, schema[name]).alias(name) for name in absent]
        rows = rows.with_columns(nulls).select(*(name for name in schema if name in {*rows.columns, *absent}))
    if rows.schema != schema:
        raise StoreError(f"{path}: holds {list(rows.schema)}, expected {list(schema)}; remove its folder and run again")
    return rows


def read_columns(path: Path, columns: list[str]) -> pl.DataFrame:
    """Reads some columns of a Parquet file that this package wrote.

    Raises:
        StoreError: damaged.
    """
    try:
        return pl.read_parquet(plain(path), columns=columns, memory_map=False, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise StoreError(f"{path}: damaged ({error}); remove its folder and run the same command again") from None


@dataclass
class ShardFolder:
    """The folder of one stage's output."""

    path: Path
    schema: pl.Schema
    sealed: bool = field(default=True, init=False)
    """False where `finished` found a report from before the checksums: its counts are to be worked out again."""
    _fingerprint: str = field(default="", init=False, repr=False)
    _hashes: dict[int, dict[str, str]] | None = field(default=None, init=False, repr=False)
    """By number of a shard: its files and their hashes. None before anything was read."""
    _said: set[str] = field(default_factory=set, init=False, repr=False)

    # --- names -------------------------------------------------------------------------------------------------------

    def kept_path(self, index: int) -> Path:
        return self.path / f"kept-{index:05d}.parquet"

    def drop_path(self, index: int) -> Path:
        return self.path / f"drop-{index:05d}.parquet"

    def note_path(self, index: int) -> Path:
        return self.path / f"note-{index:05d}.parquet"

    def mark_path(self, index: int) -> Path:
        return self.path / f"mark-{index:05d}.json"

    @property
    def report_path(self) -> Path:
        return self.path / "stage.json"

    # --- writing -----------------------------------------------------------------------------------------------------

    def begin(self, fingerprint: str, say: Say = unheard) -> None:
        """Makes the folder ready for this fingerprint: keeps sound shards of the same, removes all others.

        What is damaged is said, removed, and made again by the stage.
        """
        self._fingerprint = fingerprint
        if self._begun(fingerprint, say):
            self._seal_what_is_listed(fingerprint, say)
        else:
            remove(self.report_path)  # first: it vouches for files that go next
            remove(self.path)
            write_sealed(self.path / "begun.json", {"fingerprint": fingerprint})
        remove(self.report_path)
        self.clean()
        self._hashes = {}
        for index in self._numbers_on_disk():
            files, faults = self._sound_files(index, fingerprint)
            for fault in faults:
                self._tell(say, fault)
            if faults:
                for path in self._all_paths(index):
                    remove(path)
            else:
                self._hashes[index] = files

    def _begun(self, fingerprint: str, say: Say) -> bool:
        """Whether the folder was begun for this fingerprint; a damaged note of it leaves that to the marks."""
        path = self.path / "begun.json"
        if not path.exists():
            return False
        try:
            begun, _ = read_sealed(path, "fingerprint", remedy="the shards' own marks decide")
        except DamagedFileError as error:
            self._tell(say, str(error))
            remove(path)
            write_sealed(path, {"fingerprint": fingerprint})
            return True
        return bool(begun["fingerprint"] == fingerprint)

    def _seal_what_is_listed(self, fingerprint: str, say: Say) -> None:
        """Gives the shards of a stage that was finished before there were marks their marks."""
        if not self.report_path.exists():
            return
        try:
            report, sealed = self._report()
        except DamagedFileError as error:
            self._tell(say, str(error))
            return
        if not sealed and report["fingerprint"] == fingerprint:
            for index, files in by_number(report["files"]).items():
                self._write_mark(index, files, only_new=True)

    def _numbers_on_disk(self) -> list[int]:
        """Numbers of all shards that look done, sound or not."""
        found = (number_of(path.name) for path in self.path.glob("kept-*.parquet"))
        return sorted(number for number in found if number is not None)

    def _sound_files(self, index: int, fingerprint: str) -> tuple[dict[str, str], list[str]]:
        """The files of a shard with their hashes, and what is wrong with it."""
        made_again = "this shard is made again"
        path = self.mark_path(index)
        if not path.exists():
            return {}, [f"{self.kept_path(index)}: has no mark, as before finemed had marks; {made_again}"]
        try:
            files = self._mark(index, fingerprint, made_again)
        except DamagedFileError as error:
            return {}, [str(error)]
        return files, [f"{fault}; {made_again}" for fault in self._faults(files)]

    def _mark(self, index: int, fingerprint: str | None, remedy: str) -> dict[str, str]:
        """What a mark lists.

        Raises:
            DamagedFileError: it is damaged, or that of another shard.
        """
        path = self.mark_path(index)
        mark, sealed = read_sealed(path, "fingerprint", "index", "files", remedy=remedy)
        if not sealed or by_number(mark["files"]).keys() != {index}:
            raise DamagedFileError(f"{path}: damaged (no checksum, or files that are none of this shard); {remedy}")
        if mark["index"] != index or fingerprint not in (None, mark["fingerprint"]):
            raise DamagedFileError(f"{path}: belongs to another shard, stage or build; {remedy}")
        return dict(mark["files"])

    def _faults(self, files: dict[str, str]) -> list[str]:
        """Files that are not what was written."""
        faults = []
        for name, expected in sorted(files.items()):
            try:
                self._bytes(name, expected)
            except DamagedFileError as error:
                faults.append(str(error))
        return faults

    def clean(self) -> None:
        """Removes what an interrupted write left behind in this folder."""
        remove_temporaries(self.path, [path.name.removesuffix(TEMPORARY) for path in self.path.glob("*" + TEMPORARY)])

    def has(self, index: int) -> bool:
        return index in self._listed()

    def write(self, index: int, kept: pl.DataFrame, dropped: pl.DataFrame, noted: pl.DataFrame | None = None) -> None:
        """Writes one shard; the kept rows last, so that they are never without their drops and their mark."""
        remove(self.note_path(index))
        parts = [(self.drop_path(index), dropped), (self.kept_path(index), kept)]
        if noted is not None and noted.height:
            parts.insert(1, (self.note_path(index), noted))
        files = {}
        for path, rows in parts:
            data = _encoded(rows)
            files[path.name] = hashlib.sha256(data).hexdigest()
            if path == self.kept_path(index):
                self._write_mark(index, files)
            write_atomic(path, data)
        self._listed()[index] = files

    def _write_mark(self, index: int, files: dict[str, str], *, only_new: bool = False) -> None:
        path = self.mark_path(index)
        if not (only_new and path.exists()):
            write_sealed(path, {"fingerprint": self._fingerprint, "index": index, "files": files})

    def finish(self, report: dict[str, Any]) -> dict[str, Any]:
        """Writes ``stage.json`` with the files' hashes and returns its content."""
        shards = self._listed()
        self._fingerprint = report["fingerprint"]
        for index, names in shards.items():
            self._write_mark(index, names, only_new=True)
        done = {**report, "files": {name: value for index in sorted(shards) for name, value in shards[index].items()}}
        write_sealed(self.report_path, done)
        return done

    # --- reading -----------------------------------------------------------------------------------------------------

    def finished(self, fingerprint: str, say: Say = unheard) -> dict[str, Any] | None:
        """The report of a finished stage with this fingerprint; None where there is none, or something is damaged.

        Every file is hashed. What is damaged is said; `begin` then keeps the sound shards.
        """
        if not self.report_path.exists():
            return None
        try:
            report, self.sealed = self._report()
        except DamagedFileError as error:
            self._tell(say, str(error))
            return None
        if report["fingerprint"] != fingerprint:
            return None
        shards = by_number(report["files"])
        faults = [f"{fault}; this shard is made again" for files in shards.values() for fault in self._faults(files)]
        for fault in faults:
            self._tell(say, fault)
        if faults:
            return None
        self._fingerprint, self._hashes = fingerprint, shards
        return report

    def report(self) -> dict[str, Any]:
        """What ``stage.json`` says; its shards are checked when they are read.

        Raises:
            DamagedFileError: missing or damaged.
        """
        return self._report()[0]

    def _report(self) -> tuple[dict[str, Any], bool]:
        path = self.report_path
        remedy = "`finemed build` works it out again from its shards"
        report, sealed = read_sealed(path, "fingerprint", "files", "counts", remedy=remedy)
        if not sealed and not (
            isinstance(report["fingerprint"], str)
            and is_counts(report["counts"])
            and all(is_counts(report.get(name, {})) for name in ("drops", "notes"))
            and lists_shards(report["files"])
        ):
            raise DamagedFileError(
                f"{path}: damaged (its counts or files are not of the form that was written); {remedy}"
            )
        return report, sealed

    def _listed(self) -> dict[int, dict[str, str]]:
        """The shards that may be read: those of the finished stage, or those with a mark."""
        if self._hashes is None:
            if self.report_path.exists():
                self._hashes = by_number(self.report()["files"])
            else:
                marked = [index for index in self._numbers_on_disk() if self.mark_path(index).exists()]
                self._hashes = {index: self._mark(index, None, AGAIN) for index in marked}
        return self._hashes

    def indices(self) -> list[int]:
        """Numbers of the finished shards, ascending."""
        return sorted(self._listed())

    def _bytes(self, name: str, expected: str) -> bytes:
        """A file's bytes, held against its hash.

        Raises:
            DamagedFileError: missing or changed.
        """
        data = read_bytes(self.path / name)
        if hashlib.sha256(data).hexdigest() != expected:
            raise DamagedFileError(f"{self.path / name}: changed since it was written (its SHA-256 is another)")
        return data

    def _frame(self, path: Path, index: int, schema: pl.Schema | None, columns: list[str] | None) -> pl.DataFrame:
        files = self._listed().get(index, {})
        try:
            if path.name not in files:
                raise DamagedFileError(f"{path}: not listed in {self.report_path.name} nor in its mark")
            data = self._bytes(path.name, files[path.name])
        except DamagedFileError as error:
            raise DamagedFileError(f"{error}; {AGAIN}") from None
        try:
            rows = pl.read_parquet(io.BytesIO(data), columns=columns)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise DamagedFileError(f"{path}: cannot be read ({error}); {AGAIN}") from None
        return _fitted(path, rows, schema)

    def kept(self, index: int, columns: list[str] | None = None) -> pl.DataFrame:
        """The kept rows of a shard, or some columns of them."""
        schema = self.schema if columns is None and len(self.schema) else None
        return self._frame(self.kept_path(index), index, schema, columns)

    def dropped(self, index: int) -> pl.DataFrame:
        """The dropped rows of a shard."""
        return self._frame(self.drop_path(index), index, DROP_SCHEMA, None)

    def read(self, index: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        return self.kept(index), self.dropped(index)

    def frames(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """The kept rows, shard by shard.

        Raises:
            DamagedFileError: a shard is not what was written.
        """
        for index in self.indices():
            yield index, self.kept(index)

    def drops(self) -> Iterator[pl.DataFrame]:
        """The dropped rows, shard by shard."""
        for index in self.indices():
            yield self.dropped(index)

    def notes(self) -> Iterator[pl.DataFrame]:
        """The remarks on kept rows, shard by shard; `drop_reason` holds the remark's code."""
        for index in self.indices():
            path = self.note_path(index)
            if path.name in self._listed()[index]:
                yield self._frame(path, index, DROP_SCHEMA, None)

    def _all_paths(self, index: int) -> tuple[Path, ...]:
        """The files of a shard; the kept rows first, since they tell that it is done."""
        return self.kept_path(index), self.drop_path(index), self.note_path(index), self.mark_path(index)

    def _tell(self, say: Say, fault: str) -> None:
        """Says a fault once."""
        if fault not in self._said:
            self._said.add(fault)
            say(fault)
