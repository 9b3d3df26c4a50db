"""Pooled samples as published rows, and the files that hold them.

::

    release/data/sft/train.parquet              ChatRow: messages, prompt/completion, scores, provenance
    release/data/sft_internal_medicine/...      the same rows and ids, one department
    release/data/dpo/train.parquet              PreferenceRow: prompt, chosen, rejected
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from finemed.errors import ConfigError, StoreError
from finemed.records import EXTRACTIVE_NOTICE, POOLS, PUBLISHED, SPLITS, Origin, frame_schema
from finemed.records.extra import unpack
from finemed.taxonomy import Taxonomy

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_SPANS = pl.List(pl.Struct({"start": pl.Int64(), "end": pl.Int64()}))
_ARROW: dict[Any, pa.DataType] = {
    pl.String(): pa.string(),
    pl.Int64(): pa.int64(),
    pl.Float64(): pa.float64(),
    pl.Boolean(): pa.bool_(),
    _SPANS: pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())])),
}


Extra = Mapping[str, Mapping[str, Any]]
"""The sources' own columns as a manifest's `extra_columns` has them: name -> `type`, `sources`, `description`."""
EXTRA_ARROW = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}


def arrow_schema(config: str, extra: Extra | None = None) -> pa.Schema:
    """The Arrow schema of a config's files: plain types that every reader knows, what trainers read first.

    Args:
        config: a pool or a view.
        extra: the sources' own columns, which come last, by name.
    """
    fields = frame_schema(PUBLISHED[pool_of(config)])
    names = sorted(fields, key=lambda name: name in Origin.model_fields)
    own = [(name, EXTRA_ARROW[told["type"]]) for name, told in sorted((extra or {}).items())]
    return pa.schema([*((name, _ARROW.get(fields[name], pa.list_(_MESSAGE))) for name in names), *own])


def pool_of(config: str) -> str:
    """The pool that a config shows: itself, or `sft` for a department view."""
    return config if config in POOLS else "sft"


def view_names(taxonomy: Taxonomy) -> dict[str, str]:
    """Department label -> name of its view, such as ``sft_internal_medicine``."""
    return {department.label: view_name(department.id) for department in taxonomy.departments}


def view_name(department: str) -> str:
    """The view of a department's id, such as ``sft_internal_medicine``."""
    return f"sft_{department.replace('-', '_')}"


def refuse_colliding_views(taxonomy: Taxonomy) -> None:
    """A department's view must not take a pool's name.

    Raises:
        ConfigError: it does.
    """
    for label, name in view_names(taxonomy).items():
        if name in POOLS:
            raise ConfigError(f"taxonomy: department `{label}` would make the view `{name}`, a pool; change its id")


def config_names(taxonomy: Taxonomy) -> list[str]:
    """All configs in the order of the card: `sft`, its views, the other pools."""
    return ["sft", *view_names(taxonomy).values(), *(pool for pool in POOLS if pool != "sft")]


def _turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def published_row(sample: dict[str, Any], extra: Extra | None = None) -> dict[str, Any]:
    """One pooled sample as the row that its pool publishes, with the sources' own columns."""
    notice = EXTRACTIVE_NOTICE if sample["extractive"] else None
    origin = {name: notice if name == "notice" else sample[name] for name in Origin.model_fields}
    origin |= unpack(sample["extra"], extra or ())
    question = [_turn("user", sample["instruction"])]
    long_id = sample["reasoning_id"]
    if sample["pool"] == "dpo":
        return {
            **origin,
            "id": sample["row_id"],
            "prompt": question,
            "chosen": [_turn("assistant", sample["reasoning"])],
            "rejected": [_turn("assistant", sample["response"])],
            "chosen_id": long_id,
            "rejected_id": sample["response_id"],
            "chosen_spans": sample["reasoning_spans"],
            "rejected_spans": sample["answer_spans"],
            "chosen_model": sample["reasoning_model"],
            "rejected_model": sample["model_name"],
            "chosen_score": sample["reasoning_score"],
            "rejected_score": sample["response_score"],
        }
    long = sample["pool"] != "sft"
    answer = sample["reasoning"] if long else sample["response"]
    completion = [_turn("assistant", answer)]
    return {
        **origin,
        "id": sample["row_id"],
        "messages": question + completion,
        "prompt": question,
        "completion": completion,
        "instruction": sample["instruction"],
        "response": answer,
        "response_id": long_id if long else sample["response_id"],
        "answer_spans": sample["reasoning_spans"] if long else sample["answer_spans"],
        "response_score": sample["reasoning_score"] if long else sample["response_score"],
        "model_name": sample["reasoning_model"] if long else sample["model_name"],
        "response_prompt": sample["reasoning_prompt"] if long else sample["response_prompt"],
    }


def placed_rows(
    shards: Iterator[pl.DataFrame], taxonomy: Taxonomy, extra: Extra | None = None
) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """(config, split, published rows) shard by shard; a row of `sft` comes again in its department's view."""
    views = view_names(taxonomy)
    for shard in shards:
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for sample in shard.iter_rows(named=True):
            row = published_row(sample, extra)
            groups.setdefault((sample["pool"], sample["split"]), []).append(row)
            if sample["pool"] == "sft" and sample["department"] in views:
                groups.setdefault((views[sample["department"]], sample["split"]), []).append(row)
        for (config, split), rows in sorted(groups.items()):
            yield config, split, rows


class PoolFiles:
    """Writes all configs and splits at once, one row group per shard, so that memory holds one shard.

    A split without rows gets no file: `datasets` refuses to load an empty one.
    """

    def __init__(self, folder: Path, extra: Extra | None = None) -> None:
        self._folder = folder
        self._extra = extra
        self._writers: dict[tuple[str, str], pq.ParquetWriter] = {}
        self.rows: dict[str, dict[str, int]] = {}

    def __enter__(self) -> PoolFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()

    def write(self, config: str, split: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
        """Appends rows to a file; the rows as they stand there.

        Raises:
            StoreError: the file cannot be written.
        """
        try:
            table = pa.Table.from_pylist(rows, schema=arrow_schema(config, self._extra))
            self._writer(config, split).write_table(table)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{self._folder / config}: cannot write {split}: {error}") from None
        counts = self.rows.setdefault(config, {})
        counts[split] = counts.get(split, 0) + len(rows)
        return pl.DataFrame(pl.from_arrow(table))

    def _writer(self, config: str, split: str) -> pq.ParquetWriter:
        if (config, split) not in self._writers:
            path = self._folder / config / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            schema = arrow_schema(config, self._extra)
            self._writers[config, split] = pq.ParquetWriter(path, schema, compression="zstd")
        return self._writers[config, split]


def split_order(splits: dict[str, Any]) -> list[str]:
    """The splits that exist, in their usual order."""
    return [split for split in SPLITS if split in splits]
