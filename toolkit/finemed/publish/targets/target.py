"""Where a release goes: a local folder, or a dataset on the Hub; both get the very same files.

::

    open_target("releases")                          releases/1.1.0/README.md, manifest.json, data/...
    open_target("hf://example/cardiology-qa")        one commit on `main`, then the tag v1.1.0

A target shows a release whole or not at all, never changes one that is published, and refuses to go over what somebody
else put there meanwhile. See `docs/publishing.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from finemed.errors import InputError, PublishError
from finemed.publish.versions.version import Version

if TYPE_CHECKING:
    from finemed.publish.versions.dataset import Dataset

Action = Literal["add", "replace", "delete", "same"]


@dataclass(frozen=True)
class PublishedVersion:
    """A version that a target holds."""

    version: Version
    ref: str
    """The tag on the Hub, or the folder."""
    commit: str | None
    """None in a folder."""
    release_hash: str
    dataset: Dataset | None = None
    """Which dataset it is of; None where it was published before datasets had an identity."""


@dataclass(frozen=True)
class Pushed:
    """What a push came to."""

    ref: str
    commit: str | None
    created: bool
    """False where the target already held this very release, so that nothing was written."""


@dataclass(frozen=True)
class FileChange:
    """What a push does to one file."""

    name: str
    bytes: int
    action: Action


class Target(Protocol):
    """A place with versions of one dataset."""

    name: str
    """What the user wrote."""

    def check(self) -> None:
        """Looks whether versions may be put there at all, before anything is composed.

        Raises:
            PublishError: no; the message says what it is and where to go instead.
        """

    def versions(self, *, damaged: Callable[[str], None] | None = None) -> list[PublishedVersion]:
        """All versions, ascending; none where there is no folder or repository yet.

        Args:
            damaged: told of versions whose manifest cannot be used, which are then left out.

        Raises:
            PublishError: the target cannot be read, or a version is damaged and nobody asked to be told.
        """

    def fetch(self, version: Version, into: Path) -> Path:
        """A folder with that version's files, each compared with its hash in the manifest.

        Args:
            version: one of `versions()`.
            into: an empty folder to download to; a local target answers with its own folder instead.

        Raises:
            PublishError: there is no such version, it is damaged, or it cannot be read.
        """

    def push(self, folder: Path, version: Version, *, message: str, parent: PublishedVersion | None) -> Pushed:
        """Publishes a release that follows `parent`; safe to repeat after any interruption.

        Args:
            folder: the composed release.
            version: what its manifest says.
            message: first line of the commit on the Hub.
            parent: the last version when the release was composed; None for the first.

        Raises:
            PublishError: refused or failed; the message says what is published now and what to do.
        """

    def preview(self, folder: Path, version: Version, *, parent: PublishedVersion | None) -> list[FileChange]:
        """What `push` would do to each file, without a write anywhere.

        Raises:
            PublishError: `push` would refuse.
        """


def open_target(text: str, *, private: bool = True, onto_head: bool = False) -> Target:
    """The target that an address names; nothing is written or asked yet.

    Args:
        text: a folder, or ``hf://owner/name``.
        private: whether a repository made by the push is private; an existing one stays as it is.
        onto_head: publish on top of a commit that is no release, such as a card edited on the Hub's page.

    Raises:
        PublishError: it is neither.
    """
    from finemed.publish.targets.hub import HubTarget
    from finemed.publish.targets.local import LocalTarget
    from finemed.sources.hub import parse

    if not text.startswith("hf://"):
        if "://" in text or not text.strip():
            raise PublishError(f"{text or 'the target'}: a release goes to a folder, or to the Hub as hf://owner/name")
        return LocalTarget(Path(text))
    try:
        at = parse(text)
    except InputError as error:
        raise PublishError(str(error)) from None
    if at.revision or at.path:
        raise PublishError(f"{text}: a release goes to `main` of a whole dataset; write hf://{at.repo}")
    return HubTarget(at.repo, private=private, onto_head=onto_head)
