"""``finemed decontaminate``: finds benchmark items in any file, and says why a row counts as holding one.

::

    found = decontaminate_table(open_table("train.parquet"), index)
    found.hits[16][0].score       ->  0.94
    explain(found, "r17").verdict ->  "medqa_us_4opt_test/0042: stem, score 0.94 ..."
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import ConfigError
from finemed.records import LedgerRow, frame
from finemed.stages.decontaminate import COLUMN, REASON, BenchmarkIndex
from finemed.standalone.table import Table
from finemed.text.overlap_find import find_hits
from finemed.text.overlap_plain import Hit

CANDIDATES = 10


@dataclass(frozen=True)
class TableOverlap:
    """A table with the benchmark items that its rows hold."""

    table: Table
    index: BenchmarkIndex
    hits: dict[int, list[Hit]]
    """By the row's number, best hit first."""

    def write(self, path: Path, *, mark: bool) -> None:
        """Writes the rows without a hit; with `mark` all rows, with a column `contamination` of what was found."""
        rows = range(self.table.height)
        if mark:
            found = [self.index.describe(self.hits[row]) if row in self.hits else None for row in rows]
            self.table.write(path, list(rows), {COLUMN: pl.Series(found, dtype=pl.String())})
        else:
            self.table.write(path, [row for row in rows if row not in self.hits])

    def ledger(self) -> pl.DataFrame:
        """One row per hit: `row_id`, benchmark and item, what was found, score, span of the text in characters."""
        ids = self.table.ids
        rows = [
            {"row_id": ids[row], "drop_reason": REASON, "detail": self.index.describe([hit]), "stage": "decontaminate"}
            for row in sorted(self.hits)
            for hit in self.hits[row]
        ]
        return frame(LedgerRow, rows)

    def summary(self) -> dict[str, Any]:
        """Counts as JSON values."""
        by_best = Counter(self.index.benchmarks.items[hits[0].item].benchmark for hits in self.hits.values())
        return {
            "rows": self.table.height,
            "contaminated": len(self.hits),
            "benchmarks": {
                name: {"items": items, "rows": by_best.get(name, 0)} for name, items in self.index.items.items()
            },
            "unmatchable_items": self.index.unmatchable,
        }


def decontaminate_table(table: Table, index: BenchmarkIndex) -> TableOverlap:
    """Looks for the items of an index in every row.

    Raises:
        ConfigError: there is no benchmark to look for.
    """
    if not index.items:
        raise ConfigError(
            "no benchmark to look for; name some with --benchmark, such as medqa, or a file with `question` and "
            "`options`"
        )
    return TableOverlap(table, index, index.finder.find(table.texts(whole=True)))


@dataclass(frozen=True)
class Candidate:
    """An item that a row holds, or came near to holding."""

    item: str
    flagged: bool
    kind: str
    score: float
    needed: float
    stretch: str
    """The part of the row's text."""
    question: str
    options: list[str]


@dataclass(frozen=True)
class OverlapExplanation:
    """Why one row counts as contaminated, or not."""

    id: str
    verdict: str
    text: str
    candidates: list[Candidate] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def explain(found: TableOverlap, row_id: str) -> OverlapExplanation:
    """All items that come into question for one row, the best first.

    Raises:
        InputError: no row has this id.
    """
    number = found.table.number(row_id)
    text = found.table.texts(whole=True)[number] or ""
    (hits,) = find_hits([text], found.index.index, everything=True)
    items = found.index.benchmarks.items
    candidates = [
        Candidate(
            found.index.name(hit),
            hit.flagged,
            hit.kind,
            round(hit.score, 4),
            round(hit.needed, 4),
            text[hit.start : hit.end],
            items[hit.item].question,
            list(items[hit.item].options),
        )
        for hit in hits[:CANDIDATES]
    ]
    flagged = [hit for hit in hits if hit.flagged]
    return OverlapExplanation(row_id, found.index.describe(flagged) if flagged else "clean", text, candidates)
