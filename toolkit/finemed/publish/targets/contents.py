"""The files of a release by name and hash, as its manifest lists them.

::

    contents = read_contents(Path("run/composed"), Version(1, 1, 0))
    contents.files["data/sft/train.parquet"]      "9f86d081884c7d65..."

What is published is this list and nothing else: a file that changed since it was listed, or that is not listed, is
refused before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from finemed.errors import DamagedReleaseError, PublishError
from finemed.publish.versions.version import Version
from finemed.store.atomic import NoFileError, file_hash, kind_of, read_plain

MANIFEST = "manifest.json"
DATED = frozenset({"CHANGELOG.md", "README.md", "croissant.json"})
"""Files that may tell the day of a release, so that they may differ where the release is the same."""


@dataclass(frozen=True)
class Contents:
    """A release in a folder, found to be as its manifest says."""

    path: Path
    manifest: dict[str, Any]
    files: dict[str, str]
    """Name -> SHA-256, the manifest's own included, in order."""

    def bytes(self, name: str) -> int:
        """Size of a file."""
        return (self.path / name).stat().st_size


def read_contents(folder: Path, version: Version, *, remedy: str = "run the same command again") -> Contents:
    """Reads a release and compares every file with its hash.

    Args:
        folder: holds `manifest.json`.
        version: which release this must be.
        remedy: what to do about a damaged one, for the message.

    Raises:
        DamagedReleaseError: it is damaged, incomplete, or another version.
        PublishError: it cannot be read.
    """
    manifest = read_manifest(folder / MANIFEST, remedy)
    if manifest["version"] != str(version):
        raise DamagedReleaseError(f"{folder / MANIFEST}: `version` is {manifest['version']}, not {version}; {remedy}")
    try:
        for name in sorted(set(manifest["files"]) - set(_names(folder))):
            raise DamagedReleaseError(f"{folder / name}: {missing(folder / name)}; {remedy}")
        for name in _names(folder):
            if name not in manifest["files"] and name != MANIFEST:
                raise PublishError(
                    f"{folder / name}: is not in manifest.json; take it out of the folder, then {remedy}"
                )
        found = {name: file_hash(folder / name) for name in [*sorted(manifest["files"]), MANIFEST]}
    except OSError as error:
        raise unreadable(folder, error) from None
    for name, expected in manifest["files"].items():
        if found[name] != expected:
            raise DamagedReleaseError(
                f"{folder / name}: changed since the release was made (SHA-256 {found[name][:12]}, in manifest.json "
                f"{expected[:12]}); {remedy}"
            )
    return Contents(folder, manifest, dict(sorted(found.items())))


def missing(path: Path) -> str:
    """What to say of a file of a manifest that is not there, or is something else."""
    kind = kind_of(path)
    return f"is {kind or 'missing'}, though manifest.json lists it" + (" as a file" if kind else "")


def read_manifest(path: Path, remedy: str) -> dict[str, Any]:
    """A published release's manifest.

    Raises:
        DamagedReleaseError: there is none, or it does not name version, hash and files.
        PublishError: it cannot be read.
    """
    try:
        return parse_manifest(read_plain(path))
    except NoFileError as error:
        raise DamagedReleaseError(f"{path}: damaged ({error.strerror}); {remedy}") from None
    except FileNotFoundError:
        raise DamagedReleaseError(f"{path}: is missing; {remedy}") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError as error:
        raise DamagedReleaseError(f"{path}: damaged ({error}); {remedy}") from None


def parse_manifest(data: bytes) -> dict[str, Any]:
    """A manifest whose `version`, `release_hash` and `files` can be relied on.

    Raises:
        ValueError: it is damaged, or names a file outside its folder.
    """
    manifest = json.loads(data)
    if not isinstance(manifest, dict):
        raise ValueError("not a JSON object")
    kinds: dict[str, type] = {"version": str, "release_hash": str, "files": dict}
    missing = [key for key, kind in kinds.items() if not isinstance(manifest.get(key), kind)]
    if missing:
        raise ValueError(f"no {', '.join(f'`{key}`' for key in missing)}")
    for name, told in manifest["files"].items():
        parts = PurePosixPath(name).parts
        if (
            not parts
            or name != "/".join(parts)
            or ".." in parts
            or "\\" in name
            or any(p.startswith(".") for p in parts)
        ):
            raise ValueError(f"`files` names {name!r}, which no release has")
        if not isinstance(told, str):
            raise ValueError(f"`files` has no hash of {name}")
    return manifest


def same_release(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two manifests are of one release, composed on different days perhaps."""
    return _lasting(one) == _lasting(other)


def _lasting(manifest: Mapping[str, Any]) -> tuple[Any, ...]:
    files = {name: told for name, told in manifest["files"].items() if name not in DATED}
    return manifest["version"], manifest["release_hash"], manifest.get("parent"), files


def _names(folder: Path) -> Iterator[str]:
    """Files below a folder; hidden ones are no part of a release."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def unreadable(path: Path | str, error: OSError) -> PublishError:
    """What to say of a file or folder that the operating system refuses."""
    place = error.filename or path
    return PublishError(
        f"{place}: cannot be read ({error.strerror or error}); mend the permissions, then run the same command again"
    )
