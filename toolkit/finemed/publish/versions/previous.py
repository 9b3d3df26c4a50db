"""Opens the earlier versions of a dataset, whose rows keep their splits.

::

    with earlier_versions(["releases", "hf://owner/name"], dataset="cardiology-qa") as earlier:
        earlier.facts()     {"versions": [{"version": "1.0.0", "release_hash": "9f86...", "rows": 9224}, ...]}

A name is a folder of versions, the folder of one version, or a dataset on the Hub, of which every version is
downloaded to a temporary folder. Versions before one that reshuffled the splits are left out.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finemed.config import BuildConfig
from finemed.errors import ConfigError, InputError, StoreError
from finemed.pipeline.plan import Plan
from finemed.publish.release import release_intact
from finemed.publish.targets.target import Target, open_target
from finemed.publish.versions.version import Version
from finemed.store.atomic import read_json
from finemed.store.earlier import EarlierRows, EarlierVersion

SPLITS_SINCE = "splits_since"
"""Key of a manifest: the version from which on splits hold, since it reshuffled them."""


@contextlib.contextmanager
def opened_plan(config: BuildConfig, base: Path, previous: Sequence[str] = ()) -> Iterator[Plan]:
    """The plan of a build with the earlier versions that its settings, and `previous`, name.

    Args:
        config: the build's settings; their folders are relative to `base`.
        base: folder of the configuration file.
        previous: more targets; folders are relative to where the command runs.

    Raises:
        InputError: a target holds no version, or those of another dataset.
        FineMedError: a version is damaged, or the Hub cannot be reached.
    """
    own = [name if name.startswith("hf://") else str(base / name) for name in config.split.previous]
    with earlier_versions([*own, *previous], dataset=config.name) as earlier:
        yield Plan(config, base, earlier=earlier)


@contextlib.contextmanager
def earlier_versions(names: Sequence[str], *, dataset: str | None = None) -> Iterator[EarlierRows | None]:
    """All versions that these targets hold, ascending; None where nothing is named.

    Args:
        names: folders and datasets on the Hub.
        dataset: name of the dataset that they must be versions of.

    Raises:
        InputError: a target holds no version, or those of another dataset.
        FineMedError: a version is damaged, or the Hub cannot be reached.
    """
    if not names:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="finemed-previous-") as work:
        found: dict[str, EarlierVersion] = {}
        since: list[str] = []
        for number, name in enumerate(dict.fromkeys(names)):
            rows = versions_of(name, Path(work) / str(number), dataset=dataset)
            since += [rows.reshuffled] if rows.reshuffled else []
            found |= {held.release_hash: held for held in rows.versions if held.release_hash not in found}
        yield EarlierRows(tuple(found.values()), max(since, key=Version.parse, default=None))


def versions_of(name: str, work: Path, *, dataset: str | None = None, below: Version | None = None) -> EarlierRows:
    """The versions of one target since its splits were last reshuffled.

    Args:
        name: a folder of versions, the folder of one, or ``hf://owner/name``.
        work: absent folder to download to.
        dataset: name of the dataset that they must be versions of.
        below: only versions before this one.

    Raises:
        InputError: it holds no version, or one of another dataset.
        FineMedError: a version is damaged, or the Hub cannot be reached.
    """
    folder = Path(name)
    if not name.startswith("hf://") and (folder / "stages").is_dir():
        raise InputError(f"{name}: is a run; name the folder that `finemed publish --to` made, or hf://owner/name")
    if not name.startswith("hf://") and (folder / "manifest.json").exists():
        return EarlierRows((_alone(folder, dataset),))
    rows = fetched(open_target(name), work, below=below)
    if not rows.versions:
        raise InputError(
            f"{name}: holds no published version{f' before {below}' if below else ''}; name the folder that `finemed "
            "publish --to` made, one version in it, or hf://owner/name, and leave it out for the first version"
        )
    for held in rows.versions:
        _refuse_other(name, held.folder, dataset)
    return rows


def fetched(
    target: Target, work: Path, *, below: Version | None = None, have: Mapping[Version, Path] | None = None
) -> EarlierRows:
    """The versions of a target since its splits were last reshuffled, each compared with its hashes.

    Args:
        target: holds them.
        work: folder to download to.
        below: only versions before this one.
        have: folders of versions that were fetched already.
    """
    versions = [held for held in target.versions() if below is None or held.version < below]
    found: list[tuple[Version, EarlierVersion]] = []
    since: str | None = None
    for held in reversed(versions):
        if since is not None and held.version < Version.parse(since):
            break
        folder = (have or {}).get(held.version)
        if folder is None:
            into = work / str(held.version)
            into.mkdir(parents=True, exist_ok=True)
            folder = target.fetch(held.version, into)
        since = since or _since(read_json(folder / "manifest.json", "files"))
        if since is None or held.version >= Version.parse(since):
            found.append((held.version, EarlierVersion(str(held.version), folder, held.release_hash)))
    return EarlierRows(tuple(version for _, version in sorted(found, key=lambda pair: pair[0])), since)


def splits_since(folder: Path | None) -> str | None:
    """The version that last reshuffled the splits, as a version's manifest says."""
    return None if folder is None else _since(read_json(folder / "manifest.json", "files"))


def not_given(manifest: dict[str, Any], earlier: EarlierRows) -> list[str]:
    """Versions that a build was not given: it did not hold its splits against them."""
    split: dict[str, Any] = next((stage for stage in manifest.get("stages", []) if stage.get("stage") == "split"), {})
    given = split.get("facts", {}).get("previous", {}).get("versions", [])
    hashes = {version["release_hash"] for version in given}
    return [held.version for held in earlier.versions if held.release_hash not in hashes]


def _since(manifest: dict[str, Any]) -> str | None:
    """The version from which on splits hold, as a manifest says."""
    stated = manifest.get(SPLITS_SINCE)
    if stated is None:
        return None
    try:
        return str(Version.parse(str(stated)))
    except ConfigError:
        raise StoreError(f"manifest.json: `{SPLITS_SINCE}` is {str(stated)[:40]!r}, no version; restore it") from None


def _alone(folder: Path, dataset: str | None) -> EarlierVersion:
    """A folder that is one version."""
    manifest = read_json(folder / "manifest.json", "files", "release_hash")
    if not release_intact(folder):
        raise StoreError(f"{folder}: a file is missing or differs from manifest.json; restore it from a copy")
    _refuse_other(str(folder), folder, dataset)
    return EarlierVersion(str(manifest.get("version", folder.name)), folder, str(manifest["release_hash"]))


def _refuse_other(name: str, folder: Path, dataset: str | None) -> None:
    known = read_json(folder / "manifest.json", "files").get("name")
    if dataset is not None and known != dataset:
        raise InputError(
            f"{name}: holds versions of `{known}`, and this is `{dataset}`; name the target that `{dataset}` is "
            "published to, or give the build the same `name`"
        )
