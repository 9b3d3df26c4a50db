"""Outputs of the commands that take anybody's rows: dedup, decontaminate, split."""

from __future__ import annotations

from typing import Any

from finemed.records.outputs.base import Count, OutputModel, Reasons, Share


class SharedText(OutputModel):
    """Texts of a part that count for nothing, since many rows have them."""

    texts: Count
    """How many."""
    rows: Count
    """Rows that have one of them."""


class QuarantinedPlace(OutputModel):
    """A record, or the rest of a file, that could not be read."""

    place: str
    """File and line, or place in a list."""
    reason: str
    """Why."""
    rows: Count
    """Records that are lost with it."""


class TableRead(OutputModel):
    """How anybody's table was read."""

    rows: Count
    """Records that came in, those that could not be read among them."""
    quarantined: Count
    """Records that could not be read."""
    quarantined_places: list[QuarantinedPlace]
    """The first 1,000 of them."""
    comparing: list[str]
    """Parts whose texts are looked at."""
    left_out: list[str]
    """Other columns that hold texts."""
    passed_over: list[str]
    """Files beside the data that are no data."""
    cut_off: list[str]
    """Places where a file breaks off: how many rows follow is unknown."""


class DedupOutput(TableRead):
    """What was dropped as a repeat."""

    kept: Count
    """Rows that stay."""
    dropped: Reasons
    """The others, by reason."""
    clinical_variants: Count
    """Kept rows that differ from another one only clinically."""
    already_indexed: Count
    """Rows that the index held already."""
    not_comparable: Count
    """Rows without a text in any part."""
    shared_texts: dict[str, SharedText]
    """By part: texts that make no row a repeat."""
    compared: Count
    """Pairs that were compared exactly."""
    not_compared: Count
    """Comparisons left out for size."""


class Neighbour(OutputModel):
    """A row that resembles the one explained."""

    row_id: str
    """Its id."""
    similarity: Share
    """Least exact Jaccard similarity of a part; 0 where one of the two lacks a part."""
    difference: str | None
    """The clinical difference; null where there is none."""
    state: str
    """Whether it stays."""
    text: str
    """Its text."""
    parts: dict[str, Share]
    """Exact Jaccard similarity of each part that both have."""


class ComparedPart(OutputModel):
    """A part of the row explained."""

    part: str
    """Its name."""
    kind: str
    """What it is: system, question, context or answer."""
    text: str
    """Its text."""
    rows: Count
    """Rows that have this text in this part."""


class DedupExplanation(OutputModel):
    """Why one row goes or stays."""

    row_id: str
    """Its id."""
    verdict: str
    """What becomes of it."""
    text: str
    """Its text."""
    parts: list[ComparedPart]
    """All its parts."""
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


class DecontaminateOutput(TableRead):
    """Which rows hold a benchmark item."""

    contaminated: Count
    """Rows that hold an item."""
    benchmarks: dict[str, BenchmarkCount]
    """By benchmark; a row counts for its best hit."""
    unmatchable_items: Count
    """Items that say too little to be ever found."""
    parts: Reasons
    """Part -> rows whose best hit is in it."""
    searched_too: list[str]
    """What is left out as a part, and was looked through for items as well."""


class OverlapCandidate(OutputModel):
    """An item that a row holds, or came near to holding."""

    item: str
    """Benchmark and item."""
    part: str
    """The part of the row that it was looked for in."""
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

    row_id: str
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


class EarlierHeld(OutputModel):
    """What earlier versions decided."""

    versions: list[dict[str, Any]]
    """What was read of each."""
    pinned: Count
    """Rows that keep the split of an earlier row that they are, or are like."""
    bridges: Count
    """Rows between two splits of earlier versions."""
    bridges_published: Count = 0
    """Those of them that earlier versions had published."""
    not_taken_apart: Count = 0
    """Rows of components that were too large to be taken apart."""
    reshuffled: str | None = None
    """The version that last reshuffled the splits; nothing before it counts."""


class SplitOutput(TableRead):
    """How rows were split."""

    kept: Count
    """Rows that are in a split."""
    dropped: Reasons
    """The others, by reason."""
    splits: Reasons
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
    shared_texts: dict[str, SharedText]
    """By part: texts that join no rows."""
    previous: EarlierHeld | None = None
    """With `--previous`."""


class SplitEdge(OutputModel):
    """Why a row is joined with another."""

    to: str
    """Id of the other row."""
    column: str
    """Part whose texts are alike, or column of groups."""
    similarity: Share
    """Exact Jaccard similarity; 1 for rows of one group."""


class SplitExplanation(OutputModel):
    """The component of one row, and what joins it."""

    row_id: str
    """Its id."""
    component: str
    """Id of the component's first row."""
    split: str
    """Where it goes."""
    members: list[str]
    """Ids of the rows of its component."""
    edges: list[SplitEdge]
    """The rows that it is joined with directly."""
