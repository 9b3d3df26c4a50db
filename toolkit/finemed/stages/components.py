"""Components: questions that must not be torn apart by splits and pools.

Two questions are joined if they come from one document, or if their word trigrams have an exact Jaccard similarity of
at least the threshold. Candidates come from 32 LSH bands of 3 rows, which miss a pair of similarity 0.5 with a
probability of 1.4%. In a bucket that is already large, a row joins the bucket's first row without being compared: that
may join more than necessary, and never less.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from finemed.text.minhash import MinHasher
from finemed.text.normalise import words
from finemed.text.shingle import Hashes, jaccard, shingles

NGRAM_SIZE = 3
QUESTION_BYTES = 800
"""Of a question beside its text: ids, tuples, its places in lists and tables."""
LARGE_BUCKET = 1000
HASHER = MinHasher(32, 3, seed=2)


class Question(NamedTuple):
    """What decides where a sample goes."""

    row_id: str
    text: str
    document_id: str
    department: str
    complex: bool


class _Forest:
    """Disjoint sets of rows 0..n-1; a set's root is its smallest row."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def join(self, left: int, right: int) -> None:
        left, right = self.root(left), self.root(right)
        self._parent[max(left, right)] = min(left, right)


def components(
    questions: list[Question], threshold: float, *, whole_documents: bool = True
) -> tuple[dict[str, str], int]:
    """Row id -> smallest row id of its component, and the bytes that it took to know."""
    rows = sorted(questions)
    forest = _Forest(len(rows))
    first_of: dict[str, int] = {}
    for position, question in enumerate(rows if whole_documents else ()):
        forest.join(position, first_of.setdefault(question.document_id, position))
    state_bytes = _join_alike(rows, threshold, forest) + sum(len(row.text) + QUESTION_BYTES for row in rows)
    return {question.row_id: rows[forest.root(position)].row_id for position, question in enumerate(rows)}, state_bytes


def _join_alike(rows: list[Question], threshold: float, forest: _Forest) -> int:
    signatures = np.zeros((len(rows), HASHER.num_bands * HASHER.rows_per_band), dtype=np.uint32)
    margin = 4 * (threshold * (1 - threshold) / signatures.shape[1]) ** 0.5
    grams: list[Hashes] = []
    buckets: defaultdict[int, list[int]] = defaultdict(list)
    for position, question in enumerate(rows):
        grams.append(shingles(words(question.text), NGRAM_SIZE))
        if not grams[position].size:
            continue
        signatures[position] = HASHER.signature(grams[position])
        candidates: set[int] = set()
        for band in HASHER.keys(signatures[position]).tolist():
            bucket = buckets[band]
            if len(bucket) >= LARGE_BUCKET:
                forest.join(position, bucket[0])
            else:
                candidates.update(bucket)
                bucket.append(position)
        own = forest.root(position)
        others = sorted(other for other in candidates if forest.root(other) != own)
        if not others:
            continue
        estimates = (signatures[others] == signatures[position]).mean(axis=1)
        for other in (
            other for other, estimate in zip(others, estimates, strict=True) if estimate >= threshold - margin
        ):
            if forest.root(other) != forest.root(position) and jaccard(grams[position], grams[other]) >= threshold:
                forest.join(position, other)
    return signatures.nbytes + sum(array.nbytes + 112 for array in grams) + 120 * HASHER.num_bands * len(rows)
