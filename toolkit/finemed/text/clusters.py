"""Components of near-duplicate texts: rows are joined where their texts are similar, directly or through others.

::

    texts = column_of(["How is croup treated?", "How is croup treated today?", "What is asthma?"])
    clusters(texts, hasher_for(0.5), ngram_size=3, threshold=0.5).root  ->  [0, 0, 2]

A pair is similar if the exact Jaccard similarity of its shingle sets is at least the threshold. Below `SMALL` texts all
pairs that share a shingle are looked at, in plain Python: that is the definition. Above, texts that share no LSH band
with any other are put aside first, by which a pair at the threshold is missed with a probability below 1e-8
(`hasher_for`); the sets of all others are compared by compiled code (`text.union`), exactly. Texts without words are
similar to nothing; texts shorter than the n-gram are one shingle.

`Column` does it for texts that are streamed twice and never held: first sketched, then taken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log

import numpy as np
import numpy.typing as npt

from finemed.text.column import Texts
from finemed.text.minhash import BandKeys, MinHasher
from finemed.text.normalise import words
from finemed.text.shingle import Hashes, shingles

Numbers = npt.NDArray[np.int64]

SMALL = 2000
"""Fewer texts than this are compared in plain Python, which starts at once."""
MAX_BUCKET = 2000
"""Texts that one text is compared with for the sake of one shingle; what lies beyond is joined unverified."""
PLAIN_BYTES = 150
"""Of a shingle in plain Python: itself, and its place in the table."""
MISSED = 1e-8
"""Probability with which a pair at the threshold shares no band."""


def hasher_for(threshold: float, seed: int = 2) -> MinHasher:
    """Bands that miss a pair at the threshold with a probability below `MISSED`.

    35 bands of 4 rows at 0.8, 44 of 3 at 0.7, 65 of 2 at 0.5; more rows where the threshold allows it, since each makes
    unrelated texts meet less often.
    """
    rows = 4 if threshold >= 0.8 else 3 if threshold >= 0.65 else 2
    chance = min(threshold**rows, 0.99)
    return MinHasher(ceil(log(MISSED) / log(1 - chance)), rows, seed)


def root_of(parent: Numbers, node: int) -> int:
    """The root of a node; paths get shorter on the way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = int(parent[node])
    return node


def similar_pairs(sets: list[Hashes], threshold: float) -> Iterator[tuple[int, int, float]]:
    """All pairs of sets (later, earlier) that are similar, and how much: the definition."""
    postings: defaultdict[int, list[int]] = defaultdict(list)
    for number, grams in enumerate(sets):
        shared: Counter[int] = Counter()
        for gram in grams.tolist():
            shared.update(postings[gram])
            postings[gram].append(number)
        for other, common in sorted(shared.items()):
            similarity = common / (grams.size + sets[other].size - common)
            if similarity >= threshold:
                yield number, other, similarity


@dataclass(frozen=True)
class Clusters:
    """Which rows belong together."""

    root: Numbers
    """Of every row the smallest row of its component."""
    compared: int
    """Pairs whose exact similarity was asked for."""
    unverified: int
    """Joins of rows that were not compared, for the sake of time; components may be larger by them, never smaller."""
    nbytes: int
    """Most memory held at once beside the texts."""


def clusters(
    texts: Texts,
    hasher: MinHasher,
    *,
    ngram_size: int,
    threshold: float,
    joined: Numbers | None = None,
    max_bucket: int = MAX_BUCKET,
) -> Clusters:
    """Joins the rows of a column whose texts are similar.

    Args:
        texts: the column.
        hasher: bands, from `hasher_for`.
        ngram_size: words per shingle.
        threshold: exact Jaccard similarity from which two texts are similar.
        joined: for each row a row that it is joined with already, such as the `root` of another column.
        max_bucket: texts that one text is compared with for the sake of one shingle.
    """
    column = Column(hasher, ngram_size, threshold)
    column.sketch(texts)
    column.choose()
    column.take(texts)
    parent = np.arange(len(texts), dtype=np.int64)
    for row, other in enumerate(() if joined is None else joined.tolist()):
        left, right = root_of(parent, row), root_of(parent, other)
        parent[max(left, right)] = min(left, right)
    compared, unverified = column.join(parent, max_bucket=max_bucket)
    return Clusters(roots(parent), compared, unverified, column.nbytes + parent.nbytes)


def roots(parent: Numbers) -> Numbers:
    """The root of every node."""
    found = parent
    while True:
        higher = found[found]
        if np.array_equal(higher, found):
            return found
        found = higher


