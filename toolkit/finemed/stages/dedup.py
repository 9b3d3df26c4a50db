"""Dedup: removes repeats within our own data, each against a named kept row.

*Reads* and *writes* the same rows. *Drops* `exact_duplicate` and `near_duplicate` (detail: kept id and exact Jaccard
similarity), `paraphrase` (kept id and cosine; only with `semantic`). *Notes* `clinical_variant`: a kept row that nearly
repeats another but for a number, a unit, a negation, a side, or the disease or drug that it is about (`text.guard`).
*Reference*: FineMed (arXiv 2501.09213) names deduplication without releasing it. MinHash: Broder 1997.

Candidates come from LSH bands; every one is checked by exact Jaccard similarity of the word n-gram sets. Rows are taken
in a fixed order (what is published, then highest quality, then smallest id) and compared with kept rows only, so a
dropped row is always similar to the row that it names and no chain of similarities can swallow a corpus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.config import DedupConfig, SemanticConfig, identity
from finemed.llm.encoder import Encoder
from finemed.records import Row
from finemed.stages.base import Contract, Drops, Outcome, split_rows
from finemed.stages.loss import check_loss
from finemed.stages.semantic import encode, encoder_of, paraphrases
from finemed.store.published import PublishedIndex
from finemed.text.column import Texts, column_of
from finemed.text.guard import VERSION as GUARD_VERSION
from finemed.text.guard import ClinicalFacts, difference, facts_of
from finemed.text.minhash import KEYS_VERSION, BandKeys, MinHasher
from finemed.text.normalise import words
from finemed.text.paraphrase import VERSION as ESSENCE_VERSION
from finemed.text.paraphrase import essence
from finemed.text.plain import Differs, NearDuplicates, sketches
from finemed.text.plain import near_duplicates as plain_near_duplicates

COMPILED_FROM = 2000
"""Rows from which compiled kernels are worth their start; they give the same."""

COLUMNS = pl.Schema(
    {
        "id": pl.String(),
        "text": pl.String(),
        "title": pl.String(),
        "language": pl.String(),
        "quality": pl.Int64(),
        "source": pl.String(),
        "node": pl.String(),
    }
)
"""What `dedup` looks at; all but `id` and `text` may be null."""


class Repeat(NamedTuple):
    """Why a row goes."""

    keeper: str
    similarity: float
    reason: Literal["exact_duplicate", "near_duplicate", "paraphrase"]

    @property
    def detail(self) -> str:
        """As it stands in the ledger."""
        return f"of {self.keeper}, {'cosine' if self.reason == 'paraphrase' else 'Jaccard'} {self.similarity:.4f}"


class Variant(NamedTuple):
    """Why a row stays although it nearly repeats another."""

    of: str
    similarity: float
    difference: str

    @property
    def detail(self) -> str:
        """As it stands in the notes."""
        return f"of {self.of}, Jaccard {self.similarity:.4f}; {self.difference}"


@dataclass
class DedupResult:
    """Which rows go, and what it took to know."""

    dropped: dict[str, Repeat] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)
    kept: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=COLUMNS))
    """The new kept rows in the order in which they were taken."""
    keys: BandKeys | None = None
    """Their band keys, shape (bands, kept rows), where an index needs them."""
    rows: int = 0
    published: int = 0
    """Rows that the index held already, with the same text; they stay."""
    compared: int = 0
    not_compared: int = 0
    state_bytes: int = 0

    def for_index(self) -> pl.DataFrame:
        """The new kept rows with their keys, as `PublishedIndex.append` takes them; only where an index was given."""
        if self.keys is None:
            raise ValueError("no index was given")
        keys = pl.Series("keys", np.ascontiguousarray(self.keys.T), dtype=pl.Array(pl.UInt32(), self.keys.shape[0]))
        return self.kept.select("id", "text", "title", "language").with_columns(keys)

    def report(self) -> dict[str, Any]:
        """Facts for a manifest."""
        return {
            "bytes_per_row": round(self.state_bytes / max(1, self.rows)),
            "compared": self.compared,
            "not_compared": self.not_compared,
            "variants": len(self.variants),
            "published": self.published,
        }


def hasher_of(config: DedupConfig) -> MinHasher:
    """The bands of these settings."""
    return MinHasher(config.num_bands, config.rows_per_band)


def index_at(path: Path, config: DedupConfig) -> PublishedIndex:
    """The index in a folder, for these settings."""
    settings = {"ngram_size": config.ngram_size, "rows_per_band": config.rows_per_band, "keys_version": KEYS_VERSION}
    return PublishedIndex(path, config.num_bands, tuple(settings.items()))


def dedup(
    rows: pl.DataFrame, config: DedupConfig, index: PublishedIndex | None = None, encoder: Encoder | None = None
) -> DedupResult:
    """Finds the rows to drop; deterministic whatever the order of the rows.

    Args:
        rows: frame of `COLUMNS`, ids unique.
        config: thresholds.
        index: rows that were kept before; they win, and are not changed here.
        encoder: for the semantic pass, where `config.semantic` asks for one.
    """
    before = index.rows() if index else PublishedIndex.empty(config.num_bands)
    there = before.select("id", "text")
    new = rows.join(there, on=["id", "text"], how="anti", nulls_equal=True).sort(
        pl.col("quality").fill_null(0), "id", descending=[True, False]
    )
    result = DedupResult(rows=rows.height, published=rows.height - new.height)
    every = pl.concat([before.select("id", "text", "title", "language"), new.select("id", "text", "title", "language")])
    texts = column_of(every["text"])
    facts = Facts(every)
    differs = facts.differ if config.guard else None
    keys = _keys(before, new, config) if index else None
    kept_keys = None if keys is None else keys[:, before.height :].copy()
    found = _search(texts, config, differs, before.height, keys)
    ids = every["id"]
    for row in np.flatnonzero(found.keeper >= 0).tolist():
        other, similarity = int(found.keeper[row]), float(found.similarity[row])
        exact = similarity == 1.0 and _same_words(texts, row, other)
        result.dropped[ids[row]] = Repeat(ids[other], similarity, "exact_duplicate" if exact else "near_duplicate")
    for row, (other, similarity, fact) in found.variants.items():
        result.variants[ids[row]] = Variant(ids[other], similarity, fact)
    if config.semantic and encoder:
        _drop_paraphrases(result, every, found.keeper, before.height, facts, config.semantic, encoder)
    kept = found.keeper[before.height :] < 0
    result.kept = new.filter(pl.Series(kept))
    result.keys = None if kept_keys is None else kept_keys[:, kept]
    result.compared, result.not_compared = found.compared, found.not_compared
    result.state_bytes = found.nbytes + texts.nbytes + int(every.estimated_size())
    return result


def _drop_paraphrases(
    result: DedupResult,
    every: pl.DataFrame,
    keeper: npt.NDArray[np.int64],
    known: int,
    facts: Facts,
    config: SemanticConfig,
    encoder: Encoder,
) -> None:
    """The second pass, over what the first one kept; marks what goes in `keeper` too."""
    left = np.flatnonzero(keeper < 0)
    texts, ids = every["text"].gather(left).fill_null("").to_list(), every["id"]

    def same(row: int, other: int) -> bool:
        return essence(facts.of(int(left[row]))) == essence(facts.of(int(left[other])))

    for found in paraphrases(encode(encoder, texts), config.threshold, same, known=known):
        row, other = int(left[found.row]), int(left[found.keeper])
        keeper[row] = other
        result.variants.pop(ids[row], None)
        result.dropped[ids[row]] = Repeat(ids[other], found.cosine, "paraphrase")


def _search(
    texts: Texts, config: DedupConfig, differs: Differs | None, known: int, keys: BandKeys | None
) -> NearDuplicates:
    order = np.arange(len(texts), dtype=np.int64)
    settings: dict[str, Any] = {
        "ngram_size": config.ngram_size,
        "threshold": config.threshold,
        "max_bucket": config.max_bucket,
        "differs": differs,
        "known": known,
    }
    if len(texts) < COMPILED_FROM:
        return plain_near_duplicates(texts, order, hasher_of(config), **settings)
    from finemed.text.neighbours import near_duplicates

    return near_duplicates(texts, order, hasher_of(config), keys=keys, **settings)


def _keys(before: pl.DataFrame, new: pl.DataFrame, config: DedupConfig) -> BandKeys:
    """Band keys of the published rows, as stored unless they are outdated, and of the new ones."""
    own = band_keys_of(column_of(new["text"]), config)
    stored = np.zeros((own.shape[0], before.height), dtype=np.uint32)
    old = before["keys"].is_null().to_numpy()
    stored[:, ~old] = before["keys"].drop_nulls().to_numpy().reshape(-1, own.shape[0]).T
    if old.any():
        stored[:, old] = band_keys_of(column_of(before.filter(pl.Series(old))["text"]), config)
    return np.ascontiguousarray(np.concatenate([stored, own], axis=1))


def band_keys_of(texts: Texts, config: DedupConfig) -> BandKeys:
    """Band keys of texts, shape (1 + num_bands, texts)."""
    if len(texts) < COMPILED_FROM:
        return sketches(texts, hasher_of(config), config.ngram_size)[0]
    from finemed.text.sketch import band_keys

    return band_keys(texts, hasher_of(config), config.ngram_size)


class Facts:
    """Clinical facts of rows, each worked out once, when it is first asked about."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self._text, self._title, self._language = rows["text"], rows["title"], rows["language"]
        self._known: dict[int, ClinicalFacts] = {}

    def of(self, row: int) -> ClinicalFacts:
        """The facts of a row."""
        if row not in self._known:
            text, title, language = self._text[row] or "", self._title[row], self._language[row]
            self._known[row] = facts_of(text, title=title, language=language)
        return self._known[row]

    def differ(self, row: int, other: int) -> str | None:
        """What the clinical guard says of two rows."""
        if self._text[row] == self._text[other] and self._title[row] == self._title[other]:
            return None
        found = difference(self.of(row), self.of(other))
        return None if found is None else str(found)


