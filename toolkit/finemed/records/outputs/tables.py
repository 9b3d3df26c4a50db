"""Outputs of the commands that take anybody's rows: dedup, decontaminate, split."""

from __future__ import annotations

from typing import Any

from pydantic import RootModel

from finemed.records.outputs.base import Count, OutputModel, Reasons, Share


class DedupOutput(OutputModel):
    """What was dropped as a repeat."""

    rows: Count
    """Rows that were read."""
    kept: Count
    """Rows that stay."""
    dropped: Reasons
    """The others, by reason."""
    clinical_variants: Count
    """Kept rows that differ from another one only clinically."""
    already_indexed: Count
    """Rows that the index held already."""
    compared: Count
    """Pairs that were compared exactly."""
    not_compared: Count
    """Comparisons left out for size."""


class Neighbour(OutputModel):
    """A row that resembles the one explained."""

    id: str
    """Its id."""
    similarity: Share
    """Exact Jaccard similarity."""
    difference: str | None
    """The clinical difference; null where there is none."""
    state: str
    """Whether it stays."""
    text: str
    """Its text."""


class DedupExplanation(OutputModel):
    """Why one row goes or stays."""

    id: str
    """Its id."""
    verdict: str
    """What becomes of it."""
    text: str
    """Its text."""
    keeps_out: list[str]
    """Ids of the rows that go because they repeat it."""
    nearest: list[Neighbour]
    """The rows that resemble it most."""


class BenchmarkCount(OutputModel):
    """One benchmark."""

    items: Count
    """Its items."""
    rows: Count
    """Rows that hold one of them."""


class DecontaminateOutput(OutputModel):
    """Which rows hold a benchmark item."""

    rows: Count
    """Rows that were read."""
    contaminated: Count
    """Rows that hold an item."""
    benchmarks: dict[str, BenchmarkCount]
    """By benchmark; a row counts for its best hit."""
    unmatchable_items: Count
    """Items that say too little to be ever found."""


class OverlapCandidate(OutputModel):
    """An item that a row holds, or came near to holding."""

    item: str
    """Benchmark and item."""
    flagged: bool
    """Whether it counts."""
    kind: str
    """What of the item was found."""
    score: float
    """Share of the item that the row holds."""
    needed: float
    """Score from which it counts."""
    stretch: str
    """The part of the row's text."""
    question: str
    """The item's question."""
    options: list[str]
    """The item's options."""


class DecontaminateExplanation(OutputModel):
    """Why one row counts as contaminated, or not."""

    id: str
    """Its id."""
    verdict: str
    """The hits, or `clean`."""
    text: str
    """Its text."""
    candidates: list[OverlapCandidate]
    """The items that come into question, the best first."""


class LargestComponent(OutputModel):
    """Rows that stay together."""

    component: str
    """Id of its first row."""
    rows: Count
    """Its rows."""


class SplitOutput(OutputModel):
    """How rows were split."""

    rows: Reasons
    """Split -> rows."""
    components: Count
    """Groups of rows that stay together."""
    largest: list[LargestComponent]
    """The largest of them."""
    compared: Count
    """Pairs that were compared exactly."""
    joined_unverified: Count
    """Rows that joined a large bucket without being compared."""
    bytes_per_row: Count
    """Memory that it took."""


class SplitExplanation(RootModel[dict[str, Any]]):
    """The component of one row, and what joins it."""
