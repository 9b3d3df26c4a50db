"""``finemed decontaminate``: finds benchmark items in any file, and says why a row counts as holding one.

::

    found = decontaminate_table(open_parts("train.parquet"), index)
    found.hits[16][0]             ->  PartHit(part="input", hit=Hit(item=42, score=0.94, ...))
    explain(found, "r17").verdict ->  "medqa_us_4opt_test/0042: stem, score 0.94 ... of input"

Every part is looked at by itself: system prompts, each turn, contexts, both answers of a pair. Where a row keeps the
options of its question in columns of their own, question and options are one text more: an item is both. Texts that
are left out as facts about the row (`meta.note`) are searched too, unless somebody named the columns to look at.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from finemed.errors import ConfigError
from finemed.records import LedgerRow, frame
from finemed.sources.part_names import is_option, is_spoken, leaf
from finemed.sources.parts import column_of
from finemed.stages.decontaminate import COLUMN, REASON, BenchmarkIndex
from finemed.standalone.reading import quarantined, read_summary
from finemed.standalone.table import Table
from finemed.text.overlap_find import find_hits
from finemed.text.overlap_plain import Hit

CANDIDATES = 10
_OURS = re.compile(r".+: [\w ]+, score \d\.\d\d(?: \(\d\.\d\d needed\))?, characters \d+-\d+", re.DOTALL)
"""What a mark begins with."""
_OF_LIST = re.compile(r"\[\d+\]\Z")


class PartHit(NamedTuple):
    """An item in a part of a row."""

    part: str
    hit: Hit


@dataclass(frozen=True)
class TableOverlap:
    """A table with the benchmark items that its rows hold."""

    table: Table
    index: BenchmarkIndex
    hits: dict[int, list[PartHit]]
    """By the row's number, each item once, in the part that holds most of it; best hit first."""
    beside: pl.DataFrame
    """Texts that are searched though they are no part."""

    @property
    def keep(self) -> pl.Series:
        """Whether each row is without a hit, in the table's order."""
        return pl.Series([row not in self.hits for row in range(self.table.height)], dtype=pl.Boolean())

    def write(self, path: Path, *, mark: bool) -> None:
        """Writes the rows without a hit; with `mark` all rows, with a column `contamination` of what was found.

        Raises:
            ConfigError: the table has such a column, and it holds something else.
        """
        if not mark:
            self.table.write(path, self.keep)
            return
        self._check_column()
        rows = range(self.table.height)
        found = [describe(self.index, self.hits[row]) if row in self.hits else None for row in rows]
        self.table.write(path, list(rows), {COLUMN: pl.Series(found, dtype=pl.String())})

    def _check_column(self) -> None:
        """Refuses to write over a column of the user's; what this command wrote earlier is written anew."""
        given = self.table.column(COLUMN, "--mark") if COLUMN in self.table.columns else None
        if given is None:
            return
        for row_id, value in zip(self.table.ids, given, strict=True):
            if value is not None and not _OURS.match(value):
                raise ConfigError(
                    f"--mark: {self.table.name} has a column `{COLUMN}` of its own, with {value[:40]!a} in {row_id}, "
                    "which would be lost; rename it, or leave --mark out and list the rows with --dropped"
                )

    def ledger(self) -> pl.DataFrame:
        """A line for each row with a hit, its best hit and that one's part first; then what could not be read."""
        ids = self.table.ids
        rows = [
            {
                "row_id": ids[row],
                "drop_reason": REASON,
                "detail": describe(self.index, self.hits[row]),
                "stage": "decontaminate",
            }
            for row in sorted(self.hits)
        ]
        return frame(LedgerRow, rows + quarantined(self.table, "decontaminate"))

    def summary(self) -> dict[str, Any]:
        """Counts as JSON values."""
        by_best = Counter(self.index.benchmarks.items[found[0].hit.item].benchmark for found in self.hits.values())
        by_part = Counter(part for found in self.hits.values() for part in {each.part for each in found})
        return {
            **read_summary(self.table),
            "searched_too": sorted(self.beside["part"].unique()),
            "contaminated": len(self.hits),
            "parts": dict(sorted(by_part.items())),
            "benchmarks": {
                name: {"items": items, "rows": by_best.get(name, 0)} for name, items in self.index.items.items()
            },
            "unmatchable_items": self.index.unmatchable,
        }


