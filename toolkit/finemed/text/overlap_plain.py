"""Test items in texts by the interpreter: no compilation, for few texts; and what `overlap_scan` must agree with.

::

    find_plain(["Which nerve innervates the diaphragm?"], index)  ->  [[Hit(item=0, score=1.0, ...)]]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finemed.text import normalise
from finemed.text.fold import fold_in_place
from finemed.text.overlap import OverlapIndex
from finemed.text.overlap_align import Scratch
from finemed.text.overlap_match import BLOCK, KINDS, Found, match_row
from finemed.text.shingle import word_hashes


@dataclass(frozen=True)
class Hit:
    """An item that a text holds, or a candidate that fell short."""

    item: int
    """Its place in the index."""
    kind: str
    """What was found of it, one of `KINDS`; `below` of a candidate that is no hit."""
    score: float
    """Share of the mass of what was found, 0 to 1."""
    needed: float
    """The score that it took; 0 where an n-gram sufficed."""
    start: int
    """First character of the stretch of the text."""
    end: int
    """One past its last character."""
    stem_score: float
    """Score of the stem alone."""
    whole_score: float
    """Score of stem and options together, where it was asked for."""

    @property
    def flagged(self) -> bool:
        """Whether the text counts as holding the item."""
        return self.kind != KINDS[0]


def thousandths(min_score: float) -> int:
    """A share as the kernels have it."""
    return round(1000 * min_score)


def ordered(columns: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """The verdicts of a row, the best first: hits, then the higher score, then the earlier item."""
    rows = [[int(column[at]) for column in columns] for at in range(count)]
    return sorted(rows, key=lambda row: (row[1] == 0, -row[2], row[0]))


def hits_of(text: str, verdicts: Sequence[Sequence[int]]) -> list[Hit]:
    """Verdicts with their word spans as spans of characters."""
    spans = word_spans(text) if verdicts else []
    hits = []
    for item, kind, score, first, end, needed, stem_score, whole_score in verdicts:
        start, stop = (spans[first][0], spans[end - 1][1]) if end > first else (0, 0)
        shares = (score / 1000, needed / 1000)
        hits.append(Hit(item, KINDS[kind], *shares, start, stop, stem_score / 1000, whole_score / 1000))
    return hits


_CLASSES = normalise.WORD


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each word of `normalise.words` stands in the text, in characters."""
    folded = fold_in_place(text)
    lower = folded.text.lower()
    spans = [found.span() for found in _CLASSES.finditer(lower)]
    if len(lower) != len(folded.text):
        origin = [at for at, char in enumerate(folded.text) for _ in char.lower()]  # one may have several lower-case
        spans = [(origin[start], origin[end - 1] + 1) for start, end in spans]
    return [folded.original(start, end) for start, end in spans]


class PlainScan:
    """The index with its working memory as lists."""

    def __init__(self, index: OverlapIndex) -> None:
        self._index = index
        vocabulary, items = len(index.tables.word_keys), index.items
        self._scratch = Scratch(
            clock=[0, 0, 0, 0],
            seen=[0] * vocabulary,
            last=[0] * vocabulary,
            before=[0] * BLOCK,
            met=[0] * items,
            stem_led=[0] * items,
            options_led=[0] * items,
            candidates=[0] * items,
            gram_met=[0] * items,
            gram_start=[0] * items,
            gram_end=[0] * items,
            value=[0] * BLOCK,
            start=[0] * BLOCK,
            count=[0] * BLOCK,
            best=[0] * 4,
            verdict=[0] * 7,
        )
        self._found = Found([0] * items, [0] * items, [[0] * items for _ in range(8)])
        self._row = 0

    def verdicts(self, text: str, *, everything: bool = False) -> list[list[int]]:
        """Verdicts on one text, the best first."""
        self._row += 1
        ids = self._index.numbered(word_hashes(normalise.words(text))).tolist()
        rule = self._index.rule
        count = match_row(  # type: ignore[no-untyped-call]
            self._row, ids, len(ids), rule.ngram_size, thousandths(rule.min_score), everything, self._index.plain,
            self._scratch, self._found,
        )  # fmt: skip
        return ordered(self._found.columns, count)


def find_plain(texts: Sequence[str], index: OverlapIndex, *, everything: bool = False) -> list[list[Hit]]:
    """The hits of each text, the best first.

    Args:
        texts: of any length.
        index: the items.
        everything: also the candidates that fell short, with their scores.
    """
    scan = PlainScan(index)
    return [hits_of(text, scan.verdicts(text, everything=everything)) for text in texts]
