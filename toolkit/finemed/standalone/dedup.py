"""``finemed dedup``: removes repeats from any file.

::

    found = dedup_table(open_table("train.parquet"), DedupConfig())
    found.result.dropped["r17"]    ->  Repeat(keeper="r3", similarity=0.93, reason="near_duplicate")

Every part that a trainer would see is compared by itself (`standalone.repeats`); why one row goes or stays is told by
`standalone.dedup_explain`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from finemed.config import DedupConfig
from finemed.errors import ConfigError
from finemed.llm.encoder import Encoder
from finemed.records import Drop, LedgerRow, frame
from finemed.records.counts import how_many
from finemed.sources.part_columns import own_column
from finemed.sources.part_names import Kind
from finemed.sources.parts import column_of
from finemed.stages.dedup import COLUMNS, DedupResult, Repeat, Variant, index_at
from finemed.stages.loss import check_loss
from finemed.stages.semantic import encoder_of
from finemed.standalone.dedup_semantic import drop_paraphrases
from finemed.standalone.reading import quarantined, read_summary
from finemed.standalone.repeats import PartRepeats, PartRows, find_repeats
from finemed.standalone.table import Table
from finemed.store.atomic import locked
from finemed.store.published import PARTS, PublishedIndex, said

UNNAMED = "text"
"""The part that a row of an index has whose part nobody named: one of a build, or of the first format."""


@dataclass(frozen=True)
class TableDedup:
    """A table with what dedup made of it."""

    table: Table
    rows: PartRows
    """As dedup compared them: those of the index first, then the table's; rows that the index holds have no parts."""
    config: DedupConfig
    result: DedupResult
    repeats: PartRepeats
    index_ids: list[str]
    """Ids of the index's rows."""
    there: frozenset[str]
    """Rows of the table that the index holds already."""
    not_comparable: int = 0
    """Rows of the index that have other parts than any row of the table."""

    @property
    def keep(self) -> pl.Series:
        """Whether each row stays, in the table's order."""
        gone = pl.Series(list(self.result.dropped), dtype=pl.String())
        return ~self.table.ids.is_in(gone.implode())

    def ledger(self) -> pl.DataFrame:
        """The rows that go, in their order, as in a run's ledger; then the lines that could not be read."""
        gone = self.result.dropped
        rows = [
            {"row_id": row_id, "drop_reason": gone[row_id].reason, "detail": gone[row_id].detail, "stage": "dedup"}
            for row_id in self.table.ids
            if row_id in gone
        ]
        return frame(LedgerRow, rows + quarantined(self.table, "dedup"))

    def notes(self) -> pl.DataFrame:
        """The clinical variants that stay, in their order: `row_id`, remark and detail."""
        kept = self.result.variants
        rows = [
            {"row_id": row_id, "drop_reason": "clinical_variant", "detail": kept[row_id].detail}
            for row_id in self.table.ids
            if row_id in kept
        ]
        return frame(Drop, rows).rename({"drop_reason": "remark"})

    def summary(self) -> dict[str, Any]:
        """Counts as JSON values."""
        reasons = Counter(found.reason for found in self.result.dropped.values())
        return {
            **read_summary(self.table),
            "kept": self.table.height - len(self.result.dropped),
            "dropped": dict(sorted(reasons.items())),
            "clinical_variants": len(self.result.variants),
            "already_indexed": self.result.published,
            "not_comparable": self.not_comparable,
            "shared_texts": self.repeats.shared,
            "compared": self.result.compared,
            "not_compared": self.result.not_compared,
        }


def dedup_table(
    table: Table,
    config: DedupConfig,
    *,
    title: str | None = None,
    quality: str | None = None,
    source: str | None = None,
    base: Path = Path(),
    update: bool = False,
    limits: bool = True,
) -> TableDedup:
    """Finds the repeats of a table.

    Args:
        table: the rows.
        config: thresholds; `index` names a folder below `base`.
        title: column that names what a row is about, for the clinical guard.
        quality: column of numbers; of two repeats the higher stays.
        source: column of groups, none of which may lose more than `max_source_loss`.
        base: folder that paths of the settings start from.
        update: add the kept rows to the index.
        limits: fail where a group loses too much; without, such a result can be looked at.

    Raises:
        FineMedError: a column is missing, a group loses too much, the index is damaged or in use.
    """
    rows = _columns(table, title, quality, source)
    table = table.set_aside([title, quality, source])
    encoder = encoder_of(config.semantic, base) if config.semantic else None
    index = index_at(base / config.index, config) if config.index else None
    if index:
        index.check()  # before a lock file is left in a folder of something else
    with locked(index.path) if index and update else nullcontext():
        found = _dedup(table, rows, config, index, encoder)
        if limits:
            check_loss("dedup", rows, found.result.dropped, config)
        if index and update:
            index.append(_for_index(found))
    return found


