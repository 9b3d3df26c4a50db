"""Proves on a release's files that its pools and splits share no near-duplicate.

::

    check_separation(Path("run/release/data"), questions=0.7, answers=0.8)
    ->  {"questions": {"threshold": 0.7, "texts": 1204, "compared": 310, "found": 0}, "answers": {...}}

`ttt` must hold no question and no answer that nearly repeats one of `sft`, `dpo` or `sft_reasoning`, nor train one of
validation or test, within a pool or across pools. The files are read twice, a batch at a time; the bands are others
than those that the split stage found its components with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from finemed.errors import StageError
from finemed.records import POOLS, SPLITS
from finemed.stages.components import ANSWER_LEAST, ANSWER_NGRAM, QUESTION_NGRAM
from finemed.store.earlier import SIDES, EarlierRows, side_of
from finemed.text.clusters import Column, hasher_for
from finemed.text.column import column_of

SEED = 77
"""Of the check's bands; the split stage's is 2."""
BATCH = 2000

_COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "questions": dict.fromkeys(POOLS, ("prompt",)),
    "answers": {pool: ("chosen", "rejected") if pool == "dpo" else ("completion",) for pool in POOLS},
}


@dataclass(frozen=True)
class _File:
    """One file, and the numbers of its texts."""

    path: Path
    pool: str
    split: str
    columns: tuple[str, ...]

    @property
    def place(self) -> int:
        """The same for texts that may be alike."""
        return side_of(self.pool, self.split)

    @cached_property
    def rows(self) -> int:
        """Rows of the file; each has a text in every column."""
        return int(pq.read_metadata(self.path).num_rows)

    def batches(self) -> Iterator[pl.Series]:
        """The texts, column by column."""
        with pq.ParquetFile(self.path) as file:
            for column in self.columns:
                for batch in file.iter_batches(batch_size=BATCH, columns=[column]):
                    turns = pl.Series(pl.from_arrow(batch.column(0)))
                    yield turns.list.last().struct.field("content")

    def row(self, number: int) -> tuple[str, str]:
        """Id of the row of a text, and the text's column."""
        ids = pq.read_table(self.path, columns=["id"]).column(0)
        return str(ids[number % len(ids)]), self.columns[number // len(ids)]


def check_separation(data: Path, *, questions: float, answers: float) -> dict[str, Any]:
    """Checks the files of all pools; what was looked at, as JSON values.

    Args:
        data: folder of the files, `<pool>/<split>.parquet`.
        questions: Jaccard similarity of word trigrams that no two questions in different places may reach.
        answers: that of five-word sequences that no two answers may reach; answers of five words and fewer are free.

    Raises:
        StageError: a near-duplicate lies in two places; both rows are named.
    """
    columns = _columns(questions, answers)
    return {
        "questions": _check(data, "questions", columns["questions"], questions),
        "answers": _check(data, "answers", columns["answers"], answers),
    }


def _columns(questions: float, answers: float) -> dict[str, Column]:
    """What compares questions, and what answers."""
    return {
        "questions": Column(hasher_for(questions, SEED), QUESTION_NGRAM, questions),
        "answers": Column(hasher_for(answers, SEED), ANSWER_NGRAM, answers, least=ANSWER_LEAST),
    }


@dataclass(frozen=True)
class Moved:
    """A row that lies on another side than one of an earlier version that it repeats, or nearly so."""

    row: str
    """Its pool, split and id."""
    earlier: str
    what: str
    """`question` or `answer`."""
    similarity: float


@dataclass(frozen=True)
class Sides:
    """Rows of a release against those of earlier versions."""

    rows: int = 0
    """How many changed sides."""
    nearly: int = 0
    """How many of them are not the same to the letter, but nearly."""
    moved: list[Moved] = field(default_factory=list)
    """The first of them, by pool, split and place in the file."""


def changed_sides(data: Path, earlier: EarlierRows, *, questions: float, answers: float, most: int = 20) -> Sides:
    """Rows of a release whose question, or answer, was on another side in an earlier version.

    Args:
        data: folder of the files, `<pool>/<split>.parquet`.
        earlier: what was published before.
        questions: Jaccard similarity of word trigrams from which questions are the same.
        answers: that of five-word sequences for answers.
        most: rows to name.
    """
    found: dict[tuple[int, int], Moved] = {}
    files: list[_File] = []
    for what, column in _columns(questions, answers).items():
        files = _files(data, what)
        for at, row, name, similarity in _moved(files, what, column, earlier):
            known = found.get((at, row))
            if known is None or similarity > known.similarity:
                found[at, row] = Moved("", name, what[:-1], similarity)
    named: list[Moved] = []
    for at, row in sorted(found)[:most]:
        moved = found[at, row]
        where = f"{files[at].pool}/{files[at].split}, row {files[at].row(row)[0]}"
        number, place = map(int, moved.earlier.split(":"))
        named.append(Moved(where, earlier.name(number, place), moved.what, moved.similarity))
    return Sides(len(found), sum(moved.similarity < 1 for moved in found.values()), named)


def _moved(
    files: list[_File], what: str, column: Column, earlier: EarlierRows
) -> Iterator[tuple[int, int, str, float]]:
    """(file, row, `file:row` of the earlier one, similarity) of every text that changed sides."""
    kind = what[:-1]
    starts = [0]
    for file in files:
        for texts in file.batches():
            column.sketch(column_of(texts))
        starts.append(column.rows)
    place, number, row = [np.full(column.rows, -1, np.int8)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for batch in earlier.texts(kind):
        column.sketch(column_of(batch.texts))
        place.append(np.full(batch.rows.size, batch.side, np.int8))
        number.append(np.full(batch.rows.size, batch.file, np.int64))
        row.append(batch.rows.astype(np.int64))
    column.choose()
    for texts in (texts for file in files for texts in file.batches()):
        column.take(column_of(texts))
    for batch in earlier.texts(kind):
        column.take(column_of(batch.texts))
    at, rows = np.concatenate(number), np.concatenate(row)
    new, nearest, similarity, _ = column.touches(np.concatenate(place), len(SIDES))
    for text, others, values in zip(new.tolist(), nearest, similarity, strict=True):
        which = int(np.searchsorted(starts, text, side="right")) - 1
        others[files[which].place] = -1
        if (others >= 0).any():
            side = int(np.argmax(np.where(others >= 0, values, -1.0)))
            other = int(others[side]) - starts[-1]
            place_in = (text - starts[which]) % files[which].rows
            yield which, place_in, f"{at[other]}:{rows[other]}", float(values[side])


def _files(data: Path, what: str) -> list[_File]:
    return [
        _File(path, pool, split, columns)
        for pool, columns in _COLUMNS[what].items()
        for split in SPLITS
        if (path := data / pool / f"{split}.parquet").exists()
    ]


def _check(data: Path, what: str, column: Column, threshold: float) -> dict[str, Any]:
    files = _files(data, what)
    starts, places = [0], [np.zeros(0, dtype=np.int8)]
    for file in files:
        for texts in file.batches():
            column.sketch(column_of(texts))
        places.append(np.full(column.rows - starts[-1], file.place, dtype=np.int8))
        starts.append(column.rows)
    column.choose()
    for file in files:
        for texts in file.batches():
            column.take(column_of(texts))
    pairs, found, compared = column.apart(np.concatenate(places))
    if found:
        raise StageError(_complaint(files, starts, pairs, found, what, threshold))
    return {"threshold": threshold, "texts": column.rows, "compared": compared, "found": 0}


def _complaint(
    files: list[_File], starts: list[int], pairs: list[tuple[int, int, float]], found: int, what: str, threshold: float
) -> str:
    """Names the places and rows of the first pair, by id, and says what to do."""

    def named(text: int) -> str:
        number = int(np.searchsorted(starts, text, side="right")) - 1
        file = files[number]
        row, column = file.row(text - starts[number])
        return f"{file.pool}/{file.split}, row {row} (`{column}`)"

    shown = sorted((*sorted((named(left), named(right))), value) for left, right, value in pairs)
    left, right, value = shown[0]
    unit = "three" if what == "questions" else "five"
    setting = "component_threshold" if what == "questions" else "answer_threshold"
    return (
        f"release: {left} and {right} hold nearly the same {what[:-1]}: Jaccard similarity {value:.3f} of their "
        f"{unit}-word sequences, from {threshold:g} (`split.{setting}`) they must lie in one pool and split"
        f"{f'; {found} such pairs in all' if found > 1 else ''}; run `finemed build --from split`, and if it stays, "
        "change `seed`"
    )
