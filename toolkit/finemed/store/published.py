"""The durable index of rows that were kept: what tomorrow's batch is compared with.

::

    index/passages/index.json               settings, segments and a checksum; replaced last, so it is the commit
                   segment-00001.parquet    id, text, title, language, keys, parts of the rows that one batch added

A kill in the middle of an update leaves the old index, and at most a segment that nothing names, which the next update
writes over. Rows stay in the order in which they arrived. One id may stand there with several texts: what a row says
decides whether it is there, and an id alone decides nothing.

`text` is what a build compares; `parts` are the texts that a trainer would see (`finemed dedup`), null where only the
one text is known: in rows of format 1. Each segment says in its own metadata what stood before it, so that a damaged
``index.json`` can be made again (`store.index_facts`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import StoreError
from finemed.store.atomic import file_hash, remove_temporaries, write_atomic
from finemed.store.index_facts import (
    check_folder,
    pack_metadata,
    read_facts,
    rebuilt_facts,
    segment_name,
    segment_number,
    write_facts,
)
from finemed.store.shards import read_columns, read_parquet

PARTS = pl.List(pl.Struct({"part": pl.String(), "kind": pl.String(), "text": pl.String()}))
"""The parts of a row, in their order."""


def _schema(num_bands: int) -> pl.Schema:
    return pl.Schema(
        {
            "id": pl.String(),
            "text": pl.String(),
            "title": pl.String(),
            "language": pl.String(),
            "keys": pl.Array(pl.UInt32(), 1 + num_bands),
            "parts": PARTS,
        }
    )


@dataclass(frozen=True)
class PublishedIndex:
    """An index folder; an absent one is empty."""

    path: Path
    num_bands: int
    settings: tuple[tuple[str, int], ...] = ()
    """What the keys depend on; an index that was made with others is refused, but for `keys_version`."""

    @staticmethod
    def empty(num_bands: int) -> pl.DataFrame:
        """Rows of an index without any."""
        return pl.DataFrame(schema=_schema(num_bands))

    def check(self) -> None:
        """Refuses what is no index before anything is written beside it.

        Raises:
            StoreError: damaged, made with other settings, or the path of something else.
        """
        self._segments()

    def rows(self) -> pl.DataFrame:
        """All rows in order of arrival; `keys` are null where they were made by an older version of the keys.

        Raises:
            StoreError: damaged, or made with other settings.
        """
        found = []
        schema = _schema(self.num_bands)
        for segment in self._segments():
            path = self.path / segment["name"]
            if not path.is_file() or file_hash(path) != segment["hash"]:
                raise StoreError(
                    f"{path}: missing or changed since it was written; restore the folder from a copy, or remove it "
                    "and index the published rows again"
                )
            rows = read_parquet(path)
            if "parts" not in rows.columns:
                rows = rows.with_columns(pl.lit(None, PARTS).alias("parts"))
            if rows.schema != schema or rows.height != segment["rows"]:
                raise StoreError(
                    f"{path}: holds {rows.height} rows of {list(rows.schema)}, expected {segment['rows']} of "
                    f"{list(schema)}; restore the folder from a copy"
                )
            if segment["keys_version"] != self._keys_version:
                rows = rows.with_columns(pl.lit(None, schema["keys"]).alias("keys"))
            found.append(rows)
        return pl.concat(found, rechunk=True) if found else self.empty(self.num_bands)

    def append(self, rows: pl.DataFrame) -> None:
        """Adds the kept rows of a batch; those that are there already, with the same id and text, are left out."""
        schema = _schema(self.num_bands)
        if "parts" not in rows.columns:
            rows = rows.with_columns(pl.lit(None, PARTS).alias("parts"))
        segments = self._segments()
        fresh = rows.select(list(schema))
        for segment in segments:
            fresh = fresh.filter(~self._among(fresh, self.path / segment["name"]))
        if fresh.height:
            self._commit(segments, fresh)

    def remove(self, ids: pl.Series) -> int:
        """Takes rows out for good, such as retracted ones; returns how many there were."""
        rows = self.rows()
        left = rows.filter(~pl.col("id").is_in(ids.implode()))
        if left.height < rows.height:
            old = self._segments()
            versions = {segment["keys_version"] for segment in old}
            self._commit([], left, after=old, keys_version=versions.pop() if len(versions) == 1 else None)
            for segment in old:
                (self.path / segment["name"]).unlink(missing_ok=True)
        return rows.height - left.height

    def rebuild(self) -> int:
        """Makes a damaged or missing ``index.json`` again from the segments; how many there are.

        Raises:
            StoreError: the segments do not say enough, or are damaged themselves.
        """
        settings, segments = rebuilt_facts(self.path, self._expected)
        write_facts(self.path, settings, segments)
        self.check()
        return len(segments)

    def content_hash(self) -> str | None:
        """Identity of all rows; None for an empty index."""
        return ",".join(segment["hash"] for segment in self._segments()) or None

    @property
    def _expected(self) -> dict[str, int]:
        return {"num_bands": self.num_bands, **dict(self.settings)}

    @property
    def _keys_version(self) -> int:
        return dict(self.settings).get("keys_version", 0)

    def _segments(self) -> list[dict[str, Any]]:
        if not check_folder(self.path):
            return []
        settings, segments = read_facts(self.path / "index.json")
        made, now = ({**each, "keys_version": 0} for each in (settings, self._expected))
        if made != now:
            raise StoreError(
                f"{self.path / 'index.json'}: made with {settings}, the settings now are {self._expected}; set them as "
                "they were, or name an index that does not exist yet and index the published rows again"
            )
        return segments

    def _among(self, rows: pl.DataFrame, path: Path) -> pl.Series:
        """Which rows a segment holds, with the same id and the same text; texts are read where an id is there."""
        known = rows["id"].is_in(read_columns(path, ["id"])["id"].implode())
        if not known.any():
            return known
        stored = read_parquet(path)
        if "parts" not in stored.columns:
            stored = stored.with_columns(pl.lit(None, PARTS).alias("parts"))
        same = set(said(stored.filter(stored["id"].is_in(rows["id"].implode()))))
        return pl.Series([each in same for each in said(rows)], dtype=pl.Boolean())

    def _commit(
        self,
        segments: Sequence[dict[str, Any]],
        rows: pl.DataFrame,
        after: Sequence[dict[str, Any]] = (),
        keys_version: int | None = None,
    ) -> None:
        if not (self.path / "index.json").exists():
            write_facts(self.path, self._expected, [])  # first: a kill leaves no segment without it
        name = segment_name(1 + max((segment_number(each["name"]) for each in (*segments, *after)), default=0))
        remove_temporaries(self.path, [name, "index.json"])
        version = self._keys_version if keys_version is None else keys_version
        metadata = pack_metadata(self._expected, list(segments), version)
        write_atomic(self.path / name, _encoded(rows, metadata))
        added = {
            "name": name,
            "rows": rows.height,
            "hash": file_hash(self.path / name),
            "keys_version": version,
        }
        write_facts(self.path, self._expected, [*segments, added])


def said(rows: pl.DataFrame) -> list[tuple[str, object]]:
    """Id and text of rows of an index, or id and parts where there are any: two rows are the same if these are."""
    parts = [None if own is None else tuple((each["part"], each["text"]) for each in own) for own in rows["parts"]]
    return [
        (row_id, text if own is None else own)
        for row_id, text, own in zip(rows["id"].to_list(), rows["text"].to_list(), parts, strict=True)
    ]


def _encoded(rows: pl.DataFrame, metadata: dict[str, str]) -> bytes:
    """The Parquet file of a segment; equal rows and metadata give equal bytes."""
    buffer = io.BytesIO()
    rows.write_parquet(
        buffer, compression="zstd", compression_level=3, statistics=True, row_group_size=50_000, metadata=metadata
    )
    return buffer.getvalue()
