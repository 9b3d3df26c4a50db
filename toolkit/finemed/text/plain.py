"""Near-duplicates in readable Python: the definition that the compiled `neighbours` follow, and what small inputs use.

::

    found = near_duplicates(texts, order, hasher, ngram_size=5, threshold=0.8, max_bucket=500)
    found.keeper     ->  [-1, -1, 0, ...]      # the third text repeats the first
    found.similarity ->  [0., 0., 0.93, ...]   # exact Jaccard similarity of the shingle sets

Rows are taken in a given order, and each is compared with the *kept* rows that share a band with it: there are no
chains of similarities. `differs` may veto a pair (`text.guard`): the row is then compared with the next similar kept
row, and kept as a variant where none is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from finemed.text.column import Texts
from finemed.text.minhash import BandKeys, MinHasher, text_key
from finemed.text.normalise import words
from finemed.text.shingle import Hashes, distinct, grams_of, jaccard, word_hashes


@dataclass(frozen=True)
class RowTexts:
    """Which texts of a column each row holds, where a row has several: they are compared one by one, never joined.

    ::

        RowTexts(layout=[0, 0], starts=[0, 2, 4], codes=[0, 2, 1, 2])     # rows (text 0, text 2) and (text 1, text 2)
    """

    layout: npt.NDArray[np.int32]
    """Rows of different layouts are never similar, shape (rows,)."""
    starts: npt.NDArray[np.int64]
    """Where each row begins in `codes`, shape (rows + 1,)."""
    codes: npt.NDArray[np.int32]
    """Numbers of texts; of rows of one layout the i-th texts are compared with each other."""

    def of(self, row: int) -> list[int]:
        """Numbers of a row's texts."""
        return [int(code) for code in self.codes[self.starts[row] : self.starts[row + 1]]]


Differs = Callable[[int, int], str | None]
"""What sets the texts of two rows apart although they are similar, or None."""


@dataclass
class NearDuplicates:
    """Which texts repeat which."""

    keeper: npt.NDArray[np.int64]
    """For each text the kept one that it repeats, or -1 where it is kept."""
    similarity: npt.NDArray[np.float64]
    """Exact Jaccard similarity with it; 0 where it is kept."""
    variants: dict[int, tuple[int, float, str]] = field(default_factory=dict)
    """Kept rows that are similar to an earlier kept one but for a difference: (that row, similarity, difference)."""
    compared: int = 0
    """Pairs whose exact similarity was asked for."""
    not_compared: int = 0
    """Comparisons left out in buckets with more than `max_bucket` kept texts; a pair counts in each such bucket."""
    nbytes: int = 0
    """Most memory held at once beside the texts."""


def judge(row: int, nearest: list[tuple[int, float]], differs: Differs | None) -> tuple[int, float, str | None]:
    """The first of the similar kept rows that nothing sets apart; else the first of all and what does.

    Args:
        row: the row in question.
        nearest: kept rows with their similarities, most similar first; at least one.
        differs: vetoes a pair.
    """
    first: tuple[int, float, str | None] | None = None
    for other, value in nearest:
        difference = differs(row, other) if differs else None
        if difference is None:
            return other, value, None
        first = first or (other, value, difference)
    if first is None:
        raise ValueError("no similar row to judge")
    return first


def sketches(texts: Texts, hasher: MinHasher, ngram_size: int) -> tuple[BandKeys, list[Hashes]]:
    """Keys as `sketch.band_keys`, and the shingle set of every row."""
    keys = np.zeros((1 + hasher.num_bands, len(texts)), dtype=np.uint32)
    sets = []
    for row in range(len(texts)):
        hashes = word_hashes(words(texts.text(row)))
        grams = distinct(grams_of(hashes, ngram_size))
        sets.append(grams)
        if grams.size:
            keys[0, row] = text_key(hashes)
            keys[1:, row] = hasher.bands(grams)
    return keys, sets


def near_duplicates(
    texts: Texts,
    order: npt.NDArray[np.int64],
    hasher: MinHasher,
    *,
    ngram_size: int,
    threshold: float,
    max_bucket: int,
    differs: Differs | None = None,
    known: int = 0,
    keys: BandKeys | None = None,
    held: RowTexts | None = None,
) -> NearDuplicates:
    """As `neighbours.near_duplicates`."""
    result = NearDuplicates(np.full(order.size, -1, dtype=np.int64), np.zeros(order.size))
    own_keys, sets = sketches(texts, hasher, ngram_size)
    keys = own_keys if keys is None else keys
    result.nbytes = keys.nbytes + sum(grams.nbytes for grams in sets)

    def alike(row: int, other: int) -> float:
        if held is None:
            return jaccard(sets[row], sets[other])
        if held.layout[row] != held.layout[other]:
            return 0.0
        pairs = zip(held.of(row), held.of(other), strict=True)
        return min((1.0 if one == two else jaccard(sets[one], sets[two]) for one, two in pairs), default=0.0)

    buckets: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    kept_at: dict[int, int] = {}
    for place, row in enumerate(order.tolist()):
        own = [(band, key) for band, key in enumerate(keys[:, row].tolist()) if key]
        if place >= known:
            candidates: dict[int, None] = {}
            for bucket in own:
                members = buckets.get(bucket, [])
                candidates.update(dict.fromkeys(members[:max_bucket]))
                result.not_compared += max(0, len(members) - max_bucket)
            result.compared += len(candidates)
            near = [(other, alike(row, other)) for other in candidates]
            near = [pair for pair in near if pair[1] >= threshold]
            if near:
                near.sort(key=lambda pair: (-pair[1], kept_at[pair[0]]))
                other, value, difference = judge(row, near, differs)
                if difference is None:
                    result.keeper[row], result.similarity[row] = other, value
                    continue
                result.variants[row] = (other, value, difference)
        kept_at[row] = place
        for bucket in own:
            buckets[bucket].append(row)
    return result
