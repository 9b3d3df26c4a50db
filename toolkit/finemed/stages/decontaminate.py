"""Decontaminate: finds text that repeats benchmark items, and drops or marks it.

*Reads* `JudgedInstruction` and *writes* `CheckedInstruction` before questions are answered; *reads* and *writes*
`Response` before answers are judged.
*Drops* `contaminated` (detail: ``medqa/0412: stem, score 0.96 (0.60 needed), characters 0-771; 1 more item``); with
``action: mark`` it drops nothing and says the same in the column `contamination` and in `notes.parquet`.
*Reference*: FineMed (arXiv 2501.09213) has no such step; n-gram containment as in GPT-3 (arXiv 2005.14165, appendix C),
beside an alignment of our own that changed words and shuffled options do not deceive (``docs/decontaminate.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import DecontaminateConfig, identity
from finemed.records import CheckedInstruction, JudgedInstruction, Response
from finemed.sources.benchmarks import Benchmarks, load_benchmarks
from finemed.stages.base import Contract, Drops, Outcome, split_rows
from finemed.stages.contamination import COLUMN as COLUMN
from finemed.stages.contamination import REASON as REASON
from finemed.stages.contamination import joined
from finemed.text.overlap import OverlapIndex, OverlapRule
from finemed.text.overlap_find import OverlapFinder
from finemed.text.overlap_plain import Hit

VERSION = 3


class BenchmarkIndex:
    """The benchmarks of a configuration; their index is made when the first row is looked at."""

    def __init__(self, benchmarks: Benchmarks, config: DecontaminateConfig) -> None:
        self.benchmarks = benchmarks
        self._rule = OverlapRule(config.min_score, config.ngram_size)

    @classmethod
    def load(cls, config: DecontaminateConfig, base: Path) -> BenchmarkIndex:
        """Reads the benchmarks of a configuration; relative paths start from `base`.

        Raises:
            InputError: one is missing, or a line is no item; a benchmark is never read in part.
        """
        return cls(load_benchmarks(config.benchmarks, base), config)

    @property
    def items(self) -> dict[str, int]:
        """Items by benchmark."""
        return self.benchmarks.counts()

    @cached_property
    def index(self) -> OverlapIndex:
        """The items as the matching takes them."""
        return OverlapIndex.build([(item.question, item.options) for item in self.benchmarks.items], self._rule)

    @cached_property
    def finder(self) -> OverlapFinder:
        """Looks for the items in texts."""
        return OverlapFinder(self.index)

    @property
    def unmatchable(self) -> int:
        """Items that say too little to be ever found."""
        return len(self.index.unmatchable)

    def name(self, hit: Hit) -> str:
        """Benchmark and id of the item of a hit."""
        item = self.benchmarks.items[hit.item]
        return f"{item.benchmark}/{item.id}"

    def describe(self, hits: Sequence[Hit]) -> str:
        """The best hit in words, and how many others there are."""
        best = hits[0]
        needed = f" ({best.needed:.2f} needed)" if best.needed else ""
        more = f"; {len(hits) - 1} more item{'s' if len(hits) > 2 else ''}" if len(hits) > 1 else ""
        return (
            f"{self.name(best)}: {best.kind}, score {best.score:.2f}{needed}, characters {best.start}-{best.end}{more}"
        )


class DecontaminateStage:
    """Map stage over rows with an id and a text column."""

    def __init__(self, config: DecontaminateConfig, index: BenchmarkIndex, contract: Contract, text: str) -> None:
        self.contract = contract
        self._config = config
        self._index = index
        self._text = text

    @classmethod
    def of_questions(cls, config: DecontaminateConfig, index: BenchmarkIndex) -> DecontaminateStage:
        """The stage over questions."""
        contract = Contract.one_to_one(
            "decontaminate", VERSION, JudgedInstruction, CheckedInstruction, "instruction_id"
        )
        return cls(config, index, contract, "instruction")

    @classmethod
    def of_answers(cls, config: DecontaminateConfig, index: BenchmarkIndex) -> DecontaminateStage:
        """The stage over answers."""
        contract = Contract.one_to_one("decontaminate_answers", VERSION, Response, Response, "response_id")
        return cls(config, index, contract, "response")

    def settings(self) -> dict[str, Any]:
        return {**identity(self._config), "benchmarks": self._index.benchmarks.identity()}

    def apply(self, rows: pl.DataFrame) -> Outcome:
        key, marking = self.contract.key_in, self._config.action == "mark"
        hits = self._index.finder.find(rows[self._text])
        told = {row: self._index.describe(found) for row, found in hits.items()}
        before = rows[COLUMN].to_list() if COLUMN in rows.columns else [None] * rows.height
        own = {row: f"{self._text}: {fact}" for row, fact in told.items()} if marking else {}
        marks = [joined((old, own.get(row))) for row, old in enumerate(before)]
        written = rows.with_columns(pl.Series(COLUMN, marks, dtype=pl.String())).select(list(self.contract.schema))
        ids = rows[key]
        if not marking:
            return split_rows(written, key, {ids[row]: (REASON, fact) for row, fact in told.items()})
        notes = Drops()
        for row in sorted(told):
            notes.add(ids[row], REASON, told[row])
        return replace(split_rows(written, key, {}), noted=notes.frame())
