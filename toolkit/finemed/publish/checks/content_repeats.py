"""Rules that compare the rows of anybody's data with each other: repeats, conflicts, one answer under many questions.

::

    compared = Repeats()
    compared.look(batch)                  # 40 bytes a row are kept, whatever its texts
    compared.finish(names, faults)
    # rows.jsonl:17: repeats rows.jsonl:3, all parts alike; leave one of them out

Texts are compared folded (`text.fold`), without case, punctuation and white space. A row's question is all
that is asked and given in it (context and earlier turns too), its answer all that is answered.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from finemed.publish.checks.faults import KEPT, Faults
from finemed.publish.checks.foreign_rows import Rows
from finemed.sources.part_names import leaf
from finemed.sources.parts import Part
from finemed.sources.rows import Placing
from finemed.sources.turns import fold
from finemed.text.normalise import folded

MANY = 5
"""Different questions from which one answer of some length says nothing about any of them."""
LONG_ANSWER = 6
"""Words of an answer that may not stand under many questions; two Chinese characters count as a word."""
_BETWEEN = r"[^\p{L}\p{M}\p{N}<>≤≥=+%\-]+"
_ONE_ANSWER = "keep the answer that is right, and leave the other rows out"

Hashes = npt.NDArray[np.uint64]


@dataclass
class Repeats:
    """Numbers of every row: where it is, and hashes of all of it, of its question, its answers and labels."""

    files: array[int] = field(default_factory=lambda: array("I"))
    lines: array[int] = field(default_factory=lambda: array("Q"))
    whole: array[int] = field(default_factory=lambda: array("Q"))
    asked: array[int] = field(default_factory=lambda: array("Q"))
    answered: array[int] = field(default_factory=lambda: array("Q"))
    rejected: array[int] = field(default_factory=lambda: array("Q"))
    """0 where a row has no rejected answer."""
    judged: array[int] = field(default_factory=lambda: array("Q"))
    """Answers with labels, such as the number of the right option: the same texts with other labels are a conflict."""
    long: array[int] = field(default_factory=lambda: array("B"))

    def look(self, batch: Rows) -> None:
        """Takes the rows of a batch in; those without a part are passed over."""
        at, texts = [], []
        for row, parts in enumerate(batch.parts):
            for part in parts:
                at.append(row)
                texts.append(part.text)
        hashes = _hashes(pl.Series(texts, dtype=pl.String()))
        place = 0
        for row, parts in enumerate(batch.parts):
            own = hashes[place : place + len(parts)]
            place += len(parts)
            if parts:  # columns have no order, the turns of one do
                order = sorted(range(len(parts)), key=lambda at: (fold(parts[at].column), at))
                self._add(batch, row, [parts[at] for at in order], [own[at] for at in order])

    def _add(self, batch: Rows, row: int, parts: list[Part], hashes: list[int]) -> None:
        last = {part.column: at for at, part in enumerate(parts) if part.kind == "answer" and not _is_earlier(part)}
        asked: list[int] = []
        answers: list[int] = []
        rejected: list[int] = []
        told = [part.column not in batch.untold for part in parts]
        labels = [value for part, value, of in zip(parts, hashes, told, strict=True) if of and part.kind == "label"]
        for at, (part, value) in enumerate(zip(parts, hashes, strict=True)):
            if part.kind == "label" or not told[at]:
                continue
            final = part.kind == "answer" and (not _is_turn(part) or last.get(part.column) == at)
            if fold(part.column).endswith("rejected"):
                if final:
                    rejected.append(value)
            elif final:
                answers.append(value)
            elif part.kind != "system":
                asked.append(value)
        self.files.append(batch.files[row])
        self.lines.append(Placing.number_of(batch.places[row]))
        self.whole.append(_joined([hash((part.kind, value)) for part, value in zip(parts, hashes, strict=True)]))
        self.asked.append(_joined(asked) if asked else 0)
        self.answered.append(_joined(answers) if answers else 0)
        self.judged.append(_joined([*answers, *labels]) if answers or labels else 0)
        self.rejected.append(_joined(rejected) if rejected else 0)
        self.long.append(any(_is_long(parts[at].text) for at in last.values()))

    def finish(self, names: Sequence[Placing], faults: Faults) -> None:
        """Compares all rows; `names` name the records of each file."""
        if not self.whole:
            for rule in ("repeats", "conflicts", "same_answer"):
                faults.skip(rule, "the records have no parts that could be compared")
            return
        faults.apply("repeats")
        table = pl.DataFrame(
            {name: np.frombuffer(values, dtype=values.typecode) for name, values in vars(self).items()}
        ).with_row_index("at")
        self._repeats(table, names, faults)
        pairs = table.filter((pl.col("asked") != 0) & (pl.col("judged") != 0))
        if pairs.is_empty():
            for rule in ("conflicts", "same_answer"):
                faults.skip(rule, "the records have no question with an answer")
            return
        faults.apply("conflicts", "same_answer")
        self._conflicts(pairs, names, faults)
        self._same_answer(pairs, names, faults)

    def _repeats(self, table: pl.DataFrame, names: Sequence[Placing], faults: Faults) -> None:
        first = table.with_columns(first=pl.col("at").min().over("whole"))
        exact = first.filter(pl.col("at") != pl.col("first"))
        both = table.filter((pl.col("asked") != 0) & (pl.col("judged") != 0)).with_columns(
            first=pl.col("at").min().over("asked", "judged", "rejected")
        )
        rest = both.filter(pl.col("at") != pl.col("first")).join(exact.select("at"), on="at", how="anti")
        for found, kind in ((exact, "all parts alike"), (rest, "question and answer alike")):
            self._report(found, names, faults, "repeats", kind, f"repeats {{}}, {kind}", "leave one of them out")

    def _conflicts(self, pairs: pl.DataFrame, names: Sequence[Placing], faults: Faults) -> None:
        plain = pairs.filter(pl.col("rejected") == 0).with_columns(
            first=pl.col("at").min().over("asked"), known=pl.col("judged").first().over("asked")
        )
        found = plain.filter(pl.col("judged") != pl.col("known"))
        fact = "answers the question of {} otherwise"
        self._report(found, names, faults, "conflicts", "another answer to the same question", fact, _ONE_ANSWER)
        chosen = pairs.filter(pl.col("rejected") != 0)
        turned = chosen.join(
            chosen.select("asked", answered="rejected", rejected="answered", first="at"),
            on=["asked", "answered", "rejected"],
        ).filter(pl.col("at") > pl.col("first"))
        fact = "prefers what {} rejects"
        self._report(turned, names, faults, "conflicts", "the opposite preference", fact, _ONE_ANSWER)

    def _same_answer(self, pairs: pl.DataFrame, names: Sequence[Placing], faults: Faults) -> None:
        counted = pairs.filter((pl.col("long") == 1) & (pl.col("answered") != 0)).with_columns(
            first=pl.col("at").min().over("answered"), questions=pl.col("asked").n_unique().over("answered")
        )
        found = counted.filter(pl.col("questions") >= MANY)
        told = found.group_by("answered", maintain_order=True).agg(
            pl.col("at").min(), pl.col("files").first(), pl.col("lines").first(), pl.col("questions").first()
        )
        remedy = "answer each question, or leave these records out"
        for row in told.head(KEPT).iter_rows(named=True):
            place = names[row["files"]].at(row["lines"])
            fact = f"its answer stands under {row['questions']:,} different questions"
            faults.add("same_answer", place, fact, remedy)
        if found.height > min(told.height, KEPT):
            faults.more("same_answer", "", found.height - min(told.height, KEPT))

    def _report(
        self,
        found: pl.DataFrame,
        names: Sequence[Placing],
        faults: Faults,
        rule: str,
        kind: str,
        fact: str,
        remedy: str,
    ) -> None:
        for row in found.head(KEPT).iter_rows(named=True):
            first = row["first"]
            other = names[self.files[first]].at(self.lines[first])
            faults.add(rule, names[row["files"]].at(row["lines"]), fact.format(other), remedy, kind=kind)
        if found.height > KEPT:
            faults.more(rule, kind, found.height - KEPT)


def _hashes(texts: pl.Series) -> list[int]:
    """A hash of each text as it is compared; of one without a letter or digit, of its characters."""
    plain = pl.col("text").str.to_lowercase().str.replace_all(_BETWEEN, " ").str.strip_chars()
    bare = pl.when(plain.str.len_bytes() > 0).then(plain).otherwise(pl.col("text"))
    found: list[int] = pl.DataFrame({"text": folded(texts)}).select(bare.hash(seed=1)).to_series().to_list()
    return found


def _joined(hashes: Sequence[int]) -> int:
    return hash(tuple(hashes)) % (1 << 64) or 1


def _is_turn(part: Part) -> bool:
    return part.name != part.column


def _is_earlier(part: Part) -> bool:
    """Whether a part is of the turns before the question, in a column of their own."""
    return leaf(part.column) == "history"


def _is_long(text: str) -> bool:
    if text.isascii():
        return len(text.split(None, LONG_ANSWER)) >= LONG_ANSWER
    dense = sum("\u3040" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7a3" for char in text[:200])
    return dense // 2 + len(text.split(None, LONG_ANSWER)) - bool(dense) >= LONG_ANSWER
