"""Outputs of the commands that judge rows or look over a run: filter, coverage, confusion."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from finemed.records.outputs.base import Count, OutputModel, Reasons, Share


class RuleCount(OutputModel):
    """How many passages a rule of the filter concerns."""

    fails: Count
    """Passages that fail it."""
    dropped: Count
    """It is the first rule that they fail."""
    alone: Count
    """It is the only rule that they fail."""


class FilteredSource(OutputModel):
    """The passages of one source."""

    rows: Count
    """Passages that were judged."""
    kept: Count
    """Those that fail no rule."""
    dropped: Reasons
    """The others, by the first rule that they fail."""
    rules: dict[str, RuleCount]
    """Every rule, in order."""


class FilterOutput(OutputModel):
    """What each rule of the filter drops."""

    rows: Count
    """Passages that were judged."""
    kept: Count
    """Those that fail no rule."""
    dropped: Reasons
    """The others, by the first rule that they fail."""
    not_read: Reasons
    """Records that could not be read, by reason; of files, not of a run."""
    sources: dict[str, FilteredSource]
    """The same by source."""


class FilterCheck(OutputModel):
    """What one rule says of one passage."""

    rule: str
    """Name of the rule."""
    value: Any
    """What was measured."""
    limit: Any
    """The setting that it is held against."""
    fails: bool
    """Whether the passage fails it."""
    evidence: list[str]
    """What was seen."""


class ExplainedPassage(OutputModel):
    """What all rules say of one passage."""

    passage_id: str
    """Its id."""
    document_id: str
    """Id of its document."""
    record_id: str
    """Place or id of its record in the source."""
    language: str
    """Its language, stated or identified."""
    drop_reason: str | None
    """The first rule that it fails; null for a passage that is kept."""
    text: str
    """Its beginning."""
    checks: list[FilterCheck]
    """Every rule."""


class FilterExplanation(OutputModel):
    """The passages with the id that was asked for."""

    passages: list[ExplainedPassage]
    """One passage, or all of a document or record."""


class NodeCoverage(OutputModel):
    """One node of the department tree; a department counts all that lies below it."""

    id: str
    """Id of the node."""
    department: str
    """Its department."""
    subdepartment: str | None
    """Its sub-department; null for a department as a whole."""
    wanted: Count | None
    """Samples wanted; null where `quota` sets no number."""
    available: Count
    """Passages classified here."""
    drawn: Count
    """Passages that the quota let through."""
    held: Count
    """Passages that are held back and could be drawn."""
    got: Count
    """Samples at the run's last stage."""
    missing: Count
    """Samples short of what is wanted."""


class CoverageOutput(OutputModel):
    """How a run covers the department tree."""

    stage: str
    """The last finished stage, whose rows `got` counts."""
    entropy_bits: float = Field(ge=0)
    """Shannon entropy of the samples over the sub-departments."""
    greatest_entropy_bits: float = Field(ge=0)
    """Entropy of equally many samples in every sub-department."""
    nodes: list[NodeCoverage]
    """Every node, in tree order."""
    under_filled: list[str]
    """Ids of the nodes that are short."""
    backfill: dict[str, Count] | None
    """Node id -> further passages that the next build draws; null without `--backfill`."""


class ClassScore(OutputModel):
    """How well one department was found."""

    precision: Share
    """Share of those placed here that belong here."""
    recall: Share
    """Share of those that belong here that were placed here."""
    f1: Share
    """Harmonic mean of the two."""
    labelled: Count
    """Passages that belong here."""


class Disagreement(OutputModel):
    """A pair of places that are taken for each other."""

    against: list[str]
    """Department and sub-department in what was compared with."""
    method: list[str]
    """Department and sub-department in the run."""
    passages: Count
    """How often."""
    examples: list[str]
    """Ids of some passages."""


class ConfusionOutput(OutputModel):
    """Where two classifications part; in `matrix` a row is a class of `against`, a column one of `method`."""

    method: str
    """The run's classification."""
    against: str
    """What it was compared with."""
    compared: Count
    """Passages that both classify."""
    missing: Count
    """Passages of the run that `against` says nothing of."""
    unused: Count
    """Labels without a passage."""
    classes: list[str]
    """The departments, in the order of the matrix."""
    matrix: list[list[Count]]
    """Passages by both classifications."""
    agreement: Share
    """Share with the same department."""
    kappa: float
    """Cohen's kappa on the department."""
    subdepartment_agreement: Share | None
    """Share with the same place on both levels; null for labels of departments alone."""
    abstained: Count
    """Passages that the run places nowhere."""
    against_abstained: Count
    """Passages that `against` places nowhere."""
    scores: dict[str, ClassScore] | None
    """By department, taking `against` as the truth; null where it is no truth."""
    macro_f1: Share | None
    """Mean of the departments' F1."""
    confusions: list[Disagreement]
    """The most frequent disagreements."""
