"""A folder of releases, one folder per version, each there whole or not at all.

::

    releases/1.0.0/README.md  manifest.json  data/sft/train.parquet ...
             1.1.0/...
             .lock

A version is built beside its place, flushed to the disk and renamed; a published one is never touched again.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from finemed.errors import ConfigError, DamagedReleaseError, PublishError
from finemed.publish.targets.contents import (
    MANIFEST,
    Contents,
    missing,
    read_contents,
    read_manifest,
    same_release,
    unreadable,
)
from finemed.publish.targets.place import check_place
from finemed.publish.targets.target import FileChange, PublishedVersion, Pushed
from finemed.publish.versions.dataset import Dataset
from finemed.publish.versions.version import Version
from finemed.store.atomic import TEMPORARY, flush, open_lock, remove

RESTORE = "restore it from a copy, or move the whole folder away"


class LocalTarget:
    """Versions below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)

    def check(self) -> None:
        check_place(self.folder)

    def versions(self, *, damaged: Callable[[str], None] | None = None) -> list[PublishedVersion]:
        found: list[PublishedVersion] = []
        for version in self._folders():
            try:
                found.append(self._published(version))
            except DamagedReleaseError as error:
                if damaged is None:
                    raise
                damaged(str(error))
        return found

    def fetch(self, version: Version, into: Path) -> Path:
        folder = self.folder / str(version)
        if not folder.is_dir():
            raise PublishError(f"{folder}: there is no such version; there are {self._listed()}")
        return read_contents(folder, version, remedy=RESTORE).path

    def push(self, folder: Path, version: Version, *, message: str, parent: PublishedVersion | None) -> Pushed:
        release = read_contents(folder, version)
        target = self.folder / str(version)
        with self._held():
            if self._holds(release, version, parent):
                return Pushed(str(target), None, created=False)
            building = self.folder / f".{version}{TEMPORARY}"
            try:
                remove(building)
                _copy(release, building)
                building.rename(target)
                flush(self.folder)
            except OSError as error:
                shutil.rmtree(building, ignore_errors=True)
                raise _unwritable(target, error) from None
        return Pushed(str(target), None, created=True)

    def preview(self, folder: Path, version: Version, *, parent: PublishedVersion | None) -> list[FileChange]:
        release = read_contents(folder, version)
        held = self._holds(release, version, parent)
        return [FileChange(name, release.bytes(name), "same" if held else "add") for name in release.files]

    def _holds(self, release: Contents, version: Version, parent: PublishedVersion | None) -> bool:
        """Whether this release is here already; refuses what cannot follow on what is here."""
        target = self.folder / str(version)
        if target.exists():
            there = read_contents(target, version, remedy=RESTORE)
            if same_release(there.manifest, release.manifest):
                return True
            raise PublishError(
                f"{target}: holds {version} with other content (release {there.manifest['release_hash'][:12]} there, "
                f"{release.manifest['release_hash'][:12]} here); a published version never changes: publish a new one"
            )
        latest = next(iter(self.versions()[-1:]), None)
        if (latest and latest.version) != (parent and parent.version):
            known = f"{parent.version} was the last version" if parent else "there was no version"
            raise PublishError(
                f"{self.name}: {known} when this release was made, and now it is "
                f"{latest.version if latest else 'gone'}; run the same command again, so that it follows on that"
            )
        return False

    def _folders(self) -> list[Version]:
        try:
            names = [path.name for path in self.folder.iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unreadable(self.folder, error) from None
        found: list[Version] = []
        for name in names:
            with contextlib.suppress(ConfigError):
                if str(version := Version.parse(name)) == name:
                    found.append(version)
        return sorted(found)

    def _published(self, version: Version) -> PublishedVersion:
        folder = self.folder / str(version)
        manifest = read_manifest(folder / MANIFEST, RESTORE)
        if manifest["version"] != str(version):
            raise DamagedReleaseError(
                f"{folder / MANIFEST}: `version` is {manifest['version']}, not {version}; {RESTORE}"
            )
        for name in manifest["files"]:
            if not (folder / name).is_file():
                raise DamagedReleaseError(f"{folder / name}: {missing(folder / name)}; {RESTORE}")
        dataset = Dataset.read(manifest, str(folder))
        return PublishedVersion(version, str(folder), None, manifest["release_hash"], dataset)

    def _listed(self) -> str:
        return ", ".join(map(str, self._folders())) or "none"

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Keeps a second publication out; the lock ends with the process, however it ends."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = open_lock(self.folder / ".lock")
        except OSError as error:
            raise _unwritable(Path(error.filename or self.folder), error) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise PublishError(
                    f"{self.name}: another finemed process publishes here; wait for it, then run the same command again"
                ) from None
            yield


def _copy(release: Contents, building: Path) -> None:
    """Copies a release and flushes it to the disk, folders last."""
    for name in release.files:
        copy = building / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(release.path / name, copy)
        flush(copy)
    for folder in sorted({(building / name).parent for name in release.files} | {building}, reverse=True):
        flush(folder)


def _unwritable(path: Path, error: OSError) -> PublishError:
    return PublishError(
        f"{path}: cannot be written ({error.strerror or error}); nothing was published: free space or mend the "
        "permissions, then run the same command again"
    )
