"""How one config differs between two releases: rows by id, columns, splits, mean scores.

Ids of both sides are held at once, values never: each column is read on its own, part by part, and kept as one 64-bit
hash a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finemed.errors import InputError
from finemed.publish.pools import pool_of
from finemed.publish.versions.folder import batches, columns_of, footer
from finemed.records.counts import how_many
from finemed.store.atomic import file_hash

SCORES = ("quality", "complexity", "relevance", "response_score", "chosen_score", "rejected_score")
EXAMPLES = 5
SPLIT = "split"
"""What `changed_columns` calls a row that moved to another split."""

Files = dict[str, Path]


@dataclass(frozen=True)
class ConfigDiff:
    """One config of the old release beside the same of the new one; a side that lacks it has no rows."""

    config: str
    old_rows: dict[str, int]
    """Split -> rows."""
    new_rows: dict[str, int]
    added: int = 0
    removed: int = 0
    changed: int = 0
    changed_columns: dict[str, int] = field(default_factory=dict)
    """Column -> rows in which it differs; `split` where the row moved."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """`added`, `removed`, `changed` -> the smallest ids."""
    columns_added: dict[str, str] = field(default_factory=dict)
    columns_removed: dict[str, str] = field(default_factory=dict)
    columns_retyped: dict[str, tuple[str, str]] = field(default_factory=dict)
    scores: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Score -> its mean in the old and the new release."""
    same_files: bool = False
    """Whether all files are equal byte for byte."""

    @property
    def is_new(self) -> bool:
        return not self.old_rows

    @property
    def is_gone(self) -> bool:
        return not self.new_rows

    @property
    def splits_added(self) -> list[str]:
        return [split for split in self.new_rows if split not in self.old_rows]

    @property
    def splits_removed(self) -> list[str]:
        return [split for split in self.old_rows if split not in self.new_rows]

    @property
    def breaks(self) -> bool:
        """Whether who reads the columns, or loads by name, must look again; a view's splits follow its few rows."""
        lost = self.splits_removed and pool_of(self.config) == self.config
        return self.is_gone or (not self.is_new and bool(self.columns_differ or lost))

    @property
    def rows_differ(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def only_bytes_differ(self) -> bool:
        """Whether the rows are the same in another order, or written another way."""
        same_splits = self.old_rows.keys() == self.new_rows.keys()
        return same_splits and not (self.same_files or self.rows_differ or self.columns_differ)

    @property
    def columns_differ(self) -> bool:
        return bool(self.columns_added or self.columns_removed or self.columns_retyped)


def diff_config(config: str, old: Files, new: Files) -> ConfigDiff:
    """Compares the files of a config.

    Raises:
        InputError: a file has no column `id`, or an id twice.
        StoreError: a file is damaged.
    """
    old_rows = {split: footer(path).num_rows for split, path in old.items()}
    new_rows = {split: footer(path).num_rows for split, path in new.items()}
    scores = {name: (_mean(old, name), _mean(new, name)) for name in SCORES if _has(old, name) or _has(new, name)}
    if list(old) == list(new) and all(file_hash(old[split]) == file_hash(new[split]) for split in old):
        return ConfigDiff(config, old_rows, new_rows, scores=scores, same_files=True)
    splits = pl.Enum(sorted({*old, *new}))
    before, after = _ids(old, splits), _ids(new, splits)
    added = after.join(before, on="id", how="anti")["id"]
    removed = before.join(after, on="id", how="anti")["id"]
    columns = _columns(old, new) if old and new else _Columns()
    both = before.join(after, on="id", how="inner", suffix="_new").select("id", "split", "split_new", "row", "row_new")
    differing = _compare(both, old, new, columns.same) if old and new else {}
    anywhere: NDArray[np.bool_] = np.logical_or.reduce(
        [np.zeros(both.height, dtype=np.bool_), *differing.values()], axis=0
    )
    changed = both.filter(pl.Series(anywhere))["id"]
    found = {"added": added, "removed": removed, "changed": changed}
    return ConfigDiff(
        config,
        old_rows,
        new_rows,
        added.len(),
        removed.len(),
        changed.len(),
        {name: count for name, rows in sorted(differing.items()) if (count := int(rows.sum()))},
        {name: ids.sort().head(EXAMPLES).to_list() for name, ids in found.items() if ids.len()},
        columns.added,
        columns.removed,
        columns.retyped,
        scores,
    )


def _ids(files: Files, splits: pl.Enum) -> pl.DataFrame:
    """Id, split and number of every row, splits one after the other."""
    parts = [pl.DataFrame(schema=pl.Schema({"id": pl.String(), "split": splits}))]
    for split, path in files.items():
        if columns_of(path).get("id") not in ("string", "large_string"):
            raise InputError(f"{path}: has no text column `id`, by which rows are compared")
        parts += [part.select("id", pl.lit(split, splits).alias("split")) for part in batches(path, ["id"])]
    rows = pl.concat(parts, rechunk=True).with_row_index("row")
    doubled = rows.filter(pl.col("id").is_duplicated() | pl.col("id").is_null())["id"]
    if doubled.len():
        place = next(iter(files.values())).parent
        raise InputError(
            f"{place}: {how_many(doubled.len(), 'row has', 'rows have')} an id that is empty or occurs twice, such "
            f"as {doubled[0]!r}; rows "
            "cannot be compared by it: `finemed validate` names them"
        )
    return rows


@dataclass
class _Columns:
    """What became of the columns."""

    added: dict[str, str] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)
    retyped: dict[str, tuple[str, str]] = field(default_factory=dict)
    same: list[str] = field(default_factory=list)


def _columns(old: Files, new: Files) -> _Columns:
    before = {name: kind for path in old.values() for name, kind in columns_of(path).items()}
    after = {name: kind for path in new.values() for name, kind in columns_of(path).items()}
    shared = [name for name in before if name in after and name != "id"]
    return _Columns(
        {name: kind for name, kind in after.items() if name not in before},
        {name: kind for name, kind in before.items() if name not in after},
        {name: (before[name], after[name]) for name in shared if before[name] != after[name]},
        [name for name in shared if before[name] == after[name]],
    )


def _compare(both: pl.DataFrame, old: Files, new: Files, columns: list[str]) -> dict[str, NDArray[np.bool_]]:
    """Column -> in which of the rows that both sides have it differs."""
    differing = {SPLIT: (both["split"] != both["split_new"]).to_numpy()}
    before, after = both["row"].to_numpy(), both["row_new"].to_numpy()
    for name in columns:
        rows = _hashes(old, name)[before] != _hashes(new, name)[after]
        differing[name] = differing[name] | rows if name in differing else rows
    return differing


def _hashes(files: Files, column: str) -> NDArray[np.uint64]:
    parts = [part[column].hash().to_numpy() for path in files.values() for part in batches(path, [column])]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


def _has(files: Files, column: str) -> bool:
    return any(columns_of(path).get(column) in ("int64", "double", "float", "int32") for path in files.values())


def _mean(files: Files, column: str) -> float | None:
    if not _has(files, column):
        return None
    total, count = 0.0, 0
    for path in files.values():
        for part in batches(path, [column]):
            total += float(part[column].sum())
            count += part.height - part[column].null_count()
    return round(total / count, 4) if count else None
