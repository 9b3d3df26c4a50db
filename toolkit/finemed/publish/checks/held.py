"""The rule `held_splits`: no row lies on another side than its like in an earlier version.

::

    check_held(Path("releases/1.1.0"), earlier, faults)
    # sft/test, row s3f0...: its question was that of row s91c... of sft/train in 1.0.0 (Jaccard 0.913); ...

A side is a split, and whether the row is in `ttt`. Questions and answers are compared with those of every earlier
version since the splits were last reshuffled, by the thresholds of the release's own split stage and by exact Jaccard
similarity; the bands are others than those that the build held its splits with.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from finemed.config import SplitConfig
from finemed.errors import ConfigError, FineMedError
from finemed.publish.checks.faults import Faults
from finemed.publish.separation import changed_sides
from finemed.publish.versions.folder import ReleaseFolder, columns_of
from finemed.publish.versions.previous import SPLITS_SINCE, versions_of
from finemed.publish.versions.version import Version
from finemed.records import POOLS
from finemed.store.earlier import EarlierRows, EarlierVersion

RULE = "held_splits"
NOBODY = "no previous version is named; name the target, or one version, with --previous"
REMEDY = (
    "build it with `finemed build --previous TARGET`, the target that it goes to, or reshuffle on purpose with "
    "`finemed publish --reshuffle`"
)
NAMED = 5
"""Rows that are named."""
_TURNS = {name: ("chosen", "rejected", "prompt") if name == "dpo" else ("prompt", "completion") for name in POOLS}


@contextlib.contextmanager
def opened_previous(text: str, path: Path) -> Iterator[tuple[Path, EarlierRows]]:
    """The versions before the release in `path` that a target holds, and the folder of the last one.

    Raises:
        InputError: there is none.
        FineMedError: a version is damaged, or the Hub cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="finemed-previous-") as work:
        earlier = versions_of(text, Path(work) / "versions", below=_version(_manifest(path)))
        yield earlier.versions[-1].folder, earlier


def alone(folder: Path) -> EarlierRows:
    """One release as all earlier versions."""
    manifest = _manifest(folder)
    version = _version(manifest)
    name = str(version) if version else folder.name
    return EarlierRows((EarlierVersion(name, folder, str(manifest.get("release_hash", ""))),))


def check_held(path: Path, earlier: EarlierRows | None, faults: Faults) -> None:
    """Compares a release with all earlier versions.

    Args:
        path: its folder.
        earlier: what was published before; None where nobody named it.
        faults: where it says what it found.
    """
    if earlier is None or not earlier.versions:
        faults.skip(RULE, NOBODY)
        return
    manifest = _manifest(path)
    since = _parsed(manifest.get(SPLITS_SINCE))
    if since is not None:
        kept = [held for held in earlier.versions if (own := _parsed(held.version)) is None or own >= since]
        if not kept:
            faults.skip(RULE, f"{since} reshuffled the splits; rows of versions before it may lie elsewhere")
            return
        earlier = EarlierRows(tuple(kept), str(since))
    for place in [path, *(held.folder for held in earlier.versions)]:
        if lacking := _lacking(place):
            faults.skip(RULE, lacking)
            return
    config = _settings(manifest)
    faults.apply(RULE)
    found = changed_sides(
        path / "data", earlier, questions=config.component_threshold, answers=config.answer_threshold, most=NAMED
    )
    for moved in found.moved:
        how = "was that" if moved.similarity == 1 else "is nearly that"
        fact = f"its {moved.what} {how} of {moved.earlier} (Jaccard {moved.similarity:.3f})"
        faults.add(RULE, moved.row, fact, REMEDY)
    if found.rows > len(found.moved):
        fact = f"{found.rows:,} rows in all changed sides, {found.nearly:,} of them near-duplicates"
        faults.add(RULE, "data", fact, REMEDY, count=found.rows - len(found.moved))


def _lacking(folder: Path) -> str:
    """Why rows of a release cannot be compared; empty where they can."""
    try:
        data = ReleaseFolder(folder, {}).data
        for config in (name for name in data if name in POOLS):
            for split, path in data[config].items():
                found = columns_of(path)
                for name in _TURNS[config]:
                    if "struct" not in found.get(name, ""):
                        return f"{folder.name}: {config}/{split} has no usable column {name}"
    except FineMedError as error:
        return str(error)
    return ""


def _settings(manifest: dict[str, Any]) -> SplitConfig:
    """The thresholds of the release's split stage; today's defaults where it does not say."""
    stages = manifest.get("stages")
    for stage in stages if isinstance(stages, list) else []:
        if isinstance(stage, dict) and stage.get("stage") == "split" and isinstance(stage.get("settings"), dict):
            stated = {name: stage["settings"].get(name) for name in ("component_threshold", "answer_threshold")}
            with contextlib.suppress(ValidationError):
                return SplitConfig.model_validate({name: value for name, value in stated.items() if value is not None})
    return SplitConfig()


def _manifest(folder: Path) -> dict[str, Any]:
    """A release's manifest; empty where it cannot be read, which another rule says."""
    with contextlib.suppress(FineMedError):
        return ReleaseFolder.open(folder).manifest
    return {}


def _version(manifest: dict[str, Any]) -> Version | None:
    return _parsed(manifest.get("version"))


def _parsed(stated: Any) -> Version | None:
    with contextlib.suppress(ConfigError):
        return None if stated is None else Version.parse(str(stated))
    return None
