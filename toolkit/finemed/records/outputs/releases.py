"""Outputs of the commands on releases and published versions: validate, publish, versions, retract."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import RootModel

from finemed.records.outputs.base import Count, OutputModel, Reasons, Share

Change = Literal["none", "patch", "minor", "major"]


class FindingKind(OutputModel):
    """Findings of one rule and kind together."""

    kind: str
    """What kind; empty where the rule has only one."""
    count: Count
    """How many."""
    rate: Share
    """Findings per row."""
    rate_low: Share
    """Lower end of its 95% interval (Wilson)."""
    rate_high: Share
    """Upper end."""


class FindingExample(OutputModel):
    """One thing that is wrong."""

    kind: str
    """Its kind."""
    place: str
    """Where."""
    fact: str
    """What."""
    next_step: str
    """What to do."""


class RuleResult(OutputModel):
    """What a validation says of one rule."""

    holds: str
    """What holds where the rule is kept."""
    state: Literal["ok", "failed", "not_checked"]
    """The answer."""
    why: str | None
    """Why it was not checked, or not wholly."""
    count: Count
    """Findings."""
    rows: Count
    """Rows that it was applied to."""
    share: Share | None
    """Their share of all rows, where that is not all."""
    findings: list[FindingKind]
    """The findings by kind."""
    examples: list[FindingExample]
    """Some of them with their places."""


class ValidateOutput(OutputModel):
    """What a validation found."""

    path: str
    """What was checked."""
    kind: Literal["release", "dataset"]
    """A release of FineMed's, or anybody's dataset."""
    ok: bool
    """Whether no rule is broken."""
    rows: Count
    """Rows that were read."""
    stated_not_checked: dict[str, str]
    """What a release says of itself and nothing in it can prove."""
    hashes: dict[str, str]
    """`release_hash` as it was worked out, and `manifest_sha256`."""
    rules: dict[str, RuleResult]
    """By rule."""


class ChangedFile(OutputModel):
    """What a push would do to one file."""

    name: str
    """Name in the release."""
    bytes: Count
    """Its size."""
    action: str
    """What would become of it."""


class OldNew(OutputModel):
    """A value in the old and in the new release."""

    old: float | str | None
    """In the old one; null where it has none."""
    new: float | str | None
    """In the new one; null where it has none."""


class ConfigDiff(OutputModel):
    """How one config differs."""

    old_rows: Reasons
    """Split -> rows of the old release."""
    new_rows: Reasons
    """Split -> rows of the new release."""
    added: Count
    """Rows that only the new one has."""
    removed: Count
    """Rows that only the old one has."""
    changed: Count
    """Rows that both have, with a difference."""
    changed_columns: Reasons
    """Column -> rows in which it differs; `split` where the row moved."""
    examples: dict[str, list[str]]
    """`added`, `removed`, `changed` -> some ids."""
    columns_added: dict[str, str]
    """Column -> type."""
    columns_removed: dict[str, str]
    """Column -> type."""
    columns_retyped: dict[str, OldNew]
    """Column -> its types."""
    scores: dict[str, OldNew]
    """Score -> its means."""
    same_files: bool
    """Whether all files are equal byte for byte."""


class DepartmentDiff(OutputModel):
    """Questions of one department."""

    old: Count
    """Questions in the old release."""
    new: Count
    """Questions in the new release."""
    old_share: Share
    """Share of the old release's questions."""
    new_share: Share
    """Share of the new release's questions."""


class SourceDiff(OutputModel):
    """Questions of one source under one licence."""

    source: str
    """Name of the source."""
    license: str | None
    """Its licence; null where none is stated."""
    attribution: str | None
    """Whom it names; null where nobody is stated."""
    old: Count
    """Questions in the old release."""
    new: Count
    """Questions in the new release."""


class DiffOutput(OutputModel):
    """How two versions differ."""

    change: Change
    """How big a step this is: what the versions' numbers say, or the differences where there are none."""
    content_change: Change
    """How big a step the differences alone would be."""
    why: str | None
    """Why the one is not the other, such as a retraction."""
    configs: dict[str, ConfigDiff]
    """By config."""
    departments: dict[str, DepartmentDiff]
    """By department."""
    sources: list[SourceDiff]
    """By source, licence and attribution."""
    parts: list[str]
    """What differs beside the rows."""


class PublishOutput(OutputModel):
    """What a publication came to."""

    version: str | None
    """The version; null where nothing differs from the last one."""
    parent: str | None
    """The version before it; null for the first."""
    change: Change | None
    """How big a step it is; null for the first."""
    ref: str | None
    """Tag or folder; null where nothing was written."""
    commit: str | None
    """Commit on the Hub."""
    diff: DiffOutput | None
    """What differs from the parent; null for the first."""
    files: list[ChangedFile]
    """What the push does to each file; only of a dry run."""
    card: str
    """The card."""
    changelog: str
    """The version's part of the changelog."""
    retracted_rows: Reasons
    """Config -> rows left out because they are retracted."""
    release_hash: str | None = None
    """Hash of the release, to be checked with `finemed validate --expect-hash`."""
    dataset: dict[str, Any] | None = None
    """Name and lineage of the dataset."""
    not_held_against: Any = None
    """Earlier versions that the splits were not held against."""


class PublishedVersion(OutputModel):
    """One version of a dataset."""

    version: str
    """Its number."""
    ref: str
    """Its folder or tag."""
    commit: str | None
    """Its commit on the Hub."""
    release_hash: str
    """Hash of the release."""


class VersionsOutput(RootModel[list[PublishedVersion]]):
    """The versions of a dataset, oldest first."""


class VersionSource(OutputModel):
    """One source of a version."""

    source: str
    """Name of the source."""
    license: str | None
    """Its licence; null where none is stated."""
    attribution: str | None
    """Whom it names; null where nobody is stated."""
    questions: Count
    """Questions made of it."""
    url: str | None = None
    """Its address."""


class VersionOutput(OutputModel):
    """What one version holds."""

    version: str | None
    """Its number; null for a release that is not published."""
    date: str | None
    """Its day."""
    parent: dict[str, Any] | None
    """The version before it, with its release hash; null for the first."""
    release_hash: str
    """Hash of the release."""
    rows: dict[str, Reasons]
    """Config -> split -> rows."""
    models: dict[str, Any]
    """What was written or judged -> model -> rows."""
    sources: list[VersionSource]
    """Sources with their licences."""
    tombstones: Count
    """Ids and sources that are retracted."""
    changelog: str
    """The version's part of the changelog."""


class RetractOutput(PublishOutput):
    """What a retraction came to."""

    already_retracted: list[str]
    """Ids and sources that were retracted before."""
    only_in_older_versions: list[str]
    """Those that only versions before the last one hold."""
    purged_from_indexes: Reasons
    """Index folder -> rows taken out of it."""
