"""Takes rows and everything derived from them out of a published dataset, for good.

::

    done = retract(open_target("releases"), ids=["d7d0..."], reason="a patient is named")
    done.publication.version, done.publication.taken_out     Version(1, 1, 1), {"sft": 3, "sft_pediatrics": 3}

An id may be that of a row, an answer, a question, a passage or a document. The next version is the last one without
those rows; its tombstones keep them out of every later one. Versions that are out already are not changed: see
`docs/versions.md`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import ConfigError, InputError, PublishError
from finemed.publish.pools import pool_of
from finemed.publish.targets.target import PublishedVersion, Target
from finemed.publish.versions.changelog import day, entry
from finemed.publish.versions.comparison import compare
from finemed.publish.versions.compose import About, Composed, compose
from finemed.publish.versions.diff import ReleaseDiff, diff_releases
from finemed.publish.versions.folder import ReleaseFolder
from finemed.publish.versions.lineage import Found, find_ids, find_sources, related_ids
from finemed.publish.versions.previous import splits_since
from finemed.publish.versions.publish import Publication, delivered, earlier, finished, last_version, repo_of
from finemed.publish.versions.tombstones import COLUMNS, Tombstone, Tombstones
from finemed.publish.versions.version import Change, next_version, wanted_version
from finemed.store.atomic import read_json


@dataclass(frozen=True)
class Retraction:
    """What a retraction came to."""

    publication: Publication
    already: list[str] = field(default_factory=list)
    """Ids and sources that were retracted before."""
    only_older: list[str] = field(default_factory=list)
    """Those that only versions before the last one hold."""
    purged: dict[str, int] = field(default_factory=dict)
    """Index folder -> rows taken out of it, or that would be."""

    def plain(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {
            **self.publication.plain(),
            "already_retracted": self.already,
            "only_in_older_versions": self.only_older,
            "purged_from_indexes": self.purged,
        }


@dataclass
class _Search:
    """Looks ids and sources up in the versions of a target, newest first, as far back as needed."""

    ids: dict[str, Found] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)
    read: list[ReleaseFolder] = field(default_factory=list)

    def look(self, folder: Path, ids: Iterable[str], sources: Iterable[str], *, last: bool) -> None:
        release = ReleaseFolder.open(folder)
        self.read.append(release)
        ids = {value for value in ids if value not in self.ids}
        sources = {name for name in sources if name not in self.sources}
        found, present = find_ids(release, ids), find_sources(release, sources)
        self.ids |= found
        self.sources |= present
        if not last:
            self.older |= found.keys() | present


def retract(
    target: Target,
    *,
    ids: Sequence[str] = (),
    sources: Sequence[str] = (),
    reason: str,
    version: str | None = None,
    date: str | None = None,
    indexes: Sequence[Path] = (),
    dry_run: bool = False,
) -> Retraction:
    """Publishes the last version again without these ids and sources.

    Args:
        target: where the dataset is published.
        ids: of rows, answers, questions, passages or documents.
        sources: names, as in the column `source`.
        reason: the curator's words; they are published.
        version: at least a patch above the last version, which is the default; where a config or a pool's split is
            emptied, at least the next major one.
        date: day of the release, YYYY-MM-DD; today in UTC by default.
        indexes: dedup indexes from which the rows are purged before the push.
        dry_run: find, compose and validate, but change nothing.

    Raises:
        ConfigError: nothing is named, no reason is given, or the version does not do.
        InputError: no version holds an id or a source.
        PublishError: nothing is published there, or the target refused.
    """
    today = day(date)
    if not reason.strip() or not (ids or sources):
        raise ConfigError("a retraction names ids or sources, and its reason: `--id` or `--source`, and `--reason`")
    if version is not None:
        wanted_version(version)
    target.check()
    with tempfile.TemporaryDirectory(prefix="finemed-retract-") as work:
        held = last_version(target, Path(work))
        parent, old, dataset = held.parent, held.old, held.dataset
        if parent is None or old is None or dataset is None:
            raise PublishError(f"{target.name}: nothing is published there; check `--to`")
        known = Tombstones.read(old)
        already = [value for value in (*ids, *sources) if _is_known(known, value, value in sources)]
        search = _search(target, parent, old, Path(work), ids, sources, set(already), everything=bool(indexes))
        least = next_version(parent.version, "patch", version)
        fresh = _tombstones(search, ids, sources, reason.strip(), str(least), set(already))
        stones = known.plus(fresh)
        gone = set().union(*(related_ids(release, _named(stones, ids, sources)) for release in search.read))
        older = sorted(search.older - set(already))
        if not fresh:
            purged = {str(path): _purge(path, gone, dry_run=dry_run) for path in indexes}
            same = Publication(None, parent, "none", release_hash=parent.release_hash, dataset=dataset)
            return Retraction(same, already, older, purged)
        composed, found = _without(old, stones, Path(work) / "release")
        chosen = next_version(parent.version, step(found), version, why=found.why())
        if chosen != least:  # the tombstones name their version
            fresh = [dataclasses.replace(stone, version=str(chosen)) for stone in fresh]
            composed, found = _without(old, known.plus(fresh), Path(work) / "again")
        pool_rows = sum(rows for name, rows in composed.taken_out.items() if pool_of(name) == name)
        named = [stone for stone in fresh if stone.value in {*ids, *sources}]
        text = entry(chosen, today, found.markdown(), retracted=named, gone=pool_rows)
        compared = compare(ReleaseFolder.open(old), composed.release, step(found))
        about = About(chosen, parent, today, text, earlier(old), dataset, compared, repo_of(target), splits_since(old))
        draft = finished(composed, about, "retraction")
        told = delivered(draft, target, old, found, dry_run=True, taken_out=composed.taken_out)
        purged = {str(path): _purge(path, gone, dry_run=dry_run) for path in indexes}
        if not dry_run:
            pushed = target.push(draft.folder, draft.version, message=draft.message, parent=parent)
            told = Publication(**{**vars(told), "ref": pushed.ref, "commit": pushed.commit, "files": []})
        return Retraction(told, already, older, purged)


def step(found: ReleaseDiff) -> Change:
    """How big a step a retraction is: a patch, so that who pins one gets it, unless a config or split goes with it."""
    return "major" if found.change == "major" else "patch"


def _without(old: Path, stones: Tombstones, folder: Path) -> tuple[Composed, ReleaseDiff]:
    """The last version without what is retracted, and how it differs."""
    before = ReleaseFolder.open(old)
    composed = compose(before, stones, folder)
    return composed, diff_releases(before, composed.release)


def _is_known(known: Tombstones, value: str, is_source: bool) -> bool:
    kinds = ["source"] if is_source else [kind for kind in COLUMNS if kind != "source"]
    return any(known.get(kind, value) for kind in kinds)


def _search(
    target: Target,
    parent: PublishedVersion,
    old: Path,
    work: Path,
    ids: Sequence[str],
    sources: Sequence[str],
    already: set[str],
    *,
    everything: bool,
) -> _Search:
    """Finds all ids and sources, in the last version or an older one; with `everything`, reads all versions."""
    search = _Search()
    search.look(old, ids, sources, last=True)
    missing = _missing(search, ids, sources, already)
    for held in reversed([held for held in target.versions() if held.version < parent.version]):
        if not missing and not everything:
            break
        into = work / str(held.version)
        into.mkdir()
        search.look(target.fetch(held.version, into), ids, sources, last=False)
        missing = _missing(search, ids, sources, already)
    if missing:
        raise InputError(
            f"{target.name}: no version holds {', '.join(missing)}; nothing was retracted. Ids are those of rows, "
            "answers, questions, passages and documents (columns `id`, `response_id`, `instruction_id`, `passage_id`, "
            "`document_id`), sources those of the column `source`"
        )
    return search


def _missing(search: _Search, ids: Sequence[str], sources: Sequence[str], already: set[str]) -> list[str]:
    unknown = {value for value in ids if value not in search.ids} | {
        name for name in sources if name not in search.sources
    }
    return sorted(unknown - already)


def _tombstones(
    search: _Search, ids: Sequence[str], sources: Sequence[str], reason: str, version: str, already: set[str]
) -> list[Tombstone]:
    """What is new: the named ids and sources, and the questions of named rows and answers."""
    fresh: dict[tuple[str, str], Tombstone] = {}
    for value in ids:
        if value in already:
            continue
        found = search.ids[value]
        named = [(found.kind, value)]
        if found.kind in ("row", "response"):
            named += [("instruction", question) for question in sorted(found.questions)]
        for kind, each in named:
            fresh.setdefault((kind, each), Tombstone(kind, each, reason, version))
    for name in sources:
        if name not in already:
            fresh.setdefault(("source", name), Tombstone("source", name, reason, version))
    return sorted(fresh.values())


def _named(stones: Tombstones, ids: Sequence[str], sources: Sequence[str]) -> Tombstones:
    """The tombstones of what was named this time, also where they stand since an earlier version."""
    return Tombstones(stone for stone in stones if stone.value in (sources if stone.kind == "source" else ids))


def _purge(path: Path, ids: set[str], *, dry_run: bool) -> int:
    """Takes rows out of a dedup index; how many there were."""
    from finemed.store.published import PublishedIndex

    if not (path / "index.json").exists():
        raise InputError(f"{path}: holds no index (index.json); give the folder that a stage's `index` setting names")
    settings = dict(read_json(path / "index.json", "settings")["settings"])
    index = PublishedIndex(path, settings.pop("num_bands"), tuple(settings.items()))
    named = pl.Series(sorted(ids), dtype=pl.String())
    if dry_run:
        return index.rows().filter(pl.col("id").is_in(named.implode())).height
    return index.remove(named)
