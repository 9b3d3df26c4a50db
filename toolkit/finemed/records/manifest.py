"""``manifest.json`` of a release as typed records: how it was made, what it holds, which version it is.

::

    manifest = Manifest.of(json.loads(Path("release/manifest.json").read_text("utf-8")))
    manifest.configs["sft"]["train"], manifest.stages[1].drops       83, {"boilerplate": 2, "spam": 6}

Types are strict and no key is known but these, so that what a manifest says can be held against what lies beside it.
`format` is 2 since the hash of a release follows from its folder alone; 1 is what was written before.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FORMAT = 2
"""Of the manifests of releases that are written now; the manifest of a run has a number of its own."""

_SINCE_2 = ("card_text", "renderer", "totals", "examples")
"""Keys that every manifest of this format has."""

RELEASE_FILES = re.compile(
    r"README\.md|CHANGELOG\.md|croissant\.json|manifest\.json|ledger\.parquet|notes\.parquet|tombstones\.jsonl"
    r"|data/[^/]+/[^/]+\.parquet|plots/[a-z_]+\.png"
)
"""Names of all files that a release may hold."""

HUB_FILES = re.compile(r"\.gitattributes|\.cache/huggingface/.*")
"""What the Hub and its client lay beside them."""

Count = Annotated[int, Field(ge=0)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Rows = dict[str, dict[str, Count]]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class StageCounts(_Record):
    """Rows of a stage: in = kept + dropped."""

    rows_in: Count
    rows_kept: Count = Field(description="Input rows that live on.")
    rows_dropped: Count
    rows_out: Count = Field(description="Output rows, which may be of another kind.")


class StageReport(_Record):
    """One finished stage, as it stands in ``stage.json`` and in the manifest."""

    stage: str
    version: str | int
    fingerprint: str
    settings: dict[str, Any]
    counts: StageCounts
    drops: dict[str, Count] = Field(description="Dropped rows by reason.")
    notes: dict[str, Count] = Field(description="Remarks on kept rows by code.")
    facts: dict[str, Any] = Field(description="What the stage alone knows, such as pairs compared.")
    files: dict[str, str] = Field(description="Name -> SHA-256 of its shards.")


class Taxonomy(_Record):
    """Which tree of departments the rows were classified by."""

    name: str
    version: str


class ColumnType(_Record):
    """A column of a pool's files."""

    name: str
    type: str


class Apart(_Record):
    """What was compared to show that nothing lies in two places."""

    threshold: float
    texts: Count
    compared: Count
    found: Literal[0]


class Separation(_Record):
    """The check of the files for near-duplicates in two places."""

    questions: Apart
    answers: Apart


class BenchmarkHits(_Record):
    """Rows that repeated an item of one benchmark."""

    benchmark: str
    items: Count
    questions_dropped: Count
    questions_marked: Count
    answers_dropped: Count
    answers_marked: Count


class Parent(_Record):
    """The version before this one."""

    version: str
    release_hash: str
    commit: str | None


class OwnColumn(_Record):
    """A source's own column that is published too, as the configuration declared it."""

    type: Literal["string", "integer", "number", "boolean"]
    sources: list[str]
    description: str | None = None


class SplitTotals(_Record):
    """How much a split of a pool holds."""

    rows: Count
    tokens: Count = Field(description="Estimated, over question and answers together.")
    bytes: Count


class DatasetIdentity(_Record):
    """Which dataset this is a version of."""

    name: str
    id: str
    lineage: list[str] = Field(description="Hashes of the releases before this version, oldest first.")


class Retracted(_Record):
    """What was taken out since the build."""

    tombstones: Count
    rows: dict[str, Count] = Field(description="Pool -> rows taken out since the build.")


class Manifest(_Record):
    """The manifest of a release."""

    format: Literal[1, 2]
    finemed: str = Field(description="Version of the toolkit that built it.")
    name: str
    config_hash: str
    inputs: list[dict[str, Any]]
    backends: dict[str, dict[str, str | None]]
    benchmarks: dict[str, Count] = Field(description="Benchmark -> items.")
    benchmark_items_unmatchable: Count
    taxonomy: Taxonomy
    stages: list[StageReport]

    release_hash: Hash
    card: dict[str, Any] = Field(description="The section `card` of the configuration, the owner's notes included.")
    configs: Rows = Field(description="Config -> split -> rows.")
    columns: dict[str, list[ColumnType]] = Field(description="Pool -> its columns in the files' order.")
    content: dict[str, Hash] = Field(description="Config -> hash over the hashes of its files.")
    figures: dict[str, Any] = Field(description="What the card counts; `publish.figures` counts it again.")
    separation: Separation
    contamination: list[BenchmarkHits]
    extractive: bool
    decontaminated: bool
    files: dict[str, Hash] = Field(description="Every file but the manifest itself -> SHA-256.")
    card_text: Hash | None = Field(None, description="SHA-256 of the card as it reads without a version; format 2.")
    renderer: Hash | None = Field(None, description="Hash of the templates and code that wrote the card; format 2.")
    dpo_questions: Literal["all", "subset"] = "all"
    sources: dict[str, str | None] = Field({}, description="Source -> its address, where it has one.")
    extra_columns: dict[str, OwnColumn] = {}
    totals: dict[str, dict[str, SplitTotals]] | None = Field(None, description="Pool -> split -> what it holds.")
    examples: dict[str, dict[str, Any]] | None = Field(None, description="Pool -> a row of it, shortened.")
    retracted: Retracted | None = None

    version: str | None = None
    date: str | None = None
    repo: str | None = None
    changelog: str | None = None
    parent: Parent | None = None
    dataset: DatasetIdentity | None = None
    splits_since: str | None = Field(None, description="The version that last reshuffled the splits, where one did.")
    comparison: dict[str, Any] | None = Field(None, description="How this version may be compared with the last.")
    plots: list[str] | None = None
    drawn_with: dict[str, str] | None = Field(None, description="Versions of the libraries that drew the plots.")

    @model_validator(mode="after")
    def _complete(self) -> Manifest:
        if self.format == FORMAT and (missing := [name for name in _SINCE_2 if getattr(self, name) is None]):
            raise ValueError(f"`{missing[0]}` belongs to format 2")
        later = (*_SINCE_2, "dataset", "comparison", "splits_since", "drawn_with", "sources", "extra_columns")
        if self.format < FORMAT and (strange := [name for name in later if name in self.model_fields_set]):
            raise ValueError(f"`format` is {self.format}, and `{strange[0]}` is there since 2")
        if self.version is not None and (self.date is None or self.changelog is None or self.plots is None):
            raise ValueError("a published release has `date`, `changelog` and `plots`")
        return self

    @classmethod
    def of(cls, found: Any) -> Manifest:
        """The manifest in plain JSON values.

        Raises:
            ValidationError: a key is missing, unknown, or of another type.
        """
        return cls.model_validate_json(json.dumps(found))

    def plain(self) -> dict[str, Any]:
        """The manifest as JSON values, with just the keys that it was made of."""
        return self.model_dump(mode="json", exclude_unset=True)

    def stage(self, name: str) -> StageReport | None:
        """The report of a stage."""
        return next((report for report in self.stages if report.stage == name), None)


def first_fault(error: ValidationError) -> str:
    """Where a manifest differs from its form, and how, in one line; the value itself is left out."""
    fault = error.errors()[0]
    where = ".".join(map(str, fault["loc"]))
    return f"`{where[:80]}`: {fault['msg'][:120]}" if where else fault["msg"][:160]
