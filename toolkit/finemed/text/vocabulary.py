"""What is known of words, looked up once for each and kept as arrays, so that the words of a shard are counted at once.

::

    vocabulary = Vocabulary()
    numbers = vocabulary.rows(["fever", "and", "5"])   ->  [0, 1, 2]
    vocabulary.fact("en")[numbers]                     ->  [1.0, 0.0, 0.0]     medical weights
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finemed.text.language import evidence, script
from finemed.text.medical import lexicon
from finemed.text.normalise import letters

Numbers = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

FACTS: dict[str, Callable[[str], float]] = {
    "script": script,
    "letters": letters,
    "en": lexicon("en").weight,
    "es": lexicon("es").weight,
}
"""Script of a word, its letters, and its medical weights."""


@dataclass(frozen=True)
class Sparse:
    """Rows of few (column, value) each."""

    sizes: Ids
    columns: Ids
    values: Numbers
    totals: Numbers
    """Sum of each row."""
    first_column: Numbers

    @classmethod
    def of(cls, rows: Iterable[dict[int, float]]) -> Sparse:
        """From values by column."""
        found = list(rows)
        return cls(
            np.array([len(row) for row in found], dtype=np.int64),
            np.array([at for row in found for at in row], dtype=np.int64),
            np.array([value for row in found for value in row.values()], dtype=np.float64),
            np.array([sum(row.values()) for row in found], dtype=np.float64),
            np.array([row.get(0, 0.0) for row in found], dtype=np.float64),
        )

    def followed_by(self, other: Sparse) -> Sparse:
        """These rows and then the others."""
        mine, more = vars(self), vars(other)
        return Sparse(**{name: np.concatenate([mine[name], more[name]]) for name in mine})

    def sums(self, rows: Ids, groups: Ids, shape: tuple[int, int]) -> Numbers:
        """Sums of the given rows (repeated ones count again) within each group."""
        sizes = self.sizes[rows]
        first = np.cumsum(self.sizes) - self.sizes
        ends = np.cumsum(sizes)
        entry = np.arange(int(sizes.sum())) + np.repeat(first[rows] - ends + sizes, sizes)
        cells = np.repeat(groups * shape[1], sizes) + self.columns[entry]
        sums = np.bincount(cells, self.values[entry], minlength=shape[0] * shape[1])
        return sums.astype(np.float64, copy=False).reshape(shape)


class Vocabulary:
    """What is known of every word seen: looked up once, kept for the next shards. Threads may share it.

    A word costs about 300 bytes. Past `limit` words `trim` starts anew; the outcome does not depend on it.
    """

    def __init__(self, limit: int = 200_000) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._rows: dict[str, int] = {}
        self._words: list[str] = []
        self._facts: dict[str, Numbers] = {}
        self._evidence = Sparse.of([])

    def trim(self) -> None:
        """Forgets all words once there are too many; the numbers of `rows` are valid until then."""
        with self._lock:
            if len(self._words) > self._limit:
                self._forget()

    def rows(self, words: Sequence[str]) -> Ids:
        """A number for each of these words."""
        with self._lock:
            for word in words:
                if word not in self._rows:
                    self._rows[word] = len(self._words)
                    self._words.append(word)
            return np.fromiter(map(self._rows.__getitem__, words), dtype=np.int64, count=len(words))

    def fact(self, name: str) -> Numbers:
        """One of `FACTS` for every word, by its number; worked out for words that are new."""
        with self._lock:
            known = self._facts.get(name, np.empty(0))
            if known.size < len(self._words):
                new = self._words[known.size :]
                known = np.concatenate([known, np.fromiter(map(FACTS[name], new), dtype=np.float64, count=len(new))])
                self._facts[name] = known
            return known

    def evidence(self) -> Sparse:
        """The evidence for languages, by the word's number."""
        with self._lock:
            new = self._words[self._evidence.sizes.size :]
            if new:
                self._evidence = self._evidence.followed_by(Sparse.of(map(evidence, new)))
            return self._evidence
