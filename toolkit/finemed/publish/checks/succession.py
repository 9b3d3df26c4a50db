"""What a version says of itself and of those before it: number, day, dataset, changelog, retractions, comparison.

::

    check_succession(shipped, previous=None, faults)
    # manifest.json: `splits_since` is 2.1.1, CHANGELOG.md says that 1.2.0 reshuffled the splits; ...

The changelog repeats every earlier entry to the letter, so what the manifest says of the past can be held against it;
with the version before at hand, both can be held against that.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finemed.errors import FineMedError
from finemed.publish.cards.markdown import escape
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.recount import REMEDY, tell
from finemed.publish.checks.same_build import check_same_build
from finemed.publish.checks.shipped import MANIFEST, Shipped
from finemed.publish.versions.changelog import FILE as CHANGELOG
from finemed.publish.versions.changelog import RESHUFFLED, TITLE, day
from finemed.publish.versions.comparison import compare
from finemed.publish.versions.dataset import Dataset
from finemed.publish.versions.folder import ReleaseFolder
from finemed.publish.versions.tombstones import COLUMNS, Tombstones
from finemed.publish.versions.tombstones import FILE as TOMBSTONES
from finemed.publish.versions.version import Change, Version
from finemed.records.manifest import FORMAT, Manifest
from finemed.store.atomic import read_plain

_HEADING = re.compile(r"^## (\S+) \((\S+)\)$", re.MULTILINE)
_RETRACTED = re.compile(rf"^- ({'|'.join(COLUMNS)}) `([^`\n]+)`: (.*)$", re.MULTILINE)
_STEPS: tuple[Change, ...] = ("patch", "minor", "major")
_ANNOUNCED = RESHUFFLED.partition(" Rows ")[0]


def check_succession(shipped: Shipped, previous: Shipped | None, faults: Faults) -> None:
    """`manifest` and `retracted`: what a published release says of itself and of earlier versions.

    Args:
        shipped: the release.
        previous: a version before it, where one is known.
        faults: where what differs goes.
    """
    manifest = shipped.whole
    if manifest is None:
        return
    for fact in (*_disagreeing(shipped.path, manifest), *_told_of_the_past(shipped.path, manifest)):
        faults.add("manifest", MANIFEST, fact, REMEDY)
    for fact in _retractions(shipped.path, manifest):
        faults.add("retracted", "tombstones.jsonl", fact, REMEDY)
    if previous is not None and previous.whole is not None:
        _after(shipped, manifest, previous, previous.whole, faults)


# --- inside the release ----------------------------------------------------------------------------------------------


def _disagreeing(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Version, parent, date and changelog that do not fit each other."""
    if manifest.version is None:
        if manifest.parent or manifest.changelog or manifest.date or manifest.dataset or manifest.comparison:
            yield "`parent`, `changelog`, `date`, `dataset` and `comparison` stand without a `version`"
        return
    try:
        version = Version.parse(manifest.version)
        parent = Version.parse(manifest.parent.version) if manifest.parent else None
        day(manifest.date)
    except FineMedError as error:
        yield str(error)
        return
    if str(version) != manifest.version or (parent is not None and parent >= version):
        yield f"`version` {manifest.version[:20]!a} does not come after its parent {parent or 'none'}"
    entry = manifest.changelog or ""
    if not entry.startswith(f"## {version} ({manifest.date})\n"):
        yield f"`changelog` does not open with {version} ({manifest.date})"
    text = _changelog(folder)
    if text is None:
        yield f"{CHANGELOG} cannot be read"
        return
    if not text.startswith(f"{TITLE}\n{entry}"):
        yield f"{CHANGELOG} does not open with the entry `changelog`"
    headings = [found[1] for found in _HEADING.finditer(text)]
    if headings[1:2] != ([str(parent)] if parent else []):
        named = f"`parent` is {parent}" if parent else "there is no `parent`"
        yield f"{named}, the version before this one in {CHANGELOG} is {(headings[1:2] or ['none'])[0][:20]!a}"