class Column:
    """A column of texts in two passes: `sketch` every batch, `choose`, `take` every batch again, then `join`.

    Args:
        hasher: bands, from `hasher_for`.
        ngram_size: words per shingle.
        threshold: exact Jaccard similarity from which two texts are similar.
        least: texts with fewer different shingles are similar to nothing.
    """

    def __init__(self, hasher: MinHasher, ngram_size: int, threshold: float, *, least: int = 1) -> None:
        self.rows = 0
        self.chosen = np.zeros(0, dtype=np.int64)
        """Numbers of the texts that share a band with another."""
        self.nbytes = 0
        """Most memory that the column held at once beside the texts."""
        self._hasher = hasher
        self._ngram_size = ngram_size
        self._threshold = threshold
        self._least = least
        self._pending: list[Texts] = []
        self._keys: list[BandKeys] = []
        self._plain = True
        self._passed = 0
        self._hashes: list[Hashes] = []
        self._sizes: list[Numbers] = []

    def sketch(self, texts: Texts) -> None:
        """First pass: a batch of texts."""
        self.rows += len(texts)
        self._pending.append(texts)
        if self.rows < SMALL:
            return
        from finemed.text.sketch import band_keys

        self._plain = False
        self._keys.extend(band_keys(batch, self._hasher, self._ngram_size) for batch in self._pending if len(batch))
        self._pending.clear()

    def choose(self) -> None:
        """Between the passes: which texts share a band with another; the others are done with."""
        self._pending.clear()
        if self._plain:
            self.chosen = np.arange(self.rows, dtype=np.int64)
            return
        from finemed.text.neighbours import group_band

        together = np.zeros(self.rows, dtype=np.bool_)
        parts = max(1, 1 << max(0, (self.rows >> 13).bit_length() - 1))
        for band in range(1 + self._hasher.num_bands):
            own = np.concatenate([keys[band] for keys in self._keys])
            group_band(own, parts)
            together |= own != 0
        self.nbytes = sum(keys.nbytes for keys in self._keys) + 9 * self.rows
        self._keys.clear()
        self.chosen = np.flatnonzero(together)

    def take(self, texts: Texts) -> None:
        """Second pass: the same batch again."""
        begin, end = np.searchsorted(self.chosen, (self._passed, self._passed + len(texts)))
        rows = self.chosen[begin:end] - self._passed
        self._passed += len(texts)
        if not rows.size:
            return
        if self._plain:
            found = [shingles(words(texts.text(row)), self._ngram_size) for row in rows.tolist()]
        else:
            from finemed.text.sketch import shingle_sets

            sets = shingle_sets(texts, rows, self._ngram_size)
            found = [sets.of(number) for number in range(rows.size)]
        found = [grams if grams.size >= self._least else grams[:0] for grams in found]
        self._hashes.append(np.concatenate(found))
        self._sizes.append(np.array([grams.size for grams in found], dtype=np.int64))

    def join(
        self,
        parent: Numbers,
        owner: Numbers | None = None,
        rank: Numbers | None = None,
        *,
        max_bucket: int = MAX_BUCKET,
    ) -> tuple[int, int]:
        """Joins the rows whose texts are similar; how many pairs were compared and how many joins are unverified.

        Args:
            parent: the forest of rows so far, shape (rows,); changed in place.
            owner: the row that each text belongs to; by default text i belongs to row i.
            rank: each row's place in an order that does not depend on how rows arrive.
            max_bucket: texts that one text is compared with for the sake of one shingle.
        """
        own = self.chosen if owner is None else owner[self.chosen]
        if self._plain:
            compared = 0
            for number, other, _ in similar_pairs(self._sets(), self._threshold):
                compared += 1
                left, right = root_of(parent, int(own[number])), root_of(parent, int(own[other]))
                parent[max(left, right)] = min(left, right)
            return compared, 0
        _, _, counts = self._walk(own if rank is None else rank[own], own, parent, np.zeros(0, np.int8), max_bucket, 0)
        return int(counts[0]), int(counts[1])

    def apart(self, place: npt.NDArray[np.int8], most: int = 5) -> tuple[list[tuple[int, int, float]], int, int]:
        """Similar texts in different places: up to `most` pairs (text, text, similarity), how many, pairs compared.

        Args:
            place: where each text lies, shape (texts,).
            most: pairs to return.
        """
        own = place[self.chosen]
        if self._plain:
            alike = list(similar_pairs(self._sets(), self._threshold))
            pairs = [(other, number, value) for number, other, value in alike if own[number] != own[other]]
            return pairs[:most], len(pairs), len(alike)
        everything = np.iinfo(np.int32).max
        found, similarity, counts = self._walk(self.chosen, self.chosen, np.zeros(0, np.int64), own, everything, most)
        pairs = [
            (int(self.chosen[a]), int(self.chosen[b]), float(value))
            for (a, b), value in zip(found[: counts[2]], similarity, strict=False)
        ]
        return pairs, int(counts[2]), int(counts[0])

    def touches(
        self, place: npt.NDArray[np.int8], places: int
    ) -> tuple[Numbers, Numbers, npt.NDArray[np.float64], int]:
        """For each text without a place the most similar one of every place.

        Args:
            place: of each text, or -1; shape (texts,).
            places: how many there are.

        Returns:
            Numbers of the texts without a place that are similar to some; the most similar text of each place, or -1,
            and that similarity, both of shape (those texts, places); pairs compared.
        """
        own = place[self.chosen]
        if self._plain:
            nearest, similarity, compared = self._plain_touches(own, places)
        else:
            from finemed.text.touch import touches

            hashes = np.concatenate([*self._hashes, np.zeros(0, np.uint64)])
            self._hashes.clear()
            sizes = np.concatenate([*self._sizes, np.zeros(0, np.int64)])
            nearest, similarity, compared = touches(hashes, sizes, self._threshold, own, places)
            self.nbytes = max(self.nbytes, 3 * hashes.nbytes + (12 * places + 40) * own.size)
        hit = np.flatnonzero((nearest >= 0).any(axis=1))
        found = nearest[hit].astype(np.int64)
        found[found >= 0] = self.chosen[found[found >= 0]]
        return self.chosen[hit], found, similarity[hit], compared

    def _plain_touches(
        self, own: npt.NDArray[np.int8], places: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], int]:
        nearest = np.full((own.size, places), -1, dtype=np.int32)
        similarity = np.zeros((own.size, places))
        compared = 0
        for later, earlier, value in similar_pairs(self._sets(), self._threshold):
            if (own[later] < 0) == (own[earlier] < 0):
                continue
            compared += 1
            new, old = (later, earlier) if own[later] < 0 else (earlier, later)
            known = (-similarity[new, own[old]], nearest[new, own[old]])
            if nearest[new, own[old]] < 0 or (-value, old) < known:
                nearest[new, own[old]], similarity[new, own[old]] = old, value
        return nearest, similarity, compared

    def pairs(self, owner: Numbers, most: int) -> tuple[Numbers, int]:
        """Pairs of different owners with similar texts, up to `most`, shape (pairs, 2); and how many there are.

        Args:
            owner: whom each text belongs to, shape (texts,).
            most: pairs to return.
        """
        own = owner[self.chosen].astype(np.int32)
        if self._plain:
            alike = [(a, b) for a, b, _ in similar_pairs(self._sets(), self._threshold) if own[a] != own[b]]
            found, count = np.array(alike, dtype=np.int64).reshape(-1, 2), len(alike)
        else:
            everything = np.iinfo(np.int32).max
            none = np.zeros(0, np.int64)
            found, _, counts = self._walk(self.chosen, self.chosen, none, own, everything, most)
            count = int(counts[2])
        return own[found[: min(count, most)]].astype(np.int64), count

    def _sets(self) -> list[Hashes]:
        self.nbytes = PLAIN_BYTES * sum(hashes.size for hashes in self._hashes)
        return [
            grams
            for hashes, sizes in zip(self._hashes, self._sizes, strict=True)
            for grams in np.split(hashes, np.cumsum(sizes)[:-1])
        ]

    def _walk(
        self,
        rank: Numbers,
        owner: Numbers,
        parent: Numbers,
        place: npt.NDArray[np.int8] | npt.NDArray[np.int32],
        max_bucket: int,
        most: int,
    ) -> tuple[Numbers, npt.NDArray[np.float64], Numbers]:
        """`union.walk` over the sets in order of size, then of `rank`; pairs found, similarities, counts."""
        from finemed.text import union

        hashes = np.concatenate([*self._hashes, np.zeros(0, np.uint64)])
        self._hashes.clear()
        sizes = np.concatenate([*self._sizes, np.zeros(0, np.int64)])
        ends = np.cumsum(sizes)
        starts = ends - sizes
        order = np.lexsort((rank, sizes)).astype(np.int32)
        frequency = np.zeros(_power(hashes.size // 4), dtype=np.uint32)
        union.frequencies(hashes, starts, ends, frequency)
        entries = union.entries_needed(starts, ends, self._threshold)
        slots = _power(entries)
        first, last, pile = (np.full(slots, -1, dtype=np.int32) for _ in range(3))
        length = np.zeros(slots, dtype=np.int32)
        following, entry_row = (np.empty(entries, dtype=np.int32) for _ in range(2))
        found, similarity = np.zeros((most, 2), dtype=np.int64), np.zeros(most, dtype=np.float64)
        counts = np.zeros(3, dtype=np.int64)
        held = 2 * hashes.nbytes + frequency.nbytes + 4 * length.nbytes + 2 * entry_row.nbytes + 44 * order.size
        self.nbytes = max(self.nbytes, held)
        union.walk(
            hashes, starts, ends, order, frequency, self._threshold, max_bucket, owner, parent, place, found,
            similarity, first, last, length, pile, following, entry_row, counts,
        )  # fmt: skip
        return found, similarity, counts


def _power(size: int) -> int:
    """The power of two that is at least this, and 64."""
    return max(64, 1 << (size - 1).bit_length()) if size > 0 else 64
