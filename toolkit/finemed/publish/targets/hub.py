"""Versions of a dataset on the Hugging Face Hub: one commit each, then a tag.

::

    target = HubTarget("example/cardiology-qa")
    target.push(folder, Version(1, 1, 0), message="FineMed 1.1.0", parent=target.versions()[-1])

What the large files hold is uploaded first, where nobody sees it. One commit then adds, replaces and deletes; it names
the commit that it follows, so that the Hub refuses it if somebody else was faster. A run that was stopped goes on where
it was: uploaded files are not sent again, and a commit without its tag only gets the tag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finemed.errors import DamagedReleaseError, PublishError
from finemed.publish.targets.contents import MANIFEST, Contents, read_contents, same_release
from finemed.publish.targets.hub_calls import persist, plain_talk, refusal, status_of
from finemed.publish.targets.hub_repo import KEPT, HubRepo, State
from finemed.publish.targets.target import Action, FileChange, PublishedVersion, Pushed
from finemed.publish.versions.dataset import Dataset
from finemed.publish.versions.version import Version
from finemed.store.atomic import file_hash

BARE = frozenset({KEPT, "README.md"})
"""What a repository may hold before its first release."""
SHOWN_NAMES = 5


@dataclass(frozen=True)
class _Plan:
    """What a push comes to."""

    state: State
    changes: list[FileChange]
    done: str | None
    """Commit that is this release already."""
    tagged: bool


class HubTarget:
    """The tags of one dataset repository."""

    def __init__(self, repo: str, *, private: bool = True, onto_head: bool = False) -> None:
        self.name = f"hf://{repo}"
        self._private = private
        self._onto_head = onto_head
        self._repo = HubRepo(repo)

    def check(self) -> None:
        """Nothing: whether a repository holds something else is seen when it is read."""

    def versions(self, *, damaged: Callable[[str], None] | None = None) -> list[PublishedVersion]:
        found: list[PublishedVersion] = []
        for version, commit in sorted(self._repo.state().tags.items()):
            try:
                manifest = self._repo.manifest(commit, version.tag)
                dataset = Dataset.read(manifest, f"{self.name}: {version.tag}")
            except DamagedReleaseError as error:
                if damaged is None:
                    raise
                damaged(str(error))
                continue
            found.append(PublishedVersion(version, version.tag, commit, manifest["release_hash"], dataset))
        return found

    def fetch(self, version: Version, into: Path) -> Path:
        tags = self._repo.state().tags
        if version not in tags:
            raise PublishError(
                f"{self.name}: there is no version {version}; there are {', '.join(map(str, sorted(tags))) or 'none'}"
            )
        commit = tags[version]
        files = self._repo.manifest(commit, version.tag)["files"]
        tree = self._repo.tree(commit)
        for name in [*files, MANIFEST]:
            if name in tree and not ((into / name).is_file() and file_hash(into / name) == files.get(name)):
                self._repo.download(commit, tree[name], into / name)
        remedy = f"empty {into} and fetch again; if it stays so, {version.tag} of {self.name} was not made by FineMed"
        return read_contents(into, version, remedy=remedy).path

    def preview(self, folder: Path, version: Version, *, parent: PublishedVersion | None) -> list[FileChange]:
        return self._plan(read_contents(folder, version), version, parent).changes

    def push(self, folder: Path, version: Version, *, message: str, parent: PublishedVersion | None) -> Pushed:
        release = read_contents(folder, version)
        self._refuse_strangers()
        plan = self._plan(release, version, parent)
        if plan.state.head is None:
            api, private = self._repo.api, self._private
            self._repo.asked(
                "make a dataset",
                lambda: api.create_repo(self._repo.repo, repo_type="dataset", private=private, exist_ok=True),
            )
            plan = self._plan(release, version, parent)
        if plan.done and plan.tagged:
            return Pushed(version.tag, plan.done, created=False)
        with plain_talk():
            commit = plan.done or self._commit(release, plan, version, message)
            self._tag(version, commit)
        return Pushed(version.tag, commit, created=True)

    def _refuse_strangers(self) -> None:
        from huggingface_hub import get_token

        if not get_token():
            raise PublishError(
                f"{self.name}: there is no login; run `hf auth login`, or set HF_TOKEN to a token with write access"
            )

    def _plan(self, release: Contents, version: Version, parent: PublishedVersion | None) -> _Plan:
        state = self._repo.state()
        if version in state.tags:
            self._refuse_other(release, version, state.tags[version])
            return _Plan(state, _changes(release, None), state.tags[version], tagged=True)
        self._refuse_faster(state, version, parent)
        if state.head is None:
            return _Plan(state, _changes(release, {}), None, tagged=False)
        tree = self._repo.tree(state.head)
        changes = _changes(release, tree)
        if parent is not None and state.head == parent.commit:
            return _Plan(state, changes, None, tagged=False)
        # committed by a run that was stopped before the tag, on another day perhaps
        held = self._repo.whole_release(state.head, tree)
        if held is not None and same_release(held, release.manifest):
            return _Plan(state, _changes(release, None), state.head, tagged=False)
        if not self._onto_head:
            self._refuse_foreign(tree, held, version, parent)
        return _Plan(state, changes, None, tagged=False)

    def _refuse_other(self, release: Contents, version: Version, commit: str) -> None:
        there = self._repo.manifest(commit, version.tag)
        if not same_release(there, release.manifest):
            raise PublishError(
                f"{self.name}: {version.tag} is published with other content (release {there['release_hash'][:12]} "
                f"there, {release.manifest['release_hash'][:12]} here); a published version never changes: publish a "
                "new one"
            )

    def _refuse_faster(self, state: State, version: Version, parent: PublishedVersion | None) -> None:
        """Refuses where the versions are no longer those that the release was made after."""
        newer = [known.tag for known in sorted(state.tags) if parent is None or known > parent.version]
        if newer:
            raise PublishError(
                f"{self.name}: {_some(newer)} was published meanwhile; nothing was written: run the same command "
                f"again, so that {version} follows on it"
            )
        if parent is not None and state.tags.get(parent.version) != parent.commit:
            raise PublishError(
                f"{self.name}: {parent.version.tag} is no longer at commit {str(parent.commit)[:8]}; nothing was "
                "written: see `finemed versions list`, then run the same command again"
            )

    def _refuse_foreign(
        self,
        tree: Mapping[str, Any],
        held: Mapping[str, Any] | None,
        version: Version,
        parent: PublishedVersion | None,
    ) -> None:
        """Refuses a head that is not the release which the new one follows."""
        if parent is None and not set(tree) - BARE:
            return
        onto = f"put {version} on top of it with `--onto-head` (the history keeps what is there)"
        if held is not None:
            raise PublishError(
                f"{self.name}: `main` holds release {held['version']} without its tag, from a publication that was "
                f"stopped or still runs; publish that one again, which sets the tag, or {onto}"
            )
        if parent is None:
            raise PublishError(
                f"{self.name}: is not empty and holds no release of FineMed ({_some(sorted(set(tree) - BARE))}); "
                f"publish to another dataset, or {onto}"
            )
        before = self._repo.tree(parent.commit) if parent.commit else {}
        differing = sorted(
            name
            for name in before.keys() | tree.keys()
            if name not in before or name not in tree or before[name].blob_id != tree[name].blob_id
        )
        raise PublishError(
            f"{self.name}: `main` was changed after {parent.version.tag} ({_some(differing) or 'no file differs'}); "
            f"nothing was written: take the change over into the run or its card settings, then {onto}"
        )

    def _commit(self, release: Contents, plan: _Plan, version: Version, message: str) -> str:
        """Uploads and commits; the commit's id."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        api, repo, head = self._repo.api, self._repo.repo, plan.state.head
        adds = [
            CommitOperationAdd(change.name, release.path / change.name)
            for change in plan.changes
            if change.action in ("add", "replace")
        ]
        deletes = [CommitOperationDelete(change.name) for change in plan.changes if change.action == "delete"]

        def commit() -> str:
            made = api.create_commit(
                repo, [*adds, *deletes], commit_message=message, repo_type="dataset", parent_commit=head
            )
            return str(made.oid)

        try:
            # the empty list of ignored files stands for one in the repository, which would leave files out
            api.preupload_lfs_files(repo, adds, repo_type="dataset", gitignore_content="")
            made = persist(commit, lambda: self._landed(release, head))
        except Exception as error:
            found = self._landed(release, head)
            if found is None:
                raise self._failed(error, version) from None
            made = found
        self._refuse_mixture(release, made, version)
        return made

    def _landed(self, release: Contents, before: str | None) -> str | None:
        """The head, if it is the commit whose answer was lost."""
        head = self._repo.state().head
        if head is None or head == before:
            return None
        same = all(change.action == "same" for change in _changes(release, self._repo.tree(head)))
        return head if same else None

    def _failed(self, error: Exception, version: Version) -> PublishError:
        if status_of(error) == 412:
            return PublishError(
                f"{self.name}: somebody else committed to `main` while {version} was on its way; nothing of it was "
                "written: see `finemed versions list`, then run the same command again"
            )
        return refusal(self.name, error, "publish")

    def _refuse_mixture(self, release: Contents, commit: str, version: Version) -> None:
        wrong = [change.name for change in _changes(release, self._repo.tree(commit)) if change.action != "same"]
        if wrong:
            raise PublishError(
                f"{self.name}: commit {commit[:8]} does not hold what was sent ({_some(wrong)}), so it got no tag; "
                f"publish {version} again with `--onto-head`"
            )

    def _tag(self, version: Version, commit: str) -> None:
        api, repo = self._repo.api, self._repo.repo
        try:
            persist(lambda: api.create_tag(repo, tag=version.tag, revision=commit, repo_type="dataset"))
        except Exception as error:
            there = self._repo.state().tags.get(version) if status_of(error) == 409 else None
            if there == commit:
                return
            if there is not None:
                raise PublishError(
                    f"{self.name}: {version.tag} was set meanwhile on commit {there[:8]}, not on {commit[:8]}; see "
                    "`finemed versions list`, then publish a new version"
                ) from None
            raise PublishError(
                f"{refusal(self.name, error, 'tag')}. {version} is on `main` (commit {commit[:8]}) without its tag: "
                "the same command again only sets the tag"
            ) from None


def _changes(release: Contents, tree: Mapping[str, Any] | None) -> list[FileChange]:
    """Files of a release against those of a commit; None stands for a commit that is the release."""
    changes: list[FileChange] = []
    for name in release.files:
        action: Action = "same"
        if tree is not None:
            action = "add" if name not in tree else "same" if _equal(release, name, tree[name]) else "replace"
        changes.append(FileChange(name, release.bytes(name), action))
    gone = sorted(set(tree or {}) - set(release.files) - {KEPT})
    return changes + [FileChange(name, tree[name].size, "delete") for name in gone if tree is not None]


def _equal(release: Contents, name: str, file: Any) -> bool:
    if file.lfs is not None:
        return bool(file.lfs.sha256 == release.files[name])
    if file.size != release.bytes(name):
        return False
    data = (release.path / name).read_bytes()
    return bool(file.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more
