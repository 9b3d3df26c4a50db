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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from finemed.errors import ConfigError, InputError, PublishError
from finemed.publish.checks.apart import check_apart
from finemed.publish.checks.chain import check_stages
from finemed.publish.checks.claims import stated
from finemed.publish.checks.derived import check_derived
from finemed.publish.checks.faults import RULES, Faults, Report
from finemed.publish.checks.foreign import validate_foreign
from finemed.publish.checks.held import alone, check_held, opened_previous
from finemed.publish.checks.recount import check_figures
from finemed.publish.checks.shipped import MANIFEST, Shipped
from finemed.publish.checks.succession import check_succession
from finemed.publish.checks.tables import Tables
from finemed.store.atomic import NoFileError, read_plain
from finemed.store.earlier import EarlierRows


def validate(
    path: Path,
    *,
    previous: Path | None = None,
    earlier: EarlierRows | None = None,
    benchmarks: Sequence[str] = (),
    expect_hash: str | None = None,
) -> Report:
    """Checks a release folder, or a file or folder of anybody's instruction data.

    Args:
        path: the folder of a release, or a file or folder of JSONL or Parquet with conversations or pairs.
        previous: the release before it, for the rule `features`.
        benchmarks: files, addresses or short names of benchmarks to look for in data that is no release.
        expect_hash: `release_hash` of the release, or the SHA-256 of its manifest, known from elsewhere.
        earlier: all earlier versions, for the rule `held_splits`; by default the previous release alone.

    Raises:
        InputError: there is nothing there that could be checked.
        ConfigError: benchmarks are named for a release.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; give a release, a file, or hf://owner/name")
    if (path / "stages").is_dir() and not is_release(path):
        raise InputError(f"{path}: is a run; validate its release, {path / 'release'}")
    if not is_release(path):
        if expect_hash is not None:
            raise InputError(f"{path}: is no release, so it has no hash to expect; leave --expect-hash out")
        return validate_foreign(str(path), benchmarks=benchmarks)
    if benchmarks:
        raise ConfigError(
            f"{path}: is a release, whose build has looked for benchmark items; look for others with "
            "`finemed decontaminate`"
        )
    return validate_release(path, previous=previous, earlier=earlier, expect_hash=expect_hash)


def validate_release(
    path: Path,
    *,
    previous: Path | None = None,
    earlier: EarlierRows | None = None,
    expect_hash: str | None = None,
) -> Report:
    """Checks every file of a release folder, and all that its manifest says about them."""
    if previous is not None and not is_release(previous):
        raise InputError(f"{previous}: holds no release to compare with; give the folder of the previous version")
    for folder in (path, previous):
        if folder is not None and not _encodable(folder):
            raise InputError(f"{str(folder)!a}: the folder's name is no text in UTF-8; rename it")
    faults = Faults()
    shipped = Shipped.open(path, faults)
    before = None if previous is None else Shipped.open(previous, Faults())
    shipped.check(faults)
    if shipped.special:
        for rule in RULES.keys() - {"files"}:
            faults.skip(rule, f"{shipped.special[0]} is no regular file; nothing beside it is read")
        return Report(str(path), "release", 0, faults, stated(shipped.whole), {})
    tables = Tables(shipped, before, faults)
    tables.check()
    if shipped.spoilt:
        for rule in ("figures", "stages", "hash"):
            faults.skip(rule, f"{shipped.spoilt[0]} is missing or another file than the manifest names")
    elif tables.unread:
        for rule in ("figures", "stages"):
            faults.skip(rule, f"{tables.unread} cannot be read to its end")
    else:
        check_figures(shipped, tables.uncounted or tables.figures, faults)
        check_stages(shipped, tables.pools, tables.questions, faults, components=tables.components)
    check_apart(shipped, faults)
    check_held(path, earlier or (alone(previous) if previous else None), faults)
    check_succession(shipped, before, faults)
    hashes = check_derived(shipped, expect_hash, faults)
    for rule in RULES:
        if rule not in faults.applied:
            faults.skip(rule, "the folder holds nothing to apply it to")
    return Report(str(path), "release", tables.rows, faults, stated(shipped.whole), hashes)


def _encodable(path: Path) -> bool:
    """Whether libraries that take names as UTF-8 can open what is below."""
    try:
        str(path.resolve()).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_release(path: Path) -> bool:
    """Whether a folder is meant as a release of ours: it has such a manifest, or a damaged one beside `data`."""
    try:
        found = json.loads(read_plain(path / MANIFEST))
    except (NoFileError, ValueError, RecursionError):
        found = None
    except OSError:  # a link to nothing is a damaged manifest as well
        return (path / MANIFEST).is_symlink() and (path / "data").is_dir()
    if not isinstance(found, dict):
        return (path / "data").is_dir()
    return "release_hash" in found or {"configs", "files"} <= found.keys()


def validate_address(
    text: str, *, previous: str | None = None, benchmarks: Sequence[str] = (), expect_hash: str | None = None
) -> Report:
    """Checks what an address names: a path on this machine, or ``hf://owner/name[@revision]``.

    A release on the Hub is downloaded to a temporary folder; any other dataset is read as it comes.

    Raises:
        FineMedError: there is nothing to check, or the Hub cannot be reached.
    """
    with _local(text) as path:
        if path is None:
            if expect_hash is not None:
                raise InputError(f"{text}: is no release, so it has no hash to expect; leave --expect-hash out")
            return validate_foreign(text, benchmarks=benchmarks)
        if previous is None or "@" in previous or not is_release(path):
            with _local(previous) as before:
                report = validate(path, previous=before, benchmarks=benchmarks, expect_hash=expect_hash)
        else:
            with opened_previous(previous, path) as (last, earlier):
                report = validate(path, previous=last, earlier=earlier, benchmarks=benchmarks, expect_hash=expect_hash)
        return replace(report, path=text)


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
