"""Rows that earlier versions of a dataset published: where each of them was, and its texts.

::

    earlier = EarlierRows((EarlierVersion("1.0.0", Path("releases/1.0.0"), "9f86d0..."),))
    for batch in earlier.texts("question"): ...     # texts, side, file, number of the first row
    earlier.name(0, 16)                             # "row s3f0... of sft/train in 1.0.0"

A row's *side* is its split, and whether it is in `ttt`: rows of two sides must not be alike. The pools `sft`,
`sft_reasoning` and `dpo` are one side, since the same question may move between them. Nothing but the rows' files is
read; a folder that `finemed publish --to` made, or one that was fetched from the Hub, looks the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.config import stable_hash
from finemed.errors import StoreError
from finemed.records import POOLS, SPLITS
from finemed.store.atomic import file_hash, plain

SIDES = (*SPLITS, *(f"ttt/{split}" for split in SPLITS))
"""Names of the sides, by their numbers."""
_TEXTS: dict[str, dict[str, tuple[str, ...]]] = {
    "question": dict.fromkeys(POOLS, ("prompt",)),
    "answer": {pool: ("chosen", "rejected") if pool == "dpo" else ("completion",) for pool in POOLS},
}
_BATCH = 4000


class EarlierTexts(NamedTuple):
    """Texts of one file and column; `rows` are their places in the file."""

    texts: pl.Series
    side: int
    file: int
    rows: npt.NDArray[np.int32]


class Earlier(Protocol):
    """Earlier rows, wherever they are."""

    @property
    def content_hash(self) -> str:
        """Hash of everything that is read of them."""

    def texts(self, kind: str) -> Iterator[EarlierTexts]:
        """All texts of a kind, each once for a side; the same again at every call."""

    def keys(self, column: str) -> pl.DataFrame | None:
        """Values of an id column, each once for a side: `value`, `side`, `file`, `row`; None where it has no such."""

    def name(self, file: int, row: int) -> str:
        """How a message names a row."""

    def facts(self) -> dict[str, Any]:
        """What is read, for the manifest."""


def side_of(pool: str, split: str) -> int:
    """Number of the side of a pool's split."""
    return SPLITS.index(split) + len(SPLITS) * (pool == "ttt")


@dataclass(frozen=True)
class EarlierVersion:
    """One version's folder."""

    version: str
    folder: Path
    release_hash: str

    @cached_property
    def files(self) -> list[tuple[str, str, Path]]:
        """(pool, split, path) of every file of a pool."""
        found = [(pool, split, self.folder / "data" / pool / f"{split}.parquet") for pool in POOLS for split in SPLITS]
        return [(pool, split, path) for pool, split, path in found if path.is_file()]


@dataclass(frozen=True)
class EarlierRows:
    """All earlier versions, ascending."""

    versions: tuple[EarlierVersion, ...]
    reshuffled: str | None = None
    """The version from which on splits hold, where a later version than the first one reshuffled them."""

    @cached_property
    def files(self) -> list[tuple[EarlierVersion, str, str, Path]]:
        return [(version, *file) for version in self.versions for file in version.files]

    @cached_property
    def content_hash(self) -> str:
        return stable_hash([[held.version, pool, split, file_hash(path)] for held, pool, split, path in self.files])

    def texts(self, kind: str) -> Iterator[EarlierTexts]:
        seen = [np.zeros(0, dtype=np.uint64) for _ in SIDES]
        for number, (_, pool, split, path) in enumerate(self.files):
            side = side_of(pool, split)
            for column in _TEXTS[kind][pool]:
                texts = _last_turns(path, column)
                marks = texts.hash(seed=3).to_numpy()
                _, first = np.unique(marks, return_index=True)
                fresh = np.sort(first[~np.isin(marks[first], seen[side])])
                seen[side] = np.concatenate([seen[side], marks[fresh]])
                for start in range(0, fresh.size, _BATCH):
                    rows = fresh[start : start + _BATCH]
                    yield EarlierTexts(texts.gather(rows), side, number, rows.astype(np.int32))

    def keys(self, column: str) -> pl.DataFrame | None:
        parts = []
        for number, (_, pool, split, path) in enumerate(self.files):
            if column in _schema(path):
                own = _read(path, [column]).select(
                    pl.col(column).alias("value"),
                    pl.lit(side_of(pool, split), pl.Int8()).alias("side"),
                    pl.lit(number, pl.Int32()).alias("file"),
                    pl.int_range(pl.len(), dtype=pl.Int32()).alias("row"),
                )
                parts.append(own.drop_nulls("value").unique(["value", "side"], keep="first", maintain_order=True))
        if not parts:
            return None
        return pl.concat(parts).unique(["value", "side"], keep="first", maintain_order=True)

    def name(self, file: int, row: int) -> str:
        version, pool, split, path = self.files[file]
        ids = _ids(path)
        return f"row {row + 1 if ids is None else ids[row]} of {pool}/{split} in {version.version}"

    def facts(self) -> dict[str, Any]:
        rows = {held.version: 0 for held in self.versions}
        for version, _, _, path in self.files:
            rows[version.version] += _rows(path)
        found: dict[str, Any] = {
            "versions": [
                {"version": held.version, "release_hash": held.release_hash, "rows": rows[held.version]}
                for held in self.versions
            ]
        }
        return found | ({"reshuffled": self.reshuffled} if self.reshuffled else {})


def _last_turns(path: Path, column: str) -> pl.Series:
    """What the last message of a column says, row by row."""
    if column not in _schema(path):
        raise StoreError(
            f"{path}: has no column `{column}`, so its rows cannot be told from new ones; restore the version, or take "
            "its folder out"
        )
    turns = _read(path, [column])[column]
    if turns.dtype == pl.String():
        return turns.fill_null("")
    return turns.list.last().struct.field("content").fill_null("")


def _schema(path: Path) -> pl.Schema:
    try:
        return pl.scan_parquet(plain(path), glob=False).collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, error) from None


@lru_cache(maxsize=24)
def _ids(path: Path) -> pl.Series | None:
    return _read(path, ["id"])["id"] if "id" in _schema(path) else None


def _rows(path: Path) -> int:
    try:
        return int(pl.scan_parquet(plain(path), glob=False).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, error) from None


def _read(path: Path, columns: list[str]) -> pl.DataFrame:
    try:
        return pl.read_parquet(plain(path), columns=columns, memory_map=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: damaged ({' '.join(str(error).split())[:200]}); restore this version from a copy")