def _columns(table: Table, title: str | None, quality: str | None, source: str | None) -> pl.DataFrame:
    """What decides beside the parts; a frame of the stage's `COLUMNS` without texts."""
    none = pl.repeat(None, table.height, dtype=pl.String(), eager=True)
    language = table.column("language", "language") if "language" in table.columns else none
    given = table.column(quality, "--quality")
    return pl.DataFrame(
        {
            "id": table.ids,
            "text": none,
            "title": none if title is None else table.column(title, "--title"),
            "language": language,
            "quality": none.cast(pl.Int64) if given is None else _ranks(given),
            "source": none if source is None else table.column(source, "--source"),
            "node": none,
        },
        schema=COLUMNS,
    )


def _ranks(given: pl.Series) -> pl.Series:
    """Whole numbers in the order of the values; what is no number comes last."""
    return given.cast(pl.Float64(), strict=False).fill_nan(None).rank("dense").fill_null(0).cast(pl.Int64)


def _dedup(
    table: Table, columns: pl.DataFrame, config: DedupConfig, index: PublishedIndex | None, encoder: Encoder | None
) -> TableDedup:
    before = index.rows() if index else PublishedIndex.empty(config.num_bands)
    known = before.height
    if index:
        table = _as_indexed(table, before)
    old = _old_parts(before, table)
    there = _already(before, table) if index else np.zeros(table.height, dtype=bool)
    taken = columns.with_columns(pl.Series("#there", there)).with_row_index("#row")
    order = taken.filter(~pl.col("#there")).sort(
        pl.col("quality").fill_null(0), "id", descending=[True, False], maintain_order=True
    )["#row"]
    own = table.parts.filter(~pl.Series(there).gather(table.parts["row"])) if there.any() else table.parts
    rows = PartRows(
        pl.concat([old, own.select(pl.col("row").cast(pl.Int64()) + known, "part", "kind", "text")]),
        pl.concat([before["title"], columns["title"]]),
        pl.concat([before["language"], columns["language"]]),
        known,
        np.concatenate([np.arange(known), order.to_numpy().astype(np.int64) + known]),
    )
    stored = before.select("text", "keys").drop_nulls() if index else None
    found = find_repeats(rows, config, stored)
    ids = pl.concat([before["id"], table.ids]).to_list()
    clash = set(ids[:known]) & set(ids[known:])
    names = [f"{row_id} in the index" if row_id in clash else row_id for row_id in ids[:known]] + ids[known:]
    result = DedupResult(rows=table.height, published=int(there.sum()))
    for row in np.flatnonzero(found.keeper >= 0).tolist():
        keeper, similarity = names[int(found.keeper[row])], float(found.similarity[row])
        result.dropped[ids[row]] = Repeat(
            keeper, similarity, "exact_duplicate" if found.exact[row] else "near_duplicate"
        )
    for row, (other, similarity, fact) in found.variants.items():
        result.variants[ids[row]] = Variant(names[other], similarity, fact)
    if config.semantic and encoder:
        drop_paraphrases(result, rows, found, names, ids, config, encoder)
    result.compared, result.not_compared = found.compared, found.not_compared
    held = frozenset(table.ids.filter(pl.Series(there)))
    return TableDedup(table, rows, config, result, found, ids[:known], held, _not_comparable(old, own, known))


def _as_indexed(table: Table, before: pl.DataFrame) -> Table:
    """The table with the same labels as an index, so that its rows can repeat those of the index.

    Which columns are labels is told by the values of each table: a label that always is the same is one here, and what
    the index has is compared whatever this table's values say; what it does not have is left out, once it has rows.
    """
    held = before.select("parts").drop_nulls().explode("parts").unnest("parts").select("part", "kind").unique()
    kinds: dict[str, Kind] = {
        own_column(part, table.columns) or column_of(part): kind for part, kind in held.sort("part", "kind").iter_rows()
    }
    if not before.height:
        return table.with_columns(dict.fromkeys(table.constant, "label"))
    labels = [name for name, kind in table.guessed.items() if kind == "label" and name not in kinds]
    return table.set_aside(labels).with_columns(kinds)


