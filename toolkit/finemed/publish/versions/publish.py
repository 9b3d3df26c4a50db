"""Turns a finished run into a version of a published dataset.

::

    done = publish(release_of(Path("run")), "releases", message="OpenStax added")
    done.version, done.ref                  Version(1, 1, 0), "releases/1.1.0"

The release that the build wrote is compared with the last version of the target, gets a version, a changelog and a
card, is validated as a whole and pushed in one step. What was retracted from the target before is taken out first.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finemed.errors import ContractError, InputError, StoreError
from finemed.publish.inspect.status import read_status
from finemed.publish.licences import licence_warning
from finemed.publish.release import release_intact
from finemed.publish.targets.target import FileChange, PublishedVersion, Target
from finemed.publish.versions.changelog import FILE as CHANGELOG
from finemed.publish.versions.changelog import FIRST_RELEASE, RESHUFFLED, day, entry
from finemed.publish.versions.comparison import compare
from finemed.publish.versions.compose import About, Composed, compose, finish
from finemed.publish.versions.dataset import Dataset, dataset_at, next_dataset
from finemed.publish.versions.diff import ReleaseDiff, diff_releases
from finemed.publish.versions.folder import ReleaseFolder
from finemed.publish.versions.identity import same_but_for_holding
from finemed.publish.versions.previous import fetched, not_given, splits_since
from finemed.publish.versions.tombstones import Tombstones
from finemed.publish.versions.version import Change, Version, next_version, wanted_version
from finemed.records.counts import how_many
from finemed.store.earlier import EarlierRows

MOST_FAULTS = 20


@dataclass(frozen=True)
class Publication:
    """What became of a release."""

    version: Version | None
    """None where nothing differs from the last version."""
    parent: PublishedVersion | None
    change: Change | None
    """None for the first release."""
    ref: str | None = None
    """Tag or folder; None where nothing was written."""
    commit: str | None = None
    diff: ReleaseDiff | None = None
    files: list[FileChange] = field(default_factory=list)
    """What the push does to each file; only of a dry run."""
    card: str = ""
    entry: str = ""
    """The version's part of the changelog."""
    taken_out: dict[str, int] = field(default_factory=dict)
    """Config -> rows that were held back, or taken out, because they are retracted."""
    release_hash: str | None = None
    """Of the version, or of the last one where nothing differs from it."""
    dataset: Dataset | None = None
    not_held: list[str] = field(default_factory=list)
    """Versions of the target that the build was not given, so that it did not hold its splits against them."""
    warning: str | None = None
    """Where the card's licence asks for less than those of its rows."""

    def plain(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {
            "version": None if self.version is None else str(self.version),
            "parent": None if self.parent is None else str(self.parent.version),
            "change": self.change,
            "ref": self.ref,
            "commit": self.commit,
            "release_hash": self.release_hash,
            "diff": None if self.diff is None else self.diff.plain(),
            "files": [{"name": file.name, "bytes": file.bytes, "action": file.action} for file in self.files],
            "card": self.card,
            "changelog": self.entry,
            "retracted_rows": self.taken_out,
            "dataset": self.dataset and self.dataset.plain(),
            "not_held_against": self.not_held,
        }


@dataclass(frozen=True)
class Draft:
    """A finished folder that may be pushed."""

    folder: Path
    version: Version
    parent: PublishedVersion | None
    message: str


@dataclass(frozen=True)
class Held:
    """What a target holds."""

    parent: PublishedVersion | None = None
    """The last version."""
    old: Path | None = None
    """A folder with its files."""
    dataset: Dataset | None = None
    """The dataset that all versions are of."""


def release_of(path: Path) -> Path:
    """The release of a run, or the folder itself where it is a release.

    Raises:
        InputError: it is neither.
        StoreError: the release is of earlier settings or inputs than the run.
    """
    inside = path / "release"
    if (inside / "manifest.json").exists():
        state = read_status(path).release
        if state != str(inside):
            raise StoreError(f"{state}; run `finemed build`, then publish")
        return inside
    if (path / "stages").is_dir():
        raise InputError(f"{path}: the run has no release yet; run `finemed build` to its end")
    return ReleaseFolder.open(path).path


def default_target(path: Path) -> str:
    """The folder `releases` beside a run, or beside the run that a release lies in."""
    run = path.parent if path.name == "release" and (path.parent / "stages").is_dir() else path
    return str(run.parent / "releases")


def publish(
    source: Path,
    target: Target,
    *,
    version: str | None = None,
    date: str | None = None,
    message: str = "",
    adopt: bool = False,
    dry_run: bool = False,
    reshuffle: bool = False,
) -> Publication:
    """Publishes a release as the next version of the target.

    Args:
        source: a release folder, as `finemed build` wrote it.
        target: where it goes.
        version: checked against the last version and the diff; proposed from the diff by default.
        date: day of the release, YYYY-MM-DD; today in UTC by default.
        message: the curator's words for the changelog.
        adopt: go on from the target's last version although the release has another name or origin.
        dry_run: compose and validate, but push nothing.
        reshuffle: rows may have changed splits; makes a major version that says so.

    Raises:
        ConfigError: the version or the date does not do.
        PublishError: the release breaks the contract, or the target refused it.
        StoreError: the release is damaged.
    """
    today = day(date)
    if version is not None:
        wanted_version(version)
    target.check()
    if not release_intact(source):
        raise StoreError(f"{source}: a file is missing, changed or not of the build; run `finemed build` again")
    with tempfile.TemporaryDirectory(prefix="finemed-publish-") as work:
        held = last_version(target, Path(work))
        parent, old = held.parent, held.old
        if version is not None:
            wanted_version(version, after=parent.version if parent else None)
        tombstones = (Tombstones.read(old) if old else Tombstones()).plus(Tombstones.read(source))
        given = ReleaseFolder.open(source)
        composed = compose(given, tombstones, Path(work) / "release")
        dataset = next_dataset(target.name, given, composed.release_hash, held, adopt=adopt)
        unchanged = parent and composed.release_hash == parent.release_hash
        if parent and old and not unchanged and not reshuffle:
            unchanged = same_but_for_holding(ReleaseFolder.open(old), composed.release)
        if parent and unchanged:
            return Publication(
                None, parent, "none", taken_out=composed.taken_out, release_hash=parent.release_hash, dataset=dataset
            )
        found = diff_releases(ReleaseFolder.open(old), composed.release) if old else None
        change: Change = found.change if found else "none"
        if found and change == "none":
            change = "patch"
        reshuffle = reshuffle and parent is not None
        why = "the splits are reshuffled" if reshuffle else found.why() if found else ""
        change = "major" if reshuffle else change
        chosen = next_version(parent.version if parent else None, change, version, why=why)
        body = (RESHUFFLED + "\n" if reshuffle else "") + (found.markdown() if found else first_release(composed))
        text = entry(chosen, today, body, message=message)
        since = str(chosen) if reshuffle else splits_since(old)
        compared = compare(ReleaseFolder.open(old), composed.release, change) if old else None
        about = About(chosen, parent, today, text, earlier(old), dataset, compared, repo_of(target), since)
        draft = finished(composed, about, message or title(found))
        before = fetched(target, Path(work) / "versions", have={parent.version: old}) if parent and old else None
        done = delivered(draft, target, old, found, dry_run=dry_run, taken_out=composed.taken_out, before=before)
        not_held = not_given(composed.facts, before) if before and not reshuffle else []
        warning = licence_warning(composed.facts["card"]["license"], composed.facts["figures"]["licences"])
        changed = {"change": change if found else None, "not_held": not_held, "warning": warning}
        return Publication(**{**vars(done), **changed})


def last_version(target: Target, work: Path) -> Held:
    """The target's last version with its files, and which dataset it is of.

    Raises:
        PublishError: a version is damaged, or they are of different datasets.
    """
    versions = target.versions()
    if not versions:
        return Held()
    into = work / "parent"
    into.mkdir()
    old = target.fetch(versions[-1].version, into)
    return Held(versions[-1], old, dataset_at(target.name, versions, ReleaseFolder.open(old)))


def repo_of(target: Target) -> str | None:
    """Id of a target's dataset on the Hub."""
    return target.name.removeprefix("hf://") if target.name.startswith("hf://") else None


def earlier(old: Path | None) -> str:
    """The changelog of the last version."""
    path = old / CHANGELOG if old else None
    return path.read_text("utf-8") if path and path.exists() else ""


def first_release(composed: Composed) -> str:
    """The changelog's words for a version without a parent."""
    counts = {name: sum(splits.values()) for name, splits in composed.facts["configs"].items()}
    return f"{FIRST_RELEASE}\n" + "".join(f"- `{name}`: {how_many(rows, 'row')}\n" for name, rows in counts.items())


def title(found: ReleaseDiff | None) -> str:
    """A commit's first line, where the curator gave none."""
    return found.why() if found else "first release"


def finished(composed: Composed, about: About, message: str) -> Draft:
    """Writes all that names the version."""
    finish(composed, about)
    line = " ".join(message.split())
    return Draft(composed.folder, about.version, about.parent, f"{about.version}: {line}"[:200])


def delivered(
    draft: Draft,
    target: Target,
    old: Path | None,
    found: ReleaseDiff | None,
    *,
    dry_run: bool,
    taken_out: dict[str, int],
    before: EarlierRows | None = None,
) -> Publication:
    """Validates the folder and pushes it, or says what a push would do.

    Raises:
        PublishError: the contract is broken, or the target refused.
    """
    check(draft.folder, old, before)
    manifest = ReleaseFolder.open(draft.folder).manifest
    told = Publication(
        draft.version,
        draft.parent,
        found.change if found else None,
        diff=found,
        card=(draft.folder / "README.md").read_text("utf-8"),
        entry=manifest["changelog"],
        taken_out=taken_out,
        release_hash=manifest["release_hash"],
        dataset=Dataset.read(manifest, str(draft.folder)),
    )
    if dry_run:
        files = target.preview(draft.folder, draft.version, parent=draft.parent)
        return Publication(**{**vars(told), "files": files})
    pushed = target.push(draft.folder, draft.version, message=draft.message, parent=draft.parent)
    return Publication(**{**vars(told), "ref": pushed.ref, "commit": pushed.commit})


def check(folder: Path, old: Path | None, before: EarlierRows | None = None) -> None:
    """Holds the folder against the contract, and its splits against those of earlier versions.

    Raises:
        ContractError: a rule is broken; the message names every fault.
    """
    from finemed.publish.checks.validate import validate

    faults = validate(folder, previous=old, earlier=before).faults
    if faults:
        shown = [f"{fault.place}: {fault.fact}; {fault.remedy} ({fault.rule})" for fault in faults[:MOST_FAULTS]]
        more = [f"and {len(faults) - MOST_FAULTS:,} more"] if len(faults) > MOST_FAULTS else []
        raise ContractError("\n".join(["the release breaks its contract; nothing was published:", *shown, *more]))
