"""The output of a stage on disk: numbered pairs of Parquet files.

::

    run/stages/02-filter/begun.json            whose output this is: the stage's fingerprint
                         drop-00000.parquet    what left, with reasons (the ledger's part)
                         note-00000.parquet    remarks on kept rows, where there are any
                         kept-00000.parquet    what goes on; renamed last, so it marks the shard as done
                         stage.json            counts and hashes; written last, marks the stage as done
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import StoreError
from finemed.records import ADDED_LATER, Drop, frame_schema
from finemed.store.atomic import TEMPORARY, file_hash, read_json, remove_temporaries, write_json, write_with

DROP_SCHEMA = frame_schema(Drop)


def write_parquet(path: Path, rows: pl.DataFrame) -> None:
    """Writes a Parquet file atomically; equal rows give equal bytes."""
    write_with(path, lambda temporary: _write(temporary, rows))


def _write(path: Path, rows: pl.DataFrame) -> None:
    try:
        rows.write_parquet(path, compression="zstd", compression_level=3, statistics=True, row_group_size=50_000)
    except pl.exceptions.PolarsError as error:
        raise OSError(str(error)) from None


def read_parquet(path: Path, schema: pl.Schema | None = None) -> pl.DataFrame:
    """Reads a Parquet file that this package wrote.

    Raises:
        StoreError: damaged, or with other columns than expected.
    """
    try:
        rows = pl.read_parquet(path, memory_map=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError(f"{path}: damaged ({error}); remove its folder and run the same command again") from None
    if schema is not None and (absent := [name for name in ADDED_LATER if name in schema and name not in rows.schema]):
        nulls = [pl.lit(None, schema[name]).alias(name) for name in absent]
        rows = rows.with_columns(nulls).select(*(name for name in schema if name in {*rows.columns, *absent}))
    if schema is not None and rows.schema != schema:
        raise StoreError(f"{path}: holds {list(rows.schema)}, expected {list(schema)}; remove its folder and run again")
    return rows


def _whole(path: Path) -> bool:
    try:
        pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError):
        return False
    return True


def read_columns(path: Path, columns: list[str]) -> pl.DataFrame:
    """Reads some columns of a Parquet file that this package wrote.

    Raises:
        StoreError: damaged.
    """
    try:
        return pl.read_parquet(path, columns=columns, memory_map=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError(f"{path}: damaged ({error}); remove its folder and run the same command again") from None


@dataclass(frozen=True)
class ShardFolder:
    """The folder of one stage's output."""

    path: Path
    schema: pl.Schema

    def begin(self, fingerprint: str) -> None:
        """Makes the folder ready for this fingerprint: keeps finished shards of the same, removes those of another."""
        (self.path / "stage.json").unlink(missing_ok=True)  # first: it vouches for files that go next
        begun = self.path / "begun.json"
        if not begun.exists() or read_json(begun).get("fingerprint") != fingerprint:
            if self.path.exists():
                shutil.rmtree(self.path)
            write_json(begun, {"fingerprint": fingerprint})
        self.clean()
        for index in self.indices():
            if not (_whole(self.kept_path(index)) and _whole(self.drop_path(index))):
                self.kept_path(index).unlink(missing_ok=True)  # what a power cut left is made again
                self.drop_path(index).unlink(missing_ok=True)
                self.note_path(index).unlink(missing_ok=True)

    def clean(self) -> None:
        """Removes what an interrupted write left behind in this folder."""
        remove_temporaries(self.path, [path.name.removesuffix(TEMPORARY) for path in self.path.glob("*" + TEMPORARY)])

    def kept_path(self, index: int) -> Path:
        return self.path / f"kept-{index:05d}.parquet"

    def drop_path(self, index: int) -> Path:
        return self.path / f"drop-{index:05d}.parquet"

    def note_path(self, index: int) -> Path:
        return self.path / f"note-{index:05d}.parquet"

    def has(self, index: int) -> bool:
        return self.kept_path(index).exists() and self.drop_path(index).exists()

    def write(self, index: int, kept: pl.DataFrame, dropped: pl.DataFrame, noted: pl.DataFrame | None = None) -> None:
        """Writes one pair; the drops first, so that a kept file is never without them."""
        write_parquet(self.drop_path(index), dropped)
        if noted is not None and noted.height:
            write_parquet(self.note_path(index), noted)
        write_parquet(self.kept_path(index), kept)

    def read(self, index: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        return read_parquet(self.kept_path(index), self.schema), read_parquet(self.drop_path(index), DROP_SCHEMA)

    def indices(self) -> list[int]:
        """Numbers of the finished shards, ascending."""
        return sorted(int(path.stem.removeprefix("kept-")) for path in self.path.glob("kept-*.parquet"))

    def frames(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """The kept rows, shard by shard."""
        for index in self.indices():
            yield index, read_parquet(self.kept_path(index), self.schema)

    def drops(self) -> Iterator[pl.DataFrame]:
        """The dropped rows, shard by shard."""
        for index in self.indices():
            yield read_parquet(self.drop_path(index), DROP_SCHEMA)

    def notes(self) -> Iterator[pl.DataFrame]:
        """The remarks on kept rows, shard by shard; `drop_reason` holds the remark's code."""
        for index in self.indices():
            if self.note_path(index).exists():
                yield read_parquet(self.note_path(index), DROP_SCHEMA)

    def finish(self, report: dict[str, Any]) -> dict[str, Any]:
        """Writes ``stage.json`` with the files' hashes and returns it."""
        files = [
            path
            for index in self.indices()
            for path in (self.kept_path(index), self.drop_path(index), self.note_path(index))
        ]
        done = {**report, "files": {path.name: file_hash(path) for path in files if path.exists()}}
        write_json(self.path / "stage.json", done)
        return done

    def finished(self, fingerprint: str) -> dict[str, Any] | None:
        """The report of a finished stage with this fingerprint, or None.

        Raises:
            StoreError: a file is missing or changed.
        """
        report = self.path / "stage.json"
        if not report.exists():
            return None
        done = read_json(report, "fingerprint", "files", "counts")
        if done["fingerprint"] != fingerprint:
            return None
        for name, expected in done["files"].items():
            path = self.path / name
            if not path.exists() or file_hash(path) != expected:
                raise StoreError(
                    f"{path}: missing or changed since it was written; "
                    f"remove {self.path} and run the same command again"
                )
        return done
