"""Earlier splits of anybody's table, as files: what `finemed split --previous FOLDER` holds new rows against.

::

    splits/train.parquet  test.parquet                  one version, as `finemed split --out` wrote it
    versions/2024/train.jsonl  versions/2025/...        several, a folder each
    earlier = EarlierTables.find("versions", read)

`read` gives the texts of a file by kind (`question`, `answer`) and its groups (`_group`), as for the new table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from finemed.config import stable_hash
from finemed.errors import InputError
from finemed.records import SPLITS
from finemed.store.atomic import file_hash
from finemed.store.earlier import SIDES, Earlier, EarlierTexts

ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json", ".csv")
Read = Callable[[Path], dict[str, pl.DataFrame]]
"""The texts of a file by kind: `value`, and `row`, its place in the file."""
_APART = 1_000_000
"""Files of one collection are numbered below this."""


@dataclass(frozen=True)
class EarlierTables:
    """Files named after their splits, version by version."""

    files: tuple[tuple[str, str, Path], ...]
    """(version, split, path), ascending by the version's name."""
    read: Read

    @classmethod
    def find(cls, name: str, read: Read) -> EarlierTables | None:
        """The split files of a folder, or of the folders in it; None where there are none."""
        folder = Path(name)
        if not folder.is_dir():
            return None
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        found = [(at.name, path.stem, path) for at in (folder, *inside) for path in _split_files(at)]
        return cls(tuple(found), read) if found else None

    @cached_property
    def content_hash(self) -> str:
        return stable_hash([[version, split, file_hash(path)] for version, split, path in self.files])

    def texts(self, kind: str) -> Iterator[EarlierTexts]:
        seen = [np.zeros(0, dtype=np.uint64) for _ in SIDES]
        for number, (_, split, _) in enumerate(self.files):
            held = self._columns(number).get(kind)
            if held is None or held.is_empty():
                continue
            texts = held["value"]
            side = SPLITS.index(split)
            marks = texts.hash(seed=3).to_numpy()
            _, first = np.unique(marks, return_index=True)
            fresh = np.sort(first[~np.isin(marks[first], seen[side])])
            seen[side] = np.concatenate([seen[side], marks[fresh]])
            if fresh.size:
                rows = held["row"].gather(fresh).to_numpy().astype(np.int32)
                yield EarlierTexts(texts.gather(fresh), side, number, rows)

    def keys(self, column: str) -> pl.DataFrame | None:
        parts = []
        for number, (_, split, _) in enumerate(self.files):
            values = self._columns(number).get(column)
            if values is not None:
                own = values.select(
                    "value",
                    pl.lit(SPLITS.index(split), pl.Int8()).alias("side"),
                    pl.lit(number, pl.Int32()).alias("file"),
                    pl.col("row").cast(pl.Int32()),
                )
                parts.append(own.drop_nulls("value"))
        return pl.concat(parts).unique(["value", "side"], keep="first", maintain_order=True) if parts else None

    def name(self, file: int, row: int) -> str:
        version, _, path = self.files[file]
        return f"row {row + 1} of {version}/{path.name}"

    def facts(self) -> dict[str, Any]:
        return {
            "versions": [
                {"version": version, "split": split, "file": path.name, "hash": file_hash(path)}
                for version, split, path in self.files
            ]
        }

    def _columns(self, number: int) -> dict[str, pl.DataFrame]:
        return self.read(self.files[number][2])


@dataclass(frozen=True)
class Several:
    """Earlier rows of several places."""

    parts: tuple[Earlier, ...]

    @property
    def content_hash(self) -> str:
        return stable_hash([part.content_hash for part in self.parts])

    def texts(self, kind: str) -> Iterator[EarlierTexts]:
        for number, part in enumerate(self.parts):
            for batch in part.texts(kind):
                yield batch._replace(file=batch.file + _APART * number)

    def keys(self, column: str) -> pl.DataFrame | None:
        found = [part.keys(column) for part in self.parts]
        known = [
            frame.with_columns(pl.col("file") + _APART * number)
            for number, frame in enumerate(found)
            if frame is not None
        ]
        return pl.concat(known).unique(["value", "side"], keep="first", maintain_order=True) if known else None

    def name(self, file: int, row: int) -> str:
        return self.parts[file // _APART].name(file % _APART, row)

    def facts(self) -> dict[str, Any]:
        return {"versions": [version for part in self.parts for version in part.facts()["versions"]]}


def together(parts: Sequence[Earlier]) -> Earlier | None:
    """All earlier rows as one; None where there are none."""
    return Several(tuple(parts)) if len(parts) > 1 else next(iter(parts), None)


def _split_files(folder: Path) -> list[Path]:
    found = [folder / f"{split}{ending}" for split in SPLITS for ending in ENDINGS]
    there = [path for path in found if path.is_file()]
    for split in SPLITS:
        same = [path.name for path in there if path.stem == split]
        if len(same) > 1:
            raise InputError(f"{folder}: has {' and '.join(same)}; keep one file for a split")
    return there