def _same_words(texts: Texts, row: int, other: int) -> bool:
    own, its = texts.text(row), texts.text(other)
    return own == its or words(own) == words(its)


class DedupStage:
    """Global stage over any rows with an id and a text column."""

    def __init__(
        self,
        name: str,
        config: DedupConfig,
        row: type[Row],
        key: str,
        text: str,
        *,
        quality: str | None = None,
        title: str | None = None,
        node: tuple[str, ...] = (),
        base: Path = Path(),
    ) -> None:
        """Names of columns; `node` are those of a row's place in the taxonomy."""
        self.contract = Contract.one_to_one(name, 3, row, row, key)
        self._config = config
        self._columns = (
            pl.col(key).alias("id"),
            pl.col(text).alias("text"),
            (pl.col(title) if title else pl.lit(None, pl.String())).alias("title"),
            pl.col("language"),
            (pl.col(quality).cast(pl.Int64) if quality else pl.lit(0, pl.Int64())).alias("quality"),
            pl.col("source"),
            (pl.concat_str(node, separator=" / ") if node else pl.lit(None, pl.String())).alias("node"),
        )
        self._index = index_at(base / config.index, config) if config.index else None
        self._encoder = encoder_of(config.semantic, base) if config.semantic else None

    def settings(self) -> dict[str, Any]:
        guard = GUARD_VERSION if self._config.guard else None
        return {
            **identity(self._config),
            "guard_version": guard,
            "published": self._index and self._index.content_hash(),
            "encoder": self._encoder and self._encoder.source,
            "essence": ESSENCE_VERSION if self._encoder else None,
        }

    def fit(self, shards: Iterator[pl.DataFrame]) -> DedupResult:
        """Finds the repeats.

        Raises:
            StageError: a source or a node of the taxonomy loses more than its limit.
        """
        parts = [shard.select(self._columns) for shard in shards]
        rows = pl.concat(parts, rechunk=True) if parts else pl.DataFrame(schema=COLUMNS)
        result = dedup(rows, self._config, self._index, self._encoder)
        check_loss(self.contract.name, rows, result.dropped, self._config)
        return result

    def apply(self, state: DedupResult, rows: pl.DataFrame) -> Outcome:
        key = self.contract.key_in
        reasons = {row_id: (found.reason, found.detail) for row_id in rows[key] if (found := state.dropped.get(row_id))}
        notes = Drops()
        for row_id in rows[key]:
            if variant := state.variants.get(row_id):
                notes.add(row_id, "clinical_variant", variant.detail)
        outcome = split_rows(rows, key, reasons)
        return Outcome(outcome.kept, outcome.dropped, notes.frame())

    def report(self, state: DedupResult) -> dict[str, Any]:
        return state.report()
