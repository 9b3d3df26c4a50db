"""Which dataset a version belongs to: a name, an id that the first publication fixes, and the releases before it.

::

    dataset = next_dataset("releases", source, composed_hash, held, adopt=False)
    dataset.plain()     {"name": "cardiology", "id": "3f0c9a...", "lineage": ["9727...", "0c1f..."]}

The id is made of the name and of the first release's hash; `lineage` lists the hashes of all earlier versions, oldest
first. A release goes to a target only if it continues that dataset: it has its name and something in common with the
last version, or it is a version of it. Versions from before this existed are adopted by their name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finemed.config import stable_hash
from finemed.errors import DamagedReleaseError, PublishError
from finemed.publish.pools import pool_of
from finemed.publish.versions.folder import ReleaseFolder, batches, columns_of

if TYPE_CHECKING:
    from finemed.publish.targets.target import PublishedVersion
    from finemed.publish.versions.publish import Held

KEY = "dataset"
"""Where a manifest holds it."""
_ADOPT = "if it shall go on from there all the same, give `--adopt`"
_ID_DIGITS = 20


@dataclass(frozen=True)
class Dataset:
    """The identity of a published dataset, as one of its versions has it."""

    name: str
    id: str
    lineage: tuple[str, ...] = ()
    """Hashes of the releases before this version, oldest first."""

    @classmethod
    def begin(cls, name: str, release_hash: str) -> Dataset:
        """The dataset whose first release this is."""
        return cls(name, stable_hash({"name": name, "first": release_hash})[:_ID_DIGITS])

    @classmethod
    def read(cls, manifest: Mapping[str, Any], place: str) -> Dataset | None:
        """The identity that a manifest states; None in those from before there was one.

        Raises:
            DamagedReleaseError: it cannot be used.
        """
        if KEY not in manifest:
            return None
        found = manifest[KEY]
        try:
            name, identity, lineage = found["name"], found["id"], found["lineage"]
            if not all(isinstance(value, str) and value for value in (name, identity, *lineage)):
                raise TypeError
        except (KeyError, TypeError):
            raise DamagedReleaseError(
                f"{place}: `{KEY}` in its manifest is damaged, so nobody can tell which dataset it is a version of; "
                "restore it from a copy"
            ) from None
        return cls(name, identity, tuple(lineage))

    def after(self, *hashes: str) -> Dataset:
        """The same dataset with further releases behind it; one that is there already is not listed twice."""
        return Dataset(self.name, self.id, tuple(dict.fromkeys((*self.lineage, *hashes))))

    def plain(self) -> dict[str, Any]:
        """The identity as JSON values."""
        return {"name": self.name, "id": self.id, "lineage": list(self.lineage)}


def dataset_at(place: str, versions: Sequence[PublishedVersion], old: ReleaseFolder) -> Dataset:
    """The dataset that a target's versions are of, with all of them behind it.

    Args:
        place: the target's name, for messages.
        versions: all versions, ascending, at least one.
        old: the last one.

    Raises:
        PublishError: they are of different datasets.
    """
    known = [held for held in versions if held.dataset is not None]
    if not known or known[-1].dataset is None:
        name = str(old.manifest.get("name", ""))
        return Dataset.begin(name, versions[0].release_hash).after(*(held.release_hash for held in versions))
    newest, dataset = known[-1], known[-1].dataset
    for held in versions:
        if held.dataset is not None and held.dataset.id != dataset.id:
            raise PublishError(
                f"{place}: {held.version} is a version of the dataset `{held.dataset.name}` ({held.dataset.id}), and "
                f"{newest.version} of `{dataset.name}` ({dataset.id}); move away what does not belong there"
            )
    return dataset.after(*(held.release_hash for held in versions if held.version >= newest.version))


def next_dataset(place: str, source: ReleaseFolder, composed_hash: str, held: Held, *, adopt: bool) -> Dataset:
    """The identity of the version that a release becomes.

    Args:
        place: the target's name, for messages.
        source: the release, as the run or another target has it.
        composed_hash: its hash without what is retracted.
        held: what the target holds.
        adopt: go on from it whatever name and origin the release has; the dataset then takes the release's name.

    Raises:
        PublishError: the release belongs to another dataset.
    """
    own = Dataset.read(source.manifest, str(source.path))
    name = own.name if own else str(source.manifest.get("name", ""))
    there = held.dataset
    if there is None or held.old is None:
        return own.after(str(source.manifest["release_hash"])) if own else Dataset.begin(name, composed_hash)
    if adopt:
        return Dataset(name or there.name, there.id, there.lineage)
    old = ReleaseFolder.open(held.old)
    last = old.manifest["version"]
    if own is not None and own.id != there.id:
        raise PublishError(
            f"{place}: holds versions of the dataset `{there.name}` ({there.id}), and {source.path} is a version of "
            f"`{own.name}` ({own.id}); publish it elsewhere; {_ADOPT}"
        )
    if own is None and name != there.name:
        raise PublishError(
            f"{place}: holds versions of the dataset `{there.name}`, and this release is of `{name}` (`name` in its "
            f"configuration); publish it to another folder or repository; {_ADOPT}, and the dataset is called `{name}` "
            "from this version on"
        )
    if own is not None and not _in_line(own, str(source.manifest["release_hash"]), there):
        raise PublishError(
            f"{place}: {last} and {source.path} are versions of `{there.name}` on different lines: neither follows "
            f"the other, so what {last} changed would be lost; {_ADOPT}"
        )
    if own is None and not _related(source, old):
        raise PublishError(
            f"{place}: {last} of `{there.name}` and this release have neither a source nor a document in common, so it "
            f"is another dataset of the same name; publish it to another folder or repository; {_ADOPT}"
        )
    return there


def _in_line(own: Dataset, release_hash: str, there: Dataset) -> bool:
    """Whether one of two versions follows the other."""
    return there.lineage[-1] in (*own.lineage, release_hash) or release_hash in there.lineage


def _related(source: ReleaseFolder, old: ReleaseFolder) -> bool:
    """Whether two releases share the name of a source, or a document."""
    for column in ("source", "document_id"):
        before = set(_values(old, column))
        if not before or any(value in before for value in _values(source, column)):
            return True  # without such a column nothing can be said
    return False


def _values(release: ReleaseFolder, column: str) -> Iterable[str]:
    for config, splits in release.data.items():
        if pool_of(config) == config:
            for path in splits.values():
                if column in columns_of(path):
                    for part in batches(path, [column]):
                        yield from part[column].drop_nulls().unique()
