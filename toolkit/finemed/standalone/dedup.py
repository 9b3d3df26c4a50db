"""``finemed dedup``: removes repeats from any file, or says why a row of it goes or stays.

::

    found = dedup_table(open_table("train.parquet"), DedupConfig())
    found.result.dropped["r17"]    ->  Repeat(keeper="r3", similarity=0.93, reason="near_duplicate")
    explain(found, "r17").verdict  ->  "dropped: near_duplicate of r3, Jaccard 0.9310"
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from finemed.config import DedupConfig
from finemed.records import Drop, LedgerRow, frame
from finemed.stages.dedup import COLUMNS, DedupResult, Facts, dedup, index_at
from finemed.stages.loss import check_loss
from finemed.stages.semantic import encoder_of
from finemed.standalone.table import Table
from finemed.store.atomic import locked
from finemed.text.column import column_of
from finemed.text.normalise import words
from finemed.text.shingle import jaccard, shingles

NEAREST = 5


@dataclass(frozen=True)
class TableDedup:
    """A table with what dedup made of it."""

    table: Table
    rows: pl.DataFrame
    """As dedup saw it, frame of `COLUMNS`, in the table's order."""
    config: DedupConfig
    result: DedupResult

    @property
    def kept(self) -> pl.Series:
        """Which rows stay."""
        gone = pl.Series(list(self.result.dropped), dtype=pl.String())
        return ~self.table.ids.is_in(gone.implode())

    def ledger(self) -> pl.DataFrame:
        """The rows that go, in their order, as in a run's ledger."""
        gone = self.result.dropped
        rows = [
            {"row_id": row_id, "drop_reason": gone[row_id].reason, "detail": gone[row_id].detail, "stage": "dedup"}
            for row_id in self.table.ids
            if row_id in gone
        ]
        return frame(LedgerRow, rows)

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
            "rows": self.table.height,
            "kept": self.table.height - len(self.result.dropped),
            "dropped": dict(sorted(reasons.items())),
            "clinical_variants": len(self.result.variants),
            "already_indexed": self.result.published,
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
    height = table.height
    none = pl.repeat(None, height, dtype=pl.String(), eager=True)
    language = table.column("language" if "language" in table.columns else None, "")
    given = table.column(quality, "--quality")
    scores = none.cast(pl.Int64) if given is None else _ranks(given)
    rows = pl.DataFrame(
        {
            "id": table.ids,
            "text": table.texts(whole=False).fill_null(""),
            "title": none if title is None else table.column(title, "--title"),
            "language": none if language is None else language,
            "quality": scores,
            "source": none if source is None else table.column(source, "--source"),
            "node": none,
        },
        schema=COLUMNS,
    )
    encoder = encoder_of(config.semantic, base) if config.semantic else None
    index = index_at(base / config.index, config) if config.index else None
    with locked(index.path) if index and update else nullcontext():
        result = dedup(rows, config, index, encoder)
        if limits:
            check_loss("dedup", rows, result.dropped, config)
        if index and update:
            index.append(result.for_index())
    return TableDedup(table, rows, config, result)


def _ranks(given: pl.Series) -> pl.Series:
    """Whole numbers in the order of the values; what is no number comes last."""
    return given.cast(pl.Float64(), strict=False).fill_nan(None).rank("dense").fill_null(0).cast(pl.Int64)


@dataclass(frozen=True)
class Neighbour:
    """A row that resembles the one in question."""

    id: str
    similarity: float
    difference: str | None
    """What the clinical guard says of the two."""
    state: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """Why one row goes or stays."""

    id: str
    verdict: str
    text: str
    keeps_out: list[str] = field(default_factory=list)
    """Rows that go because they repeat this one."""
    nearest: list[Neighbour] = field(default_factory=list)
    """The most similar rows of the table, by exact Jaccard similarity."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def explain(found: TableDedup, row_id: str) -> Explanation:
    """Everything that decides about one row.

    Raises:
        InputError: no row has this id.
    """
    number = found.table.number(row_id)
    result, size = found.result, found.config.ngram_size
    texts = found.rows["text"]
    own = shingles(words(texts[number]), size)
    values = _similarities(found, number)
    facts = Facts(found.rows)
    nearest = [
        Neighbour(
            found.table.ids[other],
            round(jaccard(own, shingles(words(texts[other]), size)), 4),
            facts.differ(number, other) if found.config.guard else None,
            _state(result, found.table.ids[other]),
            texts[other],
        )
        for other in np.argsort(-values, kind="stable")[:NEAREST].tolist()
        if values[other] > 0
    ]
    keeps_out = [
        other for other in found.table.ids if other in result.dropped and result.dropped[other].keeper == row_id
    ]
    return Explanation(row_id, _state(result, row_id), texts[number], keeps_out, nearest)


def _similarities(found: TableDedup, number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Exact Jaccard similarity of one row with every other; 0 with itself."""
    from finemed.text.sketch import shingle_sets

    texts = column_of(found.rows["text"])
    sets = shingle_sets(texts, np.arange(len(texts), dtype=np.int64), found.config.ngram_size)
    own = sets.of(number)
    member = np.isin(sets.hashes, own)
    totals = np.concatenate([[0], np.cumsum(member)])
    common = totals[sets.ends] - totals[sets.starts]
    union = own.size + (sets.ends - sets.starts) - common
    values: np.ndarray[Any, np.dtype[np.float64]] = common / np.maximum(union, 1)
    values[number] = 0.0
    return values


def _state(result: DedupResult, row_id: str) -> str:
    if row_id in result.dropped:
        return f"dropped: {result.dropped[row_id].reason} {result.dropped[row_id].detail}"
    if row_id in result.variants:
        return f"kept as a clinical variant {result.variants[row_id].detail}"
    return "kept"