def _old_parts(before: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The parts of the rows of an index.

    Raises:
        ConfigError: rows of the index hold a text without a name, and the table has several parts.
    """
    numbered = before.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64()))
    named = numbered.filter(pl.col("parts").is_not_null()).select("row", "parts").explode("parts").unnest("parts")
    unnamed = numbered.filter(pl.col("parts").is_null() & (pl.col("text").fill_null("") != ""))
    if not unnamed.height:
        return named.select("row", "part", "kind", "text")
    names = table.parts["part"].unique().to_list()
    if len(names) > 1:
        raise ConfigError(
            f"the index holds {how_many(unnamed.height, 'row')} of one text each, as a build or an earlier version "
            f"wrote them, and nothing says what else they hold; here are {', '.join(sorted(names)[:6])}: name the one "
            "column that it was made from with --on, or a new folder with --index"
        )
    part = pl.lit(names[0] if names else UNNAMED).alias("part")
    return pl.concat(
        [
            named.select("row", "part", "kind", "text"),
            unnamed.select("row", part, pl.lit("question").alias("kind"), "text"),
        ]
    )


def _index_ids(table: Table) -> pl.Series:
    """Ids for an index: the table's own; without a column of ids, file and number with a hash of the whole table.

    So another file of the same name has other ids, and the same file again the same.
    """
    if table.id_column is not None:
        return table.ids
    digest = hashlib.sha256()
    for row, part, text in table.parts.select("row", "part", "text").iter_rows():
        digest.update(f"{row}\0{part}\0{len(text)}\0".encode("utf-8", "surrogatepass"))
        digest.update(text.encode("utf-8", "surrogatepass"))
    mark = f"@{digest.hexdigest()[:16]}"
    return pl.Series("id", [row_id + mark for row_id in table.ids], dtype=pl.String())


def _packed(table: Table) -> pl.DataFrame:
    """Index id, first question and parts of each row that has any."""
    asked = pl.col("text").filter(pl.col("kind") == "question").first()
    grouped = table.parts.group_by("row", maintain_order=True).agg(
        asked.fill_null(pl.col("text").sort_by(pl.col("kind") == "label", maintain_order=True).first()).alias("text"),
        pl.struct("part", "kind", "text").alias("parts"),
    )
    ids = _index_ids(table).gather(grouped["row"])
    return grouped.with_columns(ids.alias("id"), pl.col("parts").cast(PARTS))


def _already(before: pl.DataFrame, table: Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows the index holds: the same id with the same text in every part."""
    there = np.zeros(table.height, dtype=bool)
    packed = _packed(table)
    packed = packed.filter(packed["id"].is_in(before["id"].implode()))
    if not packed.height:
        return there
    known = set(said(before.filter(before["id"].is_in(packed["id"].implode()))))
    texts = table.parts.filter(table.parts["kind"] != "label")  # an earlier version's index has no labels
    unlabelled = _packed(replace(table, parts=texts))
    bare = dict(zip(unlabelled["row"].to_list(), said(unlabelled), strict=True))
    for row, own, alone in zip(
        packed["row"].to_list(),
        said(packed),
        said(packed.with_columns(pl.lit(None, PARTS).alias("parts"))),
        strict=True,
    ):
        there[row] = own in known or bare.get(row) in known or (len(own[1]) == 1 and alone in known)  # type: ignore[arg-type]
    return there


def _not_comparable(old: pl.DataFrame, own: pl.DataFrame, known: int) -> int:
    """Rows of an index that have parts which no row of the table has in this combination."""
    if not known or own.is_empty():
        return 0
    layout = pl.col("part").sort().str.join("\0").alias("layout")
    of_old, of_own = (each.group_by("row").agg(layout) for each in (old, own))
    return of_old.join(of_own.select("layout").unique(), on="layout", how="anti").height


def _for_index(found: TableDedup) -> pl.DataFrame:
    """The new kept rows in the order in which they were taken, as `PublishedIndex.append` takes them."""
    rows, known = found.rows, found.rows.known
    new = pl.DataFrame({"row": pl.Series(rows.order[known:] - known, dtype=pl.Int64())})
    kept = new.filter(found.keep.gather(new["row"]))
    packed = _packed(found.table).with_columns(pl.col("row").cast(pl.Int64()))
    place = pl.DataFrame({"text": rows.texts}).with_row_index("code")
    table = kept.join(packed, on="row", how="inner", maintain_order="left").join(
        place, on="text", how="left", maintain_order="left"
    )
    keys = np.ascontiguousarray(found.repeats.keys.T[table["code"].to_numpy()])
    at = table["row"] + known
    return table.select(
        "id",
        "text",
        rows.title.gather(at).alias("title"),
        rows.language.gather(at).alias("language"),
        pl.Series("keys", keys, dtype=pl.Array(pl.UInt32(), keys.shape[1])),
        "parts",
    )


def rebuild(config: DedupConfig, base: Path) -> int:
    """Makes the ``index.json`` of the settings' index again from its segments; how many there are.

    Raises:
        FineMedError: no index is named, or the segments are damaged themselves.
    """
    if config.index is None:
        raise ConfigError("--rebuild-index: no index is named; give its folder with --index")
    index = index_at(base / config.index, config)
    if not index.path.is_dir():
        raise ConfigError(f"--rebuild-index: {index.path} is no folder; give that of the index with --index")
    with locked(index.path):
        return index.rebuild()
