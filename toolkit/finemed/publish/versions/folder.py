"""A release on disk, published or not: its manifest and its data files by config and split.

::

    release = ReleaseFolder.open(Path("releases/1.0.0"))
    release.data["dpo"]["train"]          releases/1.0.0/data/dpo/train.parquet
    release.counts()["sft"]["train"]      9224, read from the files
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from finemed.errors import InputError, StoreError
from finemed.publish.pools import split_order
from finemed.records import POOLS, SPLITS
from finemed.store.atomic import plain, read_json

BATCH_ROWS = 4_000


def config_order(names: Iterable[str]) -> list[str]:
    """`sft`, its views, the other pools, then what else there is."""
    present = set(names)
    views = sorted(name for name in present - set(POOLS) if name.startswith("sft_"))
    pools = [name for name in POOLS if name in present]
    first = [name for name in pools if name == "sft"]
    listed = [*first, *views, *(name for name in pools if name != "sft")]
    return [*listed, *sorted(present - set(listed))]


@dataclass(frozen=True)
class ReleaseFolder:
    """A folder with a manifest and Parquet files."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> ReleaseFolder:
        """Opens a release.

        Raises:
            InputError: the folder holds none.
            StoreError: its manifest is damaged.
        """
        if not (path / "manifest.json").exists() or not (path / "data").is_dir():
            raise InputError(
                f"{path}: holds no release (manifest.json and data/); give the folder that `finemed build` or "
                "`finemed publish` made"
            )
        return cls(path, read_json(path / "manifest.json", "files"))

    @cached_property
    def data(self) -> dict[str, dict[str, Path]]:
        """Config -> split -> file, in the order of the card."""
        found: dict[str, dict[str, Path]] = {}
        for path in sorted((self.path / "data").glob("*/*.parquet")):
            found.setdefault(path.parent.name, {})[path.stem] = path
        ordered: dict[str, dict[str, Path]] = {}
        for config in config_order(found):
            splits = found[config]
            names = [*split_order(splits), *sorted(set(splits) - set(SPLITS))]
            ordered[config] = {split: splits[split] for split in names}
        return ordered

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by config and split, from the files' footers."""
        return {
            config: {split: footer(path).num_rows for split, path in splits.items()}
            for config, splits in self.data.items()
        }


def footer(path: Path) -> Any:
    """A Parquet file's metadata: number of rows, row groups, schema.

    Raises:
        StoreError: it is damaged.
    """
    try:
        return pq.read_metadata(plain(path))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def columns_of(path: Path) -> dict[str, str]:
    """Column -> Arrow type, in the order of the file.

    Raises:
        StoreError: it is damaged.
    """
    schema = footer(path).schema.to_arrow_schema()
    return {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}


def batches(path: Path, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Some columns of a file, part by part, so that memory holds one part.

    Raises:
        StoreError: the file is damaged.
    """
    try:
        with pq.ParquetFile(plain(path)) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a record batch makes a frame
                yield frame
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: damaged ({error}); fetch or build the release again")