def _told_of_the_past(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Dataset, splits and comparison that do not fit parent and changelog."""
    if manifest.version is None or manifest.format != FORMAT:
        return
    yield from _lineage(manifest)
    text = _changelog(folder) or ""
    since = next((version for version, entry in _entries(text) if _ANNOUNCED in entry), None)
    if manifest.splits_since != since:
        named = f"is {manifest.splits_since[:20]!a}" if manifest.splits_since else "is missing"
        says = f"{since[:20]} reshuffled the splits" if since else "no version reshuffled the splits"
        yield f"`splits_since` {named}, {CHANGELOG} says that {says}"
    if (manifest.parent is None) != (manifest.comparison is None):
        yield "`parent` and `comparison` stand without each other"
    elif manifest.parent is not None and manifest.comparison is not None:
        yield from _comparison(manifest, manifest.comparison, manifest.parent.version)


def _lineage(manifest: Manifest) -> Iterator[str]:
    dataset, parent = manifest.dataset, manifest.parent
    if dataset is None:
        yield "a published release of this format has a `dataset`"
        return
    if dataset.name != manifest.name:
        yield f"`dataset.name` is {dataset.name[:40]!a}, `name` {manifest.name[:40]!a}"
    hashes = dataset.lineage
    if len(set(hashes)) < len(hashes) or manifest.release_hash in hashes[:-1]:  # published elsewhere, it follows itself
        yield "`dataset.lineage` names a release twice"
    if parent is not None and hashes[-1:] != [parent.release_hash]:
        yield f"`dataset.lineage` does not end with the parent, release {parent.release_hash[:16]}"
    if not hashes and dataset.id != Dataset.begin(dataset.name, manifest.release_hash).id:
        yield "`dataset.id` does not follow from the name and the hash of the first release, which this is"


def _comparison(manifest: Manifest, stated: dict[str, Any], parent: str) -> Iterator[str]:
    if stated.get("version") != parent:
        yield f"`comparison.version` is not the parent, {parent}"
    try:
        step = _step(parent, str(manifest.version))
    except FineMedError:
        return  # told of already
    if stated.get("change") not in _STEPS[: _STEPS.index(step) + 1]:
        change = str(stated.get("change"))[:20]
        yield f"`comparison.change` is {change!a}, from {parent} to {manifest.version} is a {step}"
    try:
        for split in stated["splits"]:
            now = manifest.configs.get(split["config"], {}).get(split["split"], 0)
            if split["now"] != now or not 0 <= split["both"] <= min(now, split["before"]):
                yield f"`comparison` counts other rows of {split['config'][:20]}/{split['split'][:20]} than there are"
    except (KeyError, TypeError, AttributeError):
        yield "`comparison.splits` has not the form of a comparison"


def _step(before: str, after: str) -> Change:
    old, new = Version.parse(before), Version.parse(after)
    return "major" if new.major > old.major else "minor" if new.minor > old.minor else "patch"


def _retractions(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What the changelog says was retracted, and the manifest counts, against the tombstones."""
    counted = sum(int(rows) for rows in manifest.retracted.rows.values()) if manifest.retracted else 0
    if manifest.retracted is not None and counted and not manifest.retracted.tombstones:
        yield f"`retracted` counts {counted} rows, and nothing was retracted"
    stones = _stones(folder)
    if stones is None or manifest.version is None:
        return
    if len(stones) and read_plain(folder / TOMBSTONES) != stones.text():
        yield "is not written as `finemed retract` writes it: a key twice, or another order"
    for version, entry in _entries(_changelog(folder) or ""):
        for kind, value, reason in _RETRACTED.findall(entry):
            stone = stones.get(kind, value)
            if stone is None:
                yield f"lacks the {kind} {value[:60]!a}, which {version[:20]} retracted ({CHANGELOG})"
            elif escape(stone.reason) != reason:
                yield f"gives another reason for the {kind} {value[:60]!a} than {version[:20]} did ({CHANGELOG})"


def _changelog(folder: Path) -> str | None:
    try:
        return read_plain(folder / CHANGELOG).decode("utf-8")
    except (OSError, ValueError):
        return None


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Version and text of every entry of a changelog, newest first."""
    found = list(_HEADING.finditer(text))
    for one, after in itertools.zip_longest(found, found[1:]):
        yield one[1], text[one.end() : after.start() if after else None]


def _stones(folder: Path) -> Tombstones | None:
    """None where they cannot be read, which the rule `retracted` says."""
    try:
        return Tombstones.read(folder)
    except (FineMedError, OSError, ValueError, RecursionError):
        return None


# --- against a version before it -------------------------------------------------------------------------------------


def _after(shipped: Shipped, manifest: Manifest, previous: Shipped, before: Manifest, faults: Faults) -> None:
    for fact in (*_continued(manifest, before), *_same_past(shipped, previous, before)):
        faults.add("manifest", MANIFEST, fact, REMEDY)
    for fact in _kept_out(shipped.path, previous.path):
        faults.add("retracted", "tombstones.jsonl", fact, REMEDY)
    if (stones := _stones(shipped.path)) is not None:
        check_same_build(shipped, previous, stones, faults)
    if manifest.comparison is not None and _is_parent(manifest, before) and not (shipped.spoilt or previous.spoilt):
        old, new = (ReleaseFolder(each.path, each.raw) for each in (previous, shipped))
        found = compare(old, new, str(manifest.comparison.get("change")))
        tell("manifest", "comparison", manifest.comparison, found, faults, of="both versions")


def _is_parent(manifest: Manifest, before: Manifest) -> bool:
    return manifest.parent is not None and manifest.parent.version == before.version


def _continued(manifest: Manifest, before: Manifest) -> Iterator[str]:
    """Parts of the manifest that do not continue those of the version before."""
    if manifest.format < before.format:
        yield f"`format` is {manifest.format}, and {before.version or 'the version before'} has {before.format} already"
    if manifest.version is None or before.version is None or manifest.parent is None:
        return
    if _is_parent(manifest, before) and manifest.parent.release_hash != before.release_hash:
        yield f"`parent` is release {manifest.parent.release_hash[:16]}, the previous {before.version} is another"
    try:
        now, then = Version.parse(manifest.version), Version.parse(before.version)
    except FineMedError:
        return
    if manifest.splits_since == manifest.version and _is_parent(manifest, before) and now.major <= then.major:
        yield f"`splits_since` is {now}, and only a new major version after {then} may reshuffle the splits"
    if manifest.dataset is None or then >= now:
        return
    lineage = manifest.dataset.lineage
    if before.release_hash not in lineage:
        yield f"`dataset.lineage` lacks release {before.release_hash[:16]}, the previous {then}"
    if before.dataset is not None:
        if manifest.dataset.id != before.dataset.id:
            yield f"`dataset.id` is {manifest.dataset.id[:20]!a}, that of {then} is {before.dataset.id[:20]!a}"
        if lineage[: len(before.dataset.lineage)] != before.dataset.lineage:
            yield f"`dataset.lineage` names other earlier releases than that of {then}"


def _same_past(shipped: Shipped, previous: Shipped, before: Manifest) -> Iterator[str]:
    """A changelog that tells of earlier versions in other words."""
    if before.version is None or shipped.whole is None or shipped.whole.parent is None:
        return
    now, then = _changelog(shipped.path), _changelog(previous.path)
    if now is not None and then is not None and not now.endswith("\n" + then.removeprefix(TITLE).lstrip("\n")):
        yield f"{CHANGELOG} does not repeat that of {before.version} to the letter"


def _kept_out(folder: Path, earlier: Path) -> Iterator[str]:
    """Tombstones of the version before that are gone or changed."""
    now, then = _stones(folder), _stones(earlier)
    if now is None or then is None:
        return
    for stone in then:
        found = now.get(stone.kind, stone.value)
        if found is None:
            yield f"lacks the {stone.kind} {stone.value[:60]!a}, retracted in {stone.version[:20]}"
        elif (found.reason, found.version) != (stone.reason, stone.version):
            yield f"says something else of the {stone.kind} {stone.value[:60]!a} than the version before"
