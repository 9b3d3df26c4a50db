"""Dedup: removes near-duplicates within our own data, each against a named kept row.

*Reads* and *writes* the same rows. *Drops* `near_duplicate` (detail: kept id and exact Jaccard similarity).
*Reference*: FineMed (arXiv 2501.09213) names deduplication without releasing it. MinHash: Broder 1997.

Candidates come from LSH bands; every one is checked by exact Jaccard similarity of the word n-gram sets. Rows are taken
in a fixed order (highest quality, then smallest id) and compared with kept rows only, so a dropped row is always
similar to the row that it names and no chain of similarities can swallow a corpus.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from finemed.config import DedupConfig, identity
from finemed.records import Row
from finemed.stages.base import Contract, Outcome, split_rows
from finemed.text.minhash import MinHasher, Signature
from finemed.text.normalise import words
from finemed.text.shingle import Hashes, jaccard, shingles

SKETCH_BYTES = 500
"""Of a row: the objects around its three arrays, its id and its place in a list."""
BUCKET_BYTES = 190
"""Of a kept row and band: a key, its entry in the table and a list of one."""


@dataclass
class DedupResult:
    """Which rows go, and what it took to know."""

    dropped: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Dropped id -> (kept id, similarity)."""
    rows: int = 0
    compared: int = 0
    not_compared: int = 0
    """Candidates beyond `max_bucket` kept rows of one bucket, which were not looked at."""
    state_bytes: int = 0


@dataclass(frozen=True)
class Sketch:
    """One text as sets of hashes."""

    row_id: str
    quality: int
    grams: Hashes
    signature: Signature
    """Empty, as `grams`, for a text without words, which is equal to nothing."""
    bands: Hashes


def sketch_rows(rows: Iterable[tuple[str, str, int]], *, ngram_size: int, hasher: MinHasher) -> Iterator[Sketch]:
    """Sketches of (id, text, quality)."""
    for row_id, text, quality in rows:
        grams = shingles(words(text), ngram_size)
        signature = hasher.signature(grams) if grams.size else np.empty(0, dtype=np.uint32)
        bands = hasher.keys(signature) if grams.size else grams
        yield Sketch(row_id, quality, grams, signature, bands)


def dedup(sketches: Iterable[Sketch], config: DedupConfig) -> DedupResult:
    """Finds the rows to drop. Deterministic whatever the order of the sketches."""
    result = DedupResult()
    buckets: defaultdict[int, list[int]] = defaultdict(list)
    ordered = sorted(sketches, key=lambda sketch: (-sketch.quality, sketch.row_id))
    for position, sketch in enumerate(ordered):
        result.rows += 1
        if not sketch.grams.size:
            continue
        result.state_bytes += sketch.grams.nbytes + sketch.bands.nbytes + sketch.signature.nbytes + SKETCH_BYTES
        bands = sketch.bands.tolist()
        candidates: set[int] = set()
        beyond: set[int] = set()
        for band in bands:
            members = buckets.get(band, [])
            candidates.update(members[: config.max_bucket])
            beyond.update(members[config.max_bucket :])
        result.not_compared += len(beyond - candidates)
        best, keeper = 0.0, -1
        for other in _likely(sketch.signature, ordered, sorted(candidates), config):
            result.compared += 1
            similarity = jaccard(sketch.grams, ordered[other].grams)
            if similarity > best:
                best, keeper = similarity, other
        if keeper >= 0 and best >= config.threshold:
            result.dropped[sketch.row_id] = (ordered[keeper].row_id, best)
        else:
            result.state_bytes += BUCKET_BYTES * len(bands)
            for band in bands:
                buckets[band].append(position)
    return result


def _likely(signature: Signature, rows: list[Sketch], candidates: list[int], config: DedupConfig) -> list[int]:
    """Candidates whose estimated similarity is not hopeless: at most 5 standard deviations below the threshold.

    A pair at the threshold is missed here with a probability of about 3e-7, one above it with less.
    """
    if not candidates:
        return []
    estimates = (np.stack([rows[other].signature for other in candidates]) == signature).mean(axis=1)
    margin = 5 * (config.threshold * (1 - config.threshold) / signature.size) ** 0.5
    return [
        other for other, estimate in zip(candidates, estimates, strict=True) if estimate >= config.threshold - margin
    ]


class DedupStage:
    """Global stage over any rows with an id and a text column."""

    def __init__(
        self, name: str, config: DedupConfig, row: type[Row], key: str, text: str, quality: str | None
    ) -> None:
        self.contract = Contract.one_to_one(name, 2, row, row, key)
        self._config = config
        self._text = text
        self._quality = quality
        self._hasher = MinHasher(config.num_bands, config.rows_per_band)

    def settings(self) -> dict[str, Any]:
        return identity(self._config)

    def fit(self, shards: Iterator[pl.DataFrame]) -> DedupResult:
        def rows() -> Iterator[tuple[str, str, int]]:
            for shard in shards:
                quality = shard[self._quality] if self._quality else [0] * shard.height
                yield from zip(shard[self.contract.key_in], shard[self._text], quality, strict=True)

        return dedup(sketch_rows(rows(), ngram_size=self._config.ngram_size, hasher=self._hasher), self._config)

    def apply(self, state: DedupResult, rows: pl.DataFrame) -> Outcome:
        reasons = {
            row_id: ("near_duplicate", f"of {keeper}, Jaccard {similarity:.4f}")
            for row_id in rows[self.contract.key_in]
            if row_id in state.dropped
            for keeper, similarity in [state.dropped[row_id]]
        }
        return split_rows(rows, self.contract.key_in, reasons)

    def report(self, state: DedupResult) -> dict[str, Any]:
        return {
            "bytes_per_row": round(state.state_bytes / max(1, state.rows)),
            "compared": state.compared,
            "not_compared": state.not_compared,
        }