def describe(index: BenchmarkIndex, hits: list[PartHit]) -> str:
    """The best hit in words with its part, and the names of the other items."""
    best, others = hits[0], [f"{index.name(each.hit)} in {each.part}" for each in hits[1:]]
    more = f"; {len(others)} more item{'s' if len(others) > 1 else ''}: {', '.join(others)}" if others else ""
    return f"{index.describe([best.hit])} of {best.part}{more}"


def decontaminate_table(table: Table, index: BenchmarkIndex) -> TableOverlap:
    """Looks for the items of an index in every part of every row.

    Raises:
        ConfigError: there is no benchmark to look for.
    """
    if not index.items:
        raise ConfigError(
            "no benchmark to look for; name some with --benchmark, such as medqa, or a file with `question` and "
            "`options`"
        )
    table = table.unlabelled()
    held, beside = table.parts, table.beside()
    parts = pl.concat([held.select("row", "part", "text"), with_options(held), with_lists(held), beside])
    texts = parts["text"].unique(maintain_order=True)
    found = index.finder.find(texts)
    where = pl.DataFrame({"text": texts}).with_row_index("at").filter(pl.col("at").is_in(sorted(found)))
    best: dict[int, dict[int, PartHit]] = {}
    for row, part, at in parts.join(where, on="text", maintain_order="left").select("row", "part", "at").iter_rows():
        own = best.setdefault(row, {})
        for hit in found[at]:
            if hit.item not in own or hit.score > own[hit.item].hit.score:
                own[hit.item] = PartHit(part, hit)
    hits = {row: sorted(own.values(), key=lambda each: _order(each.hit)) for row, own in sorted(best.items())}
    return TableOverlap(table, index, hits, beside)


def _order(hit: Hit) -> tuple[float, int]:
    return -hit.score, hit.item


def with_options(parts: pl.DataFrame) -> pl.DataFrame:
    """Questions with their options, of rows that have both."""
    options = [name for name in parts["part"].unique().to_list() if is_option(leaf(name))]
    beside = pl.col("part").is_in(options) & (pl.col("kind") != "label")
    asked = (pl.col("kind") == "question") & ~beside
    whole = parts.filter(pl.col("row").is_in(parts.filter(beside)["row"].unique().implode())).filter(beside | asked)
    return (
        whole.group_by("row", maintain_order=True)
        .agg(
            pl.col("part").str.join(" + "),
            pl.col("text").sort_by(beside, maintain_order=True).str.join("\n"),
            asked.any().alias("#asked"),
        )
        .filter("#asked")
        .select("row", "part", "text")
    )


def with_lists(parts: pl.DataFrame) -> pl.DataFrame:
    """Lists of texts as one text each: an item may go on from one to the next."""
    names = {name: column_of(name) for name in parts["part"].unique(maintain_order=True) if _OF_LIST.search(name)}
    lists = {name: f"{column}[]" for name, column in names.items() if not is_spoken(column)}
    return (
        parts.filter(pl.col("part").is_in(list(lists)) & (pl.col("kind") != "label"))
        .with_columns(pl.col("part").replace(lists))
        .group_by("row", "part", maintain_order=True)
        .agg(pl.col("text").str.join("\n"), pl.len().alias("#texts"))
        .filter(pl.col("#texts") > 1)
        .select("row", "part", "text")
    )


@dataclass(frozen=True)
class Candidate:
    """An item that a row holds, or came near to holding."""

    item: str
    part: str
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

    row_id: str
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
    own = found.table.parts.filter(found.table.parts["row"] == number)
    beside = found.beside.filter(found.beside["row"] == number)
    parts = pl.concat([own.select("row", "part", "text"), with_options(own), with_lists(own), beside])
    parts = parts.select("part", "text").unique("text", keep="first", maintain_order=True)
    everything = find_hits(parts["text"].to_list(), found.index.index, everything=True) if parts.height else []
    items = found.index.benchmarks.items
    candidates = [
        (
            not hit.flagged,
            _order(hit),
            Candidate(
                found.index.name(hit),
                part,
                hit.flagged,
                hit.kind,
                round(hit.score, 4),
                round(hit.needed, 4),
                text[hit.start : hit.end],
                items[hit.item].question,
                list(items[hit.item].options),
            ),
        )
        for (part, text), hits in zip(parts.iter_rows(), everything, strict=True)
        for hit in hits
    ]
    candidates.sort(key=lambda each: each[:2])
    hits = found.hits.get(number)
    text = "\n\n".join(own["text"])
    shown = [candidate for *_, candidate in candidates[:CANDIDATES]]
    return OverlapExplanation(row_id, describe(found.index, hits) if hits else "clean", text, shown)
