"""Checks every file of a dataset against the contract, before anybody gets it.

::

    report = validate(Path("releases/1.1.0"), previous=Path("releases/1.0.0"))
    report.counts       {"files": 0, "schema": 0, "ids": 0, "messages": 2, ...}
    str(report.faults[0])
    # sft/train:17, id 's3f0...': `prompt`: message 1 is empty; take the row out with `finemed retract --id`, ...

The rules are told in `docs/contract.md`. Files are read batch by batch; nothing is changed.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from finemed.errors import InputError, PublishError
from finemed.publish.checks.faults import Faults, Report
from finemed.publish.checks.foreign import validate_foreign
from finemed.publish.checks.held import alone, check_held, opened_previous
from finemed.publish.checks.shipped import MANIFEST, Shipped
from finemed.publish.checks.tables import Tables
from finemed.store.earlier import EarlierRows


def validate(path: Path, *, previous: Path | None = None, earlier: EarlierRows | None = None) -> Report:
    """Checks a release folder, or a file or folder of anybody's instruction data.

    Args:
        path: the folder of a release, or a file or folder of JSONL or Parquet with conversations or pairs.
        previous: the release before it, for the rule `features`.
        earlier: all earlier versions, for the rule `held_splits`; by default the previous release alone.

    Raises:
        InputError: there is nothing there that could be checked.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; give a release, a file, or hf://owner/name")
    if (path / "stages").is_dir() and not is_release(path):
        raise InputError(f"{path}: is a run; validate its release, {path / 'release'}")
    if not is_release(path):
        return validate_foreign(str(path))
    return validate_release(path, previous=previous, earlier=earlier)


def validate_release(path: Path, *, previous: Path | None = None, earlier: EarlierRows | None = None) -> Report:
    """Checks every file of a release folder."""
    if previous is not None and not is_release(previous):
        raise InputError(f"{previous}: holds no release to compare with; give the folder of the previous version")
    faults = Faults()
    shipped = Shipped.open(path, faults)
    shipped.check(faults)
    tables = Tables(shipped, None if previous is None else Shipped.open(previous, Faults()), faults)
    tables.check()
    check_held(path, earlier or (alone(previous) if previous else None), faults)
    return Report(str(path), "release", tables.rows, faults)


def is_release(path: Path) -> bool:
    """Whether a folder is meant as a release of ours: it has such a manifest, or a damaged one beside `data`."""
    try:
        found = json.loads((path / MANIFEST).read_bytes())
    except OSError:
        return False
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return (path / "data").is_dir()
    return "release_hash" in found or {"configs", "files"} <= found.keys()


def validate_address(text: str, *, previous: str | None = None) -> Report:
    """Checks what an address names: a path on this machine, or ``hf://owner/name[@revision]``.

    A release on the Hub is downloaded to a temporary folder; any other dataset is read as it comes.

    Raises:
        FineMedError: there is nothing to check, or the Hub cannot be reached.
    """
    with _local(text) as path:
        if path is None:
            return validate_foreign(text)
        if previous is None or "@" in previous or not is_release(path):
            with _local(previous) as before:
                report = validate(path, previous=before)
        else:
            with opened_previous(previous, path) as (last, earlier):
                report = validate(path, previous=last, earlier=earlier)
        return Report(text, report.kind, report.rows, report.found)


@contextlib.contextmanager
def _local(text: str | None) -> Iterator[Path | None]:
    """The folder or file that an address names; None for a dataset on the Hub that is no release."""
    if text is None or not text.startswith("hf://"):
        yield None if text is None else Path(text)
        return
    from huggingface_hub.errors import RevisionNotFoundError

    from finemed.publish.targets.hub_repo import HubRepo
    from finemed.sources.hub import parse

    at = parse(text)
    if at.path:
        yield None
        return
    repo = HubRepo(at.repo)

    def resolve() -> str:
        try:
            return str(repo.api.dataset_info(at.repo, revision=at.revision).sha)
        except RevisionNotFoundError:
            raise PublishError(f"{text}: has no such revision; check the branch, tag or commit behind `@`") from None

    commit = repo.asked("read it", resolve)
    tree = repo.tree(commit)
    if MANIFEST not in tree or not any(name.startswith("data/") for name in tree):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="finemed-validate-") as folder:
        for name, file in tree.items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise InputError(f"{text}: the file {name[:80]!a} lies outside the dataset; do not use it")
            repo.download(commit, file, Path(folder, name))
        yield Path(folder)
