"""What a dataset repository on the Hub holds: its refs, the files of a commit, the manifests of its releases.

::

    repo = HubRepo("example/cardiology-qa")
    repo.state().tags                    {Version(1, 0, 0): "5c1e...", Version(1, 1, 0): "a90b..."}
    repo.manifest("a90b...", "v1.1.0")   manifest.json of that commit
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from finemed import __version__
from finemed.errors import ConfigError, DamagedReleaseError, InputError, PublishError
from finemed.publish.targets.contents import MANIFEST, parse_manifest
from finemed.publish.targets.hub_calls import persist, refusal
from finemed.publish.versions.version import Version
from finemed.sources.hub import HubFile

KEPT = ".gitattributes"
"""Says which files are large; the Hub made it, and no release has it."""
T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """A repository at one moment."""

    head: str | None
    """Commit of `main`; None where there is no repository for this login."""
    tags: dict[Version, str]
    """Commits by version."""


class HubRepo:
    """Reads one dataset repository."""

    def __init__(self, repo: str) -> None:
        from huggingface_hub import HfApi

        self.repo = repo
        self.name = f"hf://{repo}"
        self.api = HfApi(library_name="finemed", library_version=__version__)

    def asked(self, doing: str, ask: Callable[[], T], *, again: bool = True) -> T:
        """The answer to a call.

        Args:
            doing: what the call does, for the message.
            ask: the call.
            again: try a few times; the client does so itself in some calls.

        Raises:
            PublishError: there is none.
        """
        try:
            return persist(ask) if again else ask()
        except PublishError:
            raise
        except Exception as error:
            raise refusal(self.name, error, doing) from None

    def state(self) -> State:
        """Head and versions."""
        from huggingface_hub.errors import RepositoryNotFoundError

        def ask() -> State:
            try:
                refs = self.api.list_repo_refs(self.repo, repo_type="dataset")
            except RepositoryNotFoundError:
                return State(None, {})
            tags: dict[Version, str] = {}
            for tag in refs.tags:
                try:
                    if (version := Version.parse(tag.name)).tag == tag.name:
                        tags[version] = tag.target_commit
                except ConfigError:  # a tag of another kind
                    continue
            return State(next((b.target_commit for b in refs.branches if b.name == "main"), None), tags)

        return self.asked("read", ask)

    def tree(self, commit: str) -> dict[str, Any]:
        """Files of a commit by name, each with its size, `blob_id` and `lfs`."""

        def ask() -> dict[str, Any]:
            found = self.api.list_repo_tree(self.repo, recursive=True, revision=commit, repo_type="dataset")
            return {file.path: file for file in found if hasattr(file, "blob_id")}

        return self.asked("read", ask, again=False)

    def manifest(self, commit: str, tag: str) -> dict[str, Any]:
        """The manifest of a published version.

        Raises:
            DamagedReleaseError: the tag is on something else.
        """
        found = self.asked(
            "read", lambda: self.api.get_paths_info(self.repo, [MANIFEST], revision=commit, repo_type="dataset")
        )
        try:
            if not found:
                raise ValueError(f"no {MANIFEST}")
            manifest = parse_manifest(self.content(commit, found[0]))
            if f"v{manifest['version']}" != tag:
                raise ValueError(f"its manifest says {manifest['version']}")
        except ValueError as error:
            raise DamagedReleaseError(
                f"{self.name}: {tag} is no release of FineMed ({error}); take that tag away on the Hub, or publish to "
                "another dataset"
            ) from None
        return manifest

    def content(self, commit: str, file: Any) -> bytes:
        """A small file of a commit, from an entry of its tree."""
        with self._open(commit, file) as stream:
            return self._read(stream.read)

    def download(self, commit: str, file: Any, path: Path) -> None:
        """Writes a file of a commit to `path`.

        Raises:
            PublishError: it cannot be read or written.
        """
        with self._open(commit, file) as stream:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as target:
                    self._read(lambda: shutil.copyfileobj(stream, target, 1 << 20))
            except OSError as error:
                raise PublishError(
                    f"{path}: cannot be written ({error.strerror or error}); free space or mend the permissions, then "
                    "run the same command again"
                ) from None

    def _open(self, commit: str, file: Any) -> BinaryIO:
        sha256 = file.lfs.sha256 if file.lfs else None
        return HubFile(self.repo, commit, file.path, file.size, sha256, file.blob_id).open()

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except InputError as error:
            raise PublishError(str(error)) from None

    def whole_release(self, commit: str, tree: Mapping[str, Any]) -> dict[str, Any] | None:
        """The manifest of a commit that holds all files of a release as they should be, and nothing else."""
        if MANIFEST not in tree:
            return None
        try:
            manifest = parse_manifest(self.content(commit, tree[MANIFEST]))
        except ValueError:
            return None
        if set(tree) - {KEPT, MANIFEST} != set(manifest["files"]):
            return None
        for name, expected in manifest["files"].items():
            large = tree[name].lfs
            found = large.sha256 if large else hashlib.sha256(self.content(commit, tree[name])).hexdigest()
            if found != expected:
                return None
        return manifest
